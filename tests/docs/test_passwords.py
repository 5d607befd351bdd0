"""The code of ``docs/how-to/passwords.md`` runs, and what it says of passwords is so."""

from __future__ import annotations

import hashlib
import io
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wsgi_sessions import (
    PasswordCompromisedError,
    PasswordTooCommonError,
    PasswordTooShortError,
    PasswordTooSimilarError,
    RefusedError,
    SessionManager,
)
from wsgi_sessions_testing import CHEAP_PASSWORDS

from .pages import python_of, text_of

PAGE = "docs/how-to/passwords.md"
[LONGER, SITE, BREACHES, IMPORT] = python_of(PAGE)


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Return the names that a block begins with; its manager is closed afterwards."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"SessionManager": SessionManager, "SECRET": "0123456789abcdef" * 2}
    yield names
    names["manager"].close()


def refusal(manager: SessionManager, password: str) -> type[RefusedError] | None:
    rules = manager.parts.accounts.rules
    try:
        rules.check_new(password, email="ada@mail.example.org", name="Ada Lovelace")
    except RefusedError as refused:
        return type(refused)
    return None


def test_a_longer_minimum_is_asked_for(names: dict[str, Any]) -> None:
    exec(LONGER, names)
    assert refusal(names["manager"], "correct horse") is PasswordTooShortError
    assert refusal(names["manager"], "correct horse battery") is None


def test_what_the_page_says_of_words_is_so(names: dict[str, Any]) -> None:
    exec(SITE, names)
    said: dict[str, type[RefusedError] | None] = {
        "P@ssw0rd": PasswordTooCommonError,
        "Summer2026!": PasswordTooCommonError,
        "monkeymonkey": PasswordTooCommonError,
        "12121212": PasswordTooCommonError,
        "45678901": PasswordTooCommonError,
        "lkjhgfdsa": PasswordTooCommonError,
        "password for my horse": None,
        "ada-lovelace-1815": PasswordTooSimilarError,
        "my friend lovelace likes it": None,
    }
    assert {password: refusal(names["manager"], password) for password in said} == said
    assert all(f"`{password}`" in text_of(PAGE) for password in said)
    for password in ("quagga records", "Quagga-2026", "blueheron99"):
        assert refusal(names["manager"], password) is PasswordTooSimilarError


def test_a_breach_service_gets_the_first_digits_of_the_hash_alone(
    names: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha1(b"correct horse battery").hexdigest().upper()
    asked: list[tuple[str, float]] = []

    def answer(url: str, timeout: float) -> io.BytesIO:
        asked.append((url, timeout))
        return io.BytesIO(b"0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n%b:3" % digest[5:].encode())

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    exec(BREACHES, names)

    assert refusal(names["manager"], "correct horse battery") is PasswordCompromisedError
    assert refusal(names["manager"], "another horse battery") is None
    assert asked[0] == (f"https://api.pwnedpasswords.com/range/{digest[:5]}", 2)


def test_an_imported_hash_signs_in_and_is_replaced(names: dict[str, Any]) -> None:
    manager = SessionManager(
        "sqlite:///:memory:", secret="0123456789abcdef" * 2, password=CHEAP_PASSWORDS
    )
    exec(IMPORT, names | {"manager": manager})
    user = manager.find_user(email="ada@example.org")
    assert user is not None
    [session] = manager.list_sessions(user.id)
    account = manager.parts.store.accounts.find_credential(user.id)
    assert session.user_id == user.id
    assert account is not None
    assert (account.password_hash or "").startswith("$argon2id$")
    names["manager"] = manager
