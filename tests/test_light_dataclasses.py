"""Each claim holds of the standard ``dataclass`` as well: ours is one that is made faster."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest

from wsgi_sessions import light_dataclasses


@pytest.fixture(params=[dataclasses, light_dataclasses], ids=["standard", "ours"])
def dataclass(request: pytest.FixtureRequest) -> Any:
    return request.param.dataclass


@pytest.fixture
def frozen(dataclass: Any) -> Any:
    @dataclass(frozen=True, slots=True)
    class Frozen:
        number: int
        text: str = "a"
        hidden: str = dataclasses.field(default="b", repr=False)
        passed_over: list[int] = dataclasses.field(default_factory=list, compare=False)
        later: int = dataclasses.field(default=0, init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "later", self.number + 1)

    return Frozen


def test_shown(frozen: Any) -> None:
    assert repr(frozen(1)).endswith("Frozen(number=1, text='a', passed_over=[], later=2)")


def test_equal_are_those_of_one_class_with_equal_values(frozen: Any) -> None:
    assert frozen(1, passed_over=[1]) == frozen(1)
    assert hash(frozen(1, passed_over=[1])) == hash(frozen(1))
    assert frozen(1) != frozen(1, hidden="c")
    assert frozen(1) != (1, "a", "b", 2)


def test_frozen_keeps_its_values(frozen: Any) -> None:
    made = frozen(1)

    for name in ("number", "text", "later"):
        with pytest.raises(
            dataclasses.FrozenInstanceError, match=f"cannot assign to field '{name}'"
        ):
            setattr(made, name, 5)
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot delete field '{name}'"):
            delattr(made, name)
    assert made == frozen(1)


def test_frozen_takes_no_other_attribute(frozen: Any) -> None:
    with pytest.raises((AttributeError, TypeError)):
        frozen(1).other = 1


def test_frozen_is_replaced_and_copied(frozen: Any) -> None:
    made = frozen(1)

    assert dataclasses.replace(made, number=2) == frozen(2)
    assert copy.copy(made) == copy.deepcopy(made) == made
    assert [f.name for f in dataclasses.fields(made)][:2] == ["number", "text"]


def test_frozen_can_be_inherited_from_by_a_standard_one(frozen: Any) -> None:
    @dataclasses.dataclass(frozen=True)
    class More(frozen):  # type: ignore[misc]
        more: int = 3

    assert repr(More(1)).endswith("More(number=1, text='a', passed_over=[], later=2, more=3)")
    with pytest.raises(dataclasses.FrozenInstanceError):
        More(1).more = 4  # type: ignore[misc]


def test_not_frozen_changes_and_has_no_hash(dataclass: Any) -> None:
    @dataclass(slots=True)
    class Changing:
        number: int

    made = Changing(1)
    made.number = 2

    assert made == Changing(2)
    with pytest.raises(TypeError, match="unhashable"):
        hash(made)


def test_without_comparison_each_is_its_own(dataclass: Any) -> None:
    @dataclass(eq=False)
    class Service:
        number: int

    assert Service(1) != Service(1)
    assert len({Service(1), Service(1)}) == 2


def test_own_methods_count(dataclass: Any) -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Secret:
        number: int

        def __repr__(self) -> str:
            return "Secret()"

    assert repr(Secret(number=1)) == "Secret()"
    with pytest.raises(TypeError, match="positional argument"):
        Secret(1)


def test_keywords_are_checked(dataclass: Any) -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Settings:
        number: int
        made: list[int] = dataclasses.field(default_factory=list)

    assert Settings(number=1).made is not Settings(number=1).made
    with pytest.raises(TypeError, match=r"missing .*required .*argument:? 'number'"):
        Settings()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'name'"):
        Settings(number=1, name="a")  # type: ignore[call-arg]


def test_arguments_are_checked(dataclass: Any, frozen: Any) -> None:
    assert frozen(1, "b") == frozen(text="b", number=1)
    with pytest.raises(TypeError, match=r"missing .*required .*argument:? 'number'"):
        frozen()
    with pytest.raises(TypeError, match="got multiple values for argument 'number'"):
        frozen(1, number=2)
    with pytest.raises(TypeError, match="positional argument"):
        frozen(1, "b", "c", [], 5)
