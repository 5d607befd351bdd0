"""A plain WSGI app on which people sign up, sign in, and see and end their sessions.

Must not touch cookies, tokens or the database: the handle in the environ does all of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from wsgi_sessions import (
    InvalidValueError,
    NotSignedInError,
    RefusedError,
    ServerBusyError,
    SessionRequest,
    TooManyTriesError,
    get_end_reason,
    get_request,
    get_session,
)
from wsgi_sessions.adapters import check_form_origin

from . import pages

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MAX_FORM_BYTES = 16 * 1024
MAX_READ_ON_BYTES = 1024 * 1024
MAX_FORM_FIELDS = 10
NEW_PASSWORD_PATH = "/new-password"
"""Where the link in a mail leads, with its ``token``."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)

Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the browser."""

    status: str
    body: str
    headers: tuple[tuple[str, str], ...] = ()


def site(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer one request (PEP 3333)."""
    answer = _answer(environ)
    body = answer.body.encode()
    headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(len(body))),
        *SECURITY_HEADERS,
        *answer.headers,
    ]
    start_response(answer.status, headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


# What the site does. Each action says with which notice the front page comes back.


def sign_up(request: SessionRequest, form: Form) -> str:
    """Make a user; the browser is signed in at once."""
    name = form.get("name", "").strip()
    if not name:
        raise InvalidValueError("please say what to call you")
    request.sign_up_email(
        name=name,
        email=form.get("email", ""),
        password=form.get("password", ""),
    )
    return "welcome"


def sign_in(request: SessionRequest, form: Form) -> str:
    """Begin a session; without "stay signed in" its cookie ends with the browser."""
    request.sign_in_email(
        email=form.get("email", ""),
        password=form.get("password", ""),
        remember_me="remember" in form,
    )
    return "signed-in"


def ask_for_link(request: SessionRequest, form: Form) -> str:
    """Mail a link to set a new password; nothing tells who has an account."""
    request.manager.request_password_reset(
        email=form.get("email", ""), redirect_to=NEW_PASSWORD_PATH, facts=request.facts
    )
    return "link-sent"


def set_password(request: SessionRequest, form: Form) -> str:
    """Set a password by the token of such a link, which ends all sessions of its user."""
    request.reset_password(token=form.get("token", ""), new_password=form.get("password", ""))
    return "password-set"


def sign_out(request: SessionRequest, _form: Form) -> str:
    """End the session of this browser."""
    request.sign_out()
    return "signed-out"


def end_session(request: SessionRequest, form: Form) -> str:
    """End another of the user's sessions; somebody else's id changes nothing."""
    return "ended" if request.revoke_session(form.get("session", "")) else "over"


def end_other_sessions(request: SessionRequest, _form: Form) -> str:
    """End all sessions of the user but the one of this browser."""
    request.revoke_other_sessions()
    return "ended-others"


ACTIONS: Mapping[str, Callable[[SessionRequest, Form], str]] = {
    "/sign-up": sign_up,
    "/sign-in": sign_in,
    "/forgotten": ask_for_link,
    NEW_PASSWORD_PATH: set_password,
    "/sign-out": sign_out,
    "/sessions/end": end_session,
    "/sessions/end-others": end_other_sessions,
}


# From a request to an action and back to a page.


def _answer(environ: WSGIEnvironment) -> Answer:
    path, method = environ.get("PATH_INFO") or "/", environ["REQUEST_METHOD"]
    allowed = ["GET", "HEAD"] if path in ("/", NEW_PASSWORD_PATH) else []
    allowed += ["POST"] if path in ACTIONS else []
    if not allowed:
        return _refuse("404 Not Found", "There is no such page here.")
    if method not in allowed:
        text = "This address takes what the front page sends, and nothing else."
        return _refuse("405 Method Not Allowed", text, ("Allow", ", ".join(allowed)))
    if method != "POST":
        query = _read_query(environ)
        if path == NEW_PASSWORD_PATH:
            return Answer("200 OK", pages.show_new_password(query.get("token", "")))
        return Answer("200 OK", _front_page(environ, notice=query.get("notice")))
    if not is_from_our_own_page(environ):
        return _refuse("403 Forbidden", "This was sent from another site, so it was not done.")
    return _act(environ, path)


def _act(environ: WSGIEnvironment, path: str) -> Answer:
    try:
        form = read_form(environ)
    except ValueError as error:
        return _refuse("413 Content Too Large", str(error))
    try:
        notice = ACTIONS[path](get_request(environ), form)
    except NotSignedInError:
        return _see_front_page()  # which tells why the session is over
    except RefusedError as error:
        problem = pages.Problem(path, error.code, str(error), form)
        if path == NEW_PASSWORD_PATH:
            page = pages.show_new_password(form.get("token", ""), problem)
        else:
            page = _front_page(environ, problem=problem)
        if isinstance(error, (ServerBusyError, TooManyTriesError)):
            is_busy = isinstance(error, ServerBusyError)
            status = "503 Service Unavailable" if is_busy else "429 Too Many Requests"
            return Answer(status, page, (("Retry-After", str(error.retry_after_seconds)),))
        return Answer("422 Unprocessable Content", page)
    return _see_front_page(notice)


def _front_page(
    environ: WSGIEnvironment,
    *,
    notice: str | None = None,
    problem: pages.Problem | None = None,
) -> str:
    session, request = get_session(environ), get_request(environ)
    if session is not None and session.user is not None:
        sessions = request.list_sessions()
        return pages.show_sessions(session, sessions, notice=notice, problem=problem)
    end_reason = get_end_reason(environ)
    return pages.show_entrance(end_reason=end_reason, notice=notice, problem=problem)


def _see_front_page(notice: str | None = None) -> Answer:
    location = "/" if notice is None else f"/?notice={notice}"
    return Answer("303 See Other", "", (("Location", location),))


def _refuse(status: str, text: str, *headers: tuple[str, str]) -> Answer:
    return Answer(status, pages.show_message(status.partition(" ")[2], text), headers)


def is_from_our_own_page(environ: WSGIEnvironment) -> bool:
    """Tell whether a POST was sent from a page of this very origin, as browsers vouch.

    The SameSite cookie keeps other sites from acting as the user. This also keeps them from
    signing the browser in as somebody else, and a neighbour port from either.
    """
    try:
        check_form_origin(environ)
    except RefusedError:
        return False
    return True


def read_form(environ: WSGIEnvironment) -> dict[str, str]:
    """Return the fields of a form, the last of each name; ``ValueError`` for too large a one."""
    length_text = environ.get("CONTENT_LENGTH") or "0"
    # Short, because int() refuses thousands of digits.
    is_number = length_text.isascii() and length_text.isdecimal() and len(length_text) < 10
    length = int(length_text) if is_number else MAX_READ_ON_BYTES
    if length > MAX_FORM_BYTES:
        if is_number:
            # Read on: a browser that is cut off while it sends never sees the answer.
            environ["wsgi.input"].read(min(length, MAX_READ_ON_BYTES))
        raise ValueError("What was sent is larger than the forms of this site.")
    body = environ["wsgi.input"].read(length).decode("utf-8", "replace")
    try:
        fields = parse_qs(body, keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
    except ValueError:
        raise ValueError("What was sent has more fields than the forms of this site.") from None
    return {name: values[-1] for name, values in fields.items()}


def _read_query(environ: WSGIEnvironment) -> dict[str, str]:
    try:
        fields = parse_qs(environ.get("QUERY_STRING", ""), max_num_fields=MAX_FORM_FIELDS)
    except ValueError:
        return {}
    return {name: values[-1] for name, values in fields.items()}
