"""Nonces that this server gives: an ID token with one is good in one browser alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import new_clock
from wsgi_sessions import SessionEvent, SessionManager, oidc
from wsgi_sessions_testing import FakeClock, LocalIssuer

from .client import EMAIL, Answer, Client, make_manager


@pytest.fixture
def clock() -> FakeClock:
    return new_clock()


@pytest.fixture
def manager(issuer: LocalIssuer, clock: FakeClock) -> SessionManager:
    strict = oidc("strict", issuer.url, "client-of-tests", needs_server_nonce=True)
    return make_manager(clock, social_providers=[issuer.provider("corp"), strict])


@pytest.fixture
def causes(manager: SessionManager) -> list[str]:
    """Why sign-ins were refused."""
    found: list[str] = []

    def note(event: SessionEvent) -> None:
        if event.name == "sign_in_failed":
            found.append(event.details["cause"])

    manager.events.subscribe(note)
    return found


def ask_nonce(client: Client, provider: str = "corp") -> str:
    answer = client.post("/make-nonce", {"provider": provider})
    assert answer.status == 200
    return str(answer.json["nonce"])


def enter(
    client: Client,
    issuer: LocalIssuer,
    *,
    said: str | None,
    given: str | None = None,
    provider: str = "corp",
) -> Answer:
    token: dict[str, Any] = {"token": issuer.id_token("ada-1", email=EMAIL, nonce=said)}
    if given is not None:
        token["nonce"] = given
    return client.post("/sign-in/social", {"provider": provider, "idToken": token})


@pytest.mark.parametrize("provider", ["corp", "strict"])
@pytest.mark.parametrize("is_given", [True, False])
def test_a_browser_signs_in_with_its_nonce(
    provider: str, is_given: bool, manager: SessionManager, issuer: LocalIssuer
) -> None:
    browser = Client(manager)
    nonce = ask_nonce(browser, provider)
    given = nonce if is_given else None
    assert enter(browser, issuer, said=nonce, given=given, provider=provider).status == 200


@pytest.mark.parametrize("provider", ["corp", "strict"])
@pytest.mark.parametrize("has_own_nonce", [True, False])
def test_a_stolen_token_is_worth_nothing_in_another_browser(
    provider: str,
    has_own_nonce: bool,
    manager: SessionManager,
    issuer: LocalIssuer,
    causes: list[str],
) -> None:
    thief, owner = Client(manager), Client(manager)
    nonce = ask_nonce(owner, provider)
    if has_own_nonce:
        ask_nonce(thief, provider)
    answer = enter(thief, issuer, said=nonce, given=nonce, provider=provider)
    assert (answer.status, answer.code) == (401, "INVALID_TOKEN")
    assert causes == ["id_token_nonce_of_another_browser"]


@pytest.mark.parametrize("said", [None, "n-1", "wsn1.", "wsn1.x.1.y"])
def test_a_strict_provider_takes_no_other_nonce(
    said: str | None, manager: SessionManager, issuer: LocalIssuer, causes: list[str]
) -> None:
    browser = Client(manager)
    ask_nonce(browser, "strict")
    assert enter(browser, issuer, said=said, given=said, provider="strict").status == 401
    assert causes[0] in ("id_token_nonce_not_ours", "id_token_nonce_of_another_browser")


def test_a_nonce_is_for_one_provider(
    manager: SessionManager, issuer: LocalIssuer, causes: list[str]
) -> None:
    browser = Client(manager)
    nonce = ask_nonce(browser, "strict")
    assert enter(browser, issuer, said=nonce, given=nonce, provider="corp").status == 401
    assert causes == ["id_token_nonce_of_another_browser"]


def test_another_nonce_beside_the_token_is_refused(
    manager: SessionManager, issuer: LocalIssuer, causes: list[str]
) -> None:
    browser = Client(manager)
    first, second = ask_nonce(browser), ask_nonce(browser)
    assert first != second
    assert enter(browser, issuer, said=first, given=second).status == 401
    assert causes == ["id_token_nonce"]


def test_two_tabs_have_a_nonce_each(manager: SessionManager, issuer: LocalIssuer) -> None:
    browser = Client(manager)
    nonces = [ask_nonce(browser), ask_nonce(browser)]
    assert [enter(browser, issuer, said=nonce).status for nonce in nonces] == [200, 200]


@pytest.mark.parametrize(("seconds", "status"), [(3599, 200), (3600, 401)])
def test_a_nonce_is_good_for_an_hour(
    seconds: int, status: int, manager: SessionManager, issuer: LocalIssuer, clock: FakeClock
) -> None:
    browser = Client(manager)
    nonce = ask_nonce(browser)
    cookies = browser.cookies
    clock.advance(seconds=seconds)
    # Whatever the browser has made of its cookie's Max-Age.
    browser.cookies = cookies
    assert enter(browser, issuer, said=nonce).status == status


@pytest.mark.parametrize("place", [0, 6, 31, 45, -1])
def test_a_changed_nonce_is_not_ours(
    place: int, manager: SessionManager, issuer: LocalIssuer, causes: list[str]
) -> None:
    browser = Client(manager)
    nonce = ask_nonce(browser, "strict")
    characters = list(nonce)
    characters[place] = "2" if characters[place] != "2" else "3"
    changed = "".join(characters)
    assert enter(browser, issuer, said=changed, given=changed, provider="strict").status == 401
    assert causes


def test_the_key_is_a_cookie_that_no_script_reads(manager: SessionManager) -> None:
    browser = Client(manager)
    answer = browser.post("/make-nonce", {"provider": "corp"})
    [line] = answer.header_list("Set-Cookie")
    assert "session_token_nonce=" in line
    assert "HttpOnly" in line and "Max-Age=3600" in line and "SameSite=Lax" in line
    assert answer.json["nonce"] not in line


@pytest.mark.parametrize(("body", "status"), [({"provider": "nobody"}, 404), ({}, 400)])
def test_a_provider_has_to_be_named(
    body: dict[str, str], status: int, manager: SessionManager
) -> None:
    assert Client(manager).post("/make-nonce", body).status == status


def test_a_script_has_no_browser(
    manager: SessionManager, issuer: LocalIssuer, causes: list[str]
) -> None:
    nonce = ask_nonce(Client(manager))
    token = issuer.id_token("ada-1", email=EMAIL, nonce=nonce)
    with pytest.raises(Exception, match="Invalid token"):
        manager.sign_in_social(provider="corp", id_token=token, nonce=nonce)
    assert causes == ["id_token_nonce_of_another_browser"]
