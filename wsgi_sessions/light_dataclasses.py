"""``dataclass`` as the standard one, but that classes share their methods, so an import is quick.

The standard one writes the text of up to six methods for each class, and compiles it: that was a
third of what importing this package took. Here that is done for ``__init__`` alone, and only where
a class has slots and is not frozen, as those have that are made for each request.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if not TYPE_CHECKING:

    def dataclass(
        *,
        frozen: bool = False,
        eq: bool = True,
        repr: bool = True,  # noqa: A002  the names of the standard one
        slots: bool = False,
        kw_only: bool = False,
    ) -> Callable[[type], type]:
        """Make a class as ``dataclasses.dataclass`` does; a frozen one sets no attribute twice."""

        def make(cls: type) -> type:
            own = {name for name, value in vars(cls).items() if value is not None}
            if "__doc__" not in own:  # the standard one would ask ``inspect`` for a signature
                cls.__doc__ = cls.__name__
            is_shared = frozen or not slots
            made = dataclasses.dataclass(
                init=not is_shared, eq=False, repr=False, slots=slots, kw_only=kw_only
            )(cls)
            methods = {"__init__": _init} if is_shared else {}
            if repr:
                methods["__repr__"] = _repr
            if eq:
                methods |= {"__eq__": _eq, "__hash__": _hash if frozen else None}
            if frozen:
                methods |= {"__setattr__": _set_once, "__delattr__": _refuse_to_delete}
                # A frozen class may inherit from a frozen one alone.
                made.__dataclass_params__.frozen = True
            for name, method in methods.items():
                if name not in own:
                    setattr(made, name, method)
            return made

        return make

else:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414  what type checkers know


def _init(self: Any, *args: Any, **given: Any) -> None:
    called = f"{type(self).__name__}.__init__()"
    fields = dataclasses.fields(self)
    names = [f.name for f in fields if f.init and not f.kw_only]
    if len(args) > len(names):
        raise TypeError(f"{called} takes {len(names)} positional arguments, not {len(args)}")
    for name, value in zip(names, args, strict=False):
        if name in given:
            raise TypeError(f"{called} got multiple values for argument {name!r}")
        given[name] = value
    for f in fields:
        if f.init and f.name in given:
            value = given.pop(f.name)
        elif f.default is not dataclasses.MISSING:
            value = f.default
        elif f.default_factory is not dataclasses.MISSING:
            value = f.default_factory()
        else:
            raise TypeError(f"{called} missing the required argument {f.name!r}")
        object.__setattr__(self, f.name, value)
    for name in given:
        raise TypeError(f"{called} got an unexpected keyword argument {name!r}")
    if hasattr(self, "__post_init__"):
        self.__post_init__()


def _repr(self: Any) -> str:
    shown = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _eq(self: Any, other: object) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return _compared(self) == _compared(other)


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _compared(one: Any) -> tuple[Any, ...]:
    return tuple(getattr(one, f.name) for f in dataclasses.fields(one) if f.compare)


def _set_once(self: Any, name: str, value: object) -> None:
    """Take what ``__init__`` sets, and nothing later."""
    if hasattr(self, name):
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
    object.__setattr__(self, name, value)


def _refuse_to_delete(_self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
