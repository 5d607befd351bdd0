"""The nouns: what their reprs may show, and the words of an end reason."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from tests.support import NOW, make_account, make_session, make_user
from wsgi_sessions import SessionConfig, SignIn, User
from wsgi_sessions.records import CachedCopy, EndReason, PresentedToken
from wsgi_sessions.sessions.creation import CreatedSession


def test_end_reasons_are_the_words_of_the_design() -> None:
    assert [reason.value for reason in EndReason] == [
        *["signed_out", "revoked", "expired", "idle", "absolute", "evicted", "replayed"],
        *["ip_mismatch", "password_changed", "user_deleted"],
    ]


@pytest.mark.parametrize("reason", EndReason)
def test_end_reason_reads_as_its_word(reason: EndReason) -> None:
    assert (str(reason), f"{reason}", reason == reason.value) == (reason.value, reason.value, True)


def test_live_session_shows_its_handles_alone() -> None:
    assert repr(make_session(user_id="user-1")) == (
        "SessionRecord(id='session-1', user_id='user-1', generation=0)"
    )


def test_ended_session_shows_its_reason() -> None:
    assert repr(make_session(ended_at_ms=NOW, end_reason="revoked")) == (
        "SessionRecord(id='session-1', user_id=None, generation=0, ended=revoked)"
    )


TOKEN = PresentedToken(
    "session-1", 3, "hush-br0", b"hush-secret", "v1.hush-text.3.hush-br0.signature", True
)
COPY = CachedCopy(
    make_session(data='{"hush":1}', ip_address="192.0.2.77"), make_user(), NOW, NOW + 1
)


@pytest.mark.parametrize(
    ("noun", "hidden"),
    [
        (make_session(data='{"hush":1}'), "hush"),
        (make_session(ip_address="192.0.2.77"), "192.0.2.77"),
        (make_session(user_agent="Hush/1.0"), "Hush"),
        (make_user(email="hush@example.org"), "hush"),
        (make_account(password_hash="$argon2id$hush"), "hush"),
        (make_account(password_hash="$argon2id$hush"), "argon2"),
        (TOKEN, "hush"),
        (TOKEN, "signature"),
        (COPY, "hush"),
        (COPY, "192.0.2.77"),
        (COPY, "ada@example.org"),
    ],
)
def test_repr_does_not_show(noun: Any, hidden: str) -> None:
    assert hidden not in repr(noun)
    assert hidden not in f"{noun} {[noun]}"


@pytest.mark.parametrize(
    "holder",
    [
        TOKEN,
        CreatedSession(make_session(), "v1.hush", ()),
        SignIn(User(make_user()), None, "v1.hush"),
        SessionConfig(secret="hush-0123456789ab" * 2),
    ],
)
def test_what_holds_a_secret_is_not_pickled(holder: Any) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="holds a secret, so it can't be pickled"):
            pickle.dumps(holder, protocol)


def test_configuration_is_its_own_copy() -> None:
    config = SessionConfig(secret="hush-0123456789ab" * 2)

    assert copy.copy(config) is config
    assert copy.deepcopy({"config": config})["config"] is config


def test_others_show_what_they_are_named_by() -> None:
    assert repr(make_user()) == "UserRecord(id='user-1')"
    assert repr(make_account()) == "Account(id='account-user-1', provider_id='credential')"
    assert repr(TOKEN) == "PresentedToken(session_id='session-1', generation=3)"
    assert repr(COPY) == f"CachedCopy(issued_at_ms={NOW}, ends_at_ms={NOW + 1})"
