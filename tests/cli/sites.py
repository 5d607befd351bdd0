"""A filled database on every engine, and the command line over it."""

from __future__ import annotations

import json
import signal
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.contract.databases import fresh_url
from wsgi_sessions import SessionManager
from wsgi_sessions.cli.program import Program
from wsgi_sessions_testing import FakeClock
from wsgi_sessions_testing.factories import Factories
from wsgi_sessions_testing.settings import CHEAP_PASSWORDS

SECRET = "0123456789abcdef" * 2
PASSWORD = "correct horse battery"
DAY = 86_400
MINUTE = 60


# Before 8.2 click mixed both outputs unless it was told not to.
_APART: dict[str, Any] = {"mix_stderr": False}
_RUNNER = CliRunner(**(_APART if version("click").startswith("8.1.") else {}))


@dataclass
class Line:
    """Types commands for one manager."""

    manager: SessionManager
    name: str = "wsgi-sessions"

    def __call__(self, *arguments: str, answer: str | None = None) -> Result:
        program = Program(self.name, lambda _app: self.manager, takes_app=True)
        return _RUNNER.invoke(program, list(arguments), input=answer)

    def document(self, *arguments: str, exit_code: int = 0) -> Any:
        """Return what is printed with ``--json``."""
        result = self(*arguments, "--json")
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout)


@dataclass
class Site:
    """A database with people in it, and all that nobody may get to see."""

    line: Line
    manager: SessionManager
    clock: FakeClock
    url: str
    ids: dict[str, Any] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with fresh_url(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have processes take SIGINT, which a job in the background of a shell has ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> Iterator[str]:
    with fresh_url("sqlite", tmp_path) as url:
        yield url


@pytest.fixture
def site(url: str) -> Generator[Site]:
    yield from fill(url)


@pytest.fixture
def sqlite_site(sqlite_url: str) -> Generator[Site]:
    yield from fill(sqlite_url)


def fill(url: str) -> Generator[Site]:
    """Give a site with Ada, who has many sessions, Bob, and somebody who is not signed in.

    Ada: on a laptop, live; on a phone, live and begun two days ago; one that was evicted, one
    that was revoked 40 days ago, and one that nobody has used for too long. Bob: one, live.
    """
    clock = FakeClock()
    manager = SessionManager(url, secret=SECRET, clock=clock, password=CHEAP_PASSWORDS, audit=True)
    made = Site(Line(manager), manager, clock, url)
    factories = Factories(manager)
    ada = factories.make_user("ada@example.org", name="Ada", password=PASSWORD)
    bob = factories.make_user("bob@example.org", name="Bob <bob> [red]\x1b[31m", password=PASSWORD)
    made.ids = {"ada": ada.id, "bob": bob.id}

    def sign_in(name: str, who: Any, **options: Any) -> None:
        signed_in = factories.make_session(who, method="password", **options)
        assert signed_in.session is not None and signed_in.token is not None
        made.sessions[name] = signed_in.session.id
        record = signed_in.session.record
        made.hidden |= {signed_in.token, record.branch, *signed_in.token.split(".")[1:2]}

    clock.advance(days=-40)
    sign_in("revoked", ada, ended="revoked", age=DAY)
    clock.advance(days=40)
    sign_in(
        "laptop", ada, user_agent="Firefox on Linux", address="192.0.2.7", data={"cart": [1, "é"]}
    )
    sign_in("phone", ada, user_agent="Safari on iPhone", address="192.0.2.8", age=2 * DAY)
    sign_in(
        "evicted",
        ada,
        user_agent="Chrome on Windows",
        address="192.0.2.9",
        age=DAY,
        ended="evicted",
    )
    sign_in("expired", ada, age=9 * DAY)
    sign_in("bob", bob, age=10 * MINUTE)
    link = manager.parts.tokens.issue("reset-password", ada.record, now_ms=clock.now_ms())
    made.hidden.add(link.token)
    for user_id in made.ids.values():
        account = manager.parts.store.accounts.find_credential(user_id)
        assert account is not None and account.password_hash is not None
        made.hidden.add(account.password_hash)
    secret = manager.parts.store.meta.read("database_secret")
    made.hidden |= {SECRET, PASSWORD} | ({secret} if secret else set())
    yield made
    manager.close()
