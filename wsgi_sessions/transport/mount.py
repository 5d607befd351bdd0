"""Tells under which path the application is mounted, as URLs write it.

Must not name a host: what links with it stays on this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["mount_path"]


def mount_path(environ: WSGIEnvironment) -> str:
    """Return ``SCRIPT_NAME`` as the beginning of a URL's path, "" at the root.

    It starts with one slash, as two would be the name of a host (RFC 3986, section 4.2).

    >>> mount_path({"SCRIPT_NAME": "/my shop"}), mount_path({"SCRIPT_NAME": "//evil.example"})
    ('/my%20shop', '/evil.example')
    >>> mount_path({"SCRIPT_NAME": "/"}), mount_path({})
    ('', '')
    """
    said: str = environ.get("SCRIPT_NAME", "").strip("/")
    return "/" + quote(said.encode("latin-1", "replace")) if said else ""
