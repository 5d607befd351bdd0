"""The cached copy: good beside one token, until its end, and never if anybody touched it."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any
from uuid import UUID

import pytest

from tests.support import NOW, make_session, make_user
from wsgi_sessions.config.parts import CookieCacheConfig
from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.records import CachedCopy, UserRecord
from wsgi_sessions.sessions.cookie_cache import CookieCache
from wsgi_sessions.sessions.signing import KeyRing

SECRET = "s0123456789abcdef" * 2
IN_DATABASE = "d" * 43
TOKEN = "v1.token.0.signature"
MAX_AGE_MS = 300_000
DIFFERENCE_MS = 30_000


def make_cache(*secrets: str, version: str = "1") -> CookieCache:
    return CookieCache(
        SessionConfig(
            secret=secrets or [SECRET],
            cookie_cache=CookieCacheConfig(version=version, max_age=MAX_AGE_MS // 1000),
            clock_difference=DIFFERENCE_MS // 1000,
        )
    )


def seal(
    cache: CookieCache, user_id: Any = "user-1", user: UserRecord | None = None, **options: Any
) -> str | None:
    given = {
        "database_secret": IN_DATABASE,
        "token_text": TOKEN,
        "issued_at_ms": NOW,
        "ends_at_ms": NOW + 1000,
        **options,
    }
    return cache.seal(make_session(user_id=user_id), user or make_user(user_id), **given)


def open_copy(
    text: str | None,
    *,
    cache: CookieCache | None = None,
    token: str = TOKEN,
    now_ms: int = NOW,
    database_secret: str = IN_DATABASE,
) -> CachedCopy | None:
    assert text is not None
    cache = cache or make_cache()
    return cache.open(text, database_secret=database_secret, token_text=token, now_ms=now_ms)


@pytest.fixture
def text() -> str:
    sealed = seal(make_cache())
    assert sealed is not None
    return sealed


@pytest.mark.parametrize("user_id", ["user-1", 7, UUID(int=5)])
def test_session_and_user_come_back(user_id: Any) -> None:
    copy = open_copy(seal(make_cache(), user_id))

    assert copy is not None
    assert copy.session == make_session(user_id=user_id)._replace(data="", data_version=0)
    assert copy.user == make_user(user_id)
    assert (copy.issued_at_ms, copy.ends_at_ms) == (NOW, NOW + 1000)


def test_anonymous_session_comes_back() -> None:
    text = make_cache().seal(
        make_session(),
        None,
        database_secret=IN_DATABASE,
        token_text=TOKEN,
        issued_at_ms=NOW,
        ends_at_ms=NOW + 1000,
    )

    copy = open_copy(text)

    assert copy is not None
    assert (copy.session.user_id, copy.user) == (None, None)


def test_user_id_of_another_type_is_not_sealed() -> None:
    assert seal(make_cache(), (1, 2)) is None


@pytest.mark.parametrize(("after_ms", "is_good"), [(999, True), (1000, False)])
def test_copy_ends_at_its_very_instant(text: str, after_ms: int, is_good: bool) -> None:
    assert (open_copy(text, now_ms=NOW + after_ms) is not None) is is_good


@pytest.mark.parametrize(
    ("limits", "after_ms"),
    [({"absolute_timeout": 60}, 60_000), ({"idle_timeout": 30}, 30_000), ({}, 100_000)],
)
def test_copy_ends_with_the_first_limit_that_its_session_has_now(
    limits: dict[str, Any], after_ms: int
) -> None:
    text = seal(make_cache(), ends_at_ms=NOW + 100_000)
    cache = CookieCache(
        SessionConfig(secret=SECRET, cookie_cache=CookieCacheConfig(version="1"), **limits)
    )

    is_good = [
        open_copy(text, cache=cache, now_ms=at_ms) is not None
        for at_ms in (NOW + after_ms - 1, NOW + after_ms)
    ]

    assert is_good == [True, False]


def test_copy_beside_another_token_is_void(text: str) -> None:
    assert open_copy(text, token=TOKEN + "x") is None


def test_copy_of_another_version_is_void(text: str) -> None:
    assert open_copy(text, cache=make_cache(version="2")) is None


def test_copy_of_another_server_is_void(text: str) -> None:
    assert open_copy(text, cache=make_cache("t0123456789abcdef" * 2)) is None


def test_copy_under_an_older_secret_is_void_as_its_token_is_to_be_offered_anew(text: str) -> None:
    assert open_copy(text, cache=make_cache("t0123456789abcdef" * 2, SECRET)) is None


def test_attribute_that_json_does_not_know_can_not_be_sealed() -> None:
    user = make_user()._replace(image=b"\x89PNG")  # type: ignore[arg-type]

    assert seal(make_cache(), user=user) is None


def test_every_altered_character_voids_it(text: str) -> None:
    for position, old in enumerate(text):
        altered = text[:position] + ("A" if old != "A" else "B") + text[position + 1 :]
        assert open_copy(altered) is None, position


@pytest.mark.parametrize(
    "broken", ["", ".", "a.b", "é.é", "x" * 5000, "a.b.c", "====.====", "a.\udc80"]
)
def test_rubbish_is_void(broken: str) -> None:
    assert open_copy(broken) is None


def sign(payload: bytes, *, mixed_in: str = IN_DATABASE) -> str:
    """Return what somebody who holds the server secret makes of a payload."""
    encoded = urlsafe_b64encode(payload)
    signature = KeyRing([SECRET], "cookie cache v1", mixed_in=mixed_in).sign(encoded)
    return f"{encoded.decode()}.{urlsafe_b64encode(signature).decode()}"


@pytest.mark.parametrize(
    "payload", [b"[]", b"{}", b"null", b'{"v":"1"}', b"not json", b'{"v":"1","t":5,"e":1}']
)
def test_copy_of_another_release_is_void(payload: bytes) -> None:
    assert open_copy(sign(payload)) is None


def test_copy_longer_than_a_cookie_is_void() -> None:
    cache = make_cache()
    sealed = [seal(cache, user=make_user()._replace(name="x" * length)) for length in (1000, 4000)]

    assert [open_copy(text) is not None for text in sealed] == [True, False]


def test_token_s_signature_is_none_for_a_copy() -> None:
    cache = make_cache()
    encoded = seal(cache)
    assert encoded is not None
    payload = encoded.partition(".")[0]
    signature = KeyRing([SECRET], "session token v1").sign(payload.encode())

    assert open_copy(f"{payload}.{urlsafe_b64encode(signature).decode()}") is None


def test_copy_holds_no_token_and_no_data(text: str) -> None:
    shown = json.loads(urlsafe_b64decode(text.partition(".")[0]))

    assert TOKEN not in json.dumps(shown)
    assert "{}" not in json.dumps(shown["s"])


def test_copy_of_another_database_is_void(text: str) -> None:
    assert open_copy(text, database_secret="e" * 43) is None


def test_copies_of_two_databases_are_told_apart_by_one_cache() -> None:
    cache = make_cache()
    texts = {secret: seal(cache, database_secret=secret) for secret in ("d" * 43, "e" * 43)}

    assert [
        [open_copy(text, cache=cache, database_secret=secret) is not None for secret in texts]
        for text in texts.values()
    ] == [[True, False], [False, True]]


@pytest.mark.parametrize("guessed", ["", "d" * 42, "d" * 44])
def test_server_secret_alone_makes_no_copy(text: str, guessed: str) -> None:
    payload = urlsafe_b64decode(text.partition(".")[0])

    assert open_copy(sign(payload)) is not None
    assert open_copy(sign(payload, mixed_in=guessed)) is None


@pytest.mark.parametrize(("lifetime_ms", "is_good"), [(MAX_AGE_MS, True), (MAX_AGE_MS + 1, False)])
def test_copy_that_lives_longer_than_any_is_void(lifetime_ms: int, is_good: bool) -> None:
    sealed = seal(make_cache(), ends_at_ms=NOW + lifetime_ms)

    assert (open_copy(sealed) is not None) is is_good


@pytest.mark.parametrize(
    ("ahead_ms", "is_good"), [(DIFFERENCE_MS, True), (DIFFERENCE_MS + 1, False)]
)
def test_copy_of_the_future_is_void(ahead_ms: int, is_good: bool) -> None:
    sealed = seal(make_cache(), issued_at_ms=NOW + ahead_ms, ends_at_ms=NOW + ahead_ms + 1000)

    assert (open_copy(sealed) is not None) is is_good


def test_repr_shows_no_secret() -> None:
    assert SECRET not in repr(make_cache())
