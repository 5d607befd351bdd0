"""The application that a server of the benchmark ``serving`` loads: one contender of ``peers``.

``BENCHMARK_SITE`` names it, or is the URL of a database for ours; ``BENCHMARK_BARE`` serves it
without sessions. The cookie of who is signed in is written into ``BENCHMARK_FOLDER``.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import Any

from tests.hot_paths.counting import Application, Environ

from .peers.contenders import BY_NAME
from .peers.ours import site_of
from .peers.site import Site

COOKIE_FILE = "cookie"


def make_site(name: str, folder: Path) -> Site:
    if "://" in name:
        return site_of(name)
    # Of this worker's own: most of them make a new one.
    return BY_NAME[name].site(tempfile.mkdtemp(dir=folder))


def serving(app: Application) -> Application:
    def call(environ: Environ, start_response: Any) -> Any:
        # As behind a proxy that ends TLS: cookies have the names that they have there.
        environ["wsgi.url_scheme"] = "https"
        return app(environ, start_response)

    return call


if "BENCHMARK_SITE" in os.environ:
    folder = Path(os.environ["BENCHMARK_FOLDER"])
    with (folder / "lock").open("w") as lock:
        # One worker after the other: all of a database have one user.
        fcntl.flock(lock, fcntl.LOCK_EX)
        site = make_site(os.environ["BENCHMARK_SITE"], folder)
    (folder / COOKIE_FILE).write_text(site.cookie, encoding="utf-8")
    application = serving(site.bare if "BENCHMARK_BARE" in os.environ else site.app)
