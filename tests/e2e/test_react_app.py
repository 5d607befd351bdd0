"""The React example on the real ``better-auth/react``, in Chromium: what people see and do."""

from __future__ import annotations

from .people import (
    EMAIL,
    FIREFOX,
    FIREFOX_IN_WORDS,
    PASSWORD,
    People,
    held,
    sign_in,
    sign_out,
    sign_up,
    turn_to,
    wait_signed_in,
    wait_signed_out,
)
from .service import Service

DAY = 86_400


def test_signing_up_out_and_in_again(people: People) -> None:
    page = people().open_tab()
    wait_signed_out(page)
    sign_up(page)
    page.reload()
    wait_signed_in(page)
    sign_out(page)
    sign_in(page)
    wait_signed_in(page)


def test_a_wrong_password_and_an_unknown_e_mail_are_told_alike(people: People) -> None:
    page = people().open_tab()
    sign_up(page)
    sign_out(page)
    alert = page.get_by_role("alert")

    sign_in(page, "wrong horse")
    alert.wait_for()
    wrong = alert.inner_text()

    # The same words again: they have to come from the second answer.
    page.get_by_label("E-mail").fill("nobody@example.org")
    with held(page, "**/sign-in/email", lambda: page.get_by_role("button", name="Sign in").click()):
        alert.wait_for(state="detached")
    alert.wait_for()
    assert alert.inner_text() == wrong
    assert "Invalid email or password" in wrong


def test_both_tabs_follow(people: People) -> None:
    """What one tab does shows in the other.

    The client itself tells other tabs of a sign-out and of a change of the user, but not of a
    sign-in (``atomListeners`` in its ``client/config``). Of that a tab hears when somebody turns
    to it, which is a ``visibilitychange``; Chromium without a screen has none, so it is made.
    """
    ada = people()
    one, other = ada.open_tab(), ada.open_tab()
    wait_signed_out(other)
    sign_up(one)
    turn_to(other)
    wait_signed_in(other)

    one.bring_to_front()
    one.get_by_label("Name").fill("Ada L.")
    one.get_by_role("button", name="Save").click()
    other.get_by_role("heading", name="Hello, Ada L.!").wait_for()
    sign_out(one)
    wait_signed_out(other)


def test_remember_me_off_ends_with_the_browser(people: People) -> None:
    ada = people()
    page = ada.open_tab()
    sign_up(page)
    sign_out(page)

    sign_in(page, remember=True)
    wait_signed_in(page)
    assert ada.token["expires"] != -1
    page = ada.restart()
    wait_signed_in(page)
    sign_out(page)

    sign_in(page, remember=False)
    wait_signed_in(page)
    assert ada.token["expires"] == -1
    page.reload()
    wait_signed_in(page)
    page = ada.restart()
    wait_signed_out(page)


def test_cookies_are_out_of_reach_for_scripts(people: People) -> None:
    ada = people()
    page = ada.open_tab()
    sign_up(page)
    assert ada.token["httpOnly"] and ada.token["sameSite"] == "Lax"
    assert page.evaluate("document.cookie") == ""


def test_get_session_tells_at_once_what_a_cached_copy_does_not_know(people: People) -> None:
    laptop, phone = people().open_tab(), people(user_agent=FIREFOX).open_tab()
    sign_up(laptop)
    sign_in(phone)
    wait_signed_in(phone)
    check = phone.get_by_role("button", name="Still signed in?")

    check.click()
    phone.get_by_text("Yes, says the server.").wait_for()

    laptop.reload()
    end = laptop.get_by_role("button", name=f"End session: {FIREFOX_IN_WORDS}")
    end.wait_for()  # Else its absence below would say nothing.
    laptop.get_by_role("button", name="End all others").click()
    end.wait_for(state="detached")
    check.click()
    wait_signed_out(phone)


def test_devices_are_listed_and_ended(people: People, service: Service) -> None:
    laptop = people().open_tab()
    sign_up(laptop)
    phone = people(user_agent=FIREFOX).open_tab()
    sign_in(phone)
    wait_signed_in(phone)

    laptop.reload()
    end = laptop.get_by_role("button", name=f"End session: {FIREFOX_IN_WORDS}")
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


def test_a_whole_story_has_no_error_in_a_script(people: People, service: Service) -> None:
    ada = people()
    page = ada.open_tab()
    sign_up(page)
    sign_out(page)
    sign_in(page, "wrong horse")
    page.get_by_role("alert").wait_for()
    sign_in(page)
    wait_signed_in(page)
    service.advance(DAY + 1)
    page.reload()
    page.get_by_text("this device").wait_for()
    service.stop()
    page.get_by_role("button", name="Still signed in?").click()
    page.get_by_role("alert").wait_for()
    turn_to(page)
    page.get_by_role("heading", name="The server can’t be reached").wait_for()
    service.start()
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("heading", name="The server can’t be reached").wait_for(state="detached")
    page.get_by_role("button", name="End all, this one too").click()
    wait_signed_out(page)
    assert ada.script_errors == []

    # And one would have been noted.
    with page.expect_event("pageerror"):
        page.evaluate("setTimeout(() => { throw new Error('thrown on purpose'); })")
    with page.expect_console_message():
        page.evaluate("console.error('said on purpose')")
    noted, ada.script_errors = ada.script_errors, []
    assert sorted(noted) == ["said on purpose", "thrown on purpose"]


def test_an_account_that_is_there_is_told(people: People) -> None:
    page = people().open_tab()
    sign_up(page)
    sign_out(page)
    page.get_by_role("button", name="I am new here").click()
    page.get_by_label("Name").fill("Eve")
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill("another horse")
    page.get_by_role("button", name="Sign up").click()
    page.get_by_role("alert").wait_for()
    # What was typed is still there, to be mended.
    assert page.get_by_label("E-mail").input_value() == EMAIL
