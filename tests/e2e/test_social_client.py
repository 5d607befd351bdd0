"""The npm client's ``signIn.social`` with an ID token, against an issuer on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wsgi_sessions_testing import LocalIssuer

from .service import Node, Service, serving
from .test_better_auth_client import Device

EMAIL = "ada@example.org"


@pytest.fixture
def issuer() -> Iterator[LocalIssuer]:
    pytest.importorskip("jwt", reason="PyJWT comes with the extra social")
    with LocalIssuer() as issuer:
        yield issuer


@pytest.fixture
def service(issuer: LocalIssuer, tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path, issuer_url=issuer.url) as service:
        yield service


@pytest.fixture
def laptop(service: Service) -> Iterator[Device]:
    node = Node(service.url)
    yield Device(node, "laptop")
    node.close()


def given(token: str, **more: Any) -> dict[str, Any]:
    return {"provider": "corp", "idToken": {"token": token, **more}}


def test_an_id_token_signs_in_and_up(laptop: Device, issuer: LocalIssuer) -> None:
    token = issuer.id_token("ada", email=EMAIL, email_verified=True, name="Ada")

    made = laptop.do("signIn.social", given(token))

    assert made["redirect"] is False
    assert (made["user"]["name"], made["user"]["email"]) == ("Ada", EMAIL)
    # What an issuer that nobody called trusted says of an address counts for nothing.
    assert made["user"]["emailVerified"] is False
    found = laptop.do("getSession")
    assert found["user"] == made["user"] and found["session"]["id"] == made["token"]
    assert [one["userAgent"] for one in laptop.do("listSessions")] == ["Node of laptop"]


def test_the_same_person_is_known_again(laptop: Device, issuer: LocalIssuer) -> None:
    first = laptop.do("signIn.social", given(issuer.id_token("ada", email=EMAIL)))
    laptop.do("signOut")
    assert laptop.find_session() is None

    # Under another address: it is the subject that tells who it is.
    again = laptop.do("signIn.social", given(issuer.id_token("ada", email="new@example.org")))

    assert again["user"]["id"] == first["user"]["id"]
    assert laptop.find_session() is not None


def test_a_nonce_has_to_be_that_of_the_token(laptop: Device, issuer: LocalIssuer) -> None:
    token = issuer.id_token("ada", email=EMAIL, nonce="of this sign-in")

    refused = laptop.refused("signIn.social", given(token, nonce="of another"))
    assert refused == (401, "INVALID_TOKEN")

    laptop.do("signIn.social", given(token, nonce="of this sign-in"))
    assert laptop.find_session() is not None


def test_what_the_issuer_did_not_say_to_us_is_refused(laptop: Device, issuer: LocalIssuer) -> None:
    ours = issuer.id_token("ada", email=EMAIL)
    head, body, _ = ours.split(".")
    refused = {
        "to somebody else": issuer.id_token("ada", email=EMAIL, aud="another-client"),
        "too long ago": issuer.id_token("ada", email=EMAIL, expires_in=-3600),
        "not at all": f"{head}.{body}.{'A' * 342}",
    }

    answers = {why: laptop.refused("signIn.social", given(said)) for why, said in refused.items()}

    assert answers == dict.fromkeys(refused, (401, "INVALID_TOKEN"))
    assert laptop.find_session() is None


def test_a_provider_that_was_not_declared_is_not_found(laptop: Device, issuer: LocalIssuer) -> None:
    body = {"provider": "elsewhere", "idToken": {"token": issuer.id_token("ada", email=EMAIL)}}
    assert laptop.refused("signIn.social", body) == (404, "PROVIDER_NOT_FOUND")
