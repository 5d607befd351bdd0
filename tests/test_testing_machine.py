"""``SessionMachine`` passes apps that are sound, whatever else they do, under every setting.

What it finds in a product that is not, ``tests/seeded_faults`` shows.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from wsgi_sessions_testing import SessionMachine
from wsgi_sessions_testing.machine_people import PEOPLE

HEADERS = [("Content-Type", "text/plain")]


def quiet(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", HEADERS)
    return [b"a page"]


def with_csrf_cookie(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [*HEADERS, ("Set-Cookie", "csrftoken=abc; Path=/; SameSite=Lax")])
    return [b"a form"]


def with_counter(environ: Any, start_response: Any) -> list[bytes]:
    session = environ["wsgi_sessions.session"]
    if session is not None:
        session.data["visits"] = session.data.get("visits", 0) + 1
    return quiet(environ, start_response)


def with_cart(environ: Any, start_response: Any) -> list[bytes]:
    """Begin an anonymous session for every visitor."""
    data = environ["wsgi_sessions.request"].start_anonymous_session().data
    if "cart" not in data:
        data["cart"] = []
    return quiet(environ, start_response)


@contextmanager
def opened(app: Any, **changes: Any) -> Generator[SessionMachine]:
    """Give a machine whose rules a test plays by hand."""

    class Machine(SessionMachine):
        settings: ClassVar[dict[str, Any]] = changes

        def make_app(self) -> Any:
            return app

    machine = Machine()
    machine.open()
    try:
        yield machine
    finally:
        machine.teardown()


def run(app: Any, *, examples: int = 10, **changes: Any) -> None:
    class Machine(SessionMachine):
        settings: ClassVar[dict[str, Any]] = changes

        def make_app(self) -> Any:
            return app

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("cookie_cache", [False, True])
@pytest.mark.parametrize("app", [quiet, with_csrf_cookie, with_counter, with_cart])
def test_sound_apps_pass(app: Any, cookie_cache: bool) -> None:
    run(app, cookie_cache=cookie_cache)


@pytest.mark.parametrize(
    "changes",
    [
        {"cookie": {"secure": False}},
        {"cookie": {"path": "/app", "domain": "example.org", "same_site": "Strict"}},
        {"rotation_grace": 0},
        {"rotation_grace": 0, "revocation_lag": 0, "touch_interval": 0, "cookie_cache": True},
        {"rotate_tokens": False},
        {"on_replay": "reject", "multi_session": {"maximum_sessions": 1, "on_limit": "reject"}},
        {"multi_session": {"enabled": False}},
        {"ip_binding": "subnet", "trusted_proxies": ["192.0.2.0/24"]},
        {"ip_binding": "exact", "on_ip_mismatch": "revoke", "cookie_cache": True},
        {"ip_binding": "exact", "trusted_proxies": ["127.0.0.0/8"]},
        {"expires_in": 30 * 86_400, "update_age": 30, "rotation_grace": 5},
        {"idle_timeout": 3600, "absolute_timeout": 7200, "update_age": 600},
    ],
    ids=str,
)
def test_sound_settings_pass(changes: dict[str, Any]) -> None:
    run(with_cart, **changes)


@pytest.mark.parametrize("is_late", [False, True])
def test_a_record_may_go_that_one_behind_has_written_and_one_ahead_cleans_up(
    is_late: bool,
) -> None:
    with opened(quiet) as machine:
        machine.sign_in(0, PEOPLE[0], 1)
        machine.revoke(0, is_behind=True)
        machine._advance(machine.config.keep_ended_ms - 2 * machine.skew_ms - (not is_late))
        machine.look(0, 1)
        (session,) = machine.sessions.values()
        assert (machine._find_row(session.id) is None) is is_late
        machine.rows_are_as_the_past_says()


def test_a_record_that_went_too_early_is_told() -> None:
    with opened(quiet) as machine:
        machine.sign_in(0, PEOPLE[0], 1)
        machine.revoke(0, is_behind=True)
        machine._advance(machine.config.keep_ended_ms - 2 * machine.skew_ms - 1)
        machine.bench.manager.models.session.delete().execute()
        with pytest.raises(AssertionError, match="a row is gone"):
            machine.rows_are_as_the_past_says()


@pytest.mark.parametrize("act", ["sign_in", "sign_out"])
def test_a_cookie_may_outlive_the_record_of_a_session_whose_user_is_gone(act: str) -> None:
    with opened(quiet) as machine:
        machine.sign_in(0, PEOPLE[0], 0)
        machine.sign_in(1, PEOPLE[0], 1)
        machine.delete_user(1, by_app=True, worker=0)
        machine._advance(machine.config.expires_in_ms + machine.config.keep_ended_ms)
        machine.purge(2, 0, is_ending=False)
        assert machine.browsers[0].session_token is not None
        if act == "sign_in":
            machine.sign_in(0, PEOPLE[0], 1)
        else:
            machine.sign_out(0)
        machine.rows_are_as_the_past_says()


def test_a_machine_without_an_app_says_what_to_write() -> None:
    with pytest.raises(NotImplementedError, match="def make_app"):
        SessionMachine().make_app()


def test_a_row_that_was_purged_is_not_missed_at_the_next_sign_in() -> None:
    """Of a session whose user the app deleted, and whose record was kept for a day only."""

    class Machine(SessionMachine):
        settings: ClassVar[dict[str, Any]] = {"keep_ended": 86_400}

        def make_app(self) -> Any:
            return quiet

    machine = Machine()
    machine.open()
    machine.sign_in(which=0, who="ada@example.org", remember=1)
    machine.delete_user(whose=0, by_app=True, worker=0)
    machine.clock.advance(days=2)
    machine.bench.manager.purge()
    machine.sign_in(which=0, who="bob@example.org", remember=1)
    machine.teardown()
