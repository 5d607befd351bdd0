"""The setting ``messages``, wherever a refusal is answered: the API, the page, the application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from wsgi_sessions import NotSignedInError, RefusedError, SessionMiddleware, get_request
from wsgi_sessions.adapters import refusal_of
from wsgi_sessions.config.messages import Messages
from wsgi_sessions_testing import Bench, Browser

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

DUTCH = {"UNAUTHORIZED": "Log eerst in."}
GERMAN = {
    "UNAUTHORIZED": "Bitte melden Sie sich an.",
    "NOT_FOUND": "Hier ist nichts.",
    "SERVICE_UNAVAILABLE": "Gleich wieder da.",
    "PASSWORD_TOO_SHORT": "Bitte mindestens {min_length} Zeichen.",
    "SOLD_OUT": "Ausverkauft: {detail}",
}
FRENCH = {"UNAUTHORIZED": "Connectez-vous."}
BY_LANGUAGE = {"de": GERMAN, "fr": FRENCH}


class SoldOutError(RefusedError):
    code = "SOLD_OUT"


def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    if environ["PATH_INFO"] == "/tickets":
        raise SoldOutError("Faust {code}")
    if environ["PATH_INFO"] == "/form":
        try:
            get_request(environ).require_user()
        except RefusedError as error:
            refusal = refusal_of(error, environ)
            start_response(refusal.status_line, [("Content-Type", "text/plain; charset=utf-8")])
            return [f"{error} = {refusal.text}".encode()]
    get_request(environ).require_user()
    raise AssertionError("unreachable")


@pytest.fixture
def bench() -> Any:
    with Bench(app, messages=GERMAN, pages_path="/sessions") as bench:
        yield bench


@pytest.fixture
def browser(bench: Bench) -> Browser:
    return bench.new_browser()


def said(browser: Browser, path: str, language: str | None = None) -> str:
    """Return the message that a program gets."""
    headers = {"Accept": "application/json"}
    if language is not None:
        headers["Accept-Language"] = language
    message: str = browser.get(path, headers=headers).json["message"]
    return message


def test_an_application_answers_in_the_sites_language(browser: Browser) -> None:
    assert browser.get("/").text == "Bitte melden Sie sich an.\n"
    assert said(browser, "/") == "Bitte melden Sie sich an."


def test_the_json_api_answers_in_the_sites_language(browser: Browser) -> None:
    assert said(browser, "/api/auth/list-sessions") == "Bitte melden Sie sich an."
    assert said(browser, "/api/auth/tea") == "Hier ist nichts."


def test_values_are_filled_in(browser: Browser) -> None:
    body = {"name": "Ada", "email": "ada@example.org", "password": "short"}
    answer = browser.post_json("/api/auth/sign-up/email", body)
    assert answer.json["message"] == "Bitte mindestens 8 Zeichen."


def test_the_sessions_page_answers_in_the_sites_language(browser: Browser) -> None:
    assert "Hier ist nichts." in browser.get("/sessions/tea").text


@pytest.mark.parametrize("path", ["/", "/api/auth/list-sessions", "/sessions"])
def test_an_outage_is_told_in_the_sites_language(path: str, bench: Bench, browser: Browser) -> None:
    browser.sign_in("ada@example.org")
    with bench.faults.database_down():
        answer = browser.get(path)
    assert answer.status_int == 503
    assert "Gleich wieder da." in answer.text


def test_a_class_of_the_applications_is_translated(browser: Browser) -> None:
    assert said(browser, "/tickets") == "Ausverkauft: Faust {code}"


def test_a_form_shows_the_same(browser: Browser) -> None:
    assert browser.get("/form").text == "Bitte melden Sie sich an. = Bitte melden Sie sich an."


def test_what_has_no_text_stays_english(browser: Browser) -> None:
    browser.sign_in("ada@example.org")
    answer = browser.post_json("/api/auth/revoke-session", {})
    assert answer.json["message"] == "token is missing: the id of the session to end"


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("de-AT, en;q=0.5", "Bitte melden Sie sich an."),
        ("fr", "Connectez-vous."),
        ("en, fr;q=0.9", "Unauthorized. Sign in first."),
        ("nl", "Unauthorized. Sign in first."),
        (None, "Unauthorized. Sign in first."),
    ],
)
def test_the_client_says_which_language(language: str | None, message: str) -> None:
    with Bench(app, messages=BY_LANGUAGE) as bench:
        browser = bench.new_browser()
        assert said(browser, "/", language) == message
        assert said(browser, "/api/auth/list-sessions", language) == message


def test_a_code_that_a_language_lacks_is_told_in_the_next(browser: Browser) -> None:
    with Bench(app, messages=BY_LANGUAGE) as bench:
        browser = bench.new_browser()
        assert said(browser, "/api/auth/tea", "fr, de;q=0.5") == "Hier ist nichts."
        assert said(browser, "/api/auth/tea", "fr, en;q=0.9, de;q=0.5") == "Not found"


@pytest.mark.parametrize(
    ("language", "message"),
    [("fr", "Connectez-vous."), ("en, fr;q=0.9", "Connectez-vous."), ("nl", "Bitte anmelden.")],
)
def test_texts_beside_the_languages_are_for_everybody_else(language: str, message: str) -> None:
    messages: Messages = {"UNAUTHORIZED": "Bitte anmelden.", "fr": FRENCH}
    with Bench(app, messages=messages) as bench:
        assert said(bench.new_browser(), "/", language) == message


def test_each_of_two_managers_has_its_own_texts() -> None:
    with Bench(app, messages=GERMAN) as inner, Bench(app, messages=DUTCH) as outer:
        both = SessionMiddleware(SessionMiddleware(app, inner.manager), outer.manager)
        found = Browser(both, clock=inner.clock).get("/").text
    assert found == "Bitte melden Sie sich an.\n"


def test_without_a_request_the_text_is_english() -> None:
    assert refusal_of(NotSignedInError()).text == "Unauthorized. Sign in first."


@pytest.mark.parametrize("environ", [{}, {"HTTP_ACCEPT_LANGUAGE": "de"}])
def test_where_no_middleware_was_the_text_is_english(environ: dict[str, str]) -> None:
    assert refusal_of(NotSignedInError(), environ).text == "Unauthorized. Sign in first."
