"""A configuration with the settings that every one needs."""

from __future__ import annotations

from typing import Any

from wsgi_sessions import SessionConfig

SECRET = "0123456789abcdef" * 2


def make(**settings: Any) -> SessionConfig:
    return SessionConfig(**{"secret": SECRET, **settings})


DURATIONS = (
    *["expires_in", "update_age", "idle_timeout", "absolute_timeout", "fresh_age"],
    *["short_expires_in", "rotation_grace", "touch_interval", "revocation_lag"],
    *["purge_interval", "keep_ended", "cookie_cache.max_age", "throttle.window"],
    *["database_patience", "rotation_interval", "upload_grace"],
    *["clock_difference", "longest_transaction"],
)
