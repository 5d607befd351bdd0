"""What every framework's example shows: three pages as HTML, and text that is streamed.

Must not let a value in unescaped.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from html import escape
from typing import Any

_FRAME = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ max-width: 30rem; margin: 3rem auto; padding: 0 1rem; overflow-wrap: anywhere }}
body, input, button {{ font: 1rem/1.6 system-ui, sans-serif }}
input, button {{ display: block; width: 100%; min-height: 2.75rem; margin-bottom: 0.75rem }}
</style>
<h1>{heading}</h1>
{body}
</html>
"""
_FORM = '<form method="post" action="{action}">{fields}\n<button>{label}</button></form>'
_NAME = '\n<label>Name <input name="name" autocomplete="name" required></label>'
_EMAIL = (
    '\n<label>E-mail <input name="email" type="email" autocomplete="username" required></label>'
)
_PASSWORD = (
    '\n<label>Password <input name="password" type="password" autocomplete="{}" required></label>'
)


def entrance(*, csrf_field: str = "") -> str:
    """Return the page on which visitors sign in or up; ``csrf_field`` is HTML."""
    known = csrf_field + _EMAIL + _PASSWORD.format("current-password")
    new = csrf_field + _NAME + _EMAIL + _PASSWORD.format("new-password")
    sign_in = _FORM.format(action="/sign-in", fields=known, label="Sign in")
    sign_up = _FORM.format(action="/sign-up", fields=new, label="Sign up")
    return _FRAME.format(
        title="Sign in", heading="Sign in", body=f"{sign_in}\n<h2>New here?</h2>\n{sign_up}"
    )


def account(name: str, *, csrf_field: str = "") -> str:
    """Return the page that signed-in users see."""
    sign_out = _FORM.format(action="/sign-out", fields=csrf_field, label="Sign out")
    body = f"<p>This page is for people who are signed in.</p>\n{sign_out}"
    # In a box of its own, so that right-to-left text and its marks stay in there.
    greeting = f"Hello, <bdi>{escape(name)}</bdi>!"
    return _FRAME.format(title="Your account", heading=greeting, body=body)


def error(title: str, text: str) -> str:
    """Return a page of the application's own for what went wrong."""
    body = f'<p>{escape(text)}</p>\n<p><a href="/">To the front page</a></p>'
    return _FRAME.format(title=escape(title), heading=escape(title), body=body)


def count_visit(data: MutableMapping[str, Any]) -> str:
    """Count one visit more in the session's data, and say how many there were."""
    data["visits"] = data.get("visits", 0) + 1
    return f"visits: {data['visits']}"


def stream(data: MutableMapping[str, Any]) -> Iterator[bytes]:
    """Send a text in parts, and note in the session's data what has been sent."""
    for word in ("one ", "two"):
        yield word.encode()
        data["sent"].append(word.strip())
