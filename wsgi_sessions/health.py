"""``check_health``: whether the sessions of a manager can be used now, and if not, why."""

from __future__ import annotations

from .clock import monotonic_ms
from .errors import StoreUnavailableError
from .parts import Parts
from .storage.outages import Health
from .storage.time_budget import limited_to


def check_health(parts: Parts, *, timeout_ms: int, slow_after_ms: int) -> Health:
    """Look, within a time; an outage that begins or ends so is logged, once."""
    began_ms = monotonic_ms()
    try:
        with limited_to(timeout_ms):
            health = parts.store.check_health()
    except StoreUnavailableError as failure:  # of a store that is watched
        health = Health("away", detail=str(failure))
    latency_ms = monotonic_ms() - began_ms
    outages = parts.events.outages
    if health.status == "away":
        error = StoreUnavailableError(health.detail)
        parts.events.emit("database_error", details={"error": error})
    elif outages is not None and health.status != "busy":
        outages.end()
    if health.is_ok and latency_ms >= slow_after_ms:
        health = Health("slow", detail=f"the database took {latency_ms} ms to answer")
    return health._replace(latency_ms=latency_ms)
