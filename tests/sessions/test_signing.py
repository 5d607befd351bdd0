"""The key ring: the newest key signs, all verify, each purpose on its own."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from wsgi_sessions.sessions.signing import SIGNATURE_BYTES, KeyRing

NEW, OLD = "n0123456789abcdef" * 2, "o0123456789abcdef" * 2


def test_signature_is_the_hmac_under_a_key_of_its_purpose() -> None:
    key = hmac.digest(NEW.encode(), b"wsgi-sessions/purpose", hashlib.sha256)

    signature = KeyRing([NEW, OLD], "purpose").sign(b"message")

    assert signature == hmac.digest(key, b"message", hashlib.sha256)[:24]


def test_every_key_verifies_and_is_told_by_its_position() -> None:
    ring = KeyRing([NEW, OLD], "purpose")

    assert ring.verify(b"m", KeyRing([NEW], "purpose").sign(b"m")) == 0
    assert ring.verify(b"m", KeyRing([OLD], "purpose").sign(b"m")) == 1


def test_key_that_is_no_longer_listed_does_not_verify() -> None:
    assert KeyRing([NEW], "purpose").verify(b"m", KeyRing([OLD], "purpose").sign(b"m")) is None


def test_purposes_do_not_take_each_other_s_signatures() -> None:
    assert KeyRing([NEW], "one").verify(b"m", KeyRing([NEW], "two").sign(b"m")) is None


@pytest.mark.parametrize("position", range(SIGNATURE_BYTES))
def test_any_changed_byte_is_noticed(position: int) -> None:
    ring = KeyRing([NEW], "purpose")
    signature = bytearray(ring.sign(b"m"))
    signature[position] ^= 1

    assert ring.verify(b"m", bytes(signature)) is None


@pytest.mark.parametrize("cut", [0, 1, SIGNATURE_BYTES - 1])
def test_part_of_a_signature_is_none(cut: int) -> None:
    ring = KeyRing([NEW], "purpose")

    assert ring.verify(b"m", ring.sign(b"m")[:cut]) is None


def test_longer_signature_is_none() -> None:
    ring = KeyRing([NEW], "purpose")

    assert ring.verify(b"m", ring.sign(b"m") + b"\0") is None


def test_signing_leaves_nothing_behind() -> None:
    ring = KeyRing([NEW], "purpose")
    first = ring.sign(b"m")

    ring.sign(b"another")

    assert ring.sign(b"m") == first


def test_comparison_takes_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(own: bytes, given: bytes) -> bool:
        compared.append(given)
        return own == given

    ring = KeyRing([NEW, OLD], "purpose")
    monkeypatch.setattr("wsgi_sessions.sessions.signing.hmac.compare_digest", compare)

    assert ring.verify(b"m", b"wrong") is None
    assert compared == [b"wrong", b"wrong"], "each key was compared by the safe function"


def test_secret_of_any_text_makes_a_key() -> None:
    ring = KeyRing(["\ud800é" * 16], "purpose")

    assert ring.verify(b"m", ring.sign(b"m")) == 0


def test_repr_shows_no_key() -> None:
    assert repr(KeyRing([NEW, OLD], "purpose")) == "KeyRing(<2 keys>)"
