"""Claims about the assertions on guards, limits, the throttle and proxies: sound ones pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import partialmethod
from typing import Any

import peewee
import pytest

from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions.accounts.device_cookie import DeviceCookies
from wsgi_sessions.config.parts import ThrottleConfig
from wsgi_sessions.records import CachedCopy, SessionRecord
from wsgi_sessions.sessions import policy as policy_module
from wsgi_sessions.sessions.cookie_cache import CookieCache
from wsgi_sessions.sessions.known_revocations import FeedAges
from wsgi_sessions.storage.attempts import AttemptStore
from wsgi_sessions.wsgi.request import SessionRequest
from wsgi_sessions_testing import (
    Bench,
    assert_cached_copy_is_bounded,
    assert_data_follows_its_owner,
    assert_limit_holds,
    assert_limits_are_kept,
    assert_remembered_as_asked,
    assert_sensitive_calls_are_guarded,
    assert_throttle_opens_again,
    assert_trusted_proxies_are_believed,
    settings_for_tests,
)

from .apps import SOUND, check_wrapped, page_app

PROXIES = ["192.0.2.0/24"]


@pytest.mark.parametrize("settings", SOUND, ids=str)
@pytest.mark.parametrize(
    "claim",
    [
        assert_limits_are_kept,
        assert_sensitive_calls_are_guarded,
        assert_throttle_opens_again,
    ],
    ids=lambda claim: claim.__name__,
)
def test_a_sound_app_passes(claim: Callable[[Any], None], settings: dict[str, Any]) -> None:
    check_wrapped(claim, **settings)


@pytest.mark.parametrize(
    "claim",
    [
        assert_limits_are_kept,
        assert_remembered_as_asked,
        assert_sensitive_calls_are_guarded,
        assert_throttle_opens_again,
    ],
    ids=lambda claim: claim.__name__,
)
def test_users_of_the_apps_own_who_are_left_over_are_in_nobodys_way(
    claim: Callable[[Any], None],
) -> None:
    database = peewee.SqliteDatabase(":memory:")

    class Person(peewee.Model):
        mail = peewee.CharField(unique=True)

        class Meta:
            database = peewee.DatabaseProxy()

    Person._meta.set_database(database)
    database.connect()
    database.create_tables([Person])
    config = settings_for_tests(user_model=Person, user_attributes={"email": "mail"})
    middleware = SessionMiddleware(page_app, SessionManager(database, config=config))
    for _ in range(2):
        claim(middleware)
    database.close()


@pytest.mark.parametrize(
    "settings",
    [{}, {"cookie": {"secure": False}}, {"cookie": {"domain": "example.org"}}],
    ids=str,
)
@pytest.mark.parametrize(
    "proxies",
    [PROXIES, ["127.0.0.0/8", "10.0.0.0/8"], ["2001:db8::/32"], ["192.0.2.7"], ["0.0.0.0/0"]],
    ids=str,
)
def test_sound_proxies_pass(proxies: list[str], settings: dict[str, Any]) -> None:
    check_wrapped(assert_trusted_proxies_are_believed, trusted_proxies=proxies, **settings)


@pytest.mark.parametrize(
    ("claim", "settings", "said"),
    [
        (assert_trusted_proxies_are_believed, {}, "trusted_proxies is empty"),
        (assert_throttle_opens_again, {"throttle": None}, "throttle is None"),
    ],
)
def test_what_the_settings_rule_out_is_said(
    claim: Callable[[Any], None], settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(AssertionError, match=said):
        check_wrapped(claim, **settings)


def test_a_deletion_that_asks_for_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def delete_user(handle: SessionRequest, *, password: str | None = None) -> bool:
        return handle.manager.delete_user(handle.require_user().id)

    monkeypatch.setattr(SessionRequest, "delete_user", delete_user)
    with pytest.raises(AssertionError, match="a user was deleted by a wrong password"):
        check_wrapped(assert_sensitive_calls_are_guarded)


def test_a_deletion_by_a_stale_session_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SessionRequest, "require_fresh", SessionRequest.require_user)
    with pytest.raises(AssertionError, match="deleted by a session that is not fresh any more"):
        check_wrapped(assert_sensitive_calls_are_guarded, api_path=None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"idle_timeout": 120}, "signed out as idle less than idle_timeout after its use"),
        ({"absolute_timeout": 43_200}, "let in after absolute_timeout was over"),
    ],
)
def test_limits_that_are_not_kept_are_shown(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr(policy_module, "touch_interval_ms", lambda config: 300_000)
    monkeypatch.setattr(policy_module, "absolute_end_ms", lambda record, config: None)
    with pytest.raises(AssertionError, match=said):
        check_wrapped(assert_limits_are_kept, **settings)


def test_a_session_that_is_never_refreshed_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(record: SessionRecord, *, config: Any) -> int:
        return record.expires_at_ms

    monkeypatch.setattr(policy_module, "_refresh_due_ms", never)
    with pytest.raises(AssertionError, match="a session that is used all the time expired"):
        check_wrapped(assert_limits_are_kept)


COUNT, FIND = AttemptStore.count, DeviceCookies.find


def count_once(store: AttemptStore, keys: Any, *, refused: list[str], **named: int) -> Any:
    """Count until somebody is refused, whose key is then seen full a second time."""
    found = {} if len(refused) > 1 else COUNT(store, keys, **named)
    refused += [key for key, (count, _) in found.items() if count == ThrottleConfig().network_tries]
    return found


@pytest.mark.parametrize(
    ("place", "instead", "said"),
    [
        ((AttemptStore, "delete"), lambda *_: None, "right passwords count as tries"),
        ((AttemptStore, "count"), lambda *_, **__: {}, "a network can try passwords for ever"),
        (
            (AttemptStore, "count"),
            partialmethod(count_once, refused=[]),
            "wrong passwords in a row were looked at",
        ),
        (
            (AttemptStore, "count"),
            lambda it, keys, *, since_ms, until_ms: COUNT(it, keys, since_ms=0, until_ms=until_ms),
            "was refused again",
        ),
        (
            (DeviceCookies, "find"),
            lambda it, texts, _, **named: FIND(it, texts, None, **named),
            "known for another account need not wait",
        ),
        ((DeviceCookies, "find"), lambda *_, **__: None, "must wait for strangers"),
    ],
)
def test_a_throttle_that_lets_in_or_keeps_out_the_wrong_ones_is_shown(
    monkeypatch: pytest.MonkeyPatch, place: tuple[type, str], instead: Any, said: str
) -> None:
    monkeypatch.setattr(*place, instead)
    with pytest.raises(AssertionError, match=said):
        check_wrapped(assert_throttle_opens_again)


def test_a_proxy_that_is_not_believed_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "wsgi_sessions.transport.environ.read_client",
        lambda environ, proxies: ("203.0.113.66", False, None),
    )
    with pytest.raises(AssertionError, match="the scheme by X-Forw"):
        check_wrapped(assert_trusted_proxies_are_believed, trusted_proxies=PROXIES)


def test_a_visitor_who_is_given_a_cookie_for_nothing_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = SessionRequest.start_anonymous_session

    def start_and_write(handle: SessionRequest) -> Any:
        session = start(handle)
        session.data["seen"] = True
        return session

    monkeypatch.setattr(SessionRequest, "start_anonymous_session", start_and_write)
    with pytest.raises(AssertionError, match="a visitor who wrote nothing was given"):
        check_wrapped(assert_data_follows_its_owner)


def test_a_change_of_password_that_remembers_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    change = SessionManager.change_password

    def change_and_remember(manager: SessionManager, user_id: Any, **options: Any) -> Any:
        return change(manager, user_id, **{**options, "remember_me": True})

    monkeypatch.setattr(SessionManager, "change_password", change_and_remember)
    with pytest.raises(AssertionError, match="one not to be remembered outlived the browser"):
        check_wrapped(assert_remembered_as_asked)


@pytest.mark.parametrize("is_idle", [False, True])
def test_sessions_past_a_limit_are_in_nobodys_way(is_idle: bool, tmp_path: Any) -> None:
    config = settings_for_tests(
        multi_session={"on_limit": "reject"}, idle_timeout=3600 if is_idle else None
    )
    assert_limit_holds(page_app, folder=tmp_path, config=config)


def test_a_copy_of_another_version_that_is_taken_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = CookieCache.open

    def open_any(cache: CookieCache, text: str, **options: Any) -> CachedCopy | None:
        kept = cache._config
        for version in ("1", "1, the one before"):
            cache._config = kept.replace(cookie_cache={"version": version})
            found = opened(cache, text, **options)
            cache._config = kept
            if found is not None:
                return found
        return None

    monkeypatch.setattr(CookieCache, "open", open_any)
    with Bench(page_app, cookie_cache=True) as bench:
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        with pytest.raises(AssertionError, match=r"of another cookie_cache\.version was taken"):
            assert_cached_copy_is_bounded(browser)


def test_a_revocation_that_is_forgotten_too_early_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Bench(page_app, cookie_cache=True) as bench:
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        monkeypatch.setattr(bench.manager.parts.feed, "_ages", FeedAges(0, 30_000, 60_000))
        with pytest.raises(AssertionError, match="was taken whose session had been revoked"):
            assert_cached_copy_is_bounded(browser)
