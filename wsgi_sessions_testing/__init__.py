"""For people who test an application that uses ``wsgi_sessions``: clock, browser, network.

A name is imported when it is first used, so that the pytest plugin costs nothing.
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
    from .assertions.cached_copies import assert_cached_copy_is_bounded
    from .assertions.guards import (
        assert_limits_are_kept,
        assert_sensitive_calls_are_guarded,
        assert_throttle_opens_again,
        assert_trusted_proxies_are_believed,
    )
    from .assertions.mail_links import assert_reset_is_safe
    from .assertions.providers import assert_providers_are_held_to_their_word
    from .assertions.responses import assert_cookie_flags, assert_not_shared_cacheable
    from .assertions.rotation_safety import assert_rotation_safe
    from .assertions.session_ends import (
        assert_logout_is_final,
        assert_password_change_is_final,
        assert_revocation_is_final,
        assert_revocation_within,
    )
    from .assertions.session_limit import assert_limit_holds
    from .assertions.sessions import (
        assert_rotated,
        assert_session_data_is_kept,
        assert_signed_in,
        assert_signed_out,
    )
    from .assertions.step_ups import assert_step_up_keeps_session
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
    from .browser.browser import Browser
    from .browser.cookie import Cookie, RefusedCookie
    from .browser.history import Exchange
    from .browser.jar import CookieJar
    from .browser.sender import PreparedRequest
    from .factories import Factories
    from .fakes.clock import START, FakeClock, SkewedClock
    from .fakes.faults import Faults, WorkerKilled
    from .fakes.mailbox import Mail, Mailbox
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
    "Mail",
    "Mailbox",
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
    "assert_providers_are_held_to_their_word",
    "assert_purge_is_safe",
    "assert_remembered_as_asked",
    "assert_reset_is_safe",
    "assert_revocation_is_final",
    "assert_revocation_within",
    "assert_rotated",
    "assert_rotation_safe",
    "assert_sensitive_calls_are_guarded",
    "assert_session_data_is_kept",
    "assert_signed_in",
    "assert_signed_out",
    "assert_step_up_keeps_session",
    "assert_throttle_opens_again",
    "assert_trusted_proxies_are_believed",
    "find_session_middleware",
    "settings_for_tests",
]

_NAMES_BY_MODULE = {
    "assertions.attacks": (
        "assert_bound_to_address assert_forged_token_refused assert_no_session_fixation"
    ),
    "assertions.cached_copies": "assert_cached_copy_is_bounded",
    "assertions.guards": (
        "assert_limits_are_kept assert_sensitive_calls_are_guarded assert_throttle_opens_again "
        "assert_trusted_proxies_are_believed"
    ),
    "assertions.mail_links": "assert_reset_is_safe",
    "assertions.providers": "assert_providers_are_held_to_their_word",
    "assertions.responses": "assert_cookie_flags assert_not_shared_cacheable",
    "assertions.rotation_safety": "assert_rotation_safe",
    "assertions.session_ends": (
        "assert_logout_is_final assert_password_change_is_final assert_revocation_is_final "
        "assert_revocation_within"
    ),
    "assertions.session_limit": "assert_limit_holds",
    "assertions.sessions": (
        "assert_rotated assert_session_data_is_kept assert_signed_in assert_signed_out"
    ),
    "assertions.step_ups": "assert_step_up_keeps_session",
    "assertions.upkeep": (
        "assert_doubled_cookies_do_no_harm assert_freshness_ends assert_older_secrets_are_good "
        "assert_purge_is_safe"
    ),
    "assertions.users": (
        "assert_data_follows_its_owner assert_ends_reach_whom_they_should "
        "assert_remembered_as_asked"
    ),
    "bench": "Bench",
    "browser.browser": "Browser",
    "browser.cookie": "Cookie RefusedCookie",
    "browser.history": "Exchange",
    "browser.jar": "CookieJar",
    "browser.sender": "PreparedRequest",
    "factories": "Factories",
    "fakes.clock": "FakeClock START SkewedClock",
    "fakes.faults": "Faults WorkerKilled",
    "fakes.mailbox": "Mail Mailbox",
    "fakes.network": "Fate HeldResponse LostResponse Network",
    "fakes.openid_issuer": "LocalIssuer",
    "fakes.randomness": "SeededRandomness",
    "fakes.workers": "Worker Workers",
    "fakes.wrapping": "find_session_middleware",
    "live": "LiveServer",
    "properties.state_machine": "SessionMachine",
    "schedules": "Schedules TooManySchedules",
    "settings": "CHEAP_PASSWORDS TEST_SECRET settings_for_tests",
}
_MODULES = {name: module for module, names in _NAMES_BY_MODULE.items() for name in names.split()}


# No __dir__ of the lazy names: freezegun asks every module in sys.modules for all of its dir().
def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # It goes first because it imports WebOb without the warning of WebOb 1.8.
    import_module("wsgi_sessions")
    return getattr(import_module(f".{module}", __name__), name)
