"""What the tests of rotation serve: answers that wait to be let go, and notes of what was seen.

Settings come from ``E2E_FOLDER`` and ``E2E_SETTINGS``, as those of ``app.py``. All workers append
to the same files there, a line of JSON for each event and each request.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from wsgi_sessions import SessionEvent, SessionMiddleware, get_user

from .app import Notes, make_manager
from .busy_pages import answer_busily, is_busy_path

PATIENCE_SECONDS = 120
# Without an icon of its own Chromium would ask for one, at a time of its choice.
PAGE = b'<!doctype html><title>Rotation</title><link rel="icon" href="data:,"><p>A page'


class Site:
    """Tells who is signed in: at once, or when the test lets the answer go.

    ``/held/NAME/NUMBER`` waits, once it has read its body, until the file ``let-NAME`` holds a
    larger number; ``/streamed/NAME/NUMBER`` waits as long with its first chunk, though it has told
    its headers by then.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/":
            start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
            return [PAGE]
        user = get_user(environ)
        length = len(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        if user is None:
            start_response("401 Unauthorized", [("Content-Type", "application/json")])
            return [b'{"user": null}']
        if is_busy_path(path):
            return answer_busily(path, str(user.email), start_response)
        if path.startswith("/streamed/"):
            return self._stream(path, user, start_response)
        if path.startswith("/held/"):
            _, _, name, number = path.split("/")
            self._wait(self._folder / f"let-{name}", int(number))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"user": user.email, "length": length}).encode()]

    def _stream(self, path: str, user: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        _, _, name, number = path.split("/")
        self._wait(self._folder / f"let-{name}", int(number))
        yield json.dumps({"user": user.email}).encode()

    def _wait(self, path: Path, number: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not path.exists() or int(path.read_text()) <= number:
            assert time.monotonic() < deadline, f"nobody let {path.name} go on to {number + 1}"
            time.sleep(0.01)


class Noting:
    """The outermost layer: notes every request before anything is done to it, and its answer."""

    def __init__(self, app: Any, folder: Path) -> None:
        self._app = app
        self._requests = Notes(folder / "requests")
        self._answers = Notes(folder / "answers")

    def __call__(self, environ: Any, start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        self._requests.add(
            {
                "path": path,
                "cookie": environ.get("HTTP_COOKIE", ""),
                "purpose": environ.get("HTTP_SEC_PURPOSE", ""),
            }
        )

        def begin(status: str, headers: Any, exc_info: Any = None) -> Any:
            self._answers.add({"path": path, "status": status})
            return start_response(status, headers, exc_info)

        return self._app(environ, begin)


def make_application(folder: Path, settings: dict[str, Any]) -> Noting:
    manager = make_manager(folder, settings)
    events = Notes(folder / "events")

    def note(event: SessionEvent) -> None:
        events.add({"name": event.name, "reason": event.reason, "at_ms": event.at_ms})

    manager.events.subscribe(note)
    return Noting(SessionMiddleware(Site(folder), manager), folder)


if "E2E_FOLDER" in os.environ:
    application = make_application(
        Path(os.environ["E2E_FOLDER"]), json.loads(os.environ["E2E_SETTINGS"])
    )
