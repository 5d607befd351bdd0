"""``LiveServer``: the application under real gunicorn, for real browsers and HTTP clients."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee

from wsgi_sessions.clock import SystemClock
from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.manager import SessionManager
from wsgi_sessions.sessions.session import SignIn, User

from .bench import wrap
from .extras import from_extra
from .factories import Factories
from .fakes.clock import real_ns
from .fakes.wrapping import find_session_middleware

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from typing_extensions import Self

PATIENCE_SECONDS = 20


class LiveServer:
    """Serves an application at ``url`` for the length of a ``with`` block.

    Its workers are forked from this process, so they have a copy of the application as it is
    now; their clock is the machine's, since a fake one would stand still there. Give the
    application a database that processes can share, or a ``manager`` on one: the app's own
    manager then works on its parts in the workers, and is unchanged here.

    >>> def app(environ, start_response):
    ...     start_response("200 OK", [("Content-Type", "text/plain")])
    ...     return [b"hello"]
    >>> from urllib.request import urlopen
    >>> with LiveServer(app) as server, urlopen(server.url) as response:
    ...     response.read()
    b'hello'
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        manager: SessionManager | None = None,
        workers: int = 1,
        threads: int = 4,
        host: str = "127.0.0.1",
    ) -> None:
        self._app = app
        self._manager = manager
        self._workers = workers
        self._threads = threads
        self._host = host
        self._pid = 0
        self._port = 0
        self.url = ""

    def __enter__(self) -> Self:
        make_server = _server_class()
        listening = socket.create_server((self._host, 0))
        self._port = listening.getsockname()[1]
        with warnings.catch_warnings():
            # The child starts servers and nothing else, so no lock of this process matters.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if self._pid == 0:
            self._serve(make_server, listening)
        listening.close()
        self.url = f"http://{self._host}:{self._port}"
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def manager(self) -> SessionManager:
        """A manager on the server's database, for use in this process."""
        if self._manager is not None:
            return self._manager
        middleware = find_session_middleware(self._app)
        if middleware is None:
            raise LookupError(
                f"{self._app!r} is not wrapped in SessionMiddleware as far as can be seen; "
                "write LiveServer(app, manager=manager)"
            )
        return middleware.manager

    def make_user(self, email: str | None = None, **attributes: Any) -> User:
        """Make a user on the server's database: see ``Factories.make_user``."""
        return self._factories.make_user(email, **attributes)

    def make_session(self, user: User | str | None = None, **attributes: Any) -> SignIn:
        """Make a session on the server's database: see ``Factories.make_session``."""
        return self._factories.make_session(user, **attributes)

    @cached_property
    def _factories(self) -> Factories:
        return Factories(self.manager)

    def stop(self) -> None:
        """Stop serving, as the end of the block does."""
        if self._pid:
            with suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0
            self._wait_for_workers()

    def _serve(self, make_server: Any, listening: socket.socket) -> None:
        status = 1
        try:
            os.setsid()
            make_server(
                self._app if self._manager is None else _moved_onto(self._manager, self._app),
                {
                    "bind": f"fd://{listening.fileno()}",
                    "workers": self._workers,
                    "threads": self._threads,
                    "loglevel": "error",
                    "control_socket_disable": True,
                },
            ).run()
            status = 0
        except BaseException as error:
            if not isinstance(error, SystemExit) and sys.__stderr__ is not None:
                sys.__stderr__.write(f"the live server failed: {error!r}\n")
        finally:
            os._exit(status)

    def _wait(self) -> None:
        deadline_ns = real_ns() + PATIENCE_SECONDS * 1_000_000_000
        while real_ns() < deadline_ns:
            ended, _ = os.waitpid(self._pid, os.WNOHANG)
            if ended:
                self._pid = 0
                break
            connection = HTTPConnection(self._host, self._port, timeout=PATIENCE_SECONDS)
            try:
                connection.request("GET", "/")
                connection.getresponse().read()
                return
            except OSError:
                time.sleep(0.02)
            finally:
                connection.close()
        self.stop()
        raise RuntimeError(f"gunicorn did not answer at {self.url} within {PATIENCE_SECONDS} s")

    def _wait_for_workers(self) -> None:
        """Wait until no worker answers: they are not our children, so they can't be awaited."""
        deadline_ns = real_ns() + PATIENCE_SECONDS * 1_000_000_000
        while real_ns() < deadline_ns:
            with socket.socket() as client:
                client.settimeout(1)
                if client.connect_ex((self._host, self._port)) != 0:
                    return
            time.sleep(0.005)


@contextmanager
def manager_for_processes(config: SessionConfig, *, folder: Path) -> Iterator[SessionManager]:
    """Return a manager on real time and a database that processes share: a file in a folder.

    With a user model of the application's own it is that model's database. Raises
    ``LookupError`` if that is in memory, where other processes can't see it.
    """
    database: str | peewee.Database = f"sqlite:///{folder / 'live.db'}"
    if config.user_model is not None:
        database = config.user_model._meta.database
        if getattr(database, "database", None) in ("", ":memory:"):
            raise LookupError(
                f"the user model {config.user_model.__name__} lives in memory, where the "
                "processes of a live server can't see it; give it an SQLite file for this test"
            )
    manager = SessionManager(database, config=config, clock=SystemClock())
    manager.create_tables()
    manager.close()
    try:
        yield manager
    finally:
        manager.close()


def _moved_onto(manager: SessionManager, app: WSGIApplication) -> WSGIApplication:
    """Return the app on a manager's parts for good; for a process that does nothing else."""
    middleware = find_session_middleware(app)
    if middleware is None:
        return wrap(app, manager)
    theirs = middleware.manager
    for listener in theirs.events._listeners:
        manager.events.subscribe(listener)
    theirs.parts = manager.parts
    return app


def _server_class() -> Any:
    with from_extra("demo", "gunicorn", "the live server"):
        from gunicorn.app.base import (  # type: ignore[import-untyped, unused-ignore]
            BaseApplication,
        )

    class Server(BaseApplication):  # type: ignore[misc, unused-ignore]
        def __init__(self, app: Any, settings: dict[str, Any]) -> None:
            self._app = app
            self._settings = settings
            super().__init__()

        def load_config(self) -> None:
            for name, value in self._settings.items():
                if name in self.cfg.settings:
                    self.cfg.set(name, value)

        def load(self) -> Any:
            return self._app

    return Server
