"""How a setting is declared: its default, what it takes, its unit and its documentation.

The checks, what is read from text, and the reference page are made from the declarations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, NoReturn, get_args

from ..errors import ConfigurationError

Duration = timedelta | int
Check = Callable[[str, Any], Any]

_MAX_DURATION = timedelta(days=36500)
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a setting takes; ``takes`` says so, in messages and on the reference page.

    ``check`` gets the setting's name and a value. It returns the value in its normal form, and
    raises ``ConfigurationError`` for a wrong one. ``read`` returns what text stands for, which is
    not checked yet; its ``ValueError`` says what to give.
    """

    takes: str
    check: Check
    read: Callable[[str], Any] = str.strip
    unit: str = ""
    part: type | None = None
    """The dataclass, if it is a part with settings of its own."""

    def refuse(self, name: str, value: Any) -> NoReturn:
        raise ConfigurationError(f"{name} is {value!r}; give {self.takes}")

    def refuse_item(self, name: str, item: Any) -> NoReturn:
        raise ConfigurationError(f"{name} holds {item!r}; give {self.takes}")


@dataclass(frozen=True, slots=True)
class Setting:
    """A declaration; ``none`` says what None means, and is None itself where None is refused."""

    kind: Kind
    doc: str
    none: str | None
    is_in_environment: bool

    def check(self, name: str, value: Any) -> Any:
        return None if value is None and self.none is not None else self.kind.check(name, value)

    def read(self, name: str, value: Any) -> Any:
        """Return what text stands for, and anything else as it is."""
        if not isinstance(value, str):
            return value
        if self.none is not None and value.strip().lower() in ("none", ""):
            return None
        try:
            return self.kind.read(value)
        except ValueError as error:
            raise ConfigurationError(f"{name} is {value!r}; give {error}") from None


def setting(
    default: Any,
    kind: Kind,
    *,
    doc: str,
    none: str | None = None,
    is_in_environment: bool = True,
    is_secret: bool = False,
) -> Any:
    """Declare a setting, as a field of a dataclass; see ``Setting``."""
    metadata = {"setting": Setting(kind, doc, none, is_in_environment)}
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, repr=not is_secret, metadata=metadata)


def in_ms() -> Any:
    """Declare the same duration in milliseconds: ``NAME_ms`` beside ``NAME``."""
    return field(init=False, repr=False, compare=False, default=0)


def settings_of(config: type[Any]) -> Mapping[str, Setting]:
    """Return what a dataclass declares, by name and in its order."""
    return {f.name: f.metadata["setting"] for f in fields(config) if "setting" in f.metadata}


def check_settings(config: Any, *, prefix: str = "") -> None:
    """Replace each value of a frozen dataclass by its normal form; called when it is made."""
    for name, declared in settings_of(type(config)).items():
        put(config, name, declared.check(f"{prefix}{name}", getattr(config, name)))


def put(config: Any, name: str, value: Any) -> None:
    """Set a field of a frozen dataclass while it is made; of a duration the milliseconds, too."""
    object.__setattr__(config, name, value)
    if hasattr(type(config), f"{name}_ms"):
        value_ms = None if value is None else value // timedelta(milliseconds=1)
        object.__setattr__(config, f"{name}_ms", value_ms)


def kind(takes: str, *, read: Callable[[str], Any] = str.strip) -> Callable[[Check], Kind]:
    """Make a ``Kind`` of the check that is decorated."""
    return lambda check: Kind(takes=takes, check=check, read=read)


def duration(*, may_be_zero: bool = False, bounds: str = "", also: Check | None = None) -> Kind:
    """A ``timedelta`` or whole seconds; ``also`` refuses what is beyond further ``bounds``."""
    bound = "0 or more" if may_be_zero else "more than 0"

    def check(name: str, value: Any) -> timedelta:
        if isinstance(value, bool) or not isinstance(value, (int, timedelta)):
            raise ConfigurationError(
                f"{name} is {value!r}; give a timedelta or whole seconds, such as 3600"
            )
        if isinstance(value, int) and abs(value) > _MAX_DURATION.total_seconds():
            raise ConfigurationError(f"{name} is {value} seconds; at most 100 years are taken")
        given = timedelta(seconds=value) if isinstance(value, int) else value
        if given > _MAX_DURATION:
            raise ConfigurationError(f"{name} is {given}; at most 100 years are taken")
        if given < timedelta(milliseconds=0 if may_be_zero else 1):
            raise ConfigurationError(
                f"{name} is {given} but must be {bound}; give a longer duration"
            )
        if also is not None:
            also(name, given)
        return given

    return Kind(
        takes=f"a timedelta or whole seconds, {bounds or bound}",
        check=check,
        read=lambda text: _read_number(text, "whole seconds"),
        unit="seconds",
    )


def count(unit: str, *, at_least: int, at_most: int | None = None) -> Kind:
    bounds = f"{at_least} or more" if at_most is None else f"between {at_least} and {at_most}"

    def check(name: str, value: Any) -> int:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not is_whole or value < at_least or (at_most is not None and value > at_most):
            made.refuse(name, value)
        number: int = value
        return number

    made = Kind(
        takes=f"a whole number, {bounds}",
        check=check,
        read=lambda text: _read_number(text, "a whole number"),
        unit=unit,
    )
    return made


def flag(also: str | None = None) -> Kind:
    """True or False, or the one word ``also``."""

    @kind("True or False" if also is None else f'True, False or "{also}"', read=read_flag)
    def made(name: str, value: Any) -> Any:
        if not isinstance(value, bool) and (also is None or value != also):
            made.refuse(name, value)
        return value

    return made


def choice(words: Any) -> Kind:
    """One of the words of a ``Literal``."""
    allowed = get_args(words)

    @kind(f"one of {', '.join(repr(word) for word in allowed)}")
    def made(name: str, value: Any) -> Any:
        if not isinstance(value, str) or value not in allowed:
            made.refuse(name, value)
        return value

    return made


def text(
    pattern: str,
    takes: str,
    *,
    max_length: int | None = None,
    or_else: str = "",
    also: Check | None = None,
) -> Kind:
    """Text that a pattern matches; ``or_else`` is what would come of more than ``max_length``.

    ``also`` refuses some of it for another reason.
    """
    compiled = re.compile(pattern)

    @kind(takes)
    def made(name: str, value: Any) -> Any:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            made.refuse(name, value)
        if max_length is not None and len(value) > max_length:
            raise ConfigurationError(
                f"{name} has {len(value)} characters; give at most {max_length}, or {or_else}"
            )
        if also is not None:
            also(name, value)
        return value

    return made


def each(takes: str) -> Callable[[Check], Kind]:
    """Make a ``Kind`` of the check that is decorated: a list of what it takes."""

    def made(check_item: Check) -> Kind:
        def check(name: str, value: Any) -> tuple[Any, ...]:
            if isinstance(value, str):
                value = [part.strip() for part in value.split(",") if part.strip()]
            if not isinstance(value, (list, tuple, set, frozenset)):
                raise ConfigurationError(f"{name} is {value!r}; give a list of strings")
            return tuple(check_item(name, item) for item in value)

        return Kind(takes=takes, check=check)

    return made


def read_flag(text: str) -> Any:
    word = text.strip().lower()
    return word in _TRUE if word in _TRUE | _FALSE else text.strip()


def _read_number(text: str, unit: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text.strip()):
        raise ValueError(f"{unit}, such as 3600")
    return int(text)
