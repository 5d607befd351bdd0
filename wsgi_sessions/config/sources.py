"""Settings from mappings and from environment variables, by their several spellings.

Finds the setting that is meant and reads text as its type; values are checked when the
configuration is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ConfigurationError
from .fields import Kind, Setting, read_flag, settings_of

_PREFIX = "WSGI_SESSIONS_"
DATABASE_URL_VARIABLE = f"{_PREFIX}DATABASE_URL"
"""No setting: the database is no part of the configuration. The command line reads it."""
_ENVIRONMENTS = ("production", "development", "testing")
_OUTER_KEY = "session"
"""The key under which better-auth has the settings of sessions."""
_MIN_LIKENESS = 0.8
"""Below it difflib finds words that have nothing to do with each other: timeout, time_cost."""


def part(config: type, *, hint: str = "") -> Kind:
    """Take settings of their own: their dataclass, or a mapping. ``hint`` ends a refusal."""
    takes = f"a {config.__name__} or a mapping of its fields"

    def check(name: str, value: Any) -> Any:
        value = _add_to_part(name, config, None, value)
        if isinstance(value, config):
            return value
        if isinstance(value, Mapping):
            return config(**value)
        # Text is not shown: somebody may have taken this for the place of a password.
        shown = "text" if isinstance(value, str) else repr(value)
        raise ConfigurationError(f"{name} is {shown}; give {takes}{hint}")

    return Kind(takes=takes, normal=check, read=read_flag, part=config)


def _add_to_part(name: str, config: type, before: Any, value: Any) -> Any:
    """Return what a value makes of what was given before for the same part."""
    if isinstance(value, bool) and "enabled" in settings_of(config):
        value = {"enabled": value}
    if not isinstance(value, Mapping):
        return value
    if isinstance(before, config):
        before = {field: getattr(before, field) for field in settings_of(config)}
    known = before if isinstance(before, Mapping) else {}
    return {**known, **read_settings(config, value, prefix=f"{name}.")}


def read_settings(config: type, *sources: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return settings under the names of a dataclass's fields, with text read as their type.

    Takes snake_case and camelCase, dotted names and nested mappings, and all of it once more
    under ``session``; a part's fields come back as a mapping. Later sources win.
    Raises ``ConfigurationError`` for an unknown name.
    """
    declared = settings_of(config)
    found: dict[str, Any] = {}
    if not prefix:
        sources = tuple(layer for source in sources for layer in _without_outer_key(source))
    for given, value in (pair for source in sources for pair in source.items()):
        if not isinstance(given, str):
            raise ConfigurationError(f"{prefix}{given!r} is no setting; their names are text")
        name, _, field = snake_case(given).partition(".")
        if name not in declared or (field and declared[name].kind.part is None):
            raise _unknown(given, all_settings(config), prefix=prefix)
        value = {field: value} if field else declared[name].read(prefix + name, value)
        if (part_type := declared[name].kind.part) is not None:
            value = _add_to_part(name, part_type, found.get(name), value)
        found[name] = value
    return found


def _without_outer_key(source: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return what is below ``session``, and then what stands beside it, which wins."""
    inner = source.get(_OUTER_KEY, {})
    if not isinstance(inner, Mapping):
        # It is not shown: somebody may have taken this for the place of the secret.
        raise ConfigurationError(
            f"{_OUTER_KEY} is of type {type(inner).__name__}; give a mapping of settings"
        )
    return inner, {name: value for name, value in source.items() if name != _OUTER_KEY}


def all_settings(config: type) -> dict[str, Setting]:
    """Return all settings by dotted name, each part followed by its fields."""
    found: dict[str, Setting] = {}
    for name, declared in settings_of(config).items():
        found[name] = declared
        if declared.kind.part is not None:
            fields = settings_of(declared.kind.part)
            found |= {f"{name}.{field}": fields[field] for field in fields}
    return found


def read_environment(environ: Mapping[str, str], config: type) -> dict[str, Any]:
    """Return what the environment sets, under dotted names; values are still text."""
    variables = {
        variable_of(name): name
        for name, declared in all_settings(config).items()
        if declared.is_in_environment
    }
    found: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(_PREFIX) or variable in (f"{_PREFIX}ENV", DATABASE_URL_VARIABLE):
            continue
        if variable.startswith(f"{_PREFIX}TEST_"):
            continue
        if variable not in variables:
            known = [each.removeprefix(_PREFIX) for each in variables]
            raise _unknown(variable.removeprefix(_PREFIX), known, prefix=_PREFIX)
        found[variables[variable]] = text
    if "secret" in found:
        # A list, newest first, is separated by commas; a single secret may hold some.
        secrets = [part.strip() for part in found["secret"].split(",")]
        if len(secrets) > 1 and all(len(part) >= 32 for part in secrets):
            found["secret"] = secrets
    # A whole part before its fields: COOKIE_CACHE=true, then COOKIE_CACHE_MAX_AGE=60.
    return dict(sorted(found.items()))


def naming_variables(
    error: ConfigurationError, found: Iterable[str], given: Mapping[str, Any]
) -> ConfigurationError:
    """Return an error that names the variables of those settings that its message speaks of.

    ``found`` are the settings of the environment, and ``given`` those that win over them.

    >>> print(naming_variables(ConfigurationError("ip_binding is 'on'"), ["ip_binding"], {}))
    ip_binding is 'on' (ip_binding comes from WSGI_SESSIONS_IP_BINDING)
    """
    message = str(error)
    sources = [
        f"{name} comes from {variable_of(name)}"
        for name in found
        if _speaks_of(message, name) and not _is_among(given, name)
    ]
    return ConfigurationError(f"{message} ({'; '.join(sources)})") if sources else error


def variable_of(name: str) -> str:
    """Return the environment variable of a setting, which may be a field of a part.

    >>> variable_of("cookie_cache.max_age")
    'WSGI_SESSIONS_COOKIE_CACHE_MAX_AGE'
    """
    return f"{_PREFIX}{name.upper().replace('.', '_')}"


def _speaks_of(message: str, name: str) -> bool:
    # A name that is a word of the language, such as "secret", means the setting at the front.
    if name.isalpha():
        return message.startswith(f"{name} ")
    return re.search(rf"(?<![\w.]){re.escape(name)}(?!\w|\.\w)", message) is not None


def _is_among(given: Mapping[str, Any], name: str) -> bool:
    part, _, field = name.partition(".")
    if part not in given:
        return False
    value = given[part]
    return not field or not isinstance(value, Mapping) or field in value


def is_production(environ: Mapping[str, str]) -> bool:
    """Return whether ``WSGI_SESSIONS_ENV`` says production, where every cookie is Secure.

    Raises ``ConfigurationError`` for a word that might have been meant to say so.
    """
    word = environ.get(f"{_PREFIX}ENV", "")
    if word not in ("", *_ENVIRONMENTS):
        raise ConfigurationError(
            f"{_PREFIX}ENV is {word!r}; give one of {', '.join(_ENVIRONMENTS)}, or leave it out"
        )
    return word == "production"


def snake_case(name: str) -> str:
    """Spell a camelCase name as ours.

    >>> snake_case("multiSession.maximumSessions"), snake_case("expires_in")
    ('multi_session.maximum_sessions', 'expires_in')
    """
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _unknown(name: str, known: Iterable[str], *, prefix: str = "") -> ConfigurationError:
    """Return an error that suggests the known name that is nearest, if one is near enough."""
    by_spelling = {snake_case(each): each for each in known}
    for each in known:
        by_spelling.setdefault(each.rpartition(".")[2], each)
    import difflib  # only a wrong name needs it

    near = difflib.get_close_matches(snake_case(name), by_spelling, n=1, cutoff=_MIN_LIKENESS)
    hint = f"; the nearest is {prefix}{by_spelling[near[0]]}" if near else ""
    return ConfigurationError(f"{prefix}{name} is no setting{hint}")
