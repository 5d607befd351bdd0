"""Beaker, Pyramid, Starlette and itsdangerous."""

from __future__ import annotations

from typing import Any

from tests.hot_paths.counting import Environ

from .site import EMAIL, NOBODY, SECRET, SIGN_IN, Site, answer, bare_app, by_asgi, sign_in


def beaker_database(folder: str) -> Site:
    return _beaker({"type": "ext:database", "url": f"sqlite:///{folder}/beaker.db"})


def beaker_cookie(folder: str) -> Site:
    return _beaker({"type": "cookie", "validate_key": SECRET})


def _beaker(options: dict[str, Any]) -> Site:
    from beaker.middleware import SessionMiddleware

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        session = environ["beaker.session"]
        if environ["PATH_INFO"] == SIGN_IN:
            session["user"] = EMAIL
            session.save()
        return answer(environ, start_response, session.get("user", NOBODY))

    wrapped = SessionMiddleware(app, {f"session.{key}": value for key, value in options.items()})
    return Site(wrapped, bare_app, sign_in(wrapped))


def pyramid_cookie(folder: str) -> Site:
    from pyramid.config import Configurator
    from pyramid.response import Response
    from pyramid.session import SignedCookieSessionFactory

    def who(request: Any) -> Response:
        return Response(request.session.get("user", NOBODY))

    def enter(request: Any) -> Response:
        request.session["user"] = EMAIL
        return Response("welcome")

    def application(view: Any, **settings: Any) -> Any:
        with Configurator(**settings) as config:
            config.add_route("who", "/")
            config.add_view(view, route_name="who")
            config.add_route("enter", SIGN_IN)
            config.add_view(enter, route_name="enter")
            return config.make_wsgi_app()

    app = application(who, session_factory=SignedCookieSessionFactory(SECRET))
    return Site(app, application(lambda request: Response(EMAIL)), sign_in(app))


def starlette_cookie(folder: str) -> Site:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.sessions import SessionMiddleware
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def who(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.session.get("user", NOBODY))

    async def enter(request: Request) -> PlainTextResponse:
        request.session["user"] = EMAIL
        return PlainTextResponse("welcome")

    async def bare(request: Request) -> PlainTextResponse:
        return PlainTextResponse(EMAIL)

    middleware = [Middleware(SessionMiddleware, secret_key=SECRET)]
    app = by_asgi(Starlette(routes=[Route("/", who), Route(SIGN_IN, enter)], middleware=middleware))
    return Site(app, by_asgi(Starlette(routes=[Route("/", bare)])), sign_in(app))


def itsdangerous_cookie(folder: str) -> Site:
    """Werkzeug's request and response, and what its documentation names for signed cookies."""
    from itsdangerous import BadSignature, URLSafeTimedSerializer
    from werkzeug.wrappers import Request, Response

    serializer = URLSafeTimedSerializer(SECRET)

    @Request.application
    def app(request: Request) -> Response:
        if request.path == SIGN_IN:
            response = Response("welcome")
            response.set_cookie("session", serializer.dumps({"user": EMAIL}), httponly=True)
            return response
        try:
            session = serializer.loads(request.cookies.get("session", ""), max_age=14 * 86_400)
        except BadSignature:
            session = {}
        return Response(session.get("user", NOBODY))

    @Request.application
    def bare(request: Request) -> Response:
        return Response(EMAIL)

    return Site(app, bare, sign_in(app))
