"""Tokens and their signatures: ours are read, all else is nothing; no repr shows one."""

from __future__ import annotations

import pickle
from base64 import urlsafe_b64decode
from datetime import datetime, timedelta, timezone

import pytest

from wsgi_sessions.clock import SystemClock, ms_from_datetime, ms_from_duration
from wsgi_sessions.records import Account, PresentedToken
from wsgi_sessions.signing import KeyRing
from wsgi_sessions.tokens import (
    TokenSigner,
    mint_secret,
    new_id,
    new_server_secret,
    session_id_from,
)

NEW, OLD = "n" * 32, "o" * 32


@pytest.fixture
def signer() -> TokenSigner:
    return TokenSigner([NEW, OLD])


def test_token_comes_back_with_its_generation(signer: TokenSigner) -> None:
    secret = mint_secret()

    token = signer.read(signer.write(secret, 12))

    assert token is not None
    assert (token.session_id, token.generation) == (session_id_from(secret), 12)
    assert token.is_signed_by_newest


def test_older_secret_verifies_but_is_told(signer: TokenSigner) -> None:
    token = signer.read(TokenSigner([OLD]).write(mint_secret(), 0))

    assert token is not None
    assert not token.is_signed_by_newest


def test_secret_that_is_no_longer_configured_is_nothing(signer: TokenSigner) -> None:
    assert signer.read(TokenSigner(["x" * 32]).write(mint_secret(), 0)) is None


def test_every_altered_character_is_nothing(signer: TokenSigner) -> None:
    text = signer.write(mint_secret(), 12)

    for position, old in enumerate(text):
        altered = text[:position] + ("A" if old != "A" else "B") + text[position + 1 :]
        assert signer.read(altered) is None, position


@pytest.mark.parametrize("generation", ["-1", "+1", "01", "1.0", "1e1", " 1", "", "9" * 10, "１"])
def test_generation_has_one_spelling(signer: TokenSigner, generation: str) -> None:
    version, secret, _, signature = signer.write(mint_secret(), 1).split(".")

    assert signer.read(f"{version}.{secret}.{generation}.{signature}") is None


def test_token_of_one_purpose_is_nothing_to_another() -> None:
    message = b"message"

    signature = KeyRing([NEW], "session token v1").sign(message)

    assert KeyRing([NEW], "cookie cache v1").verify(message, signature) is None


def test_secrets_and_ids_are_drawn_anew() -> None:
    assert len({mint_secret() for _ in range(100)}) == 100
    assert len({new_id() for _ in range(100)}) == 100
    assert len({new_server_secret() for _ in range(100)}) == 100


def test_session_id_has_twenty_four_characters() -> None:
    assert len(session_id_from(mint_secret())) == 24


def test_no_repr_shows_what_gives_access(signer: TokenSigner) -> None:
    text = signer.write(mint_secret(), 0)
    token = signer.read(text)
    account = Account("id", "user", "credential", "user", "$argon2id$hash")

    shown = f"{signer!r} {token!r} {KeyRing([NEW], 'x')!r} {account!r}"

    for secret in (NEW, OLD, text.split(".")[1], text.split(".")[3], "$argon2id"):
        assert secret not in shown


def test_keys_can_not_be_pickled(signer: TokenSigner) -> None:
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(signer)


def test_presented_token_is_a_value(signer: TokenSigner) -> None:
    text = signer.write(bytes(24), 0)

    assert signer.read(text) == PresentedToken(session_id_from(bytes(24)), 0, bytes(24), text, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "v1",
        "v1...",
        "v1.a.0.b",
        "v2.{secret}.0.{signature}",
        "v1.{secret}.0.{signature}.",
        "v1.{secret}.0.{signature}=",
        " v1.{secret}.0.{signature}",
        "v1.{secret}.0.{signature}\n",
        "V1.{secret}.0.{signature}",
        "v1.{secret}.0",
        "é" * 70,
        "x" * 100_000,
        "\ud800\0",
    ],
)
def test_rubbish_is_nothing(signer: TokenSigner, text: str) -> None:
    _, secret, _, signature = signer.write(bytes(24), 0).split(".")

    assert signer.read(text.replace("{secret}", secret).replace("{signature}", signature)) is None


def test_text_that_does_not_parse_is_dropped_before_any_key_is_used(
    signer: TokenSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeyRing, "verify", pytest.fail)

    assert signer.read(signer.write(bytes(24), 0)[:-1]) is None


def test_signature_covers_version_secret_and_generation() -> None:
    text = TokenSigner([NEW]).write(bytes(24), 7)

    signature = KeyRing([NEW], "session token v1").sign(b"v1" + bytes(24) + b"7")

    assert urlsafe_b64decode(text.split(".")[3]) == signature


def test_secret_has_twenty_four_bytes_and_a_server_secret_256_bits() -> None:
    assert len(mint_secret()) == 24
    assert len(urlsafe_b64decode(new_server_secret() + "=")) == 32
    assert len(new_id()) == 24


def test_generation_has_at_most_nine_digits(signer: TokenSigner) -> None:
    longest = signer.read(signer.write(bytes(24), 999_999_999))

    assert longest is not None and longest.generation == 999_999_999
    assert signer.read(signer.write(bytes(24), 1_000_000_000)) is None


def test_system_clock_counts_milliseconds_since_the_epoch() -> None:
    now = datetime.now(timezone.utc)

    assert abs(SystemClock().now_ms() - ms_from_datetime(now)) < 60_000
    assert repr(SystemClock()) == "SystemClock()"


def test_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone; give an aware datetime"):
        ms_from_datetime(datetime(2026, 1, 1))


def test_durations_are_timedeltas_or_seconds() -> None:
    assert (ms_from_duration(timedelta(seconds=1.5)), ms_from_duration(2)) == (1500, 2000)
