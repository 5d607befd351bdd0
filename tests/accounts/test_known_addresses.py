"""What a request about an e-mail address does is the same whether anybody has it: calls are counted.

``python -m tests.benchmarks.known_addresses`` compares the times.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from tests.benchmarks.known_addresses import CHEAP, PASSWORD, SITES, no_app, post
from wsgi_sessions import SessionManager, SessionMiddleware

SLACK = 10
"""So few calls are a few microseconds, of a thousand or two."""


@contextmanager
def serving(name: str, **settings: Any) -> Iterator[SessionMiddleware]:
    """Give the middleware of a site where one address is known."""
    manager = SessionManager(
        "sqlite:///:memory:",
        secret="a secret for one test, long enough",
        password=CHEAP,
        **{**SITES[name].settings, **settings},
    )
    manager.sign_up_email(name="Ada", email="known@example.org", password=PASSWORD)
    yield SessionMiddleware(no_app, manager)
    manager.close()


def count_calls(app: SessionMiddleware, name: str, email: str, address: str) -> Counter[str]:
    counts: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        path = frame.f_code.co_filename
        if event == "call" and ("wsgi_sessions" in path or "peewee" in path):
            counts[f"{path}:{frame.f_code.co_name}"] += 1

    sys.setprofile(note)
    try:
        answer = post(app, SITES[name].path, SITES[name].body(email), address)
    finally:
        sys.setprofile(None)
    assert answer.status[:3] in ("200", "401")
    return counts


@pytest.mark.parametrize("name", SITES)
@pytest.mark.parametrize("must_verify", [False, True])
def test_as_much_is_called_for_a_known_address_as_for_an_unknown_one(
    name: str, must_verify: bool
) -> None:
    mailing = {"require_verified_email": True} if must_verify and SITES[name].settings else {}
    with serving(name, **mailing) as app:
        counts = [
            count_calls(app, name, f"{who}@example.org", f"100.64.{place}.7")
            for place, who in enumerate(["other1", "known", "other2", "known", "other3"])
        ]

    # The first of each finds what is compiled or made once.
    known, unknown = counts[3], counts[4]
    assert abs(known.total() - unknown.total()) <= SLACK, (known - unknown, unknown - known)


@pytest.mark.parametrize("name", ["reset", "verification"])
@pytest.mark.parametrize("who", ["known", "other"])
def test_a_request_for_a_mail_is_answered_after_an_even_time(
    name: str, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    with serving(name) as app:
        monkeypatch.setattr("wsgi_sessions.clock.time.sleep", slept.append)
        post(app, SITES[name].path, SITES[name].body(f"{who}@example.org"), "100.64.1.7")

    assert len(slept) == 1
    assert 0 <= slept[0] <= 0.02
