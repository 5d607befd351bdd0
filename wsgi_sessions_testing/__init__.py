"""For people who test an application that uses ``wsgi_sessions``: clock, browser, network.

Must not import anything until it is asked for, so that the pytest plugin costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answers import assert_cookie_flags, assert_not_shared_cacheable
    from .assertions import (
        assert_rotated,
        assert_session_data_is_kept,
        assert_signed_in,
        assert_signed_out,
    )
    from .attacks import (
        assert_bound_to_address,
        assert_forged_token_refused,
        assert_no_session_fixation,
    )
    from .bench import Bench
    from .browser import Browser, PreparedRequest
    from .clock import START, FakeClock, SkewedClock
    from .endings import (
        assert_cached_copy_is_bounded,
        assert_limit_holds,
        assert_logout_is_final,
        assert_password_change_is_final,
        assert_revocation_is_final,
        assert_revocation_within,
    )
    from .factories import Factories
    from .faults import Faults, WorkerKilled
    from .guards import (
        assert_limits_are_kept,
        assert_sensitive_calls_are_guarded,
        assert_throttle_opens_again,
        assert_trusted_proxies_are_believed,
    )
    from .history import Exchange
    from .idp import LocalIssuer
    from .jar import Cookie, CookieJar, RefusedCookie
    from .live import LiveServer
    from .machine import SessionMachine
    from .network import Fate, HeldResponse, LostResponse, Network
    from .people import (
        assert_data_follows_its_owner,
        assert_ends_reach_whom_they_should,
        assert_remembered_as_asked,
    )
    from .randomness import SeededRandomness
    from .rotation_safety import assert_rotation_safe
    from .schedules import Schedules, TooManySchedules
    from .settings import CHEAP_PASSWORDS, TEST_SECRET, settings_for_tests
    from .upkeep import (
        assert_doubled_cookies_do_no_harm,
        assert_freshness_ends,
        assert_older_secrets_are_good,
        assert_purge_is_safe,
    )
    from .workers import Worker, Workers
    from .wrapping import find_session_middleware

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

_ROOMS = {
    "CHEAP_PASSWORDS": "settings",
    "START": "clock",
    "TEST_SECRET": "settings",
    "Bench": "bench",
    "Browser": "browser",
    "Cookie": "jar",
    "CookieJar": "jar",
    "Exchange": "history",
    "Factories": "factories",
    "FakeClock": "clock",
    "Fate": "network",
    "Faults": "faults",
    "HeldResponse": "network",
    "LiveServer": "live",
    "LocalIssuer": "idp",
    "LostResponse": "network",
    "Network": "network",
    "PreparedRequest": "sender",
    "RefusedCookie": "jar",
    "Schedules": "schedules",
    "SeededRandomness": "randomness",
    "SessionMachine": "machine",
    "SkewedClock": "clock",
    "TooManySchedules": "schedules",
    "Worker": "workers",
    "WorkerKilled": "faults",
    "Workers": "workers",
    "assert_bound_to_address": "attacks",
    "assert_cached_copy_is_bounded": "endings",
    "assert_cookie_flags": "answers",
    "assert_forged_token_refused": "attacks",
    "assert_limit_holds": "endings",
    "assert_logout_is_final": "endings",
    "assert_no_session_fixation": "attacks",
    "assert_not_shared_cacheable": "answers",
    "assert_password_change_is_final": "endings",
    "assert_revocation_is_final": "endings",
    "assert_revocation_within": "endings",
    "assert_rotated": "assertions",
    "assert_rotation_safe": "rotation_safety",
    "assert_session_data_is_kept": "assertions",
    "assert_signed_in": "assertions",
    "assert_data_follows_its_owner": "people",
    "assert_ends_reach_whom_they_should": "people",
    "assert_remembered_as_asked": "people",
    "assert_doubled_cookies_do_no_harm": "upkeep",
    "assert_freshness_ends": "upkeep",
    "assert_older_secrets_are_good": "upkeep",
    "assert_purge_is_safe": "upkeep",
    "assert_limits_are_kept": "guards",
    "assert_trusted_proxies_are_believed": "guards",
    "assert_sensitive_calls_are_guarded": "guards",
    "assert_throttle_opens_again": "guards",
    "assert_signed_out": "assertions",
    "find_session_middleware": "wrapping",
    "settings_for_tests": "settings",
}


# No __dir__ of the lazy names: freezegun asks every module in sys.modules for all of its dir().
def __getattr__(name: str) -> Any:
    room = _ROOMS.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # First, as it imports WebOb without the warning that WebOb 1.8 gives.
    import_module("wsgi_sessions")
    return getattr(import_module(f".{room}", __name__), name)
