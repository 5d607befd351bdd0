"""A configuration with the settings that every one needs."""

from __future__ import annotations

from typing import Any

from wsgi_sessions import SessionConfig
from wsgi_sessions.config.sources import all_settings

SECRET = "0123456789abcdef" * 2


def make(**settings: Any) -> SessionConfig:
    return SessionConfig(**{"secret": SECRET, **settings})


DURATIONS = tuple(
    name
    for name, declared in all_settings(SessionConfig).items()
    if declared.kind.unit == "seconds"
)
