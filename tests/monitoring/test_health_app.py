"""The health check over HTTP says the state and nothing else, and keeps nobody busy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from wsgiref.validate import validator

import pytest
from webob import Request, Response

from wsgi_sessions import ConfigurationError, Health, SessionManager, SessionMiddleware
from wsgi_sessions.monitoring import HealthApp, health_app

SECRET = "x0123456789abcdef" * 2
DETAIL = "db.internal does not let ada in"


@pytest.fixture
def manager() -> Iterator[SessionManager]:
    manager = SessionManager("sqlite:///:memory:", secret=SECRET, health_path="/health")
    yield manager
    manager.close()


@pytest.fixture
def time_ms(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the monotonic clock of the application: its one item."""
    now = [1_000_000]
    monkeypatch.setattr(health_app, "monotonic_ms", lambda: now[0])
    return now


class Checks:
    """What ``check_health`` finds, in the place of a manager's; ``count`` is how often."""

    def __init__(self, manager: SessionManager, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.status: Any = "ok"
        monkeypatch.setattr(manager, "check_health", self)

    def __call__(self, **limits: Any) -> Health:
        self.count += 1
        self.limits = limits
        return Health(self.status, 7, DETAIL)


@pytest.fixture
def checks(manager: SessionManager, monkeypatch: pytest.MonkeyPatch) -> Checks:
    return Checks(manager, monkeypatch)


def page(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"a page"]


def get(app: Any, path: str = "/", method: str = "GET") -> Response:
    answer = Request.blank(path, method=method).get_response(validator(app))
    assert answer.body or method == "HEAD"  # the validator wants it to be read
    return answer


def test_a_sound_database_is_200(manager: SessionManager) -> None:
    answer = get(HealthApp(manager, slow_after=60))

    assert (answer.status_int, answer.json) == (200, {"status": "ok"})
    assert (answer.content_type, answer.headers["Cache-Control"]) == (
        "application/json",
        "no-store",
    )


@pytest.mark.parametrize("status", ["slow", "busy", "not_migrated", "away"])
def test_anything_else_is_503_and_tells_strangers_no_more(
    manager: SessionManager, checks: Checks, status: str
) -> None:
    checks.status = status

    answer = get(HealthApp(manager))

    assert (answer.status_int, answer.json) == (503, {"status": status})
    assert not [value for value in answer.headers.values() if "internal" in value]


def test_the_limits_are_those_that_are_given(manager: SessionManager, checks: Checks) -> None:
    get(HealthApp(manager, timeout=3, slow_after=2))

    assert checks.limits == {"timeout": 3, "slow_after": 2}


def test_head_has_no_body_and_other_methods_are_refused(manager: SessionManager) -> None:
    app = HealthApp(manager, slow_after=60)

    assert (get(app, method="HEAD").status_int, get(app, method="HEAD").body) == (200, b"")
    assert (get(app, method="POST").status_int, get(app, method="POST").allow) == (
        405,
        ("GET", "HEAD"),
    )


def test_many_who_ask_within_a_second_make_one_check(
    manager: SessionManager, checks: Checks, time_ms: list[int]
) -> None:
    app = HealthApp(manager)
    for _ in range(3):
        get(app)
    time_ms[0] += 999
    get(app)
    assert checks.count == 1

    time_ms[0] += 1
    checks.status = "away"
    assert get(app).json == {"status": "away"}
    assert checks.count == 2


def test_who_comes_during_a_check_waits_no_longer_than_it_may_take(
    manager: SessionManager, checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = HealthApp(manager, timeout=1)
    is_looking, may_end = threading.Event(), threading.Event()

    def look(**_: Any) -> Health:
        is_looking.set()
        may_end.wait(20)
        return Health("ok")

    monkeypatch.setattr(manager, "check_health", look)
    first = threading.Thread(target=get, args=(app,))
    first.start()
    assert is_looking.wait(20)
    answer = get(app)
    may_end.set()
    first.join()

    assert (answer.status_int, answer.json) == (503, {"status": "busy"})
    assert get(app).json == {"status": "ok"}


class TestSetting:
    def test_the_middleware_answers_on_the_path_alone(
        self, manager: SessionManager, checks: Checks
    ) -> None:
        app = SessionMiddleware(page, manager)
        checks.status = "slow"

        assert get(app, "/health").json == {"status": "slow"}
        assert [get(app, path).text for path in ("/", "/healthy")] == ["a page"] * 2

    def test_it_is_off_where_nothing_is_said(self) -> None:
        with_defaults = SessionManager("sqlite:///:memory:", secret=SECRET)
        app = SessionMiddleware(page, with_defaults)

        assert with_defaults.config.health_path is None
        assert get(app, "/health").text == "a page"

    def test_a_database_that_is_away_is_told_to_whoever_has_a_session(
        self, manager: SessionManager
    ) -> None:
        """The middleware looks the session up first, which fails, and goes on."""
        away = SessionManager(
            "postgresql://ada@127.0.0.1:1/shop", secret=SECRET, health_path="/health"
        )
        user = manager.create_user(name="Ada", email="ada@example.org")
        token = manager.sign_in(user.id).token
        request = Request.blank("/health", headers={"Cookie": f"session_token={token}"})

        answer = request.get_response(SessionMiddleware(page, away))

        assert (answer.status_int, answer.json) == (503, {"status": "away"})


def test_no_manager_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"Write HealthApp\(manager\)"):
        HealthApp("sqlite:///app.db")  # type: ignore[arg-type]
