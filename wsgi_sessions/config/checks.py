"""What single settings take: secrets, cookie attributes, paths, origins, networks and so on.

Each refusal says what was given and what to give instead; none shows any of a secret.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from ..errors import ConfigurationError
from .exempt_paths import is_prefix
from .fields import Kind, choice, duration, each, kind, text
from .networks import Network, normal_network
from .providers import SocialProvider
from .public_suffixes import covers_public_suffix, is_public_suffix

DEFAULT_TABLE_PREFIX = "wsgi_sessions_"
_MIN_SECRET_LENGTH = 32
_MAX_TITLE_LENGTH = 100
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([A-Za-z0-9*._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?")
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_FIELD_TYPE = choice(Literal["string", "number", "boolean"])
_OWN_FIELDS = [
    *["createdAt", "device", "expiresAt", "id", "ipAddress", "token", "updatedAt"],
    *["userAgent", "userId"],
]
_USER_ATTRIBUTE = choice(
    Literal["email", "email_verified", "name", "image", "created_at", "updated_at"]
)


@kind(f"at least {_MIN_SECRET_LENGTH} characters, or a list of such, newest first", read=str)
def secrets(name: str, value: Any) -> tuple[str, ...]:
    remedy = "make one with: python -m wsgi_sessions secret"
    given = (value,) if isinstance(value, str) else value
    if given is None or (isinstance(given, (list, tuple)) and not given):
        raise ConfigurationError(f"{name} is missing; {remedy}")
    if not isinstance(given, (list, tuple)):
        raise ConfigurationError(
            f"{name} is of type {type(value).__name__}; give a string or a list, newest first"
        )
    for secret in given:
        if not isinstance(secret, str):
            raise ConfigurationError(
                f"{name} holds a value of type {type(secret).__name__}; give strings"
            )
        if len(secret) < _MIN_SECRET_LENGTH:
            raise ConfigurationError(
                f"{name} has {len(secret)} characters but needs at least {_MIN_SECRET_LENGTH}; "
                f"{remedy}"
            )
    return tuple(given)


def _check_idle_timeout(name: str, value: timedelta) -> None:
    if value < timedelta(seconds=1):
        raise ConfigurationError(f"{name} is {value}; give at least 1 second, or None")


idle_timeout = duration(bounds="at least 1 second, or None", also=_check_idle_timeout)


def _check_patience(name: str, value: timedelta) -> None:
    # Servers and drivers take no much longer time limits.
    if value > timedelta(days=1):
        raise ConfigurationError(
            f"{name} is {value} but at most a day is taken; a request that waits for longer is "
            "answered to nobody"
        )


patience = duration(bounds="more than 0, at most a day", also=_check_patience)


version = text(r"(?s).*", "a string such as '2'")


# Cookies


def _refuse_prefix(name: str, value: str) -> None:
    if value.lower().startswith(("__host-", "__secure-", "__http-")):
        raise ConfigurationError(
            f"{name} is {value!r}; leave the prefix away, it is added where browsers take it"
        )


cookie_name = text(
    # RFC 9110 section 5.6.2, which RFC 6265 section 4.1.1 takes for cookie names.
    r"[!#$%&'*+.^_`|~0-9A-Za-z-]+",
    "letters, digits and !#$%&'*+-.^_`|~ (RFC 6265)",
    # They drop one whose name and value have over 4096 bytes (RFC 6265bis, section 5.6).
    max_length=256,
    or_else="the cookie is too large for browsers, which drop it",
    also=_refuse_prefix,
)
cookie_path = text(
    r"/[\x21-\x3a\x3c-\x7e]*",
    "a path that starts with '/' and has no ';' or space",
    max_length=1024,
    or_else="browsers pass over it",
)


def _refuse_public_suffix(name: str, value: str) -> None:
    if is_public_suffix(value.removeprefix(".")):
        raise ConfigurationError(
            f"{name} is {value!r}, below which anybody can have a host, so browsers refuse "
            "the cookie; give the domain of your site, or None for the host of the request alone"
        )


cookie_domain = text(
    rf"(?=.{{1,253}}\Z)\.?{_LABEL}(\.{_LABEL})*",
    "a host name such as 'example.org', without scheme, port or path, or None",
    also=_refuse_public_suffix,
)


# Requests


@each("networks or addresses, such as '10.0.0.0/8'")
def networks(name: str, value: Any) -> Network:
    try:
        network = ipaddress.ip_network(value, strict=False) if isinstance(value, str) else value
    except ValueError:
        network = None
    if not isinstance(network, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        networks.refuse_item(name, value)
    return normal_network(network)


@each(
    "scheme and host without a path, such as 'https://app.example.org' or 'https://*.example.org'"
)
def origins(name: str, value: Any) -> str:
    if not isinstance(value, str) or not _ORIGIN.fullmatch(value):
        origins.refuse_item(name, value)
    host = re.sub(r":[0-9]+\Z", "", value.partition("://")[2])
    if "" in host.split(".") or ("*" in host and covers_public_suffix(host)):
        raise ConfigurationError(
            f"{name} holds {value!r}, which could be a host of anybody's; let what a * stands "
            "for be part of a domain of yours, such as 'https://*.example.org', and list hosts "
            "below a public suffix such as 'github.io' one by one"
        )
    return value


@each("the beginning of a path, such as '/static/' or '/health', not a pattern or URL")
def exempt_paths(name: str, value: Any) -> str:
    if isinstance(value, str) and "%" in value:
        raise ConfigurationError(
            f"{name} holds {value!r}; give the path as it reads decoded, without '%'"
        )
    if not isinstance(value, str) or not is_prefix(value):
        exempt_paths.refuse_item(name, value)
    if value == "/":
        raise ConfigurationError(
            f"{name} holds '/', and so every path; leave SessionMiddleware away instead, or "
            "name what is to be exempt"
        )
    return value


mount_path = text(
    # Browsers resolve "." and "..", so nothing would ever be asked for under them.
    r"(/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+",
    "a path such as '/api/auth' that starts with '/' and does not end with one, or None",
)


# The sessions page


@kind("a folder that exists, with the templates in it that take the place of ours, or None")
def templates(name: str, value: Any) -> Any:
    try:
        is_folder = Path(value).is_dir()
    except TypeError:
        is_folder = False
    if not is_folder:
        templates.refuse(name, value)
    return value


@kind(f"a line of 1 to {_MAX_TITLE_LENGTH} characters such as 'Example', or None")
def title(name: str, value: Any) -> Any:
    is_line = isinstance(value, str) and value.strip() and value.isprintable()
    if not is_line or len(value) > _MAX_TITLE_LENGTH:
        title.refuse(name, value)
    return value


page_url = text(
    r"(/(?![/\\])|(?i:https?)://)[!-\[\]-~]*", "a path such as '/sign-in', or an http(s) URL"
)


# Users and tables


def _refuse_sqlite(name: str, value: str) -> None:
    if value.lower().startswith("sqlite_"):
        raise ConfigurationError(
            f"{name} is {value!r}, and SQLite keeps names that begin so to itself; give "
            f"another, such as {DEFAULT_TABLE_PREFIX!r}"
        )


table_prefix = text(
    r"[A-Za-z_][A-Za-z0-9_]*|",
    "letters of ASCII, digits and underscores, not a digit first, such as "
    f"{DEFAULT_TABLE_PREFIX!r}",
    # With our longest name of an index it makes 62 bytes; PostgreSQL cuts names at 63.
    max_length=32,
    or_else="the names of indexes are too long for PostgreSQL",
    also=_refuse_sqlite,
)
user_model = Kind(takes="a Peewee model", check=lambda _, value: value)


@kind(f"a mapping of names to yours; a name is {_USER_ATTRIBUTE.takes}")
def user_attributes(name: str, value: Any) -> Mapping[str, str | None]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"{name} maps our names to those of your user model, such as {{'email': 'mail'}}, and "
            f"is not {value!r}"
        )
    for attribute in value:
        _USER_ATTRIBUTE.check(f"a name in {name}", attribute)
    return value


@kind("names with types, such as {'theme': 'string'}")
def session_fields(name: str, value: Any) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        session_fields.refuse(name, value)
    for field, field_type in value.items():
        if not isinstance(field, str) or not _FIELD.fullmatch(field) or field in _OWN_FIELDS:
            raise ConfigurationError(
                f"{name} holds {field!r}; give a name of letters, digits and _ that is "
                f"none of {', '.join(_OWN_FIELDS)}"
            )
        _FIELD_TYPE.check(f"{name}[{field!r}]", field_type)
    return dict(value)


@kind("a list of google(…), apple(…), microsoft(…) or oidc(…)")
def providers(name: str, values: Any) -> tuple[SocialProvider, ...]:
    if not isinstance(values, (list, tuple)) or not all(
        isinstance(value, SocialProvider) for value in values
    ):
        providers.refuse(name, values)
    names = [provider.name for provider in values]
    for provider in names:
        if names.count(provider) > 1:
            raise ConfigurationError(
                f"{name} names {provider!r} twice; give each a name of its own, or one "
                "provider several client ids"
            )
    if values and find_spec("jwt") is None:
        raise ConfigurationError(
            f"{name} needs PyJWT; install it with pip install 'wsgi-sessions[social]'"
        )
    return tuple(values)
