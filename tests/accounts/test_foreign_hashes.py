"""Hashes that others have made let their owners in, and are replaced: ``foreign_hashes.py``."""

from __future__ import annotations

import hashlib
import logging
import sys
import threading
from typing import Any

import argon2
import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from passlib import hash as hashes

from wsgi_sessions import SessionManager
from wsgi_sessions.accounts import foreign_hashes
from wsgi_sessions.accounts.passwords import PasswordHasher, Verdict
from wsgi_sessions.config.parts import PasswordConfig
from wsgi_sessions.errors import InvalidValueError, ServerBusyError

from .fakes import CHEAP, count_work
from .foreign_hashes import (
    HASHES,
    LONG_BCRYPT,
    LONG_PASSWORD,
    ODD_HASHES,
    ODD_PASSWORD,
    PASSWORD,
)

WRONG = Verdict(False)
each_format = pytest.mark.parametrize("format_", HASHES)


@pytest.fixture
def hasher() -> PasswordHasher:
    return PasswordHasher(CHEAP)


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let any hashing fail but that of the decoy, which is argon2's."""

    def fail(*_: Any, **__: Any) -> Any:
        raise AssertionError("this should not have been worked on")

    monkeypatch.setattr(hashlib, "scrypt", fail)
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", fail)
    monkeypatch.setattr(bcrypt, "hashpw", fail)
    for scheme in (hashes.sha256_crypt, hashes.sha512_crypt):
        monkeypatch.setattr(scheme, "verify", fail)


@each_format
def test_the_right_password_matches_and_is_hashed_anew(
    hasher: PasswordHasher, format_: str
) -> None:
    matches, new_hash, unusable = hasher.verify(HASHES[format_], PASSWORD)
    assert (matches, unusable) == (True, None)
    assert new_hash is not None
    assert new_hash.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert hasher.verify(new_hash, PASSWORD) == Verdict(True)


@each_format
@pytest.mark.parametrize("password", ["correct hors", "Correct horse"])
def test_a_wrong_password_matches_nothing(
    hasher: PasswordHasher, format_: str, password: str
) -> None:
    assert hasher.verify(HASHES[format_], password) == WRONG


@each_format
def test_what_others_hashed_as_it_was_typed_matches_as_it_is_typed(
    hasher: PasswordHasher, format_: str
) -> None:
    matches, new_hash, _ = hasher.verify(ODD_HASHES[format_], ODD_PASSWORD)
    assert matches
    # Ours is of the normal form, whichever way it is typed from now on.
    assert hasher.verify(new_hash, "caf\u00e9 fine") == Verdict(True)
    assert hasher.verify(new_hash, ODD_PASSWORD) == Verdict(True)


def test_better_auth_hashes_the_normal_form(hasher: PasswordHasher) -> None:
    assert hasher.verify(ODD_HASHES["better auth"], "caf\u00e9 fine").matches


def test_an_argon2_hash_of_our_parameters_that_others_made_is_replaced_too(
    hasher: PasswordHasher,
) -> None:
    theirs = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    assert hasher.verify(theirs.hash(PASSWORD), PASSWORD) == Verdict(True)
    matches, new_hash, _ = hasher.verify(theirs.hash(ODD_PASSWORD), ODD_PASSWORD)
    assert matches
    assert hasher.verify(new_hash, "caf\u00e9 fine") == Verdict(True)


def test_bcrypt_looks_at_72_bytes_and_we_at_all_of_them(hasher: PasswordHasher) -> None:
    matches, new_hash, _ = hasher.verify(LONG_BCRYPT, LONG_PASSWORD)
    assert matches
    assert hasher.verify(new_hash, LONG_PASSWORD).matches
    assert not hasher.verify(new_hash, "x" * 73).matches


def test_every_format_fits_into_its_column() -> None:
    manager = SessionManager("sqlite:///:memory:", secret="0123456789abcdef" * 2)
    column = manager.parts.models.account.password_hash
    assert max(map(len, [*HASHES.values(), *ODD_HASHES.values()])) <= column.max_length
    manager.close()


@settings(deadline=None, max_examples=30)
@given(password=st.text(max_size=200))
@pytest.mark.parametrize("format_", ["django scrypt", "passlib bcrypt 2b", "passlib bcrypt-sha256"])
def test_any_text_is_compared(format_: str, password: str) -> None:
    hasher = PasswordHasher(CHEAP)
    try:
        assert hasher.verify(HASHES[format_], password).matches == (password == PASSWORD)
    except InvalidValueError:
        assert any("\ud800" <= character <= "\udfff" for character in password)


# What is not worked on

SALT, HEX = "c2FsdHNhbHQ", "ab" * 32
TOO_COSTLY = [
    f"$argon2id$v=19$m=4194304,t=1,p=1${SALT}$c2FsdHNhbHRzYWx0",
    f"$argon2id$v=19$m=65536,t=129,p=1${SALT}$c2FsdHNhbHRzYWx0",
    f"$argon2id$v=19$m=65536,t=1,p=255${SALT}$c2FsdHNhbHRzYWx0",
    f"argon2$argon2id$v=19$m=4294967295,t=9999999999,p=1${SALT}$c2FsdHNhbHRzYWx0",
    f"scrypt:1048576:8:1$salt${HEX}",
    f"scrypt:2:4194304:1$salt${HEX}",
    f"scrypt:2:1:4194304$salt${HEX}",
    f"$scrypt$ln=99,r=8,p=1${SALT}${SALT}",
    f"pbkdf2:sha256:10000001$salt${HEX}",
    f"pbkdf2:sha256:5000001$salt${HEX}{HEX}",
    f"pbkdf2_sha256$9999999999$salt${SALT}=",
    f"$pbkdf2-sha512$10000001${SALT}${SALT}",
    f"$2b$17${'a' * 53}",
    f"bcrypt$$2b$31${'a' * 53}",
    f"$bcrypt-sha256$v=2,t=2b,r=31${'a' * 22}${'a' * 31}",
    f"$5$rounds=1000001$salt${'a' * 43}",
    f"$6$rounds=9999999999$salt${'a' * 86}",
]
UNKNOWN = [
    *["unknown", "md5$salt$hash", "5f4dcc3b5aa765d61d8327deb882cf99", "$1$salt$hash", "é" * 20],
    *[
        "$6$rounds=5000$salt$hash",
        f"$5$rounds=0${'a' * 17}${'a' * 43}",
        "$2x$05$" + "a" * 53,
        "$2b$05$" + "a" * 52,
        "bcrypt$$2b$05$",
    ],
    *[f"scrypt:3:8:1$salt${HEX}", f"scrypt:0:8:1$salt${HEX}", f"scrypt:16:0:1$salt${HEX}"],
    *[f"scrypt:65536:1:1$salt${HEX}", f"$scrypt$ln=17,r=1,p=1${SALT}${SALT}"],
    *[f"scrypt:16:8:1$salt${HEX}0", f"scrypt:16:8:1$salt${HEX}\n", "scrypt:16:8:1$salt$ab"],
    *[f"pbkdf2:sha256:0$salt${HEX}", f"pbkdf2:md5:1000$salt${HEX}"],
    *[f"pbkdf2_sha256$1000$salt${SALT}aa", f"pbkdf2_sha256$٣$salt${SALT}="],
    *["$argon2id$v=19$m=8,t=1,p=1$only-a-salt", "$argon2id$"],
    *[HASHES["better auth"].upper(), HASHES["better auth"][1:]],
]


@pytest.mark.parametrize("stored", TOO_COSTLY)
def test_what_asks_for_too_much_work_is_not_worked_on(
    hasher: PasswordHasher, no_work: None, monkeypatch: pytest.MonkeyPatch, stored: str
) -> None:
    work = count_work(monkeypatch)
    assert hasher.verify(stored, PASSWORD) == Verdict(False, unusable="too_costly")
    assert work.done == [("verify", "$argon2id$v=19$m=8,t=1,p=1 22 43")]


@pytest.mark.parametrize("stored", UNKNOWN)
def test_an_unknown_format_costs_what_nobody_costs(
    hasher: PasswordHasher, no_work: None, monkeypatch: pytest.MonkeyPatch, stored: str
) -> None:
    work = count_work(monkeypatch)
    assert hasher.verify(stored, PASSWORD) == Verdict(False, unusable="unknown_format")
    assert len(work.done) == 1


def test_scrypt_that_finds_no_memory_is_a_wrong_password_and_no_error(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise ValueError("[digital envelope routines] memory limit exceeded")

    monkeypatch.setattr("hashlib.scrypt", fail)
    assert hasher.verify(HASHES["better auth"], PASSWORD) == WRONG
    # Its work is done for whoever is wrong from then on.
    assert hasher.verify(None, PASSWORD) == WRONG


@pytest.mark.parametrize("stored", [None, "", "!", "!Abc123", "*"])
def test_no_password_is_no_unknown_format(hasher: PasswordHasher, stored: str | None) -> None:
    assert hasher.verify(stored, "!Abc123") == WRONG


@pytest.mark.parametrize(
    ("package", "formats"),
    [
        ("bcrypt", ["passlib bcrypt 2b", "django bcrypt_sha256", "passlib bcrypt-sha256"]),
        ("passlib", ["passlib sha256-crypt", "passlib sha512-crypt"]),
    ],
)
def test_without_an_extra_the_log_says_once_what_to_install(
    hasher: PasswordHasher,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    package: str,
    formats: list[str],
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    foreign_hashes._warn_of_missing.cache_clear()
    work = count_work(monkeypatch)
    with caplog.at_level(logging.WARNING, "wsgi_sessions"):
        for format_ in formats:
            verdict = hasher.verify(HASHES[format_], PASSWORD)
            assert verdict == Verdict(False, unusable=f"{package}_missing")
    assert len(work.done) == len(formats)
    [message] = caplog.messages
    assert f"pip install 'wsgi-sessions[{package}]'" in message


# What the time tells


class Rounds(list[int]):
    """The rounds of PBKDF2 that were done."""


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Rounds:
    found = Rounds()
    real = hashlib.pbkdf2_hmac

    def noted(name: str, secret: bytes, salt: bytes, count: int, length: int) -> bytes:
        found.append(count)
        return real(name, secret, salt, count, length)

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", noted)
    return found


def test_a_wrong_password_costs_the_same_whatever_hash_there_is(
    hasher: PasswordHasher, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    # From the first hash of another kind on, which a process cannot foresee.
    ours, theirs = hasher.hash(PASSWORD), HASHES["django pbkdf2_sha256"]
    hasher.verify(theirs, "wrong")
    work = count_work(monkeypatch)
    costs = []
    for stored in (theirs, ours, None, "unknown", "!"):
        rounds.clear()
        work.clear()
        assert not hasher.verify(stored, "wrong").matches
        costs.append((list(rounds), list(work.done)))
    assert costs == [([1000], [("verify", "$argon2id$v=19$m=8,t=1,p=1 22 43")])] * 5


def test_two_ways_to_type_a_password_cost_the_same_for_nobody(
    hasher: PasswordHasher, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher.verify(HASHES["django pbkdf2_sha256"], "wrong")
    work = count_work(monkeypatch)
    costs = []
    for stored in (ODD_HASHES["django pbkdf2_sha256"], None):
        rounds.clear()
        work.clear()
        hasher.verify(stored, ODD_PASSWORD + "!")
        costs.append((list(rounds), list(work.done)))
    assert costs[0] == costs[1]
    assert len(costs[0][0]) == len(costs[0][1]) == 2


def test_our_own_hashes_of_other_parameters_tell_no_more(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = PasswordHasher(PasswordConfig(time_cost=2, memory_cost_kib=8, parallelism=1))
    stored = old.hash(PASSWORD)
    hasher.verify(stored, "wrong")
    work = count_work(monkeypatch)
    costs = []
    for each in (stored, hasher.hash(PASSWORD), None):
        work.clear()
        hasher.verify(each, "wrong")
        costs.append(sorted(work.done))
    assert costs[0] == costs[1] == costs[2]
    assert len(costs[0]) == 2


def test_what_was_learned_of_one_hash_lets_nobody_else_in(hasher: PasswordHasher) -> None:
    for stored in HASHES.values():
        hasher.verify(stored, PASSWORD)
        for other in (None, "unknown", hasher.hash("another horse")):
            assert not hasher.verify(other, PASSWORD).matches


def test_all_work_waits_in_the_queue() -> None:
    limited = PasswordHasher(
        PasswordConfig(time_cost=1, memory_cost_kib=8, parallelism=1, max_parallel=1, max_waiting=0)
    )
    refused: list[bool] = []

    def ask() -> None:
        try:
            limited.verify(HASHES["django scrypt"], PASSWORD)
        except ServerBusyError:
            refused.append(True)

    with limited._place():
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(10)
    assert refused == [True]
    assert limited.verify(HASHES["django scrypt"], PASSWORD).matches
