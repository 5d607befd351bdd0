"""Managers over fresh databases, for what looks into them."""

from __future__ import annotations

from .doctors import on_each_engine, on_each_server, on_mariadb, on_postgres, on_sqlite

__all__ = ["on_each_engine", "on_each_server", "on_mariadb", "on_postgres", "on_sqlite"]
