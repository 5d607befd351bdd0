"""Databases of tests: one on a server, emptied for each test; others keep the rows they had.

Nothing that was there before is touched: no row, no table, no other schema.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from wsgi_sessions.manager import SessionManager
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.dialects.mysql import MySQL

from ..settings import settings_for_tests

_COLUMNS = """
    SELECT table_name, column_name, data_type FROM information_schema.columns
    WHERE table_schema = %s ORDER BY table_name, column_name
"""
_CATALOGUE = "SELECT schema_name FROM information_schema.schemata"
_PREFIX = "wsgi_sessions_test"


class ServerDatabase:
    """An empty database for each test of one process, one after the other.

    On PostgreSQL it is a schema of the database in the URL, which comes first in the search
    path; on MariaDB and MySQL a database beside it. It is created once, and its rows are
    deleted for the next test; after a test that left other tables in it, it is created again.
    The account in the URL must be allowed to create one. Its name says which process of which
    machine created it, so that ``sweep`` finds what killed processes of this machine have left.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        self.name = f"{_PREFIX}_{_machine_name()}_{os.getpid()}_{worker}"
        self._server = Connections(url)
        self._columns: list[tuple[Any, ...]] = []
        self._tables: list[str] = []

    @property
    def url(self) -> str:
        """The URL of the database."""
        parts = urlsplit(self._url)
        if isinstance(self._server.dialect, MySQL):
            return urlunsplit(parts._replace(path=f"/{self.name}"))
        query = dict(parse_qsl(parts.query))
        query["options"] = f"{query.get('options', '')} -csearch_path={self.name}".strip()
        return urlunsplit(parts._replace(query=urlencode(query)))

    def make_fresh(self) -> str:
        """Return the URL of the database, with our tables in it and no row."""
        if self._columns and self._columns == self._find_columns():
            self._server.atomically(self._delete_rows)
        else:
            self._make()
        return self.url

    def drop(self) -> None:
        """Remove the database or schema."""
        self._drop(self.name)
        self._columns = []
        self._server.close()

    def sweep(self) -> None:
        """Remove what processes of this machine that were killed have left on the server.

        What belongs to a running process or to another machine stays, and so does what this
        account may not remove.
        """
        pattern = re.compile(rf"{_PREFIX}_{_machine_name()}_([0-9]+)_\w+")
        for (name,) in self._server.read_catalogue(_CATALOGUE, ()):
            found = pattern.fullmatch(name)
            if found is not None and not _is_alive(int(found[1])):
                # Another run may be sweeping, too.
                with suppress(Exception):
                    self._drop(name)

    def _drop(self, name: str) -> None:
        if isinstance(self._server.dialect, MySQL):
            self._server.write(f"DROP DATABASE IF EXISTS `{name}`", ())
        else:
            self._server.write(f'DROP SCHEMA IF EXISTS "{name}" CASCADE', ())

    def _make(self) -> None:
        self.drop()
        if isinstance(self._server.dialect, MySQL):
            self._server.write(f"CREATE DATABASE `{self.name}` CHARACTER SET utf8mb4", ())
        else:
            self._server.write(f'CREATE SCHEMA "{self.name}"', ())
        manager = SessionManager(self.url, config=settings_for_tests())
        manager.create_tables()
        self._tables = [model._meta.table_name for model in manager.parts.models.created_here]
        manager.close()
        self._columns = self._find_columns()

    def _find_columns(self) -> list[tuple[Any, ...]]:
        return self._server.read_catalogue(_COLUMNS, (self.name,))

    def _delete_rows(self) -> None:
        # TRUNCATE takes longer on both servers for the few rows that a test leaves.
        quote = self._server.database.quote[0]
        for table in self._tables:
            self._server.write(f"DELETE FROM {quote}{self.name}{quote}.{quote}{table}{quote}", ())


def _machine_name() -> str:
    """Return a short name of this machine and container, within which process ids are unique."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/etc/machine-id").read_text(encoding="ascii").strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return sha256("\n".join(parts).encode()).hexdigest()[:10]


def _is_alive(process_id: int) -> bool:
    """Return whether a process with this id runs; True where the system does not say."""
    if sys.platform == "win32":
        return True  # os.kill would end it there, whatever the signal
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


@contextmanager
def added_rows_removed(manager: SessionManager) -> Iterator[None]:
    """Remove, at the end of the block, the rows that it added to our tables."""
    models = manager.parts.models.created_here

    def keys_of(model: Any) -> set[Any]:
        found: set[Any] = set()

        def read() -> None:
            found.update(key for (key,) in model.select(model._meta.primary_key).tuples())

        manager.parts.connections.run(read)
        return found

    before = {model: keys_of(model) for model in models}
    try:
        yield
    finally:
        for model in models:
            for key in keys_of(model) - before[model]:
                manager.parts.connections.run(
                    model.delete().where(model._meta.primary_key == key).execute
                )
