"""What is declared of settings agrees with the types, and says something of each of them."""

from __future__ import annotations

import collections.abc
import dataclasses
import types
import typing
from datetime import timedelta
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from wsgi_sessions import ConfigurationError, SessionConfig, SessionManager
from wsgi_sessions.config.fields import check_settings, duration, flag, in_ms, setting, settings_of
from wsgi_sessions.config.keywords import Fields, SessionSettings
from wsgi_sessions.config.sources import all_settings, read_environment, variable_of

SECRET = "0123456789abcdef" * 2
DECLARED = all_settings(SessionConfig)
FIELDS = {f.name: f for f in dataclasses.fields(SessionConfig)}
GIVEN = get_type_hints(SessionSettings)
READ = get_type_hints(SessionConfig)
CONFIGS = [
    SessionConfig,
    *[declared.kind.part for declared in DECLARED.values() if declared.kind.part],
]


def given_type(name: str) -> Any:
    """Return the type of a keyword argument, by the type that its setting reads back as."""
    kind = DECLARED[name].kind
    if kind.part is not None:
        is_switch = "enabled" in settings_of(kind.part)
        return READ[name] | Fields | bool if is_switch else READ[name] | Fields
    if get_origin(READ[name]) is tuple:
        return collections.abc.Collection[get_args(READ[name])[0] | str]  # type: ignore[misc]
    return READ[name]


def members(annotation: Any) -> set[Any]:
    """Return what a union is of; any other type is a union of one."""
    is_union = get_origin(annotation) in (typing.Union, types.UnionType)
    return set(get_args(annotation)) if is_union else {annotation}


def test_keywords_are_the_settings_and_the_outer_key() -> None:
    assert set(GIVEN) == {*settings_of(SessionConfig), "session"}


@pytest.mark.parametrize("name", settings_of(SessionConfig))
def test_keyword_has_the_type_of_its_setting(name: str) -> None:
    assert members(GIVEN[name]) == members(given_type(name))


@pytest.mark.parametrize("config", CONFIGS)
def test_none_is_declared_where_the_type_has_it(config: type) -> None:
    hints = get_type_hints(config)
    for name, declared in settings_of(config).items():
        takes_none = type(None) in members(hints[name]) or hints[name] is Any
        assert (declared.none is not None) == takes_none, name


@pytest.mark.parametrize("config", CONFIGS)
def test_all_that_can_be_given_is_declared(config: type[Any]) -> None:
    given = {f.name for f in dataclasses.fields(config) if f.init and not f.name.startswith("_")}

    assert given == set(settings_of(config))


@pytest.mark.parametrize("config", CONFIGS)
def test_words_of_a_literal_are_the_words_that_are_taken(config: type) -> None:
    for name, annotation in get_type_hints(config).items():
        words = [each for each in members(annotation) if get_origin(each) is Literal]
        for word in get_args(words[0]) if words else ():
            assert settings_of(config)[name].check(name, word) == word
            assert word in settings_of(config)[name].kind.takes


def test_checker_knows_names_and_types() -> None:
    """mypy refuses each of these; an ignore that it does not need would fail its run."""
    with pytest.raises(ConfigurationError, match="expire_in is no setting"):
        SessionManager("sqlite:///:memory:", secret=SECRET, expire_in=3600)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="on_replay is 'ignore'"):
        SessionManager("sqlite:///:memory:", secret=SECRET, on_replay="ignore")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="rotate_tokens is 2"):
        SessionManager("sqlite:///:memory:", secret=SECRET, rotate_tokens=2)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="expires is no setting"):
        SessionConfig(secret=SECRET).replace(expires=3600)  # type: ignore[call-arg]


def test_checker_takes_what_is_taken() -> None:
    manager = SessionManager(
        "sqlite:///:memory:",
        secret=[SECRET],
        expires_in=timedelta(days=14),
        update_age=3600,
        cookie_cache=True,
        multi_session={"maximum_sessions": 3},
        throttle=None,
        trusted_proxies=["10.0.0.0/8"],
        on_replay="reject",
    )

    assert manager.config.multi_session.maximum_sessions == 3
    manager.close()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """Two settings that a later version might have."""

    linger: timedelta | int = setting(60, duration(), none="not at all")
    """How long."""
    linger_ms: int = in_ms()
    is_loud: bool = setting(False, flag())
    """Whether."""

    def __post_init__(self) -> None:
        check_settings(self)


def test_a_declaration_is_all_that_a_setting_needs() -> None:
    given = read_environment({"WSGI_SESSIONS_LINGER": "90"}, Later)

    assert (Later().linger, Later().linger_ms) == (timedelta(seconds=60), 60_000)
    assert Later(linger=2).linger_ms == 2000
    assert given == {"linger": "90"}
    assert variable_of("is_loud") == "WSGI_SESSIONS_IS_LOUD"
    with pytest.raises(ConfigurationError, match="linger is 0 s but must be more than 0"):
        Later(linger=0)
    with pytest.raises(ConfigurationError, match="is_loud is 1; give True or False"):
        Later(is_loud=1)  # type: ignore[arg-type]
