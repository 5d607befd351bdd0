"""``ServerDatabase``: a place of one's own on a PostgreSQL or MariaDB server, made and dropped.

Must not touch what was on the server before: a run makes a schema (or database) of its name.
"""

from __future__ import annotations

import os
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from wsgi_sessions.connections import Connections

__all__ = ["ServerDatabase"]


class ServerDatabase:
    """Fresh databases for one process of a test run, one after the other.

    On PostgreSQL they are a schema of the database in the URL, which comes first in the
    search path; on MariaDB and MySQL a database beside it. The account in the URL must be
    allowed to make one.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        self.name = f"wsgi_sessions_test_{worker}_{os.getpid()}"
        self._server = Connections(url)

    def make_fresh(self) -> str:
        """Return the URL of an empty database; the one made before is gone."""
        self.drop()
        if self._server.is_mysql:
            self._server.write(f"CREATE DATABASE `{self.name}` CHARACTER SET utf8mb4", ())
        else:
            self._server.write(f'CREATE SCHEMA "{self.name}"', ())
        parts = urlsplit(self._url)
        if self._server.is_mysql:
            return urlunsplit(parts._replace(path=f"/{self.name}"))
        query = dict(parse_qsl(parts.query))
        query["options"] = f"{query.get('options', '')} -csearch_path={self.name}".strip()
        return urlunsplit(parts._replace(query=urlencode(query)))

    def drop(self) -> None:
        """Remove what was made."""
        if self._server.is_mysql:
            self._server.write(f"DROP DATABASE IF EXISTS `{self.name}`", ())
        else:
            self._server.write(f'DROP SCHEMA IF EXISTS "{self.name}" CASCADE', ())
        self._server.close()
