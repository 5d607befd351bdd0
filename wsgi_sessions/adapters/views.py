"""What the views of every framework need: refusals as HTTP answers, and safe forms and links."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import quote

from ..api.guard import check_callback_url, check_origin
from ..errors import RefusedError
from ..transport.environ import asks_for_json, find_environ, get_request

T = TypeVar("T")

# RFC 3986, sections 3.3 and 3.4; a query comes encoded already.
_PATH_SAFE = "/:@!$&'()*+,;="
_QUERY_SAFE = _PATH_SAFE + "?%"


def is_program(source: Any) -> bool:
    """Return whether a request is a program's (401) or a person's (sent to the sign-in page).

    A program asks for JSON and not for HTML, or calls itself ``XMLHttpRequest``.
    """
    return asks_for_json(find_environ(source))


def ask(get: Callable[[Any], T], source: Any, *, setup: str) -> T:
    """Return what ``get`` finds for a request; ``setup`` says how the framework's app is wrapped.

    Raises ``LookupError`` with that advice where no middleware has seen the request.
    """
    try:
        return get(source)
    except LookupError:
        raise LookupError(
            f"this request has no session; {setup}, and see that exempt_paths does not name "
            "this path"
        ) from None


def read_fresh_option(option: Any) -> tuple[bool, timedelta | int | None]:
    """Return whether a route's ``fresh_login_required`` asks for a proof, and for how recent a one.

    The option is True, False or None, or a time, of which 0 asks for the most.

    >>> read_fresh_option(True), read_fresh_option(0), read_fresh_option(None)
    ((True, None), (True, 0), (False, None))
    """
    return option is not None and option is not False, None if option is True else option


def path_and_query(source: Any) -> str:
    """Return where a request went, encoded as the browser sent it (PEP 3333: by latin-1).

    >>> path_and_query({"SCRIPT_NAME": "/app", "PATH_INFO": "/a b", "QUERY_STRING": "c=d%26e"})
    '/app/a%20b?c=d%26e'
    """
    environ = find_environ(source)
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    query = environ.get("QUERY_STRING", "")
    url = quote(path, safe=_PATH_SAFE, encoding="latin-1")
    return f"{url}?{quote(query, safe=_QUERY_SAFE, encoding='latin-1')}" if query else url


def check_form_origin(source: Any) -> None:
    """Refuse a form that a page of another site sent; ``source`` is a request or its environ.

    For views that take forms and have no CSRF protection of their own. Raises
    ``RefusedError`` (403) unless ``Origin`` or ``Referer`` is this site's or is among
    ``trusted_origins``; a program that sends neither, and no cookie, passes.
    """
    environ: Any = find_environ(source)
    check_origin(environ, get_request(environ).manager.config)


def safe_next(source: Any, url: str | None, *, default: str = "/") -> str:
    """Return where to go after a sign-in: ``url`` if it leads here, or else ``default``.

    Takes a path of this site, or a URL of its own origin or of ``trusted_origins``.
    """
    environ: Any = find_environ(source)
    config = get_request(environ).manager.config
    try:
        check_callback_url(environ, url, config)
    except RefusedError:
        return default
    return url or default
