"""``SessionMachine`` passes apps that are sound, whatever else they do, under every setting.

What it finds in a product that is not, ``tests/seeded_faults`` shows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from tests.seeded_faults.hunt import run_machine
from wsgi_sessions.records import Outcome
from wsgi_sessions.sessions import policy
from wsgi_sessions_testing import SessionMachine, settings_for_tests
from wsgi_sessions_testing.properties.reference_model import (
    AGAIN,
    CATCH_UP,
    NEXT,
    Expected,
    ReferenceSession,
    Shown,
)
from wsgi_sessions_testing.properties.theft import Theft
from wsgi_sessions_testing.properties.user_rules import EMAILS

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


def machine_of(app: Any, **changes: Any) -> type[SessionMachine]:
    """Return a machine for an app under these settings."""

    class Machine(SessionMachine):
        settings: ClassVar[dict[str, Any]] = changes

        def make_app(self) -> Any:
            return app

    return Machine


@contextmanager
def opened(app: Any, **changes: Any) -> Generator[SessionMachine]:
    """Give a machine whose rules a test calls by itself."""
    machine = machine_of(app, **changes)()
    machine.open()
    try:
        yield machine
    finally:
        machine.teardown()


def run(app: Any, *, examples: int = 10, **changes: Any) -> None:
    run_machine(machine_of(app, **changes), examples=examples)


@pytest.mark.parametrize("cookie_cache", [False, True])
@pytest.mark.parametrize("app", [quiet, with_csrf_cookie, with_counter, with_cart])
def test_sound_apps_pass(app: Any, cookie_cache: bool) -> None:
    run(app, cookie_cache=cookie_cache)


@pytest.mark.parametrize(
    "changes",
    [
        {"cookie": {"secure": False}},
        {"cookie": {"path": "/app", "domain": "example.org", "same_site": "Strict"}},
        {"rotation_interval": 6, "rotation_grace": 1},
        {
            "rotation_interval": 3600,
            "rotation_grace": 1,
            "upload_grace": 3,
            "revocation_lag": 0,
            "touch_interval": 0,
            "cookie_cache": True,
        },
        {"rotate_tokens": False},
        {"rotate_tokens": False, "update_age": 600, "cookie_cache": True},
        {"expires_in": 300, "update_age": 60},
        {"short_expires_in": 3600, "touch_interval": 0},
        {"short_expires_in": 60},
        {"update_age": 600, "rotation_interval": 86_400, "upload_grace": 80_000},
        {"on_replay": "reject", "multi_session": {"maximum_sessions": 1, "on_limit": "reject"}},
        {"multi_session": {"enabled": False}},
        {"ip_binding": "subnet", "trusted_proxies": ["192.0.2.0/24"]},
        {"ip_binding": "exact", "on_ip_mismatch": "revoke", "cookie_cache": True},
        {"ip_binding": "exact", "trusted_proxies": ["127.0.0.0/8"]},
        {"expires_in": 30 * 86_400, "update_age": 30, "rotation_grace": 5},
        {"idle_timeout": 3600, "absolute_timeout": 7200, "update_age": 600},
        {"idle_timeout": 3600, "rotation_interval": 1800, "cookie_cache": True},
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
        machine.sign_in(0, EMAILS[0], 1)
        machine.revoke(0, is_behind=True)
        machine._advance(machine.config.keep_ended_ms - 2 * machine.skew_ms - (not is_late))
        machine.look(0, 1)
        (session,) = machine.sessions.values()
        assert (machine._find_row(session.id) is None) is is_late
        machine.rows_are_as_the_past_says()


def test_a_record_that_went_too_early_is_told() -> None:
    with opened(quiet) as machine:
        machine.sign_in(0, EMAILS[0], 1)
        machine.revoke(0, is_behind=True)
        machine._advance(machine.config.keep_ended_ms - 2 * machine.skew_ms - 1)
        machine.bench.manager.parts.models.session.delete().execute()
        with pytest.raises(AssertionError, match="a row is gone"):
            machine.rows_are_as_the_past_says()


@pytest.mark.parametrize("act", ["sign_in", "sign_out"])
def test_a_cookie_may_outlive_the_record_of_a_session_whose_user_is_gone(act: str) -> None:
    with opened(quiet) as machine:
        machine.sign_in(0, EMAILS[0], 0)
        machine.sign_in(1, EMAILS[0], 1)
        machine.delete_user(1, by_app=True, worker=0)
        machine._advance(machine.config.expires_in_ms + machine.config.keep_ended_ms)
        machine.purge(2, 0, is_ending=False)
        assert machine.browsers[0].session_token is not None
        if act == "sign_in":
            machine.sign_in(0, EMAILS[0], 1)
        else:
            machine.sign_out(0)
        machine.rows_are_as_the_past_says()


def test_a_machine_without_an_app_says_what_to_write() -> None:
    with pytest.raises(NotImplementedError, match="def make_app"):
        SessionMachine().make_app()


def test_a_row_that_was_purged_is_not_missed_at_the_next_sign_in() -> None:
    """Of a session whose user the app deleted, and whose record was kept for a day only."""
    with opened(quiet, keep_ended=86_400) as machine:
        machine.sign_in(which=0, who="ada@example.org", remember=1)
        machine.delete_user(whose=0, by_app=True, worker=0)
        machine.clock.advance(days=2)
        machine.bench.manager.purge()
        machine.sign_in(which=0, who="bob@example.org", remember=1)


# The rules themselves are judged, where product and reference agree on them


def any_token_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take whatever sibling for the token before: one that lost is good at each rotation."""
    recognise, find_place = policy._recognise, ReferenceSession._find_place

    def recognised(record: Any, token: Any, **how: Any) -> Outcome:
        return recognise(record._replace(branch_before=None), token, **how)

    def found(session: ReferenceSession, state: Any, shown: Shown) -> str | None:
        return find_place(session, replace(state, branch_before=None), shown)

    monkeypatch.setattr(policy, "_recognise", recognised)
    monkeypatch.setattr(ReferenceSession, "_find_place", found)


def no_settling_on_siblings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the sibling that was confirmed first for the one that the browser kept."""
    recognise, find_place = policy._recognise, ReferenceSession._find_place

    def recognised(record: Any, token: Any, **how: Any) -> Outcome:
        outcome = recognise(record, token, **how)
        is_other = token.branch != record.branch
        return Outcome.REPLAY if outcome is Outcome.SETTLE and is_other else outcome

    def found(session: ReferenceSession, state: Any, shown: Shown) -> str | None:
        place = find_place(session, state, shown)
        is_other = shown.branch != state.branch
        return None if place == "settles" and is_other else place

    monkeypatch.setattr(policy, "_recognise", recognised)
    monkeypatch.setattr(ReferenceSession, "_find_place", found)


def no_catch_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a browser whose jar went back for a thief."""
    recognise, find_place = policy._recognise, ReferenceSession._find_place

    def recognised(record: Any, token: Any, **how: Any) -> Outcome:
        outcome = recognise(record, token, **how)
        return Outcome.REPLAY if outcome is Outcome.CATCH_UP else outcome

    def found(session: ReferenceSession, state: Any, shown: Shown) -> str | None:
        place = find_place(session, state, shown)
        return None if place == "catches up" else place

    monkeypatch.setattr(policy, "_recognise", recognised)
    monkeypatch.setattr(ReferenceSession, "_find_place", found)


@pytest.mark.parametrize(
    ("rules", "broken"),
    [
        (any_token_before, "a thief is let in"),
        (no_settling_on_siblings, "an honest browser is signed out"),
        (no_catch_up, "an honest browser is signed out"),
    ],
)
def test_rules_that_break_a_promise_are_found(
    rules: Callable[[pytest.MonkeyPatch], None], broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules(monkeypatch)
    with pytest.raises(AssertionError, match=broken):
        run(quiet, examples=100)


# The reference, at default settings: a grace of a minute, and a rotation a day

DAY, MINUTE, SECOND = 86_400_000, 60_000, 1000


def reference(*requests: tuple[int, str, int], **changes: Any) -> ReferenceSession:
    """Give a session that was signed in at 0 with the branch "a", and what was let in since."""
    config = settings_for_tests(**changes)
    session = ReferenceSession("id", "ada", config, 0, is_remembered=True, branch="a")
    for generation, branch, at_ms in requests:
        session.accept(Shown(generation, branch, at_ms))
    return session


def test_reference_tells_each_kind_of_offer() -> None:
    due = reference().expect(Shown(0, "a", DAY))
    assert (due.offer, due.generation, due.branch) == (NEXT, 1, "a")

    again = reference().expect(Shown(0, "a", MINUTE, is_of_older_secret=True))
    assert (again.offer, again.generation, again.branch) == (AGAIN, 0, "a")

    back = reference((0, "a", DAY), (1, "b", DAY)).expect(Shown(0, "a", DAY + MINUTE))
    assert (back.offer, back.generation, back.branch) == (CATCH_UP, 1, "b")


def test_reference_settles_on_the_sibling_that_comes_after_the_window() -> None:
    confirmed = DAY + 1
    session = reference((0, "a", DAY), (1, "b", confirmed))
    within, after = confirmed + 3 * MINUTE - 1, confirmed + 3 * MINUTE

    assert session.expect(Shown(1, "c", within)) == Expected(True, generation=1, branch="b")
    settled = session.expect(Shown(1, "c", after))
    assert (settled.branch, settled.may_be_copied) == ("c", True)
    assert session.expect(Shown(1, "c", after, has_long_body=True)).branch == "b"

    session.accept(Shown(1, "c", after))
    assert session.expect(Shown(1, "b", after)).is_replay


def test_reference_lets_one_catch_up_take_over_in_a_generation() -> None:
    session = reference((0, "a", DAY), (1, "b", DAY))
    session.catch_ups |= {"c", "d"}
    later = DAY + MINUTE
    assert session.expect(Shown(1, "c", later)).branch == "c"

    session.accept(Shown(1, "c", later))
    assert session.tell().begun_at_ms == later
    assert session.expect(Shown(1, "d", later)) == Expected(True, generation=1, branch="c")
    assert session.expect(Shown(0, "a", later + MINUTE)).is_replay


def test_reference_knows_the_token_before_by_its_branch() -> None:
    requests = [(0, "a", DAY), (1, "b", DAY), (1, "c", 2 * DAY), (2, "d", 2 * DAY)]
    session = reference(*requests)
    assert session.expect(Shown(1, "b", 2 * DAY)).is_replay
    assert session.expect(Shown(1, "c", 2 * DAY)).is_accepted


@pytest.mark.parametrize(
    ("owner_at", "is_over"), [(3 * MINUTE - 1, False), (3 * MINUTE, True), (DAY, True)]
)
def test_theft_is_over_with_the_owners_first_request_after_the_window(
    owner_at: int, is_over: bool
) -> None:
    session = reference((0, "a", DAY))
    theft = Theft(session.tell().generation)

    def let_in(generation: int, branch: str, at_ms: int, *, is_owner: bool) -> None:
        shown, before = Shown(generation, branch, at_ms), session.tell()
        session.accept(shown)
        theft.note(shown, before, session.tell(), is_owner=is_owner, config=session.config)

    let_in(1, "b", DAY, is_owner=False)
    let_in(1, "b", DAY + 3 * MINUTE, is_owner=False)
    assert not theft.is_over
    let_in(1, "b", DAY + owner_at, is_owner=True)
    assert theft.is_over is is_over
    later = DAY + owner_at + SECOND
    assert theft.forbids(Shown(1, "c", later), session.config) is is_over
    late = Shown(1, "c", min(later, DAY + 9 * MINUTE), has_long_body=True)
    assert not theft.forbids(late, session.config)


def test_theft_is_not_over_while_the_owner_catches_up() -> None:
    session = reference((0, "a", DAY))
    session.catch_ups.add("c")
    theft = Theft(session.tell().generation)
    times = [DAY, DAY + 4 * MINUTE, DAY + 4 * MINUTE, DAY + 7 * MINUTE]
    owners = [(0, "a"), (1, "c"), (1, "c")]
    overs = []
    for (generation, branch), at_ms in zip([(1, "b"), *owners], times, strict=True):
        shown, before = Shown(generation, branch, at_ms), session.tell()
        session.accept(shown)
        is_owner = branch != "b"
        theft.note(shown, before, session.tell(), is_owner=is_owner, config=session.config)
        overs.append(theft.is_over)
    assert overs == [False, False, False, True]
