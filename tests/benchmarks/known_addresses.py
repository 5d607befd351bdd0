"""``python -m tests.benchmarks.known_addresses``: does the time of an answer tell who is known?

Requests for addresses that have an account and for such as have none take turns, at sign-up,
sign-in, reset and verification. For each the two samples are compared by the test of Mann and
Whitney: "slower" is how often a request for a known address takes longer than one for an unknown
address, 50 % if nothing can be told from it. First with a cheap hash, under which a difference of
microseconds would show, and then, where passwords are hashed, with the default one, which takes a
quarter of an hour. It may run on a busy machine.

``python -m tests.benchmarks.known_addresses 200`` makes so many tries of each.
"""

from __future__ import annotations

import io
import itertools
import json
import logging
import math
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from wsgi_sessions import SessionManager, SessionMiddleware

TRIES = 2000
CHEAP = {"time_cost": 1, "memory_cost_kib": 8, "parallelism": 1}
PASSWORD = "a horse that is correct"

Body = Callable[[str], dict[str, str]]


class Site(NamedTuple):
    """What is sent about an e-mail address, to a site with these settings."""

    path: str
    body: Body
    settings: Mapping[str, Any] = MappingProxyType({})


MAILING = {"on_send": lambda *_: None, "site_url": "http://app.example.org"}
SITES = {
    "sign-up": Site(
        "/sign-up/email",
        lambda email: {"name": "Ada", "email": email, "password": PASSWORD},
        {"auto_sign_in": False, **MAILING},
    ),
    "sign-in": Site("/sign-in/email", lambda email: {"email": email, "password": "a wrong horse"}),
    "reset": Site("/request-password-reset", lambda email: {"email": email}, MAILING),
    "verification": Site("/send-verification-email", lambda email: {"email": email}, MAILING),
}


class Answer(NamedTuple):
    status: str
    headers: list[tuple[str, str]]
    body: bytes
    seconds: float


def post(app: SessionMiddleware, path: str, body: dict[str, str], address: str) -> Answer:
    payload = json.dumps(body).encode()
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": f"/api/auth{path}",
        "QUERY_STRING": "",
        "SERVER_NAME": "app.example.org",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": address,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(payload)),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(payload),
        "wsgi.errors": sys.stderr,
    }
    told: list[Any] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        told.extend([status, headers])

    began = time.perf_counter()
    text = b"".join(app(environ, start_response))
    seconds = time.perf_counter() - began
    return Answer(told[0], told[1], text, seconds)


def no_app(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [])
    return []


def networks() -> Iterator[str]:
    """Return an address of another /24 at each call, so that no limit is reached."""
    return (f"100.{64 + n // 250 % 64}.{n % 250}.7" for n in itertools.count())


def measure(site: Site, tries: int, **settings: Any) -> tuple[list[float], list[float], set[str]]:
    """Return the seconds for known and for unknown addresses, and how the answers differ."""
    manager = SessionManager(
        "sqlite:///:memory:",
        secret="a secret for benchmarks, long enough",
        **site.settings,
        **settings,
    )
    app, draw, address = SessionMiddleware(no_app, manager), random.Random(7), networks()
    known = [f"known{n:05}@example.org" for n in range(tries)]
    password_hash = manager.parts.accounts.hasher.hash(PASSWORD)
    for email in known:
        manager.create_user(name="Ada", email=email, password_hash=password_hash)
    unknown = [f"other{n:05}@example.org" for n in range(tries)]
    seconds: dict[bool, list[float]] = {True: [], False: []}
    answers: dict[bool, set[str]] = {True: set(), False: set()}
    for pair in zip(known, unknown, strict=True):
        order = [True, False]
        draw.shuffle(order)
        for is_known in order:
            email, origin = pair[not is_known], next(address)
            answer = post(app, site.path, site.body(email), origin)
            seconds[is_known].append(answer.seconds)
            answers[is_known].add(shape(answer, email))
    manager.close()
    return seconds[True], seconds[False], answers[True] ^ answers[False]


def shape(answer: Answer, email: str) -> str:
    """Return what an answer says, without what is drawn anew for each."""
    body = answer.body.decode().replace(email, "EMAIL")
    text = re.sub(
        r'"id":"[\w-]{24}"', '"id":"ID"', re.sub(r"\d{4}-[\d-]+T[\d:.]+Z", "INSTANT", body)
    )
    names = sorted(name for name, _ in answer.headers)
    return f"{answer.status} {names} {text}"


def compare(known: list[float], unknown: list[float]) -> tuple[float, float]:
    """Return how often a known one is slower than an unknown one, and the two-sided p-value."""
    ranked = sorted(
        (value, is_known) for is_known in (0, 1) for value in (unknown, known)[is_known]
    )
    rank_sum = sum(rank for rank, (_, is_known) in enumerate(ranked, 1) if is_known)
    m, n = len(known), len(unknown)
    u = rank_sum - m * (m + 1) / 2
    z = (u - m * n / 2) / math.sqrt(m * n * (m + n + 1) / 12)
    return u / (m * n), 2 * statistics.NormalDist().cdf(-abs(z))


def report(tries: int, *names: str, **settings: Any) -> None:
    for name in names:
        site = SITES[name]
        known, unknown, differences = measure(site, tries, **settings)
        slower, p = compare(known, unknown)
        medians = [statistics.median(each) * 1000 for each in (known, unknown)]
        shown = "alike" if not differences else " or ".join(sorted(differences)[:2])
        print(
            f"| {name} | {tries} | {medians[0]:.2f} ms | {medians[1]:.2f} ms | {slower:.1%} | "
            f"{p:.2f} | {shown} |",
            flush=True,
        )


def main() -> None:
    logging.disable()
    tries = int(sys.argv[1]) if len(sys.argv) > 1 else TRIES
    report(tries, *SITES, password=CHEAP)
    report(tries, "sign-up", "sign-in")


if __name__ == "__main__":
    main()
