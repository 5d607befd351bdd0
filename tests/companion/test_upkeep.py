"""Claims about the assertions on several people and on upkeep: sound ones pass, broken ones don't."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wsgi_sessions import SessionManager
from wsgi_sessions.sessions import validation
from wsgi_sessions.sessions.session import Session
from wsgi_sessions.wsgi.request import SessionRequest
from wsgi_sessions_testing import (
    Bench,
    assert_data_follows_its_owner,
    assert_doubled_cookies_do_no_harm,
    assert_ends_reach_whom_they_should,
    assert_freshness_ends,
    assert_older_secrets_are_good,
    assert_purge_is_safe,
    assert_remembered_as_asked,
)

from .apps import ADA, SOUND, check_wrapped, page_app


def of_browser(claim: Callable[[Any], None], settings: dict[str, Any]) -> None:
    with Bench(page_app, **settings) as bench:
        browser = bench.new_browser()
        browser.sign_in(ADA)
        claim(browser)


OF_APPS = [
    assert_data_follows_its_owner,
    assert_remembered_as_asked,
    assert_ends_reach_whom_they_should,
    assert_older_secrets_are_good,
    assert_doubled_cookies_do_no_harm,
]
OF_BROWSERS = [assert_freshness_ends, assert_purge_is_safe]


@pytest.mark.parametrize("settings", SOUND, ids=str)
@pytest.mark.parametrize("claim", OF_APPS, ids=lambda claim: claim.__name__)
def test_a_sound_app_passes(claim: Callable[[Any], None], settings: dict[str, Any]) -> None:
    check_wrapped(claim, **settings)


@pytest.mark.parametrize("settings", SOUND, ids=str)
@pytest.mark.parametrize("claim", OF_BROWSERS, ids=lambda claim: claim.__name__)
def test_a_sound_browser_passes(claim: Callable[[Any], None], settings: dict[str, Any]) -> None:
    of_browser(claim, settings)


def test_a_sign_in_of_the_apps_own_has_to_sign_in() -> None:
    with pytest.raises(AssertionError, match="a sign-in lost the data|did not sign stranger"):
        assert_data_follows_its_owner(
            page_app, sign_in=lambda browser, email: browser.sign_in("owner@example.org")
        )


def test_a_session_that_is_fresh_for_ever_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "is_fresh", True)
    with pytest.raises(AssertionError, match="a session is fresh after fresh_age is over"):
        of_browser(assert_freshness_ends, {})


def test_a_stranger_who_can_end_sessions_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        SessionRequest,
        "revoke_session",
        lambda handle, session_id: handle.manager.revoke_session(session_id),
    )
    with pytest.raises(AssertionError, match="somebody ended the session of another user"):
        check_wrapped(assert_ends_reach_whom_they_should)


def test_a_purge_that_takes_too_much_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def purge(manager: SessionManager, **_: Any) -> int:
        manager.parts.models.session.delete().execute()
        return 0

    monkeypatch.setattr(SessionManager, "purge", purge)
    with pytest.raises(AssertionError, match="a purge took a live session"):
        of_browser(assert_purge_is_safe, {})


@pytest.mark.parametrize(
    ("name", "broken", "said"),
    [
        ("of_stored_branch", lambda tokens, _: tokens[0], "v1\\.[A-Za-z0-9_-]{5}…"),
        (
            "newest_of_each_session",
            lambda tokens: tuple((token,) for token in tokens[:1]),
            "v1\\.[A-Za-z0-9_-]{5}…",
        ),
    ],
)
def test_an_older_token_or_a_sibling_that_is_taken_for_the_one_that_counts_is_shown(
    name: str, broken: Callable[..., Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, name, broken)
    with pytest.raises(AssertionError, match=f"^{said} beside the session's cookie signs"):
        check_wrapped(assert_doubled_cookies_do_no_harm, cookie={"secure": False})
