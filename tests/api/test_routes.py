"""What each endpoint of ``api/routes.py`` answers, through the real middleware."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support import new_clock
from wsgi_sessions import SessionManager
from wsgi_sessions.api.app import JsonApi
from wsgi_sessions_testing import FakeClock

from .client import EMAIL, PASSWORD, Client, make_manager

DAY = 86_400
UUIDISH = re.compile(r"[A-Za-z0-9_-]{24}")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def clock() -> FakeClock:
    return new_clock()


@pytest.fixture
def manager(clock: FakeClock) -> SessionManager:
    return make_manager(clock)


@pytest.fixture
def client(manager: SessionManager) -> Client:
    return Client(manager)


def other_device(client: Client) -> Client:
    other = Client(client.manager, address="192.0.2.77")
    assert other.sign_in().status == 200
    return other


def is_signed_in(client: Client) -> bool:
    answer = client.get("/get-session")
    assert answer.status == 200
    return answer.json is not None


# Signing up


def test_sign_up_signs_the_browser_in(client: Client) -> None:
    answer = client.sign_up(image="https://example.org/ada.png")
    assert answer.status == 200
    assert answer.json.keys() == {"token", "user"}
    user = answer.json["user"]
    assert (user["name"], user["email"]) == ("Ada", EMAIL)
    assert (user["emailVerified"], user["image"]) == (False, "https://example.org/ada.png")
    assert INSTANT.fullmatch(user["createdAt"])
    assert client.get("/get-session").json["user"] == user


def test_name_may_be_empty_but_is_text(client: Client) -> None:
    assert client.sign_up(name="").json["user"]["name"] == ""
    assert client.post("/update-user", {"name": "Ada"}).status == 200
    assert client.post("/update-user", {"name": ""}).status == 200
    assert client.get("/get-session").json["user"]["name"] == ""
    refused = Client(client.manager)
    for name in (None, 7):
        assert refused.sign_up(name=name, email="bob@example.org").status == 400


def test_token_in_every_answer_is_the_session_id_and_never_the_cookie(client: Client) -> None:
    answers = [client.sign_up(), client.sign_in(), client.get("/get-session")]
    answers.append(client.get("/list-sessions"))
    body = {"currentPassword": PASSWORD, "newPassword": "another horse"}
    answers.append(client.post("/change-password", body))
    cookies = [
        line.partition("=")[2].partition(";")[0]
        for answer in answers
        for line in answer.header_list("Set-Cookie")
    ]
    assert len(cookies) >= 3
    for answer in answers:
        for carried in cookies:
            assert carried not in answer.body.decode()
            assert carried.split(".")[1] not in answer.body.decode()
    ids = [answers[0].json["token"], answers[1].json["token"], answers[4].json["token"]]
    assert len(set(ids)) == 3
    assert all(UUIDISH.fullmatch(session_id) for session_id in ids)
    assert answers[2].json["session"]["id"] == answers[2].json["session"]["token"] == ids[1]


def test_sign_up_without_auto_sign_in_sets_no_cookie() -> None:
    client = Client(make_manager(auto_sign_in=False))
    answer = client.sign_up()
    assert answer.status == 200
    assert answer.json["token"] is None
    assert answer.json["user"]["email"] == EMAIL
    assert answer.header_list("Set-Cookie") == []
    assert client.sign_in().status == 200


def test_second_sign_up_with_an_e_mail_is_unprocessable(client: Client) -> None:
    client.sign_up()
    answer = Client(client.manager).sign_up(email="ADA@example.org")
    assert (answer.status, answer.code) == (422, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"email": "nobody"}, "INVALID_EMAIL"),
        ({"email": ""}, "INVALID_EMAIL"),
        ({"email": 5}, "VALIDATION_ERROR"),
        ({"email": None}, "VALIDATION_ERROR"),
        ({"password": "7 chars"}, "PASSWORD_TOO_SHORT"),
        ({"password": "x" * 129}, "PASSWORD_TOO_LONG"),
        ({"password": "password1"}, "PASSWORD_TOO_COMMON"),
        ({"password": "ada@example.org"}, "PASSWORD_TOO_SIMILAR"),
        ({"password": ["correct horse"]}, "VALIDATION_ERROR"),
        ({"password": None}, "VALIDATION_ERROR"),
        ({"name": None}, "VALIDATION_ERROR"),
        ({"name": {"first": "Ada"}}, "VALIDATION_ERROR"),
        ({"name": "a\0b"}, "VALIDATION_ERROR"),
        ({"name": "n" * 10_000}, "VALIDATION_ERROR"),
        ({"image": 3}, "VALIDATION_ERROR"),
        ({"rememberMe": "yes"}, "VALIDATION_ERROR"),
        ({"rememberMe": 1}, "VALIDATION_ERROR"),
        ({"callbackURL": 1}, "VALIDATION_ERROR"),
    ],
)
def test_unusable_sign_up_is_a_bad_request(
    client: Client, changes: dict[str, Any], code: str
) -> None:
    answer = client.sign_up(**changes)
    assert (answer.status, answer.code) == (400, code)
    assert isinstance(answer.json["message"], str)
    assert answer.json.keys() == {"code", "message"}
    assert answer.header_list("Set-Cookie") == []


def test_unknown_fields_are_passed_over(client: Client) -> None:
    assert client.sign_up(favouriteTea="Assam", id="mine", emailVerified=True).status == 200
    assert client.get("/get-session").json["user"]["emailVerified"] is False


# Signing in


def test_sign_in_answers_what_the_client_expects(client: Client) -> None:
    client.sign_up()
    answer = Client(client.manager).sign_in()
    assert answer.status == 200
    assert answer.json.keys() == {"redirect", "token", "user"}
    assert answer.json["redirect"] is False


def test_callback_url_is_handed_back_for_the_client_to_follow(client: Client) -> None:
    client.sign_up()
    answer = client.sign_in(callbackURL="/account?tab=1")
    assert (answer.json["redirect"], answer.json["url"]) == (True, "/account?tab=1")


def test_callback_url_is_also_the_location_as_it_was_given() -> None:
    client = Client(make_manager(trusted_origins=["https://front.example.net"]))
    client.sign_up()
    for url in ("/account?tab=1#top", "https://front.example.net/home"):
        answer = client.sign_in(callbackURL=url)
        assert (answer.status, answer.header_list("Location")) == (200, [url])
    assert client.sign_in().header_list("Location") == []
    assert client.sign_in(callbackURL="").header_list("Location") == []


@pytest.mark.parametrize(
    "server", [{"wsgi.run_once": True}, {"SCGI": "1"}, {"mod_wsgi.process_group": "site"}]
)
def test_servers_that_redirect_by_a_location_get_none(
    client: Client, server: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client.sign_up()
    call = JsonApi.__call__
    monkeypatch.setattr(
        JsonApi, "__call__", lambda api, environ, start: call(api, {**environ, **server}, start)
    )
    answer = client.sign_in(callbackURL="/account")
    assert (answer.json["url"], answer.header_list("Location")) == ("/account", [])


@pytest.mark.parametrize("path", ["/sign-in/email", "/sign-up/email"])
def test_callback_url_to_elsewhere_is_refused_before_anything_happens(
    client: Client, path: str
) -> None:
    client.sign_up()
    client.post("/sign-out")
    body = {"name": "Eve", "email": EMAIL, "password": PASSWORD, "callbackURL": "//evil.test"}
    answer = client.post(path, body)
    assert (answer.status, answer.code) == (403, "INVALID_CALLBACK_URL")
    assert not is_signed_in(client)


def test_wrong_password_and_unknown_e_mail_get_the_same_answer(client: Client) -> None:
    client.sign_up()
    stranger = Client(client.manager)
    wrong = stranger.sign_in(password="wrong horse")
    unknown = stranger.sign_in(email="nobody@example.org")
    assert (wrong.status, wrong.code) == (401, "INVALID_EMAIL_OR_PASSWORD")
    assert (unknown.status, unknown.headers, unknown.body) == (401, wrong.headers, wrong.body)


def test_failed_sign_in_keeps_the_session_there_was(client: Client) -> None:
    client.sign_up()
    assert client.sign_in(password="wrong horse").status == 401
    assert is_signed_in(client)


def test_unremembered_session_ends_with_the_browser(client: Client) -> None:
    client.sign_up()
    (remembered,) = client.sign_in().header_list("Set-Cookie")
    (forgotten,) = client.sign_in(rememberMe=False).header_list("Set-Cookie")
    assert "Max-Age=604800" in remembered
    assert "Max-Age" not in forgotten
    assert "Expires" not in forgotten


def test_neither_cookie_of_an_unremembered_session_outlives_the_browser(clock: FakeClock) -> None:
    client = Client(make_manager(clock, cookie_cache=True))
    made = client.sign_up(rememberMe=False)
    body = {"currentPassword": PASSWORD, "newPassword": "another horse"}
    for answer in (made, client.post("/change-password", body)):
        lines = answer.header_list("Set-Cookie")
        assert [line.partition("=")[0] for line in lines] == ["session_token", "session_data"]
        assert not any("Max-Age" in line or "Expires" in line for line in lines)


def test_what_is_no_address_counts_as_no_try(clock: FakeClock) -> None:
    client = Client(make_manager(clock, throttle={"tries": 1, "window": 60}))
    for _ in range(3):
        assert client.sign_in(email="nobody").code == "INVALID_EMAIL"
        assert client.sign_up(email="nobody").code == "INVALID_EMAIL"
    assert client.sign_up().status == 200


def test_sign_in_of_an_unverified_e_mail_is_forbidden_where_it_must_be() -> None:
    client = Client(make_manager(require_verified_email=True))
    client.sign_up()
    answer = Client(client.manager).sign_in()
    assert (answer.status, answer.code) == (403, "EMAIL_NOT_VERIFIED")


def test_sign_in_over_the_limit_is_a_conflict_where_it_is_rejected() -> None:
    limit = {"maximum_sessions": 1, "on_limit": "reject"}
    client = Client(make_manager(multi_session=limit))
    client.sign_up()
    answer = Client(client.manager).sign_in()
    assert (answer.status, answer.code) == (409, "SESSION_LIMIT_REACHED")
    assert is_signed_in(client)


def test_eleventh_try_in_a_minute_has_to_wait(clock: FakeClock) -> None:
    client = Client(make_manager(clock, throttle={"tries": 10, "window": 60}))
    for _ in range(10):
        assert client.sign_in(password="wrong horse").status == 401
    clock.advance(seconds=15.5)
    answer = client.sign_in()
    assert (answer.status, answer.code) == (429, "TOO_MANY_REQUESTS")
    assert answer.header("Retry-After") == answer.header("X-Retry-After") == "45"
    clock.advance(seconds=45)
    assert client.sign_in(password="wrong horse").status == 401


def test_sign_in_needs_its_fields(client: Client) -> None:
    for body in ({}, {"email": EMAIL}, {"password": PASSWORD}):
        answer = client.post("/sign-in/email", body)
        assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")


# Signing out


def test_sign_out_ends_the_session_and_clears_its_cookies(client: Client) -> None:
    client.sign_up()
    stolen = Client(client.manager, cookies=dict(client.cookies))
    answer = client.post("/sign-out")
    assert (answer.status, answer.json) == (200, {"success": True})
    assert client.cookies == {}
    assert not is_signed_in(stolen)


def test_sign_out_of_nobody_succeeds(client: Client) -> None:
    assert client.post("/sign-out").json == {"success": True}
    assert client.send("POST", "/sign-out", CONTENT_TYPE=None).json == {"success": True}


# Reading


def test_visitor_has_no_session(client: Client) -> None:
    answer = client.get("/get-session")
    assert (answer.status, answer.body) == (200, b"null")


def test_session_is_shown_with_where_it_is_from(client: Client) -> None:
    answer = client.send(
        "POST",
        "/sign-up/email",
        payload=b'{"name": "Ada", "email": "ada@example.org", "password": "correct horse"}',
        headers={"USER_AGENT": "Firefox on Linux"},
    )
    shown = client.get("/get-session").json["session"]
    assert shown["userId"] == answer.json["user"]["id"]
    assert (shown["ipAddress"], shown["userAgent"]) == ("192.0.2.1", "Firefox on Linux")
    assert INSTANT.fullmatch(shown["expiresAt"])
    assert shown.keys() == {
        *("id", "token", "userId", "expiresAt", "createdAt", "updatedAt"),
        *("ipAddress", "userAgent", "device"),
        *("lastIpAddress", "lastUserAgent", "lastDevice", "method"),
    }


def test_anonymous_session_is_nobody_signed_in(manager: SessionManager) -> None:
    client = Client(manager)
    facts = {"name": "session_token"}
    record, token = manager.parts.creation.make_record(
        None, facts=_no_facts(), remember=True, data='{"cart":["tea"]}'
    )
    manager.parts.store.sessions.insert(record)
    client.cookies = {facts["name"]: token}
    assert client.get("/get-session").body == b"null"
    assert client.get("/list-sessions").status == 401


def _no_facts() -> Any:
    from wsgi_sessions.records import RequestFacts

    return RequestFacts("192.0.2.1", None, is_https=False, method="GET", path="/")


def test_get_session_refreshes_what_is_due_unless_asked_not_to(
    client: Client, clock: FakeClock
) -> None:
    client.sign_up()
    before = client.get("/get-session").json["session"]
    clock.advance(seconds=DAY + 1)
    unmoved = client.get("/get-session", query="disableRefresh=true")
    assert unmoved.json["session"]["expiresAt"] == before["expiresAt"]
    assert unmoved.header_list("Set-Cookie") == []
    moved = client.get("/get-session")
    assert moved.json["session"]["expiresAt"] > before["expiresAt"]
    assert len(moved.header_list("Set-Cookie")) == 1


def test_cookie_cache_is_passed_by_when_asked(clock: FakeClock) -> None:
    client = Client(make_manager(clock, cookie_cache=True, revocation_lag=3600))
    client.sign_up()
    assert is_signed_in(client)
    database = client.manager.database
    client.manager.parts.models.session.delete().execute()
    assert database is client.manager.database
    assert is_signed_in(client)
    assert client.get("/get-session", query="disableCookieCache=true").json is None


def test_what_is_read_past_the_cookie_cache_is_copied_for_the_next_reader(
    clock: FakeClock,
) -> None:
    client = Client(make_manager(clock, cookie_cache=True))
    signed_up = client.sign_up()
    unchanged = client.get("/get-session", query="disableCookieCache=true")
    assert unchanged.header_list("Set-Cookie") == []
    client.manager.update_user(signed_up.json["user"]["id"], name="Ada Lovelace")
    assert client.get("/get-session").json["user"]["name"] != "Ada Lovelace"

    fresh = client.get("/get-session", query="disableCookieCache=true")

    assert fresh.json["user"]["name"] == "Ada Lovelace"
    assert [line.partition("=")[0] for line in fresh.header_list("Set-Cookie")] == ["session_data"]
    assert client.get("/get-session").json == fresh.json


def test_outdated_copy_that_can_not_be_made_anew_is_dropped(clock: FakeClock) -> None:
    client = Client(make_manager(clock, cookie_cache=True))
    user_id = client.sign_up().json["user"]["id"]
    image = "https://example.org/" + "x" * 2000
    client.manager.update_user(user_id, image=image, name="\N{SNOWMAN}" * 200)

    fresh = client.get("/get-session", query="disableCookieCache=true")

    assert "Max-Age=0" in fresh.header_list("Set-Cookie")[0]
    assert client.get("/get-session").json == fresh.json


def test_list_sessions_shows_the_latest_seen_first(client: Client, clock: FakeClock) -> None:
    client.sign_up()
    clock.advance(seconds=600)
    other = other_device(client)
    listed = other.get("/list-sessions")
    assert listed.status == 200
    assert [session["ipAddress"] for session in listed.json] == ["192.0.2.77", "192.0.2.1"]
    other.post("/sign-out")
    assert len(client.get("/list-sessions").json) == 1


def test_list_sessions_needs_a_user_and_no_recent_sign_in(client: Client, clock: FakeClock) -> None:
    answer = client.get("/list-sessions")
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    client.sign_up()
    clock.advance(seconds=DAY)
    assert client.get("/list-sessions").status == 200


# Revoking


@pytest.mark.parametrize("field", ["token", "sessionId", "id"])
def test_session_is_revoked_by_its_id_under_any_name(client: Client, field: str) -> None:
    client.sign_up()
    other = other_device(client)
    session_id = other.get("/get-session").json["session"]["id"]
    answer = client.post("/revoke-session", {field: session_id})
    assert (answer.status, answer.json) == (200, {"status": True})
    assert not is_signed_in(other)
    assert is_signed_in(client)


def test_revoking_the_own_session_signs_out(client: Client) -> None:
    token = client.sign_up().json["token"]
    assert client.post("/revoke-session", {"token": token}).json == {"status": True}
    assert client.cookies == {}


def test_another_users_session_is_left_and_nothing_is_told(client: Client) -> None:
    client.sign_up()
    eve = Client(client.manager)
    eve.sign_up(email="eve@example.org")
    session_id = client.get("/get-session").json["session"]["id"]
    foreign = eve.post("/revoke-session", {"token": session_id})
    unknown = eve.post("/revoke-session", {"token": "A" * 24})
    odd = eve.post("/revoke-session", {"token": "\0'; DROP TABLE session --"})
    assert foreign.json == unknown.json == odd.json == {"status": True}
    assert is_signed_in(client)


@pytest.mark.parametrize("body", [{}, {"token": None}, {"token": 5}, {"id": ["x"]}])
def test_revoking_needs_an_id(client: Client, body: dict[str, Any]) -> None:
    client.sign_up()
    answer = client.post("/revoke-session", body)
    assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")


def test_revoking_the_others_keeps_this_one(client: Client) -> None:
    client.sign_up()
    others = [other_device(client), other_device(client)]
    assert client.post("/revoke-other-sessions").json == {"status": True}
    assert is_signed_in(client)
    assert not any(is_signed_in(other) for other in others)


def test_revoking_all_keeps_none(client: Client) -> None:
    client.sign_up()
    other = other_device(client)
    assert client.post("/revoke-sessions").json == {"status": True}
    assert client.cookies == {}
    assert not is_signed_in(other)


@pytest.mark.parametrize(
    "path",
    [
        *["/revoke-session", "/revoke-other-sessions", "/revoke-sessions"],
        *["/change-password", "/delete-user"],
    ],
)
def test_visitor_is_unauthorized(client: Client, path: str) -> None:
    answer = client.post(path)
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")


# Password and user


def test_a_password_is_good_for_years(client: Client, clock: FakeClock) -> None:
    client.sign_up()
    clock.advance(days=3650)
    assert client.get("/get-session").json is None
    assert client.sign_in().status == 200


def test_change_of_password_replaces_the_session_and_ends_the_others(client: Client) -> None:
    before = client.sign_up().json["token"]
    other = other_device(client)
    stolen = Client(client.manager, cookies=dict(client.cookies))
    body = {"currentPassword": PASSWORD, "newPassword": "another horse"}
    answer = client.post("/change-password", body)
    assert answer.status == 200
    assert answer.json.keys() == {"token", "user"}
    assert answer.json["token"] != before
    assert is_signed_in(client)
    assert not is_signed_in(other)
    assert not is_signed_in(stolen)
    assert Client(client.manager).sign_in().status == 401
    assert Client(client.manager).sign_in(password="another horse").status == 200


def test_other_sessions_outlive_a_change_of_password_when_asked(client: Client) -> None:
    client.sign_up()
    other = other_device(client)
    body = {"currentPassword": PASSWORD, "newPassword": "another horse"}
    answer = client.post("/change-password", {**body, "revokeOtherSessions": False})
    assert answer.status == 200
    assert is_signed_in(other)
    assert is_signed_in(client)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"currentPassword": "wrong horse"}, "INVALID_PASSWORD"),
        ({"newPassword": "short"}, "PASSWORD_TOO_SHORT"),
        ({"newPassword": "x" * 129}, "PASSWORD_TOO_LONG"),
        ({"newPassword": "password1"}, "PASSWORD_TOO_COMMON"),
        ({"newPassword": "ada@example.org"}, "PASSWORD_TOO_SIMILAR"),
        ({"newPassword": None}, "VALIDATION_ERROR"),
        ({"revokeOtherSessions": "yes"}, "VALIDATION_ERROR"),
    ],
)
def test_refused_change_of_password_changes_nothing(
    client: Client, changes: dict[str, Any], code: str
) -> None:
    client.sign_up()
    body = {"currentPassword": PASSWORD, "newPassword": "another horse", **changes}
    answer = client.post("/change-password", body)
    assert (answer.status, answer.code) == (400, code)
    assert is_signed_in(client)
    assert Client(client.manager).sign_in().status == 200


def test_user_is_deleted_with_all_sessions(client: Client) -> None:
    client.sign_up()
    other = other_device(client)
    answer = client.post("/delete-user", {"password": PASSWORD})
    assert answer.json == {"success": True, "message": "User deleted"}
    assert client.cookies == {}
    assert not is_signed_in(other)
    assert Client(client.manager).sign_in().status == 401


def test_deleting_needs_the_password_or_a_recent_sign_in(client: Client, clock: FakeClock) -> None:
    client.sign_up()
    clock.advance(seconds=DAY)
    answer = client.post("/delete-user")
    assert (answer.status, answer.code) == (403, "SESSION_NOT_FRESH")
    answer = client.post("/delete-user", {"password": "wrong horse"})
    assert (answer.status, answer.code) == (400, "INVALID_PASSWORD")
    assert client.post("/delete-user", {"password": PASSWORD}).status == 200


def test_recent_sign_in_deletes_without_a_password(client: Client) -> None:
    client.sign_up()
    assert client.post("/delete-user").status == 200


def test_server_tells_that_it_is_there(client: Client) -> None:
    assert client.get("/ok").json == {"ok": True}
