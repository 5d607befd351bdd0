"""Settings: their defaults, and the values that are refused."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from datetime import timedelta
from functools import partial
from secrets import token_hex, token_urlsafe
from typing import Any

import peewee
import pytest

from wsgi_sessions import ConfigurationError, SessionConfig
from wsgi_sessions.config.parts import CookieCacheConfig, CookieConfig, ThrottleConfig
from wsgi_sessions.sessions.tokens import new_secret

from .configs import DURATIONS, SECRET, make


def test_defaults_are_those_of_the_design() -> None:
    config = make()

    assert (config.expires_in, config.update_age) == (timedelta(days=7), timedelta(days=1))
    assert (config.idle_timeout, config.absolute_timeout) == (None, None)
    assert (config.fresh_age, config.short_expires_in) == (timedelta(days=1), timedelta(days=1))
    assert (config.rotate_tokens, config.rotation_grace) == (True, timedelta(seconds=60))
    assert (config.rotation_interval, config.upload_grace) == (
        timedelta(days=1),
        timedelta(seconds=600),
    )
    assert config.clock_difference == timedelta(seconds=30)
    assert config.longest_transaction == timedelta(seconds=60)
    assert (config.on_replay, config.touch_interval) == ("revoke", timedelta(seconds=300))
    assert (config.cookie_cache.enabled, config.cookie_cache.max_age) == (
        False,
        timedelta(seconds=300),
    )
    assert config.revocation_lag == timedelta(seconds=1)
    assert dataclasses.astuple(config.multi_session) == (True, 5, "evict")
    assert (config.ip_binding, config.on_ip_mismatch) == ("off", "reject")
    assert (config.trusted_proxies, config.trusted_origins) == ((), ())
    assert (config.cookie.secure, config.cookie.same_site) == ("auto", "Lax")
    assert (config.cookie.name, config.cookie.cache_name) == ("session_token", "session_data")
    assert (config.cookie.path, config.cookie.domain, config.cookie.partitioned) == (
        "/",
        None,
        False,
    )
    assert config.cookie_cache.version == "1"
    assert (config.ip_prefix_v4, config.ip_prefix_v6) == (24, 64)
    assert config.throttle == ThrottleConfig(tries=10, window=60)
    # RFC 9106 section 4, the second recommended option.
    assert (config.password.memory_cost_kib, config.password.time_cost) == (64 * 1024, 3)
    assert (config.password.parallelism, config.password.hash_length) == (4, 32)
    assert (config.password.salt_length, config.password.max_parallel) == (16, None)
    assert (config.auto_sign_in, config.require_verified_email) == (True, False)
    assert (config.user_model, config.user_attributes) == (None, {})
    assert config.table_prefix == "wsgi_sessions_"
    assert (config.password.min_length, config.password.max_length) == (8, 128)
    assert (config.api_path, config.on_database_error) == ("/api/auth", "unavailable")
    assert (config.database_patience, config.max_connections) == (timedelta(seconds=5), 20)
    assert (config.purge_interval, config.keep_ended) == (timedelta(hours=1), timedelta(days=30))


def test_clocks_may_differ_by_half_of_the_grace_unless_told_otherwise() -> None:
    config = make(rotation_grace=20)

    assert (config.clock_difference, config.clock_difference_ms) == (timedelta(seconds=10), 10_000)
    assert config.replace(rotation_grace=4).clock_difference_ms == 2_000
    assert config.replace(clock_difference=7).replace(rotation_grace=9).clock_difference_ms == 7_000


def test_clocks_that_differ_by_more_than_the_grace_are_refused() -> None:
    assert make(clock_difference=60).clock_difference_ms == 60_000
    with pytest.raises(ConfigurationError, match="clock_difference is 61 s but must not be"):
        make(clock_difference=61)
    assert make(clock_difference=61, rotate_tokens=False).clock_difference_ms == 61_000


@pytest.mark.parametrize("given", [3600, timedelta(hours=1)])
def test_duration_is_seconds_or_a_timedelta(given: Any) -> None:
    config = make(expires_in=given, update_age=600)

    assert (config.expires_in, config.expires_in_ms) == (timedelta(hours=1), 3_600_000)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"expires_in": 0}, "expires_in is 0 s but must be more than 0"),
        ({"expires_in": "a week"}, "expires_in is 'a week'; give a timedelta or whole seconds"),
        ({"expires_in": True}, "expires_in is True; give a timedelta"),
        ({"expires_in": 1.5}, "expires_in is 1.5; give a timedelta"),
        ({"expires_in": 10**18}, "at most 100 years"),
        ({"expires_in": timedelta(days=99_999)}, "at most 100 years"),
        ({"touch_interval": -1}, "touch_interval is -1 s but must be 0 or more"),
        ({"update_age": 604800}, "none would ever be refreshed; lower update_age or raise"),
        ({"rotation_grace": 43200}, "but five of it must be less than rotation_interval"),
        ({"idle_timeout": timedelta(milliseconds=5)}, "give at least 1 second, or None"),
        ({"rotate_tokens": 1}, "rotate_tokens is 1; give True or False"),
        ({"on_replay": "ignore"}, "on_replay is 'ignore'; give one of 'revoke', 'reject'"),
        ({"ip_binding": "net"}, "ip_binding is 'net'; give one of 'off', 'subnet', 'exact'"),
        ({"on_ip_mismatch": None}, "on_ip_mismatch is None; give one of"),
        ({"on_database_error": "x"}, "on_database_error is 'x'; give one of"),
        ({"ip_prefix_v4": 33}, "ip_prefix_v4 is 33; give a whole number, between 0 and 32"),
        ({"ip_prefix_v6": True}, "ip_prefix_v6 is True; give a whole number"),
        ({"trusted_proxies": ["10.0.0.0/40"]}, "trusted_proxies holds '10.0.0.0/40'"),
        ({"trusted_proxies": 5}, "trusted_proxies is 5; give a list of strings"),
        ({"trusted_origins": ["app.example.org"]}, "trusted_origins holds 'app.example.org'"),
        ({"trusted_origins": ["https://a.org/x"]}, "give scheme and host without a path"),
        ({"api_path": "api"}, "api_path is 'api'; give a path such as '/api/auth'"),
        ({"api_path": "/api/"}, "does not end with one"),
        ({"openapi": "no way"}, "openapi is 'no way'; give True or False"),
        ({"clear_site_data": ["cookies"]}, "takes all cookies of the domain away"),
        ({"clear_site_data": "*"}, "takes all cookies of the domain away"),
        ({"clear_site_data": ["history"]}, "holds 'history'; give 'cache' or 'storage'"),
        ({"pages_report_url": "reports"}, "pages_report_url is 'reports'; give a path"),
        ({"pages_report_url": "//evil.test/"}, "pages_report_url is"),
        ({"pages_report_url": "/r; script-src *"}, "without quotes, ',' and ';'"),
        ({"pages_report_url": '/r",x="/'}, "without quotes, ',' and ';'"),
        ({"cookie": {"name": "a b"}}, "cookie.name is 'a b'; give letters"),
        ({"cookie": {"name": "__Host-x"}}, "leave the prefix away"),
        ({"cookie": {"name": "a", "cache_name": "a"}}, "are both 'a'; give two names"),
        (
            {"cookie": {"name": "a", "device_name": "a_nonce"}},
            "cookie.device_name is 'a_nonce', the name of the cookie of a nonce",
        ),
        ({"cookie": {"secure": "maybe"}}, "cookie.secure is 'maybe'; give True, False or \"auto\""),
        ({"cookie": {"same_site": "lax"}}, "cookie.same_site is 'lax'; give one of 'Lax'"),
        ({"cookie": {"path": "x"}}, "cookie.path is 'x'; give a path that starts with '/'"),
        ({"cookie": {"path": "/;x"}}, "has no ';'"),
        ({"cookie": {"domain": "exa mple"}}, "cookie.domain is 'exa mple'; give a host name"),
        ({"cookie": {"partitioned": 1}}, "cookie.partitioned is 1; give True or False"),
        ({"cookie": {"same_site": "None", "secure": False}}, "cookie.same_site is 'None', which"),
        ({"cookie": {"partitioned": True, "secure": False}}, "cookie.partitioned is True, which"),
        ({"cookie_cache": {"version": 2}}, "cookie_cache.version is 2; give a string"),
        ({"cookie_cache": {"max_age": 0}}, "cookie_cache.max_age is 0 s but must be more"),
        ({"cookie_cache": {"enabled": None}}, "cookie_cache.enabled is None; give True or False"),
        ({"cookie_cache": 3}, "cookie_cache is 3; give a CookieCacheConfig or a mapping"),
        ({"multi_session": {"maximum_sessions": 0}}, "maximum_sessions is 0; give a whole number"),
        ({"multi_session": {"on_limit": "x"}}, "multi_session.on_limit is 'x'; give one of"),
        ({"throttle": {"tries": 0}}, "throttle.tries is 0; give a whole number, 1 or more"),
        ({"password": {"min_length": 9, "max_length": 8}}, "password.max_length is 8; give"),
        ({"password": {"memory_cost_kib": 8}}, "password.memory_cost_kib is 8; give"),
        ({"password": {"max_parallel": 0}}, "password.max_parallel is 0; give a whole number"),
        ({"pages_title": ""}, "pages_title is ''; give a line of 1 to 100 characters"),
        ({"pages_title": "a\nb"}, "pages_title is"),
        ({"pages_title": "x" * 101}, "pages_title is"),
        ({"pages_home_url": "javascript:alert(1)"}, "pages_home_url is"),
        ({"pages_home_url": "//evil.test"}, "pages_home_url is"),
        ({"change_password_url": "password"}, "change_password_url is 'password'; give a path"),
        ({"password": {"max_waiting": -1}}, "password.max_waiting is -1; give a whole number"),
        ({"auto_sign_in": "yes please"}, "auto_sign_in is 'yes please'; give True or False"),
        ({"require_verified_email": 0}, "require_verified_email is 0; give True or False"),
        ({"ip_prefix_v4": -1}, "ip_prefix_v4 is -1; give a whole number, between 0 and 32"),
        ({"ip_prefix_v6": 129}, "ip_prefix_v6 is 129; give a whole number, between 0 and 128"),
        ({"trusted_proxies": ["here"]}, "give networks or addresses, such as '10.0.0.0/8'"),
        ({"trusted_proxies": [None]}, "trusted_proxies holds None; give networks"),
        ({"trusted_origins": [7]}, "trusted_origins holds 7; give scheme and host"),
        ({"trusted_origins": ["https://a.org/"]}, "give scheme and host without a path"),
        ({"api_path": 5}, "api_path is 5; give a path such as '/api/auth'"),
        ({"api_path": "/"}, "api_path is '/'; give a path"),
        ({"cookie": {"name": ""}}, "cookie.name is ''; give letters, digits"),
        ({"cookie": {"name": "a;b"}}, "cookie.name is 'a;b'; give letters, digits"),
        ({"cookie": {"name": "a\nb"}}, "cookie.name is 'a\\nb'; give letters, digits"),
        ({"cookie": {"cache_name": "a=b"}}, "cookie.cache_name is 'a=b'; give letters, digits"),
        ({"cookie": {"cache_name": "__secure-x"}}, "leave the prefix away"),
        ({"cookie": {"path": "/a b"}}, "has no ';' or space"),
        ({"cookie": {"path": None}}, "cookie.path is None; give a path"),
        ({"cookie": {"domain": "."}}, "cookie.domain is '.'; give a host name"),
        ({"cookie": {"domain": "a" * 254}}, "give a host name such as 'example.org', without"),
        ({"cookie": {"domain": "a.org; Secure"}}, "give a host name such as 'example.org'"),
        ({"cookie": {"domain": "example.org:8443"}}, "without scheme, port or path, or None"),
        ({"cookie": {"domain": "https://example.org"}}, "without scheme, port or path, or None"),
        ({"cookie": {"domain": "example.org/app"}}, "without scheme, port or path, or None"),
        ({"cookie": {"domain": "co.uk"}}, "cookie.domain is 'co.uk', below which anybody can"),
        ({"cookie": {"domain": ".GitHub.io"}}, "give the domain of your site, or None"),
        ({"cookie": {"domain": "org"}}, "cookie.domain is 'org', below which anybody can have"),
        ({"cookie": {"domain": "any.ck"}}, "so browsers refuse the cookie; give the domain of"),
        ({"cookie": {"name": "n" * 257}}, "cookie.name has 257 characters; give at most 256"),
        ({"cookie": {"cache_name": "n" * 257}}, "cookie.cache_name has 257 characters; give at"),
        ({"cookie": {"name": "s\u00e9ssion"}}, "give letters, digits and"),
        ({"cookie": {"name": "__HTTP-x"}}, "leave the prefix away"),
        ({"cookie": {"path": "/" + "p" * 1024}}, "cookie.path has 1025 characters; give at most"),
        ({"cookie": 5}, "cookie is 5; give a CookieConfig or a mapping of its fields"),
        ({"cookie": True}, "cookie is True; give a CookieConfig or a mapping of its fields"),
        ({"multi_session": {"enabled": 1}}, "multi_session.enabled is 1; give True or False"),
        ({"multi_session": None}, "multi_session is None; give a MultiSessionConfig"),
        ({"throttle": {"window": 0}}, "throttle.window is 0 s but must be more than 0"),
        ({"throttle": {"tries": 2.5}}, "throttle.tries is 2.5; give a whole number"),
        ({"throttle": 5}, "throttle is 5; give a ThrottleConfig or a mapping of its fields"),
        ({"password": None}, "password is None; give a PasswordConfig"),
        ({"password": {"min_length": 0}}, "password.min_length is 0; give a whole number"),
        ({"password": {"max_length": 5000}}, "password.max_length is 5000; give"),
        ({"password": {"time_cost": 0}}, "password.time_cost is 0; give a whole number"),
        ({"password": {"parallelism": 256}}, "password.parallelism is 256; give"),
        ({"password": {"hash_length": 15}}, "password.hash_length is 15; give"),
        ({"password": {"salt_length": 7}}, "password.salt_length is 7; give"),
        ({"user_attributes": ["email"]}, "user_attributes maps our names"),
        ({"user_attributes": {"mail": "email"}}, "a name in user_attributes is 'mail'"),
        ({"user_attributes": {"email": "mail"}}, "user_model is not; give your Peewee model too"),
        ({"table_prefix": "a-b"}, "table_prefix is 'a-b'; give letters of ASCII, digits and"),
        ({"table_prefix": "1a"}, "table_prefix is '1a'; give letters"),
        ({"table_prefix": 'a"; --'}, "give letters of ASCII"),
        ({"table_prefix": "\u00e4_"}, "give letters of ASCII"),
        ({"table_prefix": None}, "table_prefix is None; give letters"),
        ({"table_prefix": "x" * 33}, "table_prefix has 33 characters; give at most 32"),
        ({"on_send": lambda kind, user: None}, "give a function that takes kind, user, url and"),
        ({"on_send": "smtp"}, "on_send is 'smtp'; give a function"),
        ({"check_sign_up": lambda email: None}, "give a function that takes email, name and"),
        ({"check_sign_up": lambda a, b, c: None}, "give a function that takes email, name and"),
        ({"check_sign_up": True}, "check_sign_up is True; give a function"),
    ],
)
def test_wrong_setting_is_told_with_its_value_and_remedy(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(**settings)

    assert message in str(caught.value)


MAY_BE_ZERO = {
    *["touch_interval", "revocation_lag", "purge_interval", "keep_ended"],
    *["clock_difference", "longest_transaction"],
}


def test_durations_named_here_are_all_there_are() -> None:
    fields = {f.name for f in dataclasses.fields(SessionConfig) if not f.init}
    derived = {*["short_rotation_interval_ms", "rotation_window_ms", "rotation_notes"]}

    assert {f"{name}_ms" for name in DURATIONS if "." not in name} == fields - derived


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1, "is -1 s but must be"),
        ("soon", "is 'soon'; give"),
        (2.5, "is 2.5; give a timedelta or whole seconds, such as 3600"),
        (False, "is False; give a timedelta or whole seconds"),
        (100 * 365 * 86400 + 1, "at most 100 years are taken"),
    ],
)
def test_wrong_duration_is_told_by_its_name(name: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SessionConfig.from_mapping({"secret": SECRET, name: value})

    assert str(caught.value).startswith(f"{name} ")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", DURATIONS)
def test_zero_is_taken_where_it_means_something(name: str) -> None:
    try:
        SessionConfig.from_mapping({"secret": SECRET, name: 0})
    except ConfigurationError as error:
        refusal = str(error)
    else:
        refusal = ""

    assert bool(refusal) is (name not in MAY_BE_ZERO)
    assert refusal in ("", f"{name} is 0 s but must be more than 0; give a longer duration")


@pytest.mark.parametrize("name", DURATIONS)
def test_none_is_taken_where_it_means_off(name: str) -> None:
    given = {"secret": SECRET, name: None}

    if name in ("idle_timeout", "absolute_timeout"):
        assert getattr(SessionConfig.from_mapping(given), f"{name}_ms") is None
    elif name in ("clock_difference", "rotation_interval", "upload_grace"):
        assert SessionConfig.from_mapping(given) == SessionConfig(secret=SECRET)
    else:
        with pytest.raises(ConfigurationError, match=f"{name} is None; give a timedelta"):
            SessionConfig.from_mapping(given)


class TestRelations:
    def test_grace_does_not_matter_without_rotation(self) -> None:
        assert make(rotation_grace=86400, rotate_tokens=False).rotation_grace_ms == 86_400_000

    def test_update_age_is_below_the_lifetime(self) -> None:
        just_less = timedelta(milliseconds=3_599_999)

        assert make(expires_in=3600, update_age=just_less).update_age == just_less
        with pytest.raises(
            ConfigurationError, match="update_age is 1 hour but sessions live 1 hour, so"
        ):
            make(expires_in=3600, update_age=3600)

    def test_idle_timeout_is_at_least_a_second(self) -> None:
        assert make(idle_timeout=1).idle_timeout_ms == 1000
        with pytest.raises(ConfigurationError, match="idle_timeout is 0.999 s; give at"):
            make(idle_timeout=timedelta(milliseconds=999))

    @pytest.mark.parametrize("asked", [{"same_site": "None"}, {"partitioned": True}])
    @pytest.mark.parametrize("secure", ["auto", True])
    def test_cookie_that_must_be_secure_may_be(self, asked: dict[str, Any], secure: Any) -> None:
        config = make(cookie={**asked, "secure": secure})

        assert config.cookie.secure == secure


@pytest.mark.parametrize(
    "settings",
    [
        {"on_replay": "reject"},
        {"on_ip_mismatch": "revoke"},
        {"ip_binding": "subnet"},
        {"ip_binding": "exact"},
        {"ip_prefix_v4": 0, "ip_prefix_v6": 128},
        {"on_database_error": "anonymous"},
        {"api_path": None},
        {"api_path": "/auth"},
        {"throttle": None},
        {"rotate_tokens": False},
        {"absolute_timeout": timedelta(days=30)},
        {"check_sign_up": max},  # a function in C, which does not tell what it takes
    ],
)
def test_allowed_value_is_kept(settings: dict[str, Any]) -> None:
    config = make(**settings)

    assert {name: getattr(config, name) for name in settings} == settings


@pytest.mark.parametrize(
    "cookie",
    [
        {"domain": ".example.org"},
        {"domain": "localhost"},
        {"path": "/app/x"},
        {"name": "!#$%&'*+-.^_`|~09azAZ"},
        {"same_site": "Strict"},
    ],
)
def test_allowed_cookie_attribute_is_kept(cookie: dict[str, Any]) -> None:
    config = make(cookie=cookie)

    assert {name: getattr(config.cookie, name) for name in cookie} == cookie


def test_several_secrets_keep_their_order() -> None:
    assert make(secret=[SECRET[::-1], SECRET]).secret == (SECRET[::-1], SECRET)


def test_secret_of_thirty_two_characters_is_long_enough() -> None:
    assert make(secret="x0123456789abcdef" * 2).secret == ("x0123456789abcdef" * 2,)
    with pytest.raises(ConfigurationError, match="secret has 31 characters"):
        make(secret="x" * 31)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("a" * 32, "has 1 different"),
        ("0110" * 16, "has 2 different"),
        ("password" * 8, "has 7 different"),
        ("1234567890" * 10, "repeats 10"),
        ("my-own-secret!" * 3, "repeats 14"),
    ],
)
def test_secret_that_can_be_guessed_is_refused_and_not_shown(secret: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(secret=[SECRET, secret])
    assert str(caught.value) == (
        f"secret {why} characters, so it can be guessed; "
        "make one with: python -m wsgi_sessions secret"
    )


def test_secrets_that_are_random_are_taken() -> None:
    for make_one in (partial(token_hex, 16), partial(token_urlsafe, 24), new_secret):
        assert all(make(secret=make_one()) for _ in range(50))


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        (None, "secret is missing; make one with: python -m wsgi_sessions secret"),
        ([], "secret is missing; make one with: python -m wsgi_sessions secret"),
        ("short", "secret has 5 characters but needs at least 32; make one with"),
        ([SECRET, "short"], "secret has 5 characters"),
        (
            b"x0123456789abcdef" * 2,
            "secret is of type bytes; give a string or a list, newest first",
        ),
        ([SECRET, 7], "secret holds a value of type int; give strings"),
    ],
)
def test_wrong_secret_says_how_to_make_one_and_shows_nothing(secret: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(secret=secret)

    assert message in str(caught.value)
    assert "short" not in str(caught.value)


def test_missing_secret_is_told() -> None:
    with pytest.raises(ConfigurationError, match="secret is missing"):
        SessionConfig()


def test_repr_shows_no_secret() -> None:
    assert SECRET not in repr(make())


def test_config_can_not_be_changed() -> None:
    config = make()

    with pytest.raises(dataclasses.FrozenInstanceError):
        config.expires_in = timedelta(days=1)  # type: ignore[misc]


def test_networks_and_origins_are_read() -> None:
    config = make(
        trusted_proxies="10.0.0.0/8, 2001:db8::/32",
        trusted_origins=["https://*.example.org", "http://[::1]:8000"],
    )

    assert config.trusted_proxies == (
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_network("2001:db8::/32"),
    )
    assert config.trusted_origins == ("https://*.example.org", "http://[::1]:8000")
    assert make(trusted_proxies=config.trusted_proxies).trusted_proxies == config.trusted_proxies


def test_production_forces_secure_cookies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSGI_SESSIONS_ENV", "production")

    assert make(cookie={"secure": False}).cookie.secure is True


def test_production_is_read_where_the_other_settings_are() -> None:
    environ = {"WSGI_SESSIONS_SECRET": SECRET, "WSGI_SESSIONS_ENV": "production"}

    config = SessionConfig.from_env({**environ, "WSGI_SESSIONS_COOKIE_SECURE": "false"})

    assert config.cookie.secure is True
    assert SessionConfig.from_env(environ, cookie={"name": "sid"}).cookie.name == "sid"


def test_word_that_may_mean_production_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSGI_SESSIONS_ENV", "prod")

    with pytest.raises(
        ConfigurationError, match="WSGI_SESSIONS_ENV is 'prod'; give one of production, dev"
    ):
        make()


def test_password_in_place_of_a_part_is_not_shown() -> None:
    with pytest.raises(
        ConfigurationError, match="password is text; give a PasswordConfig"
    ) as caught:
        SessionConfig.from_env(
            {"WSGI_SESSIONS_SECRET": SECRET, "WSGI_SESSIONS_PASSWORD": "hunter2"}
        )
    assert "hunter2" not in str(caught.value)


def test_wrong_throttle_is_told_how_to_turn_it_off() -> None:
    with pytest.raises(ConfigurationError, match="throttle is False; .*or None to turn it off"):
        make(throttle=False)


def test_name_that_is_no_text_is_no_setting() -> None:
    with pytest.raises(ConfigurationError, match="1 is no setting; their names are text"):
        SessionConfig.from_mapping({1: 2})  # type: ignore[dict-item]


def test_user_attributes_go_with_a_user_model() -> None:
    class Member(peewee.Model):
        mail = peewee.CharField()

    config = make(user_model=Member, user_attributes={"email": "mail"})

    assert config.user_attributes == {"email": "mail"}


class TestReplace:
    def test_part_keeps_what_is_not_named(self) -> None:
        config = make(cookie_cache=CookieCacheConfig(enabled=True, version="7"))

        changed = config.replace(cookie_cache={"max_age": 60}, expires_in=timedelta(days=8))

        assert changed.cookie_cache == CookieCacheConfig(enabled=True, version="7", max_age=60)
        assert (changed.expires_in, config.expires_in) == (timedelta(days=8), timedelta(days=7))

    def test_is_checked_anew(self) -> None:
        with pytest.raises(ConfigurationError, match="none would ever be refreshed"):
            make().replace(expires_in=60)

    def test_part_that_was_off_is_made_of_a_mapping(self) -> None:
        assert make(throttle=None).replace(throttle={"tries": 3}).throttle == ThrottleConfig(
            tries=3
        )

    def test_dataclass_is_taken_as_it_is(self) -> None:
        cookie = CookieConfig(name="sid")

        assert make().replace(cookie=cookie).cookie is cookie


@pytest.mark.parametrize(
    "settings",
    [
        {"cookie_cache.max_age": 60, "cookie_cache": True},
        {"cookie_cache": True, "cookie_cache.max_age": 60},
        {"cookie_cache": CookieCacheConfig(enabled=True), "cookie_cache.max_age": 60},
        {"cookie_cache": {"max_age": 60}, "cookie_cache.enabled": True},
    ],
)
def test_part_given_in_two_ways_loses_none(settings: dict[str, Any]) -> None:
    config = SessionConfig.from_mapping({"secret": SECRET, **settings})

    assert config.cookie_cache == CookieCacheConfig(enabled=True, max_age=60)


def test_switching_a_part_keeps_its_other_settings() -> None:
    config = make(cookie_cache=CookieCacheConfig(version="7"))

    assert config.replace(cookie_cache=True).cookie_cache.version == "7"


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"database_patience": 86_401}, "database_patience"),
        ({"table_prefix": "SQLite_"}, "table_prefix"),
        ({"multi_session": {"maximum_sessions": 2**63}}, "multi_session.maximum_sessions"),
        ({"password": {"memory_cost_kib": 2**32}}, "password.memory_cost_kib"),
        ({"password": {"time_cost": 2**32}}, "password.time_cost"),
        ({"exempt_paths": ["/\ud800"]}, "exempt_paths"),
        *[({"api_path": path}, "api_path") for path in ("/..", "/a/../b", "/a/.")],
        ({"pages_path": "/."}, "pages_path"),
    ],
)
def test_what_no_database_or_browser_would_take_is_refused_at_once(
    settings: dict[str, Any], name: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(name)} "):
        SessionConfig(secret="a-secret-for-tests-of-32-characters", **settings)


def test_paths_with_dots_that_lead_nowhere_else_are_taken() -> None:
    config = SessionConfig(secret="a-secret-for-tests-of-32-characters", api_path="/.a/..b/c.")

    assert config.api_path == "/.a/..b/c."
