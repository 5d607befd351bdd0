"""The manager as scripts, jobs and views call it, without a middleware around them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.client import HTTPMessage
from typing import Any
from wsgiref.headers import Headers as WsgirefHeaders

import pytest
from webob import Request
from werkzeug.datastructures import Headers as WerkzeugHeaders

from tests.support import is_purge_due, rotate
from wsgi_sessions import (
    EmailNotVerifiedError,
    InvalidCredentialsError,
    InvalidPasswordError,
    SessionConfig,
    SessionLimitReached,
    SessionManager,
    SignIn,
    StoreUnavailableError,
    get_end_reason,
    get_request,
    get_session,
    get_user,
)
from wsgi_sessions.events import SessionEvent
from wsgi_sessions.parts import _warn_once
from wsgi_sessions.records import RequestFacts
from wsgi_sessions.storage.time_budget import left_ms, limited_to
from wsgi_sessions.transport.environ import find_environ
from wsgi_sessions_testing import Bench, FakeClock
from wsgi_sessions_testing.fakes.managers import running_with, sibling
from wsgi_sessions_testing.settings import send_nowhere

CHEAP = {"time_cost": 1, "memory_cost_kib": 8, "parallelism": 1}
SECRET = "x0123456789abcdef" * 2
PASSWORD = "correct horse"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def manager(clock: FakeClock) -> Iterator[SessionManager]:
    manager = make(clock)
    yield manager
    manager.close()


def make(clock: FakeClock, **settings: Any) -> SessionManager:
    return SessionManager(
        "sqlite:///:memory:",
        secret=SECRET,
        clock=clock,
        password=CHEAP,
        site_url="https://app.example.org",
        on_send=send_nowhere,
        **settings,
    )


def sign_up(manager: SessionManager, email: str = "ada@example.org") -> SignIn:
    return manager.sign_up_email(name="Ada", email=email, password=PASSWORD)


def message_of(pairs: list[tuple[str, str]]) -> HTTPMessage:
    message = HTTPMessage()
    for name, value in pairs:
        message[name] = value
    return message


def reason_of(manager: SessionManager, session_id: str) -> str | None:
    found = manager.parts.store.sessions.find(session_id)
    assert found is not None
    return found[0].end_reason


class TestGetSession:
    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("__Host-session_token", {}),
            ("__Host-session_token", {"is_https": True}),
            ("session_token", {"is_https": False}),
        ],
    )
    def test_takes_a_mapping_of_headers(
        self, manager: SessionManager, name: str, said: dict[str, bool]
    ) -> None:
        made = sign_up(manager)

        found = manager.get_session({"cookie": f"a=b; {name}={made.token}"}, **said)

        assert found is not None and found.user is not None and made.session is not None
        assert (found.id, found.user.email) == (made.session.id, "ada@example.org")
        assert found.expires_at == made.session.expires_at

    def test_takes_an_environ_and_a_request(self, manager: SessionManager) -> None:
        made = sign_up(manager)
        request = Request.blank("/", headers={"Cookie": f"session_token={made.token}"})

        for source in (request.environ, request):
            found = manager.get_session(source)
            assert found is not None

    @pytest.mark.parametrize(
        "source", [{}, {"Cookie": "x"}, {"HTTP_COOKIE": "session_token=v1.x.0.y"}]
    )
    def test_stranger_has_none(self, manager: SessionManager, source: Any) -> None:
        assert manager.get_session(source) is None

    def test_other_source_is_a_type_error(self, manager: SessionManager) -> None:
        with pytest.raises(TypeError, match="a WSGI environ or a request object is needed"):
            manager.get_session("session_token=x")

    def test_what_the_middleware_found_is_not_looked_up_again(
        self, manager: SessionManager
    ) -> None:
        made = sign_up(manager)
        assert made.session is not None
        environ = {"wsgi_sessions.session": made.session}
        manager.sign_out(made.session.id)

        assert manager.get_session(environ) is made.session
        assert manager.get_session(environ, authoritative=True) is None

    @pytest.mark.parametrize("authoritative", [False, True])
    @pytest.mark.parametrize(
        "name", ["wsgi_sessions.session", "wsgi_sessions.request", "wsgi_sessions.user"]
    )
    def test_a_header_with_the_name_of_a_key_signs_nobody_in(
        self, manager: SessionManager, name: str, authoritative: bool
    ) -> None:
        made = sign_up(manager)
        assert made.session is not None
        sent = {name: made.session.id}

        assert manager.get_session(sent, authoritative=authoritative) is None
        own = {**sent, "Cookie": f"__Host-session_token={made.token}"}
        assert manager.get_session(own, authoritative=authoritative) is not None

    def test_cookie_planted_over_http_is_not_looked_at_over_https(
        self, manager: SessionManager
    ) -> None:
        made = sign_up(manager)
        planted = {"Cookie": f"session_token={made.token}"}

        assert manager.get_session(Request.blank("https://example.org/", headers=planted)) is None
        assert manager.get_session(Request.blank("http://example.org/", headers=planted))

    @pytest.mark.parametrize(
        ("secure", "is_https", "is_prefixed"),
        [
            *[("auto", None, True), ("auto", True, True), ("auto", False, False)],
            *[(True, None, True), (True, True, True), (True, False, True)],
            *[(False, None, False), (False, True, False), (False, False, False)],
        ],
    )
    def test_headers_are_read_under_one_name(
        self, clock: FakeClock, secure: Any, is_https: bool | None, is_prefixed: bool
    ) -> None:
        manager = make(clock, cookie={"secure": secure})
        token = sign_up(manager).token
        names = ["__Host-session_token", "session_token"]
        read, planted = names if is_prefixed else reversed(names)

        assert manager.get_session({"Cookie": f"{read}={token}"}, is_https=is_https)
        assert manager.get_session({"Cookie": f"{planted}={token}"}, is_https=is_https) is None

    @pytest.mark.parametrize(
        "shape",
        [
            WsgirefHeaders,
            WerkzeugHeaders,
            message_of,
            list,
            tuple,
            lambda pairs: [(name.encode(), value.encode()) for name, value in pairs],
            lambda pairs: {"Cookie": [value for _, value in pairs]},
            lambda pairs: {1: 2, "Cookie": "; ".join(value for _, value in pairs).encode()},
            lambda pairs: {**dict(pairs), "HTTP_COOKIE": "a=b"},
        ],
    )
    def test_takes_headers_of_any_shape(self, manager: SessionManager, shape: Any) -> None:
        """Two of them, as a browser may send over HTTP/2."""
        made = sign_up(manager)
        pairs = [("cookie", "a=b"), ("Cookie", f"__Host-session_token={made.token}")]

        found = manager.get_session(shape(pairs))

        assert found is not None and made.session is not None
        assert found.id == made.session.id
        assert manager.get_session(shape([("cookie", "a=b")])) is None

    def test_takes_headers_by_name(self, manager: SessionManager) -> None:
        made = sign_up(manager)
        headers = {"Cookie": f"__Host-session_token={made.token}"}

        found = manager.get_session(headers=headers)

        assert found is not None and made.session is not None
        assert found.id == made.session.id
        assert manager.get_session(headers={}) is None
        with pytest.raises(TypeError, match="give either a request or headers, not both"):
            manager.get_session(headers, headers=headers)

    @pytest.mark.parametrize("source", [None, "text", b"bytes", 7, ["text"], dict, [1, 2]])
    def test_takes_nothing_else(self, manager: SessionManager, source: Any) -> None:
        with pytest.raises(TypeError, match="a WSGI environ or a request object is needed"):
            manager.get_session(source)

    def test_scheme_that_is_told_takes_the_place_of_the_environs(
        self, manager: SessionManager
    ) -> None:
        """As where a proxy ends TLS that the configuration does not name."""
        made = sign_up(manager)
        prefixed = {"Cookie": f"__Host-session_token={made.token}"}
        request = Request.blank("http://example.org/", headers=prefixed)

        assert manager.get_session(request) is None
        assert manager.get_session(request, is_https=True)

    @pytest.mark.parametrize("cookie_cache", [False, True])
    def test_headers_tell_no_address_and_so_end_nothing(
        self, clock: FakeClock, cookie_cache: bool
    ) -> None:
        manager = make(
            clock, ip_binding="exact", on_ip_mismatch="revoke", cookie_cache=cookie_cache
        )
        facts = RequestFacts("192.0.2.1", None, is_https=True, method="GET", path="/")
        made = manager.sign_in(sign_up(manager).user.id, facts=facts)

        assert manager.get_session({"Cookie": f"__Host-session_token={made.token}"})
        elsewhere = {"HTTP_COOKIE": f"session_token={made.token}", "wsgi.url_scheme": "http"}
        assert manager.get_session(elsewhere) is None
        assert made.session is not None
        assert reason_of(manager, made.session.id) is None
        assert manager.get_session({**elsewhere, "REMOTE_ADDR": "192.0.2.2"}) is None
        assert reason_of(manager, made.session.id) is None

    def test_data_beside_a_cached_copy_is_read_when_it_is_asked_for(self) -> None:
        def app(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [("Content-Type", "text/plain")])
            if environ["PATH_INFO"] == "/set":
                environ["wsgi_sessions.session"].data["cart"] = ["tea"]
            return [b""]

        with Bench(app, cookie_cache=True) as bench:
            browser = bench.new_browser()
            browser.sign_in("ada@example.org")
            browser.get("/set")
            cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())

            found = bench.manager.get_session({"Cookie": cookies})

            assert found is not None
            assert "session_data" in cookies
            assert dict(found.data) == {"cart": ["tea"]}

    def test_reading_an_expired_session_writes_nothing(
        self, manager: SessionManager, clock: FakeClock
    ) -> None:
        made = sign_up(manager)
        assert made.session is not None
        clock.advance(days=7)

        assert manager.get_session({"Cookie": f"__Host-session_token={made.token}"}) is None
        assert reason_of(manager, made.session.id) is None

    @pytest.mark.parametrize("is_environ", [False, True])
    def test_reading_with_a_token_of_before_ends_nothing(
        self, clock: FakeClock, is_environ: bool
    ) -> None:
        """As in an event stream that began with it, and asks from time to time."""

        def app(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"-" if environ["wsgi_sessions.session"] is None else b"in"]

        with Bench(app, clock=clock) as bench:
            browser = bench.new_browser()
            browser.sign_in("ada@example.org")
            cookie = f"__Host-session_token={browser.session_token}"
            source = {"Cookie": cookie}
            if is_environ:
                source = {"HTTP_COOKIE": cookie, "wsgi.url_scheme": "https"}
            rotate(browser, clock)

            assert bench.manager.get_session(source, authoritative=True) is None
            assert browser.get("/").text == "in"
            assert "session_replayed" not in [event.name for event in bench.events]

    def test_a_session_is_live_until_it_ends(
        self, manager: SessionManager, clock: FakeClock
    ) -> None:
        made = sign_up(manager)
        assert made.session is not None
        assert manager.is_live(made.session.id)
        manager.revoke_session(made.session.id)
        assert not manager.is_live(made.session.id)
        assert not manager.is_live("no such id")
        assert not manager.is_live([1])  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("settings", "seconds"),
        [({}, 7 * 86_400), ({"idle_timeout": 900}, 900), ({"absolute_timeout": 7_200}, 7_200)],
    )
    def test_a_session_is_live_within_its_limits(
        self, clock: FakeClock, settings: dict[str, Any], seconds: int
    ) -> None:
        manager = make(clock, **settings)
        made = sign_up(manager)
        assert made.session is not None
        clock.advance(seconds=seconds - 1)
        assert manager.is_live(made.session.id)
        clock.advance(seconds=1)
        assert not manager.is_live(made.session.id)
        assert reason_of(manager, made.session.id) is None
        manager.close()

    def test_a_session_is_not_live_without_its_user(self, manager: SessionManager) -> None:
        made = sign_up(manager)
        assert made.session is not None
        manager.parts.store.users.delete(made.user.id)
        assert not manager.is_live(made.session.id)


class TestSignUp:
    def test_whoever_has_to_verify_an_address_is_not_signed_in_before(
        self, clock: FakeClock
    ) -> None:
        manager = make(clock, require_verified_email=True)

        made = sign_up(manager)

        assert (made.session, made.token) == (None, None)
        with pytest.raises(EmailNotVerifiedError):
            manager.sign_in_email(email="ada@example.org", password=PASSWORD)


class TestSignIn:
    def test_user_whom_the_application_knows_is_signed_in(self, manager: SessionManager) -> None:
        user = sign_up(manager).user

        made = manager.sign_in(user.id, remember_me=False)

        assert made.session is not None
        assert made.session.user == user
        assert not made.session.is_remembered

    def test_nobody_can_not_be_signed_in(self, manager: SessionManager) -> None:
        with pytest.raises(LookupError, match="there is no user with the id 'nobody'"):
            manager.sign_in("nobody")

    def test_result_shows_no_token(self, manager: SessionManager) -> None:
        made = sign_up(manager)

        assert made.token is not None
        assert made.token not in repr(made)
        assert SECRET not in repr(manager)

    def test_rejected_one_changes_nothing(self, clock: FakeClock) -> None:
        manager = make(clock, multi_session={"maximum_sessions": 1, "on_limit": "reject"})
        made = sign_up(manager)

        with pytest.raises(SessionLimitReached):
            manager.sign_in_email(email="ada@example.org", password=PASSWORD)

        assert [session.id for session in manager.list_sessions(made.user.id)] == [
            made.session.id if made.session else None
        ]
        manager.close()


class TestEnding:
    def test_one_is_revoked_by_its_id(self, manager: SessionManager) -> None:
        made = sign_up(manager)
        assert made.session is not None

        assert manager.revoke_session(made.session.id)
        assert not manager.revoke_session(made.session.id), "it is over already"
        assert reason_of(manager, made.session.id) == "revoked"

    def test_another_users_is_left_alone(self, manager: SessionManager) -> None:
        made, other = sign_up(manager), sign_up(manager, "bob@example.org")
        assert made.session is not None

        assert not manager.revoke_session(made.session.id, user_id=other.user.id)
        assert not manager.revoke_session("unknown", user_id=other.user.id)
        assert manager.revoke_session(made.session.id, user_id=made.user.id)

    def test_others_are_revoked(self, manager: SessionManager) -> None:
        made = sign_up(manager)
        assert made.session is not None
        manager.sign_in(made.user.id)

        assert manager.revoke_other_sessions(made.session.id) == 1
        assert [session.id for session in manager.list_sessions(made.user.id)] == [made.session.id]
        assert manager.revoke_other_sessions("unknown") == 0

    def test_all_of_a_user_are_revoked(self, manager: SessionManager) -> None:
        made = sign_up(manager)
        manager.sign_in(made.user.id)

        assert manager.revoke_all_sessions(made.user.id) == 2
        assert manager.list_sessions(made.user.id) == []

    def test_everything_is_revoked(self, manager: SessionManager) -> None:
        sign_up(manager)
        sign_up(manager, "bob@example.org")

        assert manager.revoke_everything() == 2

    def test_the_end_of_everything_may_take_longer_than_a_request_waits(
        self, manager: SessionManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sign_up(manager)
        ends = manager.parts.store.session_ends
        left: list[int] = []
        end_all = ends.end_all

        def note_time_left(**options: Any) -> int:
            left.append(left_ms() or 0)
            return end_all(**options)

        monkeypatch.setattr(ends, "end_all", note_time_left)
        manager.revoke_everything()
        with limited_to(1000):
            manager.revoke_everything()

        outside, within_a_request = left
        assert outside > 20 * 60_000
        assert within_a_request <= 1000

    def test_an_instant_of_nowhere_ends_nothing(self, manager: SessionManager) -> None:
        made = sign_up(manager)

        with pytest.raises(ValueError, match="has no time zone"):
            manager.revoke_everything(before=datetime(2100, 1, 1))
        assert made.session is not None and manager.is_live(made.session.id)

    def test_user_is_deleted_after_their_password_was_checked(
        self, manager: SessionManager
    ) -> None:
        made = sign_up(manager)
        assert made.session is not None

        with pytest.raises(InvalidPasswordError):
            manager.delete_user(made.user.id, password="wrong horse")
        assert manager.delete_user(made.user.id, password=PASSWORD)
        assert not manager.delete_user(made.user.id)
        assert reason_of(manager, made.session.id) == "user_deleted"

    def test_ended_and_expired_sessions_are_not_listed(
        self, manager: SessionManager, clock: FakeClock
    ) -> None:
        made = sign_up(manager)
        clock.advance(days=7)

        assert manager.list_sessions(made.user.id) == []


class TestConfig:
    def test_settings_change_a_given_config(self, clock: FakeClock) -> None:
        config = SessionConfig(secret=SECRET)

        manager = SessionManager("sqlite:///:memory:", config=config, expires_in=2 * 604800)

        assert manager.config.expires_in_ms == 2 * 604_800_000
        assert manager.config.secret == config.secret

    def test_parts_are_changed_and_given_back(self, manager: SessionManager) -> None:
        made = sign_up(manager)
        other = FakeClock()
        other.advance(days=100)

        with running_with(manager, clock=other) as changed:
            assert changed is manager
            assert changed.list_sessions(made.user.id) == []
        with running_with(manager, database="sqlite:///:memory:") as changed:
            assert changed.parts.store.users.find(made.user.id) is None

        assert len(manager.list_sessions(made.user.id)) == 1


class TestPurge:
    def test_old_rows_go_batch_by_batch(self, manager: SessionManager, clock: FakeClock) -> None:
        made = sign_up(manager)
        for _ in range(4):
            manager.sign_in(made.user.id)
        manager.revoke_all_sessions(made.user.id)
        with pytest.raises(InvalidCredentialsError):
            manager.sign_in_email(email="ada@example.org", password="wrong horse")
        clock.advance(days=31)

        counts = []
        while count := manager.purge(batch_rows=3):
            counts.append(count)

        assert len(counts) > 1
        assert sum(counts) == 5 + 5 + 2, (
            "sessions, rows of the feed, and the failure, counted twice"
        )

    def test_it_is_due_once_an_interval(self, manager: SessionManager, clock: FakeClock) -> None:
        sign_up(manager)
        manager.parts.purger.purge_if_due()
        assert not is_purge_due(manager)

        clock.advance(hours=1)

        assert is_purge_due(manager)

    def test_it_does_not_sleep_for_a_month_because_its_clock_was_ahead(
        self, manager: SessionManager, clock: FakeClock
    ) -> None:
        clock.advance(days=30)
        sign_up(manager)
        manager.parts.purger.purge_if_due()
        assert not is_purge_due(manager)

        clock.advance(seconds=-30)
        assert not is_purge_due(manager)
        clock.advance(milliseconds=-1)
        assert is_purge_due(manager)

    def test_failing_database_is_reported_and_fails_nothing(
        self, manager: SessionManager, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        events: list[SessionEvent] = []
        manager.events.subscribe(events.append)

        def fail(*_: Any, **__: Any) -> int:
            raise StoreUnavailableError("gone")

        monkeypatch.setattr(manager.parts.store, "purge", fail)
        clock.advance(hours=2)

        manager.parts.purger.purge_if_due()

        assert [event.name for event in events] == ["database_error"]
        assert not is_purge_due(manager)


class TestEvents:
    def test_listener_hears_until_it_is_taken_back(self, manager: SessionManager) -> None:
        events: list[SessionEvent] = []
        unsubscribe = manager.events.subscribe(events.append)
        made = sign_up(manager)
        unsubscribe()
        manager.revoke_all_sessions(made.user.id)

        assert [event.name for event in events] == ["user_created", "session_created"]
        assert events[0].at.tzinfo is not None

    def test_a_new_password_is_reported_once_it_is_stored(self, manager: SessionManager) -> None:
        made = sign_up(manager)
        events: list[SessionEvent] = []
        manager.events.subscribe(events.append)
        with pytest.raises(InvalidPasswordError):
            manager.change_password(
                made.user.id, current_password="wrong horse", new_password="another horse"
            )
        refused = [event.name for event in events]
        manager.change_password(
            made.user.id, current_password=PASSWORD, new_password="another horse"
        )

        assert "password_changed" not in refused
        assert [event.user_id for event in events if event.name == "password_changed"] == [
            made.user.id
        ]

    def test_failing_listener_fails_nothing_and_is_logged(
        self, manager: SessionManager, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(event: SessionEvent) -> None:
            raise RuntimeError("the listener's own")

        manager.events.subscribe(fail)
        with caplog.at_level(logging.DEBUG, logger="wsgi_sessions"):
            sign_up(manager)

        assert "a listener failed on the event session_created" in caplog.text
        assert PASSWORD not in caplog.text


class TestEnviron:
    @pytest.mark.parametrize("read", [get_session, get_user, get_request, get_end_reason])
    def test_app_that_is_not_wrapped_is_told_so(self, read: Any) -> None:
        with pytest.raises(LookupError, match="wrap the app in SessionMiddleware"):
            read({})

    @pytest.mark.parametrize("name", ["environ", "env", "META"])
    def test_request_objects_of_frameworks_are_known(self, name: str) -> None:
        environ = {"wsgi_sessions.user": None, "wsgi_sessions.end_reason": None}
        request = type("Request", (), {name: environ})()

        assert find_environ(request) is environ
        assert (get_user(request), get_end_reason(request)) == (None, None)


def test_lifetime_that_browsers_cut_is_warned_of_once(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    _warn_once.cache_clear()
    days_400, longer = timedelta(days=400), timedelta(days=400, seconds=1)
    make(clock, expires_in=days_400)
    assert caplog.messages == []

    manager = make(clock, expires_in=longer)
    make(clock, expires_in=longer)
    with running_with(manager):
        sibling(manager)

    assert len(caplog.messages) == 1
    assert "400 days" in caplog.messages[0]
