"""Watches a manager, and tells what there is to measure to whatever exports it.

A manager that is not watched has no part of this: each hook is a place that stays empty.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..clock import monotonic_ms, monotonic_seconds, ms_from_duration
from ..config.fields import Duration
from ..errors import ConfigurationError, StoreUnavailableError
from ..events import EVENT_KINDS, SessionEvent
from ..log_fields import log_fields
from ..manager import SessionManager
from ..records import EndReason
from ..storage.time_budget import limited_to
from ..wsgi.arguments import check_manager
from ..wsgi.served import SESSION_SOURCES, session_source
from .catalog import MetricName

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger("wsgi_sessions")

_MAX_LABEL_VALUES = 40
"""Of one label that the application's own words fill; what comes after them is ``OTHER``."""
_OPEN = frozenset({"sign_ins", "requests_refused"})
"""The metrics that have such labels; those of all others are a closed set."""
OTHER = "other"
_COUNTING_MS = 2000
"""How long counting the live sessions may take."""

_OPERATIONS = {
    "read_row": "read",
    "read_rows": "read",
    "write": "write",
    "insert": "write",
    "write_unless_locked": "write",
    "atomically": "transaction",
}
"""The calls of ``Connections`` that are timed."""
_under_way: ContextVar[frozenset[bool]] = ContextVar("wsgi_sessions_timed", default=frozenset())
"""Whether a transaction (True) or a statement (False) is timed already, around this one."""


class Reading(NamedTuple):
    """What a gauge shows now."""

    name: MetricName
    labels: tuple[str, ...]
    value: float


class Backend(Protocol):
    """A library that exports metrics."""

    def add(self, name: MetricName, amount: float, labels: tuple[str, ...]) -> None:
        """Add to a counter; ``labels`` are the values, in the order of the catalog."""
        ...

    def observe(self, name: MetricName, value: float, labels: tuple[str, ...]) -> None:
        """Note a value in a histogram."""
        ...


class Recorder:
    """What is measured of one manager, from when it is made until it is closed."""

    def __init__(
        self,
        manager: SessionManager,
        backend: Backend,
        *,
        live_sessions_every: Duration | None,
        call: str,
    ) -> None:
        check_manager(manager, call=call)
        if "read_row" in vars(manager.parts.connections):
            raise ConfigurationError(
                "this manager is measured already; call close() of those metrics first"
            )
        self._pause_ms = None
        if live_sessions_every is not None:
            self._pause_ms = ms_from_duration(live_sessions_every)
            if self._pause_ms < 1000:
                raise ConfigurationError(
                    f"live_sessions_every is {live_sessions_every!r}; give at least a second, or "
                    "None to count no sessions"
                )
        self._parts = manager.parts
        self._backend = backend
        self._known: dict[tuple[MetricName, int], set[str]] = {}
        self._outage_count = 0
        self._counted: tuple[int, int | None] | None = None
        self._has_failed = False
        self._begin_at_zero()
        self._unsubscribe = manager.events.subscribe(self._hear)
        self._watch()

    def _begin_at_zero(self) -> None:
        """Have each series there from the start: Prometheus does not see one begin at 1."""
        for event in EVENT_KINDS:
            self._add("events", 0, event)
        for source in SESSION_SOURCES:
            self._add("requests", 0, source)
        for reason in EndReason:
            self._add("sessions_ended", 0, reason.value)

    # What is told

    def _watch(self) -> None:
        parts = self._parts
        for name, operation in _OPERATIONS.items():
            call = getattr(parts.connections, name)
            setattr(parts.connections, name, self._timed(call, operation))
        parts.connections.source.pool.watch = self._note_connection
        parts.accounts.hasher.watch = self._note_password
        if parts.events.outages is not None:
            self._outage_count = parts.events.outages.count

    def close(self) -> None:
        """Measure no more."""
        self._unsubscribe()
        for name in _OPERATIONS:
            vars(self._parts.connections).pop(name, None)
        self._parts.connections.source.pool.watch = None
        self._parts.accounts.hasher.watch = None

    def _timed(self, call: Callable[..., Any], operation: str) -> Callable[..., Any]:
        is_transaction = operation == "transaction"

        @wraps(call)
        def timed(*args: Any, **kwargs: Any) -> Any:
            around = _under_way.get()
            if is_transaction in around:
                return call(*args, **kwargs)
            token = _under_way.set(around | {is_transaction})
            began, outcome = monotonic_seconds(), "ok"
            try:
                return call(*args, **kwargs)
            except StoreUnavailableError:
                outcome = "unavailable"
                raise
            finally:
                _under_way.reset(token)
                took = monotonic_seconds() - began
                self._observe("database_duration", took, operation, outcome)

        return timed

    def _note_connection(self, seconds: float, is_served: bool) -> None:
        outcome = "served" if is_served else "refused"
        self._observe("connection_wait_duration", seconds, outcome)

    def _note_password(self, waited: float, hashed: float | None) -> None:
        outcome = "refused" if hashed is None else "hashed"
        self._observe("password_wait_duration", waited, outcome)
        if hashed is not None:
            self._observe("password_hash_duration", hashed)

    def _hear(self, event: SessionEvent) -> None:
        details = event.details
        self._add("events", 1, event.name)
        if event.name == "session_created":
            if event.user_id is not None:
                self._add("sign_ins", 1, str(details.get("method") or "unknown"), "success")
        elif event.name == "sign_in_failed":
            method = str(details.get("provider") or "password")
            self._add("sign_ins", 1, method, str(details.get("cause") or "unknown"))
        elif event.name == "session_ended":
            reason = "unknown" if event.reason is None else event.reason.value
            self._add("sessions_ended", details.get("session_count", 1), reason)
        elif event.name == "request_refused":
            self._add("requests_refused", 1, str(details.get("code")))
        elif event.name == "purge_done":
            self._add("purged_rows", details.get("row_count", 0))
        elif event.name == "database_error":
            self._count_outages()

    def _count_outages(self) -> None:
        outages = self._parts.events.outages
        if outages is not None and outages.count > self._outage_count:
            amount, self._outage_count = outages.count - self._outage_count, outages.count
            self._add("database_outages", amount)

    def count_request(self, environ: Mapping[str, Any]) -> None:
        """Count a request that was served, if it was one of a middleware of ours."""
        source = session_source(environ)
        if source is not None:
            self._add("requests", 1, source)

    # What is asked

    def readings(self) -> Iterable[Reading]:
        """Yield what each gauge shows now, but the live sessions; nothing is asked for it."""
        parts = self._parts
        outages, pool = parts.events.outages, parts.connections.source.pool
        if outages is not None:
            yield Reading("database_away", (), float(outages.is_away))
        if parts.connections.is_owned:
            idle_count = len(pool.idle)
            in_use = max(0, pool.open_count - idle_count)
            yield Reading("connections", ("in_use",), in_use)
            yield Reading("connections", ("idle",), idle_count)
            yield Reading("connections_limit", (), pool.size)
            yield Reading("connection_waiters", (), len(pool.waiters))
        latest = parts.feed.latest
        if latest is not None:
            age_ms = parts.clock.now_ms() - latest.begun.at_ms
            yield Reading("feed_age", (), max(0, age_ms) / 1000)

    def live_sessions(self) -> int | None:
        """Count the live sessions if that is wanted and due; None where it is not known.

        A failure is not tried again before it is due.
        """
        if self._pause_ms is None:
            return None
        counted = self._counted
        if counted is None or monotonic_ms() - counted[0] >= self._pause_ms:
            # Noted before, so that whoever asks meanwhile does not count as well.
            self._counted = monotonic_ms(), None if counted is None else counted[1]
            count: int | None = None
            try:
                with limited_to(_COUNTING_MS):
                    count = self._parts.store.sessions.count_live(self._parts.clock.now_ms())
            except StoreUnavailableError as error:
                self._parts.events.emit("database_error", details={"error": error})
            self._counted = monotonic_ms(), count
        assert self._counted is not None
        return self._counted[1]

    # To the library

    def _add(self, name: MetricName, amount: float, *labels: str) -> None:
        self._safely(partial(self._backend.add, name, amount, self._bounded(name, labels)))

    def _observe(self, name: MetricName, value: float, *labels: str) -> None:
        self._safely(partial(self._backend.observe, name, value, self._bounded(name, labels)))

    def _bounded(self, name: MetricName, labels: tuple[str, ...]) -> tuple[str, ...]:
        """Return the values of labels, each one of not more than ``_MAX_LABEL_VALUES``."""
        if name not in _OPEN:
            return labels
        found = []
        for position, value in enumerate(labels):
            known = self._known.setdefault((name, position), set())
            if value not in known and len(known) >= _MAX_LABEL_VALUES:
                value = OTHER
            known.add(value)
            found.append(value)
        return tuple(found)

    def _safely(self, tell: Callable[[], None]) -> None:
        """Tell the library; if it fails, the log says so once, and what is measured goes on."""
        try:
            tell()
        except Exception:
            if not self._has_failed:
                self._has_failed = True
                fields = log_fields("metrics_failed")
                logger.exception("the library for metrics failed", extra=fields)


class MeasuredApp:
    """A WSGI application around ``SessionMiddleware`` that counts its requests."""

    def __init__(self, app: WSGIApplication, recorder: Recorder) -> None:
        self.app = app
        self._recorder = recorder

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return self.app(environ, start_response)
        finally:
            self._recorder.count_request(environ)

    def __repr__(self) -> str:
        return f"MeasuredApp({self.app!r})"
