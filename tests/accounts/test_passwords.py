"""What ``accounts/passwords.py`` promises of hashing and comparing."""

from __future__ import annotations

import dataclasses
import threading
from contextlib import nullcontext
from typing import Any

import argon2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgi_sessions.accounts.passwords import PasswordHasher
from wsgi_sessions.config.parts import PasswordConfig
from wsgi_sessions.errors import (
    InvalidValueError,
    PasswordTooLongError,
    ServerBusyError,
)
from wsgi_sessions.storage.time_budget import limited_to

from .fakes import CHEAP, count_work

NO_TEXT: list[Any] = [None, 12345678, b"correct horse", ["correct horse"], True]
SECRET = "correct horse"


@pytest.fixture
def hasher() -> PasswordHasher:
    return PasswordHasher(CHEAP)


def test_right_password_verifies_and_wrong_one_does_not(hasher: PasswordHasher) -> None:
    stored = hasher.hash(SECRET)
    assert hasher.verify(stored, SECRET).matches
    assert not hasher.verify(stored, "correct hors").matches


def test_default_parameters_are_the_low_memory_ones_of_rfc_9106() -> None:
    # RFC 9106, section 4: t=3, p=4, m=2^16 KiB, 128-bit salt, 256-bit tag.
    stored = PasswordHasher(PasswordConfig()).hash(SECRET)
    found = argon2.extract_parameters(stored)
    assert found == argon2.profiles.RFC_9106_LOW_MEMORY
    assert (found.time_cost, found.memory_cost, found.parallelism) == (3, 65536, 4)


@pytest.mark.parametrize(
    "stored",
    [
        "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA",
        "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$A",
        "$argon2id$v=99$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=1,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
    ],
)
def test_hash_that_only_looks_sound_is_nobodys(hasher: PasswordHasher, stored: str) -> None:
    assert not hasher.verify(stored, SECRET).matches


def test_equal_passwords_get_different_hashes(hasher: PasswordHasher) -> None:
    assert hasher.hash(SECRET) != hasher.hash(SECRET)


def test_password_typed_on_another_system_is_the_same(hasher: PasswordHasher) -> None:
    composed, decomposed, compatible = "caf\u00e9 \ufb01ne", "cafe\u0301 fine", "café fine"
    stored = hasher.hash(composed)
    assert hasher.verify(stored, decomposed).matches
    assert hasher.verify(stored, compatible).matches


@pytest.mark.parametrize("password", NO_TEXT)
def test_what_is_not_text_is_refused_and_not_shown(hasher: PasswordHasher, password: Any) -> None:
    for ask in (hasher.normalize, hasher.check_text, hasher.hash):
        with pytest.raises(InvalidValueError, match="a password is text") as caught:
            ask(password)
        assert "correct" not in str(caught.value)
    with pytest.raises(InvalidValueError):
        hasher.verify(None, password)


def test_lone_surrogate_is_refused_without_carrying_the_password(hasher: PasswordHasher) -> None:
    with pytest.raises(InvalidValueError) as caught:
        hasher.hash("hunter2hunter2\ud800")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_length_over_the_bound_is_too_long(hasher: PasswordHasher) -> None:
    assert hasher.normalize("x" * 128) == ("x" * 128, 128)
    with pytest.raises(PasswordTooLongError, match="Use 128 or fewer"):
        hasher.normalize("x" * 129)


# A letter under marks of two classes, which a normal form has to sort: the dearest text there is.
COSTLY = "a" + "\u0301\u0316" * 30_000


def count_normal_forms(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the length of each text that is normalised, without the work."""
    lengths: list[int] = []

    def normalize(_: str, text: str) -> str:
        lengths.append(len(text))
        return text

    monkeypatch.setattr("wsgi_sessions.accounts.passwords.unicodedata.normalize", normalize)
    return lengths


def test_a_text_of_any_length_is_refused_without_work(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = hasher.hash(SECRET)
    work, lengths = count_work(monkeypatch), count_normal_forms(monkeypatch)
    for ask in (hasher.normalize, hasher.hash):
        with pytest.raises(PasswordTooLongError, match="Use 128 or fewer"):
            ask(COSTLY)
    assert not hasher.verify(stored, COSTLY).matches
    assert not hasher.verify(None, COSTLY).matches
    assert (lengths, work.done) == ([], [])


def test_what_composes_to_the_length_is_taken(hasher: PasswordHasher) -> None:
    # Four code points for one letter, the most that there are.
    longest = "\u03b1\u0313\u0301\u0345" * 128
    stored = hasher.hash(longest)
    assert hasher.verify(stored, "\u1f84" * 128).matches


def test_one_character_too_many_is_nobodys_password_and_costs_nothing(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = PasswordHasher(PasswordConfig(time_cost=1, memory_cost_kib=8, parallelism=1))
    stored = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("x" * 129)
    work = count_work(monkeypatch)
    assert not wide.verify(stored, "x" * 129).matches
    assert not wide.verify(None, "x" * 129).matches
    with pytest.raises(PasswordTooLongError):
        hasher.hash("x" * 129)
    assert work.done == []


def test_the_longest_setting_bounds_the_work_too(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = count_normal_forms(monkeypatch)
    hasher = PasswordHasher(
        PasswordConfig(max_length=4096, time_cost=1, memory_cost_kib=8, parallelism=1)
    )
    for length in (5120, 5121):
        assert not hasher.verify(None, "x" * length).matches
    assert lengths == [5120]


@pytest.mark.parametrize(
    ("typed", "length"),
    [
        ("\U0001f40e" * 8, 8),  # one code point each, outside of the first plane
        ("e\u0301" * 7, 7),  # a letter and its accent, typed apart
        ("\ufb03" * 7, 7),  # a ligature, which NFKC spells out as three letters
        ("\ufdfa", 1),  # and one that it spells out as eighteen
    ],
)
def test_a_character_is_a_code_point_however_it_is_typed(
    hasher: PasswordHasher, typed: str, length: int
) -> None:
    assert hasher.normalize(typed)[1] == length


def test_sixty_four_characters_are_taken_whatever_they_are(hasher: PasswordHasher) -> None:
    # ASVS 6.2.9. In NFKC they are 192.
    assert hasher.verify(hasher.hash("\ufb03" * 64), "ffi" * 64).matches is False
    assert hasher.verify(hasher.hash("\ufb03" * 64), "\ufb03" * 64).matches


def test_password_of_nobody_costs_the_work_of_a_real_one(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = hasher.hash(SECRET)
    work = count_work(monkeypatch)
    hasher.verify(stored, "wrong password")
    known = list(work.done)
    work.clear()
    assert not hasher.verify(None, "wrong password").matches
    assert work.done == known


def test_first_unknown_user_costs_no_more_than_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    work = count_work(monkeypatch)
    hasher = PasswordHasher(CHEAP)
    assert work.done == []
    hasher.verify(None, SECRET)
    assert len(work.done) == 1


@pytest.mark.parametrize(
    "stored",
    ["", "!", "bcrypt$12$abc", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$only-a-salt", "é" * 20],
)
def test_hash_that_is_not_argon2s_verifies_nothing_after_the_same_work(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch, stored: str
) -> None:
    work = count_work(monkeypatch)
    assert not hasher.verify(stored, SECRET).matches
    assert len(work.done) == 1


@settings(deadline=None)
@given(password=st.text())
def test_nothing_matches_the_decoy(password: str) -> None:
    hasher = PasswordHasher(CHEAP)
    assert not hasher.verify(None, password).matches


@settings(deadline=None)
@given(password=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_every_text_verifies_against_its_own_hash(password: str) -> None:
    # A character becomes eighteen at most in the normal form, which is what is counted.
    hasher = PasswordHasher(dataclasses.replace(CHEAP, max_length=4096))
    assert hasher.verify(hasher.hash(password), password).matches


def test_hash_of_other_parameters_is_replaced_by_one_of_ours(hasher: PasswordHasher) -> None:
    others: list[dict[str, Any]] = [{"time_cost": 2}, {"memory_cost_kib": 16}, {"hash_length": 16}]
    for other in others:
        stored = PasswordHasher(dataclasses.replace(CHEAP, **other)).hash(SECRET)
        matches, new_hash, _ = hasher.verify(stored, SECRET)
        assert matches
        assert hasher.verify(new_hash, SECRET) == (True, None, None)
        assert hasher.verify(stored, "wrong") == (False, None, None)


def test_no_more_hashes_run_than_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    limited = PasswordHasher(
        PasswordConfig(time_cost=1, memory_cost_kib=8, parallelism=1, max_parallel=1)
    )
    has_entered, may_leave = threading.Event(), threading.Event()
    entered: list[bytes] = []

    def slow_hash(_: argon2.PasswordHasher, password: bytes) -> str:
        entered.append(password)
        has_entered.set()
        may_leave.wait(10)
        return "hashed"

    monkeypatch.setattr(argon2.PasswordHasher, "hash", slow_hash)
    threads = [threading.Thread(target=limited.hash, args=(text,)) for text in ("one", "two")]
    for thread in threads:
        thread.start()
    assert has_entered.wait(10)
    assert len(entered) == 1
    may_leave.set()
    for thread in threads:
        thread.join(10)
    assert sorted(entered) == [b"one", b"two"]


def test_beyond_those_who_may_wait_the_server_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    limited = PasswordHasher(
        PasswordConfig(time_cost=1, memory_cost_kib=8, parallelism=1, max_parallel=1, max_waiting=1)
    )
    stored = limited.hash(SECRET)
    has_entered, may_leave = threading.Event(), threading.Event()

    def slow_hash(_: argon2.PasswordHasher, password: bytes) -> str:
        has_entered.set()
        may_leave.wait(10)
        return "hashed"

    with monkeypatch.context() as patched:
        patched.setattr(argon2.PasswordHasher, "hash", slow_hash)
        threads = [threading.Thread(target=limited.hash, args=(text,)) for text in ("one", "two")]
        threads[0].start()
        assert has_entered.wait(10)
        threads[1].start()
        for _ in range(1000):  # until the second stands in line
            if limited._queue._value == 0:
                break
            threads[1].join(0.01)
        for ask in (lambda: limited.hash(SECRET), lambda: limited.verify(stored, SECRET)):
            with pytest.raises(ServerBusyError, match="try again"):
                ask()
        may_leave.set()
        for thread in threads:
            thread.join(10)

    assert limited.verify(limited.hash(SECRET), SECRET).matches


def test_without_a_queue_nobody_waits() -> None:
    limited = PasswordHasher(
        PasswordConfig(time_cost=1, memory_cost_kib=8, parallelism=1, max_parallel=1, max_waiting=0)
    )
    with limited._place(), pytest.raises(ServerBusyError):
        limited.hash(SECRET)
    assert limited.hash(SECRET)


def test_a_failed_hash_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    limited = PasswordHasher(
        PasswordConfig(time_cost=1, memory_cost_kib=8, parallelism=1, max_parallel=1)
    )

    def broken_hash(_: argon2.PasswordHasher, password: bytes) -> str:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(argon2.PasswordHasher, "hash", broken_hash)
        with pytest.raises(MemoryError):
            limited.hash(SECRET)
    assert limited.verify(limited.hash(SECRET), SECRET).matches


def test_repr_tells_parameters_and_no_password(hasher: PasswordHasher) -> None:
    hasher.hash(SECRET)
    assert SECRET not in repr(hasher)
    assert "memory_cost_kib=8" in repr(hasher)


@pytest.mark.parametrize(("patience_ms", "limit_ms"), [(1, None), (60_000, 1)])
def test_nobody_waits_longer_than_the_request_may(patience_ms: int, limit_ms: int | None) -> None:
    limited = PasswordHasher(
        PasswordConfig(time_cost=1, memory_cost_kib=8, parallelism=1, max_parallel=1),
        patience_ms=patience_ms,
    )
    waiting = nullcontext() if limit_ms is None else limited_to(limit_ms)
    with limited._place(), waiting, pytest.raises(ServerBusyError):
        limited.hash(SECRET)
    assert limited.hash(SECRET), "the place and the queue are free again"
