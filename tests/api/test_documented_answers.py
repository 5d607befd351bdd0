"""Every answer that the OpenAPI document names is really given, and looks as it says.

That nothing else is answered is watched by ``Client`` in all tests of the API.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import pytest

from tests.support import new_clock
from wsgi_sessions.api.routes import ROUTES
from wsgi_sessions_testing import CHEAP_PASSWORDS, FakeClock, LocalIssuer, Mailbox
from wsgi_sessions_testing.fakes.managers import running_with

from .client import (
    EMAIL,
    PASSWORD,
    Answer,
    Client,
    documented_answers,
    lose_database,
    make_manager,
)

if find_spec("jsonschema_rs") is None:
    pytest.skip(
        "jsonschema-rs is not installed; it comes with the extra dev", allow_module_level=True
    )

import jsonschema_rs

DAY = 86_400
FIELDS = {"theme": "string"}
REJECT = {"maximum_sessions": 1, "on_limit": "reject"}
BREACHED = {**CHEAP_PASSWORDS, "is_compromised": lambda _: True}
ONE_TRY = {"tries": 1, "network_tries": 1, "sign_ups": 1}
NEW_PASSWORD, NEW_EMAIL, VERIFY = "another horse", "new@example.org", "/send-verification-email"
POSTS = [path for path, route in ROUTES.items() if route.method == "POST"]


@dataclass
class Scene:
    """What a provocation works with; users are signed up as they are asked for."""

    clock: FakeClock
    issuer: LocalIssuer
    monkeypatch: pytest.MonkeyPatch

    def visitor(self, **settings: Any) -> Client:
        settings = {
            "session_fields": FIELDS,
            "social_providers": [self.issuer.provider("corp")],
            **settings,
        }
        return Client(make_manager(self.clock, **settings))

    def user(self, **settings: Any) -> Client:
        client = self.visitor(**settings)
        assert client.sign_up().status == 200
        return client

    def sound_call(self, path: str, client: Client) -> Answer:
        """Make a call that lacks nothing, but perhaps a user."""
        if path == "/verify-email":
            return client.get(path, query=f"token={self.mail(client, VERIFY)}")
        if ROUTES[path].method == "GET":
            return client.get(path)
        if path == "/reset-password":
            return self.reset(client, NEW_PASSWORD)
        return client.post(path, self.sound_body(path))

    def sound_body(self, path: str) -> dict[str, Any]:
        sign_in = {"email": EMAIL, "password": PASSWORD}
        bodies: dict[str, dict[str, Any]] = {
            "/sign-up/email": {"name": "Ada", **sign_in},
            "/sign-in/email": sign_in,
            "/sign-in/social": self.id_token(),
            "/make-nonce": {"provider": "corp"},
            "/revoke-session": {"token": "a" * 24},
            "/verify-password": {"password": PASSWORD},
            "/reauthenticate": {"password": PASSWORD},
            "/change-password": {"currentPassword": PASSWORD, "newPassword": "another horse"},
            "/request-password-reset": {"email": EMAIL},
            "/send-verification-email": {"email": EMAIL},
            "/change-email": {"newEmail": "new@example.org"},
            "/update-user": {"name": "Ada L."},
            "/update-session": {"theme": "dark"},
            "/delete-user": {"password": PASSWORD},
        }
        return bodies.get(path, {})

    def mail(self, client: Client, path: str, **body: Any) -> str | None:
        """Have a mail sent, and return the token in its link; None where that was refused."""
        mailbox = Mailbox(client.manager)
        client.post(path, body or {"email": EMAIL})
        return mailbox.last().token if len(mailbox) else None

    def reset(self, client: Client, new_password: str) -> Answer:
        token = self.mail(client, "/request-password-reset")
        return client.post("/reset-password", {"newPassword": new_password, "token": token})

    def id_token(self, **claims: Any) -> dict[str, Any]:
        token = self.issuer.id_token("ada-1", **{"email": EMAIL, **claims})
        return {"provider": "corp", "idToken": {"token": token}}


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    clock = new_clock()
    with LocalIssuer(clock=clock) as issuer:
        yield Scene(clock, issuer, monkeypatch)


# What any endpoint may refuse, by its code


def from_elsewhere(scene: Scene, path: str) -> Answer:
    return scene.user().post(path, scene.sound_body(path), ORIGIN="https://evil.test")


def from_nowhere(scene: Scene, path: str) -> Answer:
    return scene.user().post(path, scene.sound_body(path), ORIGIN="null")


def by_a_form_elsewhere(scene: Scene, path: str) -> Answer:
    client = scene.visitor()
    client.origin = None
    navigation = {"SEC_FETCH_SITE": "cross-site", "SEC_FETCH_MODE": "navigate"}
    return client.post(path, scene.sound_body(path), **navigation)


def without_its_database(scene: Scene, path: str) -> Answer:
    client = scene.user()
    lose_database(client.manager, scene.monkeypatch)
    return scene.sound_call(path, client)


def while_others_hash(scene: Scene, path: str) -> Answer:
    client = scene.user()
    monkeypatch, hasher = scene.monkeypatch, client.manager.parts.accounts.hasher
    monkeypatch.setattr(hasher, "_queue", threading.BoundedSemaphore(1))
    with hasher._place():
        return scene.sound_call(path, client)


ANYWHERE: dict[str, Callable[[Scene, str], Answer]] = {
    "VALIDATION_ERROR": lambda scene, path: scene.user().post(path, ["no", "object"]),
    "INVALID_ORIGIN": from_elsewhere,
    "MISSING_OR_NULL_ORIGIN": from_nowhere,
    "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED": by_a_form_elsewhere,
    "INVALID_CALLBACK_URL": lambda scene, path: scene.user().post(
        path, {**scene.sound_body(path), "callbackURL": "//evil.test"}
    ),
    "PAYLOAD_TOO_LARGE": lambda scene, path: scene.user().send("POST", path, payload=b" " * 65_537),
    "UNSUPPORTED_MEDIA_TYPE": lambda scene, path: scene.user().send(
        "POST", path, payload=b"a=b", CONTENT_TYPE="application/x-www-form-urlencoded"
    ),
    "UNAUTHORIZED": lambda scene, path: scene.sound_call(path, scene.visitor()),
    "SERVER_BUSY": while_others_hash,
    "SERVICE_UNAVAILABLE": without_its_database,
}


# What one endpoint refuses, by its path and code


def enter(scene: Scene, client: Client, **claims: Any) -> Answer:
    return client.post("/sign-in/social", scene.id_token(**claims))


def refuse(**_: object) -> str:
    return "Only members may sign up."


def without_keys(scene: Scene, path: str = "/sign-in/social") -> Answer:
    document = {"issuer": scene.issuer.url}
    scene.issuer.serve_json("/.well-known/openid-configuration", document)
    return scene.user().post(path, scene.id_token())


def without_an_issuer(scene: Scene, path: str = "/sign-in/social") -> Answer:
    body = scene.id_token()
    scene.issuer.stop()
    return scene.user().post(path, body)


def prove_again(scene: Scene, **claims: Any) -> Answer:
    """Come by a provider, and again as the same person."""
    client = scene.visitor()
    assert enter(scene, client).status == 200
    return client.post("/reauthenticate", scene.id_token(**claims))


def prove_again_as_another(scene: Scene) -> Answer:
    return scene.user().post("/reauthenticate", scene.id_token())


def at_the_limit_by_a_provider(scene: Scene) -> Answer:
    client = scene.visitor(multi_session=REJECT)
    assert enter(scene, client).status == 200
    return enter(scene, Client(client.manager))


def over_a_limit_that_was_lowered(scene: Scene) -> Answer:
    client = scene.user()
    assert Client(client.manager).sign_in().status == 200
    body = {**scene.sound_body("/change-password"), "revokeOtherSessions": False}
    lowered = client.manager.config.replace(multi_session=REJECT)
    with running_with(client.manager, config=lowered):
        return client.post("/change-password", body)


def a_day_later(scene: Scene, path: str) -> Answer:
    client = scene.user()
    scene.clock.advance(seconds=DAY)
    return client.post(path) if ROUTES[path].method == "POST" else client.get(path)


def change_password(scene: Scene, **changes: Any) -> Answer:
    body = {**scene.sound_body("/change-password"), **changes}
    return scene.user().post("/change-password", body)


def to_a_breached_one(scene: Scene) -> Answer:
    client = scene.user()
    watchful = client.manager.config.replace(password=BREACHED)
    with running_with(client.manager, config=watchful):
        return scene.sound_call("/change-password", client)


def after_a_wrong_password(scene: Scene, path: str, **wrong: Any) -> Answer:
    client = scene.user(throttle=ONE_TRY)
    if path == "/sign-in/email":
        client = Client(client.manager)
    client.post(path, {**scene.sound_body(path), **wrong})
    return scene.sound_call(path, client)


def after_a_wrong_id_token(scene: Scene) -> Answer:
    client = scene.visitor(throttle=ONE_TRY)
    enter(scene, client, aud="another")
    return enter(scene, client)


def after_it_has_ended(scene: Scene) -> Answer:
    client = scene.user(on_lost_data="conflict")
    scene.monkeypatch.setattr(
        client.manager.parts.store.sessions, "merge_data", lambda *_, **__: None
    )
    return scene.sound_call("/update-session", client)


def twice(path: str, scene: Scene) -> Answer:
    client = scene.user(throttle=None)
    with running_with(client.manager, config=client.manager.config.replace(throttle=ONE_TRY)):
        for _ in range(3):
            answer = scene.sound_call(path, client)
        return answer


def to_no_address(path: str, scene: Scene) -> Answer:
    return scene.user().post(path, {"email": "nobody", "newEmail": "nobody"})


def change_email_a_day_later(scene: Scene) -> Answer:
    client = scene.user()
    scene.clock.advance(seconds=DAY)
    return scene.sound_call("/change-email", client)


def without_mail(path: str, scene: Scene) -> Answer:
    return scene.sound_call(path, scene.user(on_send=None))


def to_a_breached_one_by_a_link(scene: Scene) -> Answer:
    client = scene.user()
    watchful = client.manager.config.replace(password=BREACHED)
    with running_with(client.manager, config=watchful):
        return scene.reset(client, NEW_PASSWORD)


def after_it_was_verified(scene: Scene) -> Answer:
    client = scene.user()
    assert scene.sound_call("/verify-email", client).status == 200
    return scene.sound_call(VERIFY, client)


def after_another_took_it(scene: Scene) -> Answer:
    client = scene.user()
    token = scene.mail(client, "/change-email", newEmail=NEW_EMAIL)
    Client(client.manager).sign_up(email=NEW_EMAIL)
    return client.get("/verify-email", query=f"token={token}")


HERE: dict[tuple[str, str], Callable[[Scene], Answer]] = {
    ("/sign-up/email", "INVALID_EMAIL"): lambda it: it.visitor().sign_up(email="nobody"),
    ("/sign-up/email", "PASSWORD_TOO_SHORT"): lambda it: it.visitor().sign_up(password="short"),
    ("/sign-up/email", "PASSWORD_TOO_LONG"): lambda it: it.visitor().sign_up(password="x" * 129),
    ("/sign-up/email", "PASSWORD_TOO_COMMON"): lambda it: it.visitor().sign_up(password="password"),
    ("/sign-up/email", "PASSWORD_TOO_SIMILAR"): lambda it: it.visitor().sign_up(
        password="ada@example.org"
    ),
    ("/sign-up/email", "PASSWORD_COMPROMISED"): lambda it: it.visitor(password=BREACHED).sign_up(),
    ("/sign-up/email", "TOO_MANY_REQUESTS"): lambda it: it.user(throttle=ONE_TRY).sign_up(),
    ("/sign-up/email", "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"): lambda it: it.user().sign_up(),
    ("/sign-up/email", "EMAIL_PASSWORD_SIGN_UP_DISABLED"): lambda it: it.visitor(
        allow_sign_up=False
    ).sign_up(),
    ("/sign-up/email", "SIGN_UP_REFUSED"): lambda it: it.visitor(check_sign_up=refuse).sign_up(),
    ("/sign-in/social", "SIGN_UP_DISABLED"): lambda it: enter(it, it.visitor(allow_sign_up=False)),
    ("/sign-in/social", "SIGN_UP_REFUSED"): lambda it: enter(it, it.visitor(check_sign_up=refuse)),
    ("/sign-in/email", "INVALID_EMAIL"): lambda it: it.visitor().sign_in(email="nobody"),
    ("/sign-in/email", "INVALID_EMAIL_OR_PASSWORD"): lambda it: it.visitor().sign_in(),
    ("/sign-in/email", "EMAIL_NOT_VERIFIED"): lambda it: it.user(
        require_verified_email=True
    ).sign_in(),
    ("/sign-in/email", "SESSION_LIMIT_REACHED"): lambda it: Client(
        it.user(multi_session=REJECT).manager
    ).sign_in(),
    ("/sign-in/email", "TOO_MANY_REQUESTS"): lambda it: after_a_wrong_password(
        it, "/sign-in/email", password="wrong horse"
    ),
    ("/sign-in/social", "INVALID_TOKEN"): lambda it: enter(it, it.visitor(), aud="another"),
    ("/sign-in/social", "TOO_MANY_REQUESTS"): after_a_wrong_id_token,
    ("/sign-in/social", "OAUTH_LINK_ERROR"): lambda it: enter(it, it.user()),
    ("/sign-in/social", "USER_EMAIL_NOT_FOUND"): lambda it: enter(it, it.visitor(), email=None),
    ("/make-nonce", "PROVIDER_NOT_FOUND"): lambda it: it.visitor().post(
        "/make-nonce", {"provider": "nobody"}
    ),
    ("/sign-in/social", "PROVIDER_NOT_FOUND"): lambda it: it.visitor().post(
        "/sign-in/social", {**it.id_token(), "provider": "nobody"}
    ),
    ("/sign-in/social", "ID_TOKEN_NOT_SUPPORTED"): without_keys,
    ("/sign-in/social", "PROVIDER_UNAVAILABLE"): without_an_issuer,
    ("/sign-in/social", "EMAIL_NOT_VERIFIED"): lambda it: enter(
        it, it.visitor(require_verified_email=True)
    ),
    ("/sign-in/social", "SESSION_LIMIT_REACHED"): at_the_limit_by_a_provider,
    **{
        (path, "TOO_MANY_REQUESTS"): partial(twice, path)
        for path in (
            *("/request-password-reset", "/send-verification-email", "/change-email"),
            *("/reset-password", "/verify-email"),
        )
    },
    **{
        (path, "INVALID_EMAIL"): partial(to_no_address, path)
        for path in ("/request-password-reset", "/send-verification-email", "/change-email")
    },
    ("/request-password-reset", "RESET_PASSWORD_DISABLED"): lambda it: it.sound_call(
        "/request-password-reset", it.user(on_send=None)
    ),
    ("/reset-password", "INVALID_TOKEN"): lambda it: it.user().post(
        "/reset-password", {"newPassword": NEW_PASSWORD, "token": "x"}
    ),
    ("/reset-password", "PASSWORD_TOO_SHORT"): lambda it: it.reset(it.user(), "short"),
    ("/reset-password", "PASSWORD_TOO_LONG"): lambda it: it.reset(it.user(), "x" * 129),
    ("/reset-password", "PASSWORD_TOO_COMMON"): lambda it: it.reset(it.user(), "password"),
    ("/reset-password", "PASSWORD_TOO_SIMILAR"): lambda it: it.reset(it.user(), EMAIL),
    ("/reset-password", "PASSWORD_COMPROMISED"): to_a_breached_one_by_a_link,
    **{
        (path, "VERIFICATION_EMAIL_NOT_ENABLED"): partial(without_mail, path)
        for path in (VERIFY, "/change-email")
    },
    (VERIFY, "EMAIL_MISMATCH"): lambda it: it.user().post(VERIFY, {"email": NEW_EMAIL}),
    (VERIFY, "EMAIL_ALREADY_VERIFIED"): after_it_was_verified,
    ("/verify-email", "INVALID_TOKEN"): lambda it: it.user().get("/verify-email", query="token=x"),
    ("/verify-email", "INVALID_CALLBACK_URL"): lambda it: it.user().get(
        "/verify-email", query="token=x&callbackURL=//evil.test"
    ),
    ("/verify-email", "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"): after_another_took_it,
    ("/change-email", "SESSION_NOT_FRESH"): change_email_a_day_later,
    **{
        (path, code): provoke
        for path in ("/verify-password", "/reauthenticate")
        for code, provoke in {
            "INVALID_PASSWORD": lambda it, path=path: it.user().post(path, {"password": "wrong"}),
            "TOO_MANY_REQUESTS": lambda it, path=path: after_a_wrong_password(
                it, path, password="wrong horse"
            ),
        }.items()
    },
    ("/reauthenticate", "INVALID_TOKEN"): lambda it: prove_again(it, aud="another"),
    ("/reauthenticate", "OAUTH_LINK_ERROR"): prove_again_as_another,
    ("/reauthenticate", "PROVIDER_NOT_FOUND"): lambda it: it.user().post(
        "/reauthenticate", {**it.id_token(), "provider": "nobody"}
    ),
    ("/reauthenticate", "ID_TOKEN_NOT_SUPPORTED"): lambda it: without_keys(it, "/reauthenticate"),
    ("/reauthenticate", "PROVIDER_UNAVAILABLE"): lambda it: without_an_issuer(
        it, "/reauthenticate"
    ),
    ("/reauthenticate", "SESSION_NOT_FRESH"): lambda it: prove_again(
        it, auth_time=it.clock.now_ms() // 1000 - DAY
    ),
    ("/change-password", "INVALID_PASSWORD"): lambda it: change_password(
        it, currentPassword="wrong horse"
    ),
    ("/change-password", "PASSWORD_TOO_SHORT"): lambda it: change_password(it, newPassword="short"),
    ("/change-password", "PASSWORD_TOO_LONG"): lambda it: change_password(
        it, newPassword="x" * 129
    ),
    ("/change-password", "PASSWORD_TOO_COMMON"): lambda it: change_password(
        it, newPassword="password"
    ),
    ("/change-password", "PASSWORD_TOO_SIMILAR"): lambda it: change_password(
        it, newPassword="ada@example.org"
    ),
    ("/change-password", "PASSWORD_COMPROMISED"): to_a_breached_one,
    ("/change-password", "TOO_MANY_REQUESTS"): lambda it: after_a_wrong_password(
        it, "/change-password", currentPassword="wrong horse"
    ),
    ("/change-password", "SESSION_LIMIT_REACHED"): over_a_limit_that_was_lowered,
    ("/update-user", "EMAIL_CAN_NOT_BE_UPDATED"): lambda it: it.user().post(
        "/update-user", {"email": "new@example.org"}
    ),
    ("/update-session", "FIELD_NOT_ALLOWED"): lambda it: it.user().post(
        "/update-session", {"colour": "red"}
    ),
    ("/update-session", "SESSION_DATA_LOST"): after_it_has_ended,
    ("/delete-user", "SESSION_NOT_FRESH"): lambda it: a_day_later(it, "/delete-user"),
    ("/delete-user", "INVALID_PASSWORD"): lambda it: it.user().post(
        "/delete-user", {"password": "wrong horse"}
    ),
    ("/delete-user", "TOO_MANY_REQUESTS"): lambda it: after_a_wrong_password(
        it, "/delete-user", password="wrong horse"
    ),
}
REFUSALS = [
    (path, status, code)
    for path, route in ROUTES.items()
    for status, code in sorted(documented_answers(route.method, path))
    if code is not None
]


def check_as_documented(answer: Answer, path: str, document: Any) -> None:
    """Hold an answer against what the document says of its status."""
    operation = document["paths"][path][ROUTES[path].method.lower()]
    described = operation["responses"][str(answer.status)]
    schema = described["content"]["application/json"]["schema"]
    jsonschema_rs.validator_for({**schema, "components": document["components"]}).validate(
        answer.json
    )
    for name, header in described.get("headers", {}).items():
        value = answer.header(name)
        assert value is not None or not header.get("required", False), name
        if value is not None:
            jsonschema_rs.validate(header["schema"], value)


@pytest.mark.parametrize(("path", "status", "code"), REFUSALS)
def test_every_documented_refusal_is_given(path: str, status: int, code: str, scene: Scene) -> None:
    document = scene.visitor().get("/openapi.json").json
    provoke = HERE.get((path, code))
    answer = ANYWHERE[code](scene, path) if provoke is None else provoke(scene)
    assert (answer.status, answer.code) == (status, code)
    check_as_documented(answer, path, document)


@pytest.mark.parametrize("path", ROUTES)
def test_every_sound_call_answers_as_documented(path: str, scene: Scene) -> None:
    client = scene.visitor() if path.startswith("/sign-") else scene.user()
    if path == "/sign-in/email":
        client.sign_up()
    answer = scene.sound_call(path, client)
    assert answer.status == 200
    check_as_documented(answer, path, client.get("/openapi.json").json)


def test_no_refusal_is_provoked_that_is_not_documented() -> None:
    documented = {(path, code) for path, _, code in REFUSALS}
    assert set(HERE) <= documented
    assert {code for _, code in documented - set(HERE)} == set(ANYWHERE)


def test_an_answer_that_is_not_documented_is_noticed(scene: Scene) -> None:
    document = scene.visitor().get("/openapi.json").json
    odd = json.dumps({"code": "NO_TEA_LEFT", "message": "x"}).encode()
    with pytest.raises(jsonschema_rs.ValidationError):
        check_as_documented(Answer(401, [], odd), "/list-sessions", document)
