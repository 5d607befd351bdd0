"""Whatever the handle changes or ends, it asks the database: a cached copy's word is not enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.support import PASSWORD, Stage, sign_up
from wsgi_sessions import EndReason, NotSignedInError, SessionRequest
from wsgi_sessions.records import SessionRecord, UserRecord
from wsgi_sessions.sessions.session import Session
from wsgi_sessions_testing.browser.browser import Browser

MINUTE_MS = 60_000


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage(cookie_cache=True, revocation_lag=60) as stage:
        yield stage


def end_behind_the_copys_back(stage: Stage, session_id: str) -> None:
    """End a session as another process does, less than ``revocation_lag`` ago."""
    manager = stage.bench.manager
    assert manager.parts.store.session_ends.end(
        session_id, reason=EndReason.REVOKED, now_ms=manager.clock.now_ms()
    )


def forged(stage: Stage, record: SessionRecord, user: UserRecord | None) -> Browser:
    """Return a browser with a copy as somebody makes it who has every secret but the token."""
    manager, now_ms = stage.bench.manager, stage.bench.manager.clock.now_ms()
    reading = manager.parts.feed.current()
    assert reading is not None
    token_text = "v1.forged.0.forged"
    copy = manager.parts.cache.seal(
        record,
        user,
        database_secret=reading.database_secret,
        token_text=token_text,
        issued_at_ms=now_ms,
        ends_at_ms=now_ms + MINUTE_MS,
    )
    thief = stage.bench.new_browser()
    header = f"__Host-session_token={token_text}; __Host-session_data={copy}"
    get = thief.get
    thief.get = lambda path, **more: get(path, headers={"Cookie": header}, **more)  # type: ignore[method-assign]
    return thief


ACTS: dict[str, Callable[[SessionRequest], Any]] = {
    "delete_user": lambda request: request.delete_user(),
    "delete_user with a password": lambda request: request.delete_user(password=PASSWORD),
    "change_password": lambda request: request.change_password(
        current_password=PASSWORD, new_password="another horse battery"
    ),
    "update_user": lambda request: request.update_user(name="Eve"),
    "list_sessions": lambda request: request.list_sessions(),
    "revoke_session": lambda request: request.revoke_session(
        request.session.id if request.session else ""
    ),
    "revoke_other_sessions": lambda request: request.revoke_other_sessions(),
    "revoke_all_sessions": lambda request: request.revoke_all_sessions(),
    "require_fresh": lambda request: request.require_fresh(),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())
@pytest.mark.parametrize("kind", ["forged", "stale"])
def test_a_copy_alone_changes_and_ends_nothing(
    stage: Stage, kind: str, act: Callable[[SessionRequest], Any]
) -> None:
    made = stage.do(sign_up)
    phone = stage.bench.new_browser()
    phone.sign_in("ada@example.org")
    browser = stage.browser
    if kind == "forged":
        browser = forged(stage, made.session.record, made.user.record)
    else:
        end_behind_the_copys_back(stage, made.session.id)

    def try_it(request: SessionRequest) -> str:
        assert request.user is not None, "the copy is not taken, so nothing is shown"
        with pytest.raises(NotSignedInError):
            act(request)
        assert request.session is None and stage.environ["wsgi_sessions.user"] is None
        return "refused"

    assert stage.do(try_it, browser) == "refused"
    user = stage.bench.manager.parts.store.users.find(made.user.id)
    assert user is not None and user.name == "Ada"
    assert phone.session is not None
    if kind == "forged":
        assert stage.browser.session is not None
    new = stage.bench.new_browser()
    stage.do(lambda request: request.sign_in_email(email="ada@example.org", password=PASSWORD), new)


def test_a_forged_copy_signs_nobody_out(stage: Stage) -> None:
    made = stage.do(sign_up)
    thief = forged(stage, made.session.record, made.user.record)
    assert stage.do(lambda request: request.sign_out(), thief) is False
    assert stage.browser.session is not None


def test_a_sign_in_beside_a_forged_copy_ends_nobodys_session(stage: Stage) -> None:
    made = stage.do(sign_up)
    eve = stage.do(
        lambda request: request.sign_up_email(
            name="Eve", email="eve@example.org", password=PASSWORD
        ),
        stage.bench.new_browser(),
    ).user
    thief = forged(stage, made.session.record, made.user.record)
    stage.do(lambda request: request.sign_in(eve.id), thief)
    assert stage.browser.session is not None


def test_a_forged_copy_neither_reads_nor_writes_data(stage: Stage) -> None:
    made = stage.do(sign_up)

    def data_of(request: SessionRequest) -> Any:
        session: Session | None = request.session
        return None if session is None else session.data

    stage.do(lambda request: data_of(request).update(cart=["tea"]))
    thief = forged(stage, made.session.record, made.user.record)

    def write(request: SessionRequest) -> dict[str, Any]:
        data = data_of(request)
        seen = dict(data)
        data["cart"] = ["poison"]
        with suppress(KeyError):
            data["list"].append(1)
        return seen

    assert stage.do(write, thief) == {}
    assert "data_dropped" in stage.names()
    assert stage.do(lambda request: dict(data_of(request))) == {"cart": ["tea"]}


def test_a_stale_copys_data_is_dropped_with_an_event(stage: Stage) -> None:
    made = stage.do(sign_up)
    stage.browser.get("/")
    end_behind_the_copys_back(stage, made.session.id)

    def write(request: SessionRequest) -> None:
        assert request.session is not None
        request.session.data.setdefault("cart", []).append("tea")

    stage.do(write)
    assert "data_dropped" in stage.names()
    found = stage.bench.manager.parts.store.sessions.find(made.session.id)
    assert found is not None and found[0].data == "{}"


def test_a_good_copy_is_asked_for_once_and_goes_on(stage: Stage) -> None:
    made = stage.do(sign_up)
    stage.browser.get("/")
    asked: list[str] = []
    store = stage.bench.manager.parts.store
    find = store.sessions.find

    def count(session_id: str, **options: Any) -> Any:
        asked.append(session_id)
        return find(session_id, **options)

    def act(request: SessionRequest) -> list[str]:
        session = request.session
        assert session is not None and asked == []
        request.require_fresh()
        session.data["cart"] = 1
        request.update_user(name="Ada L.")
        request.require_fresh()
        assert request.session is session
        return list(asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.sessions, "find", count)
        assert stage.do(act) == [made.session.id]
    assert stage.do(lambda request: request.user and request.user.name) == "Ada L."


@pytest.mark.parametrize("framework", ["flask", "bottle", "falcon", "pyramid"])
def test_a_guard_that_wants_a_fresh_sign_in_asks_the_database(stage: Stage, framework: str) -> None:
    pytest.importorskip(framework)
    made = stage.do(sign_up)
    stage.browser.get("/")
    app = GUARDED[framework](stage.bench.manager)
    end_behind_the_copys_back(stage, made.session.id)
    cookies = "; ".join(f"{name}={value}" for name, value in stage.browser.cookies.items())
    status: list[str] = []
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/fresh",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "https",
        "wsgi.input": None,
        "HTTP_COOKIE": cookies,
        "wsgi.version": (1, 0),
        "wsgi.errors": None,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    b"".join(app(environ, lambda said, *_: status.append(said)))
    assert status[-1][:3] == "401"


def guarded_by_flask(manager: Any) -> Any:
    import flask

    from wsgi_sessions.adapters.flask import FlaskSessions, fresh_login_required

    app = flask.Flask("guarded")
    FlaskSessions(app, manager)
    app.add_url_rule("/fresh", view_func=fresh_login_required(lambda: "in"))
    return app


def guarded_by_bottle(manager: Any) -> Any:
    import bottle

    from wsgi_sessions.adapters.bottle import install

    app = bottle.Bottle()
    app.route("/fresh", callback=lambda: "in", fresh_login_required=True)
    return install(app, manager)


def guarded_by_falcon(manager: Any) -> Any:
    import falcon

    from wsgi_sessions.adapters.falcon import fresh_login_required, install

    class Fresh:
        @falcon.before(fresh_login_required)
        def on_get(self, req: Any, resp: Any) -> None:
            resp.text = "in"

    app = falcon.App()
    app.add_route("/fresh", Fresh())
    return install(app, manager)


def guarded_by_pyramid(manager: Any) -> Any:
    from pyramid.config import Configurator
    from pyramid.response import Response

    with Configurator() as config:
        config.include("wsgi_sessions.adapters.pyramid")
        config.add_wsgi_sessions(manager)
        config.add_route("fresh", "/fresh")
        config.add_view(
            lambda request: Response("in"), route_name="fresh", fresh_login_required=True
        )
        return config.make_wsgi_app()


GUARDED: dict[str, Callable[[Any], Any]] = {
    "flask": guarded_by_flask,
    "bottle": guarded_by_bottle,
    "falcon": guarded_by_falcon,
    "pyramid": guarded_by_pyramid,
}
