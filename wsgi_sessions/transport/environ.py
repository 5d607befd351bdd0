"""What a WSGI environ says of a request, and the keys under which applications find the session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..config.settings import SessionConfig
from ..records import EndReason, RequestFacts
from .client_address import normal_address, read_client

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from ..parts import Parts
    from ..sessions.session import Session, User
    from ..wsgi.request import SessionRequest

SESSION_KEY = "wsgi_sessions.session"
USER_KEY = "wsgi_sessions.user"
REQUEST_KEY = "wsgi_sessions.request"
END_REASON_KEY = "wsgi_sessions.end_reason"

ENVIRON_KEYS: Mapping[str, str] = {
    SESSION_KEY: "The live `Session`, or `None` for a visitor.",
    USER_KEY: "The signed-in `User`, or `None`.",
    REQUEST_KEY: "The `SessionRequest`, with which the application signs in and out.",
    END_REASON_KEY: "Why the session that this browser held is over, when it just ended.",
}
"""Each key and what stands there."""

MAX_SHORT_BODY_BYTES = 65_536
"""A request with a longer body may have been sent minutes ago."""

MAX_USER_AGENT_CHARACTERS = 512
HTTPS_SCHEMES = ("https", "wss")
"""What ``wsgi.url_scheme`` is if the server was asked over TLS."""
_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


def read_facts(environ: Mapping[str, Any], config: SessionConfig) -> RequestFacts:
    """Collect what a request says of itself; nothing a client sends makes this fail."""
    if config.trusted_proxies:
        address, is_https, _ = read_client(environ, config.trusted_proxies)
    else:
        # Both come from the server alone.
        address = normal_address(environ.get("REMOTE_ADDR") or "")
        is_https = environ.get("wsgi.url_scheme") in HTTPS_SCHEMES
    user_agent = environ.get("HTTP_USER_AGENT")
    if user_agent is not None:
        user_agent = user_agent[:MAX_USER_AGENT_CHARACTERS]
    method, path = environ.get("REQUEST_METHOD", "GET"), environ.get("PATH_INFO", "")
    return RequestFacts(address, user_agent, is_https, method, path, _has_long_body(environ))


def _has_long_body(environ: Mapping[str, Any]) -> bool:
    """Return whether a request may have been sent minutes ago, as its body took that long.

    So may one with a body of over 65,536 bytes, or of unknown length: chunked, or over HTTP/2
    to a server that sets ``wsgi.input_terminated``. gunicorn sets that on every request, so it
    counts for POST, PUT and PATCH alone: others without a length have no body (RFC 9112,
    section 6.3).
    """
    length = environ.get("CONTENT_LENGTH")
    if length:
        # Many digits are not read as a number: that could take long.
        return (
            isinstance(length, str)
            and length.isdecimal()
            and (len(length) > 12 or int(length) > MAX_SHORT_BODY_BYTES)
        )
    if environ.get("HTTP_TRANSFER_ENCODING"):
        return True
    return (
        environ.get("wsgi.input_terminated") is True
        and environ.get("REQUEST_METHOD") in _METHODS_WITH_BODY
    )


def without_sessions(environ: dict[str, Any]) -> dict[str, Any]:
    if REQUEST_KEY not in environ:
        return environ
    return {key: value for key, value in environ.items() if key not in ENVIRON_KEYS}


def asks_for_json(environ: Mapping[str, Any]) -> bool:
    """Return whether a request asks for JSON and not for HTML, or calls itself XMLHttpRequest."""
    accepts = environ.get("HTTP_ACCEPT", "").lower()
    return environ.get("HTTP_X_REQUESTED_WITH", "").lower() == "xmlhttprequest" or (
        "application/json" in accepts and "text/html" not in accepts
    )


def find_handle(environ: Mapping[str, Any], parts: Parts) -> SessionRequest | None:
    """Return the ``SessionRequest`` of a manager's parts, also outside that of another manager."""
    handle: Any = environ.get(REQUEST_KEY)
    if not hasattr(handle, "manager"):
        # None, or text: among headers a client can send one of this name.
        return None
    while handle is not None and not parts.is_same_as(handle.manager.parts):
        handle = handle.outer
    found: SessionRequest | None = handle
    return found


def mount_path(environ: WSGIEnvironment) -> str:
    """Return ``SCRIPT_NAME`` as the beginning of a URL's path, "" at the root.

    It starts with one slash, as two would be the name of a host (RFC 3986, section 4.2).

    >>> mount_path({"SCRIPT_NAME": "/my shop"}), mount_path({"SCRIPT_NAME": "//evil.example"})
    ('/my%20shop', '/evil.example')
    >>> mount_path({"SCRIPT_NAME": "/"}), mount_path({})
    ('', '')
    """
    path: str = environ.get("SCRIPT_NAME", "").strip("/")
    return "/" + quote(path.encode("latin-1", "replace")) if path else ""


def find_environ(source: Any) -> Mapping[str, Any]:
    """Return the WSGI environ of a request object, or the mapping itself.

    Knows WebOb, Werkzeug, Django, Pyramid and Bottle (``.environ``) and Falcon (``.env``).
    Raises ``TypeError`` for anything else.
    """
    if isinstance(source, Mapping):
        return source
    for name in ("environ", "env", "META"):
        found = getattr(source, name, None)
        if isinstance(found, Mapping):
            return found
    raise TypeError(
        f"a WSGI environ or a request object is needed, not {type(source).__name__}; "
        "pass environ, or request.environ"
    )


def find_source(source: Any, headers: Any = None) -> Mapping[str, Any]:
    """Return an environ as ``find_environ`` does, or a mapping of headers; only one is given.

    Headers may come as pairs, as ASGI has them, or in what has ``items()`` and is no mapping:
    ``Headers`` of wsgiref and Werkzeug, ``HTTPMessage``.
    """
    if source is not None and headers is not None:
        raise TypeError("give either a request or headers, not both")
    source = headers if source is None else source
    try:
        return find_environ(source)
    except TypeError:
        items = getattr(source, "items", None)
        pairs: Any = source
        if callable(items) and not isinstance(source, type):
            pairs = list(source.items())
        if not isinstance(pairs, (list, tuple)) or not all(
            isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs
        ):
            raise
    return {"Cookie": _join_cookies(pairs)}


def find_cookies(source: Mapping[str, Any]) -> str | None:
    """Return the text of the Cookie header in an environ, or among headers."""
    text: str | None = source.get("HTTP_COOKIE")
    return text if "wsgi.url_scheme" in source else _join_cookies(source.items()) or text


def _join_cookies(pairs: Iterable[tuple[Any, Any]]) -> str:
    # Over HTTP/2 a browser may send several, and "; " joins them (RFC 9113, section 8.2.3).
    return "; ".join(
        line
        for name, value in pairs
        if _text(name).lower() == "cookie"
        for each in (value if isinstance(value, (list, tuple)) else [value])
        if (line := _text(each))
    )


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else ""


def get_session(source: Any) -> Session | None:
    """Return the live session of a request, or None for a visitor.

    Raises ``LookupError`` when no ``SessionMiddleware`` has seen the request, and for a path
    of ``exempt_paths``.
    """
    session: Session | None = _injected(source, SESSION_KEY)
    return session


def get_user(source: Any) -> User | None:
    """Return the signed-in user of a request, or None."""
    user: User | None = _injected(source, USER_KEY)
    return user


def get_request(source: Any) -> SessionRequest:
    """Return the handle with which the app signs in and out within a request."""
    request: SessionRequest = _injected(source, REQUEST_KEY)
    return request


def get_end_reason(source: Any) -> EndReason | None:
    """Return why the session that this browser held is over, when it just ended."""
    reason: EndReason | None = _injected(source, END_REASON_KEY)
    return reason


def _injected(source: Any, key: str) -> Any:
    environ = find_environ(source)
    try:
        return environ[key]
    except KeyError:
        raise LookupError(
            f"{key!r} is not in the environ; wrap the app in SessionMiddleware(app, manager), "
            "and see that exempt_paths does not name this path"
        ) from None
