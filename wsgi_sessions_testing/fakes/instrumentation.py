"""Watches a store: what kind of call each of its methods is, and who is asked around the call.

A store in production is not watched; the managers of tests are given a ``WatchedStore``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from wsgi_sessions.sessions.revocation_feed import FeedReading, RevocationFeed
from wsgi_sessions.storage.store import Store

READ = "read"
WRITE = "write"
UNWATCHED = "unwatched"
"""A method that asks nothing of the database, or is called at set-up alone."""
RESPOND = "respond"
"""Where a request has been answered, and the answer has not reached the browser yet."""

_READS = """
sessions.find sessions.list_live sessions.count_live sessions.list_ended sessions.find_places
users.find users.find_by_email users.list_by_email
accounts.find_user accounts.find_credential accounts.find_credential_by_email
revocations.find revocations.find_newer revocations.count_by_time
attempts.count one_time_tokens.find meta.read meta.read_all clock.read_ms check_health events.find
count_due
"""
_WRITES = """
atomically insert_user insert_nobody change_email set_password delete_user purge
sessions.insert sessions.apply sessions.merge_data sessions.list_locked
session_ends.end session_ends.end_each session_ends.end_all session_ends.end_all_of
session_ends.end_all_but session_ends.end_left_by session_ends.end_by_sid
session_ends.end_begun_by
users.insert users.update users.lock users.delete
accounts.insert accounts.link accounts.set_password_hash accounts.replace_password_hash
accounts.delete_all_of accounts.delete_left_by accounts.delete_orphans
accounts.unlink_providers
revocations.insert revocations.insert_many revocations.insert_for_all revocations.insert_selected
attempts.insert attempts.delete
one_time_tokens.insert one_time_tokens.insert_or_renew one_time_tokens.use
one_time_tokens.use_all_of one_time_tokens.delete_all_of meta.write_once meta.replace
events.tell events.delete_all_of events.anonymise_all_of
"""
_UNWATCHED = """
create_tables check_tables check_schema migrate require_synchronised
users.is_same users.prepare_insert open_events events.with_rows
clock.now_ms clock.at_least clock.at_most
"""
CALLS = {
    **dict.fromkeys(_READS.split(), READ),
    **dict.fromkeys(_WRITES.split(), WRITE),
    **dict.fromkeys(_UNWATCHED.split(), UNWATCHED),
}
"""What kind of call each public method of the store and its parts is."""

_pauses: list[Callable[[str], None]] = []
"""What pauses the request that runs now, if requests are scheduled."""


def pause_at(point: str) -> None:
    """Let other requests go first at a point of this one, if requests are scheduled."""
    if _pauses:
        _pauses[-1](point)


@contextmanager
def paused_by(pause: Callable[[str], None]) -> Iterator[None]:
    """Have the request that runs in the block call this at each of its points."""
    _pauses.append(pause)
    try:
        yield
    finally:
        _pauses.pop()


@dataclass(frozen=True, slots=True)
class StoreCall:
    """A call of a store's method ``name``; its ``kind`` is ``READ`` or ``WRITE``."""

    kind: str
    name: str
    run: Callable[[], Any]


class Watcher(Protocol):
    """Is asked for each call of a store, in place of it."""

    def around(self, call: StoreCall, /) -> Any:
        """Make the call (``call.run()``) or not, and return what came of it."""
        ...


AnyWatcher = TypeVar("AnyWatcher", bound=Watcher)


class SessionReads:
    """Counts how often a session was read: a request without any came from a cached copy."""

    def __init__(self) -> None:
        self.count = 0

    def around(self, call: StoreCall) -> Any:
        self.count += call.name == "sessions.find"
        return call.run()


class _WatchedPart:
    """A part of a watched store."""

    def __init__(self, store: WatchedStore, name: str) -> None:
        self._store = store
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return self._store._watched(getattr(self._store.inner, self._name), name, part=self._name)


class WatchedStore:
    """A store whose every read and write its watchers are asked for, those of its parts too.

    A transaction is one write, whatever is called within it. Raises ``TypeError`` for a store
    with a method that ``CALLS`` does not classify.
    """

    def __init__(self, inner: Store) -> None:
        _check_classified(inner)
        self.inner = inner
        self.watchers: list[Watcher] = []
        self._depth = 0
        for name in _parts_of(inner):
            setattr(self, name, _WatchedPart(self, name))

    def __getattr__(self, name: str) -> Any:
        return self._watched(self.inner, name)

    def _watched(self, owner: object, name: str, *, part: str | None = None) -> Any:
        attribute = getattr(owner, name)
        full_name = name if part is None else f"{part}.{name}"
        kind = CALLS.get(full_name, UNWATCHED)
        if kind == UNWATCHED:
            return attribute

        def watched(*given: Any, **named: Any) -> Any:
            return self._call(kind, full_name, lambda: attribute(*given, **named))

        return watched

    def _call(self, kind: str, name: str, run: Callable[[], Any]) -> Any:
        if self._depth:
            return run()
        # The feed is read under a lock, without which other requests make do: ``watch_feed``
        # has a request pause before it takes the lock.
        if kind != READ or not name.startswith("revocations."):
            pause_at(kind)

        def run_within() -> Any:
            self._depth += 1
            try:
                return run()
            finally:
                self._depth -= 1

        call = StoreCall(kind, name, run_within)
        for watcher in self.watchers:
            call = _watched_call(watcher, call)
        return call.run()

    @contextmanager
    def watched_by(self, watcher: AnyWatcher) -> Iterator[AnyWatcher]:
        """Have a watcher be asked for the length of a block."""
        self.watchers.append(watcher)
        try:
            yield watcher
        finally:
            self.watchers.remove(watcher)

    @classmethod
    def wrap(cls, store: Store) -> Store:
        """Return a watched store, typed as the one that it watches."""
        return cast(Store, cls(store))


def _watched_call(watcher: Watcher, call: StoreCall) -> StoreCall:
    return StoreCall(call.kind, call.name, lambda: watcher.around(call))


def _parts_of(store: Store) -> dict[str, object]:
    return {name: part for name, part in vars(store).items() if not name.startswith("_")}


def _check_classified(store: Store) -> None:
    owners = {"": store, **{f"{name}.": part for name, part in _parts_of(store).items()}}
    for prefix, owner in owners.items():
        for name in dir(type(owner)):
            is_method = not name.startswith("_") and callable(getattr(type(owner), name))
            if is_method and prefix + name not in CALLS:
                raise TypeError(
                    f"the store's method {prefix}{name} is not classified, so schedules would not "
                    f"interleave it and faults not break it; add it to CALLS in {__name__} as "
                    "READ, WRITE or UNWATCHED"
                )


def watch_feed(feed: RevocationFeed) -> None:
    """Have whoever is about to read the revocation feed pause before."""
    current = feed.current

    def watched(now_ms: int | None = None) -> FeedReading | None:
        del now_ms  # the clock may move while this one pauses
        latest = feed.latest
        if latest is None or not feed._is_current(latest, feed._clock.now_ms()):
            pause_at(READ)
        return current()

    feed.current = watched  # type: ignore[method-assign]


def unwatched(store: Store) -> Store:
    """Return the store itself: for reading what no watcher is to count or break."""
    return store.inner if isinstance(store, WatchedStore) else store
