"""A new engine is one class, and one scheme of URLs: the store's contract holds over both.

Peewee's class for it is none of those that Peewee has, so that nothing goes by their names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest

from wsgi_sessions import ConfigurationError, SessionManager
from wsgi_sessions.storage import dialects, urls
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.dialects.sqlite import SQLite
from wsgi_sessions.storage.store import Store

from .databases import Place
from .test_attempts import *  # noqa: F403  its tests, over the place below
from .test_limits import *  # noqa: F403
from .test_revocations import *  # noqa: F403
from .test_session_data import *  # noqa: F403
from .test_sessions import *  # noqa: F403
from .test_users import *  # noqa: F403


class ToyDatabase(peewee.Database):
    """An engine over SQLite's library that says it is none of those which Peewee knows."""

    field_types = peewee.SqliteDatabase.field_types
    operations = peewee.SqliteDatabase.operations
    index_schema_prefix = True
    server_version = (1, 0)
    conflict_statement: Any = peewee.SqliteDatabase.conflict_statement
    conflict_update: Any = peewee.SqliteDatabase.conflict_update
    get_tables: Any = peewee.SqliteDatabase.get_tables
    _timeout = 5.0

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.database, timeout=self._timeout, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = wal")
        return connection

    def begin(self, kind: str = "") -> None:
        connection: Any = super().connection()  # type: ignore[no-untyped-call]
        connection.execute(f"BEGIN {kind}")


class Toy(SQLite):
    """The one class."""

    peewee_class = ToyDatabase


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialects, "DIALECTS", (*dialects.DIALECTS, Toy()))
    monkeypatch.setitem(urls.SCHEMES, "toy", lambda _, rest: ToyDatabase(rest))


@pytest.fixture(params=["toy"])
def place(request: pytest.FixtureRequest, engine: None, tmp_path: Path) -> Iterator[Place]:
    place = Place(request.param, f"toy:{tmp_path / 'toy.db'}")
    yield place
    place.connections.close()


@pytest.fixture
def store(place: Place) -> Store:
    return place.store


def test_it_is_found_by_its_scheme_and_by_its_class(place: Place) -> None:
    given = Connections(ToyDatabase("toy.db"))

    assert [type(each.dialect) for each in (place.connections, given)] == [Toy, Toy]


def test_a_manager_works_over_it(place: Place) -> None:
    manager = SessionManager(str(place.database), secret="x0123456789abcdef" * 2)
    made = manager.sign_up_email(name="Ada", email="ada@example.org", password="correct horse")
    assert made.session is not None

    assert [each.id for each in manager.list_sessions(made.user.id)] == [made.session.id]
    manager.close()


def test_an_engine_that_has_no_class_is_refused() -> None:
    class OtherDatabase(peewee.Database):
        pass

    with pytest.raises(ConfigurationError, match="is a OtherDatabase; give one of these or"):
        Connections(OtherDatabase("other"))
