"""The named points at which the product reads and writes, and who stands there.

Must not know what is done at a point. In production there is nothing here at all: a test's
manager is given a ``WatchedStore`` in place of its store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, cast

from wsgi_sessions.sessions.revocation_feed import FeedReading, RevocationFeed
from wsgi_sessions.storage.store import Store

__all__ = [
    "READ",
    "RESPOND",
    "WRITE",
    "SessionReads",
    "WatchedStore",
    "Watcher",
    "reach",
    "unwatched",
    "watch_feed",
]

READ = "read"
WRITE = "write"
RESPOND = "respond"

_POINTS = {
    **dict.fromkeys(
        [
            *["find_session", "list_sessions", "find_revocations", "find_user"],
            *["find_user_by_email", "find_credential_by_email", "find_credential"],
            *["count_attempts", "read_meta", "read_clock"],
        ],
        READ,
    ),
    **dict.fromkeys(
        [
            *["insert_session", "create_session", "apply_change", "merge_data", "end_session"],
            *["end_user_sessions", "end_all_sessions", "delete_user", "purge", "atomically"],
            *["insert_user", "update_user", "insert_account", "set_password_hash"],
            *["insert_attempt", "write_meta_once", "replace_meta"],
            *["make_database_secret", "renew_database_secret"],
        ],
        WRITE,
    ),
}

_stop: list[Callable[[str], None]] = []
"""What stops the request that runs now, if requests are being scheduled."""


def reach(point: str) -> None:
    """Come to a named point: nothing happens, unless requests are being scheduled."""
    if _stop:
        _stop[-1](point)


AnyWatcher = TypeVar("AnyWatcher", bound="Watcher")


class Watcher(Protocol):
    """Stands at the points of a store."""

    def around(self, point: str, name: str, call: Callable[[], Any], /) -> Any:
        """Let a read or write happen (``call()``), and return what came of it.

        ``name`` is that of the store's method.
        """
        ...


class SessionReads:
    """Counts how often a session was read: a request without any came from a cached copy."""

    def __init__(self) -> None:
        self.count = 0

    def around(self, _point: str, name: str, call: Callable[[], Any]) -> Any:
        self.count += name == "find_session"
        return call()


class WatchedStore:
    """A store whose every read and write passes those who watch it.

    What a transaction does within itself is one write.
    """

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.watchers: list[Watcher] = []
        self._depth = 0

    def __getattr__(self, name: str) -> Any:
        effect = getattr(self.inner, name)
        point = _POINTS.get(name)
        if point is None:
            return effect

        def watched(*given: Any, **named: Any) -> Any:
            if self._depth:
                return effect(*given, **named)
            # The feed is read under a lock: whoever stopped there would stop everybody else, so
            # ``watch_feed`` has them stop before they take it.
            if name != "find_revocations":
                reach(point)

            def call() -> Any:
                self._depth += 1
                try:
                    return effect(*given, **named)
                finally:
                    self._depth -= 1

            for watcher in self.watchers:
                call = _through(watcher, point, name, call)
            return call()

        return watched

    @contextmanager
    def watched_by(self, watcher: AnyWatcher) -> Iterator[AnyWatcher]:
        """Have a watcher stand at the points for a while."""
        self.watchers.append(watcher)
        try:
            yield watcher
        finally:
            self.watchers.remove(watcher)

    @classmethod
    def wrap(cls, store: Store) -> Store:
        """Return a watched store that passes for the one it watches."""
        return cast(Store, cls(store))


def _through(watcher: Watcher, point: str, name: str, call: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: watcher.around(point, name, call)


def watch_feed(feed: RevocationFeed) -> None:
    """Have whoever is about to read the revocation feed come to a point before."""
    current = feed.current

    def watched() -> FeedReading | None:
        latest = feed.latest
        if latest is None or not feed._is_current(latest, feed._clock.now_ms()):
            reach(READ)
        return current()

    feed.current = watched  # type: ignore[method-assign]


def unwatched(store: Store) -> Store:
    """Return the store itself, for looking without being seen."""
    return store.inner if isinstance(store, WatchedStore) else store
