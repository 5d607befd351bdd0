"""PasteDeploy: ``python examples/frameworks/paste_app.py``, then open http://127.0.0.1:8000."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pages

from wsgi_sessions import RefusedError
from wsgi_sessions.adapters import check_form_origin, refusal_of

INI = Path(__file__).with_name("paste_app.ini")


def make_app(_global_conf: Any, **_local_conf: str) -> Any:
    """Make the application that the ini file wraps; it is a plain one."""
    return app


def app(environ: Any, start_response: Any) -> Iterable[bytes]:
    try:
        if environ["PATH_INFO"] == "/stream":
            return stream(environ, start_response)
        status, headers, page = answer(environ)
    except RefusedError as error:
        refusal = refusal_of(error, environ)
        page = pages.error(f"{refusal.status} from the app", refusal.text)
        status, headers = f"{refusal.status} Refused", refusal.headers
    body = page.encode()
    headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(len(body))),
        *headers,
    ]
    start_response(status, headers)
    return [body]


def answer(environ: Any) -> tuple[str, list[tuple[str, str]], str]:
    """Return status, headers and page."""
    handle, path = environ["wsgi_sessions.request"], environ["PATH_INFO"]
    if environ["REQUEST_METHOD"] == "POST":
        check_form_origin(environ)
        size = min(int(environ.get("CONTENT_LENGTH") or 0), 10_000)
        text = environ["wsgi.input"].read(size).decode("utf-8", "replace")
        form = {name: values[0] for name, values in parse_qs(text).items()}
        if path == "/sign-up":
            handle.sign_up_email(
                name=form.get("name", ""),
                email=form.get("email", ""),
                password=form.get("password", ""),
            )
        elif path == "/sign-in":
            handle.sign_in_email(email=form.get("email", ""), password=form.get("password", ""))
        elif path == "/sign-out":
            handle.sign_out()
        return "303 See Other", [("Location", "/account" if handle.user else "/")], ""
    if path == "/account":
        return "200 OK", [], pages.account(handle.require_user().name or "")
    if path == "/secrets":
        handle.require_fresh()
        return "200 OK", [], "the secrets"
    if path == "/visits":
        handle.require_user()
        return "200 OK", [], pages.count_visit(handle.session.data)
    if path == "/":
        return "200 OK", [], pages.entrance()
    return "404 Not Found", [], pages.error("404 from the app", "There is no such page.")


def stream(environ: Any, start_response: Any) -> Iterable[bytes]:
    """Answer with a body that is sent in parts."""
    handle = environ["wsgi_sessions.request"]
    handle.require_user()
    handle.session.data["sent"] = []
    start_response("200 OK", [("Content-Type", "text/plain")])
    return pages.stream(handle.session.data)


if __name__ == "__main__":
    import sys

    from paste.deploy import loadapp
    from serving import DATA, make_secret, serve

    sys.path.insert(0, str(INI.parent))
    given = {"SESSIONS_SECRET": make_secret(), "DATA": str(DATA)}
    serve(loadapp(f"config:{INI}", global_conf=given))
