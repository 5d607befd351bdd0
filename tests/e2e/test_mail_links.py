"""The npm client's calls about mails, unchanged, in Node: reset, verification, another address.

And the step-up that changing an address may need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .service import Node, Service, serving
from .test_better_auth_client import EMAIL, PASSWORD, Device

A_DAY = 86_400
NEW_EMAIL, NEW_PASSWORD = "ada@example.net", "another horse"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path) as service:
        yield service


@pytest.fixture
def device(service: Service) -> Iterator[Callable[[str], Device]]:
    node = Node(service.url)
    yield lambda name: Device(node, name)
    node.close()


def test_forgotten_password(service: Service, device: Callable[[str], Device]) -> None:
    laptop, phone = device("laptop"), device("phone")
    laptop.sign_up()

    asked = phone.do("requestPasswordReset", {"email": EMAIL, "redirectTo": "/new-password"})
    mail = service.wait_for_mail("reset-password")
    done = phone.do("resetPassword", {"newPassword": NEW_PASSWORD, "token": mail["token"]})

    assert asked["status"] is True and done == {"status": True}
    assert mail["url"] == f"{service.url}/new-password?token={mail['token']}"
    again = {"newPassword": "a third horse", "token": mail["token"]}
    assert phone.refused("resetPassword", again) == (400, "INVALID_TOKEN")
    assert laptop.find_session() is None
    assert laptop.refused("signIn.email", {"email": EMAIL, "password": PASSWORD})[0] == 401
    assert laptop.do("signIn.email", {"email": EMAIL, "password": NEW_PASSWORD})["token"]


def test_verified_address(service: Service, device: Callable[[str], Device]) -> None:
    laptop = device("laptop")
    laptop.sign_up()

    body = {"email": EMAIL, "callbackURL": "/hello"}
    assert laptop.do("sendVerificationEmail", body) == {"status": True}
    token = service.wait_for_mail("verify-email")["token"]
    answer = laptop.do("verifyEmail", {"query": {"token": token}})

    assert answer["status"] is True
    assert laptop.do("getSession")["user"]["emailVerified"] is True
    assert laptop.refused("verifyEmail", {"query": {"token": "x"}}) == (401, "INVALID_TOKEN")
    assert laptop.refused("sendVerificationEmail", body) == (400, "EMAIL_ALREADY_VERIFIED")


def test_changed_address(service: Service, device: Callable[[str], Device]) -> None:
    laptop = device("laptop")
    laptop.sign_up()

    assert laptop.do("changeEmail", {"newEmail": NEW_EMAIL}) == {"status": True}
    mail = service.wait_for_mail("change-email")
    laptop.do("verifyEmail", {"query": {"token": mail["token"]}})

    assert mail["to"] == NEW_EMAIL
    assert service.wait_for_mail("email-changed")["to"] == EMAIL
    assert laptop.do("getSession")["user"]["email"] == NEW_EMAIL


def test_changed_address_a_day_later_after_a_step_up(
    service: Service, device: Callable[[str], Device]
) -> None:
    laptop = device("laptop")
    laptop.sign_up()
    service.advance(A_DAY + 1)

    refused = laptop.ask("changeEmail", {"newEmail": NEW_EMAIL})["error"]
    assert (refused["status"], refused["code"]) == (403, "SESSION_NOT_FRESH")
    assert (refused["maxAge"], refused["isElsewhere"]) == (A_DAY, False)
    assert verify_password(laptop, "wrong horse")["error"]["code"] == "INVALID_PASSWORD"
    assert laptop.refused("changeEmail", {"newEmail": NEW_EMAIL})[0] == 403

    assert verify_password(laptop, PASSWORD)["data"] == {"status": True}
    assert laptop.do("changeEmail", {"newEmail": NEW_EMAIL}) == {"status": True}
    assert service.wait_for_mail("change-email")["to"] == NEW_EMAIL


def verify_password(device: Device, password: str) -> Any:
    options = {"method": "POST", "body": {"password": password}}
    return device.ask("$fetch", "/verify-password", options)
