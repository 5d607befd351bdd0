"""Middlewares within middlewares, and requests within requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from wsgi_sessions import SessionManager, SessionMiddleware, get_request, get_session, get_user
from wsgi_sessions_testing import CHEAP_PASSWORDS, Browser, FakeClock

SECRET = "for the tests of nesting, and more"
PLAIN = [("Content-Type", "text/plain")]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make(clock: FakeClock, tmp_path: Path) -> Iterator[Callable[..., SessionManager]]:
    made: list[SessionManager] = []

    def make_one(name: str = "one", **settings: Any) -> SessionManager:
        made.append(
            SessionManager(
                f"sqlite:///{tmp_path}/{name}.db",
                secret=SECRET,
                clock=clock,
                password=CHEAP_PASSWORDS,
                **settings,
            )
        )
        return made[-1]

    yield make_one
    for manager in made:
        manager.close()


class Site:
    """The companion's browser, at an application that a test makes up."""

    def __init__(self, app: Any) -> None:
        self.app = app
        # By a clock that stands still: no cookie of a test expires.
        self.browser = Browser(app, clock=FakeClock(), base_url="http://localhost")
        self.set_cookies: list[str] = []

    def get(self, path: str = "/") -> tuple[str, str]:
        answer = self.browser.get(path)
        self.set_cookies = answer.headers.getall("Set-Cookie")
        return answer.status, answer.text

    def hold(self, token: str, name: str = "session_token") -> None:
        """Have the browser hold a token that it was given elsewhere."""
        self.browser.cookies.receive([f"{name}={token}; Path=/"], url=self.browser.base_url)

    @property
    def names_set(self) -> list[str]:
        return [line.partition("=")[0] for line in self.set_cookies]

    @property
    def cookies(self) -> dict[str, str]:
        return {cookie.name: cookie.value for cookie in self.browser.cookies.find_all()}


def sign_up(manager: SessionManager, email: str = "ada@example.org") -> Any:
    return manager.sign_up_email(name=email[:3], email=email, password="correct horse")


def show(environ: Any, start_response: Any) -> list[bytes]:
    user = get_user(environ)
    start_response("200 OK", list(PLAIN))
    return [b"-" if user is None else str(user.email).encode()]


@pytest.mark.parametrize("is_made_twice", [False, True])
def test_an_outer_one_adds_no_offer_after_the_inner_ones_sign_in(
    make: Callable[..., SessionManager], clock: FakeClock, is_made_twice: bool
) -> None:
    manager = make()
    inner = make() if is_made_twice else manager
    made = sign_up(manager)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/again":
            get_request(environ).sign_in(made.user.id)
        return show(environ, start_response)

    site = Site(SessionMiddleware(SessionMiddleware(app, inner), manager))
    site.hold(made.token)
    clock.advance(days=1)
    site.get("/again")
    assert site.names_set == ["session_token", "known_device"]
    assert site.get()[1] == "ada@example.org"
    assert site.set_cookies == []


def without_our_keys(app: Any) -> Any:
    """Hand on what is of the request itself, as bridges to other protocols do."""

    def hand_on(environ: Any, start_response: Any) -> Any:
        kept = {name: value for name, value in environ.items() if "wsgi_sessions" not in name}
        return app(kept, start_response)

    return hand_on


@pytest.mark.parametrize("is_alike", [True, False])
@pytest.mark.parametrize("path", ["/in", "/out"])
def test_an_outer_one_yields_to_an_inner_one_that_knew_nothing_of_it(
    make: Callable[..., SessionManager], clock: FakeClock, path: str, is_alike: bool
) -> None:
    manager = make()
    inner = make() if is_alike else make(touch_interval=5)
    made, other = sign_up(manager), sign_up(manager, "bob@example.org")

    def app(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/in":
            get_request(environ).sign_in(other.user.id)
        if environ["PATH_INFO"] == "/out":
            get_request(environ).sign_out()
        return show(environ, start_response)

    within = SessionMiddleware(app, inner)
    site = Site(SessionMiddleware(without_our_keys(within) if is_alike else within, manager))
    site.hold(made.token)
    clock.advance(days=1)
    site.get(path)
    assert ("session_token" in site.cookies) == (path == "/in")
    assert site.get()[1] == ("bob@example.org" if path == "/in" else "-")


def test_the_outer_ones_own_sign_in_is_the_last(make: Callable[..., SessionManager]) -> None:
    manager = make()
    made, other = sign_up(manager), sign_up(manager, "bob@example.org")

    def app(environ: Any, start_response: Any) -> list[bytes]:
        get_request(environ).sign_in(other.user.id)
        return show(environ, start_response)

    within = without_our_keys(SessionMiddleware(app, manager))

    def outer_app(environ: Any, start_response: Any) -> Any:
        told: list[Any] = []
        body = b"".join(within(environ, lambda *given: told.append(given)))
        get_request(environ).sign_in(made.user.id)
        start_response(*told[0])
        return [body]

    site = Site(SessionMiddleware(outer_app, manager))
    assert site.get()[1] == "bob@example.org"
    cookie = f"session_token={site.cookies['session_token']}"
    found = manager.get_session({"Cookie": cookie}, is_https=False)
    assert found is not None
    assert found.user_id == made.user.id


def test_of_two_nested_ones_one_asks_the_database(make: Callable[..., SessionManager]) -> None:
    manager = make()
    asked: list[str] = []
    find = manager.parts.store.sessions.find

    def count(session_id: str, **options: Any) -> Any:
        asked.append(session_id)
        return find(session_id, **options)

    manager.parts.store.sessions.find = count  # type: ignore[method-assign]
    site = Site(SessionMiddleware(SessionMiddleware(show, manager), manager))
    site.hold(sign_up(manager).token)
    assert site.get()[1] == "ada@example.org"
    assert len(asked) == 1


def test_the_api_answers_through_both(make: Callable[..., SessionManager]) -> None:
    manager = make()
    made = sign_up(manager)
    site = Site(SessionMiddleware(SessionMiddleware(show, manager), manager))
    site.hold(made.token)
    status, body = site.get("/api/auth/get-session")
    assert status == "200 OK" and made.session.id in body


def test_two_managers_show_each_app_its_own(make: Callable[..., SessionManager]) -> None:
    staff = make("staff", cookie={"name": "staff_token"}, api_path=None)
    shop = make("shop", cookie={"name": "shop_token"})
    seen: list[Any] = []

    def inner(environ: Any, start_response: Any) -> list[bytes]:
        seen.append([m.get_session(environ).user.email for m in (staff, shop)])  # type: ignore[union-attr]
        return show(environ, start_response)

    mounted = SessionMiddleware(inner, shop)

    def dispatcher(environ: Any, start_response: Any) -> list[bytes]:
        body = mounted(environ, start_response)
        # A dispatcher goes on with the same environ: its own keys are as they were.
        seen.append(get_user(environ).email)  # type: ignore[union-attr]
        return body  # type: ignore[return-value]

    site = Site(SessionMiddleware(dispatcher, staff))
    site.hold(sign_up(staff, "eve@example.org").token, "staff_token")
    site.hold(sign_up(shop).token, "shop_token")
    assert site.get()[1] == "ada@example.org"
    assert seen == [["eve@example.org", "ada@example.org"], "eve@example.org"]


def test_a_sign_in_at_the_inner_manager_leaves_the_outer_one_alone(
    make: Callable[..., SessionManager],
) -> None:
    staff = make("staff", cookie={"name": "staff_token"}, api_path=None)
    shop = make("shop", cookie={"name": "shop_token"})
    buyer = sign_up(shop)

    def inner(environ: Any, start_response: Any) -> list[bytes]:
        get_request(environ).sign_in(buyer.user.id)
        return show(environ, start_response)

    site = Site(SessionMiddleware(SessionMiddleware(inner, shop), staff))
    before = sign_up(staff, "eve@example.org").token
    site.hold(before, "staff_token")
    assert site.get()[1] == "ada@example.org"
    assert site.cookies["staff_token"] == before
    assert site.names_set == ["shop_token", "known_device"]


def test_a_manager_within_another_within_itself_goes_on(
    make: Callable[..., SessionManager], clock: FakeClock
) -> None:
    one = make("one", cookie={"name": "one_token"})
    two = make("two", cookie={"name": "two_token"}, api_path=None)
    made = sign_up(one)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        get_request(environ).sign_in(made.user.id)
        return show(environ, start_response)

    site = Site(SessionMiddleware(SessionMiddleware(SessionMiddleware(app, one), two), one))
    site.hold(made.token, "one_token")
    clock.advance(days=1)
    assert site.get()[1] == "ada@example.org"
    assert site.names_set == ["one_token", "known_device"]


def test_alike_but_for_the_database_is_another_manager(make: Callable[..., SessionManager]) -> None:
    one, two = make("one"), make("two")
    site = Site(SessionMiddleware(SessionMiddleware(show, two), one))
    site.hold(sign_up(one).token)
    assert site.get()[1] == "-"


def sub_request(app: Any, environ: Any, path: str, **changes: Any) -> str:
    """Ask an app as part of a request, with a copy of its environ."""
    iterable = app({**environ, "PATH_INFO": path, **changes}, lambda *_: lambda chunk: None)
    try:
        return b"".join(iterable).decode()
    finally:
        if hasattr(iterable, "close"):
            iterable.close()


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_sub_request_shares_the_session_and_what_it_changes(
    make: Callable[..., SessionManager], clock: FakeClock, is_streamed: bool
) -> None:
    manager = make()
    made = sign_up(manager)
    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/":
            seen.append(sub_request(site.app, environ, "/sign-in"))
            session = get_session(environ)
            assert session is not None
            seen.append(session.id == made.session.id)
        if environ["PATH_INFO"] == "/sign-in":
            get_request(environ).sign_in(made.user.id)
        body = show(environ, start_response)
        return iter(body) if is_streamed else body

    site = Site(SessionMiddleware(app, manager))
    site.hold(made.token)
    clock.advance(days=1)
    assert site.get()[1] == "ada@example.org"
    assert seen == ["ada@example.org", False]
    assert site.names_set == ["session_token", "known_device"]
    assert site.get("/x")[1] == "ada@example.org"


def test_a_sub_request_as_another_browser_is_looked_up(
    make: Callable[..., SessionManager],
) -> None:
    manager = make()
    eve = sign_up(manager, "eve@example.org")

    def app(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/":
            cookie = f"session_token={eve.token}"
            inner = sub_request(site.app, environ, "/x", HTTP_COOKIE=cookie)
            assert inner == "eve@example.org"
        return show(environ, start_response)

    site = Site(SessionMiddleware(app, manager))
    site.hold(sign_up(manager).token)
    assert site.get()[1] == "ada@example.org"


class Redirected(Exception):
    """Asks for another path in place of this one, as Paste's recursive does."""


def test_an_internal_redirect_as_another_browser_gets_no_sign_in(
    make: Callable[..., SessionManager],
) -> None:
    manager = make()
    made = sign_up(manager)

    def app(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/":
            get_request(environ).sign_in(made.user.id)
            raise Redirected
        return show(environ, start_response)

    wrapped = SessionMiddleware(app, manager)

    def recursive(environ: Any, start_response: Any) -> Any:
        with suppress(Redirected):
            wrapped(environ, start_response)
        changed = {**environ, "PATH_INFO": "/account", "HTTP_COOKIE": "session_token=x"}
        return wrapped(changed, start_response)

    assert Site(recursive).get()[1] == "-"


@pytest.mark.parametrize("when", ["before start_response", "in start_response", "after the answer"])
@pytest.mark.parametrize("is_visitor", [False, True])
def test_an_internal_redirect_keeps_the_sign_in(
    make: Callable[..., SessionManager], when: str, is_visitor: bool
) -> None:
    manager = make()
    made = sign_up(manager)

    def app(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/":
            get_request(environ).sign_in(made.user.id)
            if when == "before start_response":
                raise Redirected
            start_response("404 Not Found", list(PLAIN))
            return [b"replaced"]
        return show(environ, start_response)

    wrapped = SessionMiddleware(app, manager)

    def refuse(*_: Any) -> Any:
        raise Redirected

    def recursive(environ: Any, start_response: Any) -> Any:
        start = refuse if when == "in start_response" else lambda *_: lambda chunk: None
        with suppress(Redirected):
            wrapped(environ, start)
        return wrapped({**environ, "PATH_INFO": "/account"}, start_response)

    site = Site(recursive)
    if not is_visitor:
        site.hold(made.token)
    _, body = site.get()
    if is_visitor and when == "after the answer":
        # Nobody can tell it from the next request of somebody else; nobody is signed out.
        assert body == "-"
        return
    assert body == "ada@example.org"
    assert site.names_set == ["session_token", "known_device"]
    assert site.get("/x")[1] == "ada@example.org"


def test_an_app_that_is_redirected_to_may_yet_sign_out(make: Callable[..., SessionManager]) -> None:
    manager = make()
    made = sign_up(manager)

    def app(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/":
            get_request(environ).sign_in(made.user.id)
            start_response("404 Not Found", list(PLAIN))
            return [b"replaced"]
        assert get_user(environ) is not None
        get_request(environ).sign_out()
        return show(environ, start_response)

    wrapped = SessionMiddleware(app, manager)

    def recursive(environ: Any, start_response: Any) -> Any:
        wrapped(environ, lambda *_: lambda chunk: None)
        return wrapped({**environ, "PATH_INFO": "/goodbye"}, start_response)

    site = Site(recursive)
    site.hold(made.token)
    assert site.get() == ("200 OK", "-")
    assert site.cookies == {}
    assert manager.list_sessions(made.user.id) == []


def test_an_environ_that_is_used_again_is_looked_up_again(
    make: Callable[..., SessionManager],
) -> None:
    manager = make()
    made = sign_up(manager)
    wrapped = SessionMiddleware(show, manager)
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ["HTTP_COOKIE"] = f"session_token={made.token}"
    assert list(wrapped(environ, lambda *_: lambda chunk: None)) == [b"ada@example.org"]
    manager.revoke_session(made.session.id)
    assert list(wrapped(environ, lambda *_: lambda chunk: None)) == [b"-"]


def test_an_app_in_a_streamed_body_that_failed_leaves_nothing_open(
    make: Callable[..., SessionManager],
) -> None:
    manager = make()
    made = sign_up(manager)

    def broken(environ: Any, start_response: Any) -> Any:
        raise ZeroDivisionError

    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ["HTTP_COOKIE"] = f"session_token={made.token}"
    with pytest.raises(ZeroDivisionError):
        SessionMiddleware(broken, manager)(environ, lambda *_: lambda chunk: None)
    manager.revoke_session(made.session.id)
    assert list(SessionMiddleware(show, manager)(environ, lambda *_: lambda chunk: None)) == [b"-"]


def test_a_stream_asks_for_its_session_whatever_became_of_its_cookie(
    make: Callable[..., SessionManager], clock: FakeClock
) -> None:
    manager = make()
    seen: list[Any] = []

    def stream(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", list(PLAIN))
        yield b"a"
        session = manager.get_session(environ, authoritative=True)
        seen.append(None if session is None else session.id)
        yield b"b"

    made = sign_up(manager)
    browser = Site(SessionMiddleware(show, manager))
    browser.hold(made.token)
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ["HTTP_COOKIE"] = f"session_token={made.token}"
    body = iter(SessionMiddleware(stream, manager)(environ, lambda *_: lambda chunk: None))
    assert next(body) == b"a"
    clock.advance(days=1)
    browser.get()
    browser.get()
    clock.advance(hours=1)
    assert next(body) == b"b"
    assert seen == [made.session.id]
    assert browser.get()[1] == "ada@example.org"


@pytest.mark.parametrize("framework", ["pyramid"])
def test_a_framework_beneath_another_manager_shows_its_own(
    make: Callable[..., SessionManager], framework: str
) -> None:
    pytest.importorskip(framework)
    from pyramid.config import Configurator
    from pyramid.response import Response

    staff = make("staff", cookie={"name": "staff_token"}, api_path=None)
    shop = make("shop", cookie={"name": "shop_token"})
    buyer = sign_up(shop)

    def view(request: Any) -> Any:
        before = request.wsgi_user
        request.wsgi_sessions.sign_in(buyer.user.id)
        return Response(f"{before and before.email} {request.wsgi_user.email}")

    with Configurator() as config:
        config.include("wsgi_sessions.adapters.pyramid")
        config.add_wsgi_sessions(shop)
        config.add_route("home", "/")
        config.add_view(view, route_name="home")
        app = config.make_wsgi_app()
    site = Site(SessionMiddleware(app, staff))
    site.hold(sign_up(staff, "eve@example.org").token, "staff_token")
    assert site.get()[1] == "None ada@example.org"
    assert list(site.cookies) == ["staff_token", "shop_token", "known_device"]


def test_pyramids_sub_requests_share_the_session(make: Callable[..., SessionManager]) -> None:
    pytest.importorskip("pyramid")
    from pyramid.config import Configurator
    from pyramid.request import Request
    from pyramid.response import Response

    manager = make()
    made = sign_up(manager)

    def home(request: Any) -> Any:
        inner = Request(dict(request.environ, PATH_INFO="/inner"))
        told = request.invoke_subrequest(inner, use_tweens=True).text
        return Response(f"{told} {request.wsgi_session.id != made.session.id}")

    def inner(request: Any) -> Any:
        request.wsgi_sessions.sign_in(made.user.id)
        return Response(request.wsgi_user.email)

    with Configurator() as config:
        config.include("wsgi_sessions.adapters.pyramid")
        config.add_wsgi_sessions(manager)
        for name, path, view in (("home", "/", home), ("inner", "/inner", inner)):
            config.add_route(name, path)
            config.add_view(view, route_name=name)
        app = config.make_wsgi_app()
    site = Site(app)
    site.hold(made.token)
    assert site.get()[1] == "ada@example.org True"
    assert site.names_set == ["session_token", "known_device"]
