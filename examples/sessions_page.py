"""Serves a small app with a sign-in page, and the sessions page beside it.

Must not be copied as it is: it knows one user, and forgets everything when it stops.

    pip install ".[pages]" && python examples/sessions_page.py
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote
from wsgiref.simple_server import make_server

from wsgi_sessions import (
    InvalidCredentialsError,
    SessionManager,
    SessionMiddleware,
    get_request,
    get_user,
)
from wsgi_sessions.adapters.views import check_form_origin, safe_next

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

EMAIL, PASSWORD = "ada@example.org", "correct horse"
PAGES_PATH = "/account/sessions"
LARGEST_FORM_BYTES = 4096

FRAME = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ max-width: 30rem; margin: 3rem auto; padding: 0 1rem }}
body, input, button {{ font: 1rem/1.6 system-ui, sans-serif }}
input, button {{ display: block; width: 100%; min-height: 2.75rem; margin-bottom: 0.75rem }}
</style>
<h1>{title}</h1>
{body}
"""
SIGN_IN_FORM = """\
{said}<form method="post" action="/sign-in?next={next}">
<label>E-mail <input name="email" type="email" autocomplete="username" value="{email}"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button>Sign in</button>
</form>
<p>The password is <code>{password}</code>. Sign in with a second browser to see both.</p>"""


def make_application() -> WSGIApplication:
    """Wrap the app; ``pages_path`` and ``sign_in_url`` are all that the page asks for."""
    manager = SessionManager(
        "sqlite:///:memory:",
        secret=secrets.token_urlsafe(32),
        pages_path=PAGES_PATH,
        sign_in_url="/sign-in",
        auto_sign_in=False,
    )
    manager.sign_up_email(name="Ada", email=EMAIL, password=PASSWORD)
    return SessionMiddleware(app, manager)


def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Show a front page, and sign in whoever knows the password."""
    if environ["PATH_INFO"] == "/sign-in":
        return sign_in(environ, start_response)
    if environ["PATH_INFO"] != "/":
        return show("404 Not Found", "There is no such page", "", start_response)
    user = get_user(environ)
    if user is None:
        body = '<p><a href="/sign-in">Sign in</a></p>'
    else:
        body = f'<p>Hello, {escape(user.name or "")}! <a href="{PAGES_PATH}">Your sessions</a></p>'
    return show("200 OK", "An app", body, start_response)


def sign_in(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Show the form, or take it and go where ``next`` says, if that is within this site."""
    query = parse_qs(environ.get("QUERY_STRING", ""))
    # Anybody can write a link to this page, so where it leads afterwards is checked.
    target = safe_next(environ, query.get("next", [None])[0], default=PAGES_PATH)
    said = ""
    if environ["REQUEST_METHOD"] == "POST":
        check_form_origin(environ)
        form = read_form(environ)
        try:
            get_request(environ).sign_in_email(
                email=form.get("email", ""), password=form.get("password", "")
            )
        except InvalidCredentialsError:
            said = '<p role="alert">E-mail or password is wrong.</p>\n'
        else:
            start_response("303 See Other", [("Location", target)])
            return []
    body = SIGN_IN_FORM.format(
        said=said, next=quote(target, safe=""), email=EMAIL, password=PASSWORD
    )
    return show("200 OK", "Sign in", body, start_response)


def read_form(environ: WSGIEnvironment) -> dict[str, str]:
    length = environ.get("CONTENT_LENGTH") or "0"
    length_bytes = min(int(length), LARGEST_FORM_BYTES) if length.isdecimal() else 0
    text = environ["wsgi.input"].read(length_bytes).decode("utf-8", "replace")
    return {name: values[0] for name, values in parse_qs(text).items()}


def show(status: str, title: str, body: str, start_response: StartResponse) -> list[bytes]:
    page = FRAME.format(title=title, body=body).encode()
    start_response(
        status,
        [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(page)))],
    )
    return [page]


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A small app with the sessions page.")
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s")
    given = parser.parse_args(arguments)
    with make_server("127.0.0.1", given.port, make_application()) as server:
        print(f"Open http://127.0.0.1:{server.server_port}{PAGES_PATH}; Ctrl-C stops.", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("Stopped.")


if __name__ == "__main__":
    main()
