"""How often tokens rotate: what is filled in, what is refused and how, and what the log says."""

from __future__ import annotations

import dataclasses
import logging
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgi_sessions import ConfigurationError, SessionConfig, SessionManager
from wsgi_sessions.parts import _warn_once

SECRET = "0123456789abcdef" * 2
DAY = 86_400
BRIEF: dict[str, Any] = {"expires_in": 300, "update_age": 60}
"""A lifetime that leaves no time to rotate in, with a grace of a minute."""


def make(**settings: Any) -> SessionConfig:
    return SessionConfig(**{"secret": SECRET, **settings})


def seconds(duration_ms: int | None) -> float | None:
    return None if duration_ms is None else duration_ms / 1000


def refusal(**settings: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        make(**settings)
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "interval", "upload_grace", "short_interval"),
    [
        ({}, DAY, 600, DAY / 2),
        ({"update_age": 3600}, 3600, 600, 3600),
        ({"update_age": 601}, 601, 480, 601),
        ({"update_age": 60}, 600, 479, 600),
        ({"rotation_interval": 3600}, 3600, 600, 3600),
        ({"rotation_interval": 721}, 721, 600, 721),
        ({"rotation_interval": 301}, 301, 180, 301),
        ({"rotation_interval": 30 * DAY}, 30 * DAY, 600, DAY / 2),
        ({"rotation_grace": 300}, DAY, 900, DAY / 2),
        ({"rotation_grace": 1, "rotation_interval": 6}, 6, 3, 6),
        ({"expires_in": 1000, "update_age": 100}, 600, 479, 600),
        ({"expires_in": 421, "update_age": 60}, 600, 180, 600),
        ({"expires_in": 700, "update_age": 400}, 600, None, None),
        ({"expires_in": DAY + 700, "update_age": DAY}, DAY, 519, DAY / 2),
        ({"short_expires_in": 7200}, DAY, 600, 3600),
        ({"short_expires_in": 1200}, DAY, 479, 600),
        ({"short_expires_in": 720}, DAY, 239, 360),
        ({"short_expires_in": 602}, DAY, 180, 301),
        ({"short_expires_in": 600}, DAY, 600, None),
        ({"short_expires_in": 1200, "upload_grace": 480}, DAY, 480, None),
        ({"short_expires_in": 1200, "upload_grace": 479}, DAY, 479, 600),
        ({"upload_grace": 7200}, DAY, 7200, DAY / 2),
        ({"rotate_tokens": False}, DAY, 600, None),
        ({"rotate_tokens": False, "rotation_grace": 300}, DAY, 900, None),
        ({"rotate_tokens": False, "upload_grace": 200}, DAY, 200, None),
        ({**BRIEF, "rotate_tokens": False}, 600, 600, None),
    ],
)
def test_what_is_not_given_is_filled_in(
    settings: dict[str, Any],
    interval: float,
    upload_grace: float | None,
    short_interval: float | None,
) -> None:
    config = make(**settings)

    assert seconds(config.rotation_interval_ms) == interval
    assert seconds(config.short_rotation_interval_ms) == short_interval
    if upload_grace is None:
        assert not config.rotate_tokens
    else:
        assert seconds(config.upload_grace_ms) == upload_grace
    assert config.rotation_window_ms == 3 * config.rotation_grace_ms
    for name in ("rotation_interval", "upload_grace"):
        assert getattr(config, name) == timedelta(milliseconds=getattr(config, f"{name}_ms"))


# What doesn't fit together


def test_five_graces_are_less_than_the_interval() -> None:
    assert make(rotation_interval=301).rotate_tokens
    assert refusal(rotation_interval=300) == (
        "rotation_grace is 60 s but five of it must be less than rotation_interval, which is "
        "300 s, or a browser could miss two rotations within it; lower rotation_grace or raise "
        "rotation_interval"
    )
    just_less = timedelta(milliseconds=119_999)
    assert make(rotation_grace=just_less, update_age=600).rotation_grace == just_less
    assert refusal(rotation_grace=120, update_age=600).startswith("rotation_grace is 120 s but")


def test_upload_grace_ends_two_graces_before_the_next_rotation() -> None:
    assert make(upload_grace=600, rotation_interval=721).upload_grace_ms == 600_000
    assert refusal(upload_grace=600, rotation_interval=720) == (
        "upload_grace is 600 s but must be less than rotation_interval (720 s) without two "
        "of rotation_grace (60 s), or an upload could bring a token from two rotations ago; "
        "lower upload_grace or raise rotation_interval"
    )


def test_upload_grace_is_three_graces_at_the_least() -> None:
    assert make(upload_grace=180).upload_grace_ms == 180_000
    message = refusal(upload_grace=179)
    assert message.startswith("upload_grace is 179 s but must be at least three times")
    assert message.endswith("raise upload_grace or lower rotation_grace")
    assert "rotation_grace, which is 60 s" in message
    assert refusal(upload_grace=179, rotate_tokens=False) == message


def test_session_can_be_refreshed_for_longer_than_nothing_is_refreshed_around_a_rotation() -> None:
    settings = {"rotation_interval": 3600, "upload_grace": 600, "update_age": 60}
    assert make(**settings, expires_in=841).rotate_tokens
    assert refusal(**settings, expires_in=840) == (
        "a session can be refreshed in its last 780 s (expires_in without update_age), which "
        "must be more than upload_grace (600 s) and three of rotation_grace (60 s) together, "
        "because nothing is refreshed just after a rotation, or a catch-up, and just before one; "
        "raise expires_in, or lower update_age, upload_grace or rotation_grace"
    )


@pytest.mark.parametrize("rotate_tokens", [None, True, False])
def test_grace_is_never_nothing(rotate_tokens: bool | None) -> None:
    assert refusal(rotation_grace=0, rotate_tokens=rotate_tokens) == (
        "rotation_grace is 0 s but must be more than 0; give a longer duration"
    )


def test_six_seconds_and_one_are_the_least_in_whole_seconds() -> None:
    config = make(rotation_interval=6, rotation_grace=1)

    assert (config.rotation_window_ms, config.upload_grace_ms) == (3000, 3000)
    for settings in (
        {"rotation_interval": 5, "rotation_grace": 1},
        {"rotation_interval": 6, "rotation_grace": 2},
        {"rotation_interval": 6, "rotation_grace": 1, "upload_grace": 4},
    ):
        assert "; lower " in refusal(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"rotation_interval": 300},
        {"upload_grace": 600, "rotation_interval": 720},
        {"rotation_grace": 3600, "rotation_interval": 60},
    ],
)
def test_without_rotation_it_need_not_fit(settings: dict[str, Any]) -> None:
    settings = {**settings, **({} if "upload_grace" in settings else {"upload_grace": None})}
    assert refusal(**settings)
    config = make(**settings, rotate_tokens=False)

    assert config.rotate_tokens is False
    assert config.upload_grace_ms >= config.rotation_window_ms


# What was not given


@pytest.mark.parametrize(("expires_in", "rotates"), [(420, False), (421, True)])
def test_tokens_are_not_rotated_where_nothing_was_said_and_the_lifetime_is_too_short(
    expires_in: int, rotates: bool
) -> None:
    config = make(expires_in=expires_in, update_age=60)

    assert config.rotate_tokens is rotates
    assert (config.short_rotation_interval_ms is None) is not rotates


@pytest.mark.parametrize(
    "said",
    [
        {"rotate_tokens": True},
        {"rotation_interval": 600},
        {"upload_grace": 180},
        {"rotation_grace": 59},
    ],
)
def test_what_was_said_of_rotation_has_to_fit(said: dict[str, Any]) -> None:
    assert not make(**BRIEF).rotate_tokens
    assert refusal(**BRIEF, **said).startswith("a session can be refreshed in its last 240 s")


def test_quick_rotation_is_had_by_an_interval_and_a_grace() -> None:
    config = make(**BRIEF, rotation_interval=60, rotation_grace=10)

    assert (config.rotate_tokens, config.rotation_interval_ms) == (True, 60_000)
    assert config.upload_grace_ms == 39_000


class TestReplace:
    def test_what_was_not_given_follows_the_rest(self) -> None:
        config = make()

        hourly = config.replace(update_age=3600)
        assert hourly.rotation_interval_ms == 3_600_000
        assert hourly.replace(rotation_grace=300).upload_grace_ms == 900_000
        assert hourly.replace(update_age=60).upload_grace_ms == 479_000

    def test_rotation_is_decided_anew(self) -> None:
        brief = make().replace(**BRIEF)

        assert brief.rotate_tokens is False
        assert brief.replace(expires_in=DAY).rotate_tokens is True
        assert brief.replace(expires_in=DAY) == make(expires_in=DAY, update_age=60)

    @pytest.mark.parametrize("rotate_tokens", [True, False])
    def test_what_was_said_stays(self, rotate_tokens: bool) -> None:
        config = make(rotate_tokens=rotate_tokens, rotation_interval=3600, upload_grace=300)

        changed = config.replace(expires_in=8 * DAY, update_age=7200)

        assert changed.rotate_tokens is rotate_tokens
        assert (changed.rotation_interval_ms, changed.upload_grace_ms) == (3_600_000, 300_000)
        if rotate_tokens:
            with pytest.raises(ConfigurationError, match="can be refreshed in its last"):
                config.replace(**BRIEF)
        else:
            assert config.replace(**BRIEF).rotate_tokens is False

    def test_what_was_said_can_be_taken_back(self) -> None:
        config = make(rotate_tokens=False, rotation_interval=3600, upload_grace=300)

        left = config.replace(rotate_tokens=None, rotation_interval=None, upload_grace=None)

        assert left == make()
        assert left.replace(**BRIEF).rotate_tokens is False

    def test_a_replacement_of_a_replacement_forgets_nothing(self) -> None:
        config = make(upload_grace=300)
        for _ in range(3):
            config = config.replace(fresh_age=60)

        assert config == make(upload_grace=300, fresh_age=60)
        assert config.replace(update_age=3600).rotation_interval_ms == 3_600_000
        assert config.replace(update_age=3600).upload_grace_ms == 300_000


class TestDataclassesReplace:
    """``dataclasses.replace`` and ``copy.replace`` know no more than the fields."""

    def test_what_was_not_given_follows_the_rest(self) -> None:
        hourly = dataclasses.replace(make(), update_age=3600)

        assert hourly == make(update_age=3600)
        assert hourly.rotation_interval_ms == 3_600_000
        graced = dataclasses.replace(hourly, rotation_grace=300)
        assert (graced.upload_grace_ms, graced.clock_difference_ms) == (900_000, 150_000)
        assert dataclasses.replace(make(), **BRIEF).rotate_tokens is False

    def test_what_was_said_stays(self) -> None:
        config = make(rotation_interval=3600, upload_grace=300, clock_difference=30)

        changed = dataclasses.replace(config, update_age=7200, rotation_grace=50)

        assert (changed.rotation_interval_ms, changed.upload_grace_ms) == (3_600_000, 300_000)
        assert changed.clock_difference_ms == 30_000

    def test_what_is_said_anew_counts(self) -> None:
        config = dataclasses.replace(make(), rotation_interval=3600, clock_difference=30)

        changed = dataclasses.replace(config, update_age=7200, rotation_grace=50)

        assert (changed.rotation_interval_ms, changed.clock_difference_ms) == (3_600_000, 30_000)


class TestSaidAsFilledIn:
    """A value that is given is given, though it is the one that was filled in."""

    @pytest.mark.parametrize("name", ["rotation_interval", "clock_difference"])
    def test_it_stays(self, name: str) -> None:
        config = make()
        said = getattr(config, name)

        changed = config.replace(**{name: said}).replace(update_age=3600, rotation_grace=100)

        assert getattr(changed, name) == said
        assert getattr(config.replace(update_age=3600, rotation_grace=100), name) != said

    def test_upload_grace_is_not_raised(self) -> None:
        config = make()

        with pytest.raises(ConfigurationError, match="upload_grace is 600 s but must be"):
            config.replace(upload_grace=config.upload_grace).replace(rotation_grace=300)
        assert config.replace(rotation_grace=300).upload_grace_ms == 900_000

    def test_rotation_that_was_asked_for_is_not_dropped(self) -> None:
        config = make().replace(rotate_tokens=True)

        with pytest.raises(ConfigurationError, match="can be refreshed in its last"):
            config.replace(**BRIEF)

    def test_half_of_the_grace_that_was_asked_for_stays(self) -> None:
        config = make(clock_difference=30)

        assert config.replace(rotation_grace=100).clock_difference_ms == 30_000


class TestOtherSources:
    def test_mapping_takes_camel_case(self) -> None:
        config = SessionConfig.from_mapping(
            {
                "secret": SECRET,
                "rotateTokens": "true",
                "rotationInterval": "3600",
                "rotationGrace": 30,
                "uploadGrace": 120,
            }
        )

        assert config.rotate_tokens is True
        assert (config.rotation_interval_ms, config.rotation_grace_ms) == (3_600_000, 30_000)
        assert config.upload_grace_ms == 120_000

    def test_environment_has_variables(self) -> None:
        config = SessionConfig.from_env(
            {
                "WSGI_SESSIONS_SECRET": SECRET,
                "WSGI_SESSIONS_ROTATION_INTERVAL": "3600",
                "WSGI_SESSIONS_UPLOAD_GRACE": "300",
                "WSGI_SESSIONS_ROTATE_TOKENS": "on",
            }
        )

        assert config == make(rotation_interval=3600, upload_grace=300, rotate_tokens=True)

    @pytest.mark.parametrize("text", ["none", "None", ""])
    def test_none_is_not_given(self, text: str) -> None:
        config = SessionConfig.from_env(
            {
                "WSGI_SESSIONS_SECRET": SECRET,
                "WSGI_SESSIONS_ROTATION_INTERVAL": text,
                "WSGI_SESSIONS_UPLOAD_GRACE": text,
                "WSGI_SESSIONS_ROTATE_TOKENS": text,
            }
        )

        assert config == make()
        assert config.replace(**BRIEF).rotate_tokens is False

    def test_refusal_names_the_variables(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            SessionConfig.from_env(
                {
                    "WSGI_SESSIONS_SECRET": SECRET,
                    "WSGI_SESSIONS_ROTATION_INTERVAL": "720",
                    "WSGI_SESSIONS_UPLOAD_GRACE": "600",
                }
            )

        message = str(caught.value)
        assert "upload_grace comes from WSGI_SESSIONS_UPLOAD_GRACE" in message
        assert "rotation_interval comes from WSGI_SESSIONS_ROTATION_INTERVAL" in message


# What the log says


NOTES: list[tuple[dict[str, Any], str]] = [
    (
        {"rotation_grace": 29},
        (
            "rotation_grace is 29 s, but browsers keep new cookies off the disk for up to 30 "
            "seconds, so one that crashes then may be signed out; set it to 30 seconds or more"
        ),
    ),
    (
        {"rotation_interval": 7 * DAY},
        (
            "rotation_interval is 7 days and sessions live 7 days, so many tokens "
            "are never rotated, and a stolen one is good as long as the session; lower "
            "rotation_interval"
        ),
    ),
    (
        {"absolute_timeout": DAY},
        (
            "rotation_interval is 1 day and sessions live 1 day, so many tokens "
            "are never rotated, and a stolen one is good as long as the session; lower "
            "rotation_interval"
        ),
    ),
    (
        {"short_expires_in": 600},
        (
            "short_expires_in is 600 s, which leaves no time to rotate the tokens of sessions that "
            "are not remembered, so they are not rotated; raise short_expires_in or lower "
            "rotation_grace and upload_grace"
        ),
    ),
    (
        BRIEF,
        (
            "sessions live 300 s and are refreshed after 60 s, which leaves no time to rotate "
            "their tokens safely with a rotation_grace of 60 s, so they are not rotated; raise "
            "expires_in, or set rotation_interval and rotation_grace, or rotate_tokens=False to say "
            "that you know"
        ),
    ),
]


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    _warn_once.cache_clear()
    return caplog


@pytest.mark.parametrize(("settings", "note"), NOTES)
def test_what_holds_less_than_one_may_think_is_logged_once(
    warned: pytest.LogCaptureFixture, settings: dict[str, Any], note: str
) -> None:
    for _ in range(3):
        SessionManager("sqlite:///:memory:", secret=SECRET, **settings).close()

    assert [(line.levelno, line.getMessage()) for line in warned.records] == [
        (logging.WARNING, note)
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rotation_grace": 30},
        {"rotation_interval": 7 * DAY - 1},
        {"absolute_timeout": DAY + 1},
        {"short_expires_in": 602},
        *[{**settings, "rotate_tokens": False} for settings, _ in NOTES],
    ],
)
def test_what_holds_all_is_not_spoken_of(
    warned: pytest.LogCaptureFixture, settings: dict[str, Any]
) -> None:
    SessionManager("sqlite:///:memory:", secret=SECRET, **settings).close()

    assert warned.records == []


def test_each_note_is_logged(warned: pytest.LogCaptureFixture) -> None:
    settings: dict[str, Any] = {
        "rotation_grace": 1,
        "rotation_interval": 7 * DAY,
        "short_expires_in": 10,
    }
    SessionManager("sqlite:///:memory:", secret=SECRET, **settings).close()

    starts = [line.getMessage().partition(" is ")[0] for line in warned.records]
    assert starts == ["rotation_grace", "rotation_interval", "short_expires_in"]


# Whatever is given


durations = st.integers(1, 2000)


@given(
    st.fixed_dictionaries(
        {"expires_in": durations, "update_age": durations, "rotation_grace": st.integers(1, 80)},
        optional={
            "rotation_interval": durations,
            "upload_grace": durations,
            "short_expires_in": durations,
            "rotate_tokens": st.sampled_from([None, True, False]),
        },
    )
)
def test_whatever_is_taken_fits_together(settings: dict[str, Any]) -> None:
    try:
        config = make(**settings)
    except ConfigurationError:
        return
    grace, upload = config.rotation_grace_ms, config.upload_grace_ms
    assert upload >= config.rotation_window_ms == 3 * grace
    if "upload_grace" in settings:
        assert upload == settings["upload_grace"] * 1000
    if not config.rotate_tokens:
        assert config.short_rotation_interval_ms is None
        assert settings.get("rotate_tokens") is not True
    else:
        intervals = [config.rotation_interval_ms]
        if config.short_rotation_interval_ms is not None:
            intervals.append(config.short_rotation_interval_ms)
            assert config.short_rotation_interval_ms <= config.short_expires_in_ms / 2
        for interval in intervals:
            assert 5 * grace < interval
            assert upload < interval - 2 * grace
        assert config.expires_in_ms - config.update_age_ms > upload + 2 * grace
    assert config.replace() == config
