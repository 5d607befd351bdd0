"""Checks of single settings; each says what was given, what is allowed and what to do.

Must not know how settings relate to each other, and never shows a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from .providers import SocialProvider
from .public_suffixes import covers_public_suffix, is_public_suffix

__all__ = [
    "DEFAULT_TABLE_PREFIX",
    "check_api_path",
    "check_choice",
    "check_cookie_name",
    "check_cookie_path",
    "check_count",
    "check_domain",
    "check_flag",
    "check_origin",
    "check_page_url",
    "check_providers",
    "check_secrets",
    "check_session_fields",
    "check_table_prefix",
    "check_templates",
    "check_title",
    "duration",
]

DEFAULT_TABLE_PREFIX = "wsgi_sessions_"
_MAX_TABLE_PREFIX = 32
"""With our longest name of an index it makes 62 bytes; PostgreSQL cuts names at 63."""
_TABLE_PREFIX = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|")
_MIN_SECRET = 32
# RFC 9110 section 5.6.2, which RFC 6265 section 4.1.1 takes for cookie names.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MAX_COOKIE_NAME = 256
"""Browsers drop a cookie whose name and value have over 4096 bytes (RFC 6265bis, section 5.6)."""
_MAX_COOKIE_ATTRIBUTE = 1024
"""They pass over an attribute whose value is longer (section 5.6, too)."""
_DOMAIN = re.compile(
    r"\.?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_ORIGIN = re.compile(
    r"[a-z][a-z0-9+.-]*://[A-Za-z0-9*._-]+(:[0-9]{1,5})?|[a-z][a-z0-9+.-]*://\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?"
)
_LONGEST = timedelta(days=36500)
_MAX_TITLE_LENGTH = 100
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_FIELD_TYPES = ("string", "number", "boolean")
_FIELDS_OF_OURS = frozenset(
    {
        "id",
        "token",
        "userId",
        "expiresAt",
        "createdAt",
        "updatedAt",
        "ipAddress",
        "userAgent",
        "device",
    }
)


def duration(name: str, value: Any, *, may_be_zero: bool = False) -> timedelta:
    """Return a ``timedelta`` or whole seconds as a ``timedelta``, above zero."""
    if isinstance(value, bool) or not isinstance(value, (int, timedelta)):
        raise ConfigurationError(
            f"{name} is {value!r}; give a timedelta or whole seconds, such as 3600"
        )
    if isinstance(value, int) and abs(value) > _LONGEST.total_seconds():
        raise ConfigurationError(f"{name} is {value} seconds; at most 100 years are taken")
    given = timedelta(seconds=value) if isinstance(value, int) else value
    if given > _LONGEST:
        raise ConfigurationError(f"{name} is {given}; at most 100 years are taken")
    smallest = timedelta(0) if may_be_zero else timedelta(milliseconds=1)
    if given < smallest:
        bound = "0 or more" if may_be_zero else "more than 0"
        raise ConfigurationError(f"{name} is {given} but must be {bound}; give a longer duration")
    return given


def check_flag(name: str, value: Any, *, also: str = "") -> None:
    """Raise unless a value is True or False."""
    if not isinstance(value, bool):
        allowed = f"True, False or {also}" if also else "True or False"
        raise ConfigurationError(f"{name} is {value!r}; give {allowed}")


def check_table_prefix(value: Any) -> None:
    """Raise unless a value can stand before the names of our tables and indexes."""
    if not isinstance(value, str) or not _TABLE_PREFIX.fullmatch(value):
        raise ConfigurationError(
            f"table_prefix is {value!r}; give letters of ASCII, digits and underscores, not a "
            f"digit first, such as {DEFAULT_TABLE_PREFIX!r}"
        )
    if value.lower().startswith("sqlite_"):
        raise ConfigurationError(
            f"table_prefix is {value!r}, and SQLite keeps names that begin so to itself; give "
            f"another, such as {DEFAULT_TABLE_PREFIX!r}"
        )
    if len(value) > _MAX_TABLE_PREFIX:
        raise ConfigurationError(
            f"table_prefix has {len(value)} characters; give at most {_MAX_TABLE_PREFIX}, "
            "or the names of indexes are too long for PostgreSQL"
        )


def check_choice(name: str, value: Any, allowed: Sequence[str]) -> None:
    """Raise unless a value is one of some words."""
    if not isinstance(value, str) or value not in allowed:
        words = ", ".join(repr(word) for word in allowed)
        raise ConfigurationError(f"{name} is {value!r}; give one of {words}")


def check_count(name: str, value: Any, *, at_least: int, at_most: int | None = None) -> None:
    """Raise unless a value is a whole number within bounds."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or value < at_least or (at_most is not None and value > at_most):
        bound = f"{at_least} or more" if at_most is None else f"between {at_least} and {at_most}"
        raise ConfigurationError(f"{name} is {value!r}; give a whole number, {bound}")


def check_secrets(value: Any) -> tuple[str, ...]:
    """Return the server secrets, newest first; no message shows any of one."""
    remedy = "make one with: python -m wsgi_sessions secret"
    secrets = (value,) if isinstance(value, str) else value
    if secrets is None or (isinstance(secrets, (list, tuple)) and not secrets):
        raise ConfigurationError(f"secret is missing; {remedy}")
    if not isinstance(secrets, (list, tuple)):
        raise ConfigurationError(
            f"secret is of type {type(value).__name__}; give a string or a list, newest first"
        )
    for secret in secrets:
        if not isinstance(secret, str):
            raise ConfigurationError(
                f"secret holds a value of type {type(secret).__name__}; give strings"
            )
        if len(secret) < _MIN_SECRET:
            raise ConfigurationError(
                f"secret has {len(secret)} characters but needs at least {_MIN_SECRET}; {remedy}"
            )
    return tuple(secrets)


def check_cookie_name(name: str, value: Any) -> None:
    """Raise unless a value is a cookie name (RFC 6265) without a prefix of its own."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ConfigurationError(
            f"{name} is {value!r}; give letters, digits and !#$%&'*+-.^_`|~ (RFC 6265)"
        )
    if len(value) > _MAX_COOKIE_NAME:
        raise ConfigurationError(
            f"{name} has {len(value)} characters; give at most {_MAX_COOKIE_NAME}, or the "
            "cookie is too large for browsers, which drop it"
        )
    if value.lower().startswith(("__host-", "__secure-", "__http-")):
        raise ConfigurationError(
            f"{name} is {value!r}; leave the prefix away, it is added where browsers take it"
        )


def check_cookie_path(value: Any) -> None:
    """Raise unless a value can be a cookie's Path attribute."""
    if not isinstance(value, str) or not re.fullmatch(r"/[\x21-\x3a\x3c-\x7e]*", value):
        raise ConfigurationError(
            f"cookie.path is {value!r}; give a path that starts with '/' and has no ';' or space"
        )
    if len(value) > _MAX_COOKIE_ATTRIBUTE:
        raise ConfigurationError(
            f"cookie.path has {len(value)} characters; give at most {_MAX_COOKIE_ATTRIBUTE}, "
            "or browsers pass over it"
        )


def check_domain(value: Any) -> None:
    """Raise unless a value can be a cookie's Domain attribute."""
    if not isinstance(value, str) or len(value) > 253 or not _DOMAIN.fullmatch(value):
        raise ConfigurationError(
            f"cookie.domain is {value!r}; give a host name such as 'example.org', without scheme, "
            "port or path, or None"
        )
    if is_public_suffix(value.removeprefix(".")):
        raise ConfigurationError(
            f"cookie.domain is {value!r}, below which anybody can have a host, so browsers refuse "
            "the cookie; give the domain of your site, or None for the host of the request alone"
        )


def check_api_path(name: str, value: Any) -> None:
    """Raise unless a value is a path to mount under, such as ``/api/auth``."""
    # Browsers resolve "." and "..", so nothing would ever be asked for under them.
    is_path = isinstance(value, str) and re.fullmatch(
        r"(/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+", value
    )
    if not is_path:
        raise ConfigurationError(
            f"{name} is {value!r}; give a path such as '/api/auth' that starts with '/' and "
            "does not end with one, or None"
        )


def check_origin(name: str, value: Any) -> str:
    """Return an origin such as ``https://*.example.org``; raise if a value is none."""
    if not isinstance(value, str) or not _ORIGIN.fullmatch(value):
        raise ConfigurationError(
            f"{name} holds {value!r}; give scheme and host without a path, such as "
            "'https://app.example.org' or 'https://*.example.org'"
        )
    host = re.sub(r":[0-9]+\Z", "", value.partition("://")[2])
    if "" in host.split(".") or ("*" in host and covers_public_suffix(host)):
        raise ConfigurationError(
            f"{name} holds {value!r}, which could be a host of anybody's; let what a * stands "
            "for be part of a domain of yours, such as 'https://*.example.org', and list hosts "
            "below a public suffix such as 'github.io' one by one"
        )
    return value


def check_templates(value: Any) -> None:
    """Raise unless a value is a folder of templates that take the place of ours."""
    try:
        is_folder = Path(value).is_dir()
    except TypeError:
        is_folder = False
    if not is_folder:
        raise ConfigurationError(
            f"pages_templates is {value!r}; give a folder that exists, with the templates in it "
            "that take the place of ours, or None"
        )


def check_page_url(name: str, value: Any) -> None:
    """Raise unless a value can be linked to and sent as a Location: a path or a page elsewhere."""
    is_url = isinstance(value, str) and re.fullmatch(
        r"(/(?![/\\])|https?://)[!-\[\]-~]*", value, re.IGNORECASE
    )
    if not is_url:
        raise ConfigurationError(
            f"{name} is {value!r}; give a path such as '/sign-in', or an http(s) URL"
        )


def check_title(name: str, value: Any) -> None:
    """Raise unless a value is a short line of text that can be shown."""
    is_line = isinstance(value, str) and value.strip() and value.isprintable()
    if not is_line or len(value) > _MAX_TITLE_LENGTH:
        raise ConfigurationError(
            f"{name} is {value!r}; give a line of 1 to {_MAX_TITLE_LENGTH} characters such as "
            "'Example', or None"
        )


def check_providers(values: Any) -> tuple[SocialProvider, ...]:
    """Return the declared providers; raise if a name is there twice or their extra is not."""
    if not isinstance(values, (list, tuple)) or not all(
        isinstance(value, SocialProvider) for value in values
    ):
        raise ConfigurationError(
            f"social_providers is {values!r}; give a list of google(…), apple(…), microsoft(…) "
            "or oidc(…)"
        )
    names = [provider.name for provider in values]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(
                f"social_providers names {name!r} twice; give each a name of its own, or one "
                "provider several client ids"
            )
    if values and find_spec("jwt") is None:
        raise ConfigurationError(
            "social_providers needs PyJWT; install it with pip install 'wsgi-sessions[social]'"
        )
    return tuple(values)


def check_session_fields(value: Any) -> Mapping[str, str]:
    """Return the additional session fields, by name, with the type of each."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"session_fields is {value!r}; give names with types, such as {{'theme': 'string'}}"
        )
    for name, kind in value.items():
        if not isinstance(name, str) or not _FIELD.fullmatch(name) or name in _FIELDS_OF_OURS:
            raise ConfigurationError(
                f"session_fields holds {name!r}; give a name of letters, digits and _ that is "
                f"none of {', '.join(sorted(_FIELDS_OF_OURS))}"
            )
        check_choice(f"session_fields[{name!r}]", kind, _FIELD_TYPES)
    return dict(value)
