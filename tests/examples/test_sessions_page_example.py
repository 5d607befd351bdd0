"""``examples/sessions_page.py`` as a newcomer uses it, wrong input in every form included."""

from __future__ import annotations

import runpy
import socket
from pathlib import Path
from typing import Any

import pytest
import webtest

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGE = "/account/sessions"
RIGHT = {"email": "ada@example.org", "password": "correct horse"}


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = runpy.run_path(str(EXAMPLES / "sessions_page.py"))
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
    environ = {"HTTP_ORIGIN": "http://localhost:80", "HTTP_USER_AGENT": agent}
    return webtest.TestApp(example["make_application"](), extra_environ=environ)


def test_a_taken_port_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = runpy.run_path(str(EXAMPLES / "sessions_page.py"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(SystemExit, match=f"port {port}: .*--port"):
            example["main"](["--port", port])


def test_it_leads_through_the_sign_in_to_the_page(site: Any) -> None:
    answer = site.get(PAGE).follow()
    assert answer.request.path == "/sign-in"
    form = answer.form
    form["password"] = RIGHT["password"]
    page = form.submit().follow()
    assert page.request.path == PAGE
    assert "Back to <bdi>An app</bdi>" in page.text and "Firefox on Linux" in page.text
    assert "Hello, <bdi>Ada</bdi>!" in site.get("/").text


def test_a_password_is_changed_by_the_link_of_the_page(site: Any) -> None:
    site.post("/sign-in", RIGHT)
    form = site.get(PAGE).click("Change your password").form
    form["current"], form["new"] = "wrong horse", "battery staple"
    assert "Invalid password." in form.submit(status=400).text
    form["current"], form["new"] = RIGHT["password"], "short"
    assert "Use 8 or more characters." in form.submit(status=400).text
    form["new"] = "battery staple"
    assert form.submit().headers["Location"] == PAGE
    site.post("/sign-in", RIGHT, status=401)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({}, 400),
        ({**RIGHT, "password": "wrong horse"}, 401),
        ({**RIGHT, "password": "x" * 10_000}, 401),
        ({**RIGHT, "email": "nobody@example.org"}, 401),
        ({**RIGHT, "email": "no address"}, 400),
        ({**RIGHT, "email": "\0<b>"}, 400),
        ({**RIGHT, "email": "x" * 20_000}, 413),
        ({str(number): "x" for number in range(20)}, 413),
    ],
)
def test_what_is_wrong_is_said_in_a_page(form: dict[str, str], status: int, site: Any) -> None:
    answer = site.post("/sign-in", form, status=status)
    assert 'role="alert"' in answer.text
    assert "<b>" not in answer.text


def test_a_form_of_another_site_and_an_unknown_page_are_told_in_a_page(site: Any) -> None:
    headers = {"Origin": "https://evil.test", "Cookie": "a=b"}
    assert 'role="alert"' in site.post("/sign-in", RIGHT, headers=headers, status=403).text
    assert "There is no such page" in site.get("/nothing", status=404).text
    assert site.get("/password").headers["Location"].startswith("/sign-in")
    assert site.get("/style.css").content_type == "text/css"
