"""``doctor`` finds what is wrong with a database and its server, and says what to do about it.

Each test makes a healthy set-up sick in one place.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import peewee
import psycopg
import pytest

from tests.contract.databases import POSTGRES, fresh_url, run_on_server
from tests.support import DAY, ShiftedClock, make_session
from wsgi_sessions import SessionManager
from wsgi_sessions.cli.doctor.findings import Level
from wsgi_sessions.cli.main import main
from wsgi_sessions.sessions.tokens import new_secret
from wsgi_sessions.storage.meta import SCHEMA_VERSION
from wsgi_sessions.storage.migrations.migration import SchemaStatus, SchemaVersion

from .doctors import (
    SERVERS,
    complaints,
    examine,
    healthy,
    manager_of,
    run_sql,
    sole_complaint,
)


def test_a_healthy_set_up_has_no_fault_and_no_warning(on_each_engine: SessionManager) -> None:
    findings = examine(on_each_engine)

    assert complaints(findings) == []
    assert {each.subject for each in findings} > {
        *("settings", "secrets", "workers", "connection", "clock", "tables", "indexes", "rights"),
        "revocation lag",
    }


def test_looking_leaves_an_empty_database_empty(tmp_path: Path) -> None:
    with fresh_url("postgres", tmp_path) as url:
        manager = manager_of(url)
        found = sole_complaint(examine(manager))

        assert manager.parts.connections.database.get_tables() == []
        manager.close()
    assert (found.level, found.subject) == (Level.WARNING, "tables")
    assert "another table_prefix" in found.remedy


def test_no_file_is_made_by_looking(tmp_path: Path) -> None:
    found = sole_complaint(examine(manager_of(f"sqlite:///{tmp_path}/app.db")))

    assert list(tmp_path.iterdir()) == []
    assert found.what.startswith(f"there is no file {tmp_path}/app.db")
    assert "sqlite:////" in found.remedy


# Connecting


def test_a_server_that_does_not_run() -> None:
    found = sole_complaint(examine(manager_of("postgresql://ada@127.0.0.1:9/shop")))

    assert (found.level, found.subject) == (Level.FAULT, "connection")
    assert "shop on 127.0.0.1:9" in found.what
    assert "refused" in found.what
    assert found.remedy == "start the server; if it runs, mend host and port in the URL"


@pytest.mark.parametrize("kind", SERVERS)
def test_a_database_that_is_not_there(kind: str, tmp_path: Path) -> None:
    with fresh_url(kind, tmp_path) as url:
        found = sole_complaint(examine(manager_of(f"{url}_other")))

    assert found.subject == "connection"
    assert found.remedy.startswith("create the database")


def test_a_wrong_password_is_not_shown(tmp_path: Path) -> None:
    with _role("mariadb", tmp_path, rights="SELECT") as url:
        wrong = url.replace("right-password", "wrong-password")
        found = sole_complaint(examine(manager_of(wrong)))

    assert found.subject == "connection"
    assert found.remedy.startswith("mend user or password")
    assert "wrong-password" not in found.what


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    found = sole_complaint(examine(manager_of(f"sqlite:///{tmp_path}/away/app.db")))

    assert (found.level, found.subject) == (Level.FAULT, "file")
    assert found.what == f"there is no folder {tmp_path}/away"
    assert found.remedy.startswith("create it")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "app.db"
    file.write_text("This is a letter, and no database at all. " * 100)
    file.chmod(0o600)

    found = sole_complaint(examine(manager_of(f"sqlite:///{file}")))

    assert found.subject == "connection"
    assert found.remedy.startswith("give the path of an SQLite database")


# Files


@contextmanager
def _nobody_in_a_folder() -> Generator[Path]:
    """Give a folder that anybody may enter, and be somebody whom its owner keeps from writing."""
    if os.name != "posix":
        pytest.skip("files have other rights here")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        before = os.geteuid()
        with manager_of(f"sqlite:///{folder}/app.db").parts.connections.connection():
            pass
        (folder / "app.db").chmod(0o444)
        folder.chmod(0o555)
        if before == 0:
            os.seteuid(65_534)
        try:
            yield folder
        finally:
            os.seteuid(before)
            folder.chmod(0o755)


def test_a_file_that_can_not_be_written_to() -> None:
    with _nobody_in_a_folder() as folder:
        found = complaints(examine(manager_of(f"sqlite:///{folder}/app.db")))

    by_file = [each for each in found if each.subject == "file"]
    assert [each.level for each in by_file] == [Level.FAULT, Level.FAULT, Level.WARNING]
    assert by_file[0].what.startswith(f"the folder {folder} can't be written to")
    assert by_file[1].what.startswith(f"{folder}/app.db can't be written to")
    assert by_file[1].remedy == "give the file to the account that serves: chown, or chmod u+w"
    assert {each.subject for each in found} <= {"file", "connection", "rights"}


def test_a_file_that_every_account_can_read() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with healthy("sqlite", folder) as manager:
            folder.chmod(0o755)
            (folder / "app.db").chmod(0o644)
            found = sole_complaint(examine(manager))

    assert (found.level, found.subject) == (Level.WARNING, "file")
    assert found.remedy == f"chmod o= {folder}/app.db"


def test_a_journal_that_makes_readers_wait(tmp_path: Path) -> None:
    database = peewee.SqliteDatabase(str(tmp_path / "app.db"))
    manager = manager_of(database)
    manager.create_tables()
    (tmp_path / "app.db").chmod(0o600)

    found = sole_complaint(examine(manager))

    assert found.what.startswith("journal_mode is delete")
    assert "pragmas={'journal_mode': 'wal'}" in found.remedy


# Tables, indexes and rights


def test_tables_that_the_application_has_to_make(tmp_path: Path) -> None:
    file = tmp_path / "app.db"
    file.touch(mode=0o600)
    database = peewee.SqliteDatabase(str(file), pragmas={"journal_mode": "wal"})

    found = sole_complaint(examine(manager_of(database)))

    assert (found.level, found.subject) == (Level.FAULT, "tables")
    assert found.remedy == "call manager.create_tables() once, before serving"


def test_one_table_that_is_missing(on_each_engine: SessionManager) -> None:
    run_sql(on_each_engine, "DROP TABLE wsgi_sessions_revocation")

    found = sole_complaint(examine(on_each_engine))

    assert (found.level, found.what) == (Level.FAULT, "missing: wsgi_sessions_revocation")
    assert found.remedy.startswith("start the application anew, which makes them")


def _drop_index(manager: SessionManager, table: str, columns: str) -> None:
    where = f" ON {table}" if isinstance(manager.database, peewee.MySQLDatabase) else ""
    run_sql(manager, f"DROP INDEX {table}_{columns}{where}")


def test_a_missing_index_is_made_by_its_remedy(on_each_engine: SessionManager) -> None:
    _drop_index(on_each_engine, "wsgi_sessions_session", "expires_at")

    found = sole_complaint(examine(on_each_engine))

    assert (found.level, found.subject) == (Level.WARNING, "indexes")
    assert found.what.startswith("wsgi_sessions_session has no index on expires_at")
    run_sql(on_each_engine, found.remedy)
    assert complaints(examine(on_each_engine)) == []


def test_an_index_whose_building_failed(on_postgres: SessionManager) -> None:
    index = "wsgi_sessions_session_expires_at"
    run_sql(
        on_postgres,
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{index}'::regclass",
    )

    found = sole_complaint(examine(on_postgres))

    assert found.remedy == f'REINDEX INDEX "{index}"'
    run_sql(on_postgres, found.remedy)
    assert complaints(examine(on_postgres)) == []


def test_a_unique_index_that_is_missing_is_a_fault(on_each_engine: SessionManager) -> None:
    _drop_index(on_each_engine, "wsgi_sessions_account", "provider_id_account_id")

    found = sole_complaint(examine(on_each_engine))

    assert found.level is Level.FAULT
    assert "no unique index on provider_id, account_id" in found.what
    assert "CREATE UNIQUE INDEX" in found.remedy


def test_a_column_that_is_too_narrow(on_each_server: SessionManager) -> None:
    is_postgres = on_each_server.parts.connections.database.quote == '""'
    change = "ALTER COLUMN end_reason TYPE" if is_postgres else "MODIFY end_reason"
    run_sql(on_each_server, f"ALTER TABLE wsgi_sessions_session {change} varchar(8)")

    found = sole_complaint(examine(on_each_server))

    assert (found.level, found.subject) == (Level.FAULT, "tables")
    assert "end_reason" in found.what
    assert "set another table_prefix" in found.remedy


def test_a_table_of_somebody_else_s(tmp_path: Path) -> None:
    with healthy("sqlite", tmp_path) as manager:
        run_sql(manager, "DROP TABLE wsgi_sessions_attempt")
        run_sql(manager, "CREATE TABLE wsgi_sessions_attempt (id INTEGER, score INTEGER)")
        found = sole_complaint(examine(manager))

    assert found.level is Level.FAULT
    assert "wsgi_sessions_attempt" in found.what
    assert "set another table_prefix" in found.remedy


@pytest.mark.parametrize(("is_automatic", "level"), [(True, "warning"), (False, "fault")])
def test_tables_of_an_earlier_release(
    is_automatic: bool, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with healthy("sqlite", tmp_path, auto_migrate=is_automatic) as manager:
        status = SchemaStatus(1, 2, ("2: more",), ("SELECT 1",))
        monkeypatch.setattr(manager.parts.store, "check_schema", lambda: status)
        found = sole_complaint(examine(manager))

    assert found.level.value == level
    assert found.what.startswith("they have version 1, and this release needs 2")
    assert "wsgi-sessions migrate" in found.remedy


def test_tables_of_a_later_release(on_each_engine: SessionManager) -> None:
    meta = on_each_engine.parts.store.meta
    meta.replace(SCHEMA_VERSION, str(SchemaVersion(99, 99)))

    found = sole_complaint(examine(on_each_engine))

    assert (found.level, found.subject) == (Level.FAULT, "tables")
    assert "99" in found.what


def test_an_engine_without_transactions(on_mariadb: SessionManager) -> None:
    run_sql(on_mariadb, "ALTER TABLE wsgi_sessions_session ENGINE=MyISAM")

    found = sole_complaint(examine(on_mariadb))

    assert "wsgi_sessions_session is kept by MyISAM" in found.what
    run_sql(on_mariadb, found.remedy)
    assert complaints(examine(on_mariadb)) == []


def test_ids_that_are_alike_but_for_case(on_mariadb: SessionManager) -> None:
    run_sql(
        on_mariadb,
        "ALTER TABLE wsgi_sessions_session MODIFY id varchar(32) COLLATE utf8mb4_general_ci",
    )

    found = sole_complaint(examine(on_mariadb))

    assert found.level is Level.FAULT
    assert found.what.startswith("id of wsgi_sessions_session are not compared byte by byte")
    run_sql(on_mariadb, found.remedy)
    assert complaints(examine(on_mariadb)) == []


@contextmanager
def _role(kind: str, directory: Path, *, rights: str) -> Generator[str]:
    """Give the URL of an account that has some rights on the tables of a fresh database."""
    with healthy(kind, directory) as manager:
        name = str(manager.parts.connections.database.database)
        role = f"role_{name[-16:]}"
        if kind == "postgres":
            run_on_server(kind, f"CREATE ROLE {role} LOGIN PASSWORD 'right-password'")
            run_sql(manager, f"GRANT {rights} ON ALL TABLES IN SCHEMA public TO {role}")
        else:
            run_on_server(kind, f"CREATE USER {role} IDENTIFIED BY 'right-password'")
            run_on_server(kind, f"GRANT {rights} ON {name}.* TO {role}")
        try:
            parameters = manager.parts.connections.database.connect_params
            place = f"{parameters.get('host', '127.0.0.1')}:{parameters['port']}"
            scheme = "postgresql" if kind == "postgres" else "mysql"
            yield f"{scheme}://{role}:right-password@{place}/{name}"
        finally:
            if kind == "postgres":
                run_sql(manager, f"DROP OWNED BY {role}")
            run_on_server(kind, f"DROP {'ROLE' if kind == 'postgres' else 'USER'} {role}")


@pytest.mark.parametrize("kind", SERVERS)
def test_an_account_that_may_only_read(kind: str, tmp_path: Path) -> None:
    with _role(kind, tmp_path, rights="SELECT") as url:
        manager = manager_of(url)
        found = sole_complaint(examine(manager))
        manager.close()

    assert (found.level, found.subject) == (Level.FAULT, "rights")
    assert found.what.startswith("this account may not DELETE, INSERT, ")
    assert found.remedy.startswith("GRANT DELETE, INSERT, ")


def test_an_account_that_may_not_count(tmp_path: Path) -> None:
    """It can write to every table, and no session can be ended: the feed has no next number."""
    with _role("postgres", tmp_path, rights="ALL") as url:
        manager = manager_of(url)
        found = sole_complaint(examine(manager))
        manager.close()

    assert "the next number for wsgi_sessions_revocation" in found.what
    assert "GRANT USAGE ON SEQUENCE" in found.remedy


def test_an_account_that_may_do_nothing(tmp_path: Path) -> None:
    with _role("postgres", tmp_path, rights="REFERENCES") as url:
        manager = manager_of(url)
        found = sole_complaint(examine(manager))
        manager.close()

    assert found.what.startswith("this account may not DELETE, INSERT, SELECT, UPDATE all tables")
    assert found.what.endswith("permission denied for table wsgi_sessions_user")


def test_an_account_that_may_not_enter_the_schema(tmp_path: Path) -> None:
    with _role("postgres", tmp_path, rights="ALL") as url:
        manager = manager_of(url)
        owner = manager_of(_owned(url))
        run_sql(owner, "REVOKE USAGE ON SCHEMA public FROM public")
        found = sole_complaint(examine(manager))
        manager.close()
        owner.close()

    assert (found.level, found.subject) == (Level.FAULT, "tables")
    assert "may make no tables" in found.what
    assert found.remedy.startswith("GRANT USAGE, CREATE ON SCHEMA")


def _owned(url: str) -> str:
    """Return the URL of the same database for the account that the tests have."""
    return urlunsplit(urlsplit(POSTGRES)._replace(path=urlsplit(url).path))


# Servers


def test_a_table_that_another_transaction_has_locked(on_postgres: SessionManager) -> None:
    url = _owned(f"//host/{on_postgres.database.database}")
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE wsgi_sessions_session")
        waiting = manager_of(url, database_patience=timedelta(seconds=1))
        found = sole_complaint(examine(waiting))
        waiting.close()

    assert (found.level, found.subject) == (Level.FAULT, "connection")
    assert found.remedy.startswith("end the program or the transaction that holds a lock")


def test_a_file_that_another_program_has_locked(on_sqlite: SessionManager) -> None:
    other = sqlite3.connect(on_sqlite.database.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        waiting = manager_of(
            f"sqlite:///{on_sqlite.database.database}",
            database_patience=timedelta(milliseconds=50),
        )
        found = sole_complaint(examine(waiting))
    finally:
        other.close()

    assert found.what.startswith("no transaction can begin")
    assert found.remedy.startswith("end the program that holds a lock")


def test_a_database_that_can_only_be_read(tmp_path: Path) -> None:
    with healthy("postgres", tmp_path) as manager:
        name = manager.parts.connections.database.database
        run_sql(manager, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        manager.close()
        found = complaints(examine(manager))

    assert {each.subject for each in found} == {"server", "rights"}
    assert found[0].remedy == ("set default_transaction_read_only = off for this database and role")


def test_commits_that_a_crash_takes_back(tmp_path: Path) -> None:
    with healthy("postgres", tmp_path) as manager:
        name = manager.parts.connections.database.database
        run_sql(manager, f"ALTER DATABASE {name} SET synchronous_commit = off")
        manager.close()
        found = sole_complaint(examine(manager))

    assert found.what.startswith("synchronous_commit is off")
    assert found.remedy == "set synchronous_commit = on for this database"


def test_texts_that_are_cut(tmp_path: Path) -> None:
    with healthy("mariadb", tmp_path) as manager:
        url = urlunsplit(
            urlsplit(_url_of(manager))._replace(query="sql_mode=NO_ENGINE_SUBSTITUTION")
        )
        lax = manager_of(url)
        found = sole_complaint(examine(lax))
        lax.close()

    assert found.what.startswith("sql_mode is not strict")
    assert found.remedy == "add STRICT_TRANS_TABLES to sql_mode"


def _url_of(manager: SessionManager) -> str:
    database = manager.parts.connections.database
    parameters = database.connect_params
    return (
        f"mysql://{parameters.get('user', 'root')}@{parameters['host']}:{parameters['port']}"
        f"/{database.database}"
    )


# Clocks


@pytest.mark.parametrize(("ahead_ms", "where"), [(60_000, "ahead of"), (-60_000, "behind")])
@pytest.mark.parametrize("kind", SERVERS)
def test_a_clock_that_is_off(kind: str, ahead_ms: int, where: str, tmp_path: Path) -> None:
    with healthy(kind, tmp_path, clock=ShiftedClock(ahead_ms)) as manager:
        found = sole_complaint(examine(manager))

    assert (found.level, found.subject) == (Level.FAULT, "clock")
    assert f"s {where} the database's, and 15 s is allowed" in found.what
    assert "NTP" in found.remedy


def test_a_clock_that_was_ahead(on_each_engine: SessionManager) -> None:
    later_ms = on_each_engine.clock.now_ms() + 40 * DAY
    on_each_engine.parts.store.sessions.insert(make_session(expires_at_ms=later_ms))

    found = sole_complaint(examine(on_each_engine))

    assert (found.level, found.subject) == (Level.WARNING, "clock")
    assert found.remedy.startswith("set all clocks by NTP")


# The command


def test_the_exit_code_tells_whether_there_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = new_secret()
    monkeypatch.setenv("WSGI_SESSIONS_SECRET", secret)
    monkeypatch.setenv("WSGI_SESSIONS_ENV", "production")
    monkeypatch.setenv("WSGI_SESSIONS_DATABASE_URL", f"sqlite:///{tmp_path}/app.db")
    with healthy("sqlite", tmp_path):
        assert main(["doctor", "--workers", "2"]) == 0
        healthy_text = capsys.readouterr().out
        assert main(["doctor", "--request", "GET http://example.org/", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)

    assert healthy_text.splitlines()[-1] == "0 faults, 0 warnings"
    assert (document["faults"], document["warnings"]) == (1, 0)
    [found] = [each for each in document["findings"] if each["level"] == "fault"]
    assert found["subject"] == "request"
    assert "Secure" in found["what"]
    assert secret not in healthy_text


def test_a_setting_that_is_refused_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WSGI_SESSIONS_SECRET", new_secret())
    monkeypatch.setenv("WSGI_SESSIONS_UPDATE_AGE", "900000")
    monkeypatch.setenv("WSGI_SESSIONS_DATABASE_URL", "sqlite:///:memory:")

    assert main(["doctor", "--json"]) == 1

    [found] = json.loads(capsys.readouterr().out)["findings"]
    assert found["subject"] == "settings"
    assert "update_age" in found["what"]
    assert "lower update_age" in found["remedy"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--request", "example.org"],
        ["--request", "GET https://example.org/", "--header", "no colon"],
        ["--request", "GET https://example.org/", "--peer", "proxy"],
        ["--peer", "10.0.0.1"],
        ["--workers", "0"],
        ["--worker-class", "other"],
    ],
)
def test_wrong_use_is_told_from_faults(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", *arguments]) == 2

    assert "Error: " in capsys.readouterr().err
