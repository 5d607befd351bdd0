"""Each line marked ``# wrong`` is a mistake that a type checker reports at that line."""

from __future__ import annotations

from datetime import datetime

from wsgi_sessions import (
    Session,
    SessionConfig,
    SessionManager,
    SessionMiddleware,
    SessionRequest,
    get_session,
    get_user,
)
from wsgi_sessions_testing import Bench, Browser, FakeClock, settings_for_tests

SECRET = "0123456789abcdef" * 2


def settings() -> None:
    SessionManager("sqlite:///:memory:", secret=SECRET, expire_in=60)  # wrong: expires_in
    SessionManager("sqlite:///:memory:", secret=SECRET, expires_in="soon")  # wrong: no duration
    SessionManager("sqlite:///:memory:", secret=SECRET, ip_binding="never")  # wrong: no such word
    SessionManager("sqlite:///:memory:", secret=5)  # wrong: a secret is text
    SessionManager(secret=SECRET)  # wrong: no database
    SessionManager("sqlite:///:memory:", SECRET)  # wrong: settings are named
    SessionManager("sqlite:///:memory:", config={"secret": SECRET})  # wrong: from_mapping
    SessionManager("sqlite:///:memory:", secret=SECRET, clock=datetime.now)  # wrong: no Clock
    SessionConfig(secret=SECRET, expire_in=60)  # wrong: expires_in
    SessionConfig.from_env("WSGI_SESSIONS_")  # wrong: a mapping of variables
    SessionMiddleware(SessionManager("sqlite:///:memory:", secret=SECRET))  # wrong: the app first


def sessions(session: Session, environ: dict[str, object]) -> None:
    session.id = "another"  # wrong: read alone
    session.expires_in  # wrong: expires_at
    session.user.name  # wrong: nobody may be signed in
    name: str = session.ip_address  # wrong: may be None
    get_session(environ).id  # wrong: may be None
    get_user(environ).name  # wrong: may be None
    session.data[1] = "one"  # wrong: keys are text
    session.created_at - 5  # wrong: an instant
    print(name)


def handles(request: SessionRequest, manager: SessionManager) -> None:
    request.sign_in_email("ada@example.org", "correct horse")  # wrong: by name
    request.sign_in_email(email="ada@example.org")  # wrong: no password
    request.sign_in("user-1", remember=True)  # wrong: remember_me
    request.sign_up_email(name="Ada", email=None, password="x" * 8)  # wrong: an address is text
    request.sign_out("session-1")  # wrong: this browser's alone
    request.revoke_session(request.session)  # wrong: its id
    request.begin()  # wrong: for the middleware
    request.update_user(nickname="Ada")  # wrong: name or image
    request.update_user(name=None)  # wrong: a name is text
    request.sign_in("user-1").id  # wrong: a SignIn, which has a session
    manager.sign_in("user-1", True)  # wrong: by name
    manager.list_sessions()  # wrong: of whom?
    manager.events.subscribe(print, "signed_in", 5)  # wrong: one function
    manager.get_session({}, authoritativ=True)  # wrong: authoritative


def companion(bench: Bench, browser: Browser, clock: FakeClock) -> None:
    clock.advance(day=1)  # wrong: days
    clock.advance("an hour")  # wrong: a timedelta
    clock.travel_to(5)  # wrong: a datetime
    browser.sign_in(None)  # wrong: nobody
    browser.get("/", json={})  # wrong: no such option
    browser.session_token = "made up"  # wrong: read alone
    bench.new_browser(5)  # wrong: a user agent is text
    Bench(None, expire_in=60)  # wrong: expires_in
    Bench(None, ip_binding="never")  # wrong: no such word
    settings_for_tests(expire_in=60)  # wrong: expires_in
    settings_for_tests(expires_in="soon")  # wrong: no duration
