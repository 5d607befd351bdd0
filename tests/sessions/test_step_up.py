"""The text of a step-up: good in its session, where it was made, and nowhere else."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import NOW
from wsgi_sessions import SessionConfig
from wsgi_sessions.records import NO_FACTS, RequestFacts
from wsgi_sessions.sessions.step_up import StepUpSigner
from wsgi_sessions_testing import TEST_SECRET
from wsgi_sessions_testing.browser.user_agents import find_user_agent

OLD, NEW = TEST_SECRET[::-1], TEST_SECRET
ID, OTHER_ID = "nZCOz7ayVt74tJp8UE5siJxL", "AAAAAAAAAAAAAAAAAAAAAAAA"
FIREFOX, SAFARI = find_user_agent("Firefox on Linux"), find_user_agent("Safari on iPhone")


def facts(address: str | None, agent: str | None) -> RequestFacts:
    return NO_FACTS._replace(address=address, user_agent=agent)


HOME = facts("192.0.2.1", FIREFOX)


def signer(**settings: Any) -> StepUpSigner:
    return StepUpSigner(SessionConfig(**{"secret": NEW, **settings}))


def read(text: str, *, by: StepUpSigner | None = None, at: RequestFacts | None = HOME) -> list[int]:
    return list((by or signer()).read([text], session_id=ID, facts=at))


def test_what_was_written_is_read() -> None:
    made = signer().write(ID, at_ms=NOW, facts=HOME)

    assert (made.session_id, made.at_ms) == (ID, NOW)
    assert read(made.token) == [NOW]


def test_it_is_void_beside_another_session() -> None:
    assert read(signer().write(OTHER_ID, at_ms=NOW, facts=HOME).token) == []


def test_an_older_secret_is_good_and_a_foreign_one_is_not() -> None:
    text = signer(secret=OLD).write(ID, at_ms=NOW, facts=HOME).token

    assert read(text, by=signer(secret=[NEW, OLD])) == [NOW]
    assert read(text) == []


@given(position=st.integers(0, 1000), character=st.sampled_from("Aa0-_.=;\0é"))
def test_no_changed_text_is_good(position: int, character: str) -> None:
    text = signer().write(ID, at_ms=NOW, facts=HOME).token
    position %= len(text)
    changed = text[:position] + character + text[position + 1 :]

    assert changed == text or read(changed) == []


@given(text=st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    assert read(text) == []


@pytest.mark.parametrize(
    ("place", "is_good"),
    [
        (facts("192.0.2.77", SAFARI), True),
        (facts("198.51.100.7", FIREFOX), True),
        (facts("198.51.100.7", SAFARI), False),
        (facts(None, None), False),
        (None, True),
    ],
)
def test_it_is_good_where_it_was_made(place: RequestFacts | None, is_good: bool) -> None:
    text = signer().write(ID, at_ms=NOW, facts=HOME).token

    assert (read(text, at=place) == [NOW]) is is_good
    assert read(text, at=place, by=signer(fresh_elsewhere=True)) == [NOW]


@pytest.mark.parametrize("home", [facts(None, FIREFOX), facts("192.0.2.1", None), NO_FACTS])
def test_made_where_nothing_is_known_it_is_good_everywhere(home: RequestFacts) -> None:
    text = signer().write(ID, at_ms=NOW, facts=home).token

    assert read(text, at=facts("198.51.100.7", SAFARI)) == [NOW]


def test_it_shows_no_token_and_is_not_pickled() -> None:
    made = signer().write(ID, at_ms=NOW, facts=HOME)

    assert made.token not in repr(made)
    for handing_on in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="holds a secret"):
            handing_on(made)
