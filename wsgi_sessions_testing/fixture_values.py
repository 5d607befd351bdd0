"""Helpers of the pytest fixtures: what a project's own fixtures returned, and what markers say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from wsgi_sessions import SessionEvent, SessionManager

NO_APP = """\
These tests need your application. Write into conftest.py:

    @pytest.fixture
    def wsgi_app():
        return my_project.create_app()

Any WSGI app will do, wrapped in SessionMiddleware or not."""


class EventRecorder:
    """Records the events of a test's manager."""

    def __init__(self) -> None:
        self.events: list[SessionEvent] = []
        self._manager: SessionManager | None = None
        self._unsubscribe: Callable[[], None] | None = None

    def listen_to(self, manager: SessionManager) -> None:
        """Listen to a manager, unless it is listened to already: a project may have its own."""
        if manager is not self._manager:
            self.stop()
            self._manager = manager
            self._unsubscribe = manager.events.subscribe(self.events.append)

    def stop(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()


def app_or_none(request: pytest.FixtureRequest) -> Any:
    """Return the ``wsgi_app`` of the test, or None where the fixture that asks can't have it.

    It is not defined, or it is itself made from that fixture.
    """
    try:
        return checked_app(request.getfixturevalue("wsgi_app"))
    except pytest.FixtureLookupError:
        return None
    except pytest.fail.Exception as failure:
        if failure.msg == NO_APP:
            return None
        raise


def checked_app(app: Any) -> Any:
    """Return what ``wsgi_app`` returned; fail if that can't be a WSGI app."""
    from .bench import check_app

    check_returned("wsgi_app", app)
    try:
        check_app(app)
    except TypeError as error:
        pytest.fail(f"The fixture wsgi_app: {error}", pytrace=False)
    return app


def check_returned(fixture: str, value: object) -> None:
    if value is None:
        pytest.fail(f"The fixture {fixture} returned None; does it end in return …?", pytrace=False)


def marker_settings(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Return the settings of each ``sessions`` marker, that nearest to the test the last."""
    markers = list(request.node.iter_markers("sessions"))[::-1]
    for marker in markers:
        if marker.args:
            raise pytest.UsageError(
                "@pytest.mark.sessions takes settings by name; "
                "write @pytest.mark.sessions(idle_timeout=3600), say"
            )
    return [marker.kwargs for marker in markers]
