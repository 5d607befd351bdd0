"""How settings fit together: what is refused, and what those are that were not given."""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from .exempt_paths import lies_within
from .fields import in_words, put

if TYPE_CHECKING:
    from .settings import SessionConfig

_WINDOW_IN_GRACES = 3
"""Two slowest round trips and the time that browsers keep cookies off the disk."""

_DEFAULT_GRACE_MS = 60_000
_MIN_INTERVAL_MS = 600_000
_UPLOAD_GRACE_MS = 600_000
_MIN_SAFE_GRACE_MS = 30_000


def check_relations(config: SessionConfig) -> None:
    """Refuse settings that do not go together, those of rotation aside."""
    if config.user_attributes and config.user_model is None:
        raise ConfigurationError(
            "user_attributes is given but user_model is not; give your Peewee model too"
        )
    if config.on_send is not None and config.site_url is None:
        raise ConfigurationError(
            "on_send is given but site_url is not, and where links in mails lead must not be left "
            "to whatever host a client names; give site_url='https://app.example.org', say"
        )
    if config.require_verified_email and config.on_send is None:
        raise ConfigurationError(
            "require_verified_email is True but on_send is not given, so no address could ever be "
            "verified; give on_send, a function that sends mails (print_mail while you develop)"
        )
    paths = {
        "pages_path": config.pages_path,
        "health_path": config.health_path,
        "api_path": config.api_path,
    }
    mounted = {name: path for name, path in paths.items() if path is not None}
    for (name, path), (other, its_path) in combinations(mounted.items(), 2):
        if lies_within(path, its_path):
            raise ConfigurationError(
                f"{name} is {path!r} and {other} is {its_path!r}, so "
                "one would hide the other; give two paths that lie side by side"
            )
    for name, path in mounted.items():
        for prefix in config.exempt_paths:
            if lies_within(path, prefix):
                raise ConfigurationError(
                    f"exempt_paths holds {prefix!r} and {name} is {path!r}, which would "
                    "not be answered then; give paths that lie side by side"
                )
    if config.update_age_ms >= config.expires_in_ms:
        raise ConfigurationError(
            f"update_age is {_say(config.update_age_ms)} but sessions live "
            f"{_say(config.expires_in_ms)}, so none "
            "would ever be refreshed; lower update_age or raise expires_in"
        )


def fill_in(config: SessionConfig) -> None:
    """Give what was None the value that follows from the other settings, and check all of it.

    Only for a configuration that is being made. Where nothing was said of rotation and a
    session's life is too short for it, tokens are not rotated: a shorter grace would sign people
    out whose answers are slower. Raises ``ConfigurationError`` with the remedy.
    """
    grace_ms = config.rotation_grace_ms
    window_ms = _WINDOW_IN_GRACES * grace_ms
    given_upload_ms = None if config.upload_grace is None else config.upload_grace_ms
    interval_ms = config.rotation_interval_ms
    if config.rotation_interval is None:
        interval_ms = max(config.update_age_ms, _MIN_INTERVAL_MS)
    if given_upload_ms is not None and given_upload_ms < window_ms:
        raise ConfigurationError(
            f"upload_grace is {_say(given_upload_ms)} but must be at least three times "
            f"rotation_grace, which is {_say(grace_ms)}, or a long upload would be taken for a "
            "shorter time than any other request; raise upload_grace or lower rotation_grace"
        )
    short_ms = min(interval_ms, config.short_expires_in_ms // 2)
    is_short_rotated = max(window_ms, given_upload_ms or 0) < short_ms - 2 * grace_ms
    refreshable_ms = config.expires_in_ms - config.update_age_ms
    # Less than the bounds that are checked below, in whole seconds.
    shortest_ms = short_ms if is_short_rotated else interval_ms
    left_ms = min(shortest_ms - 2 * grace_ms, refreshable_ms - 3 * grace_ms)
    left_ms = (left_ms - 1) // 1000 * 1000
    if config.rotate_tokens is False:
        left_ms = _UPLOAD_GRACE_MS
    upload_grace_ms = given_upload_ms or max(window_ms, min(_UPLOAD_GRACE_MS, left_ms))
    notes: list[str] = []
    rotates = config.rotate_tokens is not False
    if rotates:
        try:
            _check_rotation(config, interval_ms=interval_ms, upload_grace_ms=upload_grace_ms)
        except ConfigurationError:
            given = (config.rotate_tokens, config.rotation_interval, config.upload_grace)
            if given != (None, None, None) or grace_ms != _DEFAULT_GRACE_MS:
                raise
            rotates = False
            notes.append(
                f"sessions live {_say(config.expires_in_ms)} and are refreshed after "
                f"{_say(config.update_age_ms)}, "
                "which leaves no time to rotate their tokens safely with a rotation_grace of "
                f"{_say(grace_ms)}, so they are not rotated; raise expires_in, or set "
                "rotation_interval and rotation_grace, or rotate_tokens=False to say that you know"
            )
    if rotates:
        if config.clock_difference is not None and config.clock_difference_ms > grace_ms:
            raise ConfigurationError(
                f"clock_difference is {_say(config.clock_difference_ms)} but must not be more than "
                f"rotation_grace, which is {_say(grace_ms)}, or a token could be a replay "
                "by one server's clock and the newest by another's; lower clock_difference or "
                "raise rotation_grace"
            )
        notes += _notes(config, interval_ms=interval_ms, is_short_rotated=is_short_rotated)
    follows = {
        "rotate_tokens": rotates,
        "rotation_interval": timedelta(milliseconds=interval_ms),
        "upload_grace": timedelta(milliseconds=upload_grace_ms),
        "clock_difference": timedelta(milliseconds=grace_ms) / 2,
    }
    filled_in = {name: follows[name] for name in follows if getattr(config, name) is None}
    for name, value in filled_in.items():
        put(config, name, value)
    put(config, "_filled_in", filled_in)
    put(config, "short_rotation_interval_ms", short_ms if rotates and is_short_rotated else None)
    put(config, "rotation_window_ms", window_ms)
    put(config, "rotation_notes", tuple(notes))


def _check_rotation(config: SessionConfig, *, interval_ms: int, upload_grace_ms: int) -> None:
    grace_ms = config.rotation_grace_ms
    refreshable_ms = config.expires_in_ms - config.update_age_ms
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


def _notes(config: SessionConfig, *, interval_ms: int, is_short_rotated: bool) -> list[str]:
    grace_ms = config.rotation_grace_ms
    lifetime_ms = min(config.expires_in_ms, config.absolute_timeout_ms or config.expires_in_ms)
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
    if not is_short_rotated:
        notes.append(
            f"short_expires_in is {_say(config.short_expires_in_ms)}, which leaves no time to "
            "rotate the tokens of sessions that are not remembered, so they are not rotated; raise "
            "short_expires_in or lower rotation_grace and upload_grace"
        )
    return notes


def _say(duration_ms: int) -> str:
    return in_words(timedelta(milliseconds=duration_ms))
