"""Which passwords can be set, as ``accounts/password_rules.py`` promises."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from tests.support import new_clock
from wsgi_sessions.accounts.password_rules import PasswordRules
from wsgi_sessions.accounts.passwords import PasswordHasher
from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.errors import (
    ConfigurationError,
    InvalidValueError,
    PasswordCompromisedError,
    PasswordTooCommonError,
    PasswordTooLongError,
    PasswordTooShortError,
    PasswordTooSimilarError,
    RefusedError,
)
from wsgi_sessions.events import Events, SessionEvent

ADA = {"email": "ada.lovelace77@mail.example.org", "name": "Ada Lovelace"}
NOBODY = {"email": None, "name": None}
GOOD = "correct horse battery"


class Desk:
    """The rules, and the events that they have emitted."""

    def __init__(self, *, pages_title: str | None = None, **password: Any) -> None:
        settings = {"pages_title": pages_title, "password": password}
        config = SessionConfig.from_mapping({"secret": "0123456789abcdef" * 2, **settings})
        self.told: list[SessionEvent] = []
        events = Events(new_clock())
        events.subscribe(self.told.append)
        self.rules = PasswordRules(config, PasswordHasher(config.password), events)

    def check(self, password: Any, who: dict[str, Any] = ADA) -> type[RefusedError] | None:
        """Return what a password is refused as."""
        try:
            self.rules.check_new(password, **who)
        except RefusedError as refusal:
            return type(refusal)
        return None


@pytest.fixture
def desk() -> Desk:
    return Desk()


# Lengths


def test_lengths_at_the_bounds_are_taken(desk: Desk) -> None:
    assert desk.check("lvqxzjwk") is None
    assert desk.check("lvqxzjwk" * 16, NOBODY) is None


def test_a_password_beyond_the_bounds_is_told_the_bound(desk: Desk) -> None:
    for password in ("x", "lvqxzjw"):
        with pytest.raises(PasswordTooShortError, match="Use 8 or more characters"):
            desk.rules.check_new(password, **ADA)
    with pytest.raises(PasswordTooLongError, match="Use 128 or fewer characters"):
        desk.rules.check_new("lvqxzjwk" * 16 + "x", **ADA)


def test_accents_typed_apart_are_no_characters_of_their_own(desk: Desk) -> None:
    assert desk.check("le\u0301vqxzj") is PasswordTooShortError
    assert desk.check("le\u0301vqxzjw") is None


def test_a_sign_that_stands_for_many_letters_is_one_character(desk: Desk) -> None:
    assert desk.check("\ufdfa") is PasswordTooShortError


@pytest.mark.parametrize("password", [None, 12345678, b"correct horse", "half a pair \ud800"])
def test_what_is_not_text_is_refused(desk: Desk, password: Any) -> None:
    assert desk.check(password) is InvalidValueError


# Common passwords


def test_the_three_thousand_most_common_passwords_of_eight_characters_are_refused() -> None:
    # ASVS 6.2.4. The list begins with the most frequent.
    desk = Desk()
    long_enough = (word for word in FREQUENCY_LISTS["passwords"] if len(word) >= 8)
    common = list(islice(long_enough, 3000))
    assert len(common) == 3000
    assert [word for word in common if desk.check(word, NOBODY) is not PasswordTooCommonError] == []


@pytest.mark.parametrize(
    "password",
    [
        *["password", "PASSWORD", "PassWord", "p4$$w0rd", "\uff50\uff41\uff53\uff53\uff57ord"],
        *["p\u00e4ssw\u00f6rd", "pa\u0308ssword"],
        *["jennifer", "Administrator", "elephant"],
        *["Password1!", "Password123!", "Summer2026", "!!!dragon1", "$unshine99", "!12345678"],
        *["aaaaaaaa", "        ", "12121212", "hunter2hunter2", "blablabla", "abcabcabc"],
        *["passwordpassword", "123456789123456789", "x" * 128],
        *["87654321", "0123456789", "45678901234", "abcdefghijkl", "zyxwvuts"],
        *["qwertyuiop", "lkjhgfdsa", "1q2w3e4r5t6y", "qazwsxedc"],
    ],
)
def test_what_is_guessed_early_is_refused(desk: Desk, password: str) -> None:
    assert desk.check(password, NOBODY) is PasswordTooCommonError


@pytest.mark.parametrize("password", ["hunter2hunter2", "Lovelace-2026", "ada lovelace", "zxq"])
def test_no_refusal_shows_the_password(desk: Desk, password: str) -> None:
    with pytest.raises(RefusedError) as caught:
        desk.rules.check_new(password, **ADA)
    assert password not in str(caught.value)


@pytest.mark.parametrize(
    "password",
    [
        *["correct horse", "my password is long", "password for my horse", "letmein or i cry"],
        *[
            "dragon482913",
            "lvqxzjwk",
            "9472860135",
            "?!-+#*~=",
            "пароль лошади",
            "密码密码马电池订书",
        ],
    ],
)
def test_what_merely_holds_something_common_is_taken(desk: Desk, password: str) -> None:
    assert desk.check(password, NOBODY) is None


def test_a_longer_minimum_asks_more_of_what_is_repeated() -> None:
    desk = Desk(min_length=15)
    assert desk.check("blue horse blue horse ", NOBODY) is PasswordTooCommonError
    assert Desk().check("blue horse blue horse ", NOBODY) is None


# Words around


@pytest.mark.parametrize(
    "password",
    [
        *[
            "ada lovelace",
            "Ada--Lovelace//1815",
            "AdaLovelace",
            "lovelace-ada",
            "L0vel@ce+ada",
            "\uff4c\uff4fvelace ada",
        ],
        *["ada.lovelace77@mail.example.org", "ada.lovelace77", "mail.example.org"],
        *["lovelace.example", "mail/example/1815", "lovelace1815x", "Lovelace-12345678"],
        *["lovelacepassword", "77lovelace77mail77"],
    ],
)
def test_name_and_address_make_no_password(desk: Desk, password: str) -> None:
    assert desk.check(password) is PasswordTooSimilarError
    assert desk.check(password, {"email": "bob@host.test", "name": "Bob"}) is None


def test_words_of_the_site_make_no_password() -> None:
    desk = Desk(context_words=["Zyxomma", "Blue Heron"], pages_title="Quagga Records")
    for password in ("zyxomma1", "BlueHeron-2", "the blue heron", "quagga records", "QUAGGA!!"):
        assert desk.check(password, NOBODY) is PasswordTooSimilarError
        assert Desk().check(password, NOBODY) is None


@pytest.mark.parametrize(
    "password",
    ["my friend lovelace likes it", "the lovelace engine", "an example to all of us", "adaadabob"],
)
def test_a_passphrase_may_hold_such_a_word(desk: Desk, password: str) -> None:
    assert desk.check(password) is None


def test_accents_and_case_make_no_other_word() -> None:
    who = {"email": "x@host.test", "name": "José Núñez-Peña"}
    for password in ("jose nunez", "NUÑEZPEÑA", "pena-josé-12", "jose+nun\u0303ez"):
        assert Desk().check(password, who) is PasswordTooSimilarError


def test_short_words_count_where_they_stand_together() -> None:
    who = {"email": "bo.li@x.org", "name": "Bo Li"}
    assert Desk().check("bo.li@x.org", who) is PasswordTooSimilarError
    assert Desk().check("boli-2+2-boli", who) is PasswordTooSimilarError
    assert Desk().check("bob likes it", who) is None


@given(password=st.text(max_size=200), email=st.text(max_size=254), name=st.text(max_size=255))
def test_any_text_is_judged(password: str, email: str, name: str) -> None:
    Desk().check(password, {"email": email, "name": name})


@pytest.mark.parametrize("words", [["IBM"], [""], ["a.b.c"], [7], "a,b", 7, ["x" * 101]])
def test_words_of_fewer_than_four_letters_are_no_setting(words: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"password\.context_words"):
        Desk(context_words=words)


def test_words_of_the_site_are_read_from_the_environment() -> None:
    environ = {
        "WSGI_SESSIONS_SECRET": "0123456789abcdef" * 2,
        "WSGI_SESSIONS_PASSWORD_CONTEXT_WORDS": "Zyxomma, Blue Heron",
    }
    config = SessionConfig.from_env(environ)
    assert config.password.context_words == ("Zyxomma", "Blue Heron")


# A breach service


def failing(_: str) -> bool:
    raise TimeoutError("no answer about correct horse battery")


def test_what_is_known_from_a_breach_is_refused() -> None:
    asked: list[str] = []

    def is_compromised(password: str) -> bool:
        asked.append(password)
        return password == GOOD

    desk = Desk(is_compromised=is_compromised)
    assert desk.check(GOOD) is PasswordCompromisedError
    assert desk.check("cafe\u0301 au lait") is None
    # The normal form, which is what gets hashed.
    assert asked == [GOOD, "caf\u00e9 au lait"]


@pytest.mark.parametrize("password", ["short", "password", "ada lovelace", "x" * 129, None])
def test_nobody_is_asked_about_what_is_refused_anyway(password: Any) -> None:
    asked: list[str] = []
    desk = Desk(is_compromised=asked.append)
    assert desk.check(password)
    assert asked == []


def test_a_service_that_fails_stops_nobody_and_is_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers: list[Callable[[str], bool]] = [failing, failing, lambda _: False, failing]
    desk = Desk(is_compromised=lambda password: answers.pop(0)(password))
    with caplog.at_level(logging.WARNING, "wsgi_sessions"):
        assert [desk.check(GOOD) for _ in range(4)] == [None] * 4

    reports = [(event.name, event.details) for event in desk.told]
    assert reports == [("breach_service_failed", {"error": "TimeoutError"})] * 2
    assert not re.search("correct|horse", caplog.text)


async def ask_later(_: str) -> bool:
    return False


@pytest.mark.parametrize("hook", ["https://breaches.test", 7, ask_later])
def test_only_a_function_that_answers_at_once_can_be_asked(hook: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"password\.is_compromised"):
        Desk(is_compromised=hook)
