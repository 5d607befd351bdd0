"""The Hypothesis strategy for settings that go together, around those that are given.

Must not draw what the product refuses: where two settings bound each other, the later drawn
keeps to the earlier.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from wsgi_sessions.clock import ms_from_duration
from wsgi_sessions.config import CookieConfig, SessionConfig

from .extras import from_extra
from .settings import settings_for_tests, with_changes

with from_extra("testing", "Hypothesis", "wsgi_sessions_testing.strategies"):
    from hypothesis import strategies as st

__all__ = ["configs"]

_DAY_S = 86_400
_LONGEST_MS = 60 * _DAY_S * 1000
_PROXIES = [(), ("10.0.0.0/8",), ("192.0.2.0/24", "fd00::/8")]


def configs(**fixed: Any) -> st.SearchStrategy[SessionConfig]:
    """Return settings that go together; those given by name stay as they are.

    Of a part such as ``cookie={"path": "/"}`` the fields that are named stay. The cookies' path
    and domain vary, too; give them where a test asks for pages of its own.

    >>> from hypothesis import given
    >>> @given(config=configs(expires_in=3600))
    ... def test_it(config):
    ...     assert config.rotation_grace * 2 < config.update_age < config.expires_in
    >>> test_it()
    """
    return _configs(settings_for_tests(), fixed)


@st.composite
def _configs(draw: st.DrawFn, defaults: SessionConfig, fixed: Mapping[str, Any]) -> SessionConfig:
    seconds = st.integers(1, 60 * _DAY_S)
    drawn = {
        **draw(_lifetimes(fixed)),
        "idle_timeout": draw(st.none() | seconds),
        "absolute_timeout": draw(st.none() | seconds),
        "short_expires_in": draw(seconds),
        "fresh_age": draw(seconds),
        "touch_interval": draw(st.integers(0, _DAY_S)),
        "on_replay": draw(st.sampled_from(["revoke", "reject"])),
        "revocation_lag": draw(st.integers(0, 60)),
        "cookie_cache": {
            "enabled": draw(st.booleans()),
            "max_age": draw(st.sampled_from([1, 300]) | st.integers(1, _DAY_S)),
        },
        "multi_session": {
            "enabled": draw(st.booleans()),
            "maximum_sessions": draw(st.none() | st.integers(1, 6)),
            "on_limit": draw(st.sampled_from(["evict", "reject"])),
        },
        "ip_binding": draw(st.sampled_from(["off", "subnet", "exact"])),
        "on_ip_mismatch": draw(st.sampled_from(["reject", "revoke"])),
        "trusted_proxies": draw(st.sampled_from(_PROXIES)),
        "cookie": draw(_cookies(fixed.get("cookie"))),
        "on_database_error": draw(st.sampled_from(["unavailable", "anonymous"])),
    }
    return with_changes(defaults, drawn, fixed)


@st.composite
def _lifetimes(draw: st.DrawFn, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``expires_in``, ``update_age``, ``rotation_grace`` and ``rotate_tokens``."""
    given = {
        name: ms_from_duration(fixed[name])
        for name in ("expires_in", "update_age", "rotation_grace")
        if name in fixed
    }
    rotates = fixed.get("rotate_tokens")
    if rotates is None:
        # What is given may leave no room for a rotation.
        bound_ms = given.get("update_age", given.get("expires_in", _LONGEST_MS) - 1)
        has_room = 2 * given.get("rotation_grace", 0) < bound_ms
        rotates = has_room and draw(st.booleans())
    # As it is cut to half of update_age anyway, a grace without rotation needs no room.
    least_ms = 2 * given.get("rotation_grace", 0) + 1 if rotates else 1
    update_age_ms = given.get("update_age")
    if update_age_ms is None:
        most_ms = min(10 * _DAY_S * 1000, given.get("expires_in", _LONGEST_MS) - 1)
        usual = [60, 3600, _DAY_S]
        update_age_ms = draw(_durations_ms(least_ms, max(least_ms, most_ms), usual))
    expires_in_ms = given.get("expires_in")
    if expires_in_ms is None:
        usual = [times * update_age_ms // 1000 for times in (2, 7, 30)]
        most_ms = max(_LONGEST_MS, 2 * update_age_ms)
        expires_in_ms = draw(_durations_ms(update_age_ms + 1, most_ms, usual))
    grace_ms = given.get("rotation_grace")
    if grace_ms is None:
        grace_ms = draw(_durations_ms(0, min(3_600_000, (update_age_ms - 1) // 2), [0, 1, 60]))
    return {
        "expires_in": timedelta(milliseconds=expires_in_ms),
        "update_age": timedelta(milliseconds=update_age_ms),
        "rotation_grace": timedelta(milliseconds=grace_ms),
        "rotate_tokens": rotates,
    }


def _durations_ms(least_ms: int, most_ms: int, usual_s: list[int]) -> st.SearchStrategy[int]:
    """Return durations within bounds: whole seconds if there are any, some of them usual."""
    usual_ms = [1000 * s for s in usual_s if least_ms <= 1000 * s <= most_ms]
    least_s, most_s = -(-least_ms // 1000), most_ms // 1000
    if least_s > most_s:
        return st.integers(least_ms, most_ms)
    whole = st.integers(least_s, most_s).map(lambda s: 1000 * s)
    return st.sampled_from(usual_ms) | whole if usual_ms else whole


@st.composite
def _cookies(draw: st.DrawFn, fixed: Any) -> dict[str, Any]:
    """Return fields of ``cookie`` that are not given; SameSite=None and Partitioned need Secure."""
    if isinstance(fixed, CookieConfig):
        return {}
    given = dict(fixed or {})
    needs_secure = given.get("same_site") == "None" or given.get("partitioned") is True
    secure = draw(st.sampled_from(["auto", True] if needs_secure else ["auto", True, False]))
    is_insecure = given.get("secure", secure) is False
    return {
        "secure": secure,
        "same_site": draw(st.sampled_from(["Lax", "Strict", *([] if is_insecure else ["None"])])),
        "path": draw(st.sampled_from(["/", "/", "/app"])),
        "domain": draw(st.sampled_from([None, None, "example.org"])),
        "partitioned": False if is_insecure else draw(st.booleans()),
    }
