"""What the tests of every framework's example share: a manager, and the examples on the path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wsgi_sessions import SessionManager
from wsgi_sessions_testing import CHEAP_PASSWORDS, FakeClock

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "frameworks"))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def manager(clock: FakeClock, tmp_path: Path) -> Iterator[SessionManager]:
    manager = SessionManager(
        f"sqlite:///{tmp_path / 'app.db'}",
        secret="a-secret-for-tests-of-32-characters",
        clock=clock,
        password=CHEAP_PASSWORDS,
        throttle={"tries": 5, "window": 60},
        messages={"SESSION_NOT_FRESH": "Bitte melden Sie sich noch einmal an."},
    )
    yield manager
    manager.close()


@pytest.fixture
def project(manager: SessionManager, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example as a project of its own; Django's settings are the process's."""
    django = pytest.importorskip("django")
    import django_app  # type: ignore[import-not-found, unused-ignore]
    from django import conf

    from wsgi_sessions.adapters import django as adapter

    if not conf.settings.configured:
        django_app.configure()
        django.setup()
    keep = {
        "ROOT_URLCONF": "django_app",
        "LOGIN_URL": "/",
        "ALLOWED_HOSTS": ["testserver", "localhost"],
        "MIDDLEWARE": [
            "wsgi_sessions.adapters.django.SessionsMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
        ],
    }
    for name, value in keep.items():
        monkeypatch.setattr(conf.settings, name, value, raising=False)
    monkeypatch.setattr(adapter, "get_manager", lambda: manager)
    return django_app
