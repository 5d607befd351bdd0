"""Serves the style sheet and the icon, which are the same for everybody.

Must not see a session: it stands outside the middleware, so these answers can be cached.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_FOLDER = Path(__file__).parent
_FILES = {
    "/style.css": (_FOLDER / "style.css", "text/css; charset=utf-8"),
    "/icon.svg": (_FOLDER / "icon.svg", "image/svg+xml"),
}


def with_static_files(inner: WSGIApplication) -> WSGIApplication:
    """Answer GET and HEAD for the two files, and leave everything else to the inner app."""
    loaded = {path: (file.read_bytes(), kind) for path, (file, kind) in _FILES.items()}

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        found = loaded.get(environ.get("PATH_INFO", ""))
        if found is None or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return inner(environ, start_response)
        content, kind = found
        headers = [
            ("Content-Type", kind),
            ("Content-Length", str(len(content))),
            ("Cache-Control", "public, max-age=300"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        start_response("200 OK", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [content]

    return serve
