"""Settings from a mapping and from environment variables."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from wsgi_sessions import ConfigurationError, SessionConfig, SessionManager
from wsgi_sessions.config.fields import settings_of

from .configs import DURATIONS, SECRET, make

PARTS = [name for name, declared in settings_of(SessionConfig).items() if declared.kind.part]


class TestMapping:
    def test_camel_case_and_nested_names_are_taken(self) -> None:
        config = SessionConfig.from_mapping(
            {
                "secret": SECRET,
                "expiresIn": 3600,
                "updateAge": 600,
                "cookieCache.enabled": True,
                "cookieCache": {"maxAge": 60},
                "multiSession.enabled": True,
                "multiSession.maximumSessions": 3,
            }
        )

        assert (config.expires_in_ms, config.update_age_ms) == (3_600_000, 600_000)
        assert (config.cookie_cache.enabled, config.cookie_cache.max_age_ms) == (True, 60_000)
        assert config.multi_session.maximum_sessions == 3

    def test_text_is_read_as_the_setting_s_type(self) -> None:
        config = SessionConfig.from_mapping(
            {
                "secret": SECRET,
                "expires_in": "3600",
                "update_age": " 600 ",
                "idle_timeout": "none",
                "rotate_tokens": "off",
                "cookie_cache": "yes",
                "throttle": "None",
                "api_path": "none",
                "cookie.secure": "auto",
                "multi_session.maximum_sessions": "",
            }
        )

        assert (config.expires_in_ms, config.idle_timeout, config.rotate_tokens) == (
            3_600_000,
            None,
            False,
        )
        assert (config.cookie_cache.enabled, config.throttle, config.api_path) == (True, None, None)
        assert (config.cookie.secure, config.multi_session.maximum_sessions) == ("auto", None)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("expires", "expires is no setting; the nearest is expires_in"),
            ("cookieCache.maxage", "is no setting; the nearest is cookie_cache.max_age"),
            ("updateage", "the nearest is update_age"),
        ],
    )
    def test_unknown_name_is_told_the_nearest(self, name: str, message: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            SessionConfig.from_mapping({"secret": SECRET, name: 1})

        assert message in str(caught.value)

    def test_unknown_name_within_a_part_is_told_the_nearest(self) -> None:
        with pytest.raises(ConfigurationError, match="cookie_cache.maximum_age is no setting"):
            SessionConfig.from_mapping({"secret": SECRET, "cookie_cache": {"maximum_age": 1}})

    @pytest.mark.parametrize(
        ("name", "text", "unit"),
        [
            ("expires_in", "1h", "whole seconds"),
            ("ip_prefix_v4", "a", "a whole number"),
            ("expires_in", "9" * 30, "whole seconds"),
        ],
    )
    def test_text_that_is_no_number_is_told(self, name: str, text: str, unit: str) -> None:
        with pytest.raises(ConfigurationError, match=f"{name} is .*; give {unit}"):
            SessionConfig.from_mapping({"secret": SECRET, name: text})

    @pytest.mark.parametrize("name", settings_of(SessionConfig))
    def test_every_setting_has_a_camel_case_name(self, name: str) -> None:
        first, *rest = name.split("_")
        camel = first + "".join(word.capitalize() for word in rest)
        value = getattr(make(), name)

        config = SessionConfig.from_mapping({"secret": SECRET, camel: value})

        assert getattr(config, name) == value

    @pytest.mark.parametrize("part", PARTS)
    def test_every_field_of_a_part_has_a_dotted_and_a_nested_name(self, part: str) -> None:
        wanted = getattr(make(audit={}), part)
        fields = {f.name: getattr(wanted, f.name) for f in dataclasses.fields(wanted) if f.init}

        dotted = SessionConfig.from_mapping(
            {"secret": SECRET, **{f"{part}.{name}": value for name, value in fields.items()}}
        )
        nested = SessionConfig.from_mapping({"secret": SECRET, part: fields})

        assert getattr(dotted, part) == getattr(nested, part) == wanted

    def test_override_wins(self) -> None:
        config = SessionConfig.from_mapping({"secret": SECRET, "fresh_age": 60}, fresh_age=90)

        assert config.fresh_age_ms == 90_000

    def test_unknown_part_is_told(self) -> None:
        with pytest.raises(ConfigurationError, match="cookies.name is no setting; the nearest is"):
            SessionConfig.from_mapping({"secret": SECRET, "cookies.name": "x"})

    def test_setting_that_is_derived_is_no_setting(self) -> None:
        with pytest.raises(ConfigurationError, match="expires_in_ms is no setting"):
            SessionConfig.from_mapping({"secret": SECRET, "expires_in_ms": 1})

    def test_dotted_name_may_follow_a_switched_part(self) -> None:
        config = SessionConfig.from_mapping(
            {"secret": SECRET, "cookie_cache": True, "cookie_cache.max_age": 60}
        )

        assert (config.cookie_cache.enabled, config.cookie_cache.max_age_ms) == (True, 60_000)


SEED: dict[str, Any] = {
    "session": {
        "expiresIn": 3600,
        "updateAge": 600,
        "freshAge": 60,
        "cookieCache": {"enabled": True, "maxAge": 120},
        "multiSession": {"enabled": True, "maximumSessions": 3},
    }
}
"""As it is pasted from a configuration of better-auth."""


class TestOuterKey:
    @pytest.mark.parametrize("settings", [SEED, SEED["session"]])
    def test_pasted_settings_are_taken_with_and_without_it(self, settings: dict[str, Any]) -> None:
        wanted = make(
            expires_in=3600,
            update_age=600,
            fresh_age=60,
            cookie_cache={"enabled": True, "max_age": 120},
            multi_session={"enabled": True, "maximum_sessions": 3},
        )
        manager = SessionManager("sqlite:///:memory:", secret=SECRET, **settings)

        assert manager.config == wanted
        assert SessionConfig.from_mapping({"secret": SECRET, **settings}) == wanted
        assert SessionConfig.from_mapping(settings, secret=SECRET) == wanted
        assert make().replace(**settings) == wanted
        manager.close()

    def test_what_stands_beside_it_wins(self) -> None:
        for given in (
            {"expires_in": 7200, "cookie_cache.max_age": 30, **SEED},
            {**SEED, "expires_in": 7200, "cookie_cache.max_age": 30},
        ):
            config = SessionConfig.from_mapping(given, secret=SECRET)

            assert (config.expires_in_ms, config.update_age_ms) == (7_200_000, 600_000)
            assert (config.cookie_cache.enabled, config.cookie_cache.max_age_ms) == (True, 30_000)

    def test_wrong_name_below_it_is_told(self) -> None:
        with pytest.raises(ConfigurationError, match="expireIn is no setting; the nearest is exp"):
            SessionConfig.from_mapping({"secret": SECRET, "session": {"expireIn": 1}})

    def test_it_holds_a_mapping(self) -> None:
        with pytest.raises(
            ConfigurationError, match="session is of type str; give a mapping"
        ) as caught:
            SessionConfig.from_mapping({"secret": SECRET, "session": "hunter2"})

        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize("name", ["session", ""])
    def test_a_part_has_none(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match=rf"cookie\.{name} is no setting"):
            make(cookie={name: {"name": "sid"}})


class TestSuggestion:
    @pytest.mark.parametrize(
        ("name", "nearest"),
        [
            ("expire_in", "expires_in"),
            ("updateAges", "update_age"),
            ("trusted_proxy", "trusted_proxies"),
            ("samesite", "cookie.same_site"),
            ("maxAge", "cookie_cache.max_age"),
            ("cookie_name", "cookie.name"),
            ("max_sessions", "multi_session.maximum_sessions"),
        ],
    )
    def test_name_that_is_nearly_right_gets_one(self, name: str, nearest: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            SessionConfig.from_mapping({"secret": SECRET, name: 1})

        assert str(caught.value) == f"{name} is no setting; the nearest is {nearest}"

    @pytest.mark.parametrize(
        "name",
        [
            *["flavour", "debug", "redis_url", "user", "db", "x", "", "ttl", "lifetime", "timeout"],
            *["session_lifetime", "log_level", "email", "backend", "storage", "port", "limit"],
            *["csrf", "theme", "password_hash", "google", "permanent", "url", "kekse", "\u00e4"],
        ],
    )
    def test_name_that_is_like_no_other_gets_none(self, name: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            SessionConfig.from_mapping({"secret": SECRET, name: 1})
        with pytest.raises(ConfigurationError) as from_environment:
            SessionConfig.from_env({f"WSGI_SESSIONS_{name.upper()}": "1"})

        assert str(caught.value) == f"{name} is no setting"
        assert str(from_environment.value) == f"WSGI_SESSIONS_{name.upper()} is no setting"

    def test_field_of_a_part_gets_one_of_the_same_part(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            make(cookie={"parth": "/"})
        with pytest.raises(ConfigurationError) as unlike:
            make(cookie={"expires_in": 1})

        assert str(caught.value) == "cookie.parth is no setting; the nearest is cookie.path"
        assert str(unlike.value) == "cookie.expires_in is no setting"


class TestEnvironment:
    def test_variables_are_read(self) -> None:
        config = SessionConfig.from_env(
            {
                "WSGI_SESSIONS_SECRET": SECRET,
                "WSGI_SESSIONS_EXPIRES_IN": "3600",
                "WSGI_SESSIONS_UPDATE_AGE": "600",
                "WSGI_SESSIONS_COOKIE_CACHE": "true",
                "WSGI_SESSIONS_COOKIE_CACHE_MAX_AGE": "60",
                "WSGI_SESSIONS_TRUSTED_PROXIES": "10.0.0.0/8,192.0.2.1",
                "WSGI_SESSIONS_TEST_POSTGRES": "for tests alone",
                "WSGI_SESSIONS_ENV": "development",
                "PATH": "/bin",
            },
            update_age=300,
        )

        assert (config.expires_in_ms, config.update_age_ms) == (3_600_000, 300_000)
        assert (config.cookie_cache.enabled, config.cookie_cache.max_age_ms) == (True, 60_000)
        assert len(config.trusted_proxies) == 2

    def test_every_setting_has_a_variable(self) -> None:
        sample = make(audit={})
        environ = {"WSGI_SESSIONS_SECRET": SECRET}
        for name in DURATIONS:
            part, _, inner = name.rpartition(".")
            value = getattr(getattr(sample, part) if part else sample, inner)
            text = "none" if value is None else str(int(value.total_seconds()))
            environ[f"WSGI_SESSIONS_{name.upper().replace('.', '_')}"] = text
        for part in PARTS:
            for field in dataclasses.fields(getattr(sample, part)):
                value = getattr(getattr(sample, part), field.name)
                value = ",".join(value) if isinstance(value, tuple) else value
                is_read = field.init and field.metadata["setting"].is_in_environment
                if is_read and not isinstance(value, timedelta):
                    environ[f"WSGI_SESSIONS_{part.upper()}_{field.name.upper()}"] = str(value)
        for field in dataclasses.fields(SessionConfig):
            value = getattr(sample, field.name)
            if isinstance(value, (bool, int, str)) and field.init:
                environ[f"WSGI_SESSIONS_{field.name.upper()}"] = str(value)
        assert len(environ) > 40

        assert SessionConfig.from_env(environ) == sample

    @pytest.mark.parametrize("name", ["USER_MODEL", "USER_ATTRIBUTES"])
    def test_what_text_can_not_say_has_no_variable(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match=f"WSGI_SESSIONS_{name} is no setting"):
            SessionConfig.from_env({"WSGI_SESSIONS_SECRET": SECRET, f"WSGI_SESSIONS_{name}": "x"})

    def test_missing_secret_says_how_to_make_one(self) -> None:
        with pytest.raises(ConfigurationError, match="python -m wsgi_sessions secret"):
            SessionConfig.from_env({"WSGI_SESSIONS_EXPIRES_IN": "604800"})

    def test_wrong_text_is_told_by_its_setting(self) -> None:
        with pytest.raises(ConfigurationError, match="expires_in is '7d'; give whole seconds"):
            SessionConfig.from_env(
                {"WSGI_SESSIONS_SECRET": SECRET, "WSGI_SESSIONS_EXPIRES_IN": "7d"}
            )

    @pytest.mark.parametrize(
        ("variables", "sources"),
        [
            ({"EXPIRES_IN": "7d"}, "(expires_in comes from WSGI_SESSIONS_EXPIRES_IN)"),
            ({"IP_BINDING": "on"}, "(ip_binding comes from WSGI_SESSIONS_IP_BINDING)"),
            ({"COOKIE_DOMAIN": "co.uk"}, "(cookie.domain comes from WSGI_SESSIONS_COOKIE_DOMAIN)"),
            (
                {"COOKIE_CACHE_MAX_AGE": "5m"},
                "(cookie_cache.max_age comes from WSGI_SESSIONS_COOKIE_CACHE_MAX_AGE)",
            ),
            (
                {"UPDATE_AGE": "3600", "EXPIRES_IN": "3600", "FRESH_AGE": "60"},
                "; update_age comes from WSGI_SESSIONS_UPDATE_AGE)",
            ),
            ({"UPDATE_AGE": "31536000"}, "(update_age comes from WSGI_SESSIONS_UPDATE_AGE)"),
            ({"SECRET": "short"}, "(secret comes from WSGI_SESSIONS_SECRET)"),
        ],
    )
    def test_wrong_value_is_told_with_its_variable(
        self, variables: dict[str, str], sources: str
    ) -> None:
        environ = {"SECRET": SECRET, **variables}

        with pytest.raises(ConfigurationError) as caught:
            SessionConfig.from_env({f"WSGI_SESSIONS_{name}": environ[name] for name in environ})

        assert str(caught.value).endswith(sources)
        assert "short" not in str(caught.value)

    @pytest.mark.parametrize(
        "overrides",
        [{"ip_binding": "on"}, {"cookie": {"domain": "co.uk"}}, {"cookie.domain": "co.uk"}],
    )
    def test_wrong_value_that_is_given_has_no_variable(self, overrides: dict[str, Any]) -> None:
        environ = {"SECRET": SECRET, "IP_BINDING": "off", "COOKIE_DOMAIN": "example.org"}

        with pytest.raises(ConfigurationError) as caught:
            SessionConfig.from_env(
                {f"WSGI_SESSIONS_{name}": environ[name] for name in environ}, **overrides
            )

        assert "comes from" not in str(caught.value)

    def test_same_site_none_is_a_word(self) -> None:
        config = SessionConfig.from_env(
            {"WSGI_SESSIONS_SECRET": SECRET, "WSGI_SESSIONS_COOKIE_SAME_SITE": "None"}
        )

        assert config.cookie.same_site == "None"

    def test_unknown_variable_is_told_the_nearest(self) -> None:
        with pytest.raises(ConfigurationError, match="the nearest is WSGI_SESSIONS_EXPIRES_IN"):
            SessionConfig.from_env({"WSGI_SESSIONS_EXPIRE_IN": "1"})

    def test_secrets_are_separated_by_commas(self) -> None:
        newer = SECRET[::-1]

        assert SessionConfig.from_env({"WSGI_SESSIONS_SECRET": f"{newer}, {SECRET}"}).secret == (
            newer,
            SECRET,
        )

    def test_secret_with_a_comma_is_one(self) -> None:
        secret = SECRET + ",more"

        assert SessionConfig.from_env({"WSGI_SESSIONS_SECRET": secret}).secret == (secret,)

    def test_process_environment_is_the_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WSGI_SESSIONS_SECRET", SECRET)

        assert SessionConfig.from_env().secret == (SECRET,)
