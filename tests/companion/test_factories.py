"""Sessions and users that are made for a test."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from wsgi_sessions import (
    EndReason,
)
from wsgi_sessions_testing import (
    Bench,
    Browser,
)

from .apps import ADA, account_app


def test_a_session_of_any_age_can_be_adopted(bench: Bench) -> None:
    made = bench.factories.make_session(ADA, age=timedelta(days=6), last_seen=3600)
    assert made.session is not None
    browser = bench.new_browser()
    browser.adopt(made)
    assert browser.session is not None
    assert browser.session.id == made.session.id
    assert bench.clock.now() - browser.session.created_at == timedelta(days=6)
    assert bench.clock.now() - browser.session.last_seen_at == timedelta(hours=1)


def test_a_session_too_old_is_over(bench: Bench) -> None:
    browser = bench.new_browser()
    browser.adopt(bench.factories.make_session(age=timedelta(days=7)))
    assert browser.session is None
    assert browser.get("/account").status_int == 401


def test_a_session_of_any_generation_can_be_adopted(bench: Bench) -> None:
    made = bench.factories.make_session(generation=3, data={"cart": ["tea"]})
    assert made.session is not None
    assert made.token is not None
    assert made.token.split(".")[2] == "3"
    browser = bench.new_browser()
    browser.adopt(made)
    assert browser.get("/account").status_int == 200
    assert browser.session is not None
    assert browser.session.data == {"cart": ["tea"]}
    older = bench.factories.token_of(made.token, generation=1)
    browser.adopt(type(made)(made.user, made.session, older))
    assert browser.session is None


def test_a_session_can_be_made_at_any_point_of_a_rotation(bench: Bench) -> None:
    made = bench.factories.make_session(
        generation=2, age=timedelta(days=3), confirmed=90, is_settled=False, caught_up=True
    )
    assert made.session is not None
    assert made.token is not None
    record, now_ms = made.session.record, bench.clock.now_ms()
    assert bench.manager.parts.store.sessions.find(record.id) == (record, made.user.record)
    assert (record.generation, record.is_settled, record.caught_up) == (2, False, True)
    assert made.token.split(".")[2:4] == ["2", record.branch]
    assert now_ms - record.confirmed_at_ms == 90_000
    assert record.updated_at_ms == record.last_seen_at_ms == record.confirmed_at_ms
    # As the confirmation found it due, it was refreshed then.
    assert record.expires_at_ms - record.confirmed_at_ms == bench.manager.config.expires_in_ms
    assert now_ms - record.authenticated_at_ms == 3 * 86_400_000


@pytest.mark.parametrize(
    ("settings", "made", "left_s"),
    [
        ({}, {"age": 86_400}, 6 * 86_400),
        ({}, {"age": 86_400, "confirmed": 3600}, 6 * 86_400),  # a refresh was not due yet
        ({}, {"age": 90_000, "confirmed": 3600}, 7 * 86_400 - 3600),
        ({}, {"age": 90_000, "confirmed": 3600, "refreshed": 60}, 7 * 86_400 - 60),
        ({}, {"age": 90_000, "confirmed": 3600, "refreshed": 90_000}, 7 * 86_400 - 90_000),
        ({"absolute_timeout": 100_000}, {"age": 90_000, "confirmed": 3600}, 10_000),
        ({"absolute_timeout": 100_000}, {"age": 90_000, "remember_me": False}, -3600),
    ],
)
def test_a_made_session_expires_as_the_product_would_have_it(
    settings: dict[str, Any], made: dict[str, Any], left_s: int
) -> None:
    with Bench(account_app, **settings) as bench:
        session = bench.factories.make_session(generation=1, **made).session
        assert session is not None
        assert session.record.expires_at_ms - bench.clock.now_ms() == left_s * 1000


def test_the_token_before_is_made_too(bench: Bench) -> None:
    made = bench.factories.make_session(generation=2, age=3600, confirmed=10, is_settled=False)
    assert made.token is not None
    before, browser = bench.factories.token_before(made.token), bench.new_browser()
    assert before.split(".")[2] == "1"
    browser.adopt(type(made)(made.user, made.session, before))
    assert browser.get("/account").status_int == 200
    sibling = bench.factories.token_of(made.token, generation=1)
    browser.adopt(type(made)(made.user, made.session, sibling))
    assert browser.get("/account").status_int == 401


def test_where_nothing_was_rotated_there_is_no_token_before(bench: Bench) -> None:
    made = bench.factories.make_session()
    assert made.token is not None
    for token in (made.token, "v1.a.1.b.c"):
        with pytest.raises(ValueError, match="no token of a session here that was rotated once"):
            bench.factories.token_before(token)


def test_siblings_and_what_a_browser_is_given_to_catch_up_are_made(bench: Bench) -> None:
    made = bench.factories.make_session(generation=2, age=3600, confirmed=70, is_settled=False)
    assert made.token is not None
    token_of, browser = bench.factories.token_of, bench.new_browser()

    def present(token: str) -> int:
        browser.adopt(type(made)(made.user, made.session, token))
        return browser.get("/account").status_int

    sibling = token_of(made.token, generation=2)
    named = token_of(made.token, generation=2, branch="YnJhbmNo")
    assert sibling != made.token
    assert named.split(".")[3] == "YnJhbmNo"
    assert present(sibling) == 200
    assert present(named) == 200
    assert not browser.session.record.caught_up  # type: ignore[union-attr]
    assert present(token_of(made.token, generation=2, is_catch_up=True)) == 200
    assert browser.session.record.caught_up  # type: ignore[union-attr]
    assert present(token_of(made.token, generation=0)) == 401


@pytest.mark.parametrize("reason", [EndReason.REVOKED, "replayed"])
def test_a_session_of_any_end_can_be_made(bench: Bench, reason: EndReason | str) -> None:
    made = bench.factories.make_session(ended=reason)
    assert made.session is not None
    found = bench.manager.parts.store.sessions.find(made.session.id)
    assert found is not None
    assert found[0].end_reason == str(reason)


def test_a_foreign_token_has_no_other_generations(bench: Bench) -> None:
    with pytest.raises(ValueError, match="not a token of the manager's"):
        bench.factories.token_of("v1.a.0.b", generation=1)


def test_adopting_nothing_is_an_error(bench: Bench, ada: Browser) -> None:
    made = bench.factories.make_session()
    with pytest.raises(ValueError, match="no cookie"):
        ada.adopt(type(made)(made.user, None))


def test_users_have_addresses_of_their_own(bench: Bench) -> None:
    first, second = bench.factories.make_user(), bench.factories.make_user()
    assert first.email != second.email
    assert first.name == "User1"
