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
            *["sessions.find", "sessions.list_live", "revocations.find", "users.find"],
            *["users.find_by_email", "accounts.find_credential_by_email"],
            *["accounts.find_credential", "attempts.count", "meta.read", "clock.read_ms"],
        ],
        READ,
    ),
    **dict.fromkeys(
        [
            *["sessions.insert", "sessions.apply", "sessions.merge_data"],
            *["session_ends.end", "session_ends.end_all_of", "session_ends.end_all"],
            *["delete_user", "purge", "atomically", "insert_user", "users.update"],
            *["accounts.insert", "accounts.set_password_hash", "attempts.insert"],
            *["meta.write_once", "meta.replace"],
        ],
        WRITE,
    ),
}
_PARTS = (
    *["sessions", "session_ends", "users", "accounts", "revocations", "attempts", "meta"],
    "clock",
)

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

        ``name`` is that of the store's method, as in ``sessions.find``.
        """
        ...


class SessionReads:
    """Counts how often a session was read: a request without any came from a cached copy."""

    def __init__(self) -> None:
        self.count = 0

    def around(self, _point: str, name: str, call: Callable[[], Any]) -> Any:
        self.count += name == "sessions.find"
        return call()


class _Watched:
    """Passes calls of named methods on through the watchers of a store."""

    def __init__(self, inner: Any, prefix: str) -> None:
        self.inner = inner
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        effect = getattr(self.inner, name)
        point = _POINTS.get(f"{self._prefix}{name}")
        return effect if point is None else self._store._watch(effect, point, self._prefix + name)

    @property
    def _store(self) -> WatchedStore:
        raise NotImplementedError


class _WatchedPart(_Watched):
    """One part of a watched store."""

    def __init__(self, store: WatchedStore, part: str) -> None:
        super().__init__(getattr(store.inner, part), f"{part}.")
        self._whole = store

    @property
    def _store(self) -> WatchedStore:
        return self._whole


class WatchedStore(_Watched):
    """A store whose every read and write passes those who watch it.

    What a transaction does within itself is one write.
    """

    def __init__(self, inner: Store) -> None:
        super().__init__(inner, "")
        self.watchers: list[Watcher] = []
        self._depth = 0
        for part in _PARTS:
            setattr(self, part, _WatchedPart(self, part))

    @property
    def _store(self) -> WatchedStore:
        return self

    def _watch(self, effect: Callable[..., Any], point: str, name: str) -> Callable[..., Any]:
        def watched(*given: Any, **named: Any) -> Any:
            if self._depth:
                return effect(*given, **named)
            # The feed is read under a lock: whoever stopped there would stop everybody else, so
            # ``watch_feed`` has them stop before they take it.
            if name != "revocations.find":
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
