"""How a setting is declared: its default, what it takes and its unit, with a docstring below it.

The checks, what is read from text, and the reference page are made from the declarations.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import field, fields, replace
from datetime import timedelta
from functools import cache
from typing import Any, get_args

from ..errors import ConfigurationError
from ..light_dataclasses import dataclass

Duration = timedelta | int
Check = Callable[[str, Any], Any]
Test = Callable[[Any], bool]

_MAX_DURATION = timedelta(days=36500)
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a setting takes; ``takes`` says so, in messages and on the reference page.

    ``fits`` says whether it takes a value. ``normal`` gets the setting's name and a value that
    fits, and returns its normal form or raises an error of its own. ``read`` returns what text
    stands for, which is not checked yet; its ``ValueError`` says what to give.
    """

    takes: str
    fits: Test = lambda _: True
    normal: Check = lambda _, value: value
    refusals: tuple[tuple[Test, str], ...] = ()
    is_list: bool = False
    """It takes a list, and all of this is said of its members."""
    read: Callable[[str], Any] = str.strip
    unit: str = ""
    part: type | None = None
    """The dataclass, if it is a part with settings of its own."""

    def check(self, name: str, value: Any) -> Any:
        """Return the normal form of a value. Raises ``ConfigurationError`` for a wrong one."""
        if not self.is_list:
            return self._check(name, value, verb="is")
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, (list, tuple, set, frozenset)):
            raise ConfigurationError(f"{name} is {value!r}; give a list of strings")
        return tuple(self._check(name, member, verb="holds") for member in value)

    def _check(self, name: str, value: Any, *, verb: str) -> Any:
        if not self.fits(value):
            raise ConfigurationError(f"{name} {verb} {value!r}; give {self.takes}")
        value = self.normal(name, value)
        for is_refused, why in self.refusals:
            if is_refused(value):
                shown = in_words(value) if isinstance(value, timedelta) else repr(value)
                raise ConfigurationError(f"{name} {verb} {shown}{why}")
        return value

    def refusing(self, test: Test, why: str) -> Kind:
        """Return a kind that also refuses what a test is true of; ``why`` follows the value."""
        return replace(self, refusals=(*self.refusals, (test, why)))


@dataclass(frozen=True, slots=True)
class Setting:
    """A declaration; ``none`` says what None means, and is None itself where None is refused."""

    kind: Kind
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
    none: str | None = None,
    is_in_environment: bool = True,
    is_secret: bool = False,
) -> Any:
    """Declare a setting, as a field of a dataclass; see ``Setting``."""
    metadata = {"setting": Setting(kind, none, is_in_environment)}
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, repr=not is_secret, metadata=metadata)


def in_ms() -> Any:
    """Declare the same duration in milliseconds: ``NAME_ms`` beside ``NAME``."""
    return field(init=False, repr=False, compare=False, default=0)


def settings_of(config: type[Any]) -> Mapping[str, Setting]:
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


def kind(takes: str, **options: Any) -> Callable[[Check], Kind]:
    """Make a ``Kind`` of the function that is decorated, which returns the normal form."""
    return lambda normal: Kind(takes=takes, normal=normal, **options)


@cache
def duration(*, may_be_zero: bool = False, bounds: str = "") -> Kind:
    """A ``timedelta`` or whole seconds; ``bounds`` is said where more will be refused."""
    bound = "0 or more" if may_be_zero else "more than 0"
    least = timedelta(milliseconds=0 if may_be_zero else 1)
    any_length = Kind(
        takes=f"a timedelta or whole seconds, {bounds or bound}",
        normal=_as_timedelta,
        read=lambda text: _read_number(text, "whole seconds"),
        unit="seconds",
    )
    return any_length.refusing(
        lambda value: value > _MAX_DURATION, "; at most 100 years are taken"
    ).refusing(lambda value: value < least, f" but must be {bound}; give a longer duration")


def in_words(duration: timedelta) -> str:
    """Return a duration as people write it.

    >>> in_words(timedelta(hours=-2)), in_words(timedelta(minutes=1, milliseconds=5))
    ('-2 hours', '60.005 s')
    """
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1))):
        number, rest = divmod(duration, length)
        if number and not rest:
            return f"{number} {unit}{'' if number in (1, -1) else 's'}"
    return f"{duration.total_seconds():.6f}".rstrip("0").rstrip(".") + " s"


def _as_timedelta(name: str, value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not _is_whole(value):
        raise ConfigurationError(
            f"{name} is {value!r}; give a timedelta or whole seconds, such as 3600"
        )
    if abs(value) > _MAX_DURATION.total_seconds():
        raise ConfigurationError(f"{name} is {value} seconds; at most 100 years are taken")
    return timedelta(seconds=value)


def count(unit: str, *, at_least: int, at_most: float = math.inf) -> Kind:
    bounds = f"between {at_least} and {at_most}" if at_most < math.inf else f"{at_least} or more"
    return Kind(
        takes=f"a whole number, {bounds}",
        fits=lambda value: _is_whole(value) and at_least <= value <= at_most,
        read=lambda text: _read_number(text, "a whole number"),
        unit=unit,
    )


@cache
def flag(also: str | None = None) -> Kind:
    """True or False, or the one word ``also``."""
    return Kind(
        takes="True or False" if also is None else f'True, False or "{also}"',
        fits=lambda value: isinstance(value, bool) or (also is not None and value == also),
        read=read_flag,
    )


def choice(words: Any) -> Kind:
    allowed = get_args(words)
    return Kind(
        takes=f"one of {', '.join(repr(word) for word in allowed)}",
        fits=lambda value: isinstance(value, str) and value in allowed,
    )


def function(takes: str, *, count: int = 0, names: tuple[str, ...] = ()) -> Kind:
    """A function that can be called with so many arguments, and with others by their names."""

    def can_be_called(value: Any) -> bool:
        try:
            inspect.signature(value).bind(*range(count), **dict.fromkeys(names))
        except TypeError:
            return False
        except ValueError:
            return True  # written in C, and does not tell what it takes
        return True

    whole = Kind(takes=f"a function that takes {takes}, or None", fits=can_be_called)
    return whole.refusing(
        inspect.iscoroutinefunction, ", which nobody would await; give a function without async"
    )


def text(pattern: str, takes: str, *, max_length: float = math.inf, or_else: str = "") -> Kind:
    """Text that a pattern matches; ``or_else`` is what would come of more than ``max_length``."""

    def check_length(name: str, value: str) -> str:
        if len(value) > max_length:
            raise ConfigurationError(
                f"{name} has {len(value)} characters; give at most {max_length}, or {or_else}"
            )
        return value

    return Kind(
        takes=takes,
        fits=lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value)),
        normal=check_length,
    )


def read_flag(text: str) -> Any:
    word = text.strip().lower()
    return word in _TRUE if word in _TRUE | _FALSE else text.strip()


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _read_number(text: str, unit: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text.strip()):
        raise ValueError(f"{unit}, such as 3600")
    return int(text)
