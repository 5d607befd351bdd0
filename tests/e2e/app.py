"""What the end-to-end tests serve: the React example's files and API, by a clock that can be set.

Settings come from ``E2E_FOLDER`` (database, and the file with the clock's offset) and
``E2E_SETTINGS`` (JSON).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from whitenoise import WhiteNoise

from wsgi_sessions import SessionManager, SessionMiddleware, SystemClock
from wsgi_sessions_testing import CHEAP_PASSWORDS

DIST = Path(__file__).parents[2] / "examples" / "react" / "dist"


class SettableClock(SystemClock):
    """The machine's clock, as many milliseconds on as a file says: all workers read the same."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now_ms(self) -> int:
        return super().now_ms() + int(self._path.read_text())


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"no such page"]


def make_application(folder: Path, settings: dict[str, Any]) -> Any:
    manager = SessionManager(
        f"sqlite:///{folder / 'e2e.db'}",
        secret="a-secret-for-tests-of-32-characters",
        clock=SettableClock(folder / "offset_ms"),
        **{"password": CHEAP_PASSWORDS, "throttle": None, **settings},
    )
    wrapped = SessionMiddleware(app, manager)
    return WhiteNoise(wrapped, root=DIST, index_file=True) if DIST.exists() else wrapped


if "E2E_FOLDER" in os.environ:
    application = make_application(
        Path(os.environ["E2E_FOLDER"]), json.loads(os.environ["E2E_SETTINGS"])
    )
