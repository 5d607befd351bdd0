"""``python -m tests.benchmarks``: what a session costs a request, as ratios of one run.

Rounds of the contenders are interleaved, and medians are shown, because machines differ and
change their pace.
"""

from __future__ import annotations

import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from wsgi_sessions import SessionManager, SessionMiddleware

SECRET = "a secret for benchmarks, long enough"
ROUNDS = 60
REQUESTS_A_ROUND = 400
OTHER_COOKIES = "theme=dark; _ga=GA1.2.1234567890.1234567890; consent=yes"
QUIET_PASSWORD = {"time_cost": 1, "memory_cost_kib": 8, "parallelism": 1}

Step = Callable[[], None]


def bare_app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def environ_with(cookie: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "HTTP_HOST": "localhost",
        "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "HTTP_COOKIE": cookie,
        "wsgi.url_scheme": "https",
    }


def request(app: Any, cookie: str) -> Step:
    def step() -> None:
        app(environ_with(cookie), lambda status, headers: None)

    return step


def signed_in(folder: str, name: str, **settings: Any) -> tuple[SessionMiddleware, str, str]:
    """Return a wrapped app, the Cookie header of a signed-in browser and the session's id."""
    manager = SessionManager(
        f"sqlite:///{folder}/{name}.db", secret=SECRET, password=QUIET_PASSWORD, **settings
    )
    app = SessionMiddleware(bare_app, manager)
    made = manager.sign_up_email(name="Ada", email="ada@example.org", password="correct horse")
    assert made.session is not None
    cookies = f"{OTHER_COOKIES}; __Host-session_token={made.token}"
    answered: list[tuple[str, str]] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        answered.extend(headers)
        return answered.append

    app(environ_with(cookies), start_response)
    for header, value in answered:
        if header == "Set-Cookie":
            cookies += "; " + value.partition(";")[0]
    return app, cookies, made.session.id


def raw_select(folder: str, name: str, session_id: str, sql: str) -> Step:
    connection = sqlite3.connect(f"{folder}/{name}.db", isolation_level=None)

    def step() -> None:
        connection.execute(sql, (session_id,)).fetchone()

    return step


RAW_SQL = """
SELECT s."id", s."user_id", s."generation", s."branch", s."branch_before", s."is_settled",
       s."caught_up", s."confirmed_at", s."created_at",
       s."authenticated_at", s."updated_at", s."last_seen_at", s."expires_at", s."remember",
       s."ip_address", s."user_agent", s."data", s."data_version", s."ended_at", s."end_reason",
       u."id", u."email", u."email_verified", u."name", u."image", u."created_at", u."updated_at"
FROM "wsgi_sessions_session" AS s
LEFT OUTER JOIN "wsgi_sessions_user" AS u ON u."id" = s."user_id" WHERE s."id" = ?
"""


def measure(contenders: dict[str, Step]) -> dict[str, list[float]]:
    """Return microseconds a request, a figure a round, rounds interleaved."""
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, step in contenders.items():
            start = time.perf_counter()
            for _ in range(REQUESTS_A_ROUND):
                step()
            figures[name].append((time.perf_counter() - start) / REQUESTS_A_ROUND * 1e6)
    return figures


def import_milliseconds() -> float:
    """Return what importing the package takes beyond importing what it depends on."""
    dependencies = "import webob, peewee, argon2, http, json, argparse, playhouse.db_url"
    program = (
        f"import time; {dependencies}; start = time.perf_counter(); import wsgi_sessions; "
        "print((time.perf_counter() - start) * 1000)"
    )
    runs = [
        float(
            subprocess.run(
                [sys.executable, "-c", program], capture_output=True, text=True, check=True
            ).stdout
        )
        for _ in range(7)
    ]
    return statistics.median(runs)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        app, cookies, session_id = signed_in(folder, "validated")
        cached_app, cached_cookies, _ = signed_in(folder, "cached", cookie_cache=True)
        assert "session_data" in cached_cookies
        find_session = app.manager.parts.store.sessions.find
        figures = measure(
            {
                "bare app": request(bare_app, cookies),
                "raw SELECT": raw_select(folder, "validated", session_id, RAW_SQL),
                "store.sessions.find": lambda: find_session(session_id) and None,
                "no cookie": request(app, OTHER_COOKIES),
                "validated": request(app, cookies),
                "cookie cache": request(cached_app, cached_cookies),
            }
        )
        app.manager.close()
        cached_app.manager.close()
    medians = {name: statistics.median(values) for name, values in figures.items()}
    bare = medians["bare app"]
    print(f"{'contender':24}{'µs':>8}{'spread':>9}{'over bare':>11}")
    for name, values in figures.items():
        low, high = statistics.quantiles(values, n=10)[0], statistics.quantiles(values, n=10)[-1]
        median = medians[name]
        print(f"{name:24}{median:8.1f}{(high - low) / median:8.0%} {median - bare:10.1f}")
    print()
    ratio = (medians["validated"] - bare) / medians["raw SELECT"]
    print(f"validated request, over the bare app: {ratio:.2f} x the raw SELECT (at most 4)")
    cached = (medians["cookie cache"] - bare) / medians["raw SELECT"]
    print(f"cookie-cache request, over the bare app: {cached:.2f} x the raw SELECT")
    print(
        f"import wsgi_sessions over its dependencies: {import_milliseconds():.0f} ms (at most 40)"
    )


if __name__ == "__main__":
    main()
