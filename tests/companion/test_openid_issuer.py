"""Claims about ``LocalIssuer``, the issuer that tests of social sign-in run against."""

from __future__ import annotations

import json
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import jwt
import pytest

from wsgi_sessions_testing import FakeClock, LocalIssuer


def fetch(url: str) -> object:
    with urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())


def test_the_discovery_document_leads_to_the_keys() -> None:
    with LocalIssuer() as issuer:
        document = fetch(f"{issuer.url}/.well-known/openid-configuration")
        assert isinstance(document, dict)
        assert document["issuer"] == issuer.url
        keys = fetch(document["jwks_uri"])
        assert isinstance(keys, dict)
        [key] = keys["keys"]
        assert (key["kid"], key["use"], "d" in key) == (issuer.key_id, "sig", False)
        assert issuer.requested == ["/.well-known/openid-configuration", "/keys"]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_token_is_signed_by_the_published_key_and_dated_by_the_clock(algorithm: str) -> None:
    clock = FakeClock()
    with LocalIssuer(clock=clock, algorithm=algorithm) as issuer:
        keys = fetch(f"{issuer.url}/keys")
        assert isinstance(keys, dict)
        token = issuer.id_token("ada", email="ada@example.org", nonce=None)
        options = {"verify_exp": False, "verify_iat": False}
        claims = jwt.decode(
            token,
            jwt.PyJWK(keys["keys"][0]).key,
            algorithms=[algorithm],
            audience="client-of-tests",
            issuer=issuer.url,
            options=options,  # type: ignore[arg-type, unused-ignore]
        )
    assert claims["iat"] == clock.now_ms() // 1000
    assert claims["exp"] - claims["iat"] == 900
    assert (claims["sub"], claims["email"], "nonce" in claims) == ("ada", "ada@example.org", False)


@pytest.mark.parametrize("keep_old", [False, True])
def test_keys_change(keep_old: bool) -> None:
    with LocalIssuer() as issuer:
        first = issuer.key_id
        issuer.rotate_keys(keep_old=keep_old)
        keys = fetch(f"{issuer.url}/keys")
        assert isinstance(keys, dict)
        published = [key["kid"] for key in keys["keys"]]
    assert published == ([issuer.key_id, first] if keep_old else [issuer.key_id])
    assert issuer.key_id != first


def test_an_issuer_can_misbehave_and_be_away() -> None:
    with LocalIssuer() as issuer:
        issuer.serve("/keys", b"oops", status=500)
        with pytest.raises(HTTPError) as caught:
            fetch(f"{issuer.url}/keys")
        caught.value.close()
        with pytest.raises(HTTPError) as missing:
            fetch(f"{issuer.url}/nothing")
        missing.value.close()
        issuer.stop()
        with pytest.raises(URLError):
            fetch(f"{issuer.url}/keys")
    assert "LocalIssuer('http://127.0.0.1:" in repr(issuer)
