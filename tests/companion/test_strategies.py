"""The Hypothesis strategies, drawn from and sent through the product."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from wsgi_sessions import SessionConfig
from wsgi_sessions.config.parts import CookieConfig
from wsgi_sessions.transport.environ import read_facts
from wsgi_sessions_testing import Bench, Browser, settings_for_tests
from wsgi_sessions_testing.strategies import (
    ProxiedAddress,
    configs,
    cookie_headers,
    ip_addresses,
    proxied_addresses,
    session_tokens,
    timelines,
    user_agents,
)

SOME = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

# Whether something comes up is the question: the shortest such value is nobody's concern.
DRAWN = settings(SOME, max_examples=2000, phases=[Phase.generate])


def app(environ: Any, start_response: Any) -> list[bytes]:
    user = environ["wsgi_sessions.user"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"nobody" if user is None else user.email.encode()]


@pytest.fixture(scope="module")
def ada() -> Iterator[Browser]:
    with Bench(app) as bench:
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        yield browser


def ask(browser: Browser, header: str) -> str:
    stranger = browser.fork()
    stranger.cookies.clear()
    return stranger.get("/", headers={"Cookie": header}).text


@SOME
@given(config=configs())
def test_settings_go_together(config: SessionConfig) -> None:
    assert config.update_age_ms < config.expires_in_ms
    with Bench(app, config=config) as bench:
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        assert browser.get(config.cookie.path).text == "ada@example.org"


@SOME
@given(config=configs(idle_timeout=3600, cookie_cache=True))
def test_given_settings_stay(config: SessionConfig) -> None:
    assert config.idle_timeout == timedelta(hours=1)
    assert config.cookie_cache.enabled


@pytest.mark.parametrize(
    "fixed",
    [
        {"expires_in": 3600},
        {"expires_in": 1},
        {"expires_in": timedelta(days=400)},
        {"update_age": 7 * 86_400},
        {"update_age": timedelta(days=90)},
        {"rotation_grace": 300},
        {"rotation_grace": 30 * 86_400},
        {"rotation_grace": 3600, "update_age": 600},
        {"rotation_grace": 1800, "expires_in": 3600},
        {"expires_in": 3600, "update_age": 600, "rotation_grace": 299},
        {"rotate_tokens": True, "update_age": 1},
        {"rotate_tokens": True, "rotation_grace": 30 * 86_400},
        {"rotation_interval": 6},
        {"rotation_interval": 3600, "rotation_grace": 720},
        {"rotation_interval": 3600, "upload_grace": 3590, "expires_in": 4000},
        {"upload_grace": 86_400, "rotation_grace": 1},
        {"upload_grace": 3, "rotation_grace": 1, "rotation_interval": 6, "expires_in": 7},
        {"clock_difference": 10},
        {"rotate_tokens": False, "rotation_grace": 3600, "expires_in": 60},
        {"cookie": {"secure": False}},
        {"cookie": {"same_site": "None", "path": "/"}},
        {"cookie": {"partitioned": True}},
        {"cookie": CookieConfig(name="sid")},
        {"ip_binding": "exact", "trusted_proxies": ["127.0.0.0/8"]},
        {"cookie_cache": {"enabled": True}, "multi_session": False},
    ],
    ids=str,
)
def test_settings_are_drawn_around_those_that_are_given(fixed: dict[str, Any]) -> None:
    bare = {name: value for name, value in fixed.items() if not isinstance(value, dict)}

    @SOME
    @given(config=configs(**fixed))
    def stay(config: SessionConfig) -> None:
        assert all(
            getattr(config, name) == getattr(config.replace(**{name: value}), name)
            for name, value in bare.items()
            if name not in ("multi_session", "cookie_cache")
        )
        for part in ("cookie", "cookie_cache"):
            if isinstance(fixed.get(part), dict):
                assert {f: getattr(getattr(config, part), f) for f in fixed[part]} == fixed[part]

    stay()


@pytest.mark.parametrize(
    "wanted",
    [
        lambda config: config.ip_binding == "exact" and config.on_ip_mismatch == "revoke",
        lambda config: config.trusted_proxies and config.ip_binding == "subnet",
        lambda config: config.cookie.secure is False and config.cookie.path == "/app",
        lambda config: config.cookie.same_site == "None" and config.cookie.partitioned,
        lambda config: config.cookie.domain is not None and config.cookie.same_site == "Strict",
        lambda config: config.on_database_error == "anonymous",
        lambda config: config.cookie_cache.enabled and config.idle_timeout is not None,
        lambda config: not config.multi_session.enabled,
        lambda config: config.rotation_grace_ms == 1000,
        lambda config: config.rotate_tokens and config.upload_grace_ms > 600_000,
        lambda config: config.rotate_tokens and config.rotation_interval > config.expires_in,
        lambda config: config.rotate_tokens and config.rotation_interval < config.update_age,
        lambda config: config.rotate_tokens and config.short_rotation_interval_ms is None,
        lambda config: not config.rotate_tokens and config.rotation_notes,
        lambda config: config.absolute_timeout is not None and not config.rotate_tokens,
    ],
)
def test_settings_of_every_kind_come_up(wanted: Any) -> None:
    assert wanted(find(configs(), wanted, settings=DRAWN))


@SOME
@given(data=st.data())
def test_no_hostile_header_signs_anybody_in(ada: Browser, data: st.DataObject) -> None:
    header = data.draw(cookie_headers().map(str.strip))

    assert ask(ada, header) == "nobody"


@SOME
@given(data=st.data())
def test_good_pair_is_found_among_hostile_ones(ada: Browser, data: st.DataObject) -> None:
    good = f"__Host-session_token={ada.session_token}"
    header = data.draw(cookie_headers(good))

    assert good in header
    assert ask(ada, header) == "ada@example.org"


@SOME
@given(token=session_tokens())
def test_no_token_was_signed_by_a_server(ada: Browser, token: str) -> None:
    assert ada.manager.parts.signer.read(token) is None


@SOME
@given(line=user_agents(), address=ip_addresses())
def test_user_agents_and_addresses_reach_the_list_of_sessions(line: str, address: str) -> None:
    with Bench(app) as bench:
        browser = bench.new_browser(line, address=address)
        browser.sign_in("ada@example.org")

        assert browser.session is not None
        assert line.startswith(browser.session.user_agent or "")
        assert browser.session.ip_address is not None


@SOME
@given(proxied=proxied_addresses())
def test_client_is_found_behind_its_proxies(proxied: ProxiedAddress) -> None:
    environ = {
        "REMOTE_ADDR": proxied.remote_addr,
        **{
            f"HTTP_{name.upper().replace('-', '_')}": text for name, text in proxied.headers.items()
        },
    }

    facts = read_facts(environ, settings_for_tests(trusted_proxies=proxied.trusted))

    assert facts.address == proxied.client


@SOME
@given(proxied=proxied_addresses(trusted=()))
def test_without_proxies_nobody_is_believed(proxied: ProxiedAddress) -> None:
    assert proxied.client == proxied.remote_addr
    assert proxied.trusted == ()


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_proxies_of_both_kinds_come_up(header: str) -> None:
    assert find(proxied_addresses(), lambda proxied: header in proxied.headers, settings=DRAWN)


@SOME
@given(waits=timelines(settings_for_tests(update_age=600, expires_in=3600)))
def test_sessions_live_through_a_timeline_as_long_as_they_say(waits: list[timedelta]) -> None:
    with Bench(app, update_age=600, expires_in=3600) as bench:
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        for wait in waits:
            session = browser.session
            bench.clock.advance(wait)
            is_in = browser.get("/").text != "nobody"
            assert is_in == (session is not None and session.expires_at > bench.clock.now())


def test_timelines_come_to_the_very_edge() -> None:
    config = settings_for_tests()
    edges = {timedelta(milliseconds=config.expires_in_ms + off_by) for off_by in (-1, 0, 1)}
    edges |= {timedelta(minutes=3), timedelta(minutes=10), timedelta(days=1, minutes=-1)}

    for edge in edges:
        assert find(timelines(config), lambda waits, edge=edge: edge in waits, settings=DRAWN)  # type: ignore[misc]


def test_tokens_of_four_parts_and_of_five_come_up() -> None:
    has_branch = re.compile(r"v1\..+\.\d+\.[\w-]{8}\..+", re.DOTALL)

    assert find(
        session_tokens(), lambda token: has_branch.fullmatch(token) is not None, settings=DRAWN
    )
    assert find(session_tokens(), lambda token: token.count(".") == 3, settings=DRAWN)
