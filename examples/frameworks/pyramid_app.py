"""Pyramid: ``python examples/frameworks/pyramid_app.py``, then open http://127.0.0.1:8000."""

from __future__ import annotations

from typing import Any

import pages
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound, HTTPSeeOther, WSGIHTTPException
from pyramid.response import Response

from wsgi_sessions import SessionManager
from wsgi_sessions.adapters import check_form_origin
from wsgi_sessions.adapters.pyramid import SessionSecurityPolicy


def entrance(request: Any) -> Any:
    return HTTPFound("/account") if request.wsgi_user else Response(pages.entrance())


def sign_up(request: Any) -> Any:
    check_form_origin(request)
    form = request.POST
    request.wsgi_sessions.sign_up_email(
        name=form.get("name", ""), email=form.get("email", ""), password=form.get("password", "")
    )
    return HTTPSeeOther("/account")


def sign_in(request: Any) -> Any:
    check_form_origin(request)
    form = request.POST
    request.wsgi_sessions.sign_in_email(
        email=form.get("email", ""), password=form.get("password", "")
    )
    return HTTPSeeOther("/account")


def sign_out(request: Any) -> Any:
    check_form_origin(request)
    request.wsgi_sessions.sign_out()
    return HTTPSeeOther("/")


def account(request: Any) -> Any:
    return Response(pages.account(request.wsgi_user.name))


def secrets(request: Any) -> Any:
    return Response(f"the secrets of {request.authenticated_userid}")


def visits(request: Any) -> Any:
    return Response(pages.count_visit(request.wsgi_session.data))


def stream(request: Any) -> Any:
    data = request.wsgi_session.data
    data["sent"] = []
    return Response(app_iter=pages.stream(data))


def show_error(error: Any, request: Any) -> Any:
    request.response.status = error.status
    request.response.text = pages.error(f"{error.code} from Pyramid", error.detail or error.title)
    return request.response


def create_app(manager: SessionManager) -> Any:
    """Make the application."""
    with Configurator() as config:
        config.include("wsgi_sessions.adapters.pyramid")
        config.add_wsgi_sessions(manager)
        config.set_security_policy(SessionSecurityPolicy())
        config.add_exception_view(show_error, context=WSGIHTTPException)
        for name, view, options in (
            ("entrance", entrance, {}),
            ("sign-up", sign_up, {"request_method": "POST"}),
            ("sign-in", sign_in, {"request_method": "POST"}),
            ("sign-out", sign_out, {"request_method": "POST"}),
            ("account", account, {"login_required": True}),
            ("secrets", secrets, {"fresh_login_required": True}),
            ("visits", visits, {"login_required": True}),
            ("stream", stream, {"login_required": True}),
        ):
            config.add_route(name, "/" if name == "entrance" else f"/{name}")
            config.add_view(view, route_name=name, **options)
        return config.make_wsgi_app()


if __name__ == "__main__":
    from serving import make_manager, serve

    serve(create_app(make_manager()))
