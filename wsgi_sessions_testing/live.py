"""``LiveServer``: the application under real gunicorn, in processes of its own.

Must not be needed for what a ``Browser`` can show: it is for real browsers and HTTP clients.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
import warnings
from contextlib import suppress
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed.wsgi import WSGIApplication
    from typing_extensions import Self

__all__ = ["LiveServer"]

PATIENCE_SECONDS = 20


class LiveServer:
    """Serves an application at ``url`` for the length of a ``with`` block.

    Its workers are forked from this process, so they have what the application holds now, and
    the clock they see is the machine's: a fake one would stand still over there. Give the
    application a database that processes can share.

    >>> def app(environ, start_response):
    ...     start_response("200 OK", [("Content-Type", "text/plain")])
    ...     return [b"hello"]
    >>> from urllib.request import urlopen
    >>> with LiveServer(app) as server, urlopen(server.url) as response:
    ...     response.read()
    b'hello'
    """

    def __init__(
        self, app: WSGIApplication, *, workers: int = 1, threads: int = 4, host: str = "127.0.0.1"
    ) -> None:
        self._app = app
        self._workers = workers
        self._threads = threads
        self._host = host
        self._pid = 0
        self.url = ""

    def __enter__(self) -> Self:
        make_server = _server_class()
        listening = socket.create_server((self._host, 0))
        port = listening.getsockname()[1]
        with warnings.catch_warnings():
            # The child starts servers and nothing else, so no lock of this process matters.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if self._pid == 0:
            self._serve(make_server, listening)
        listening.close()
        self.url = f"http://{self._host}:{port}"
        self._wait(port)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop serving; done by the end of the block."""
        if self._pid:
            with suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0

    def _serve(self, make_server: Any, listening: socket.socket) -> None:
        status = 1
        try:
            os.setsid()
            make_server(
                self._app,
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

    def _wait(self, port: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            ended, _ = os.waitpid(self._pid, os.WNOHANG)
            if ended:
                self._pid = 0
                break
            connection = HTTPConnection(self._host, port, timeout=PATIENCE_SECONDS)
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


def _server_class() -> Any:
    try:
        from gunicorn.app.base import (  # type: ignore[import-untyped, unused-ignore]
            BaseApplication,
        )
    except ImportError:
        raise RuntimeError(
            "the live server is gunicorn, which is not installed; pip install gunicorn"
        ) from None

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
