"""The pages as HTML, which works without JavaScript.

Must not let a value into a page unescaped: every one goes through ``escape``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from html import escape

from wsgi_sessions import EndReason, Session

from .words import instant_in_words, span_in_words, time_ago


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a form was refused: which one, the code and the words, and what was filled in."""

    path: str
    code: str
    text: str
    form: Mapping[str, str] = field(repr=False)  # holds a password

    @property
    def sentence(self) -> str:
        """The words, as a sentence of their own."""
        return f"{self.text[:1].upper()}{self.text[1:].rstrip('.')}."


NOTICES = {
    "welcome": "Welcome! You are signed up and signed in.",
    "signed-in": "You are signed in.",
    "signed-out": "You are signed out.",
    "link-sent": "If somebody has an account with this address, a link is on its way to them.",
    "password-set": "Your new password is set, and all your sessions have ended.",
    "ended": "That session has ended.",
    "over": "That session was over already.",
    "ended-others": "All your other sessions have ended.",
}

END_REASONS = {
    EndReason.REVOKED: "Your session in this browser was ended from another one.",
    EndReason.EVICTED: "Your session in this browser ended, because you signed in on many others.",
    EndReason.EXPIRED: "Your session has expired.",
    EndReason.REPLAYED: "Your session was ended, because a second browser had its cookie.",
    EndReason.PASSWORD_CHANGED: "Your password was changed, which ended this session.",
}

FIELDS_AT_FAULT = {
    "VALIDATION_ERROR": ("name",),
    "INVALID_EMAIL": ("email",),
    "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL": ("email",),
    "PASSWORD_TOO_SHORT": ("password",),
    "PASSWORD_TOO_LONG": ("password",),
    "PASSWORD_TOO_COMMON": ("password",),
    "PASSWORD_TOO_SIMILAR": ("password",),
    "INVALID_EMAIL_OR_PASSWORD": ("email", "password"),
}


def show_entrance(
    *, end_reason: EndReason | None, notice: str | None, problem: Problem | None
) -> str:
    """Return the page of a visitor: the forms to sign up and to sign in."""
    forms = [_sign_up_form(problem), _sign_in_form(problem)]
    if end_reason is not None:
        told = END_REASONS.get(end_reason, "Your session in this browser is over.")
        message = _status(f"{told} Sign in to go on.")
    else:
        message = _notice(notice, among=("signed-out", "link-sent", "password-set"))
    if message or (problem is not None and problem.path != "/sign-up"):
        forms.reverse()  # for people who have been here before
    return _page(
        "Sign up or sign in",
        f"""
        <h1>Sign in and see your session</h1>
        <p class="lead">A plain WSGI app behind <code>SessionMiddleware</code>. Sign up with any
        address, such as <code>ada@example.org</code>: mails are printed where the quickstart was
        started, and sent to nobody.</p>
        {message}
        <div class="pair">{"".join(forms)}</div>
        """,
    )


def show_sessions(
    session: Session,
    sessions: Sequence[Session],
    *,
    notice: str | None,
    problem: Problem | None,
) -> str:
    """Return the page of a signed-in user: this session, and all the others."""
    assert session.user is not None
    now = datetime.now(timezone.utc)
    name = session.user.name or session.user.email or ""
    message = _notice(notice, among=("welcome", "signed-in", "ended", "over", "ended-others"))
    if problem is not None:
        message = f'<p class="problem" role="alert">{escape(problem.sentence)}</p>'
    ordered = sorted(sessions, key=lambda one: one.id != session.id)
    items = "".join(_session_item(one, now, is_own=one.id == session.id) for one in ordered)
    end_others = """
        <form method="post" action="/sessions/end-others">
          <button class="danger">End all other sessions</button>
        </form>"""
    return _page(
        "Your sessions",
        f"""
        <div class="title">
          <h1>Hello, <bdi>{escape(name)}</bdi></h1>
          <form method="post" action="/sign-out"><button class="quiet">Sign out</button></form>
        </div>
        {message}
        <section class="card" aria-labelledby="this">
          <h2 id="this">This session</h2>
          <p>What the app finds in <code>environ[<wbr>"wsgi_sessions.session"]</code>.</p>
          {_facts(session, now)}
        </section>
        <section class="card" aria-labelledby="all">
          <h2 id="all">All your sessions</h2>
          <ul class="sessions">{items}</ul>
          {end_others if len(sessions) > 1 else _hint()}
        </section>
        """,
    )


def show_new_password(token: str, problem: Problem | None = None) -> str:
    """Return the page that a mailed link leads to."""
    password = _new_password_field("new-password", problem)
    return _page(
        "Choose a new password",
        f"""
        <h1>Choose a new password</h1>
        <div class="pair"><section class="card">
          <form method="post" action="/new-password">
            <input type="hidden" name="token" value="{escape(token)}">
            {_complaint("new", problem)}{password}
            <button>Set password</button>
          </form>
        </section></div>
        <p><a href="/">To the front page</a></p>
        """,
    )


def show_message(title: str, text: str) -> str:
    """Return a page that says one thing, and leads back."""
    return _page(
        title,
        f"""
        <h1>{escape(title)}</h1>
        <p class="lead">{escape(text)}</p>
        <p><a href="/">To the front page</a></p>
        """,
    )


def _sign_up_form(problem: Problem | None) -> str:
    mine = problem if problem is not None and problem.path == "/sign-up" else None
    name = _field("up-name", "Name", 'autocomplete="name" maxlength="255"', problem=mine)
    email = _field("up-email", "E-mail", 'type="email" autocomplete="username"', problem=mine)
    password = _new_password_field("up-password", mine)
    return f"""
        <section class="card" aria-labelledby="sign-up">
          <h2 id="sign-up">Sign up</h2>
          <form method="post" action="/sign-up">
            {_complaint("up", mine)}{name}{email}{password}
            <button>Sign up</button>
          </form>
        </section>"""


def _sign_in_form(problem: Problem | None) -> str:
    mine = problem if problem is not None and problem.path == "/sign-in" else None
    email = _field("in-email", "E-mail", 'type="email" autocomplete="username"', problem=mine)
    password = _field(
        "in-password",
        "Password",
        'type="password" autocomplete="current-password"',
        problem=mine,
    )
    checked = "checked" if mine is None or "remember" in mine.form else ""
    return f"""
        <section class="card" aria-labelledby="sign-in">
          <h2 id="sign-in">Sign in</h2>
          <form method="post" action="/sign-in">
            {_complaint("in", mine)}{email}{password}
            <label class="check"><input type="checkbox" name="remember" {checked}>
              Stay signed in on this device</label>
            <button>Sign in</button>
          </form>
          {_forgotten_form(problem)}
        </section>"""


def _forgotten_form(problem: Problem | None) -> str:
    mine = problem if problem is not None and problem.path == "/forgotten" else None
    email = _field("lost-email", "E-mail", 'type="email" autocomplete="username"', problem=mine)
    return f"""
          <details {"open" if mine else ""}><summary>Forgot your password?</summary>
            <form method="post" action="/forgotten">
              {_complaint("lost", mine)}{email}
              <button>Send me a link</button>
            </form>
          </details>"""


def _new_password_field(field_id: str, problem: Problem | None) -> str:
    return _field(
        field_id,
        "Password (at least 8 characters)",
        'type="password" autocomplete="new-password" minlength="8" maxlength="128"',
        problem=problem,
    )


def _field(field_id: str, label: str, attributes: str, *, problem: Problem | None) -> str:
    """Return a labelled input; at fault, it points a screen reader to the complaint."""
    form_id, _, name = field_id.partition("-")
    if problem is not None and name in FIELDS_AT_FAULT.get(problem.code, ()):
        attributes += f' aria-invalid="true" aria-describedby="{form_id}-problem"'
    if problem is not None and name != "password":
        attributes += f' value="{escape(problem.form.get(name, ""))}"'
    return (
        f'<label for="{field_id}">{escape(label)}</label>'
        f'<input id="{field_id}" name="{name}" required {attributes}>'
    )


def _complaint(form_id: str, problem: Problem | None) -> str:
    if problem is None:
        return ""
    text = escape(problem.sentence)
    return f'<p class="problem" id="{form_id}-problem" role="alert">{text}</p>'


def _facts(session: Session, now: datetime) -> str:
    assert session.user is not None
    rotated = "rotated once" if session.generation == 1 else f"rotated {session.generation} times"
    rows = (
        ("User", session.user.name or "", "session.user.name"),
        ("E-mail", session.user.email or "", "session.user.email"),
        (
            "Expires",
            f"in {span_in_words(session.expires_at - now)}, {instant_in_words(session.expires_at)}",
            "session.expires_at",
        ),
        (
            "Token",
            f"generation {session.generation}, {rotated if session.generation else 'new'}",
            "session.generation",
        ),
        ("Device", session.device, "session.device"),
        ("Address", session.ip_address or "unknown", "session.ip_address"),
        ("Signed in", time_ago(session.authenticated_at, now), "session.authenticated_at"),
    )
    return "".join(
        (
            '<dl class="facts">',
            *(
                f"<div><dt>{escape(label)}</dt><dd><bdi>{escape(value)}</bdi></dd>"
                f'<dd class="source"><code>{escape(source)}</code></dd></div>'
                for label, value, source in rows
            ),
            "</dl>",
        )
    )


def _session_item(session: Session, now: datetime, *, is_own: bool) -> str:
    device = escape(session.device)
    address = escape(session.ip_address or "address unknown")
    signed_in, seen = (
        f'<time datetime="{instant:%Y-%m-%dT%H:%M:%SZ}" title="{instant_in_words(instant)}">'
        f"{time_ago(instant, now)}</time>"
        for instant in (session.created_at, session.last_seen_at)
    )
    if is_own:
        action = '<span class="badge">this browser</span>'
    else:
        action = f"""
            <form method="post" action="/sessions/end">
              <input type="hidden" name="session" value="{escape(session.id)}">
              <button class="quiet" aria-label="End the session of {device}, {address}">End</button>
            </form>"""
    return f"""
            <li><div><strong>{device}</strong><span class="detail">{address}
              · signed in {signed_in} · last seen {seen}</span></div>{action}</li>"""


def _hint() -> str:
    return """<p class="hint">Sign in from another browser, or a private window, and it shows up
          here; you can end it from this page.</p>"""


def _notice(notice: str | None, *, among: tuple[str, ...]) -> str:
    return _status(NOTICES[notice]) if notice in among else ""


def _status(text: str) -> str:
    return f'<p class="notice" role="status">{escape(text)}</p>'


def _page(title: str, main: str) -> str:
    return f"""<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>{escape(title)} · wsgi-sessions quickstart</title>
    <link rel="icon" href="/icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/style.css">
  </head>
  <body>
    <header><a href="/"><img src="/icon.svg" alt="" width="28" height="28">
      wsgi-sessions <span>quickstart</span></a></header>
    <main>{main}</main>
    <footer>The same sessions as JSON: <a href="/api/auth/get-session"
      >/api/auth/get-session</a></footer>
  </body>
</html>
"""
