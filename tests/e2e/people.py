"""People at the React example: their devices, their tabs, and what they do there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .chromium import note_script_errors

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route

    from .service import Service

EMAIL, PASSWORD = "ada@example.org", "correct horse"
NEW_EMAIL, NEW_PASSWORD = "ada@example.net", "another horse"
OVER = "This link works no more"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
FIREFOX_IN_WORDS = "Firefox on Linux"
GET_SESSION = "**/api/auth/get-session*"


class Person:
    """Somebody at one device: tabs share its cookies, and every script error is noted."""

    def __init__(self, chromium: Browser, service: Service, **options: Any) -> None:
        self._chromium = chromium
        self._options = options
        self._context: BrowserContext = chromium.new_context(**options)
        self._service = service
        self.script_errors: list[str] = []

    def open_tab(self, url: str | None = None) -> Page:
        """Open the example, or another page."""
        page = self._context.new_page()
        page.set_default_timeout(60_000)
        note_script_errors(page, self.script_errors)
        page.goto(url or self._service.url)
        return page

    def restart(self) -> Page:
        """Close the browser, open it again and return a tab: only lasting cookies are left."""
        kept = [cookie for cookie in self._context.cookies() if cookie["expires"] != -1]
        self._context.close()
        self._context = self._chromium.new_context(**self._options)
        self._context.add_cookies(kept)  # type: ignore[arg-type]
        return self.open_tab()

    @property
    def token(self) -> Any:
        """The session cookie as the browser keeps it."""
        [cookie] = [one for one in self._context.cookies() if one["name"] == "session_token"]
        return cookie

    def take_token(self, cookie: Any) -> None:
        """Have the session cookie of somebody else, as a thief would."""
        self._context.add_cookies([cookie])

    def close(self) -> None:
        self._context.close()


People = Callable[..., Person]


def sign_up(page: Page, name: str = "Ada", *, email: str = EMAIL) -> None:
    page.get_by_role("button", name="I am new here").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    page.get_by_role("heading", name="Hello,").wait_for()


def sign_in(
    page: Page, password: str = PASSWORD, *, email: str = EMAIL, remember: bool = True
) -> None:
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("checkbox").set_checked(remember)
    page.get_by_role("button", name="Sign in").click()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    wait_signed_out(page)


def set_password(page: Page, password: str = NEW_PASSWORD) -> None:
    page.get_by_label("New password").fill(password)
    page.get_by_role("button", name="Set password").click()


def change_email(page: Page, email: str = NEW_EMAIL) -> None:
    page.get_by_label("New e-mail").fill(email)
    page.get_by_role("button", name="Change e-mail").click()


def wait_signed_in(page: Page) -> None:
    page.get_by_role("heading", name=re.compile("^Hello, ")).wait_for()


def wait_signed_out(page: Page) -> None:
    page.get_by_role("heading", name="Sign in").wait_for()


def turn_to(page: Page) -> None:
    """Turn to a tab. The client asks anew then, but not twice within five seconds."""
    page.bring_to_front()
    # Chromium without a screen shows all tabs at once, so none becomes visible by itself.
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


@contextmanager
def held(page: Page, pattern: str, trigger: Callable[[], object]) -> Iterator[None]:
    """Trigger a request, and keep it from the server until the end of the block."""
    waiting: list[Route] = []
    is_over = False

    def hold(route: Route) -> None:
        if is_over:
            route.continue_()
        else:
            waiting.append(route)

    page.route(pattern, hold)
    with page.expect_request(pattern):
        trigger()
    yield
    is_over = True
    with page.expect_request_finished(lambda request: request == waiting[0].request):
        for route in waiting:
            route.continue_()
    page.unroute(pattern, hold)
