"""With ``cookie_cache.encrypt`` the copy is as good as a signed one, and nobody can read it."""

from __future__ import annotations

import importlib.util
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest

from tests.support import NOW, make_session, make_user
from wsgi_sessions import ConfigurationError, SessionConfig
from wsgi_sessions.config.parts import CookieCacheConfig
from wsgi_sessions.records import CachedCopy
from wsgi_sessions.sessions.cookie_cache import CookieCache
from wsgi_sessions.sessions.encryption import Cipher
from wsgi_sessions_testing.fakes.instrumentation import WatchedStore
from wsgi_sessions_testing.fakes.managers import running_with

from .visits import NEW, OLD, asks_the_database, is_in, opened

ENCRYPTED = {"enabled": True, "encrypt": True}


def make_cache(*secrets: str, encrypt: bool = True) -> CookieCache:
    return CookieCache(
        SessionConfig(secret=secrets or [NEW], cookie_cache=CookieCacheConfig(encrypt=encrypt))
    )


def seal(cache: CookieCache) -> str:
    text = cache.seal(
        make_session(user_id="user-1"),
        make_user(),
        database_secret="d" * 43,
        token_text="v1.token",
        issued_at_ms=NOW,
        ends_at_ms=NOW + 1000,
    )
    assert text is not None
    return text


def open_copy(
    cache: CookieCache, text: str, *, database_secret: str = "d" * 43
) -> CachedCopy | None:
    return cache.open(text, database_secret=database_secret, token_text="v1.token", now_ms=NOW)


def test_copy_says_what_was_sealed() -> None:
    cache = make_cache()
    copy = open_copy(cache, seal(cache))
    assert copy is not None
    assert (copy.session.id, copy.user) == ("session-1", make_user())


def test_copy_can_not_be_read() -> None:
    shown = urlsafe_b64decode(seal(make_cache()).partition(".")[0])
    plain = urlsafe_b64decode(seal(make_cache(encrypt=False)).partition(".")[0])
    for text in (b"ada@example.org", b"Ada", b"192.0.2.1", b"Firefox", b"session-1", b'"v"'):
        assert text in plain and text not in shown


def test_two_copies_of_the_same_are_not_alike() -> None:
    cache = make_cache()
    assert seal(cache)[:20] != seal(cache)[:20]


@pytest.mark.parametrize("encrypt", [True, False])
def test_a_copy_of_the_other_kind_is_void(encrypt: bool) -> None:
    text = seal(make_cache(encrypt=encrypt))
    assert open_copy(make_cache(encrypt=not encrypt), text) is None


def test_a_copy_of_another_server_or_database_is_void() -> None:
    text = seal(make_cache(NEW))
    assert open_copy(make_cache(OLD), text) is None
    assert open_copy(make_cache(OLD, NEW), text) is None, "its token is to be sent anew"
    assert open_copy(make_cache(NEW), text, database_secret="e" * 43) is None


def test_a_copy_that_was_changed_anywhere_is_void() -> None:
    cache = make_cache()
    text = seal(cache)
    for position in range(0, len(text) - 1, 7):
        other = "A" if text[position] != "A" else "B"
        assert open_copy(cache, text[:position] + other + text[position + 1 :]) is None


@pytest.mark.parametrize("junk", [b"", b"short", bytes(24), bytes(64)])
def test_what_was_not_encrypted_here_is_refused_even_if_it_is_signed(junk: bytes) -> None:
    cache = make_cache()
    text = urlsafe_b64encode(junk)
    signature = urlsafe_b64encode(cache._keys_for("d" * 43).ring.sign(text))
    assert open_copy(cache, f"{text.decode()}.{signature.decode()}") is None
    with pytest.raises(ValueError, match="not encrypted with this key"):
        Cipher(NEW, "example").decrypt(junk)


def test_a_browser_with_an_encrypted_copy_spares_the_database() -> None:
    bench, browser = opened(cookie_cache=ENCRYPTED)
    copy = browser.cookies["__Host-session_data"]
    assert b"ada" not in urlsafe_b64decode(copy.partition(".")[0])
    assert not asks_the_database(bench, browser)


def test_turning_it_on_replaces_readable_copies_and_signs_nobody_out() -> None:
    bench, browser = opened(cookie_cache=True)
    before = browser.cookies["__Host-session_data"]
    changed: Any = bench.manager.config.replace(cookie_cache=ENCRYPTED)
    with running_with(bench.manager, config=changed, wrap_store=WatchedStore.wrap):
        assert asks_the_database(bench, browser)
        assert len(browser.cookies["__Host-session_data"]) > len(before)
        assert not asks_the_database(bench, browser)


def test_a_newer_secret_gives_a_new_copy() -> None:
    bench, browser = opened(cookie_cache=ENCRYPTED, secret=OLD)
    changed = bench.manager.config.replace(secret=[NEW, OLD])
    with running_with(bench.manager, config=changed, wrap_store=WatchedStore.wrap):
        assert [asks_the_database(bench, browser) for _ in range(3)][-1] is False


def test_a_copy_that_is_too_large_once_encrypted_is_not_sent() -> None:
    bench, browser = opened(cookie_cache=ENCRYPTED)
    database: Any = bench.manager.database
    database.execute_sql("UPDATE wsgi_sessions_user SET image = ?", ("x" * 3000,))
    bench.clock.advance(minutes=10)
    browser.get("/")
    assert [event.name for event in bench.events].count("cookie_cache_too_large") == 1
    assert is_in(browser)


def test_without_the_extra_it_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsgi_sessions.config.parts.find_spec", lambda name: None)
    assert importlib.util.find_spec("cryptography") is not None
    with pytest.raises(ConfigurationError) as caught:
        CookieCacheConfig(enabled=True, encrypt=True)
    assert str(caught.value) == (
        "cookie_cache.encrypt needs the package cryptography; install it with "
        "pip install 'wsgi-sessions[encryption]', or leave cookie_cache.encrypt out"
    )
    CookieCacheConfig(enabled=True)
