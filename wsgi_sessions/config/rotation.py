"""How often tokens rotate, and for how long older ones are taken: checked to fit together.

Must not read settings from anywhere: it is given them, and says what follows.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from ..errors import ConfigurationError

__all__ = ["WINDOW_IN_GRACES", "RotationTimes", "find_rotation_times"]

WINDOW_IN_GRACES = 3
"""Two slowest round trips and the time that browsers keep cookies off the disk."""

_DEFAULT_GRACE_MS = 60_000
_LEAST_INTERVAL_MS = 600_000
_UPLOAD_GRACE_MS = 600_000
_MIN_SAFE_GRACE_MS = 30_000


class RotationTimes(NamedTuple):
    """What follows from the settings of rotation; ``notes`` is what the log should say once."""

    rotate_tokens: bool
    interval_ms: int
    short_interval_ms: int | None
    """Of a session that is not remembered; None: it lives too briefly to be rotated."""
    upload_grace_ms: int
    notes: tuple[str, ...]


def find_rotation_times(
    *,
    rotate_tokens: bool | None,
    grace_ms: int,
    interval_ms: int | None,
    upload_grace_ms: int | None,
    expires_in_ms: int,
    update_age_ms: int,
    short_expires_in_ms: int,
    absolute_timeout_ms: int | None,
) -> RotationTimes:
    """Fill in what was not given (None), and check all of it; times are in milliseconds.

    Where nothing was said of rotation and a session's life is too short for it, tokens are not
    rotated: a shorter grace would sign people out whose answers are slower.
    Raises ``ConfigurationError`` with the remedy.
    """
    is_left_to_us = (
        rotate_tokens is None
        and interval_ms is None
        and upload_grace_ms is None
        and grace_ms == _DEFAULT_GRACE_MS
    )
    window_ms = WINDOW_IN_GRACES * grace_ms
    if upload_grace_ms is not None and upload_grace_ms < window_ms:
        raise ConfigurationError(
            f"upload_grace is {_say(upload_grace_ms)} but must be at least three times "
            f"rotation_grace, which is {_say(grace_ms)}, or a long upload would be taken for a "
            "shorter time than any other request; raise upload_grace or lower rotation_grace"
        )
    interval_ms = max(update_age_ms, _LEAST_INTERVAL_MS) if interval_ms is None else interval_ms
    if rotate_tokens is False:
        kept_ms = max(window_ms, _UPLOAD_GRACE_MS) if upload_grace_ms is None else upload_grace_ms
        return RotationTimes(False, interval_ms, None, kept_ms, ())

    short_ms = min(interval_ms, short_expires_in_ms // 2)
    is_short_rotated = max(window_ms, upload_grace_ms or 0) < short_ms - 2 * grace_ms
    if upload_grace_ms is None:
        shortest_ms = short_ms if is_short_rotated else interval_ms
        room_ms = min(shortest_ms - 2 * grace_ms, expires_in_ms - update_age_ms - 3 * grace_ms)
        # Less than the bound, in whole seconds.
        room_ms = (room_ms - 1) // 1000 * 1000
        upload_grace_ms = max(window_ms, min(_UPLOAD_GRACE_MS, room_ms))
    try:
        _check(
            grace_ms=grace_ms,
            interval_ms=interval_ms,
            upload_grace_ms=upload_grace_ms,
            refreshable_ms=expires_in_ms - update_age_ms,
        )
    except ConfigurationError:
        if not is_left_to_us:
            raise
        note = (
            f"sessions live {_say(expires_in_ms)} and are refreshed after "
            f"{_say(update_age_ms)}, which leaves no time to rotate their tokens safely with a "
            f"rotation_grace of {_say(grace_ms)}, so they are not rotated; raise expires_in, or "
            "set rotation_interval and rotation_grace, or rotate_tokens=False to say that you "
            "know"
        )
        return RotationTimes(False, interval_ms, None, upload_grace_ms, (note,))
    return RotationTimes(
        True,
        interval_ms,
        short_ms if is_short_rotated else None,
        upload_grace_ms,
        tuple(
            _notes(
                grace_ms=grace_ms,
                interval_ms=interval_ms,
                lifetime_ms=min(expires_in_ms, absolute_timeout_ms or expires_in_ms),
                short_expires_in_ms=None if is_short_rotated else short_expires_in_ms,
            )
        ),
    )


def _check(*, grace_ms: int, interval_ms: int, upload_grace_ms: int, refreshable_ms: int) -> None:
    if 5 * grace_ms >= interval_ms:
        raise ConfigurationError(
            f"rotation_grace is {_say(grace_ms)} but five of it must be less than "
            f"rotation_interval, which is {_say(interval_ms)}, or a browser could miss two "
            "rotations within it; lower rotation_grace or raise rotation_interval"
        )
    if upload_grace_ms >= interval_ms - 2 * grace_ms:
        raise ConfigurationError(
            f"upload_grace is {_say(upload_grace_ms)} but must be less than rotation_interval "
            f"({_say(interval_ms)}) without two of rotation_grace ({_say(grace_ms)}), or an "
            "upload could bring a token from two rotations ago; lower upload_grace or raise "
            "rotation_interval"
        )
    if refreshable_ms <= upload_grace_ms + 3 * grace_ms:
        raise ConfigurationError(
            f"a session can be refreshed in its last {_say(refreshable_ms)} (expires_in without "
            f"update_age), which must be more than upload_grace ({_say(upload_grace_ms)}) and "
            f"three of rotation_grace ({_say(grace_ms)}) together, because nothing is refreshed "
            "just after a rotation, or a catch-up, and just before one; raise expires_in, or "
            "lower update_age, upload_grace or rotation_grace"
        )


def _notes(
    *, grace_ms: int, interval_ms: int, lifetime_ms: int, short_expires_in_ms: int | None
) -> list[str]:
    notes = []
    if grace_ms < _MIN_SAFE_GRACE_MS:
        notes.append(
            f"rotation_grace is {_say(grace_ms)}, but browsers keep new cookies off the disk for "
            "up to 30 seconds, so one that crashes then may be signed out; set it to 30 seconds "
            "or more"
        )
    if interval_ms >= lifetime_ms:
        notes.append(
            f"rotation_interval is {_say(interval_ms)} and sessions live {_say(lifetime_ms)}, so "
            "many tokens are never rotated, and a stolen one is good as long as the session; "
            "lower rotation_interval"
        )
    if short_expires_in_ms is not None:
        notes.append(
            f"short_expires_in is {_say(short_expires_in_ms)}, which leaves no time to rotate "
            "the tokens of sessions that are not remembered, so they are not rotated; raise "
            "short_expires_in or lower rotation_grace and upload_grace"
        )
    return notes


def _say(duration_ms: int) -> str:
    return str(timedelta(milliseconds=duration_ms))
