"""Tokens and their signatures: ours are read, all else is nothing; no repr shows one."""

from __future__ import annotations

import itertools
import pickle
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta, timezone

import pytest

from wsgi_sessions.clock import SystemClock, ms_from_datetime, ms_from_duration
from wsgi_sessions.records import Account, PresentedToken
from wsgi_sessions.sessions.signing import KeyRing
from wsgi_sessions.sessions.tokens import (
    TokenSigner,
    mint_secret,
    new_branch,
    new_id,
    new_secret,
    session_id_from,
)

NEW, OLD = "n0123456789abcdef" * 2, "o0123456789abcdef" * 2
BRANCH, OTHER = "Branch-0", "Branch-1"


@pytest.fixture
def signer() -> TokenSigner:
    return TokenSigner([NEW, OLD])


def sign(text: str) -> str:
    """Sign whatever text as a token would be."""
    return urlsafe_b64encode(KeyRing([NEW], "session token v1").sign(text.encode())).decode()


def test_token_comes_back_with_its_generation_and_branch(signer: TokenSigner) -> None:
    secret = mint_secret()

    token = signer.read(signer.write(secret, 12, BRANCH))

    assert token is not None
    assert (token.session_id, token.generation) == (session_id_from(secret), 12)
    assert (token.branch, token.secret) == (BRANCH, secret)
    assert token.is_signed_by_newest


def test_older_secret_verifies_but_is_told(signer: TokenSigner) -> None:
    token = signer.read(TokenSigner([OLD]).write(mint_secret(), 0, BRANCH))

    assert token is not None
    assert not token.is_signed_by_newest


def test_secret_that_is_no_longer_configured_is_nothing(signer: TokenSigner) -> None:
    assert (
        signer.read(TokenSigner(["x0123456789abcdef" * 2]).write(mint_secret(), 0, BRANCH)) is None
    )


def test_every_altered_character_is_nothing(signer: TokenSigner) -> None:
    text = signer.write(mint_secret(), 12, BRANCH)

    for position, old in enumerate(text):
        altered = text[:position] + ("A" if old != "A" else "B") + text[position + 1 :]
        assert signer.read(altered) is None, position


@pytest.mark.parametrize("generation", ["-1", "+1", "01", "1.0", "1e1", " 1", "", "9" * 10, "１"])
def test_generation_has_one_spelling(signer: TokenSigner, generation: str) -> None:
    secret = mint_secret()
    version, text, _, branch, signature = signer.write(secret, 1, BRANCH).split(".")
    ours = sign(f"{version}.{text}.{generation}.{branch}")

    assert signer.read(f"{version}.{text}.{generation}.{branch}.{signature}") is None
    assert signer.read(f"{version}.{text}.{generation}.{branch}.{ours}") is None


@pytest.mark.parametrize(
    "branch",
    ["", "Branch-", "Branch-00", "Branch+0", "Branch/0", "Branch.0", "Bränch-0", "        "],
)
def test_branch_has_eight_characters_of_its_alphabet(signer: TokenSigner, branch: str) -> None:
    signed = signer.write(bytes(24), 1, BRANCH).rpartition(".")[0].replace(BRANCH, branch)

    assert signer.read(f"{signed}.{sign(signed)}") is None


def test_another_branch_under_the_same_signature_is_nothing(signer: TokenSigner) -> None:
    text = signer.write(bytes(24), 1, BRANCH)

    assert signer.read(text.replace(BRANCH, OTHER)) is None
    assert signer.read(signer.write(bytes(24), 1, OTHER)) is not None


def test_no_part_of_one_token_is_good_in_another(signer: TokenSigner) -> None:
    """Neither a generation, nor a branch, nor the mark of a catch-up can be put together."""
    offers = [
        signer.write(secret, generation, branch).split(".")
        for secret in (bytes(24), b"s" * 24)
        for generation in (1, 2)
        for branch in (BRANCH, OTHER)
    ]

    good = {
        ".".join(parts)
        for parts in itertools.product(*({offer[n] for offer in offers} for n in range(5)))
        if signer.read(".".join(parts)) is not None
    }

    assert good == {".".join(offer) for offer in offers}


def test_branches_are_drawn_anew_and_read_back(signer: TokenSigner) -> None:
    branches = [new_branch(is_catch_up=n % 2 == 1) for n in range(1000)]

    assert len(set(branches)) == 1000
    for branch in branches:
        token = signer.read(signer.write(bytes(24), 1, branch))
        assert token is not None and token.branch == branch


@pytest.mark.parametrize("is_catch_up", [False, True])
@pytest.mark.parametrize("first", range(0, 256, 5))
def test_first_bit_of_a_branch_says_that_it_is_a_catch_up(
    signer: TokenSigner, monkeypatch: pytest.MonkeyPatch, is_catch_up: bool, first: int
) -> None:
    drawn = bytes([first, *b"branch"[:5]])
    monkeypatch.setattr(
        "wsgi_sessions.sessions.tokens.secrets.token_bytes", lambda length: drawn[:length]
    )

    branch = new_branch(is_catch_up=is_catch_up)

    token = signer.read(signer.write(bytes(24), 1, branch))
    assert token is not None
    assert token.is_catch_up is is_catch_up
    assert urlsafe_b64decode(branch)[0] & 0x7F == first & 0x7F, "the other bits are as drawn"
    assert urlsafe_b64decode(branch)[1:] == drawn[1:]


def test_every_first_character_is_one_of_its_bit() -> None:
    for first in range(256):
        branch = urlsafe_b64encode(bytes([first, *b"ranch"])).decode()
        token = PresentedToken("session-1", 1, branch, b"", "", True)
        assert token.is_catch_up is (first >= 0x80), first


def test_token_of_one_purpose_is_nothing_to_another() -> None:
    message = b"message"

    signature = KeyRing([NEW], "session token v1").sign(message)

    assert KeyRing([NEW], "cookie cache v1").verify(message, signature) is None


def test_secrets_and_ids_are_drawn_anew() -> None:
    assert len({mint_secret() for _ in range(100)}) == 100
    assert len({new_id() for _ in range(100)}) == 100
    assert len({new_secret() for _ in range(100)}) == 100


def test_session_id_has_twenty_four_characters() -> None:
    assert len(session_id_from(mint_secret())) == 24


def test_no_repr_shows_what_gives_access(signer: TokenSigner) -> None:
    text = signer.write(mint_secret(), 0, BRANCH)
    token = signer.read(text)
    account = Account("id", "user", "credential", "user", "$argon2id$hash")

    shown = f"{signer!r} {token!r} {KeyRing([NEW], 'x')!r} {account!r}"

    for secret in (NEW, OLD, *text.split(".")[1:2], *text.split(".")[3:], "$argon2id"):
        assert secret not in shown


def test_keys_can_not_be_pickled(signer: TokenSigner) -> None:
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(signer)


def test_presented_token_is_a_value(signer: TokenSigner) -> None:
    text = signer.write(bytes(24), 0, BRANCH)

    assert signer.read(text) == PresentedToken(
        session_id_from(bytes(24)), 0, BRANCH, bytes(24), text, True
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "v1",
        "v1....",
        "v1.a.0.b.c",
        "v2.{secret}.0.{branch}.{signature}",
        "v1.{secret}.0.{branch}.{signature}.",
        "v1.{secret}.0.{branch}.{signature}=",
        " v1.{secret}.0.{branch}.{signature}",
        "v1.{secret}.0.{branch}.{signature}\n",
        "V1.{secret}.0.{branch}.{signature}",
        "v1.{secret}.0.{signature}",
        "v1.{secret}.{branch}.0.{signature}",
        "v1.{secret}.0.{branch}",
        "é" * 70,
        "x" * 100_000,
        "\ud800\0",
    ],
)
def test_rubbish_is_nothing(signer: TokenSigner, text: str) -> None:
    parts = signer.write(bytes(24), 0, BRANCH).split(".")
    for name, part in zip(
        ("version", "secret", "generation", "branch", "signature"), parts, strict=True
    ):
        text = text.replace(f"{{{name}}}", part)

    assert signer.read(text) is None


def test_text_that_does_not_parse_is_dropped_before_any_key_is_used(
    signer: TokenSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeyRing, "verify", pytest.fail)

    assert signer.read(signer.write(bytes(24), 0, BRANCH)[:-1]) is None


def test_signature_covers_all_that_stands_before_it() -> None:
    signed, _, signature = TokenSigner([NEW]).write(bytes(24), 7, BRANCH).rpartition(".")

    assert signed == f"v1.{'A' * 32}.7.{BRANCH}"
    assert signature == sign(signed)


def test_secret_has_twenty_four_bytes_and_a_server_secret_256_bits() -> None:
    assert len(mint_secret()) == 24
    assert len(urlsafe_b64decode(new_secret() + "=")) == 32
    assert len(new_id()) == 24


def test_token_has_seventy_eight_characters_and_its_generation(signer: TokenSigner) -> None:
    assert {len(signer.write(mint_secret(), 7, new_branch())) for _ in range(100)} == {79}
    assert len(signer.write(mint_secret(), 12_345, new_branch())) == 83


def test_generation_has_at_most_nine_digits(signer: TokenSigner) -> None:
    longest = signer.read(signer.write(bytes(24), 999_999_999, BRANCH))

    assert longest is not None and longest.generation == 999_999_999
    assert signer.read(signer.write(bytes(24), 1_000_000_000, BRANCH)) is None


def test_system_clock_counts_milliseconds_since_the_epoch() -> None:
    now = datetime.now(timezone.utc)

    assert abs(SystemClock().now_ms() - ms_from_datetime(now)) < 60_000
    assert repr(SystemClock()) == "SystemClock()"


def test_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone; give an aware datetime"):
        ms_from_datetime(datetime(2026, 1, 1))


def test_durations_are_timedeltas_or_seconds() -> None:
    assert (ms_from_duration(timedelta(seconds=1.5)), ms_from_duration(2)) == (1500, 2000)
