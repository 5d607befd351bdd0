"""The Pyramid example, by WebTest."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

pytest.importorskip("pyramid")
pytest.importorskip("webtest")

from pyramid.authorization import Allow, Authenticated
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from wsgi_sessions import (
    ConfigurationError,
    SessionManager,
    SessionMiddleware,
    TooManyTriesError,
)
from wsgi_sessions.adapters.pyramid import SessionSecurityPolicy

from .story import CREDENTIALS, Story
from .webtest_site import WebTestSite


class TestPyramid(Story):
    @pytest.fixture
    def site(self, manager: SessionManager) -> WebTestSite:
        from pyramid_app import create_app  # type: ignore[import-not-found, unused-ignore]

        return WebTestSite(create_app(manager), "Pyramid")


class Root:
    __acl__: ClassVar[Any] = [(Allow, Authenticated, "view")]

    def __init__(self, request: Any) -> None:
        self.request = request


def make_app(manager: SessionManager) -> Any:
    with Configurator(root_factory=Root) as config:
        config.include("wsgi_sessions.adapters.pyramid")
        config.add_wsgi_sessions(manager)
        config.set_security_policy(SessionSecurityPolicy())

        def remember(request: Any) -> Any:
            user = manager.parts.store.users.find_by_email("ada@example.org")
            assert user is not None
            response = Response("in")
            response.headerlist.extend(SessionSecurityPolicy().remember(request, user.id))
            return response

        def forget(request: Any) -> Any:
            response = Response("out")
            response.headerlist.extend(SessionSecurityPolicy().forget(request))
            return response

        for name, view, options in (
            ("remember", remember, {}),
            ("forget", forget, {}),
            ("allowed", lambda request: Response(request.identity.name), {"permission": "view"}),
        ):
            config.add_route(name, f"/{name}")
            config.add_view(view, route_name=name, **options)
        return config.make_wsgi_app()


def test_the_security_policy_knows_who_it_is(manager: SessionManager) -> None:
    site = WebTestSite(make_app(manager), "Pyramid")
    assert site.get("/allowed").status == 403
    site.app.post_json("/api/auth/sign-up/email", {"name": "Ada", **CREDENTIALS})
    assert site.get("/allowed").text == "Ada"
    assert site.get("/forget").text == "out"
    assert site.get("/allowed").status == 403
    assert site.get("/remember").text == "in"
    assert site.get("/allowed").text == "Ada"


def test_an_app_that_is_wrapped_outside_is_read_once(
    manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = WebTestSite(SessionMiddleware(make_app(manager), manager), "Pyramid")
    site.app.post_json("/api/auth/sign-up/email", {"name": "Ada", **CREDENTIALS})
    reads: list[str] = []
    real = manager.parts.store.sessions.find

    def counted(session_id: str) -> Any:
        reads.append(session_id)
        return real(session_id)

    monkeypatch.setattr(manager.parts.store.sessions, "find", counted)
    assert site.get("/allowed").text == "Ada"
    assert len(reads) == 1


def noting_tween(handler: Any, registry: Any) -> Any:
    """Note, outside of the views, who is signed in."""

    def tween(request: Any) -> Any:
        registry["noted"].append(request.wsgi_user)
        return handler(request)

    return tween


@pytest.mark.parametrize("is_late", [False, True])
def test_every_tween_knows_the_user(manager: SessionManager, is_late: bool) -> None:
    with Configurator() as config:
        noted: list[Any] = []
        config.registry["noted"] = noted
        if not is_late:
            config.add_tween(f"{__name__}.noting_tween")
        config.include("wsgi_sessions.adapters.pyramid")
        config.add_wsgi_sessions(manager)
        if is_late:
            config.add_tween(f"{__name__}.noting_tween")
        site = WebTestSite(config.make_wsgi_app(), "Pyramid")
    site.app.post_json("/api/auth/sign-up/email", {"name": "Ada", **CREDENTIALS})
    site.get("/")
    [user] = noted
    assert user.name == "Ada"


def test_a_tween_that_is_put_outside_is_told_why_nobody_is_there(manager: SessionManager) -> None:
    tweens = [
        f"{__name__}.noting_tween",
        "wsgi_sessions.adapters.pyramid.sessions_tween",
        "pyramid.tweens.excview_tween_factory",
    ]
    with Configurator(settings={"pyramid.tweens": tweens}) as config:
        config.registry["noted"] = []
        config.include("wsgi_sessions.adapters.pyramid")
        config.add_wsgi_sessions(manager)
        site = WebTestSite(config.make_wsgi_app(), "Pyramid")
    with pytest.raises(LookupError, match=r"sessions_tween before .* in pyramid\.tweens"):
        site.get("/")


def test_the_manager_is_made_from_the_settings() -> None:
    settings = {
        "wsgi_sessions.database": "sqlite:///:memory:",
        "wsgi_sessions.secret": "s0123456789abcdef" * 2,
    }
    with Configurator(settings={**settings, "wsgi_sessions.expires_in": "172800"}) as config:
        config.include("wsgi_sessions.adapters.pyramid")
        assert config.registry["wsgi_sessions"].config.expires_in_ms == 172_800_000
    del settings["wsgi_sessions.database"]
    with Configurator(settings=settings) as config, pytest.raises(ConfigurationError, match="URL"):
        config.include("wsgi_sessions.adapters.pyramid")


def test_a_refusal_without_any_error_view_is_plain(manager: SessionManager) -> None:
    def refuse(request: Any) -> Any:
        raise TooManyTriesError(7)

    with Configurator(exceptionresponse_view=None) as config:
        config.include("wsgi_sessions.adapters.pyramid")
        config.add_wsgi_sessions(manager)
        config.add_route("refuse", "/refuse")
        config.add_view(refuse, route_name="refuse")
        answer = WebTestSite(config.make_wsgi_app(), "Pyramid").get("/refuse")
    assert (answer.status, answer.retry_after) == (429, "7")
    assert "Please try again in 7 s." in answer.text


def test_an_app_that_is_not_wrapped_is_told_so() -> None:
    request = Request.blank("/")
    with Configurator() as config:
        request.registry = config.registry
    told = r'call config\.include\("wsgi_sessions\.adapters\.pyramid"\)'
    with pytest.raises(LookupError, match=told):
        SessionSecurityPolicy().identity(request)
