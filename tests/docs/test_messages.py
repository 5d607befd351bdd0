"""The code of ``docs/how-to/messages.md`` runs, and clients read what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions_testing import Browser

from .pages import python_of

ONE_LANGUAGE, LANGUAGES, FORM, OWN_CLASS = python_of("docs/how-to/messages.md")
WRONG = {"email": "ada@example.org", "password": "correct horse"}
GERMAN = "Die E-Mail-Adresse oder das Passwort ist falsch."


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*blocks: str) -> dict[str, Any]:
    """Run blocks of the page, with the manager's secret given."""

    def manager(*args: Any, **settings: Any) -> SessionManager:
        return SessionManager(*args, secret="a-secret-for-tests-of-32-characters", **settings)

    names: dict[str, Any] = {"SessionManager": manager}
    for block in blocks:
        exec(block, names)
    return names


def answer(names: dict[str, Any], app: Any, path: str, **headers: str) -> str:
    """Return what a wrong sign-in, or a page of the application, says."""
    browser = Browser(SessionMiddleware(app, names["manager"]), clock=names["manager"].clock)
    if path == "/":
        return browser.get("/").text
    message: str = browser.post_json(path, WRONG, headers=headers).json["message"]
    return message


def no_app(environ: Any, start_response: Any) -> list[bytes]:
    raise AssertionError("unreachable")


def test_a_site_in_one_language() -> None:
    names = run(ONE_LANGUAGE)
    assert answer(names, no_app, "/api/auth/sign-in/email") == GERMAN
    missing = answer(names, no_app, "/api/auth/sign-up/email")
    assert missing == "Diese Angabe ist nicht möglich: name is missing"


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("de-CH", GERMAN),
        ("fr", "L’adresse e-mail ou le mot de passe est incorrect."),
        ("en, de;q=0.5", "Invalid email or password"),
        ("nl", "Invalid email or password"),
    ],
)
def test_a_site_in_several_languages(language: str, message: str) -> None:
    headers = {"Accept-Language": language}
    assert answer(run(LANGUAGES), no_app, "/api/auth/sign-in/email", **headers) == message


def test_a_form_shows_the_message() -> None:
    names = run(ONE_LANGUAGE, FORM)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        text = names["sign_in"](environ, WRONG)
        start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return [text.encode()]

    assert answer(names, app, "/") == GERMAN


def test_a_class_of_the_applications_is_translated() -> None:
    names = run(FORM, OWN_CLASS)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        raise names["SoldOutError"](3)

    assert answer(names, app, "/") == "Es gibt nur noch 3 Karten.\n"
