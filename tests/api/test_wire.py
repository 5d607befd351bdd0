"""What ``api/wire.py`` promises of the JSON that goes out and comes in."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgi_sessions.api.wire import decode_object, encode, session_fields, user_fields
from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.errors import ConfigurationError, InvalidValueError
from wsgi_sessions.records import SessionRecord, UserRecord
from wsgi_sessions.sessions.session import Session, User

CREATED = 1_767_323_045_006  # 2026-01-02T03:04:05.006Z

CONFIG = SessionConfig(secret="s0123456789abcdef" * 2)
USER = UserRecord(7, "ada@example.org", True, "Ada", None, CREATED, CREATED + 1_000)
SESSION = SessionRecord(
    id="s" * 24,
    user_id=7,
    generation=3,
    branch="Branch-3",
    branch_before=None,
    is_settled=True,
    caught_up=False,
    confirmed_at_ms=CREATED,
    created_at_ms=CREATED,
    authenticated_at_ms=CREATED,
    updated_at_ms=CREATED + 60_000,
    last_seen_at_ms=CREATED,
    expires_at_ms=CREATED + 3_600_994,
    remember=True,
    ip_address=None,
    user_agent="Firefox/143.0",
    data='{"cart": ["tea"]}',
    data_version=1,
    ended_at_ms=None,
    end_reason=None,
)


def test_user_is_shown_as_the_client_reads_one() -> None:
    assert user_fields(User(USER)) == {
        "id": "7",
        "name": "Ada",
        "email": "ada@example.org",
        "emailVerified": True,
        "image": None,
        "createdAt": "2026-01-02T03:04:05.006Z",
        "updatedAt": "2026-01-02T03:04:06.006Z",
    }


def test_session_is_shown_as_the_client_reads_one() -> None:
    session = Session(SESSION, User(USER), config=CONFIG, judged_at_ms=CREATED)
    assert session_fields(session) == {
        "id": "s" * 24,
        "token": "s" * 24,
        "userId": "7",
        "expiresAt": "2026-01-02T04:04:06.000Z",
        "createdAt": "2026-01-02T03:04:05.006Z",
        "updatedAt": "2026-01-02T03:05:05.006Z",
        "ipAddress": None,
        "userAgent": "Firefox/143.0",
        "device": "Firefox",
        "lastIpAddress": None,
        "lastUserAgent": "Firefox/143.0",
        "lastDevice": "Firefox",
        "method": None,
    }


def test_no_field_of_the_application_hides_one_of_ours() -> None:
    for name in session_fields(Session(SESSION, User(USER), config=CONFIG, judged_at_ms=CREATED)):
        with pytest.raises(ConfigurationError, match=f"session_fields holds '{name}'"):
            CONFIG.replace(session_fields={name: "string"})


def test_what_the_app_keeps_in_a_session_is_not_shown() -> None:
    session = Session(SESSION, User(USER), config=CONFIG, judged_at_ms=CREATED)
    assert b"tea" not in encode(session_fields(session))


def test_text_goes_out_in_ascii_whatever_it_holds() -> None:
    assert encode({"name": "é\u2028\ud800"}) == b'{"name":"\\u00e9\\u2028\\ud800"}'


@pytest.mark.parametrize(
    "body",
    [
        *[b" ", b"{", b"null", b"[]", b'"text"', b"1", b"true", b"{}{}", b"{'a': 1}", b"\x00"],
        *[b'{"a": NaN}', b'{"a": Infinity}', b'{"a": -Infinity}', b'{"a": 1e999}'],
        *[b'{"a": 1, "a": 1}', b'{"deep": {"a": 1, "a": 2}}', b'{"a": "\\ud800"}'],
        *[b'{"\\udfff": 1}', b'{"a": "\xff"}', b'\xef\xbb\xbf{"a": 1}', b'{"a": "\xed\xa0\x80"}'],
        '{"a": 1}'.encode("utf-16"),
        b'{"a": ' + b"9" * 5_000 + b"}",
        b'{"a": -1' + b"0" * 400 + b"}",
        b'{"a": [1' + b"0" * 309 + b"]}",
        b'{"a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"a": "line\nbreak"}',
    ],
)
def test_unsound_json_is_a_refused_value(body: bytes) -> None:
    with pytest.raises(InvalidValueError):
        decode_object(body)


def test_the_largest_number_a_float_holds_is_sound() -> None:
    text = b"1" + b"0" * 308
    assert decode_object(b'{"a": ' + text + b', "b": 12}') == {"a": 10**308, "b": 12}


def test_no_body_is_an_empty_object() -> None:
    assert decode_object(b"") == {}


def test_surrogate_pairs_are_one_character() -> None:
    assert decode_object(b'{"a": "\\ud83d\\udc0e"}') == {"a": "\U0001f40e"}


def test_refusal_does_not_show_what_was_sent() -> None:
    with pytest.raises(InvalidValueError) as caught:
        decode_object(b'{"password": "hunter2", "password": "hunter2"}')
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        max_size=4,
    )
)
def test_every_sound_object_is_read_as_json_reads_it(value: dict[str, Any]) -> None:
    text = json.dumps(value)
    assert decode_object(text.encode()) == value


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda t: t.encode("utf-8", "replace")))
def test_any_bytes_are_an_object_or_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidValueError):
        assert isinstance(decode_object(body), dict)
