"""The settings that come in parts: each part is a frozen dataclass, checked when it is made."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from itertools import combinations
from typing import Literal

from ..errors import ConfigurationError
from ..events import NOTED_EVENTS, TOLD_EVENTS
from ..light_dataclasses import dataclass
from . import checks
from .fields import Duration, check_settings, choice, count, duration, flag, in_ms, setting

OnLimit = Literal["evict", "reject"]
SameSite = Literal["Lax", "Strict", "None"]
Addresses = Literal["full", "cut", "hashed", "none"]

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

    encrypt: bool = setting(False, flag())
    """Whether the copy can't be read on the device either; needs the extra `encryption`."""

    def __post_init__(self) -> None:
        check_settings(self, prefix="cookie_cache.")
        if self.encrypt and find_spec("cryptography") is None:
            raise ConfigurationError(
                "cookie_cache.encrypt needs the package cryptography; install it with "
                "pip install 'wsgi-sessions[encryption]', or leave cookie_cache.encrypt out"
            )


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
    device_name: str = setting("known_device", checks.cookie_name)
    """The cookie by which the throttle knows a browser that has signed in, with the same prefix."""
    fresh_name: str = setting("session_fresh", checks.cookie_name)
    """The cookie of a step-up, with the same prefix."""
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

    @property
    def nonce_name(self) -> str:
        """The cookie that binds a nonce of ours to this browser."""
        return f"{self.name}_nonce"

    def __post_init__(self) -> None:
        check_settings(self, prefix="cookie.")
        for first, second in combinations(("name", "cache_name", "device_name", "fresh_name"), 2):
            name = getattr(self, first)
            if name == getattr(self, second):
                raise ConfigurationError(
                    f"cookie.{first} and cookie.{second} are both {name!r}; give two names"
                )
        for other in ("cache_name", "device_name", "fresh_name"):
            if getattr(self, other) == self.nonce_name:
                raise ConfigurationError(
                    f"cookie.{other} is {self.nonce_name!r}, the name of the cookie of a nonce; "
                    "give another name"
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
    """How often passwords may be guessed and users made, counted over all processes.

    A network is an IPv4 /24 or an IPv6 /48. A browser that has signed in to an account before,
    and a live session, have limits of their own.
    """

    tries: int = setting(10, count("tries", at_least=1))
    """Wrong passwords for one account from one network within the window; as many from one browser
    that has signed in to the account before, and in one session."""
    account_tries: int = setting(100, count("tries", at_least=1))
    """Wrong passwords for one account from all networks; as many from all known browsers."""
    network_tries: int = setting(50, count("tries", at_least=1))
    """Wrong passwords for all accounts from one IPv4 /24 or IPv6 /56, and wrong ID tokens."""
    wide_network_tries: int = setting(100, count("tries", at_least=1))
    """The same from one IPv6 /48."""
    sign_ups: int = setting(20, count("sign-ups", at_least=1))
    """Sign-ups from one network, whether they succeed or not; as many requests of each other kind
    that is counted so, such as those for a mail."""
    mails_per_address: int = setting(3, count("mails", at_least=1))
    """Mails of each kind that are asked for to one address, from all networks; sign-ups too, where
    they send one."""
    window: Duration = setting(60, duration())
    """How long each of them counts."""
    window_ms: int = in_ms()
    device_lifetime: Duration = setting(31_536_000, duration())
    """How long after a sign-in a browser is known (the device cookie); browsers keep no cookie
    longer than 400 days."""
    device_lifetime_ms: int = in_ms()

    def __post_init__(self) -> None:
        check_settings(self, prefix="throttle.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditConfig:
    """Which events are kept in the database, for how long, and what is kept of addresses."""

    enabled: bool = setting(True, flag())
    """Whether any are kept; `audit=True` says the same, with the defaults below."""
    events: tuple[str, ...] = setting((*TOLD_EVENTS, *NOTED_EVENTS), checks.kept_events)
    """The names of those that are kept. What a sign-in, an end or a change tells is written in its
    transaction; refusals and attempts are written beside the request, so many a minute."""
    keep: Duration = setting(90 * 86_400, duration())
    """How long an event is kept."""
    keep_ms: int = in_ms()
    addresses: Addresses = setting("full", choice(Addresses))
    """What is kept of an address: all of it, its network (IPv4 /24, IPv6 /48), a keyed hash that
    tells equal ones, until the newest secret is another one, or nothing."""
    network_refusals: int = setting(10, count("events", at_least=1))
    """How many refusals and attempts of a name a process keeps a minute of one network. The next
    that is kept of that name says how many were not, as `suppressed`."""
    refusals: int = setting(100, count("events", at_least=1))
    """How many it keeps a minute of all names and networks."""

    def __post_init__(self) -> None:
        check_settings(self, prefix="audit.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordConfig:
    """Which passwords are taken, and argon2id parameters (RFC 9106, section 4, second choice).

    A changed parameter is applied to a user's hash at their next sign-in.
    """

    min_length: int = setting(8, count("characters", at_least=1, at_most=4096))
    """The shortest password that can be set, in code points as typed or in the normal form NFKC,
    whichever are fewer."""
    max_length: int = setting(128, count("characters", at_least=1, at_most=4096))
    """The longest password that is hashed, at least `min_length`. A longer one is refused at
    sign-up, and is a wrong one at sign-in."""
    context_words: tuple[str, ...] = setting((), checks.context_words)
    """Names of your site, company and products: no password is made of them, nor of the user's name
    and e-mail address, nor of `pages_title`."""
    is_compromised: Callable[[str], bool] | None = setting(
        None, checks.breach_check, none="no service is asked", is_in_environment=False
    )
    """Your function that is given a new password and returns whether it is known from a breach. If
    it raises an exception, the password is taken; its time limit is yours to set."""
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
    """How many hashes may run at once in a process; further sign-ins wait, as long as they may
    wait for the database (`database_patience`)."""
    max_waiting: int = setting(50, count("hashes", at_least=0, at_most=10_000))
    """How many may wait for that in a process; beyond that the answer is 503 `SERVER_BUSY`."""

    def __post_init__(self) -> None:
        check_settings(self, prefix="password.")
        lengths = count("", at_least=self.min_length, at_most=4096)
        lengths.check("password.max_length", self.max_length)
        memory = count("", at_least=8 * self.parallelism, at_most=_MAX_COST)
        memory.check("password.memory_cost_kib", self.memory_cost_kib)
