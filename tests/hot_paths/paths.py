"""The hot paths: what most requests are, each with an application and requests to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from wsgi_sessions import RequestFacts, SessionManager, SessionMiddleware
from wsgi_sessions_testing import FakeClock, SeededRandomness

from .counting import Application, Environ, serve

SECRET = "a secret for the figures, long enough"
OTHER_COOKIES = "theme=dark; _ga=GA1.2.1234567890.1234567890; consent=yes"
FACTS = RequestFacts(
    address="192.0.2.7",
    user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    is_https=True,
    method="GET",
    path="/",
)
BARE = "bare application"
"""The path from which the others are told apart: the application without sessions."""


@dataclass(frozen=True)
class HotPath:
    """An application and requests to it, of which each is served once."""

    app: Application
    environs: Callable[[int], list[Environ]]
    """Makes as many requests as asked."""
    connection: Any = None
    """That of the SQLite database, if there is one."""


def bare_app(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def reading_app(environ: Environ, start_response: Any) -> list[bytes]:
    """Answer as ``bare_app`` does, but look first who is signed in."""
    assert environ["wsgi_sessions.session"].user.name == "Ada"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def environ_with(cookies: str) -> Environ:
    """Return what a server makes of a browser's request."""
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": FACTS.address,
        "HTTP_HOST": "localhost",
        "HTTP_USER_AGENT": FACTS.user_agent,
        "HTTP_COOKIE": cookies,
        "wsgi.url_scheme": "https",
    }


class _Site:
    """An application on an SQLite file, and its users."""

    def __init__(self, app: Application, **settings: Any) -> None:
        self.clock = FakeClock()
        self.folder = TemporaryDirectory(prefix="hot-paths-")
        self.manager = SessionManager(
            f"sqlite:///{self.folder.name}/app.db",
            secret=SECRET,
            clock=self.clock,
            multi_session={"maximum_sessions": None},
            **settings,
        )
        self.app = SessionMiddleware(app, self.manager)
        self.user = self.manager.create_user(name="Ada", email="ada@example.org")
        serve(self.app, environ_with(self.signed_in()))  # the first request does more

    def close(self) -> None:
        self.manager.close()
        self.folder.cleanup()

    def signed_in(self) -> str:
        """Return the cookies of a browser that has just been signed in."""
        made = self.manager.sign_in(self.user.id, facts=FACTS)
        cookies = f"{OTHER_COOKIES}; __Host-session_token={made.token}"
        answered: list[tuple[str, str]] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Any:
            answered.extend(headers)

        self.app(environ_with(cookies), start_response)
        for name, value in answered:
            if name == "Set-Cookie":
                cookies += "; " + value.partition(";")[0]
        return cookies

    def path(self, environs: Callable[[int], list[Environ]]) -> HotPath:
        store: Any = self.manager.parts.store
        # Not ``manager.database.connection()``, which would be one more connection.
        idle = store._connections.source.pool.idle
        return HotPath(self.app, environs, idle[-1].connection)

    def visited(self) -> HotPath:
        """Return the requests of people whom we don't know."""
        return self.path(_same(OTHER_COOKIES))

    def used(self) -> HotPath:
        """Return the requests of one browser that is signed in."""
        return self.path(_same(self.signed_in()))

    def returned_to(self) -> HotPath:
        """Return the first requests after a day, each of a browser that is signed in."""

        def environs(count: int) -> list[Environ]:
            made = [environ_with(self.signed_in()) for _ in range(count)]
            self.clock.advance(days=1)
            serve(self.app, environ_with(self.signed_in()))  # a purge was due as well
            return made

        return self.path(environs)


def _same(cookies: str) -> Callable[[int], list[Environ]]:
    return lambda count: [environ_with(cookies) for _ in range(count)]


@contextmanager
def hot_paths() -> Iterator[dict[str, HotPath]]:
    """Give each path by its name; random bytes and the time are the same in every run."""
    with ExitStack() as stack:
        stack.enter_context(SeededRandomness("hot paths"))

        def site(app: Application = bare_app, **settings: Any) -> _Site:
            made = _Site(app, **settings)
            stack.callback(made.close)
            return made

        yield {
            BARE: HotPath(bare_app, _same(OTHER_COOKIES)),
            "visitor": site().visited(),
            "validated": site().used(),
            "validated, user read": site(reading_app).used(),
            "cached": site(cookie_cache=True).used(),
            "cached, user read": site(reading_app, cookie_cache=True).used(),
            "refresh": site().returned_to(),
        }
