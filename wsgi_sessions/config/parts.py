"""The settings that come in parts, each a frozen dataclass that is checked when it is made.

Must not know how one part relates to another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from ..errors import ConfigurationError
from .checks import (
    check_choice,
    check_cookie_name,
    check_cookie_path,
    check_count,
    check_domain,
    check_flag,
    duration,
)

__all__ = [
    "PARTS",
    "CookieCacheConfig",
    "CookieConfig",
    "Duration",
    "MultiSessionConfig",
    "PasswordConfig",
    "ThrottleConfig",
    "normalize_durations",
    "twin",
]

Duration = timedelta | int

_MAX_SESSIONS = 1_000_000
_MAX_COST = 2**32 - 1
"""Of argon2 (RFC 9106, section 3.1)."""


def twin() -> Any:
    """Declare the twin of a duration: the same in milliseconds, set by ``normalize_durations``."""
    return field(init=False, repr=False, compare=False, default=0)


def normalize_durations(part: Any, prefix: str, **bounds: tuple[bool, bool]) -> None:
    """Replace each named duration by a timedelta and set its twin in milliseconds.

    ``bounds`` says of each setting whether None and whether 0 is allowed.
    """
    for name, (may_be_none, may_be_zero) in bounds.items():
        value = getattr(part, name)
        if value is None and may_be_none:
            object.__setattr__(part, f"{name}_ms", None)
            continue
        checked = duration(f"{prefix}{name}", value, may_be_zero=may_be_zero)
        object.__setattr__(part, name, checked)
        object.__setattr__(part, f"{name}_ms", checked // timedelta(milliseconds=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieCacheConfig:
    """The cookie cache: off unless asked for; changing ``version`` drops every copy."""

    enabled: bool = False
    max_age: Duration = timedelta(seconds=300)
    version: str = "1"
    max_age_ms: int = twin()

    def __post_init__(self) -> None:
        check_flag("cookie_cache.enabled", self.enabled)
        normalize_durations(self, "cookie_cache.", max_age=(False, False))
        if not isinstance(self.version, str):
            raise ConfigurationError(
                f"cookie_cache.version is {self.version!r}; give a string such as '2'"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiSessionConfig:
    """How many live sessions a user can have, and what a sign-in beyond that does."""

    enabled: bool = True
    maximum_sessions: int | None = 5
    on_limit: Literal["evict", "reject"] = "evict"

    def __post_init__(self) -> None:
        check_flag("multi_session.enabled", self.enabled)
        if self.maximum_sessions is not None:
            check_count(
                "multi_session.maximum_sessions",
                self.maximum_sessions,
                at_least=1,
                at_most=_MAX_SESSIONS,
            )
        check_choice("multi_session.on_limit", self.on_limit, ("evict", "reject"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieConfig:
    """Names and attributes of the cookies; HttpOnly is always set.

    ``secure="auto"`` follows the request's scheme; ``WSGI_SESSIONS_ENV=production`` forces it.
    """

    name: str = "session_token"
    cache_name: str = "session_data"
    secure: bool | Literal["auto"] = "auto"
    same_site: Literal["Lax", "Strict", "None"] = "Lax"
    path: str = "/"
    domain: str | None = None
    partitioned: bool = False

    def __post_init__(self) -> None:
        check_cookie_name("cookie.name", self.name)
        check_cookie_name("cookie.cache_name", self.cache_name)
        if self.name == self.cache_name:
            raise ConfigurationError(
                f"cookie.name and cookie.cache_name are both {self.name!r}; give two names"
            )
        if self.secure != "auto":
            check_flag("cookie.secure", self.secure, also='"auto"')
        check_choice("cookie.same_site", self.same_site, ("Lax", "Strict", "None"))
        check_cookie_path(self.path)
        if self.domain is not None:
            check_domain(self.domain)
        check_flag("cookie.partitioned", self.partitioned)
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
    """How many tries the endpoints that take a password allow, by address and by account."""

    tries: int = 10
    window: Duration = timedelta(seconds=60)
    window_ms: int = twin()

    def __post_init__(self) -> None:
        check_count("throttle.tries", self.tries, at_least=1)
        normalize_durations(self, "throttle.", window=(False, False))


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordConfig:
    """Lengths in characters, and argon2id parameters (RFC 9106, section 4, second choice)."""

    min_length: int = 8
    max_length: int = 128
    time_cost: int = 3
    memory_cost_kib: int = 65536
    parallelism: int = 4
    hash_length: int = 32
    salt_length: int = 16
    max_parallel: int | None = None
    """How many hashes may run at once in a process; None is the number of CPUs."""
    max_waiting: int = 50
    """How many more may wait in a process for one to end; beyond that the answer is 503."""

    def __post_init__(self) -> None:
        check_count("password.min_length", self.min_length, at_least=1)
        check_count("password.max_length", self.max_length, at_least=self.min_length, at_most=4096)
        check_count("password.time_cost", self.time_cost, at_least=1, at_most=_MAX_COST)
        check_count("password.parallelism", self.parallelism, at_least=1, at_most=255)
        check_count(
            "password.memory_cost_kib",
            self.memory_cost_kib,
            at_least=8 * self.parallelism,
            at_most=_MAX_COST,
        )
        check_count("password.hash_length", self.hash_length, at_least=16, at_most=128)
        check_count("password.salt_length", self.salt_length, at_least=8, at_most=64)
        if self.max_parallel is not None:
            check_count("password.max_parallel", self.max_parallel, at_least=1)
        check_count("password.max_waiting", self.max_waiting, at_least=0, at_most=10_000)


PARTS: Mapping[str, type] = {
    "cookie_cache": CookieCacheConfig,
    "multi_session": MultiSessionConfig,
    "cookie": CookieConfig,
    "throttle": ThrottleConfig,
    "password": PasswordConfig,
}
