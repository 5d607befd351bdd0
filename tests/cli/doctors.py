"""A healthy set-up, which tests make sick in one place, and what the doctor says of it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contract.databases import fresh_url
from wsgi_sessions import SessionManager
from wsgi_sessions.cli.doctor.examination import Examination
from wsgi_sessions.cli.doctor.findings import Finding, Level
from wsgi_sessions.cli.doctor.workers import Deployment
from wsgi_sessions.sessions.tokens import new_secret

PRODUCTION = {"WSGI_SESSIONS_ENV": "production"}
HEALTHY: dict[str, Any] = {"cookie": {"secure": True}}
ENGINES = ("sqlite", "postgres", "mariadb")
SERVERS = ("postgres", "mariadb")
FOUR_BY_EIGHT = Deployment(workers=4, threads=8, worker_class="gthread")


@contextmanager
def healthy(kind: str, directory: Path, **settings: Any) -> Generator[SessionManager]:
    """Give a manager over a fresh database, its tables made, with settings that are safe."""
    with fresh_url(kind, directory) as url:
        manager = manager_of(url, **settings)
        try:
            manager.create_tables()
            if kind == "sqlite":
                (directory / "app.db").chmod(0o600)
            yield manager
        finally:
            manager.close()


def manager_of(database: Any, **settings: Any) -> SessionManager:
    given: dict[str, Any] = {"secret": new_secret(), **HEALTHY, **settings}
    return SessionManager(database, **given)


def examine(
    manager: SessionManager,
    *,
    deployment: Deployment = FOUR_BY_EIGHT,
    environ: dict[str, str] = PRODUCTION,
) -> list[Finding]:
    return list(Examination(manager, environ=environ, deployment=deployment).findings())


def complaints(findings: list[Finding]) -> list[Finding]:
    return [each for each in findings if each.level is not Level.OK]


def sole_complaint(findings: list[Finding]) -> Finding:
    """Return what is found wrong; nothing else may be."""
    found = complaints(findings)
    assert len(found) == 1, found
    return found[0]


def run_sql(manager: SessionManager, sql: str) -> None:
    manager.parts.connections.write(sql, ())


@pytest.fixture(params=ENGINES)
def on_each_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[SessionManager]:
    with healthy(request.param, tmp_path) as manager:
        yield manager


@pytest.fixture(params=SERVERS)
def on_each_server(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[SessionManager]:
    with healthy(request.param, tmp_path) as manager:
        yield manager


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Generator[SessionManager]:
    with healthy("sqlite", tmp_path) as manager:
        yield manager


@pytest.fixture
def on_postgres(tmp_path: Path) -> Generator[SessionManager]:
    with healthy("postgres", tmp_path) as manager:
        yield manager


@pytest.fixture
def on_mariadb(tmp_path: Path) -> Generator[SessionManager]:
    with healthy("mariadb", tmp_path) as manager:
        yield manager
