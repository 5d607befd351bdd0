"""The React example in Chromium: a forgotten password, a verified and a changed address, step-up.

Mails are real: their links are opened as people open them, in a tab of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .people import (
    EMAIL,
    FIREFOX,
    NEW_EMAIL,
    NEW_PASSWORD,
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
    from playwright.sync_api import Locator, Page

HOUR = 3600
DAY = 24 * HOUR


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """With the cookie cache, whose copies must not show what was before."""
    with serving(tmp_path, cookie_cache=True) as service:
        yield service


def click(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def say_forgotten(page: Page, email: str = EMAIL) -> str:
    """Ask for a link to set a new password, and return what is shown."""
    page.get_by_label("E-mail").fill(email)
    click(page, "Send me a link")
    status = page.get_by_role("status")
    status.wait_for()
    return status.inner_text()


def forgotten_link(page: Page, service: Service) -> str:
    click(page, "Forgot your password?")
    say_forgotten(page)
    url: str = service.wait_for_mail("reset-password")["url"]
    return url


def told(page: Page, text: str) -> Locator:
    """Wait until a text is shown."""
    found = page.get_by_text(text)
    found.wait_for()
    return found


class TestForgottenPassword:
    def test_is_set_anew_by_the_link_and_all_are_signed_out(
        self, people: People, service: Service
    ) -> None:
        laptop, phone = people().open_tab(), people(user_agent=FIREFOX)
        sign_up(laptop)
        link = forgotten_link(phone.open_tab(), service)

        page = phone.open_tab(link)
        set_password(page)

        told(page, "Your new password is set")
        assert page.url == f"{service.url}/", "the token is not left in the address"
        sign_in(page, NEW_PASSWORD)
        wait_signed_in(page)
        assert page.get_by_role("heading", name="Verify your e-mail address").count() == 0
        service.advance(2)
        turn_to(laptop)
        wait_signed_out(laptop)
        sign_in(laptop, PASSWORD)
        told(laptop, "Invalid email or password")

    def test_ends_the_session_of_the_same_browser(self, people: People, service: Service) -> None:
        ada = people()
        page = ada.open_tab()
        link = people().open_tab()
        sign_up(page)
        url = forgotten_link(link, service)

        other = ada.open_tab(url)
        set_password(other)

        told(other, "Your new password is set")
        wait_signed_out(other)
        turn_to(page)
        wait_signed_out(page)

    def test_a_used_link_says_so_also_in_a_tab_that_was_open(
        self, people: People, service: Service
    ) -> None:
        ada = people()
        page = ada.open_tab()
        sign_up(page)
        sign_out(page)
        link = forgotten_link(page, service)
        one, other = ada.open_tab(link), ada.open_tab(link)
        set_password(one)
        told(one, "Your new password is set")

        for tab in (other, ada.open_tab(link)):
            set_password(tab, "a third horse")
            told(tab, OVER)

        click(other, "Back")
        sign_in(other, NEW_PASSWORD)
        wait_signed_in(other)

    def test_an_old_link_says_so_and_a_new_one_works(
        self, people: People, service: Service
    ) -> None:
        page = people().open_tab()
        sign_up(page)
        sign_out(page)
        link = forgotten_link(page, service)
        service.advance(HOUR + 1)
        page.goto(link)
        set_password(page)
        told(page, OVER)

        click(page, "Back")
        click(page, "Forgot your password?")
        say_forgotten(page)
        page.goto(service.wait_for_mail("reset-password", 2)["url"])
        set_password(page)
        told(page, "Your new password is set")

    def test_a_refused_password_leaves_the_link_good(
        self, people: People, service: Service
    ) -> None:
        page = people().open_tab()
        sign_up(page)
        sign_out(page)
        page.goto(forgotten_link(page, service))
        set_password(page, "password")
        told(page, "Password too common")
        set_password(page)
        told(page, "Your new password is set")

    def test_an_unknown_address_is_told_the_same(self, people: People, service: Service) -> None:
        page = people().open_tab()
        sign_up(page)
        sign_out(page)
        click(page, "Forgot your password?")

        known = say_forgotten(page)
        unknown = say_forgotten(page, "nobody@example.org")
        say_forgotten(page)

        assert known == unknown
        service.wait_for_mail("reset-password", 2)
        assert {mail["to"] for mail in service.mails("reset-password")} == {EMAIL}


class TestVerification:
    def test_by_the_link_in_another_tab(self, people: People, service: Service) -> None:
        ada = people()
        page = ada.open_tab()
        sign_up(page)
        notice = page.get_by_role("heading", name="Verify your e-mail address")
        notice.wait_for()
        click(page, "Send me a link")
        told(page, "A link is on its way to you.")

        other = ada.open_tab(service.wait_for_mail("verify-email")["url"])

        told(other, "Your e-mail address is verified.")
        wait_signed_in(other)
        assert other.get_by_role("heading", name="Verify your e-mail address").count() == 0
        turn_to(page)
        notice.wait_for(state="detached")
        click(other, "Close")
        assert other.url == f"{service.url}/"
        assert other.get_by_text("Your e-mail address is verified.").count() == 0

    def test_on_another_device_asks_nobody_to_sign_in_first(
        self, people: People, service: Service
    ) -> None:
        laptop, phone = people().open_tab(), people(user_agent=FIREFOX)
        sign_up(laptop)
        click(laptop, "Send me a link")
        link = service.wait_for_mail("verify-email")["url"]

        # The first may have been a scanner of mails: whoever comes next is no worse off.
        for _ in range(2):
            page = phone.open_tab(link)
            told(page, "Your e-mail address is verified.")
            wait_signed_out(page)

        # Here a copy tells what was so before, until the server is asked.
        click(laptop, "Send me a link")
        laptop.get_by_role("heading", name="Verify your e-mail address").wait_for(state="detached")

    def test_an_old_link_says_so(self, people: People, service: Service) -> None:
        page = people().open_tab()
        sign_up(page)
        click(page, "Send me a link")
        link = service.wait_for_mail("verify-email")["url"]
        service.advance(DAY + 1)

        page.goto(link)

        told(page, OVER)
        page.get_by_role("heading", name="Verify your e-mail address").wait_for()


class TestChangeOfAddress:
    def test_by_the_link_to_the_new_one(self, people: People, service: Service) -> None:
        ada = people()
        page = ada.open_tab()
        sign_up(page)
        change_email(page)
        told(page, "A link is on its way to the new address")
        mail = service.wait_for_mail("change-email")
        assert mail["to"] == NEW_EMAIL
        page.reload()
        told(page, EMAIL)

        other = ada.open_tab(mail["url"])

        told(other, "Your e-mail address is changed.")
        told(other, NEW_EMAIL)
        assert service.wait_for_mail("email-changed")["to"] == EMAIL
        turn_to(page)
        told(page, NEW_EMAIL)
        sign_out(other)
        sign_in(other, email=NEW_EMAIL)
        wait_signed_in(other)

    def test_a_link_that_was_replaced_says_so(self, people: People, service: Service) -> None:
        page = people().open_tab()
        sign_up(page)
        change_email(page, "typo@example.net")
        first = service.wait_for_mail("change-email")["url"]
        change_email(page)
        service.wait_for_mail("change-email", 2)

        page.goto(first)

        told(page, OVER)
        told(page, EMAIL)

    def test_an_address_of_somebody_else_is_told_the_same(
        self, people: People, service: Service
    ) -> None:
        people_of_the_other = people().open_tab()
        sign_up(people_of_the_other, email=NEW_EMAIL)
        page = people().open_tab()
        sign_up(page)
        change_email(page)
        told(page, "A link is on its way to the new address")
        change_email(page, "free@example.net")
        assert service.wait_for_mail("change-email")["to"] == "free@example.net"


class TestStepUp:
    def later(self, page: Page, service: Service) -> Locator:
        """Let the sign-in be a day ago, ask for another address, and return the dialog."""
        sign_up(page)
        service.advance(DAY + 1)
        change_email(page)
        dialog = page.get_by_role("dialog", name="Is it you?")
        dialog.wait_for()
        return dialog

    def test_the_password_is_asked_for_and_the_action_goes_on(
        self, people: People, service: Service
    ) -> None:
        ada = people()
        page = ada.open_tab()
        dialog = self.later(page, service)
        token = ada.token["value"]
        password = dialog.get_by_label("Password")
        assert password.evaluate("it => it === document.activeElement")

        password.fill("wrong horse")
        password.press("Enter")
        dialog.get_by_role("alert").filter(has_text="Invalid password").wait_for()
        assert service.mails("change-email") == []
        password.fill(PASSWORD)
        password.press("Enter")

        told(page, "A link is on its way to the new address")
        assert dialog.count() == 0
        assert service.wait_for_mail("change-email")["to"] == NEW_EMAIL
        assert ada.token["value"] == token, "the session goes on as it was"
        # It is not asked for again.
        change_email(page, "third@example.net")
        assert service.wait_for_mail("change-email", 2)["to"] == "third@example.net"

    @pytest.mark.parametrize("way", ["Cancel", "Escape"])
    def test_who_does_not_give_it_has_changed_nothing(
        self, way: str, people: People, service: Service
    ) -> None:
        page = people().open_tab()
        dialog = self.later(page, service)

        if way == "Cancel":
            click(page, "Cancel")
        else:
            page.keyboard.press("Escape")

        told(page, "Nothing was changed")
        assert dialog.count() == 0
        assert page.get_by_label("New e-mail").input_value() == NEW_EMAIL
        # It can be tried again.
        click(page, "Change e-mail")
        dialog.get_by_label("Password").fill(PASSWORD)
        click(page, "Confirm")
        told(page, "A link is on its way to the new address")
        service.wait_for_mail("change-email")
        assert len(service.mails("change-email")) == 1

    def test_one_tab_proves_it_for_all_and_sign_out_closes_the_question(
        self, people: People, service: Service
    ) -> None:
        ada = people()
        page, other = ada.open_tab(), ada.open_tab()
        dialog = self.later(page, service)
        turn_to(other)
        wait_signed_in(other)
        change_email(other, "other@example.net")
        other.get_by_role("dialog").get_by_label("Password").fill(PASSWORD)
        click(other, "Confirm")
        told(other, "A link is on its way to the new address")

        change_email(other)
        service.wait_for_mail("change-email", 2)
        assert other.get_by_role("dialog").count() == 0
        sign_out(other)
        wait_signed_out(page)
        assert dialog.count() == 0

    def test_an_account_is_deleted_after_it(self, people: People, service: Service) -> None:
        page = people().open_tab()
        sign_up(page)
        service.advance(DAY + 1)

        page.get_by_role("checkbox", name="Delete it").check()
        click(page, "Delete account")
        page.get_by_role("dialog").get_by_label("Password").fill(PASSWORD)
        click(page, "Confirm")

        wait_signed_out(page)
        sign_in(page)
        told(page, "Invalid email or password")

    def test_an_account_is_not_deleted_by_one_click(self, people: People) -> None:
        page = people().open_tab()
        sign_up(page)
        click(page, "Delete account")
        assert page.get_by_role("checkbox").evaluate("it => it.validity.valueMissing")
        page.reload()
        wait_signed_in(page)
