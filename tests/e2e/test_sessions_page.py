"""The sessions page as it looks: in Chromium, narrow and wide, light and dark, few and many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from wsgi_sessions import EndReason, SessionManager, SessionMiddleware
from wsgi_sessions_testing import CHEAP_PASSWORDS, LiveServer

from .chromium import launched, note_script_errors, serious_findings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PAGE = "/account/sessions"
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1"
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0"
    ),
    "a-\u202every-long-name-without-a-single-space-in-it/" + "x" * 460,
)
ADDRESSES = ("192.0.2.7", "2001:db8:1234:5678:9abc:def0:1234:5678", "203.0.113.9", "198.51.100.3")
SECRET = "a-secret-for-tests-of-32-characters"


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"signed out"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


class Site:
    """A served page of a user with a number of sessions, and the cookie of one of them."""

    def __init__(self, folder: Path, session_count: int) -> None:
        self.manager = SessionManager(
            f"sqlite:///{folder / 'page.db'}",
            secret=SECRET,
            pages_path=PAGE,
            pages_title="Notes of \u05d0\u05d3\u05d4 and a-long-name-without-any-space-in-it-at-all",
            change_password_url="/password",
            password=CHEAP_PASSWORDS,
            multi_session={"maximum_sessions": None},
        )
        self.user = self.manager.create_user(name="Ada", email="ada@example.org")
        for number in range(session_count):
            made = self._sign_in(AGENTS[number % 4], ADDRESSES[number % 4])
        self.token, self.session_id = made.token, made.session.id
        self.manager.close()

    def _sign_in(self, agent: str, address: str) -> Any:
        from wsgi_sessions.records import RequestFacts

        facts = RequestFacts(address, agent, is_https=False, method="POST", path="/")
        return self.manager.sign_in(self.user.id, facts=facts)

    def open(self, chromium: Browser, url: str, errors: list[str], **options: Any) -> Page:
        context = chromium.new_context(**options)
        context.add_cookies([{"name": "session_token", "value": str(self.token), "url": url}])
        page = context.new_page()
        note_script_errors(page, errors)
        page.goto(url + PAGE)
        return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1280])
@pytest.mark.parametrize("session_count", [1, 5, 50])
def test_the_page_fits_and_axe_finds_nothing(
    session_count: int, width: int, scheme: Any, chromium: Browser, tmp_path: Path
) -> None:
    site = Site(tmp_path, session_count)
    errors: list[str] = []
    with LiveServer(SessionMiddleware(app, site.manager)) as server:
        page = site.open(
            chromium,
            server.url,
            errors,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
        )
        assert page.get_by_role("listitem").count() == session_count
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious_findings(page) == []
        small = page.evaluate(
            "[...document.querySelectorAll('button')].filter(it => it.offsetHeight < 44).length"
        )
        assert small == 0
        page.context.close()
    assert errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_what_is_over_fits_and_axe_finds_nothing(
    width: int, scheme: Any, chromium: Browser, tmp_path: Path
) -> None:
    site = Site(tmp_path, 9)
    others = [one.id for one in site.manager.list_sessions(site.user.id)]
    others.remove(site.session_id)
    for session_id, reason in zip(others, EndReason, strict=False):
        site.manager.parts.ending.end(session_id, reason=reason)
    errors: list[str] = []
    with LiveServer(SessionMiddleware(app, site.manager)) as server:
        page = site.open(
            chromium,
            server.url,
            errors,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
        )
        assert page.get_by_role("region", name="Ended sessions").get_by_role("listitem").count() > 6
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious_findings(page) == []
        page.context.close()
    assert errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1280])
def test_notice_and_message_fit_and_axe_finds_nothing(
    width: int, scheme: Any, chromium: Browser, tmp_path: Path
) -> None:
    site = Site(tmp_path, 2)
    errors: list[str] = []
    with LiveServer(SessionMiddleware(app, site.manager)) as server:
        page = site.open(
            chromium,
            server.url,
            errors,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
        )
        page.get_by_role("button", name="End session:").click()
        page.get_by_role("status").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious_findings(page) == []

        # A form of another page, as far as the server can tell.
        page.evaluate("document.querySelector('[name=csrf_token]').value = 'forged'")
        page.get_by_role("button", name="Sign out in this browser").click()
        page.get_by_text("This form is out of date").wait_for()
        assert page.get_by_role("link", name="Your sessions").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious_findings(page) == []
        page.context.close()
    assert errors == []


def test_the_page_works_with_a_keyboard_and_without_scripts(
    chromium: Browser, tmp_path: Path
) -> None:
    site = Site(tmp_path, 3)
    errors: list[str] = []
    with LiveServer(SessionMiddleware(app, site.manager)) as server:
        page = site.open(chromium, server.url, errors, java_script_enabled=False)

        button = page.get_by_role("button", name="End session:").first
        device = str(button.get_attribute("aria-label")).removeprefix("End session: ")
        # Past the way back, the link to the password and the sign-out of this browser.
        for _ in range(4):
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        notice = page.get_by_role("status")
        notice.wait_for()
        assert notice.inner_text() == f"{device.partition(',')[0]} has been signed out."
        assert page.locator(":focus").inner_text() == notice.inner_text()
        live = page.get_by_role("listitem").filter(has=page.get_by_role("button"))
        assert live.count() == 2

        # On from the notice.
        for _ in range(4):
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.get_by_text("All other sessions have ended.").wait_for()
        assert live.count() == 1

        page.get_by_role("button", name="Sign out in this browser").press("Enter")
        page.get_by_text("signed out").wait_for()
        page.goto(server.url + PAGE)
        assert page.url.endswith("/?next=%2Faccount%2Fsessions")
        page.context.close()
    assert errors == []


def test_buttons_say_which_session_they_end(chromium: Browser, tmp_path: Path) -> None:
    site = Site(tmp_path, 5)
    with LiveServer(SessionMiddleware(app, site.manager)) as server:
        page = site.open(chromium, server.url, [])
        names = [
            button.get_attribute("aria-label") or button.inner_text()
            for button in page.get_by_role("button").all()
        ]
        page.context.close()
    assert names[0] == "Sign out in this browser"
    assert any(name.startswith("End session: Safari on iPhone, 2001:db8:") for name in names)
    assert names[-1] == "End all other sessions"


def test_what_people_gave_stays_in_its_place(chromium: Browser, tmp_path: Path) -> None:
    """Text that ends an isolation and turns the direction does not reach what follows it."""
    site = Site(tmp_path, 1)
    with LiveServer(SessionMiddleware(app, site.manager)) as server:
        page = site.open(chromium, server.url, [])
        lead = page.locator(".lead")
        plain = lead.bounding_box()
        hostile = "\u2069\u202e" + "evil" * 30 + "\u05d0"
        page.evaluate("text => document.querySelector('.lead bdi').textContent = text", hostile)
        # The words behind it stand in the order in which they are read.
        lefts = page.evaluate(
            """() => {
              const text = document.querySelector('.lead').childNodes[1];
              const range = document.createRange();
              return [2, 10, 20].map(at => {
                range.setStart(text, at); range.setEnd(text, at + 1);
                const box = range.getBoundingClientRect();
                return box.top * 10000 + box.left;
              });
            }"""
        )
        assert lefts == sorted(lefts)
        assert plain is not None
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.context.close()
