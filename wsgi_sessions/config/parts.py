"""The settings that come in parts: each part is a frozen dataclass, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigurationError
from . import checks
from .fields import Duration, check_settings, choice, count, duration, flag, in_ms, setting

OnLimit = Literal["evict", "reject"]
SameSite = Literal["Lax", "Strict", "None"]

_MAX_COST = 2**32 - 1
"""Of argon2 (RFC 9106, section 3.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieCacheConfig:
    """A signed copy of session and user in a second cookie, which spares the database."""

    enabled: bool = setting(False, flag())
    """Whether there is such a copy; `cookie_cache=True` says the same."""
    max_age: Duration = setting(300, duration())
    """How long a copy is taken; it ends earlier where anything of its session is due."""
    max_age_ms: int = in_ms()
    version: str = setting("1", checks.version)
    """Another word drops all copies: change it when what your pages show of users changes."""

    def __post_init__(self) -> None:
        check_settings(self, prefix="cookie_cache.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiSessionConfig:
    """How many live sessions a user can have, and what a sign-in beyond that does."""

    enabled: bool = setting(True, flag())
    """False: a sign-in ends the user's other sessions."""
    maximum_sessions: int | None = setting(
        5, count("sessions", at_least=1, at_most=1_000_000), none="no limit"
    )
    """Live sessions a user can have; parallel sign-ins never exceed it."""
    on_limit: OnLimit = setting("evict", choice(OnLimit))
    """A sign-in beyond the limit ends the session that was seen the longest ago, or is refused as
    `SessionLimitReached`."""

    def __post_init__(self) -> None:
        check_settings(self, prefix="multi_session.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieConfig:
    """Names and attributes of the cookies, which are always HttpOnly."""

    name: str = setting("session_token", checks.cookie_name)
    """The cookie of the token. It gets the prefix `__Host-` when it is Secure with path `/` and no
    domain, and `__Secure-` when it is Secure otherwise."""
    cache_name: str = setting("session_data", checks.cookie_name)
    """The cookie of the copy, with the same prefix."""
    secure: bool | Literal["auto"] = setting("auto", flag(also="auto"))
    """"auto" follows the scheme of the request; `WSGI_SESSIONS_ENV=production` forces True."""
    same_site: SameSite = setting("Lax", choice(SameSite))
    """Browsers take 'None' from Secure cookies alone."""
    path: str = setting("/", checks.cookie_path)
    """The paths that browsers send the cookies to."""
    domain: str | None = setting(None, checks.cookie_domain, none="the host of the request alone")
    """A domain of yours, no public suffix, whose hosts share the cookies."""
    partitioned: bool = setting(False, flag())
    """CHIPS; browsers take it from Secure cookies alone."""

    def __post_init__(self) -> None:
        check_settings(self, prefix="cookie.")
        if self.name == self.cache_name:
            raise ConfigurationError(
                f"cookie.name and cookie.cache_name are both {self.name!r}; give two names"
            )
        for is_asked, name in (
            (self.same_site == "None", "cookie.same_site is 'None'"),
            (self.partitioned, "cookie.partitioned is True"),
        ):
            if is_asked and self.secure is False:
                raise ConfigurationError(
                    f"{name}, which browsers take from Secure cookies alone, but cookie.secure "
                    "is False; set cookie.secure to 'auto' or True"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleConfig:
    """How many tries the endpoints that take a password allow, counted over all processes."""

    tries: int = setting(10, count("tries", at_least=1))
    """Tries with a password within the window, by address and by account."""
    window: Duration = setting(60, duration())
    """How long a try counts."""
    window_ms: int = in_ms()

    def __post_init__(self) -> None:
        check_settings(self, prefix="throttle.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordConfig:
    """Lengths of passwords, and argon2id parameters (RFC 9106, section 4, second choice).

    A changed parameter is applied to a user's hash at their next sign-in.
    """

    min_length: int = setting(8, count("characters", at_least=1, at_most=4096))
    """The shortest password that can be set, in code points of the normal form NFKC."""
    max_length: int = setting(128, count("characters", at_least=1, at_most=4096))
    """The longest password that is hashed, at least `min_length`. A longer one is refused at
    sign-up, and is a wrong one at sign-in."""
    time_cost: int = setting(3, count("passes", at_least=1, at_most=_MAX_COST))
    """Passes of argon2id."""
    parallelism: int = setting(4, count("lanes", at_least=1, at_most=255))
    """Lanes of argon2id."""
    memory_cost_kib: int = setting(65536, count("KiB", at_least=8, at_most=_MAX_COST))
    """Memory of argon2id, at least 8 KiB for each lane."""
    hash_length: int = setting(32, count("bytes", at_least=16, at_most=128))
    """Length of a hash."""
    salt_length: int = setting(16, count("bytes", at_least=8, at_most=64))
    """Length of a salt."""
    max_parallel: int | None = setting(None, count("hashes", at_least=1), none="the number of CPUs")
    """How many hashes may run at once in a process; further sign-ins wait."""
    max_waiting: int = setting(50, count("hashes", at_least=0, at_most=10_000))
    """How many may wait for that in a process; beyond that the answer is 503 `SERVER_BUSY`."""

    def __post_init__(self) -> None:
        check_settings(self, prefix="password.")
        lengths = count("", at_least=self.min_length, at_most=4096)
        lengths.check("password.max_length", self.max_length)
        memory = count("", at_least=8 * self.parallelism, at_most=_MAX_COST)
        memory.check("password.memory_cost_kib", self.memory_cost_kib)
