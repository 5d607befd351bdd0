"""Settings for tests: a secret that is none, and password hashing that costs nothing.

Must not be used in production: whoever reads this file knows the secret.
"""

from __future__ import annotations

from typing import Any

from wsgi_sessions.config import PasswordConfig, SessionConfig

__all__ = ["CHEAP_PASSWORDS", "TEST_SECRET", "settings_for_tests", "with_changes"]

TEST_SECRET = "for-tests-alone:everybody-knows-this"

CHEAP_PASSWORDS = {"time_cost": 1, "parallelism": 1, "memory_cost_kib": 8}
"""The cheapest parameters argon2id has; lengths and limits stay as they are configured."""

_SWITCHES = ("cookie_cache", "multi_session")


def settings_for_tests(config: SessionConfig | None = None, **changes: Any) -> SessionConfig:
    """Return a configuration whose passwords are cheap to hash, otherwise as it was.

    Without ``config`` everything has its default, and the secret is ``TEST_SECRET``.

    >>> settings_for_tests(expires_in=3600, update_age=600).password.time_cost
    1
    """
    if config is None:
        config = SessionConfig(secret=TEST_SECRET, password=PasswordConfig(**CHEAP_PASSWORDS))
    else:
        config = config.replace(password=CHEAP_PASSWORDS)
    return with_changes(config, changes)


def with_changes(config: SessionConfig, changes: dict[str, Any]) -> SessionConfig:
    """Return a configuration with some settings changed.

    ``cookie_cache=True`` switches the part on and leaves its other settings alone.
    """
    if not changes:
        return config
    given = {
        name: {"enabled": value} if name in _SWITCHES and isinstance(value, bool) else value
        for name, value in changes.items()
    }
    return config.replace(**given)
