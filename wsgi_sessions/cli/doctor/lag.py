"""How long a revoked session is served from cached copies: by the settings, and as measured."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from statistics import median

from ...config.fields import in_words
from ...config.settings import SessionConfig
from .findings import Finding, fault, ok, warning

SUBJECT = "revocation lag"


def check_lag(config: SessionConfig, readings_ms: Sequence[float | None]) -> Finding:
    """Judge how long readings of the feed took; None is one that gave nothing to judge by."""
    if not config.cookie_cache.enabled:
        return ok(SUBJECT, "none: cookie_cache is off, and every request asks the database")
    if config.revocation_lag_ms == 0:
        return ok(SUBJECT, "none: revocation_lag is 0, and the feed is read with every request")
    taken_ms = [reading for reading in readings_ms if reading is not None]
    if not taken_ms:
        return fault(
            SUBJECT,
            "the feed can't be read, or the clock is off: no cached copy is taken, and every "
            "request asks the database",
            "see what is said of the clock and the tables here",
        )
    lag = in_words(timedelta(milliseconds=config.revocation_lag_ms))
    middle_ms = median(taken_ms)
    if middle_ms > config.revocation_lag_ms / 2:
        return warning(
            SUBJECT,
            f"a reading of the feed takes {middle_ms:.0f} ms, and revocation_lag is {lag}: "
            "processes do little else than read it, and ask the database meanwhile",
            "raise revocation_lag, or see why the database is slow",
        )
    return ok(SUBJECT, f"at most {lag}; a reading of the feed takes {middle_ms:.1f} ms")
