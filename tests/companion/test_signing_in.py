"""Signing a browser in and out."""

from __future__ import annotations

from typing import Any

import peewee
import pytest

from wsgi_sessions import (
    SessionLimitReached,
)
from wsgi_sessions_testing import (
    Bench,
    Browser,
)

from .apps import ADA, account_app


def test_signing_in_by_email_makes_the_user(bench: Bench, ada: Browser) -> None:
    session = ada.session
    assert session is not None
    assert session.user is not None
    assert session.user.email == ADA
    assert ada.get("/account").status_int == 200
    assert [event.name for event in bench.events] == ["session_created"]


def test_signing_in_again_keeps_the_user_and_replaces_the_session(ada: Browser) -> None:
    first = ada.session
    assert first is not None
    second = ada.sign_in("ADA@example.org")
    assert second.user_id == first.user_id
    assert ada.session is not None
    assert ada.session.id == second.id != first.id
    assert len(ada.manager.list_sessions(first.user_id)) == 1


def test_signing_in_as_a_user_that_was_made(bench: Bench) -> None:
    user = bench.factories.make_user(name="Grace")
    session = bench.new_browser().sign_in(user)
    assert session.user == user
    assert user.name == "Grace"


def test_the_cookie_is_set_as_the_product_sets_it(ada: Browser) -> None:
    line, device_line = ada.history[-1].received
    assert line == (
        f"__Host-session_token={ada.session_token}; Max-Age=604800; Path=/; Secure; HttpOnly; "
        "SameSite=Lax; Priority=High"
    )
    cookie = ada.cookies.find("__Host-session_token")
    assert cookie is not None
    assert cookie.is_http_only
    assert device_line.startswith("__Host-known_device=")
    assert device_line.endswith("; Path=/; Secure; HttpOnly; SameSite=Lax; Priority=High")


def test_signing_in_with_a_password_goes_through_the_api(bench: Bench) -> None:
    bench.factories.make_user(ADA, password="correct horse")
    browser = bench.new_browser("Safari on iPhone", address="192.0.2.7")
    session = browser.sign_in(ADA, "correct horse")
    assert session.ip_address == "192.0.2.7"
    assert session.user_agent is not None
    assert "iPhone" in session.user_agent
    assert browser.history[-1].url == "https://localhost/api/auth/sign-in/email"


def test_a_wrong_password_tells_the_answer(bench: Bench) -> None:
    bench.factories.make_user(ADA, password="correct horse")
    with pytest.raises(AssertionError, match="INVALID_EMAIL_OR_PASSWORD"):
        bench.new_browser().sign_in(ADA, "battery staple")


def test_a_password_needs_the_api() -> None:
    with Bench(account_app, api_path=None) as bench:
        browser = bench.new_browser()
        with pytest.raises(LookupError, match="api_path is None"):
            browser.sign_in(ADA, "correct horse")


def test_what_the_product_raises_at_sign_in_is_raised() -> None:
    settings = {"maximum_sessions": 1, "on_limit": "reject"}
    with Bench(account_app, multi_session=settings) as bench:
        bench.new_browser().sign_in(ADA)
        with pytest.raises(SessionLimitReached):
            bench.new_browser().sign_in(ADA)


def test_signing_out_leaves_nothing_but_the_device_cookie(ada: Browser) -> None:
    assert ada.sign_out()
    assert ada.session is None
    assert set(ada.cookies) == {"__Host-known_device"}
    assert ada.get("/account").status_int == 401
    assert not ada.sign_out()


def test_not_remembered_means_until_the_browser_closes(bench: Bench) -> None:
    browser = bench.new_browser()
    browser.sign_in(ADA, remember_me=False)
    assert browser.get("/account").status_int == 200
    browser.restart()
    assert browser.get("/account").status_int == 401


def test_a_remembered_session_outlives_the_browser(ada: Browser) -> None:
    ada.restart()
    assert ada.get("/account").status_int == 200


def test_over_http_the_cookie_has_no_prefix(bench: Bench) -> None:
    browser = bench.new_browser(base_url="http://localhost:8000")
    browser.sign_in(ADA)
    assert set(browser.cookies) == {"session_token", "known_device"}
    assert browser.session is not None
    assert browser.get("/account").status_int == 200


def test_cookies_of_a_path_and_a_domain() -> None:
    cookie = {"path": "/app", "domain": "example.org"}
    with Bench(account_app, cookie=cookie) as bench:
        browser = bench.new_browser()
        browser.sign_in(ADA)
        assert browser.base_url == "https://example.org"
        assert browser.session is not None
        assert browser.session_token is not None
        assert browser.get("/account").status_int == 401


def test_other_devices_are_revoked_by_id(bench: Bench, ada: Browser) -> None:
    phone = bench.new_browser("Safari on iPhone")
    phone.sign_in(ADA)
    assert phone.session is not None
    assert ada.revoke_session(phone.session.id)
    assert phone.session is None
    assert ada.session is not None


def test_a_user_of_the_apps_own_model_can_sign_in() -> None:
    memory = peewee.SqliteDatabase(":memory:")

    class Member(peewee.Model):
        email = peewee.CharField(unique=True)

        class Meta:
            database = memory

    memory.create_tables([Member])
    ada: Any = Member.create(email=ADA)
    with Bench(account_app, database=memory, user_model=Member) as bench:
        browser = bench.new_browser()
        assert browser.sign_in(ada).user_id == ada.id
        assert browser.get("/account").status_int == 200
        assert browser.sign_in("grace@example.org").user_id != ada.id
        bench.factories.make_user("lin@example.org", password="correct horse")
        lin: Any = Member.get(Member.email == "lin@example.org")
        assert browser.sign_in(lin, "correct horse").user_id == lin.id
    memory.close()


def test_a_user_can_be_given_with_a_password(bench: Bench) -> None:
    user = bench.factories.make_user(password="correct horse")
    assert bench.new_browser().sign_in(user, "correct horse").user == user


def test_a_cookie_that_does_not_get_through_is_told() -> None:
    with Bench(account_app, cookie={"domain": "example.org"}) as bench:
        bench.factories.make_user(ADA, password="correct horse")
        browser = bench.new_browser(base_url="https://example.com")
        with pytest.raises(AssertionError, match=r"Domain=example\.org does not cover the host"):
            browser.sign_in(ADA, "correct horse")
