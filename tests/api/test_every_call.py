"""What ``api/__init__.py`` promises of every call: paths, methods, headers, and a lost database."""

from __future__ import annotations

import pytest

from tests.support import new_clock
from wsgi_sessions import InvalidValueError, SessionManager, errors, request_errors
from wsgi_sessions.api.app import JsonApi
from wsgi_sessions.api.routes import ROUTES
from wsgi_sessions.records import ReadOptions

from ..refusals import error_classes
from .client import ORIGIN, PLAIN_APP_SAYS, Client, lose_database, make_manager

FRONT = "https://front.example.net"
GETS = [path for path, route in ROUTES.items() if route.answers_head]
UNSAFE_GETS = [p for p, r in ROUTES.items() if r.method == "GET" and not r.is_safe]
POSTS = [path for path, route in ROUTES.items() if route.method == "POST"]


@pytest.fixture
def client() -> Client:
    return Client(make_manager(trusted_origins=[FRONT]))


# Codes


def test_every_refusal_has_a_status_of_its_own_choosing() -> None:
    codes = [kind.code for kind in error_classes()]
    # A token of a link and one of a provider, which the npm client calls by one code; and a
    # database that is away and one whose connections are all in use, which are answered alike.
    assert {code for code in codes if codes.count(code) > 1} == {
        "INVALID_TOKEN",
        "SERVICE_UNAVAILABLE",
    }
    assert {kind for kind in error_classes() if kind.status == 400} == {
        InvalidValueError,
        errors.InvalidEmailError,
        errors.InvalidPasswordError,
        errors.PasswordTooShortError,
        errors.PasswordTooLongError,
        errors.PasswordTooCommonError,
        errors.PasswordTooSimilarError,
        errors.PasswordCompromisedError,
        errors.EmailCanNotBeUpdatedError,
        errors.FieldNotAllowedError,
        errors.InvalidLogoutTokenError,
        errors.InvalidOneTimeTokenError,
        errors.InvalidLogoutTokenError,
        errors.ResetPasswordDisabledError,
        errors.VerificationDisabledError,
        request_errors.EmailAlreadyVerifiedError,
        request_errors.EmailMismatchError,
    }


# Paths and methods


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
@pytest.mark.parametrize(
    "path", ["", "/", "/nothing", "/ok/", "//ok", "/sign-in", "/api/auth/ok", "/\xff\xfe", "/OK"]
)
def test_unknown_path_is_not_found(client: Client, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS", "BREW"):
        answer = client.send(method, path)
        assert (answer.status, answer.code) == (404, "NOT_FOUND")


def test_paths_beside_the_api_are_the_apps(client: Client) -> None:
    for path in ("/", "/api/authority", "/api"):
        assert client.send("GET", "", PATH_INFO=path).body == PLAIN_APP_SAYS


def test_api_can_be_moved_or_turned_off() -> None:
    moved = Client(make_manager(api_path="/auth"))
    assert moved.send("GET", "", PATH_INFO="/auth/ok").json == {"ok": True}
    assert moved.send("GET", "/ok").body == PLAIN_APP_SAYS
    off = Client(make_manager(api_path=None))
    assert off.send("GET", "/ok").body == PLAIN_APP_SAYS


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "post", "BREW"])
def test_wrong_method_is_told_the_right_one(client: Client, path: str, method: str) -> None:
    answer = client.send(method, path)
    assert answer.status == 405
    assert answer.header("Allow") == "POST, OPTIONS"
    assert method == "HEAD" or answer.code == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize("path", UNSAFE_GETS)
def test_head_does_nothing_where_a_get_changes_something(client: Client, path: str) -> None:
    answer = client.send("HEAD", path)
    assert (answer.status, answer.header("Allow")) == (405, "GET, OPTIONS")


@pytest.mark.parametrize("path", GETS)
def test_posting_to_what_is_read_is_a_wrong_method(client: Client, path: str) -> None:
    answer = client.post(path)
    assert (answer.status, answer.code) == (405, "METHOD_NOT_ALLOWED")
    assert answer.header("Allow") == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", GETS)
def test_head_answers_as_get_without_the_body(client: Client, path: str) -> None:
    client.sign_up()
    got, head = client.get(path), client.send("HEAD", path)
    assert head.body == b""
    assert head.status == got.status == 200
    assert head.header("Content-Length") == got.header("Content-Length") == str(len(got.body))
    assert head.header("Content-Type") == "application/json"


@pytest.mark.parametrize("path", ["", "/nothing", "/sign-out", "/list-sessions"])
def test_refused_head_has_no_body_either(client: Client, path: str) -> None:
    got, head = client.get(path), client.send("HEAD", path)
    assert (head.status, head.body) == (got.status, b"")
    assert head.status in (401, 404, 405)
    assert head.header("Content-Length") == str(len(got.body))


# What every answer carries


def test_every_answer_is_json_that_nobody_stores(client: Client) -> None:
    answers = [client.get(path) for path in (*GETS, "/nothing")]
    answers += [client.post(path) for path in POSTS]
    answers += [client.sign_up(), client.sign_in(), client.get("/list-sessions")]
    answers.append(client.send("POST", "/sign-out", payload=b"x" * 70_000))
    answers.append(client.send("POST", "/sign-out", payload=b"a=b", CONTENT_TYPE="text/plain"))
    for answer in answers:
        assert answer.header_list("Cache-Control") == ["no-store"]
        assert answer.header("Content-Type") == "application/json"
        assert "Origin" in (answer.header("Vary") or "")
        answer.json  # noqa: B018  raises unless it is


def test_body_that_is_too_large_or_no_json_is_refused(client: Client) -> None:
    large = client.send("POST", "/sign-in/email", payload=b" " * (64 * 1024 + 1))
    assert (large.status, large.code) == (413, "PAYLOAD_TOO_LARGE")
    form = client.send(
        "POST", "/sign-in/email", payload=b"a=b", CONTENT_TYPE="application/x-www-form-urlencoded"
    )
    assert (form.status, form.code) == (415, "UNSUPPORTED_MEDIA_TYPE")
    listed = client.post("/sign-in/email", [1])
    assert (listed.status, listed.code) == (400, "VALIDATION_ERROR")


# Origins


@pytest.mark.parametrize("path", POSTS)
def test_change_from_an_untrusted_page_does_nothing(client: Client, path: str) -> None:
    client.sign_up()
    before = client.get("/get-session").json
    answer = client.post(path, ORIGIN="https://evil.test")
    assert (answer.status, answer.code) == (403, "INVALID_ORIGIN")
    answer = client.post(path, ORIGIN="null")
    assert (answer.status, answer.code) == (403, "MISSING_OR_NULL_ORIGIN")
    assert client.get("/get-session").json == before


def test_form_of_another_site_signs_nobody_in(client: Client) -> None:
    client.sign_up()
    victim = Client(client.manager, origin=None)
    navigation = {"SEC_FETCH_SITE": "cross-site", "SEC_FETCH_MODE": "navigate"}
    answer = victim.post(
        "/sign-in/email", {"email": "ada@example.org", "password": "correct horse"}, **navigation
    )
    assert (answer.status, answer.code) == (403, "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED")
    assert victim.cookies == {}


def test_origin_is_compared_with_the_scheme_the_proxy_saw() -> None:
    client = Client(make_manager(trusted_proxies=["192.0.2.1"]), origin="https://app.example.org")
    behind = {"X_FORWARDED_FOR": "198.51.100.7", "X_FORWARDED_PROTO": "https"}
    body = {"name": "Ada", "email": "ada@example.org", "password": "correct horse"}
    assert client.post("/sign-up/email", body, **behind).status == 200
    assert client.post("/sign-out", **behind).status == 200
    client.cookies = {"theme": "dark"}
    assert client.post("/sign-out").code == "INVALID_ORIGIN"


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("origin", "code"),
    [("https://evil.test", "INVALID_ORIGIN"), ("null", "MISSING_OR_NULL_ORIGIN")],
)
def test_untrusted_page_is_refused_without_cookies_too(
    client: Client, path: str, origin: str, code: str
) -> None:
    client.manager.sign_up_email(name="Ada", email="ada@example.org", password="correct horse")
    body = {"name": "Eve", "email": "ada@example.org", "password": "correct horse"}
    answer = client.post(path, body, ORIGIN=origin)
    assert (answer.status, answer.code) == (403, code)
    assert client.cookies == {}


def test_what_a_browser_calls_same_origin_is_heard(client: Client) -> None:
    client.origin = "http://another-name-of-this-host.example"
    client.sign_up()
    assert client.cookies == {}
    answer = client.post(
        "/sign-up/email",
        {"name": "Ada", "email": "ada@example.org", "password": "correct horse"},
        SEC_FETCH_SITE="same-origin",
    )
    assert answer.status == 200
    client.origin = "null"
    assert client.post("/sign-out", SEC_FETCH_SITE="same-origin").status == 200


# CORS


def test_preflight_of_a_trusted_page_is_granted(client: Client) -> None:
    asked = {"ORIGIN": FRONT, "ACCESS_CONTROL_REQUEST_METHOD": "POST"}
    answer = client.send("OPTIONS", "/sign-in/email", headers=asked)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.header("Access-Control-Allow-Origin") == FRONT
    assert answer.header("Access-Control-Allow-Credentials") == "true"
    assert "POST" in (answer.header("Access-Control-Allow-Methods") or "")
    assert "Content-Type" in (answer.header("Access-Control-Allow-Headers") or "")
    assert answer.header("Cache-Control") == "no-store"


def test_preflight_of_an_untrusted_page_is_not(client: Client) -> None:
    asked = {"ORIGIN": "https://evil.test", "ACCESS_CONTROL_REQUEST_METHOD": "POST"}
    answer = client.send("OPTIONS", "/sign-in/email", headers=asked)
    assert answer.header("Access-Control-Allow-Origin") is None
    assert answer.header("Access-Control-Allow-Credentials") is None


def test_trusted_page_reads_refusals_too(client: Client) -> None:
    answer = client.post("/sign-in/email", {"email": "x", "password": "y"}, ORIGIN=FRONT)
    assert answer.code == "INVALID_EMAIL"
    assert answer.header("Access-Control-Allow-Origin") == FRONT


# Reading the session


@pytest.mark.parametrize("path", [*POSTS, "/list-sessions"])
def test_what_changes_or_lists_goes_past_the_cookie_cache(path: str) -> None:
    api = JsonApi(make_manager())
    method = ROUTES[path].method
    environ = {"REQUEST_METHOD": method, "PATH_INFO": f"/api/auth{path}"}
    assert api.read_options(environ).authoritative


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", ReadOptions()),
        ("disableCookieCache=true", ReadOptions(authoritative=True)),
        ("disableRefresh=true", ReadOptions(allow_refresh=False)),
        ("disableCookieCache=false&disableRefresh=false", ReadOptions()),
        ("disableCookieCache=%ff&disableRefresh=\xff", ReadOptions()),
        ("&".join(["disableCookieCache=true"] * 60), ReadOptions()),
        ("disableCookieCache", ReadOptions()),
        (";;&&==%", ReadOptions()),
    ],
)
def test_get_session_is_read_as_the_query_says(query: str, options: ReadOptions) -> None:
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/api/auth/get-session",
        "QUERY_STRING": query,
    }
    assert JsonApi(make_manager()).read_options(environ) == options


# A lost database


@pytest.fixture
def lost(client: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A signed-in client whose server has lost its database."""
    client.sign_up()
    lose_database(client.manager, monkeypatch)
    return client


@pytest.mark.parametrize("on_error", ["unavailable", "anonymous"])
@pytest.mark.parametrize("path", ["/get-session", "/list-sessions", "/sign-out", "/sign-in/email"])
def test_lost_database_is_no_sign_out(lost: Client, path: str, on_error: str) -> None:
    manager = lost.manager
    cookies = dict(lost.cookies)
    object.__setattr__(manager.config, "on_database_error", on_error)
    body = {"email": "ada@example.org", "password": "correct horse"}
    answer = lost.get(path) if path in GETS else lost.post(path, body)
    assert (answer.status, answer.code) == (503, "SERVICE_UNAVAILABLE")
    assert int(answer.header("Retry-After") or 0) >= 1
    assert answer.header("X-Retry-After") == answer.header("Retry-After")
    assert lost.cookies == cookies


def test_visitors_sign_in_waits_for_the_database(lost: Client) -> None:
    visitor = Client(lost.manager)
    answer = visitor.sign_in()
    assert (answer.status, answer.code) == (503, "SERVICE_UNAVAILABLE")


def test_lost_database_is_reported(lost: Client) -> None:
    told: list[str] = []
    lost.manager.events.subscribe(lambda event: told.append(event.name))
    Client(lost.manager).sign_in()
    assert "database_error" in told


def test_head_without_the_database_has_no_body(lost: Client) -> None:
    answer = lost.send("HEAD", "/get-session")
    assert (answer.status, answer.body) == (503, b"")


def test_server_without_its_database_still_answers_ok(lost: Client) -> None:
    assert lost.get("/ok").json == {"ok": True}


def test_repr_shows_no_secret() -> None:
    manager: SessionManager = make_manager(new_clock())
    assert "secret-for-tests" not in repr(JsonApi(manager))
    assert ORIGIN.startswith("http")
