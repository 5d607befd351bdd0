"""Describes the machine that measures, for the head of the page."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sqlite3
import sys
from datetime import datetime, timezone
from pathlib import Path

LIBRARIES = (
    *(
        "wsgi-sessions",
        "peewee",
        "webob",
        "psycopg",
        "PyMySQL",
        "mysqlclient",
        "gunicorn",
        "gevent",
    ),
    *("uwsgi", "Flask", "Werkzeug", "Flask-Session", "Flask-Login", "Flask-SQLAlchemy", "cachelib"),
    *("SQLAlchemy", "Django", "django-user-sessions", "Beaker", "pyramid", "starlette"),
    "itsdangerous",
)


def describe_machine() -> dict[str, str]:
    """Return what the machine is and runs: the same for all that it measures."""
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{os_name()}, {platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {sys.version.split()[0]}",
        "SQLite": sqlite3.sqlite_version,
        "libraries": ", ".join(
            f"{name} {version}" for name in LIBRARIES if (version := version_of(name))
        ),
    }


def describe_moment() -> dict[str, str]:
    """Return when this is, and how busy the machine was the minute before."""
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "load": f"{os.getloadavg()[0]:.2f}",
    }


def processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", read("/proc/cpuinfo"))
    return found[1] if found else platform.processor() or platform.machine()


def os_name() -> str:
    found = re.search(r'PRETTY_NAME="(.+)"', read("/etc/os-release"))
    return found[1] if found else platform.platform()


def read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""


def version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
