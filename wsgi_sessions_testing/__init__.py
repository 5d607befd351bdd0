"""For people who test an application that uses ``wsgi_sessions``: clock, browser, network.

Must not import anything until it is asked for, so that the pytest plugin costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .assertions.attacks import (
        assert_bound_to_address,
        assert_forged_token_refused,
        assert_no_session_fixation,
    )
    from .assertions.guards import (
        assert_limits_are_kept,
        assert_sensitive_calls_are_guarded,
        assert_throttle_opens_again,
        assert_trusted_proxies_are_believed,
    )
    from .assertions.responses import assert_cookie_flags, assert_not_shared_cacheable
    from .assertions.rotation_safety import assert_rotation_safe
    from .assertions.session_ends import (
        assert_cached_copy_is_bounded,
        assert_limit_holds,
        assert_logout_is_final,
        assert_password_change_is_final,
        assert_revocation_is_final,
        assert_revocation_within,
    )
    from .assertions.sessions import (
        assert_rotated,
        assert_session_data_is_kept,
        assert_signed_in,
        assert_signed_out,
    )
    from .assertions.upkeep import (
        assert_doubled_cookies_do_no_harm,
        assert_freshness_ends,
        assert_older_secrets_are_good,
        assert_purge_is_safe,
    )
    from .assertions.users import (
        assert_data_follows_its_owner,
        assert_ends_reach_whom_they_should,
        assert_remembered_as_asked,
    )
    from .bench import Bench
    from .browser.browser import Browser, PreparedRequest
    from .browser.history import Exchange
    from .browser.jar import Cookie, CookieJar, RefusedCookie
    from .factories import Factories
    from .fakes.clock import START, FakeClock, SkewedClock
    from .fakes.faults import Faults, WorkerKilled
    from .fakes.network import Fate, HeldResponse, LostResponse, Network
    from .fakes.openid_issuer import LocalIssuer
    from .fakes.randomness import SeededRandomness
    from .fakes.workers import Worker, Workers
    from .fakes.wrapping import find_session_middleware
    from .live import LiveServer
    from .properties.state_machine import SessionMachine
    from .schedules import Schedules, TooManySchedules
    from .settings import CHEAP_PASSWORDS, TEST_SECRET, settings_for_tests

__all__ = [
    "CHEAP_PASSWORDS",
    "START",
    "TEST_SECRET",
    "Bench",
    "Browser",
    "Cookie",
    "CookieJar",
    "Exchange",
    "Factories",
    "FakeClock",
    "Fate",
    "Faults",
    "HeldResponse",
    "LiveServer",
    "LocalIssuer",
    "LostResponse",
    "Network",
    "PreparedRequest",
    "RefusedCookie",
    "Schedules",
    "SeededRandomness",
    "SessionMachine",
    "SkewedClock",
    "TooManySchedules",
    "Worker",
    "WorkerKilled",
    "Workers",
    "assert_bound_to_address",
    "assert_cached_copy_is_bounded",
    "assert_cookie_flags",
    "assert_data_follows_its_owner",
    "assert_doubled_cookies_do_no_harm",
    "assert_ends_reach_whom_they_should",
    "assert_forged_token_refused",
    "assert_freshness_ends",
    "assert_limit_holds",
    "assert_limits_are_kept",
    "assert_logout_is_final",
    "assert_no_session_fixation",
    "assert_not_shared_cacheable",
    "assert_older_secrets_are_good",
    "assert_password_change_is_final",
    "assert_purge_is_safe",
    "assert_remembered_as_asked",
    "assert_revocation_is_final",
    "assert_revocation_within",
    "assert_rotated",
    "assert_rotation_safe",
    "assert_sensitive_calls_are_guarded",
    "assert_session_data_is_kept",
    "assert_signed_in",
    "assert_signed_out",
    "assert_throttle_opens_again",
    "assert_trusted_proxies_are_believed",
    "find_session_middleware",
    "settings_for_tests",
]

_MODULES = {
    "CHEAP_PASSWORDS": "settings",
    "START": "fakes.clock",
    "TEST_SECRET": "settings",
    "Bench": "bench",
    "Browser": "browser.browser",
    "Cookie": "browser.jar",
    "CookieJar": "browser.jar",
    "Exchange": "browser.history",
    "Factories": "factories",
    "FakeClock": "fakes.clock",
    "Fate": "fakes.network",
    "Faults": "fakes.faults",
    "HeldResponse": "fakes.network",
    "LiveServer": "live",
    "LocalIssuer": "fakes.openid_issuer",
    "LostResponse": "fakes.network",
    "Network": "fakes.network",
    "PreparedRequest": "browser.sender",
    "RefusedCookie": "browser.jar",
    "Schedules": "schedules",
    "SeededRandomness": "fakes.randomness",
    "SessionMachine": "properties.state_machine",
    "SkewedClock": "fakes.clock",
    "TooManySchedules": "schedules",
    "Worker": "fakes.workers",
    "WorkerKilled": "fakes.faults",
    "Workers": "fakes.workers",
    "assert_bound_to_address": "assertions.attacks",
    "assert_cached_copy_is_bounded": "assertions.session_ends",
    "assert_cookie_flags": "assertions.responses",
    "assert_forged_token_refused": "assertions.attacks",
    "assert_limit_holds": "assertions.session_ends",
    "assert_logout_is_final": "assertions.session_ends",
    "assert_no_session_fixation": "assertions.attacks",
    "assert_not_shared_cacheable": "assertions.responses",
    "assert_password_change_is_final": "assertions.session_ends",
    "assert_revocation_is_final": "assertions.session_ends",
    "assert_revocation_within": "assertions.session_ends",
    "assert_rotated": "assertions.sessions",
    "assert_rotation_safe": "assertions.rotation_safety",
    "assert_session_data_is_kept": "assertions.sessions",
    "assert_signed_in": "assertions.sessions",
    "assert_data_follows_its_owner": "assertions.users",
    "assert_ends_reach_whom_they_should": "assertions.users",
    "assert_remembered_as_asked": "assertions.users",
    "assert_doubled_cookies_do_no_harm": "assertions.upkeep",
    "assert_freshness_ends": "assertions.upkeep",
    "assert_older_secrets_are_good": "assertions.upkeep",
    "assert_purge_is_safe": "assertions.upkeep",
    "assert_limits_are_kept": "assertions.guards",
    "assert_trusted_proxies_are_believed": "assertions.guards",
    "assert_sensitive_calls_are_guarded": "assertions.guards",
    "assert_throttle_opens_again": "assertions.guards",
    "assert_signed_out": "assertions.sessions",
    "find_session_middleware": "fakes.wrapping",
    "settings_for_tests": "settings",
}


# No __dir__ of the lazy names: freezegun asks every module in sys.modules for all of its dir().
def __getattr__(name: str) -> Any:
    room = _MODULES.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # First, as it imports WebOb without the warning that WebOb 1.8 gives.
    import_module("wsgi_sessions")
    return getattr(import_module(f".{room}", __name__), name)
