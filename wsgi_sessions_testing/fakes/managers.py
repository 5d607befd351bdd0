"""Managers for tests: with other parts for a while, or as another process has one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from wsgi_sessions import Clock, SessionConfig, SessionManager
from wsgi_sessions.parts import Parts, build_parts, connect

if TYPE_CHECKING:
    import peewee

    from wsgi_sessions.storage.store import Store


def manager_of(parts: Parts, kind: type[SessionManager] = SessionManager) -> SessionManager:
    """Return a manager made of given parts."""
    manager = object.__new__(kind)
    manager.parts = parts
    return manager


@contextmanager
def running_with(
    manager: SessionManager,
    *,
    database: str | peewee.Database | None = None,
    config: SessionConfig | None = None,
    clock: Clock | None = None,
    wrap_store: Callable[[Store], Store] | None = None,
) -> Iterator[SessionManager]:
    """Run a manager with another database, config or clock, and then with the former parts.

    ``wrap_store`` may put something before the store that watches or breaks its calls.
    """
    before, config = manager.parts, config or manager.config
    connections = before.connections if database is None else connect(database, config)
    try:
        manager.parts = build_parts(
            connections, config, clock or manager.clock, wrap_store=wrap_store
        )
        # The application's own listeners are part of what is tested.
        for listener in before.events._listeners:
            manager.events.subscribe(listener)
        yield manager
    finally:
        manager.parts.mailer.flush()
        if connections is not before.connections:
            connections.close()
        manager.parts = before


def sibling(
    manager: SessionManager,
    *,
    clock: Clock | None = None,
    wrap_store: Callable[[Store], Store] | None = None,
) -> SessionManager:
    """Return a manager as another process has it: the same database, caches of its own.

    Whoever listens to the first one's events, or has its mails, gets the other's, too.
    """
    parts = build_parts(
        manager.parts.connections, manager.config, clock or manager.clock, wrap_store=wrap_store
    )
    # One mailbox for both.
    twin = manager_of(replace(parts, mailer=manager.parts.mailer), type(manager))
    twin.events.subscribe(manager.events.tell)
    return twin
