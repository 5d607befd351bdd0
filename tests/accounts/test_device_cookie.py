"""What the device cookie promises: whom a browser is known for, for how long, and what it shows."""

from __future__ import annotations

import pytest

from tests.support import new_clock
from wsgi_sessions.accounts.device_cookie import MAX_ACCOUNTS, DeviceCookies
from wsgi_sessions.sessions.signing import KeyRing
from wsgi_sessions_testing import Bench, Browser

NOW = 1_700_000_000_000
DAY_MS = 86_400_000
ADA, EVE = "ada@example.org", "eve@example.org"
OLD, NEW = "o" * 32, "n" * 32
PASSWORD = "correct horse"


@pytest.fixture
def devices() -> DeviceCookies:
    return DeviceCookies([NEW, OLD], lifetime_ms=DAY_MS)


def test_a_browser_is_known_for_its_account_alone(devices: DeviceCookies) -> None:
    text = devices.remember((), ADA, now_ms=NOW)
    assert devices.find([text], ADA, now_ms=NOW) is not None
    assert devices.find([text], EVE, now_ms=NOW) is None
    assert devices.find([text], None, now_ms=NOW) is not None
    assert devices.find((), None, now_ms=NOW) is None


def test_it_is_known_until_the_lifetime_is_over(devices: DeviceCookies) -> None:
    text = devices.remember((), ADA, now_ms=NOW)
    assert devices.find([text], ADA, now_ms=NOW + DAY_MS - 1) is not None
    assert devices.find([text], ADA, now_ms=NOW + DAY_MS) is None


def test_several_accounts_are_known_the_latest_first(devices: DeviceCookies) -> None:
    text = ""
    for number in range(MAX_ACCOUNTS + 1):
        text = devices.remember([text], f"user {number}", now_ms=NOW)
    known = [n for n in range(MAX_ACCOUNTS + 1) if devices.find([text], f"user {n}", now_ms=NOW)]
    assert known == list(range(1, MAX_ACCOUNTS + 1))
    assert len(text) < 600


def test_an_account_is_there_once_under_a_new_id(devices: DeviceCookies) -> None:
    first = devices.remember((), ADA, now_ms=NOW)
    second = devices.remember([devices.remember([first], EVE, now_ms=NOW)], ADA, now_ms=NOW)
    assert second.count("~") == 1
    assert devices.find([second], ADA, now_ms=NOW) != devices.find([first], ADA, now_ms=NOW)
    assert devices.find([second], EVE, now_ms=NOW) is not None


def test_it_shows_no_account(devices: DeviceCookies) -> None:
    assert "ada" not in devices.remember((), ADA, now_ms=NOW)


def test_one_of_an_older_secret_is_known_and_another_server_s_is_not(
    devices: DeviceCookies,
) -> None:
    old = DeviceCookies([OLD], lifetime_ms=DAY_MS).remember((), ADA, now_ms=NOW)
    other = DeviceCookies(["x" * 32], lifetime_ms=DAY_MS).remember((), ADA, now_ms=NOW)
    assert devices.find([old], ADA, now_ms=NOW) is not None
    assert devices.find([other], ADA, now_ms=NOW) is None
    assert "~" not in devices.remember([other], EVE, now_ms=NOW), "what is not ours is dropped"


def test_every_change_of_an_entry_is_refused(devices: DeviceCookies) -> None:
    text = devices.remember((), ADA, now_ms=NOW)
    account_from = text.rindex(".")
    for place in range(len(text)):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        # The signature over the browser alone says nothing about the account.
        if text.index(".", 25) < place <= account_from:
            assert devices.find([changed], None, now_ms=NOW) is None
        else:
            assert devices.find([changed], ADA, now_ms=NOW) is None


@pytest.mark.parametrize(
    "text", ["", "~", "a" * 5000, "~" * 5000, ".".join("abcd"), "\ud800", "é.1.a.b"]
)
def test_any_text_may_come(devices: DeviceCookies, text: str) -> None:
    assert devices.find([text], ADA, now_ms=NOW) is None
    assert devices.find([devices.remember([text], ADA, now_ms=NOW)], ADA, now_ms=NOW)


def test_the_key_is_its_own(devices: DeviceCookies) -> None:
    text = devices.remember((), ADA, now_ms=NOW)
    device_id, made_at_s, *_ = text.split(".")
    message = f"{device_id}.{made_at_s}".encode()
    assert KeyRing([NEW], "session token v1").sign(message) != KeyRing(
        [NEW], "device cookie v1"
    ).sign(message)


# In a browser


def do(browser: Browser, path: str, **body: object) -> int:
    return browser.post_json(f"/api/auth{path}", body).status_int


def sign_up(browser: Browser, **more: object) -> None:
    assert do(browser, "/sign-up/email", name="Ada", email=ADA, password=PASSWORD, **more) == 200


def lines_of(browser: Browser, name: str = "known_device") -> list[str]:
    return [line for line in browser.history[-1].received if name in line.partition("=")[0]]


def test_a_sign_up_a_sign_in_and_a_new_password_set_it() -> None:
    with Bench(None, clock=new_clock()) as bench:
        browser = bench.new_browser()
        sign_up(browser)
        (line,) = lines_of(browser)
        assert line.startswith("__Host-known_device=")
        for part in ("; Max-Age=31536000", "; HttpOnly", "; Secure", "; SameSite=Lax", "; Path=/"):
            assert part in line
        assert do(browser, "/sign-in/email", email=ADA, password=PASSWORD) == 200
        assert len(lines_of(browser)) == 1
        body = {"currentPassword": PASSWORD, "newPassword": "another horse"}
        assert do(browser, "/change-password", **body) == 200
        assert len(lines_of(browser)) == 1


def test_it_outlives_a_sign_out() -> None:
    with Bench(None) as bench:
        browser = bench.new_browser()
        sign_up(browser)
        assert do(browser, "/sign-out") == 200
        assert lines_of(browser) == []
        assert list(browser.cookies) == ["__Host-known_device"]


def test_who_is_kept_out_of_a_new_browser_gets_in_by_a_reset() -> None:
    with Bench(None, on_send=lambda *_: None, site_url="https://localhost") as bench:
        sign_up(bench.new_browser())
        for number in range(10):
            guesser = bench.new_browser(address=f"198.51.{number}.1")
            for _ in range(10):
                do(guesser, "/sign-in/email", email=ADA, password="wrong horse")
        owner = bench.new_browser(address="203.0.113.7")
        assert do(owner, "/sign-in/email", email=ADA, password=PASSWORD) == 429

        bench.manager.request_password_reset(email=ADA)
        token = bench.mailbox.last("reset-password").token
        assert do(owner, "/reset-password", token=token, newPassword="another horse") == 200
        (line,) = lines_of(owner)
        assert "Max-Age" not in line
        assert do(owner, "/sign-in/email", email=ADA, password="another horse") == 200


def test_it_ends_with_a_browser_that_is_not_to_be_remembered() -> None:
    with Bench(None) as bench:
        browser = bench.new_browser()
        sign_up(browser, rememberMe=False)
        (line,) = lines_of(browser)
        assert "Max-Age" not in line


def test_nobody_gets_it_without_having_signed_in() -> None:
    with Bench(None, require_verified_email=True) as bench:
        browser = bench.new_browser()
        sign_up(browser)
        assert browser.history[-1].received == ()
        assert do(browser, "/sign-in/email", email=ADA, password="wrong horse") == 401
        assert browser.history[-1].received == ()


def test_there_is_none_without_a_throttle() -> None:
    with Bench(None, throttle=None) as bench:
        browser = bench.new_browser()
        sign_up(browser)
        assert lines_of(browser) == []


def test_name_and_lifetime_are_settings() -> None:
    throttle = {"device_lifetime": 3600}
    with Bench(None, cookie={"device_name": "seen"}, throttle=throttle) as bench:
        browser = bench.new_browser()
        sign_up(browser)
        (line,) = lines_of(browser, "seen")
        assert line.startswith("__Host-seen=")
        assert "; Max-Age=3600;" in line


@pytest.mark.parametrize("path", ["/sign-in/email", "/sign-up/email"])
def test_one_warning_says_that_a_proxy_is_not_trusted(path: str) -> None:
    with Bench(None) as bench:
        browser = bench.new_browser(address="10.0.0.5")
        headers = {"X-Forwarded-For": "203.0.113.9"}
        body = {"name": "Ada", "email": ADA, "password": PASSWORD}
        for _ in range(3):
            browser.post_json(f"/api/auth{path}", body, headers=headers)
        told = [event for event in bench.events if event.name == "proxy_not_trusted"]
    (event,) = told
    assert event.address == "10.0.0.5"
    assert event.details == {"remedy": "if that is your proxy, set trusted_proxies=['10.0.0.5']"}
