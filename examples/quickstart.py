"""Serves a small site with sign-up, sign-in and a list of sessions, under real gunicorn.

Must not hold pages or actions: what the site does is in ``quickstart_site/app.py``.

    pip install ".[demo]" && python examples/quickstart.py
"""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from quickstart_site.app import site
from quickstart_site.static import with_static_files

from wsgi_sessions import SessionManager, SessionMiddleware, print_mail

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

WORKER_COUNT = 2
THREADS_PER_WORKER = 4


def make_application(data_folder: Path, *, site_url: str, **settings: Any) -> WSGIApplication:
    """Wrap the site: all that an application of your own needs is in these lines.

    ``site_url`` is where browsers find it: the links in mails begin so.
    """
    manager = SessionManager(
        f"sqlite:///{data_folder / 'sessions.db'}",
        secret=read_or_make_secret(data_folder / "secret"),
        site_url=site_url,
        # Prints mails where this runs; yours sends them.
        on_send=print_mail,
        **settings,
    )
    # Static files go outside: they are the same for everybody and need no session.
    return with_static_files(SessionMiddleware(site, manager))


def read_or_make_secret(path: Path) -> str:
    """Return the secret in a file that only its owner can read, made on the first start.

    It is written under another name and then linked, so that a second start never finds half
    of one, and nobody's secret is ever replaced.
    """
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(32))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another start was faster; its secret is the one
        finally:
            draft.unlink()
    if path.stat().st_mode & 0o077:
        raise SystemExit(f"{path} can be read by others; make it yours alone: chmod 600 {path}")
    return path.read_text().strip()


def open_socket(host: str, port: int) -> socket.socket:
    """Take the port before anything else is done; port 0 is any free one."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family, kind)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        taken.listen()
    except OSError as error:
        raise SystemExit(
            f"can't listen on {host} port {port}: {error.strerror or error}; "
            "choose another with --host or --port"
        ) from None
    return taken


def url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn with two worker processes, on a socket that is open already."""

    def __init__(self, application: WSGIApplication, listening: socket.socket) -> None:
        self._application = application
        self._listening = listening
        super().__init__()

    def load_config(self) -> None:
        """Set what gunicorn would otherwise read from its command line."""
        url = url_of(self._listening)
        settings = {
            "bind": f"fd://{self._listening.detach()}",
            "workers": WORKER_COUNT,
            # Browsers open connections in advance; a worker without threads would wait on them.
            "threads": THREADS_PER_WORKER,
            "loglevel": "warning",
            "control_socket_disable": True,
            "when_ready": lambda _arbiter: _say(f"Open {url} in a browser; Ctrl-C stops."),
            # On Ctrl-C: a browser that keeps its connections open is not waited for.
            "worker_int": lambda _worker: os._exit(0),
            # A worker that was still being born did not hear of it.
            "graceful_timeout": 2,
            "on_exit": lambda _arbiter: _say("Stopped."),
        }
        for name, value in settings.items():
            if name in self.cfg.settings:  # not every version knows the control socket
                self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the application; each worker calls this after it was forked."""
        return self._application


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A small site with sessions, under gunicorn.")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=port_number, default=8000, help="default: %(default)s")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("quickstart-data"),
        metavar="FOLDER",
        help="where the database and the secret are kept; default: ./%(default)s",
    )
    parser.add_argument(
        "--rotate-every",
        type=rotation_seconds,
        metavar="SECONDS",
        help="rotate tokens this often instead of once a day, to watch the generation count up",
    )
    given = parser.parse_args(arguments)
    settings: dict[str, Any] = {}
    if given.rotate_every is not None:
        settings["rotation_interval"] = given.rotate_every
        # Five of it have to be shorter than the interval.
        settings["rotation_grace"] = min(60, (given.rotate_every - 1) // 5)
    listening = open_socket(given.host, given.port)
    try:
        given.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        application = make_application(given.data.resolve(), site_url=url_of(listening), **settings)
    except OSError as error:
        raise SystemExit(f"can't keep data in {given.data}: {error.strerror}; try --data") from None
    Server(application, listening).run()


def port_number(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port; give one from 0 to 65535")
    return port


def rotation_seconds(text: str) -> int:
    seconds = int(text)
    if not 6 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(f"{seconds} is out of range; give 6 to 86400 seconds")
    return seconds


def _say(text: str) -> None:
    print(text, file=sys.stdout, flush=True)


if __name__ == "__main__":
    main()
