"""Falcon: ``python examples/frameworks/falcon_app.py``, then open http://127.0.0.1:8000."""

from __future__ import annotations

from typing import Any

import falcon
import pages

from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions.adapters import check_form_origin
from wsgi_sessions.adapters.falcon import fresh_login_required, install, login_required


class Entrance:
    """Visitors sign in or up here."""

    def on_get(self, req: Any, resp: Any) -> None:
        if req.context.user is not None:
            raise falcon.HTTPFound("/account")
        resp.content_type, resp.text = falcon.MEDIA_HTML, pages.entrance()


class SignUp:
    def on_post(self, req: Any, _resp: Any) -> None:
        check_form_origin(req)
        form = req.get_media()
        req.context.sessions.sign_up_email(
            name=form.get("name", ""),
            email=form.get("email", ""),
            password=form.get("password", ""),
        )
        raise falcon.HTTPSeeOther("/account")


class SignIn:
    def on_post(self, req: Any, _resp: Any) -> None:
        check_form_origin(req)
        form = req.get_media()
        req.context.sessions.sign_in_email(
            email=form.get("email", ""), password=form.get("password", "")
        )
        raise falcon.HTTPSeeOther("/account")


class SignOut:
    def on_post(self, req: Any, _resp: Any) -> None:
        check_form_origin(req)
        req.context.sessions.sign_out()
        raise falcon.HTTPSeeOther("/")


class Account:
    """For people who are signed in."""

    @falcon.before(login_required)
    def on_get(self, req: Any, resp: Any) -> None:
        resp.content_type, resp.text = falcon.MEDIA_HTML, pages.account(req.context.user.name)


class Secrets:
    """For people who signed in of late."""

    @falcon.before(fresh_login_required)
    def on_get(self, _req: Any, resp: Any) -> None:
        resp.text = "the secrets"


class Visits:
    """Keeps a number in the session's data."""

    @falcon.before(login_required)
    def on_get(self, req: Any, resp: Any) -> None:
        resp.text = pages.count_visit(req.context.session.data)


class Stream:
    """Writes to the session's data while the body is sent."""

    @falcon.before(login_required)
    def on_get(self, req: Any, resp: Any) -> None:
        data = req.context.session.data
        data["sent"] = []
        resp.stream = pages.stream(data)


def show_error(_req: Any, resp: Any, error: Any) -> None:
    """Show an HTTPError as a page of the application's own."""
    status = str(error.status)[:3]
    resp.content_type = falcon.MEDIA_HTML
    resp.text = pages.error(f"{status} from Falcon", error.description or "")


def create_app(manager: SessionManager) -> SessionMiddleware:
    """Make the application; what is returned is to be served."""
    app = falcon.App()
    app.set_error_serializer(show_error)
    for path, resource in (
        ("/", Entrance()),
        ("/sign-up", SignUp()),
        ("/sign-in", SignIn()),
        ("/sign-out", SignOut()),
        ("/account", Account()),
        ("/secrets", Secrets()),
        ("/visits", Visits()),
        ("/stream", Stream()),
    ):
        app.add_route(path, resource)
    return install(app, manager)


if __name__ == "__main__":
    from serving import make_manager, serve

    serve(create_app(make_manager()))
