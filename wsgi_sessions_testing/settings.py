"""Settings for tests: a secret that everybody knows, and the cheapest password hashing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wsgi_sessions.config.parts import PasswordConfig
from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.config.sources import read_settings

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from wsgi_sessions.config.keywords import SessionSettings

TEST_SECRET = "for-tests-alone:everybody-knows-this"

CHEAP_PASSWORDS: Mapping[str, Any] = {"time_cost": 1, "parallelism": 1, "memory_cost_kib": 8}
"""The cheapest parameters argon2id has; lengths and limits stay as they are configured."""


def send_nowhere(*_: object) -> None:
    """Send no mail, as the ``on_send`` of an application that has no settings of its own.

    A ``Mailbox`` keeps what would be sent.
    """


def settings_for_tests(
    config: SessionConfig | None = None, **changes: Unpack[SessionSettings]
) -> SessionConfig:
    """Return a configuration whose passwords are cheap to hash, otherwise as it was.

    Without ``config`` everything has its default, but that the secret is ``TEST_SECRET`` and mails
    can be sent, to a ``Mailbox`` alone.

    >>> settings_for_tests(expires_in=3600, update_age=600).password.time_cost
    1
    """
    if config is not None and not isinstance(config, SessionConfig):
        raise TypeError(
            f"the settings are a {type(config).__name__}; give a SessionConfig, such as "
            "settings_for_tests(expires_in=3600, update_age=600)"
        )
    if config is None:
        config = SessionConfig(
            secret=TEST_SECRET,
            password=PasswordConfig(**CHEAP_PASSWORDS),
            site_url="https://localhost",
            on_send=send_nowhere,
        )
    else:
        config = config.replace(password=CHEAP_PASSWORDS)
    return with_changes(config, changes)


def with_changes(config: SessionConfig, *layers: Mapping[str, Any]) -> SessionConfig:
    """Return a configuration with some settings changed, by one layer after the other.

    They are checked together, so a layer may need another one to be valid. Of a part (the
    cookie cache, say) the fields that are named change; ``cookie_cache=True`` switches it on.
    """
    changes = read_settings(SessionConfig, *layers)
    return config.replace(**changes) if changes else config
