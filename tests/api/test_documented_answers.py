"""Every answer that the OpenAPI document names is really given, and looks as it says.

That nothing else is answered is watched by ``Client`` in all tests of the API.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import pytest

from tests.support import new_clock
from wsgi_sessions.api.routes import ROUTES
from wsgi_sessions_testing import FakeClock, LocalIssuer
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
ONE_TRY = {"tries": 1, "window": 60}
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
        if ROUTES[path].method == "GET":
            return client.get(path)
        return client.post(path, self.sound_body(path))

    def sound_body(self, path: str) -> dict[str, Any]:
        sign_in = {"email": EMAIL, "password": PASSWORD}
        bodies: dict[str, dict[str, Any]] = {
            "/sign-up/email": {"name": "Ada", **sign_in},
            "/sign-in/email": sign_in,
            "/sign-in/social": self.id_token(),
            "/revoke-session": {"token": "a" * 24},
            "/change-password": {"currentPassword": PASSWORD, "newPassword": "another horse"},
            "/update-user": {"name": "Ada L."},
            "/update-session": {"theme": "dark"},
            "/delete-user": {"password": PASSWORD},
        }
        return bodies.get(path, {})

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


def without_keys(scene: Scene) -> Answer:
    document = {"issuer": scene.issuer.url}
    scene.issuer.serve_json("/.well-known/openid-configuration", document)
    return enter(scene, scene.visitor())


def without_an_issuer(scene: Scene) -> Answer:
    body = scene.id_token()
    scene.issuer.stop()
    return scene.visitor().post("/sign-in/social", body)


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


def after_it_has_ended(scene: Scene) -> Answer:
    client = scene.user(on_lost_data="conflict")
    scene.monkeypatch.setattr(
        client.manager.parts.store.sessions, "merge_data", lambda *_, **__: None
    )
    return scene.sound_call("/update-session", client)


HERE: dict[tuple[str, str], Callable[[Scene], Answer]] = {
    ("/sign-up/email", "INVALID_EMAIL"): lambda it: it.visitor().sign_up(email="nobody"),
    ("/sign-up/email", "PASSWORD_TOO_SHORT"): lambda it: it.visitor().sign_up(password="short"),
    ("/sign-up/email", "PASSWORD_TOO_LONG"): lambda it: it.visitor().sign_up(password="x" * 129),
    ("/sign-up/email", "TOO_MANY_REQUESTS"): lambda it: it.user(throttle=ONE_TRY).sign_up(),
    ("/sign-up/email", "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"): lambda it: it.user().sign_up(),
    ("/sign-in/email", "INVALID_EMAIL"): lambda it: it.visitor().sign_in(email="nobody"),
    ("/sign-in/email", "INVALID_EMAIL_OR_PASSWORD"): lambda it: it.visitor().sign_in(),
    ("/sign-in/email", "EMAIL_NOT_VERIFIED"): lambda it: it.user(
        require_verified_email=True
    ).sign_in(),
    ("/sign-in/email", "SESSION_LIMIT_REACHED"): lambda it: Client(
        it.user(multi_session=REJECT).manager
    ).sign_in(),
    ("/sign-in/email", "TOO_MANY_REQUESTS"): lambda it: it.user(throttle=ONE_TRY).sign_in(),
    ("/sign-in/social", "INVALID_TOKEN"): lambda it: enter(it, it.visitor(), aud="another"),
    ("/sign-in/social", "OAUTH_LINK_ERROR"): lambda it: enter(it, it.user()),
    ("/sign-in/social", "USER_EMAIL_NOT_FOUND"): lambda it: enter(it, it.visitor(), email=None),
    ("/sign-in/social", "PROVIDER_NOT_FOUND"): lambda it: it.visitor().post(
        "/sign-in/social", {**it.id_token(), "provider": "nobody"}
    ),
    ("/sign-in/social", "ID_TOKEN_NOT_SUPPORTED"): without_keys,
    ("/sign-in/social", "PROVIDER_UNAVAILABLE"): without_an_issuer,
    ("/sign-in/social", "EMAIL_NOT_VERIFIED"): lambda it: enter(
        it, it.visitor(require_verified_email=True)
    ),
    ("/sign-in/social", "SESSION_LIMIT_REACHED"): at_the_limit_by_a_provider,
    ("/list-sessions", "SESSION_NOT_FRESH"): lambda it: a_day_later(it, "/list-sessions"),
    ("/change-password", "INVALID_PASSWORD"): lambda it: change_password(
        it, currentPassword="wrong horse"
    ),
    ("/change-password", "PASSWORD_TOO_SHORT"): lambda it: change_password(it, newPassword="short"),
    ("/change-password", "PASSWORD_TOO_LONG"): lambda it: change_password(
        it, newPassword="x" * 129
    ),
    ("/change-password", "TOO_MANY_REQUESTS"): lambda it: it.sound_call(
        "/change-password", it.user(throttle=ONE_TRY)
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
    ("/delete-user", "TOO_MANY_REQUESTS"): lambda it: it.sound_call(
        "/delete-user", it.user(throttle=ONE_TRY)
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
        assert value is not None
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
