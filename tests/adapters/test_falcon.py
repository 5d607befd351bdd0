"""The Falcon example, by ``falcon.testing``."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("falcon")

import falcon
from falcon import testing

from wsgi_sessions import SessionManager
from wsgi_sessions.adapters.falcon import install, login_required

from .story import EMAIL, PASSWORD, Story
from .test_flask import Said


class FalconSite:
    name = "Falcon"
    redirects_visitors = False

    def __init__(self, app: Any) -> None:
        self.client = testing.TestClient(app)
        self.cookies: dict[str, str] = {}

    def get(self, path: str) -> Said:
        return self._send("GET", path)

    def post(
        self, path: str, form: dict[str, str], *, origin: str | None = "http://falconframework.org"
    ) -> Said:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if origin is not None:
            headers["Origin"] = origin
        pairs = "&".join(f"{name}={_quote(value)}" for name, value in form.items())
        return self._send("POST", path, body=pairs, headers=headers)

    def _send(self, method: str, path: str, **options: Any) -> Said:
        answer = self.client.simulate_request(method, path, cookies=self.cookies, **options)
        # Python's parser takes the attribute Priority for a cookie.
        cookies = {name: value for name, value in answer.cookies.items() if name != "Priority"}
        for name, cookie in cookies.items():
            if cookie.max_age == 0:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = cookie.value
        lines = [value for name, value in answer.headers.items() if name.lower() == "set-cookie"]
        if len(cookies) > 1:
            # Falcon's result joins lines of one name; each cookie is there by its own.
            lines = [_line(cookie) for cookie in cookies.values()]
        return Said(
            answer.status_code,
            answer.text,
            answer.headers.get("location"),
            lines,
            answer.headers.get("retry-after"),
        )


def _line(cookie: testing.Cookie) -> str:
    flags = "; HttpOnly" if cookie.http_only else ""
    return (
        f"{cookie.name}={cookie.value}; Max-Age={cookie.max_age}; Path={cookie.path}"
        f"; SameSite={cookie.same_site}{flags}"
    )


def _quote(text: str) -> str:
    from urllib.parse import quote_plus

    return quote_plus(text)


class TestFalcon(Story):
    @pytest.fixture
    def site(self, manager: SessionManager) -> FalconSite:
        from falcon_app import create_app  # type: ignore[import-not-found, unused-ignore]

        return FalconSite(create_app(manager))


class SignUp:
    """Shows whom the context knows before and after."""

    def on_post(self, req: Any, resp: Any) -> None:
        before = req.context.user
        req.context.sessions.sign_up_email(name="Ada", email=EMAIL, password=PASSWORD)
        names = [before, req.context.user.name, req.context.session.user.name]
        req.context.user = "somebody the application knows"
        resp.media = [*names, req.context.user]


@pytest.mark.parametrize("kind", [falcon.Context, type("Own", (), {})])
def test_the_context_follows_a_sign_in(manager: SessionManager, kind: Any) -> None:
    class Request(falcon.Request):  # type: ignore[misc, unused-ignore]
        context_type = kind

    app = falcon.App(request_type=Request)
    app.add_route("/", SignUp())
    answer = testing.TestClient(install(app, manager)).simulate_post("/")
    assert answer.json == [None, "Ada", "Ada", "somebody the application knows"]


def test_an_app_that_is_not_wrapped_is_told_so() -> None:
    request = testing.create_req()
    told = r"serve what install\(app, manager\) returned"
    with pytest.raises(LookupError, match=told):
        login_required(request, falcon.Response(), None, {})
