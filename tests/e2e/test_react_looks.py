"""How the React example looks: narrow and wide, light and dark, and in every state it has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .chromium import serious_findings
from .people import (
    FIREFOX,
    FIREFOX_IN_WORDS,
    NEW_EMAIL,
    OVER,
    PASSWORD,
    People,
    change_email,
    set_password,
    sign_in,
    sign_out,
    sign_up,
    turn_to,
    wait_signed_in,
    wait_signed_out,
)
from .service import Service, serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

DAY = 86_400
SMALL = "[...document.querySelectorAll('button')].filter(it => it.offsetHeight < 44).length"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Without the cookie cache: nothing of it can be seen."""
    with serving(tmp_path) as service:
        yield service


def flaws(page: Page) -> list[str]:
    """Return what is wrong with a page as it stands."""
    found = serious_findings(page)
    width = page.evaluate("document.documentElement.scrollWidth")
    if width > page.viewport_size["width"]:  # type: ignore[index]
        found.append(f"the page is {width} px wide")
    if page.evaluate(SMALL):
        found.append("a button is less than 44 px high")
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1280])
def test_it_fits_and_axe_finds_nothing(
    width: int, scheme: Any, people: People, service: Service
) -> None:
    looks: dict[str, Any] = {
        "viewport": {"width": width, "height": 800},
        "color_scheme": scheme,
    }
    page, phone = people(**looks).open_tab(), people(user_agent=FIREFOX).open_tab()
    found: dict[str, list[str]] = {}

    wait_signed_out(page)
    found["signed out"] = flaws(page)
    page.get_by_role("button", name="Sign in").focus()
    found["with a focus"] = flaws(page)
    sign_in(page, "wrong horse")
    page.get_by_role("alert").wait_for()
    found["refused"] = flaws(page)

    sign_up(page)
    page.get_by_text("this device").wait_for()
    found["signed in"] = flaws(page)
    change_email(page, NEW_EMAIL)
    page.get_by_text("on its way to the new address").wait_for()
    found["a link is sent"] = flaws(page)
    sign_in(phone)
    wait_signed_in(phone)
    page.reload()
    page.get_by_text(FIREFOX_IN_WORDS).wait_for()
    found["two devices"] = flaws(page)
    page.get_by_role("button", name="Still signed in?").click()
    page.get_by_text("Yes, says the server.").wait_for()
    found["a success"] = flaws(page)

    service.advance(DAY + 1)
    change_email(page, NEW_EMAIL)
    page.get_by_role("dialog").wait_for()
    found["a step-up"] = flaws(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="End all others").click()
    page.get_by_text(FIREFOX_IN_WORDS).wait_for(state="detached")
    found["a day later"] = flaws(page)
    with service.database_away():
        turn_to(page)
        page.get_by_text("(503)").wait_for()
        found["the database away"] = flaws(page)
        page.reload()
        page.get_by_text("Nothing is known just now").wait_for()
        found["nothing known"] = flaws(page)

    page.goto(f"{service.url}/?link=changed")
    wait_signed_in(page)
    found["a link was followed"] = flaws(page)
    sign_out(page)
    page.get_by_role("button", name="Forgot your password?").click()
    found["forgotten"] = flaws(page)
    page.goto(f"{service.url}/?link=new-password&token=x")
    set_password(page, PASSWORD)
    page.get_by_text(OVER).wait_for()
    found["a link that is over"] = flaws(page)

    assert {state: what for state, what in found.items() if what} == {}
