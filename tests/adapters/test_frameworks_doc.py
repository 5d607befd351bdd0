"""The code of ``docs/how-to/frameworks.md`` runs as it stands."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wsgi_sessions import NotSignedInError, SessionManager, SessionMiddleware, get_user

from .story import CREDENTIALS, EMAIL, PASSWORD

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "frameworks.md").read_text(encoding="utf-8")
INTRODUCTION = PAGE.partition("\n## ")[0]


def code_of(heading: str) -> list[str]:
    """Return the Python blocks of a section."""
    [section] = re.findall(
        rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL
    )
    return re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def run(code: str, **names: Any) -> SimpleNamespace:
    """Run a block in which some names are known already."""
    namespace: dict[str, Any] = {"__name__": "example", **names}
    exec(compile(code, "docs/how-to/frameworks.md", "exec"), namespace)
    return SimpleNamespace(**namespace)


def test_the_manager_of_the_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSGI_SESSIONS_SECRET", "s0123456789abcdef" * 2)
    [code] = re.findall(r"^```python\n(.*?)^```$", INTRODUCTION, re.MULTILINE | re.DOTALL)
    assert isinstance(run(code).manager, SessionManager)


def test_flask(manager: SessionManager) -> None:
    pytest.importorskip("flask")
    [code] = code_of("Flask")
    manager.sign_up_email(name="Ada", email=EMAIL, password=PASSWORD)
    client = run(code, manager=manager).app.test_client()
    location = client.get("/account").headers["Location"]
    assert location == "/sign-in?next=/account"
    assert client.post(location, data=CREDENTIALS).headers["Location"] == "/account"
    assert client.get("/account").text == "Hello, Ada!"


def test_django(manager: SessionManager, monkeypatch: pytest.MonkeyPatch) -> None:
    django = pytest.importorskip("django")
    import django_app  # type: ignore[import-not-found, unused-ignore]
    from django import conf, forms
    from django.http import HttpResponse
    from django.shortcuts import redirect
    from django.test import RequestFactory

    from wsgi_sessions.adapters import django as adapter

    class SignInForm(forms.Form):  # type: ignore[misc, unused-ignore]
        email = forms.EmailField()
        password = forms.CharField()

    monkeypatch.setenv("SESSIONS_SECRET", "s0123456789abcdef" * 2)
    settings_code, views_code = code_of("Django")
    settings = run(settings_code, os=os)
    if not conf.settings.configured:
        django_app.configure()
        django.setup()
    monkeypatch.setattr(conf.settings, "LOGIN_URL", settings.LOGIN_URL, raising=False)
    monkeypatch.setattr(conf.settings, "ALLOWED_HOSTS", ["testserver"])
    monkeypatch.setattr(adapter, "get_manager", lambda: manager)
    assert f"{adapter.__name__}.SessionsMiddleware" in settings.MIDDLEWARE
    views = run(
        views_code,
        SignInForm=SignInForm,
        HttpResponse=HttpResponse,
        redirect=redirect,
        render=lambda request, template, context: HttpResponse(
            "".join(context["form"].non_field_errors())
        ),
    )
    manager.sign_up_email(name="Ada", email=EMAIL, password=PASSWORD)
    sign_in = adapter.SessionsMiddleware(views.sign_in)
    account = adapter.SessionsMiddleware(views.account)
    factory = RequestFactory()
    wrong = sign_in(factory.post("/sign-in", {"email": EMAIL, "password": "wrong horse"}))
    assert b"Invalid email or password" in wrong.content
    location = account(factory.get("/account")).headers["Location"]
    assert location == "/sign-in?next=%2Faccount"
    answer = sign_in(factory.post(location, CREDENTIALS))
    assert answer.headers["Location"] == "/account"
    factory.cookies = answer.cookies
    assert account(factory.get("/account")).content == b"Hello, Ada!"


def test_pyramid(manager: SessionManager) -> None:
    pytest.importorskip("pyramid")
    webtest = pytest.importorskip("webtest")
    from pyramid.config import Configurator
    from pyramid.response import Response

    [code] = code_of("Pyramid")
    with Configurator() as config:
        config.add_route("account", "/account")
        run(
            code,
            config=config,
            manager=manager,
            account=lambda request: Response(request.wsgi_user.name),
        )
        check_account(webtest.TestApp(config.make_wsgi_app()), "Ada")


def test_bottle(manager: SessionManager) -> None:
    bottle = pytest.importorskip("bottle")
    webtest = pytest.importorskip("webtest")
    [code] = code_of("Bottle")
    example = run(code, app=bottle.Bottle(), manager=manager)
    check_account(webtest.TestApp(example.application), "Hello, Ada!")


def test_falcon(manager: SessionManager) -> None:
    falcon = pytest.importorskip("falcon")
    webtest = pytest.importorskip("webtest")
    [code] = code_of("Falcon")
    app = falcon.App()
    example = run(code, app=app, falcon=falcon, manager=manager)
    app.add_route("/account", example.Account())
    check_account(webtest.TestApp(example.application), "Hello, Ada!")


def test_anything_else(manager: SessionManager) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        user = get_user(environ)
        if user is None:
            raise NotSignedInError
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [(user.name or "").encode()]

    webtest = pytest.importorskip("webtest")
    [code] = code_of("Anything else")
    names = {"SessionMiddleware": SessionMiddleware, "app": app, "manager": manager}
    check_account(webtest.TestApp(run(code, **names).application), "Ada")


def test_every_block_is_run_here() -> None:
    headings = ["Flask", "Django", "Pyramid", "Bottle", "Falcon", "Anything else"]

    blocks = sum(len(code_of(heading)) for heading in headings)
    assert blocks + INTRODUCTION.count("```python\n") == PAGE.count("```python\n")


def check_account(client: Any, text: str) -> None:
    """See that ``/account`` is for people who are signed in."""
    assert client.get("/account", expect_errors=True).status_int == 401
    client.post_json("/api/auth/sign-up/email", {"name": "Ada", **CREDENTIALS})
    assert client.get("/account").text == text
