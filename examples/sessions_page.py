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

from quickstart_site.app import read_form
from quickstart_site.static import with_static_files

from wsgi_sessions import (
    RefusedError,
    SessionManager,
    SessionMiddleware,
    get_request,
    get_user,
)
from wsgi_sessions.adapters import check_form_origin, refusal_of, safe_next

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

EMAIL, PASSWORD = "ada@example.org", "correct horse"
PAGES_PATH = "/account/sessions"
TITLE = "An app"

FRAME = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · wsgi-sessions example</title>
<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/style.css">
</head>
<body>
<header><a href="/"><img src="/icon.svg" alt="" width="28" height="28"> wsgi-sessions
<span>sessions page</span></a></header>
<main><h1>{title}</h1>
{body}</main>
</body>
</html>
"""
SIGN_IN_FORM = """\
<div class="pair"><section class="card"><form method="post" action="/sign-in?next={next}">
<label for="email">E-mail</label>
<input id="email" name="email" type="email" autocomplete="username" required value="{email}">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Sign in</button>
</form></section></div>
<p></p>
<p class="hint">The password is <code>{password}</code>. Sign in with a second browser to see
both.</p>"""
PASSWORD_FORM = """\
<div class="pair"><section class="card"><form method="post" action="/password">
<label for="current">Current password</label>
<input id="current" name="current" type="password" autocomplete="current-password" required>
<label for="new">New password</label>
<input id="new" name="new" type="password" autocomplete="new-password" minlength="8" required>
<button>Change the password</button>
</form></section></div>"""
PROBLEM = '<p class="problem" role="alert">{}</p>\n'


def make_application() -> WSGIApplication:
    """Wrap the app; ``pages_path`` and ``sign_in_url`` are all that the page asks for."""
    manager = SessionManager(
        "sqlite:///:memory:",
        secret=secrets.token_urlsafe(32),
        pages_path=PAGES_PATH,
        sign_in_url="/sign-in",
        pages_title=TITLE,
        change_password_url="/password",
        auto_sign_in=False,
    )
    manager.sign_up_email(name="Ada", email=EMAIL, password=PASSWORD)
    return with_static_files(SessionMiddleware(app, manager))


def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer one request."""
    path = environ["PATH_INFO"]
    try:
        if path == "/sign-in":
            return sign_in(environ, start_response)
        if path == "/password":
            return change_password(environ, start_response)
    except RefusedError as error:
        refusal = refusal_of(error, environ)
        status = f"{refusal.status} Refused"
        text = PROBLEM.format(sentence(refusal.text))
        return show(status, "That was refused", text, start_response)
    except ValueError as error:
        text = PROBLEM.format(escape(str(error)))
        return show("413 Content Too Large", "That is too large", text, start_response)
    if path != "/":
        body = '<p><a href="/">To the front page</a></p>'
        return show("404 Not Found", "There is no such page", body, start_response)
    user = get_user(environ)
    if user is None:
        body = '<p><a href="/sign-in">Sign in</a></p>'
    else:
        name = escape(user.name or "")
        body = f'<p>Hello, <bdi>{name}</bdi>! <a href="{PAGES_PATH}">Your sessions</a></p>'
    return show("200 OK", TITLE, body, start_response)


def sign_in(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Show the form, or take it and go where ``next`` says, if that is within this site."""
    query = parse_qs(environ.get("QUERY_STRING", ""))
    # Anybody can write a link to this page, so where it leads afterwards is checked.
    target = safe_next(environ, query.get("next", [None])[0], default=PAGES_PATH)
    status, said, email = "200 OK", "", EMAIL
    if environ["REQUEST_METHOD"] == "POST":
        check_form_origin(environ)
        form = read_form(environ)
        email = form.get("email", "")
        try:
            get_request(environ).sign_in_email(email=email, password=form.get("password", ""))
        except RefusedError as error:
            refusal = refusal_of(error, environ)
            status, said = f"{refusal.status} Refused", PROBLEM.format(sentence(refusal.text))
        else:
            return go_to(target, start_response)
    body = SIGN_IN_FORM.format(next=quote(target, safe=""), email=escape(email), password=PASSWORD)
    return show(status, "Sign in", said + body, start_response)


def change_password(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Show the form, or take it: the user's other sessions end with the old password."""
    handle = get_request(environ)
    if handle.user is None:
        return go_to("/sign-in?next=%2Fpassword", start_response)
    status, said = "200 OK", ""
    if environ["REQUEST_METHOD"] == "POST":
        check_form_origin(environ)
        form = read_form(environ)
        try:
            handle.change_password(
                current_password=form.get("current", ""), new_password=form.get("new", "")
            )
        except RefusedError as error:
            refusal = refusal_of(error, environ)
            status, said = f"{refusal.status} Refused", PROBLEM.format(sentence(refusal.text))
        else:
            return go_to(PAGES_PATH, start_response)
    return show(status, "Change your password", said + PASSWORD_FORM, start_response)


def sentence(text: str) -> str:
    return escape(f"{text[:1].upper()}{text[1:].rstrip('.')}.")


def go_to(url: str, start_response: StartResponse) -> list[bytes]:
    start_response("303 See Other", [("Location", url), ("Content-Length", "0")])
    return []


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
    try:
        server = make_server("127.0.0.1", given.port, make_application())
    except OSError as error:
        raise SystemExit(
            f"can't listen on port {given.port}: {error.strerror}; choose another with --port"
        ) from None
    with server:
        print(f"Open http://127.0.0.1:{server.server_port}{PAGES_PATH}; Ctrl-C stops.", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("Stopped.")


if __name__ == "__main__":
    main()
