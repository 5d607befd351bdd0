"""Which pages may ask for a change, read an answer, or be returned to: those of trusted origins."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from ..config.settings import SessionConfig
from ..errors import InvalidValueError, RefusedError
from ..request_errors import (
    CrossSiteNavigationError,
    InvalidCallbackUrlError,
    InvalidOriginError,
    MissingOriginError,
)
from ..transport.client_address import read_client
from ..transport.environ import REQUEST_KEY
from ..transport.response_headers import HeaderLines
from ..wsgi.refusals import report_refusal

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Check = Callable[..., None]

END_REASON_HEADER = "X-Session-End-Reason"
"""Tells who brings a token of a session that is over why that is so."""

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([^\s/?#@\\]*)(?=[/?#]|\Z)", re.IGNORECASE)
# A path without "." and "..", which browsers resolve: "/.//evil.example" becomes "//evil.example".
_DOTS = r"(?:[^?#]*/)?(?:\.|%2e){1,2}(?:[/?#]|\Z)"
_RELATIVE_URL = re.compile(rf"/(?![/\\]|%2f|%5c|{_DOTS})[!-\[\]-~]*", re.IGNORECASE)
_ABSOLUTE_URL = re.compile(r"[!-\[\]-~]+")
_LABEL = re.compile(r"[a-z0-9_-]+")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_MAX_URL_LENGTH = 2048
# A host name has at most 253 characters (RFC 1035).
_MAX_ORIGIN_CHARACTERS = 300


def _reported(check: Check) -> Check:
    """Have a check report what it refuses with 403."""

    @wraps(check)
    def checked(environ: WSGIEnvironment, *args: Any) -> None:
        try:
            check(environ, *args)
        except RefusedError as error:
            if REQUEST_KEY in environ and error.status == HTTPStatus.FORBIDDEN:
                report_refusal(environ[REQUEST_KEY], error)
            raise

    return checked


@_reported
def check_origin(environ: WSGIEnvironment, config: SessionConfig) -> None:
    """Refuse a change that a page of an untrusted origin may have asked for.

    ``Sec-Fetch-Site: same-origin`` comes from a page of this site: no script can set that
    header, and it is right whatever scheme and host the server sees behind a proxy. Otherwise
    ``Origin`` (or ``Referer``) must be trusted if it is sent, and must be sent with cookies and
    wherever the browser names another site. A program that sends none of these passes.
    """
    site = _fetch_metadata(environ, "SITE")
    if site == "same-origin":
        return
    has_cookies = bool(environ.get("HTTP_COOKIE"))
    is_navigation = _fetch_metadata(environ, "MODE") == "navigate"
    if site == "cross-site" and is_navigation and not has_cookies:
        # Even a form of a trusted origin could sign the browser in as somebody else.
        raise CrossSiteNavigationError
    source = environ.get("HTTP_ORIGIN") or environ.get("HTTP_REFERER") or ""
    if source == "null" or (not source and (has_cookies or site not in ("", "none"))):
        raise MissingOriginError
    if source and not is_trusted_origin(environ, source, config):
        raise InvalidOriginError


def is_trusted_origin(environ: WSGIEnvironment, url: str, config: SessionConfig) -> bool:
    """Return whether a URL or origin is the server's own, or of ``trusted_origins``."""
    origin = _origin_of(url)
    if origin is None:
        return False
    return origin == _own_origin(environ, config) or _is_listed(origin, config)


def cors_headers(environ: WSGIEnvironment, config: SessionConfig) -> HeaderLines:
    """Return the headers that let pages of trusted origins read an answer (Fetch, 3.2)."""
    headers = [("Vary", "Origin")]
    # In its normal form: a browser sends that, and nothing else can be hidden in it.
    origin = _origin_of(environ.get("HTTP_ORIGIN", ""))
    if origin is not None and is_trusted_origin(environ, origin, config):
        headers += [
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
            (
                "Access-Control-Expose-Headers",
                f"Retry-After, X-Retry-After, {END_REASON_HEADER}",
            ),
        ]
    return headers


@_reported
def check_callback_url(environ: WSGIEnvironment, url: object, config: SessionConfig) -> None:
    """Refuse a URL that would send the browser to an untrusted origin (an open redirect)."""
    if url is None or url == "":
        return
    if not isinstance(url, str):
        raise InvalidValueError(f"callbackURL is text, not {type(url).__name__}")
    # What a link in a mail may lead to, too: a proxy may hide the host and scheme of ``site_url``.
    is_known = _may_be_mailed(url, config) or (
        _is_absolute(url) and is_trusted_origin(environ, url, config)
    )
    if not is_known:
        raise InvalidCallbackUrlError


def check_mailed_url(url: str | None, config: SessionConfig) -> None:
    """Refuse a URL to which a link in a mail must not lead.

    The host that the request names does not count: whoever sent it may not be who gets the mail.
    """
    if url and not _may_be_mailed(url, config):
        raise InvalidCallbackUrlError


def _may_be_mailed(url: str, config: SessionConfig) -> bool:
    if _is_path(url):
        return True
    origin = _origin_of(url) if _is_absolute(url) else None
    return origin is not None and (
        origin == _origin_of(config.site_url or "") or _is_listed(origin, config)
    )


def _is_path(url: str) -> bool:
    return len(url) <= _MAX_URL_LENGTH and _RELATIVE_URL.fullmatch(url) is not None


def _is_absolute(url: str) -> bool:
    return len(url) <= _MAX_URL_LENGTH and _ABSOLUTE_URL.fullmatch(url) is not None


def _is_listed(origin: str, config: SessionConfig) -> bool:
    plain, patterns = _read_patterns(tuple(config.trusted_origins))
    return origin in plain or any(map(_parts_of(origin).is_of, patterns))


def _fetch_metadata(environ: WSGIEnvironment, name: str) -> str:
    """Return a Fetch Metadata header, which no script can set; "" from what sends none."""
    value: str = environ.get(f"HTTP_SEC_FETCH_{name}", "")
    return value.strip().lower()


def _own_origin(environ: WSGIEnvironment, config: SessionConfig) -> str | None:
    client = read_client(environ, config.trusted_proxies)
    # A site whose cookies are Secure is https to browsers, also where a proxy ends TLS.
    is_https = client.is_https or config.cookie.secure is True
    host = client.host or environ.get("HTTP_HOST")
    if not host:
        host = f"{environ.get('SERVER_NAME', '')}:{environ.get('SERVER_PORT', '')}"
    return _origin_of(f"{'https' if is_https else 'http'}://{host}")


def _origin_of(url: str) -> str | None:
    """Return the origin of a URL in its normal form, or None for what has none.

    >>> _origin_of("HTTPS://Example.org:443/login?x#y"), _origin_of("javascript:alert(1)")
    ('https://example.org', None)
    """
    found = _ORIGIN.match(url)
    if found is None or len(found[0]) > _MAX_ORIGIN_CHARACTERS:
        return None
    scheme, host = found[1].lower(), found[2].lower()
    return f"{scheme}://{host.removesuffix(_DEFAULT_PORTS.get(scheme, ':'))}"


class _Origin(NamedTuple):
    """The parts of an origin in normal form; a trusted one may have ``*`` in its host's labels."""

    scheme: str
    labels: tuple[str, ...]
    port: str

    def is_of(self, pattern: _Origin) -> bool:
        if (self.scheme, self.port) != (pattern.scheme, pattern.port):
            return False
        is_as_long = len(self.labels) == len(pattern.labels)
        return is_as_long and all(map(_is_label_of, pattern.labels, self.labels))


@lru_cache(maxsize=32)
def _read_patterns(origins: tuple[str, ...]) -> tuple[frozenset[str], tuple[_Origin, ...]]:
    """Return the trusted origins without a wildcard, in normal form, and those with one."""
    normal_forms = [origin for given in origins if (origin := _origin_of(given)) is not None]
    plain = frozenset(origin for origin in normal_forms if "*" not in origin)
    return plain, tuple(_parts_of(one) for one in normal_forms if one not in plain)


def _parts_of(origin: str) -> _Origin:
    scheme, _, host = origin.partition("://")
    name, _, port = host.partition(":")
    return _Origin(scheme, tuple(name.split(".")), port)


def _is_label_of(pattern: str, label: str) -> bool:
    """Return whether a label matches a pattern, in which ``*`` stands for any text.

    A label is never empty, so ``*`` alone stands for at least one character. The search goes
    from left to right and never back, so its cost is linear in the length of the label.
    """
    first, *between = pattern.split("*")
    if not between:
        return label == pattern
    last = between.pop()
    if _LABEL.fullmatch(label) is None or len(label) < len(first) + len(last):
        return False
    if not (label.startswith(first) and label.endswith(last)):
        return False
    position, end = len(first), len(label) - len(last)
    for part in between:
        found = label.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True
