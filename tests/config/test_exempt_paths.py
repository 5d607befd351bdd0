"""Paths that are none of our business: no look-up, no ``Vary``, nothing in the environ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from wsgi_sessions import (
    ConfigurationError,
    SessionConfig,
    SessionManager,
    SessionMiddleware,
    get_session,
)
from wsgi_sessions.config.exempt_paths import is_exempt, lies_within
from wsgi_sessions_testing import CHEAP_PASSWORDS

SECRET = "for the tests of exempt paths...."
EXEMPT = ("/static/", "/health", "/files/grün/")


@pytest.fixture
def manager() -> Iterator[SessionManager]:
    manager = SessionManager(
        "sqlite:///:memory:", secret=SECRET, exempt_paths=EXEMPT, password=CHEAP_PASSWORDS
    )
    yield manager
    manager.close()


def app(environ: Any, start_response: Any) -> list[bytes]:
    told = sorted(key for key in environ if key.startswith("wsgi_sessions."))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(told).encode()]


def ask(
    app: Any, path: str, *, cookie: str | None = None, **more: Any
) -> tuple[dict[str, str], bytes]:
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ.update({"PATH_INFO": path, "QUERY_STRING": "", **more})
    if cookie is not None:
        environ["HTTP_COOKIE"] = cookie
    told: dict[str, str] = {}

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[..., Any]:
        told.update(dict(headers), status=status)
        return lambda _: None

    iterable = validator(app)(environ, start_response)
    try:
        return told, b"".join(iterable)
    finally:
        iterable.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "path",
    [
        *["/static/", "/static/app.css", "/static/a/b.css", "/health", "/health/", "/health/db"],
        *["/static/...", "/static/.hidden", "/static/a..b", "/static/a;v=1"],
        "/files/grün/a".encode().decode("latin-1"),
    ],
)
def test_an_exempt_path_is_left_alone(manager: SessionManager, path: str) -> None:
    made = manager.sign_up_email(name="Ada", email="ada@example.org", password="correct horse")
    asked: list[str] = []
    manager.parts.store.sessions.find = lambda session_id, **_: asked.append(session_id)  # type: ignore[method-assign]
    headers, body = ask(SessionMiddleware(app, manager), path, cookie=f"session_token={made.token}")
    assert (headers, body) == ({"status": "200 OK", "Content-Type": "text/plain"}, b"")
    assert asked == []


@pytest.mark.parametrize(
    "path",
    [
        *["", "/", "/static", "/statics/a", "/healthy", "/STATIC/a", "/Health", "/x/static/a"],
        *["/static/../account", "/static/..", "/static/./a", "/static/%2e%2e/account"],
        *[
            "/static/.%2E/account",
            "/static/..;/account",
            "/static/..;a=1/account",
            "/static/a/../../account",
        ],
        *["/static//evil", "//static/a", "/static/..\\account", "/static/%2fa", "/static/a%5Cb"],
        *["/health/../account", "/static/\0"],
        *["/static/.\t./account", "/static/.\n./account", "/static/\x7f", "/static/.%09./account"],
        *["/static/%252e%252e/account", "/static/..%25252faccount", "/static/a%255Cb"],
        *["/static/.. /account", "/static/..?x", "/static/..#x"],
        "/files/gru\u0308n/a".encode().decode("latin-1"),
    ],
)
def test_what_could_be_another_path_is_our_business(path: str) -> None:
    assert not is_exempt(path, EXEMPT)


def test_paths_count_below_the_mount_as_api_path_does(manager: SessionManager) -> None:
    wrapped = SessionMiddleware(app, manager)
    assert ask(wrapped, "/static/a", SCRIPT_NAME="/shop")[1] == b""
    assert ask(wrapped, "/account", SCRIPT_NAME="/static")[1] != b""


def test_asking_for_the_session_there_says_why_there_is_none(manager: SessionManager) -> None:
    def curious(environ: Any, start_response: Any) -> list[bytes]:
        with pytest.raises(LookupError, match="exempt_paths"):
            get_session(environ)
        return app(environ, start_response)

    ask(SessionMiddleware(curious, manager), "/health")


def test_the_manager_still_reads_it_there(manager: SessionManager) -> None:
    made = manager.sign_up_email(name="Ada", email="ada@example.org", password="correct horse")
    seen: list[Any] = []

    def asking(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(manager.get_session(environ))
        return app(environ, start_response)

    ask(SessionMiddleware(asking, manager), "/health", cookie=f"session_token={made.token}")
    assert seen[0].id == made.session.id  # type: ignore[union-attr]


def test_an_outer_middlewares_session_is_not_shown_there(manager: SessionManager) -> None:
    other = SessionManager(
        "sqlite:///:memory:",
        secret=SECRET,
        cookie={"name": "other_token"},
        api_path=None,
        password=CHEAP_PASSWORDS,
    )
    made = other.sign_up_email(name="Eve", email="eve@example.org", password="correct horse")
    nested = SessionMiddleware(SessionMiddleware(app, manager), other)
    _, body = ask(nested, "/static/a", cookie=f"other_token={made.token}")
    assert body == b""
    other.close()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["static/"], "'static/'"),
        ([""], "give the beginning of a path"),
        (["/"], "every path"),
        (["/static/*"], "not a pattern"),
        (["/a b/"], "'/a b/'"),
        *[([f"/a{sign}b/"], "give the beginning of a path") for sign in "?#\t\x00\x01\x1f\x7f\\"],
        (["/static/../"], "give the beginning"),
        (["//static/"], "give the beginning"),
        (["https://example.org/static/"], "not a pattern or URL"),
        (["/a%20b/"], "decoded, without '%'"),
        ([7], "exempt_paths holds 7"),
        (["/api/"], "exempt_paths holds '/api/' and api_path is '/api/auth'"),
        (["/api/auth/ok"], "api_path"),
        (["/account/"], "pages_path is '/account/sessions'"),
        (7, "give a list of strings"),
    ],
)
def test_a_wrong_prefix_is_refused_with_the_remedy(given: Any, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SessionConfig(secret=SECRET, exempt_paths=given, pages_path="/account/sessions")
    assert expected in str(caught.value)


def test_what_only_begins_alike_does_not_overlap() -> None:
    config = SessionConfig(secret=SECRET, exempt_paths=("/ap", "/api/authors/"))
    assert config.exempt_paths == ("/ap", "/api/authors/")


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        *[("/api", "/api", True), ("/api/", "/api", True), ("/api//", "/api", True)],
        *[("/api/auth", "/api/", True), ("/api/auth/", "/api", True), ("/", "/api", True)],
        *[("/apix", "/api", False), ("/apiX", "/api", False), ("/b", "/api", False)],
        *[("/api/authors", "/api/auth", False), ("/z", "/api", False)],
    ],
)
def test_paths_overlap_at_a_slash(one: str, other: str, overlap: bool) -> None:
    assert lies_within(one, other) is lies_within(other, one) is overlap


def test_they_can_come_from_the_environment() -> None:
    config = SessionConfig.from_env(
        {"WSGI_SESSIONS_EXEMPT_PATHS": "/static/, /health"}, secret=SECRET
    )
    assert config.exempt_paths == ("/static/", "/health")


def test_flask_shows_nobody_there_and_a_guard_says_why(manager: SessionManager) -> None:
    flask = pytest.importorskip("flask")
    from wsgi_sessions.adapters.flask import FlaskSessions, current_user, login_required

    site = flask.Flask("example")
    site.testing = True
    FlaskSessions(site, manager)
    site.add_url_rule("/health", view_func=lambda: str(bool(current_user)))
    site.add_url_rule("/static/x", view_func=login_required(lambda: "never"), endpoint="x")
    client = site.test_client()
    assert client.get("/health").text == "False"
    with pytest.raises(LookupError, match="exempt_paths"):
        client.get("/static/x")


def test_falcon_answers_there_and_says_why_there_is_no_user(manager: SessionManager) -> None:
    falcon = pytest.importorskip("falcon")
    from falcon import testing

    from wsgi_sessions.adapters.falcon import install

    class Health:
        def on_get(self, req: Any, resp: Any) -> None:
            with pytest.raises(LookupError, match="exempt_paths"):
                _ = req.context.user
            with pytest.raises(LookupError, match="exempt_paths"):
                _ = req.context.sessions
            resp.text = "fine"

    site = falcon.App()
    site.add_route("/health", Health())
    assert testing.TestClient(install(site, manager)).simulate_get("/health").text == "fine"
