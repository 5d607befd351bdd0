"""A downstream application, fully typed: good use of the package and of its companion."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from wsgi_sessions import (
    Clock,
    ConfigurationError,
    InvalidCredentialsError,
    NotSignedInError,
    RefusedError,
    Session,
    SessionConfig,
    SessionEvent,
    SessionLimitReached,
    SessionManager,
    SessionMiddleware,
    SessionRequest,
    StoreUnavailableError,
    SystemClock,
    User,
    get_end_reason,
    get_request,
    get_session,
    get_user,
    google,
)
from wsgi_sessions_testing import Bench, Browser, FakeClock

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger("shop")


class LateClock:
    """A clock of the application's own."""

    def now_ms(self) -> int:
        return SystemClock().now_ms() - 1000


def make_manager(secret: str) -> SessionManager:
    clock: Clock = LateClock()
    manager = SessionManager(
        "sqlite:///:memory:",
        clock=clock,
        secret=secret,
        expires_in=timedelta(days=7),
        update_age=86_400,
        cookie_cache=True,
        trusted_proxies=["10.0.0.0/8"],
        social_providers=[google("client-id")],
        multi_session={"maximum_sessions": 3, "on_limit": "reject"},
    )
    manager.events.subscribe(log_event)
    return manager


def make_manager_of_config() -> SessionManager:
    try:
        config = SessionConfig.from_env({"WSGI_SESSIONS_SECRET": "0123456789abcdef" * 2})
    except ConfigurationError as error:
        raise SystemExit(str(error)) from error
    return SessionManager("sqlite:///:memory:", config=config.replace(ip_binding="exact"))


def log_event(event: SessionEvent) -> None:
    log.info("%s of session %s", event.name, event.session_id)


def shop(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    session: Session | None = get_session(environ)
    user: User | None = get_user(environ)
    reason: str | None = get_end_reason(environ)
    request: SessionRequest = get_request(environ)
    try:
        text = answer(environ["PATH_INFO"], request)
    except RefusedError as error:
        text = error.code
    except StoreUnavailableError:
        text = "come back later"
    if session is not None and user is not None:
        text += f" {user.name or user.email} until {describe(session.expires_at)}"
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text} {reason}".encode()]


def describe(instant: datetime) -> str:
    return instant.isoformat()


def answer(path: str, request: SessionRequest) -> str:
    if path == "/sign-up":
        made = request.sign_up_email(
            name="Ada", email="ada@example.org", password="correct horse", remember_me=False
        )
        session_id: str = "" if made.session is None else made.session.id
        return f"{made.user.email} {session_id}"
    if path == "/sign-in":
        try:
            request.sign_in_email(email="ada@example.org", password="correct horse")
        except (InvalidCredentialsError, SessionLimitReached) as error:
            return str(error)
    if path == "/count":
        data = request.start_anonymous_session().data
        count: Any = data.get("count", 0)
        data["count"] = count + 1
    if path == "/sign-out":
        was_signed_in: bool = request.sign_out()
        return "goodbye" if was_signed_in else "who were you?"
    if path == "/everywhere":
        ended: int = request.revoke_other_sessions()
        return f"{ended} sessions ended"
    if path == "/name":
        try:
            changed: User = request.update_user(name="Augusta", image=None)
        except NotSignedInError:
            return "sign in first"
        return str(changed.name)
    return "shop"


def devices(manager: SessionManager, user_id: str) -> Iterator[str]:
    for session in manager.list_sessions(user_id):
        yield f"{session.device} since {session.created_at:%d %B}"
        if session.ip_address is None and not session.is_fresh:
            manager.revoke_session(session.id)


application: WSGIApplication = SessionMiddleware(shop, make_manager_of_config())


# In the application's tests


@contextmanager
def signed_in(clock: FakeClock | None = None) -> Generator[Browser]:
    with Bench(application, clock=clock, expires_in=3600, update_age=600) as bench:
        browser: Browser = bench.new_browser("Firefox on Linux")
        session: Session = browser.sign_in("ada@example.org", remember_me=True)
        assert session.user is not None
        yield browser


def test_the_session_ends_after_an_hour() -> None:
    clock = FakeClock()
    with signed_in(clock) as browser:
        clock.advance(hours=1)
        token: str | None = browser.session_token
        assert browser.get("/").text == "shop None", token
