"""The React example on the real ``better-auth/react``, in Chromium: what people see and do.

Must not call the API itself: everything goes through the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .chromium import launched, note_script_errors, serious_findings
from .service import ROOT, Service, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

REACT = ROOT / "examples" / "react"
EMAIL, PASSWORD = "ada@example.org", "correct horse"
DAY = 86_400
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not (REACT / "dist" / "index.html").exists():
        pytest.skip("the page is not built; run: cd examples/react && npm ci && npm run build")
    with launched() as browser:
        yield browser


@pytest.fixture(params=[False, True], ids=["no cache", "cookie cache"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path, cookie_cache=request.param) as service:
        yield service


class Person:
    """Somebody at one device: tabs share its cookies, and every script error is noted."""

    def __init__(self, context: BrowserContext, service: Service) -> None:
        self._context = context
        self._service = service
        self.script_errors: list[str] = []

    def open_tab(self) -> Page:
        page = self._context.new_page()
        page.set_default_timeout(15_000)
        note_script_errors(page, self.script_errors)
        page.goto(self._service.url)
        return page


People = Callable[..., Person]


@pytest.fixture
def people(chromium: Browser, service: Service) -> Iterator[People]:
    made: list[tuple[BrowserContext, Person]] = []

    def meet(**options: Any) -> Person:
        context = chromium.new_context(**options)
        person = Person(context, service)
        made.append((context, person))
        return person

    yield meet
    for context, person in made:
        context.close()
        assert person.script_errors == []


def sign_up(page: Page) -> None:
    page.get_by_role("button", name="I am new here").click()
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    page.get_by_role("heading", name="Hello, Ada!").wait_for()


def sign_in(page: Page, password: str = PASSWORD, *, remember: bool = True) -> None:
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(password)
    page.get_by_role("checkbox").set_checked(remember)
    page.get_by_role("button", name="Sign in").click()


def wait_signed_in(page: Page) -> None:
    page.get_by_role("heading", name=re.compile("^Hello, ")).wait_for()


def wait_signed_out(page: Page) -> None:
    page.get_by_role("heading", name="Sign in").wait_for()


def test_signing_up_out_and_in_again(people: People) -> None:
    page = people().open_tab()
    wait_signed_out(page)
    sign_up(page)
    page.reload()
    wait_signed_in(page)
    page.get_by_role("button", name="Sign out").click()
    wait_signed_out(page)

    sign_in(page, "wrong horse")
    page.get_by_role("alert").wait_for()
    wrong = page.get_by_role("alert").inner_text()
    page.get_by_label("E-mail").fill("nobody@example.org")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_timeout(300)
    assert page.get_by_role("alert").inner_text() == wrong

    sign_in(page)
    wait_signed_in(page)


def test_both_tabs_follow(people: People) -> None:
    ada = people()
    one, other = ada.open_tab(), ada.open_tab()
    wait_signed_out(other)
    sign_up(one)
    # The client looks again when a tab is turned to; it tells other tabs of the rest by itself.
    other.bring_to_front()
    other.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    wait_signed_in(other)
    one.bring_to_front()
    one.get_by_label("Name").fill("Ada L.")
    one.get_by_role("button", name="Save").click()
    other.get_by_role("heading", name="Hello, Ada L.!").wait_for()
    one.get_by_role("button", name="Sign out").click()
    wait_signed_out(one)
    wait_signed_out(other)


def test_remember_me_off_is_a_cookie_of_the_browsers_session(people: People) -> None:
    ada = people()
    page = ada.open_tab()
    sign_up(page)
    page.get_by_role("button", name="Sign out").click()
    wait_signed_out(page)
    for remember in (True, False):
        sign_in(page, remember=remember)
        wait_signed_in(page)
        [cookie] = [one for one in page.context.cookies() if one["name"] == "session_token"]
        assert (cookie["expires"] != -1) is remember
        assert cookie["httpOnly"] and cookie["sameSite"] == "Lax"
        page.get_by_role("button", name="Sign out").click()
        wait_signed_out(page)


FETCH = """async ([url, body]) => {
    const options = body === null ? {} : {
        method: "POST", body, headers: {"Content-Type": "application/json"},
    };
    try {
        return (await fetch(url, {credentials: "include", ...options})).status;
    } catch {
        return "refused";
    }
}"""
BODY = f'{{"email": "{EMAIL}", "password": "{PASSWORD}"}}'


@pytest.mark.parametrize("is_trusted", [False, True], ids=["stranger", "trusted"])
def test_a_page_of_another_origin_needs_trust(
    is_trusted: bool, chromium: Browser, tmp_path: Path
) -> None:
    """``localhost`` and ``127.0.0.1`` are one server here, and two origins to a browser."""
    trusted = ["http://localhost:{port}"] if is_trusted else []
    with serving(tmp_path, trusted_origins=trusted) as service:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(service.url)
        sign_up(page)
        other = context.new_page()
        other.goto(service.url.replace("127.0.0.1", "localhost"))
        api = f"{service.url}/api/auth"
        answers = [
            other.evaluate(FETCH, [f"{api}/get-session", None]),
            other.evaluate(FETCH, [f"{api}/sign-in/email", BODY]),
            other.evaluate(FETCH, [f"{api}/sign-out", "{}"]),
        ]
        context.close()
    assert answers == ([200, 200, 200] if is_trusted else ["refused"] * 3)


def test_devices_are_listed_and_ended(people: People, service: Service) -> None:
    laptop = people().open_tab()
    sign_up(laptop)
    phone_device = people(user_agent=FIREFOX)
    phone = phone_device.open_tab()
    sign_in(phone)
    wait_signed_in(phone)

    laptop.reload()
    end = laptop.get_by_role("button", name=f"End session: {FIREFOX}")
    end.click()
    end.wait_for(state="detached")
    service.advance(2)
    phone.reload()
    wait_signed_out(phone)

    sign_in(phone)
    wait_signed_in(phone)
    laptop.reload()
    end.wait_for()
    laptop.get_by_role("button", name="End all others").click()
    end.wait_for(state="detached")
    service.advance(2)
    phone.reload()
    wait_signed_out(phone)

    laptop.get_by_role("button", name="End all, this one too").click()
    wait_signed_out(laptop)


def test_name_and_password_change(people: People, service: Service) -> None:
    laptop, phone = people().open_tab(), people(user_agent=FIREFOX).open_tab()
    sign_up(laptop)
    sign_in(phone)
    wait_signed_in(phone)

    laptop.get_by_label("Name").fill("Ada L.")
    laptop.get_by_role("button", name="Save").click()
    laptop.get_by_role("heading", name="Hello, Ada L.!").wait_for()

    laptop.get_by_label("Current password").fill(PASSWORD)
    laptop.get_by_label("New password").fill("another horse")
    laptop.get_by_role("button", name="Change password").click()
    laptop.get_by_text("your other devices are signed out").wait_for()
    service.advance(2)
    phone.reload()
    wait_signed_out(phone)
    laptop.reload()
    wait_signed_in(laptop)


def test_a_day_and_a_week_pass(people: People, service: Service) -> None:
    ada = people()
    page = ada.open_tab()
    sign_up(page)
    for _ in range(2):
        service.advance(DAY + 1)
        page.reload()
        wait_signed_in(page)
        page.reload()
        wait_signed_in(page)
    service.advance(8 * DAY)
    page.reload()
    wait_signed_out(page)


def test_a_server_that_is_away_signs_nobody_out(people: People, service: Service) -> None:
    page = people().open_tab()
    sign_up(page)
    page.evaluate("document.title = 'kept'")
    service.stop()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("alert").wait_for()
    assert "can’t be reached" in page.get_by_role("alert").inner_text()
    service.start()
    page.reload()
    wait_signed_in(page)


def test_a_pending_session_and_an_error_are_shown(people: People, service: Service) -> None:
    ada = people()
    page = ada.open_tab()
    sign_up(page)
    held: list[Any] = []
    page.route("**/get-session*", lambda route: held.append(route))
    page.reload()
    page.get_by_text("One moment…").wait_for()
    page.wait_for_timeout(200)
    for route in held:
        route.fulfill(
            status=503,
            headers={"Retry-After": "5"},
            json={"code": "SERVICE_UNAVAILABLE", "message": "away"},
        )
    page.get_by_role("heading", name="The server can’t be reached").wait_for()
    page.unroute("**/get-session*")
    page.get_by_role("button", name="Try again").click()
    wait_signed_in(page)
    assert service.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_the_page_fits_and_axe_finds_nothing(
    width: int, scheme: Any, people: People, service: Service
) -> None:
    ada = people(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = ada.open_tab()
    wait_signed_out(page)
    shown = []
    for _ in range(2):
        shown.append(page.evaluate("document.documentElement.scrollWidth"))
        assert serious_findings(page) == []
        if len(shown) == 1:
            sign_up(page)
            page.get_by_text("this device").wait_for()
    assert all(seen <= width for seen in shown)
    assert service.url
