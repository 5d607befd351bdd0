"""Settings from mappings and from environment variables, by their several spellings.

Must not judge a value: it only finds the setting that is meant and reads text as its type.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ConfigurationError

__all__ = ["PREFIX", "is_production", "naming_variables", "nest", "read_environment"]

PREFIX = "WSGI_SESSIONS_"

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_ENVIRONMENTS = ("production", "development", "testing")
_NOT_FROM_TEXT = frozenset({"user_model", "user_attributes", "session_fields", "social_providers"})


def nest(
    settings: Mapping[str, Any],
    config: type,
    parts: Mapping[str, type] | None = None,
    *,
    prefix: str = "",
) -> dict[str, Any]:
    """Return settings under the names of a dataclass's fields, with text read as their type.

    Takes snake_case and camelCase, dotted names and nested mappings; a part's fields come
    back as a mapping. Raises ``ConfigurationError`` for an unknown name.
    """
    types = field_types(config)
    parts = parts or {}
    known = [*types, *(f"{part}.{name}" for part in parts for name in field_types(parts[part]))]
    found: dict[str, Any] = {}
    for given, value in settings.items():
        if not isinstance(given, str):
            raise ConfigurationError(f"{prefix}{given!r} is no setting; their names are text")
        name = snake_case(given)
        head, _, rest = name.partition(".")
        if rest and head in parts:
            if rest not in field_types(parts[head]):
                raise _unknown(prefix + given, known, prefix)
            part = found[head] = _fields_of(found.get(head, {}))
            part[rest] = read_as(prefix + name, field_types(parts[head])[rest], value)
            continue
        if name not in types:
            raise _unknown(prefix + given, known, prefix)
        if name in parts:
            if isinstance(value, str):
                value = read_as(name, "bool | None", value)
            if isinstance(value, bool) and "enabled" in field_types(parts[name]):
                value = {"enabled": value}
            if isinstance(value, Mapping):
                known_fields = _fields_of(found.get(name, {}))
                value = {**known_fields, **nest(value, parts[name], prefix=f"{name}.")}
            found[name] = value
            continue
        found[name] = read_as(prefix + name, types[name], value)
    return found


def _fields_of(part: Any) -> dict[str, Any]:
    """Return what is known of a part so far, to be added to."""
    if dataclasses.is_dataclass(part):
        return {f.name: getattr(part, f.name) for f in dataclasses.fields(part) if f.init}
    return dict(part) if isinstance(part, Mapping) else {}


def read_environment(
    environ: Mapping[str, str], config: type, parts: Mapping[str, type]
) -> dict[str, Any]:
    """Return what the environment sets, under dotted names; values are still text."""
    variables = {
        _variable_of(name): name for name in field_types(config) if name not in _NOT_FROM_TEXT
    }
    for part, part_type in parts.items():
        for field_name in field_types(part_type):
            name = f"{part}.{field_name}"
            variables[_variable_of(name)] = name
    found: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable == f"{PREFIX}ENV":
            continue
        if variable.startswith(f"{PREFIX}TEST_"):
            continue
        if variable not in variables:
            raise _unknown(variable, list(variables), "")
        found[variables[variable]] = text
    if "secret" in found:
        # A list, newest first, is separated by commas; a single secret may hold some.
        secrets = [part.strip() for part in found["secret"].split(",")]
        if len(secrets) > 1 and all(len(part) >= 32 for part in secrets):
            found["secret"] = secrets
    # A whole part before its fields: COOKIE_CACHE=true, then COOKIE_CACHE_MAX_AGE=60.
    return dict(sorted(found.items()))


def naming_variables(error: ConfigurationError, settings: Iterable[str]) -> ConfigurationError:
    """Return an error that names the variables of those settings that its message speaks of.

    >>> print(naming_variables(ConfigurationError("ip_binding is 'on'"), ["ip_binding"]))
    ip_binding is 'on' (ip_binding comes from WSGI_SESSIONS_IP_BINDING)
    """
    message = str(error)
    sources = [
        f"{name} comes from {_variable_of(name)}" for name in settings if _speaks_of(message, name)
    ]
    return ConfigurationError(f"{message} ({'; '.join(sources)})") if sources else error


def _variable_of(name: str) -> str:
    """Return the variable of a setting, which may be a field of a part."""
    return f"{PREFIX}{name.upper().replace('.', '_')}"


def _speaks_of(message: str, name: str) -> bool:
    # A name that is a word of the language, such as "secret", means the setting at the front.
    if name.isalpha():
        return message.startswith(f"{name} ")
    return re.search(rf"(?<![\w.]){re.escape(name)}(?!\w|\.\w)", message) is not None


def is_production(environ: Mapping[str, str]) -> bool:
    """Tell whether ``WSGI_SESSIONS_ENV`` says production, where every cookie is Secure.

    Raises ``ConfigurationError`` for a word that might have been meant to say so.
    """
    word = environ.get(f"{PREFIX}ENV", "")
    if word not in ("", *_ENVIRONMENTS):
        raise ConfigurationError(
            f"{PREFIX}ENV is {word!r}; give one of {', '.join(_ENVIRONMENTS)}, or leave it out"
        )
    return word == "production"


def field_types(config: type) -> dict[str, str]:
    """Return the names and annotations of a dataclass's settable fields."""
    return {f.name: str(f.type) for f in dataclasses.fields(config) if f.init}


def snake_case(name: str) -> str:
    """Spell a camelCase name as ours.

    >>> snake_case("multiSession.maximumSessions"), snake_case("expires_in")
    ('multi_session.maximum_sessions', 'expires_in')
    """
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def read_as(name: str, annotation: str, value: Any) -> Any:
    """Read text as the type of its setting; anything but text is returned as it is."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.lower() in ("none", "") and "| None" in annotation:
        return None
    if name == "secret":
        return value
    if "bool" in annotation and text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    if annotation.startswith(("Duration", "int")):
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            unit = "whole seconds" if annotation.startswith("Duration") else "a whole number"
            raise ConfigurationError(f"{name} is {value!r}; give {unit}, such as 3600")
        return int(text)
    return text


def _unknown(name: str, known: list[str], prefix: str) -> ConfigurationError:
    near = difflib.get_close_matches(snake_case(name[len(prefix) :]), known, n=1, cutoff=0.0)
    if name.startswith(PREFIX):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    hint = f"; the nearest is {prefix}{near[0]}" if near else ""
    return ConfigurationError(f"{name} is no setting{hint}")
