"""What single settings take: secrets, cookie attributes, paths, origins, networks and so on.

Each refusal says what was given and what to give instead; none shows any of a secret.
"""

from __future__ import annotations

import inspect
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, Literal

from ..errors import ConfigurationError
from ..events import NOTED_EVENTS, TOLD_EVENTS
from .exempt_paths import is_prefix
from .fields import Kind, choice, duration, function, kind, text
from .providers import SocialProvider
from .public_suffixes import covers_public_suffix, is_public_suffix

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_TABLE_PREFIX = "wsgi_sessions_"
_MIN_SECRET_LENGTH = 32
_MIN_DIFFERENT = 8
_MIN_PERIOD = 16
"""What is random is far beyond these two: 32 hexadecimal digits have 14 different ones, about."""
_MAPPED_PREFIX = 96
"""Bits; an IPv6 network with a longer prefix can lie within ``::ffff:0:0/96``, which is IPv4."""
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_FIELD = r"[A-Za-z][A-Za-z0-9_]{0,63}"
_FIELD_TYPE = choice(Literal["string", "number", "boolean"])
_OWN_FIELDS = [
    *["createdAt", "device", "expiresAt", "id", "ipAddress", "lastDevice", "lastIpAddress"],
    *["lastUserAgent", "method", "token", "updatedAt", "userAgent", "userId"],
]
_USER_ATTRIBUTE = choice(
    Literal["email", "email_verified", "name", "image", "created_at", "updated_at"]
)


@kind(f"at least {_MIN_SECRET_LENGTH} characters, or a list of such, newest first", read=str)
def secrets(name: str, value: Any) -> tuple[str, ...]:
    remedy = "make one with: python -m wsgi_sessions secret"
    given = (value,) if isinstance(value, str) else value
    if given is None or (isinstance(given, (list, tuple)) and not given):
        raise ConfigurationError(
            f"{name} is missing; {remedy} and give it as {name}=…, or in WSGI_SESSIONS_SECRET"
        )
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
        # Where it stands for the second time in its double is the length of what it repeats.
        period = (secret * 2).find(secret, 1)
        different = len(set(secret))
        if different < _MIN_DIFFERENT or period < _MIN_PERIOD:
            why = (
                f"has {different} different" if different < _MIN_DIFFERENT else f"repeats {period}"
            )
            raise ConfigurationError(f"{name} {why} characters, so it can be guessed; {remedy}")
    return tuple(given)


idle_timeout = duration(bounds="at least 1 second, or None").refusing(
    lambda value: value < timedelta(seconds=1), "; give at least 1 second, or None"
)
patience = duration(bounds="more than 0, at most a day").refusing(
    # Servers and drivers take no much longer time limits.
    lambda value: value > timedelta(days=1),
    " but at most a day is taken; a request that waits for longer is answered to nobody",
)
version = text(r"(?s).*", "a string such as '2'")


# Cookies

cookie_name = text(
    # RFC 9110 section 5.6.2, which RFC 6265 section 4.1.1 takes for cookie names.
    r"[!#$%&'*+.^_`|~0-9A-Za-z-]+",
    "letters, digits and !#$%&'*+-.^_`|~ (RFC 6265)",
    # They drop one whose name and value have over 4096 bytes (RFC 6265bis, section 5.6).
    max_length=256,
    or_else="the cookie is too large for browsers, which drop it",
).refusing(
    lambda name: name.lower().startswith(("__host-", "__secure-", "__http-")),
    "; leave the prefix away, it is added where browsers take it",
)
cookie_path = text(
    r"/[\x21-\x3a\x3c-\x7e]*",
    "a path that starts with '/' and has no ';' or space",
    max_length=1024,
    or_else="browsers pass over it",
)
cookie_domain = text(
    rf"(?=.{{1,253}}\Z)\.?{_LABEL}(\.{_LABEL})*",
    "a host name such as 'example.org', without scheme, port or path, or None",
).refusing(
    lambda domain: is_public_suffix(domain.removeprefix(".")),
    ", below which anybody can have a host, so browsers refuse the cookie; give the domain of "
    "your site, or None for the host of the request alone",
)


# Requests


def _is_network(value: Any) -> bool:
    try:
        return isinstance(value, Network) or (
            isinstance(value, str) and bool(ipaddress.ip_network(value, strict=False))
        )
    except ValueError:
        return False


@kind("networks or addresses, such as '10.0.0.0/8'", fits=_is_network, is_list=True)
def networks(_: str, value: str | Network) -> Network:
    """Return the IPv4 network that a mapped IPv6 one means, and any other as it is."""
    network = ipaddress.ip_network(value, strict=False)
    if isinstance(network, ipaddress.IPv4Network) or network.prefixlen < _MAPPED_PREFIX:
        return network
    mapped = network.network_address.ipv4_mapped
    if mapped is None:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_PREFIX))


def _may_be_of_anybody(origin: str) -> bool:
    host = re.sub(r":[0-9]+\Z", "", origin.partition("://")[2])
    return "" in host.split(".") or ("*" in host and covers_public_suffix(host))


origins = replace(
    text(
        r"[a-z][a-z0-9+.-]*://([A-Za-z0-9*._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?",
        "scheme and host without a path, such as 'https://app.example.org' or "
        "'https://*.example.org'",
    ),
    is_list=True,
).refusing(
    _may_be_of_anybody,
    ", which could be a host of anybody's; let what a * stands for be part of a domain of yours, "
    "such as 'https://*.example.org', and list hosts below a public suffix such as 'github.io' "
    "one by one",
)
exempt_paths = (
    Kind(
        takes="the beginning of a path, such as '/static/' or '/health', not a pattern or URL",
        fits=lambda value: isinstance(value, str) and ("%" in value or is_prefix(value)),
        is_list=True,
    )
    .refusing(lambda path: "%" in path, "; give the path as it reads decoded, without '%'")
    .refusing(
        lambda path: path == "/",
        ", and so every path; leave SessionMiddleware away instead, or name what is to be exempt",
    )
)
mount_path = text(
    # Browsers resolve "." and "..", so nothing would ever be asked for under them.
    r"(/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+",
    "a path such as '/api/auth' that starts with '/' and does not end with one, or None",
)


# The sessions page


def _is_folder(value: Any) -> bool:
    from pathlib import Path

    try:
        return Path(value).is_dir()
    except TypeError:
        return False


templates = Kind(
    takes="a folder that exists, with the templates in it that take the place of ours, or None",
    fits=_is_folder,
)
title = Kind(
    takes="a line of 1 to 100 characters such as 'Example', or None",
    fits=lambda value: (
        isinstance(value, str) and value.isprintable() and bool(value.strip()) and len(value) <= 100
    ),
)
page_url = text(
    r"(/(?![/\\])|(?i:https?)://)[!-\[\]-~]*", "a path such as '/sign-in', or an http(s) URL"
)
report_url = text(
    # None of the characters that end a directive or a quoted string.
    r"(/(?!/)|https?://)[!#-+\--:<-\[\]-~]*",
    "a path such as '/reports', or an http(s) URL, without quotes, ',' and ';'",
)
site_data = Kind(
    takes="'cache' or 'storage'",
    fits=lambda value: value in ("cache", "storage", "cookies", "*"),
    is_list=True,
).refusing(
    lambda value: value in ("cookies", "*"),
    ", which takes all cookies of the domain away, those of other hosts too; give 'cache' or "
    "'storage', as our own cookies are cleared anyway",
)


# Passwords

context_words = replace(
    text(
        r"(?s)([\W_]*[^\W_]){4}.*",
        "words of four letters or more, such as 'Example'",
        max_length=100,
        or_else="the words of it one by one",
    ),
    is_list=True,
)
breach_check = Kind(
    takes="a function that takes a password and returns whether it is known from a breach, or None",
    fits=callable,
).refusing(
    inspect.iscoroutinefunction,
    ", whose coroutine would say that every password is known; give a function without async",
)


# Mail

site_url = text(
    r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*",
    "an http(s) URL without a '/' at its end, such as 'https://app.example.org'",
)
send = function("kind, user, url and token", count=4)


# Events

kept_events = Kind(
    takes=f"names of events that can be kept: {', '.join((*TOLD_EVENTS, *NOTED_EVENTS))}",
    fits=lambda value: value in (*TOLD_EVENTS, *NOTED_EVENTS),
    is_list=True,
)


# Users and tables

sign_up_check = function(
    "email, name and provider by name, and returns None or a text",
    names=("email", "name", "provider"),
)

table_prefix = text(
    r"[A-Za-z_][A-Za-z0-9_]*|",
    "letters of ASCII, digits and underscores, not a digit first, such as "
    f"{DEFAULT_TABLE_PREFIX!r}",
    # With our longest name of an index it makes 62 bytes; PostgreSQL cuts names at 63.
    max_length=32,
    or_else="the names of indexes are too long for PostgreSQL",
).refusing(
    lambda prefix: prefix.lower().startswith("sqlite_"),
    ", and SQLite keeps names that begin so to itself; give another, such as "
    f"{DEFAULT_TABLE_PREFIX!r}",
)
user_model = Kind(takes="a Peewee model")


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


@kind(
    "names with types, such as {'theme': 'string'}", fits=lambda value: isinstance(value, Mapping)
)
def session_fields(name: str, value: Mapping[Any, Any]) -> Mapping[str, str]:
    for field, field_type in value.items():
        if not isinstance(field, str) or not re.fullmatch(_FIELD, field) or field in _OWN_FIELDS:
            raise ConfigurationError(
                f"{name} holds {field!r}; give a name of letters, digits and _ that is "
                f"none of {', '.join(_OWN_FIELDS)}"
            )
        _FIELD_TYPE.check(f"{name}[{field!r}]", field_type)
    return dict(value)


def _are_providers(values: Any) -> bool:
    return isinstance(values, (list, tuple)) and all(
        isinstance(value, SocialProvider) for value in values
    )


@kind("a list of google(…), apple(…), microsoft(…) or oidc(…)", fits=_are_providers)
def providers(name: str, values: list[SocialProvider]) -> tuple[SocialProvider, ...]:
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
