"""``update-user``, ``update-session`` and ``sign-in/social``, through the real middleware."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import new_clock
from wsgi_sessions import (
    SessionMiddleware,
    StoreUnavailableError,
    get_request,
)
from wsgi_sessions_testing import FakeClock, LocalIssuer

from .client import EMAIL, Client, call, make_manager

DAY = 86_400
FIELDS = {"theme": "string", "zoom": "number", "isCompact": "boolean"}


@pytest.fixture
def clock() -> FakeClock:
    return new_clock()


@pytest.fixture
def client(clock: FakeClock) -> Client:
    client = Client(make_manager(clock, session_fields=FIELDS))
    assert client.sign_up(image="https://example.org/a.png").status == 200
    return client


def user_of(client: Client) -> Any:
    return client.get("/get-session").json["user"]


# update-user


def test_name_and_image_change(client: Client, clock: FakeClock) -> None:
    before = user_of(client)
    clock.advance(seconds=5)
    answer = client.post("/update-user", {"name": "Ada L.", "image": None})
    assert (answer.status, answer.json) == (200, {"status": True})
    after = user_of(client)
    assert (after["name"], after["image"]) == ("Ada L.", None)
    assert after["updatedAt"] > before["updatedAt"]
    assert after["createdAt"] == before["createdAt"]


def test_what_a_body_leaves_out_stays(client: Client) -> None:
    client.post("/update-user", {"name": "Ada L.", "image": "https://example.org/a.png"})
    assert client.post("/update-user", {"name": "Ada King"}).status == 200
    assert (user_of(client)["name"], user_of(client)["image"]) == (
        "Ada King",
        "https://example.org/a.png",
    )
    assert client.post("/update-user", {"image": "https://example.org/b.png"}).status == 200
    assert (user_of(client)["name"], user_of(client)["image"]) == (
        "Ada King",
        "https://example.org/b.png",
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"email": "new@example.org"}, "EMAIL_CAN_NOT_BE_UPDATED"),
        ({"name": "A", "email": None}, "EMAIL_CAN_NOT_BE_UPDATED"),
        ({}, "VALIDATION_ERROR"),
        ({"name": None}, "VALIDATION_ERROR"),
        ({"nickname": "A"}, "VALIDATION_ERROR"),
        ({"name": 5}, "VALIDATION_ERROR"),
        ({"name": "x" * 256}, "VALIDATION_ERROR"),
        ({"name": "a\0"}, "VALIDATION_ERROR"),
        ({"image": "https://example.org/" + "x" * 2029}, "VALIDATION_ERROR"),
        ({"image": "javascript:alert(1)"}, "VALIDATION_ERROR"),
        ({"name": "Ada\n"}, "VALIDATION_ERROR"),
        ({"image": ["x"]}, "VALIDATION_ERROR"),
    ],
)
def test_a_wrong_update_of_the_user_changes_nothing(
    body: dict[str, Any], code: str, client: Client
) -> None:
    before = user_of(client)
    answer = client.post("/update-user", body)
    assert (answer.status, answer.code) == (400, code)
    assert user_of(client) == before


def test_user_who_is_deleted_meanwhile_is_signed_out(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = client.manager.parts.store
    update = store.users.update
    user_id = user_of(client)["id"]

    def delete_first(*given: Any, **named: Any) -> bool:
        client.manager.delete_user(user_id)
        return update(*given, **named)

    monkeypatch.setattr(store.users, "update", delete_first)
    answer = client.post("/update-user", {"name": "Ada L."})
    assert (answer.status, answer.json["code"]) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("path", ["/update-user", "/update-session"])
def test_visitors_have_nothing_to_update(path: str, client: Client) -> None:
    answer = Client(client.manager).post(path, {"name": "Eve", "theme": "dark"})
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")


def test_the_cached_copy_is_written_anew(clock: FakeClock) -> None:
    client = Client(make_manager(clock, cookie_cache=True))
    client.sign_up()
    assert user_of(client)["name"] == "Ada"
    answer = client.post("/update-user", {"name": "Ada L."})
    assert [line.partition("=")[0] for line in answer.header_list("Set-Cookie")] == ["session_data"]
    assert user_of(client)["name"] == "Ada L."


def test_a_copy_that_cannot_be_written_anew_is_dropped(clock: FakeClock) -> None:
    """The token is rotated in the same response, so the copy would be bound to the old one."""
    client = Client(make_manager(clock, cookie_cache=True))
    client.sign_up()
    clock.advance(seconds=DAY + 1)
    answer = client.post("/update-user", {"name": "Ada L."})
    names = [line.partition("=")[0] for line in answer.header_list("Set-Cookie")]
    assert names == ["session_token", "session_data"]
    assert "session_data" not in client.cookies
    assert user_of(client)["name"] == "Ada L."


def test_an_app_updates_the_user_on_a_cached_request_too(clock: FakeClock) -> None:
    client = Client(make_manager(clock, cookie_cache=True))
    client.sign_up()
    name = "Ada L."

    def app(environ: Any, start_response: Any) -> list[bytes]:
        assert get_request(environ).update_user(name=name).name == name
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["wsgi_sessions.user"].name.encode()]

    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "app.example.org",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_COOKIE": "; ".join(f"{k}={v}" for k, v in client.cookies.items()),
        "wsgi.url_scheme": "http",
    }
    answer = call(SessionMiddleware(app, client.manager), environ, is_strict=False)
    client.browser.cookies.receive(answer.header_list("Set-Cookie"), url=client.url)
    assert answer.body.decode() == name
    assert user_of(client)["name"] == name


# update-session


def test_declared_fields_are_kept_and_shown_everywhere(client: Client) -> None:
    assert client.get("/get-session").json["session"]["theme"] is None
    answer = client.post("/update-session", {"theme": "dark", "zoom": 1.5, "isCompact": True})
    session = answer.json["session"]
    assert (session["theme"], session["zoom"], session["isCompact"]) == ("dark", 1.5, True)
    assert client.get("/get-session").json["session"] == session
    assert client.get("/list-sessions").json == [session]
    answer = client.post("/update-session", {"theme": None, "zoom": 0})
    assert (answer.json["session"]["theme"], answer.json["session"]["zoom"]) == (None, 0)


def test_fields_are_the_sessions_own_and_its_data(client: Client) -> None:
    client.post("/update-session", {"theme": "dark"})
    phone = Client(client.manager, address="192.0.2.77")
    phone.sign_in()
    assert phone.get("/get-session").json["session"]["theme"] is None
    user_id = user_of(client)["id"]
    kept = [dict(session.data) for session in client.manager.list_sessions(user_id)]
    assert sorted(kept, key=len) == [{}, {"theme": "dark"}]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"colour": "red"}, "FIELD_NOT_ALLOWED"),
        ({"theme": "dark", "colour": "red"}, "FIELD_NOT_ALLOWED"),
        ({"userId": "root"}, "FIELD_NOT_ALLOWED"),
        ({"expiresAt": "2099-01-01"}, "FIELD_NOT_ALLOWED"),
        ({"x" * 5000: 1}, "FIELD_NOT_ALLOWED"),
        ({}, "VALIDATION_ERROR"),
        ({"theme": 5}, "VALIDATION_ERROR"),
        ({"theme": ["dark"]}, "VALIDATION_ERROR"),
        ({"zoom": "1"}, "VALIDATION_ERROR"),
        ({"zoom": True}, "VALIDATION_ERROR"),
        ({"isCompact": 1}, "VALIDATION_ERROR"),
    ],
)
def test_a_wrong_update_of_the_session_changes_nothing(
    body: dict[str, Any], code: str, client: Client
) -> None:
    client.post("/update-session", {"theme": "light"})
    answer = client.post("/update-session", body)
    assert (answer.status, answer.code) == (400, code)
    assert len(answer.body) < 500
    assert client.get("/get-session").json["session"]["theme"] == "light"


def test_nothing_is_declared_by_default(clock: FakeClock) -> None:
    client = Client(make_manager(clock))
    client.sign_up()
    assert client.post("/update-session", {"theme": "dark"}).code == "FIELD_NOT_ALLOWED"
    assert "theme" not in client.get("/get-session").json["session"]


def test_fields_are_never_stale_behind_the_cookie_cache(clock: FakeClock) -> None:
    client = Client(make_manager(clock, session_fields=FIELDS, cookie_cache=True))
    client.sign_up()
    client.get("/get-session")
    client.post("/update-session", {"theme": "dark"})
    assert client.get("/get-session").json["session"]["theme"] == "dark"


def test_fields_that_cannot_be_read_are_not_shown_as_none(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(make_manager(clock, session_fields=FIELDS, cookie_cache=True))
    client.sign_up()
    client.get("/get-session")

    def away(*_: object) -> None:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(client.manager.parts.store.sessions, "find", away)
    assert client.get("/get-session").status == 503


# sign-in/social


@pytest.fixture
def social(issuer: LocalIssuer, clock: FakeClock) -> Client:
    return Client(make_manager(clock, social_providers=[issuer.provider("corp")]))


def enter(client: Client, token: object, **more: Any) -> Any:
    return client.post("/sign-in/social", {"provider": "corp", "idToken": token, **more})


def test_an_id_token_signs_the_browser_in(social: Client, issuer: LocalIssuer) -> None:
    token = issuer.id_token("ada-1", email=EMAIL, email_verified=True, nonce="n")
    answer = enter(social, {"token": token, "nonce": "n"}, callbackURL="/home")
    assert answer.status == 200
    assert answer.json["redirect"] is False and "url" not in answer.json
    assert answer.json["user"]["email"] == EMAIL
    session = social.get("/get-session").json["session"]
    assert session["token"] == answer.json["token"]


def test_apples_name_is_taken_from_beside_the_token(social: Client, issuer: LocalIssuer) -> None:
    token = {
        "token": issuer.id_token("ada-1", email=EMAIL),
        "user": {"name": {"firstName": "Ada", "lastName": "Lovelace"}},
    }
    assert enter(social, token).json["user"]["name"] == "Ada Lovelace"


@pytest.mark.parametrize(
    "user", [5, {}, {"name": 5}, {"name": {}}, {"name": {"firstName": 5, "lastName": " "}}]
)
def test_a_useless_name_beside_the_token_is_left(
    user: Any, social: Client, issuer: LocalIssuer
) -> None:
    token = {"token": issuer.id_token("ada-1", email=EMAIL), "user": user}
    assert enter(social, token).json["user"]["name"] == "ada"


@pytest.mark.parametrize(
    "token", [None, "text", 5, [], {}, {"token": None}, {"token": 5}, {"token": "x", "nonce": 5}]
)
def test_a_missing_token_is_asked_for(token: object, social: Client) -> None:
    answer = enter(social, token)
    assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")


def test_an_unknown_provider_is_told_before_the_token_is_looked_at(social: Client) -> None:
    answer = social.post("/sign-in/social", {"provider": "nobody"})
    assert (answer.status, answer.code) == (404, "PROVIDER_NOT_FOUND")


def test_what_is_refused_has_a_code_of_its_own(social: Client, issuer: LocalIssuer) -> None:
    sound = {"token": issuer.id_token("ada-1", email=EMAIL)}
    unknown = social.post("/sign-in/social", {"provider": "nobody", "idToken": sound})
    assert (unknown.status, unknown.code) == (404, "PROVIDER_NOT_FOUND")
    bad = enter(social, {"token": "a.b.c"})
    assert (bad.status, bad.code) == (401, "INVALID_TOKEN")
    nameless = enter(social, {"token": issuer.id_token("eve")})
    assert (nameless.status, nameless.code) == (401, "USER_EMAIL_NOT_FOUND")
    social.sign_up()
    taken = enter(social, sound)
    assert (taken.status, taken.code) == (401, "OAUTH_LINK_ERROR")
    issuer.serve_json("/.well-known/openid-configuration", {"issuer": issuer.url})
    anew = Client(make_manager(new_clock(), social_providers=[issuer.provider("corp")]))
    keyless = enter(anew, sound)
    assert (keyless.status, keyless.code) == (404, "ID_TOKEN_NOT_SUPPORTED")


def test_a_provider_that_is_away_is_no_refusal(social: Client, issuer: LocalIssuer) -> None:
    token = {"token": issuer.id_token("ada-1", email=EMAIL)}
    issuer.stop()
    answer = enter(social, token)
    assert (answer.status, answer.code) == (503, "PROVIDER_UNAVAILABLE")
    assert answer.header("Retry-After") == answer.header("X-Retry-After") == "30"


def test_an_app_that_lets_it_through_answers_503_too(issuer: LocalIssuer, clock: FakeClock) -> None:
    manager = make_manager(clock, social_providers=[issuer.provider("corp")])
    issuer.stop()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        token = issuer.id_token("ada", email=EMAIL)
        get_request(environ).sign_in_social(provider="corp", id_token=token)
        raise AssertionError("unreachable")

    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "SERVER_NAME": "x",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
    }
    answer = call(SessionMiddleware(app, manager), environ, is_strict=False)
    assert (answer.status, answer.header("Retry-After")) == (503, "30")
