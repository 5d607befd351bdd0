"""The code of ``docs/how-to/throttling.md`` runs, and its limits are those that hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from wsgi_sessions import InvalidCredentialsError, SessionManager, TooManyTriesError
from wsgi_sessions.records import NO_FACTS
from wsgi_sessions_testing import CHEAP_PASSWORDS, FakeClock

from .pages import python_of

PAGE = "docs/how-to/throttling.md"
[LIMITS] = python_of(PAGE)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionManager]:
    """Return the manager of the page, at a moment that does not pass."""
    monkeypatch.chdir(tmp_path)
    cheap = partial(SessionManager, clock=FakeClock(), password=CHEAP_PASSWORDS)
    monkeypatch.setattr("wsgi_sessions.SessionManager", cheap)
    names: dict[str, Any] = {}
    exec(LIMITS, names)
    yield names["manager"]
    names["manager"].close()


def was_looked_at(manager: SessionManager, address: str, email: str) -> bool:
    facts = NO_FACTS._replace(address=address)
    try:
        manager.sign_in_email(email=email, password="wrong horse", facts=facts)
    except InvalidCredentialsError:
        return True
    except TooManyTriesError:
        return False
    raise AssertionError("a wrong password was taken")


@pytest.mark.parametrize(
    ("address", "tries"),
    [(lambda _: "203.0.113.9", 200), (lambda number: f"2001:db8:0:{number % 256:x}00::9", 400)],
    ids=["one address", "one /48"],
)
def test_the_limits_of_the_page_hold(
    manager: SessionManager, address: Callable[[int], str], tries: int
) -> None:
    looked_at = [
        was_looked_at(manager, address(number), f"user{number}@example.org")
        for number in range(tries + 10)
    ]
    assert looked_at == [True] * tries + [False] * 10
