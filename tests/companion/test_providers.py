"""Claims about the assertion on identity providers: it lets sound apps pass, and finds faults."""

from __future__ import annotations

from typing import Any

import pytest

from wsgi_sessions.accounts.oidc.nonces import Nonces
from wsgi_sessions.storage.one_time_tokens import OneTimeTokenStore
from wsgi_sessions.storage.session_ends import EndedSessions, SessionEnds
from wsgi_sessions_testing import assert_providers_are_held_to_their_word

from .apps import SOUND, check_wrapped


@pytest.mark.parametrize("settings", SOUND, ids=str)
def test_a_sound_app_passes(settings: dict[str, Any]) -> None:
    check_wrapped(assert_providers_are_held_to_their_word, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"allow_sign_up": False},
        {"check_sign_up": lambda **_: "Only members."},
        {"throttle": {"sign_ups": 1}},
    ],
)
def test_an_app_where_few_may_sign_up_passes(settings: dict[str, Any]) -> None:
    check_wrapped(assert_providers_are_held_to_their_word, **settings)


@pytest.mark.parametrize(
    ("part", "name", "answer", "said"),
    [
        (OneTimeTokenStore, "insert", True, "an ID token signed in a second time"),
        (Nonces, "is_of_browser", True, "signed in another browser than the one"),
        (SessionEnds, "end_by_sid", EndedSessions(), "a session goes on whose session"),
    ],
)
def test_what_is_not_checked_is_shown(
    part: type, name: str, answer: object, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, name, lambda *_, **__: answer)
    with pytest.raises(AssertionError, match=said):
        check_wrapped(assert_providers_are_held_to_their_word)
