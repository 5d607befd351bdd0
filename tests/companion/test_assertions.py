"""Claims about the assertions under settings of every kind: sound ones pass, others are told why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from wsgi_sessions import SessionManager, SessionMiddleware, print_mail
from wsgi_sessions_testing import (
    Bench,
    Browser,
    assert_bound_to_address,
    assert_cached_copy_is_bounded,
    assert_cookie_flags,
    assert_forged_token_refused,
    assert_logout_is_final,
    assert_password_change_is_final,
    assert_revocation_is_final,
    assert_revocation_within,
    assert_rotation_safe,
    assert_session_data_is_kept,
)
from wsgi_sessions_testing.assertions.steps import passwords_for

from .apps import ADA, page_app


def data_of(browser: Browser, **put: Any) -> dict[str, Any]:
    def act(handle: Any) -> dict[str, Any]:
        handle.session.data.update(put)
        return dict(handle.session.data)

    return browser._with_handle("use data", act)


@contextmanager
def signed_in(
    *,
    remember_me: bool = True,
    base_url: str | None = None,
    address: str = "127.0.0.1",
    **settings: Any,
) -> Iterator[Browser]:
    with Bench(page_app, **settings) as bench:
        browser = bench.new_browser(base_url=base_url, address=address)
        browser.sign_in(ADA, remember_me=remember_me)
        yield browser


SOUND: list[dict[str, Any]] = [
    {"idle_timeout": 3600},
    {"idle_timeout": 3600, "cookie_cache": True},
    {"absolute_timeout": 43_200, "update_age": 3600},
    {"rotation_grace": 30},
    {"rotation_grace": 3600, "rotation_interval": 86_400},
    {"rotation_grace": 1, "rotation_interval": 6},
    {"rotation_grace": 1, "rotation_interval": 6, "cookie_cache": True, "remember_me": False},
    {"rotation_interval": 3600, "upload_grace": 180, "cookie_cache": True},
    {"rotation_interval": 30 * 86_400},
    {"idle_timeout": 100, "rotation_interval": 3600},
    {"secret": ("the-newest-secret-of-all-" * 2, "the-older-secret-of-the-app-" * 2)},
    {"on_replay": "reject"},
    {"cookie": {"path": "/app"}},
    {"cookie": {"path": "/app"}, "cookie_cache": True},
    {"cookie": {"domain": "example.org"}, "cookie_cache": True},
    {"cookie": {"secure": False}, "cookie_cache": True},
    {"cookie": {"same_site": "None", "partitioned": True}},
    {"base_url": "http://localhost:8000", "cookie_cache": True},
    {"cookie_cache": {"enabled": True, "max_age": 30 * 86_400}},
    {"cookie_cache": True, "idle_timeout": 3600, "absolute_timeout": 3600, "update_age": 600},
    {"multi_session": {"maximum_sessions": 1}},
    {"multi_session": {"maximum_sessions": 1, "on_limit": "reject"}},
    {"ip_binding": "subnet", "address": "203.0.113.5"},
    {"remember_me": False},
    {"remember_me": False, "update_age": 3600, "cookie_cache": True},
]


def claim_rotation_safe(browser: Browser) -> None:
    is_reject = browser.manager.config.on_replay == "reject"
    assert_rotation_safe(browser, thief_may_stay=is_reject)


@pytest.mark.parametrize("settings", SOUND, ids=str)
@pytest.mark.parametrize(
    "claim",
    [
        claim_rotation_safe,
        assert_revocation_is_final,
        assert_forged_token_refused,
        assert_cookie_flags,
        assert_logout_is_final,
        assert_session_data_is_kept,
        lambda browser: assert_revocation_within(browser, 1),
    ],
    ids=lambda claim: claim.__name__,
)
def test_a_sound_product_passes_under_valid_settings(
    claim: Callable[[Browser], None], settings: dict[str, Any]
) -> None:
    with signed_in(**settings) as browser:
        claim(browser)


@pytest.mark.parametrize("settings", [s for s in SOUND if "cookie_cache" in s], ids=str)
def test_cached_copies_are_bounded_under_valid_settings(settings: dict[str, Any]) -> None:
    with signed_in(**settings) as browser:
        assert_cached_copy_is_bounded(browser)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"password": {"min_length": 30}, "require_verified_email": True},
        {"multi_session": {"maximum_sessions": 1, "on_limit": "reject"}},
        {"throttle": {"tries": 1}},
    ],
    ids=str,
)
def test_a_password_change_is_final_under_valid_settings(settings: dict[str, Any]) -> None:
    manager = SessionManager(
        "sqlite:///:memory:",
        secret="of-a-project-under-test-" * 2,
        site_url="https://app.example.org",
        on_send=print_mail,
        **settings,
    )

    assert_password_change_is_final(SessionMiddleware(page_app, manager))


@pytest.mark.parametrize("length", range(8, 65))
def test_passwords_of_the_assertions_are_taken_whatever_the_least_length(length: int) -> None:
    with Bench(None, password={"min_length": length}) as bench:
        user = bench.factories.make_user(ADA, name="Ada Lovelace")
        passwords = passwords_for(bench.manager.config, 3)
        assert len(set(passwords)) == 3
        for password in passwords:
            bench.manager.set_password(user.id, password)


@pytest.mark.parametrize("settings", [{"absolute_timeout": 43_200}, {"absolute_timeout": 5}])
def test_a_revocation_is_final_where_nothing_is_ever_refreshed(settings: dict[str, Any]) -> None:
    with signed_in(**settings) as browser:
        assert_revocation_is_final(browser)


@pytest.mark.parametrize(
    ("claim", "settings", "said"),
    [
        (
            assert_rotation_safe,
            {"rotate_tokens": False},
            (
                "there is no rotation to be safe: rotate_tokens is off; "
                "write @pytest.mark.sessions(rotate_tokens=True)"
            ),
        ),
        (
            assert_rotation_safe,
            {"expires_in": 600, "update_age": 300},
            (
                "there is no rotation to be safe: sessions live 600 s and are refreshed after "
                "300 s, which leaves no time to rotate their tokens safely with a rotation_grace "
                "of 60 s, so they are not rotated; raise expires_in, or set rotation_interval "
                "and rotation_grace, or rotate_tokens=False to say that you know"
            ),
        ),
        (
            assert_rotation_safe,
            {"remember_me": False, "short_expires_in": 600},
            (
                "there is no rotation to be safe: the session is not remembered, and "
                "short_expires_in (600 s) leaves no time to rotate its token; sign in with "
                "remember_me=True, or write @pytest.mark.sessions(short_expires_in=…), a longer one"
            ),
        ),
        (
            assert_rotation_safe,
            {"absolute_timeout": 43_200},
            (
                "the session ends 0 s after its token is due for rotation, and it takes 601 s to "
                "see who keeps it (two windows, or upload_grace); write @pytest.mark.sessions(…) "
                "with a longer absolute_timeout, or a lower rotation_interval"
            ),
        ),
        (
            assert_rotation_safe,
            {"remember_me": False, "short_expires_in": 640, "upload_grace": 180},
            (
                "the session ends 320 s after its token is due for rotation, and it takes 361 s to "
                "see who keeps it (two windows, or upload_grace); write @pytest.mark.sessions(…) "
                "with a longer short_expires_in"
            ),
        ),
        (
            assert_rotation_safe,
            {"on_replay": "reject"},
            (
                'on_replay is "reject", so a thief who is the first to ask after the window keeps '
                "the session, and can't be shown to be out; write "
                '@pytest.mark.sessions(on_replay="revoke"), or '
                "assert_rotation_safe(browser, thief_may_stay=True) for the rest"
            ),
        ),
        (
            assert_rotation_safe,
            {"idle_timeout": 10},
            (
                "idle_timeout is 0:00:10, so it takes 17280 visits to be in use for 86400 s; raise it "
                "for this test, or write @pytest.mark.sessions(rotation_interval=…, update_age=…) "
                "with shorter ones"
            ),
        ),
        (
            assert_bound_to_address,
            {},
            (
                "ip_binding is off, so sessions are good everywhere; "
                'write @pytest.mark.sessions(ip_binding="subnet")'
            ),
        ),
    ],
)
def test_settings_under_which_nothing_can_be_shown_are_named(
    claim: Callable[[Browser], None], settings: dict[str, Any], said: str
) -> None:
    with signed_in(**settings) as browser, pytest.raises(AssertionError) as failure:
        claim(browser)

    assert str(failure.value).splitlines()[0] == said


def test_a_session_without_an_address_is_bound_to_none() -> None:
    with Bench(page_app, ip_binding="exact") as bench:
        browser = bench.new_browser(address=None)
        browser.sign_in(ADA)
        with pytest.raises(AssertionError, match="made without an address, so it is bound to none"):
            assert_bound_to_address(browser)


@pytest.mark.parametrize(
    ("settings", "elsewhere", "why"),
    [
        ({"ip_binding": "subnet"}, "127.0.0.9", "'subnet' takes for the same as 127.0.0.1; give"),
        ({"ip_binding": "exact"}, "127.0.0.1", "'exact' takes for the same as 127.0.0.1; give"),
        (
            {"ip_binding": "exact", "trusted_proxies": ["192.0.2.0/24"]},
            "192.0.2.1",
            "one of the trusted_proxies",
        ),
    ],
)
def test_an_elsewhere_that_is_none_is_refused(
    settings: dict[str, Any], elsewhere: str, why: str
) -> None:
    with signed_in(**settings) as browser, pytest.raises(ValueError, match=why):
        assert_bound_to_address(browser, elsewhere=elsewhere)


@pytest.mark.parametrize("settings", [{"ip_binding": "subnet"}, {"ip_binding": "exact"}])
@pytest.mark.parametrize("address", ["127.0.0.1", "203.0.113.66", "203.0.113.5", "2001:db8::7"])
def test_an_elsewhere_is_found_for_every_browser(settings: dict[str, Any], address: str) -> None:
    with signed_in(address=address, **settings) as browser:
        assert_bound_to_address(browser)


def test_a_page_that_session_cookies_do_not_reach_is_refused() -> None:
    with (
        signed_in(cookie={"path": "/app"}) as browser,
        pytest.raises(ValueError, match="page is '/', where no session cookie is sent, because"),
    ):
        assert_rotation_safe(browser, page="/")


@pytest.mark.parametrize("visits", range(4))
def test_a_rotation_that_is_under_way_already_is_let_go_by(visits: int) -> None:
    with Bench(page_app) as bench:
        browser = bench.new_browser()
        browser.sign_in(ADA)
        bench.clock.advance(days=1)
        for _ in range(visits):
            browser.get("/")

        assert_rotation_safe(browser)


@pytest.mark.parametrize("is_settled", [False, True])
@pytest.mark.parametrize("caught_up", [False, True])
def test_a_session_at_any_point_of_a_rotation_can_be_judged(
    is_settled: bool, caught_up: bool
) -> None:
    with Bench(page_app) as bench:
        browser = bench.new_browser()
        made = bench.factories.make_session(
            generation=3, age=86_400, confirmed=60, is_settled=is_settled, caught_up=caught_up
        )
        browser.adopt(made)

        assert_rotation_safe(browser)


@pytest.mark.parametrize(
    ("settings", "remember_me"), [({"absolute_timeout": 5 * 86_400}, True), ({}, False)]
)
def test_a_session_that_ends_before_its_next_rotation_is_to_begin_anew(
    settings: dict[str, Any], remember_me: bool
) -> None:
    with Bench(page_app, **settings) as bench:
        browser = bench.new_browser()
        age = 4 * 86_400 + 1 if remember_me else 13 * 3600
        browser.adopt(
            bench.factories.make_session(
                generation=1, age=age, confirmed=60, remember_me=remember_me
            )
        )
        with pytest.raises(AssertionError, match="ends before its next rotation is over; sign in"):
            assert_rotation_safe(browser)


def test_the_data_of_the_app_is_left_as_it_was() -> None:
    with signed_in() as browser:
        data_of(browser, cart=["tea"], seen=7)

        assert_session_data_is_kept(browser)

        assert data_of(browser) == {"cart": ["tea"], "seen": 7}


def test_a_forged_token_that_a_jar_will_not_take_shows_nothing() -> None:
    with signed_in() as browser:
        cookies: Any = browser.manager.parts.cookies
        cookies.set_token = lambda *_, **__: ("Set-Cookie", "__Host-session_token=x; Path=/")
        with pytest.raises(AssertionError, match="took no __Host-session_token, so nothing is"):
            assert_forged_token_refused(browser)
