"""Social sign-in against a real OpenID provider in a process of its own, keys and all."""

from __future__ import annotations

import hmac
import json
import re
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from tests.scenarios.servers import free_port
from tests.support import ShiftedClock
from wsgi_sessions import (
    InvalidIdTokenError,
    ProviderUnavailableError,
    SessionManager,
    SignIn,
    oidc,
)

CLIENT = "client-of-tests"
BACK = "https://app.example.org/back"
PATIENCE_SECONDS = 60
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Provider:
    """One provider on one port, which can stop and start with other keys."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "oidc_provider_mock", "--port", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError):
                self.ask("GET", "/.well-known/openid-configuration")
                return
            time.sleep(0.1)
        raise AssertionError("the provider did not start")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[Any, str]:
        connection = HTTPConnection("localhost", self.port, timeout=10)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer, answer.read().decode()
        finally:
            connection.close()

    def id_token(self, subject: str, *, client: str = CLIENT, nonce: str = "n-1") -> str:
        """Walk through the authorization code flow as a person with a browser does."""
        self.ask(
            "PUT",
            f"/users/{subject}",
            json.dumps({"email": f"{subject}@example.org", "email_verified": True}),
            **{"Content-Type": "application/json"},
        )
        query = urlencode(
            {
                "client_id": client,
                "redirect_uri": BACK,
                "response_type": "code",
                "scope": "openid email profile",
                "nonce": nonce,
                "state": "s",
            }
        )
        answer, said = self.ask(
            "POST", f"/oauth2/authorize?{query}", urlencode({"sub": subject}), **FORM
        )
        location = answer.getheader("Location")
        assert location is not None, said
        code = parse_qs(urlsplit(location).query)["code"][0]
        _, text = self.ask(
            "POST",
            "/oauth2/token",
            urlencode(
                {
                    "grant_type": "authorization_code",
                    "code": code,
                    "redirect_uri": BACK,
                    "client_id": client,
                    "client_secret": "any",
                }
            ),
            **FORM,
        )
        token = json.loads(text)["id_token"]
        assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", token)
        return str(token)


def forgeries(token: str, provider: Provider) -> list[str]:
    """Return the token without a signature, and signed with the provider's public key."""
    payload = token.split(".")[1]
    _, text = provider.ask("GET", "/.well-known/openid-configuration")
    _, keys = provider.ask("GET", urlsplit(json.loads(text)["jwks_uri"]).path)
    public = jwt.PyJWK(json.loads(keys)["keys"][0]).key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    unsigned = f"{_base64({'alg': 'none', 'typ': 'JWT'})}.{payload}."
    confused = f"{_base64({'alg': 'HS256', 'typ': 'JWT'})}.{payload}"
    digest = hmac.new(public, confused.encode(), "sha256").digest()
    return [unsigned, f"{confused}.{_base64(digest)}"]


def _base64(value: dict[str, str] | bytes) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(text).rstrip(b"=").decode()


@pytest.fixture
def provider() -> Iterator[Provider]:
    if find_spec("oidc_provider_mock") is None:
        pytest.skip("oidc-provider-mock is not installed; it comes with the extra dev")
    provider = Provider()
    try:
        yield provider
    finally:
        provider.stop()


def test_a_real_providers_tokens_sign_people_in(provider: Provider) -> None:
    clock = ShiftedClock()
    manager = SessionManager(
        "sqlite:///:memory:",
        clock=clock,
        secret="a-secret-for-tests-of-32-characters",
        social_providers=[oidc("corp", provider.url, CLIENT, is_trusted=True)],
    )

    def enter(token: str, nonce: str | None = "n-1") -> SignIn:
        return manager.sign_in_social(provider="corp", id_token=token, nonce=nonce)

    old, kept, unused = (provider.id_token("ada") for _ in range(3))
    first = enter(old)
    assert (first.user.email, first.user.email_verified) == ("ada@example.org", True)
    assert enter(provider.id_token("ada")).user == first.user
    assert enter(provider.id_token("bob")).user != first.user
    for token, nonce in (
        (provider.id_token("ada", client="another-client"), "n-1"),
        (provider.id_token("ada", nonce="n-2"), "n-1"),
        (old, "n-1"),
        (kept, None),
        (kept[:-8] + "AAAAAAAA", "n-1"),
    ):
        with pytest.raises(InvalidIdTokenError):
            enter(token, nonce)

    for forged in forgeries(kept, provider):
        with pytest.raises(InvalidIdTokenError):
            enter(forged)
    clock.ahead_ms = 2 * 3_600_000
    with pytest.raises(InvalidIdTokenError):
        enter(kept)
    clock.ahead_ms = 0

    # Away: what is known still works, and nothing else can be checked.
    provider.stop()
    assert enter(kept).user == first.user
    newcomer = SessionManager("sqlite:///:memory:", config=manager.config, clock=clock)
    with pytest.raises(ProviderUnavailableError):
        newcomer.sign_in_social(provider="corp", id_token=unused, nonce="n-1")

    # Back, with other keys.
    provider.start()
    clock.ahead_ms += 60_000
    assert enter(provider.id_token("ada")).user == first.user
    # Past the pause, in which the provider is not asked whether it has the old key again.
    clock.ahead_ms += 60_000
    with pytest.raises(InvalidIdTokenError):
        enter(unused)
