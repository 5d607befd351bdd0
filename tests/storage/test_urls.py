"""Which database a URL or an object names, and what a wrong one is answered."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import peewee
import pytest

from wsgi_sessions import ConfigurationError, SessionManager
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.dialects.sqlite import SQLite

from .probes import SECRET


class TestUrl:
    @pytest.mark.parametrize("url", ["sqlite:", "sqlite://", "sqlite:///", "sqlite:///:memory:"])
    def test_database_in_memory_needs_no_file(self, url: str) -> None:
        connections = Connections(url)

        assert connections.read_row("SELECT 1", ()) == (1,)
        assert connections.database.database == ":memory:"
        connections.close()

    @pytest.mark.parametrize(
        ("url", "host", "port", "attributes"),
        [
            ("//u:p%40@a:5433,b/name", "a,b", "5433,5432", "read-write"),
            (
                "//u@[::1]:5433,[::2]:5434/name?connect_timeout=3",
                "::1,::2",
                "5433,5434",
                "read-write",
            ),
            ("//a,b,c/name?target_session_attrs=any", "a,b,c", "5432,5432,5432", "any"),
        ],
    )
    def test_several_hosts_of_postgresql_are_those_of_libpq(
        self, url: str, host: str, port: str, attributes: str
    ) -> None:
        params = Connections(f"postgresql:{url}").database.connect_params

        assert (params["host"], params["port"]) == (host, port)
        assert params["target_session_attrs"] == attributes

    @pytest.mark.parametrize("name", ["a#b.db", "a?b.db", "a b.db", "a%20b.db"])
    def test_file_name_is_taken_as_it_is(self, tmp_path: Path, name: str) -> None:
        connections = Connections(f"sqlite:///{tmp_path / name}")
        connections.read_row("SELECT 1", ())
        connections.close()

        assert (tmp_path / name).exists()

    def test_file_is_read_through_a_map_as_large_as_sqlite_takes(self, tmp_path: Path) -> None:
        connections = Connections(f"sqlite:///{tmp_path / 'a.db'}")
        mapped = connections.read_row("PRAGMA mmap_size", ())
        more = connections.read_row("PRAGMA mmap_size = 1000000000000", ())
        connections.close()

        assert mapped == more
        assert mapped != (0,)

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("oracle://x", "has the scheme 'oracle'; use sqlite:///file.db"),
            ("app.db", "has the scheme ''; use sqlite:///file.db"),
            ("sqlite:app.db", "give a file as sqlite:///file.db"),
            ("sqlite://app.db", "give a file as sqlite:///file.db"),
            ("postgresql://host:port/name", "the postgresql URL can't be read"),
            ("postgresql://a:1,b:port/name", "the postgresql URL can't be read"),
            ("mysql://a:1,b:2/name", "the mysql URL can't be read"),
            ("postgresql://host/name?foo=bar", "has the option 'foo', which its driver"),
            ("mysql://host/name?foo=bar", "has the option 'foo', which its driver"),
            ("sqlite:///a\0b.db", "a zero byte in the name of its file"),
        ],
    )
    def test_wrong_url_says_how_to_write_it(self, url: str, message: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Connections(url)

        assert message in str(caught.value)

    @pytest.mark.parametrize(
        ("url", "module", "extra"),
        [
            ("postgresql://h/n", "psycopg", "postgres"),
            ("mysql://h/n", "pymysql", "mysql"),
            ("mariadb://h/n", "pymysql", "mysql"),
        ],
    )
    def test_missing_driver_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, url: str, module: str, extra: str
    ) -> None:
        monkeypatch.setitem(sys.modules, module, None)

        with pytest.raises(ConfigurationError) as caught:
            Connections(url)

        assert f'pip install "wsgi-sessions[{extra}]"' in str(caught.value)

    def test_wrong_url_shows_no_password(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Connections("postgresql://me:hush@host:port/name")

        assert "hush" not in str(caught.value)

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://me:hush/hush@host/name",
            "mysql://me:12/hush@host/name",
            "postgresql://me:hush#hush@host/name",
            "mysql://me:hush@host",
            "postgresql://me:hush@[host/name",
        ],
    )
    def test_traceback_of_a_wrong_url_shows_no_password(self, url: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Connections(url)

        assert "hush" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__, "what the parser said is not printed"

    @pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
    def test_user_and_password_reach_the_driver_decoded(self, scheme: str) -> None:
        connections = Connections(f"{scheme}://us%40er:p%40s%2Fs%3A%25@127.0.0.1/name")

        given = connections.database.connect_params
        assert given["user"] == "us@er"
        assert given.get("password", given.get("passwd")) == "p@s/s:%"


class TestGivenDatabase:
    def test_proxy_is_followed_to_its_database(self) -> None:
        database = peewee.SqliteDatabase(":memory:")
        inner, outer = peewee.DatabaseProxy(), peewee.DatabaseProxy()
        inner.initialize(database)
        outer.initialize(inner)

        connections = Connections(outer)

        assert connections.database is database
        assert (connections.is_owned, type(connections.dialect)) == (False, SQLite)

    def test_manager_works_over_a_proxy(self) -> None:
        proxy = peewee.DatabaseProxy()
        proxy.initialize(peewee.SqliteDatabase(":memory:"))
        with proxy.connection_context():
            manager = SessionManager(proxy, secret=SECRET)
            manager.create_tables()

            made = manager.sign_up_email(
                name="Ada", email="ada@example.org", password="correct horse"
            )

            assert made.session is not None
            assert [each.id for each in manager.list_sessions(made.user.id)] == [made.session.id]

    def test_proxy_that_leads_nowhere_is_told(self) -> None:
        with pytest.raises(ConfigurationError, match=r"leads nowhere yet; call its initialize\(\)"):
            Connections(peewee.DatabaseProxy())

    @pytest.mark.parametrize("given", [Path("app.db"), None, 7, peewee.SqliteDatabase])
    def test_what_is_no_database_is_told_what_may_be_given(self, given: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"give a URL as text \(sqlite:///file.db\)"):
            Connections(given)
