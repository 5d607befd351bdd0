"""Claims about a user who is deleted while they sign up, sign in or change their password."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wsgi_sessions import InvalidCredentialsError, InvalidPasswordError, SessionManager

EMAIL, PASSWORD = "ada@example.org", "correct horse"


@pytest.fixture
def manager(tmp_path: Path) -> SessionManager:
    return SessionManager(
        f"sqlite:///{tmp_path}/app.db",
        secret="a-secret-for-tests-of-32-characters",
        password={"memory_cost_kib": 8, "time_cost": 1, "parallelism": 1},
    )


def delete_row_before(
    manager: SessionManager, monkeypatch: pytest.MonkeyPatch, called: Any, name: str
) -> None:
    """Have an application delete its user's row, and nothing else, just before a call."""
    real: Callable[..., Any] = getattr(called, name)
    user = manager.parts.models.user

    def call(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(called, name, real)
        with manager.database.connection_context():
            user.delete().execute()
        return real(*args, **kwargs)

    monkeypatch.setattr(called, name, call)


def test_who_signs_up_is_refused(manager: SessionManager, monkeypatch: pytest.MonkeyPatch) -> None:
    delete_row_before(manager, monkeypatch, manager, "_create_session")

    with pytest.raises(InvalidCredentialsError):
        manager.sign_up_email(name="Ada", email=EMAIL, password=PASSWORD)


def test_who_signs_in_is_refused(manager: SessionManager, monkeypatch: pytest.MonkeyPatch) -> None:
    manager.sign_up_email(name="Ada", email=EMAIL, password=PASSWORD)
    delete_row_before(manager, monkeypatch, manager.parts.store, "atomically")

    with pytest.raises(InvalidCredentialsError):
        manager.sign_in_email(email=EMAIL, password=PASSWORD)


def test_who_changes_the_password_is_refused(
    manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = manager.sign_up_email(name="Ada", email=EMAIL, password=PASSWORD)
    delete_row_before(manager, monkeypatch, manager.parts.store, "atomically")

    with pytest.raises(InvalidPasswordError):
        manager.change_password(
            made.user.id, current_password=PASSWORD, new_password="battery staple"
        )
