"""Writes ``docs/reference/settings.md``, the reference of all settings, from their declarations.

Run it after a change of a declaration: ``python docs/write_settings.py``. A test fails until then.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from wsgi_sessions import SessionConfig
from wsgi_sessions.config.fields import Setting, in_words
from wsgi_sessions.config.sources import all_settings, variable_of

PAGE = Path(__file__).parent / "reference" / "settings.md"

HEADINGS = {
    "secret": "Secret",
    "expires_in": "Lifetime",
    "rotate_tokens": "Rotation",
    "cookie_cache": "Cookie cache",
    "multi_session": "Limits and binding",
    "cookie": "Cookies",
    "throttle": "Accounts",
    "api_path": "The JSON API and other paths",
    "pages_path": "The sessions page",
    "on_database_error": "Database",
    "audit": "Audit trail",
}
"""What stands before a setting; those that follow it belong there, too."""

TABLE_HEAD = "| setting | takes | default | meaning |\n|---|---|---|---|\n"

INTRO = """\
<!-- Written by docs/write_settings.py from the declarations in wsgi_sessions/config. -->

# Settings

Every field of `SessionConfig`. [Choosing settings](../how-to/choosing-settings.md) says more of those that depend on each other, or on your network and your browsers.

## Ways to give them

```python
SessionManager("sqlite:///app.db", secret=SECRET, expires_in=timedelta(days=14))
SessionManager("sqlite:///app.db", config=SessionConfig.from_env())
SessionManager(
    "sqlite:///app.db", config=SessionConfig.from_mapping(tomllib.load(file)["sessions"])
)
```

* Durations are a `timedelta` or whole seconds, and read back as a `timedelta`; the same in milliseconds has the suffix `_ms`.
* A part (`cookie_cache`, `multi_session`, `cookie`, `throttle`, `password`, `audit`) is given as its dataclass, as a mapping of its fields, or under dotted names. `True` and `False` switch `cookie_cache`, `multi_session` and `audit` on and off.
* A mapping may use camelCase, as better-auth does: `expiresIn`, `cookieCache.maxAge`, or all of it under `session`: `{"session": {"expiresIn": 604800, "cookieCache": {"enabled": True}}}`. `SessionManager(database, secret=SECRET, **mapping)` takes the same. Text is read as the setting's type, so a paste.deploy section works.
* From the environment: the variable under each name below. Lists are separated by commas, and `none` or nothing at all is None. `WSGI_SESSIONS_ENV=production` forces Secure cookies.
* What is None because it follows from other settings (`rotation_interval`, say) reads back as what follows from them. In a copy with other settings, `config.replace(update_age=3600)`, it follows those.
* A wrong value or an unknown name is a `ConfigurationError` when the config is made. Type checkers know the names and types, too.
"""


def render() -> str:
    """Return the page."""
    parts = [INTRO]
    for name, declared in all_settings(SessionConfig).items():
        if name in HEADINGS:
            parts.append(f"\n## {HEADINGS[name]}\n\n{TABLE_HEAD}")
        parts.append(row(name, declared))
    return "".join(parts)


def row(name: str, declared: Setting) -> str:
    variable = f"`{variable_of(name)}`" if declared.is_in_environment else "given in Python alone"
    takes = declared.kind.takes.replace("whole number", f"whole number of {declared.kind.unit}")
    takes = takes.replace("`", "&#96;")  # the character itself, not the mark of code
    cells = [f"`{name}`<br>{variable}", takes, default_of(name, declared), meaning_of(name)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def default_of(name: str, declared: Setting) -> str:
    """Return the default in words, and what None means where it is taken."""
    none = "" if declared.none is None else f"None: {declared.none}"
    if name == "secret":
        return "required"
    default = _declared_default(name)
    if default is None:
        return none
    if declared.kind.part is not None:
        shown = "its fields"
    elif declared.kind.unit == "seconds":
        shown = in_words(declared.check(name, default))
    else:
        shown = f"`{default!r}`"
    return f"{shown}; {none}" if none else shown


def meaning_of(name: str) -> str:
    """Return the docstring of a setting, as one line."""
    config, field_name = _owner(name)
    return _docstrings(config)[field_name]


def _docstrings(config: type) -> Mapping[str, str]:
    """Return the strings that stand below the fields of a class."""
    [found] = ast.parse(inspect.getsource(config)).body
    assert isinstance(found, ast.ClassDef)
    return {
        field.target.id: " ".join(ast.literal_eval(below.value).split())
        for field, below in pairwise(found.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
    }


def _owner(name: str) -> tuple[type[Any], str]:
    """Return the dataclass that declares a setting, and its name there."""
    part, _, field_name = name.rpartition(".")
    config = all_settings(SessionConfig)[part].kind.part if part else SessionConfig
    assert config is not None
    return config, field_name


def _declared_default(name: str) -> Any:
    config, field_name = _owner(name)
    [field] = [f for f in dataclasses.fields(config) if f.name == field_name]
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
