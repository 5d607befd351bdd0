"""The project's own tests, by the companion's fixtures alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from wsgi_sessions_testing import (
    Browser,
    FakeClock,
    Network,
    Schedules,
    SessionMachine,
    assert_cookie_flags,
    assert_logout_is_final,
    assert_no_session_fixation,
    assert_not_shared_cacheable,
    assert_rotation_safe,
    assert_signed_in,
    settings_for_tests,
)

ADA = {"name": "Ada", "email": "ada@example.org", "password": "correct horse"}


@pytest.fixture
def ada(browser: Browser) -> Browser:
    answer = browser.post("/sign-up", ADA)
    assert (answer.location or "").endswith("/notes")
    return browser


def test_signing_up_signs_in(ada: Browser) -> None:
    assert_signed_in(ada, as_="ada@example.org")
    assert_cookie_flags(ada)
    assert "Notes of Ada" in ada.get("/notes").text


@pytest.mark.usefixtures("ada")
def test_wrong_password_signs_nobody_in(new_browser: Callable[..., Browser]) -> None:
    stranger = new_browser()

    answer = stranger.post("/sign-in", {**ADA, "password": "wrong horse"})

    assert answer.status_int == 401
    assert 'role="alert"' in answer.text
    assert stranger.session is None


def test_notes_are_for_those_who_are_signed_in(browser: Browser) -> None:
    assert (browser.get("/notes").location or "").endswith("/")


def test_notes_are_kept(ada: Browser) -> None:
    ada.post("/notes", {"text": "buy <tea>"})

    assert "<li><bdi>buy &lt;tea&gt;</bdi></li>" in ada.get("/notes").text


def test_two_tabs_keep_both_notes(schedules: Schedules) -> None:
    def two_tabs(bench):  # type: ignore[no-untyped-def]
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        yield [
            lambda: browser.post("/notes", {"text": "tea"}),
            lambda: browser.get("/notes"),
        ]
        assert "<li><bdi>tea</bdi></li>" in browser.get("/notes").text

    assert schedules.walk(two_tabs) > 10


def test_session_ends_after_a_week_of_silence(ada: Browser, clock: FakeClock) -> None:
    clock.advance(days=7)

    assert (ada.get("/notes").location or "").endswith("/")


def test_lost_response_signs_nobody_out(ada: Browser, clock: FakeClock, network: Network) -> None:
    clock.advance(days=1)
    with network.losing_responses(1):
        ada.get("/notes")

    assert ada.get("/notes").status_int == 200


def test_session_ends_with_the_browser_unless_remembered(
    ada: Browser, new_browser: Callable[..., Browser]
) -> None:
    phone = new_browser("Safari on iPhone")
    phone.post("/sign-in", ADA)
    phone.restart()

    assert phone.session is None
    ada.restart()
    assert_signed_in(ada)


def test_forms_of_other_sites_are_refused(ada: Browser) -> None:
    answer = ada.post("/notes", {"text": "spam"}, from_origin="https://evil.example")

    assert answer.status_int == 403


def test_token_rotates_and_a_stolen_one_ends_the_session(ada: Browser) -> None:
    assert_rotation_safe(ada, page="/notes")


def test_sign_out_is_final(ada: Browser) -> None:
    assert_logout_is_final(ada, sign_out=lambda browser: browser.post("/sign-out"))


def test_notes_are_in_no_shared_cache(ada: Browser) -> None:
    assert_not_shared_cacheable(ada.get("/notes"))


def test_sign_in_form_gives_no_door_to_fixation(wsgi_app: Flask) -> None:
    assert_no_session_fixation(wsgi_app, sign_in=lambda browser: browser.post("/sign-up", ADA))


class NotesMachine(SessionMachine):
    """Everything the companion can think of."""

    def make_app(self) -> Flask:
        from flask_notes import create_app

        return create_app("sqlite:///:memory:", settings_for_tests())


TestSessions = NotesMachine.TestCase
