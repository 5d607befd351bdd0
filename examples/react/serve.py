"""Serves the built React app beside the JSON API, under gunicorn.

Must not know React: what ``npm run build`` left in ``dist`` is handed out as it is.

    pip install ".[demo]"
    cd examples/react && npm ci && npm run build && python serve.py
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whitenoise import WhiteNoise

HERE = Path(__file__).resolve().parent
# The quickstart beside this folder knows how to make a secret and to start gunicorn.
sys.path.insert(0, str(HERE.parent))

from quickstart import (  # noqa: E402
    Server,
    open_socket,
    port_number,
    read_or_make_secret,
    url_of,
)

from wsgi_sessions import SessionManager, SessionMiddleware, print_mail  # noqa: E402

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DIST = HERE / "dist"
HASHED_ASSET = r"^/assets/.+-[A-Za-z0-9_-]{8}\.[a-z0-9]+$"


def app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Stand where your own pages and data would be; the middleware answers under /api/auth."""
    start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
    return [b"There is no such page.\n"]


def make_application(data_folder: Path, *, site_url: str, **settings: Any) -> WSGIApplication:
    """Wrap the app, and put the built files before it: they need no session.

    ``site_url`` is where browsers find it: the links in mails begin so.
    """
    if not (DIST / "index.html").exists():
        raise SystemExit(f"{DIST} is not there yet; run: cd {HERE} && npm ci && npm run build")
    manager = SessionManager(
        f"sqlite:///{data_folder / 'sessions.db'}",
        secret=read_or_make_secret(data_folder / "secret"),
        site_url=site_url,
        # Prints mails where this runs; yours sends them.
        on_send=print_mail,
        # The page under `npm run dev`, which a browser calls another origin.
        trusted_origins=["http://localhost:5173"],
        **settings,
    )
    served: WSGIApplication = WhiteNoise(
        SessionMiddleware(app, manager),
        root=DIST,
        index_file=True,
        # The page names its assets by their content: it is asked for anew, they never are.
        max_age=0,
        immutable_file_test=HASHED_ASSET,
    )
    return served


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A React app with sessions, under gunicorn.")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=port_number, default=8000, help="default: %(default)s")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("react-data"),
        metavar="FOLDER",
        help="where the database and the secret are kept; default: ./%(default)s",
    )
    given = parser.parse_args(arguments)
    listening = open_socket(given.host, given.port)
    try:
        given.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        application = make_application(given.data.resolve(), site_url=url_of(listening))
    except OSError as error:
        raise SystemExit(f"can't keep data in {given.data}: {error.strerror}; try --data") from None
    Server(application, listening).run()


if __name__ == "__main__":
    main()
