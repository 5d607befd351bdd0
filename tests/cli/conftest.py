"""Managers over fresh databases, for what looks into them."""

from __future__ import annotations

from .doctors import on_each_engine, on_each_server, on_mariadb, on_postgres, on_sqlite
from .sites import interruptible, site, sqlite_site, sqlite_url, url

__all__ = [
    "interruptible",
    "on_each_engine",
    "on_each_server",
    "on_mariadb",
    "on_postgres",
    "on_sqlite",
    "site",
    "sqlite_site",
    "sqlite_url",
    "url",
]
