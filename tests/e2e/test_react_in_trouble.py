"""The React example when time passes, the server is away, or a tab was left half-filled."""

from __future__ import annotations

import pytest

from .people import (
    EMAIL,
    FIREFOX,
    FIREFOX_IN_WORDS,
    GET_SESSION,
    People,
    held,
    sign_in,
    sign_up,
    turn_to,
    wait_signed_in,
    wait_signed_out,
)
from .service import Service

MINUTE = 60
DAY = 86_400
WINDOW = 180
AWAY = "The server can’t be reached"


class TestWhatWasTyped:
    def test_stays_when_a_visitor_comes_back_to_the_tab(self, people: People) -> None:
        page = people().open_tab()
        page.get_by_role("button", name="I am new here").click()
        page.get_by_label("Name").fill("Ada")
        page.get_by_label("E-mail").fill(EMAIL)

        with held(page, GET_SESSION, lambda: turn_to(page)):
            assert page.get_by_text("One moment…").count() == 0
            assert page.get_by_label("Name").input_value() == "Ada"

        assert page.get_by_label("Name").input_value() == "Ada"
        assert page.get_by_label("E-mail").input_value() == EMAIL

    def test_stays_when_the_server_can_not_be_asked(self, people: People, service: Service) -> None:
        page = people().open_tab()
        page.get_by_role("button", name="I am new here").click()
        page.get_by_label("Name").fill("Ada")

        service.stop()
        turn_to(page)
        page.get_by_role("heading", name=AWAY).wait_for()

        assert page.get_by_label("Name").input_value() == "Ada"

    def test_stays_in_an_account_while_the_database_is_away(
        self, people: People, service: Service
    ) -> None:
        page = people().open_tab()
        sign_up(page)
        page.get_by_label("New password").fill("half typed")
        service.advance(5 * MINUTE + 1)  # past any cached copy

        notice = page.get_by_role("heading", name=AWAY)
        with service.database_away():
            with page.expect_response(GET_SESSION) as answered:
                turn_to(page)
            assert answered.value.status == 503
            notice.wait_for()
            page.get_by_text("(503)").wait_for()
            wait_signed_in(page)
            assert page.get_by_label("New password").input_value() == "half typed"

        page.get_by_role("button", name="Try again").click()
        notice.wait_for(state="detached")
        wait_signed_in(page)
        assert page.get_by_label("New password").input_value() == "half typed"


class TestBeforeTheFirstAnswer:
    def test_a_moment_is_asked_for(self, people: People) -> None:
        page = people().open_tab()
        sign_up(page)
        with held(page, GET_SESSION, lambda: page.reload(wait_until="commit")):
            page.get_by_text("One moment…").wait_for()
            assert page.get_by_role("heading", name="Sign in").count() == 0
        wait_signed_in(page)

    def test_a_database_that_is_away_is_told_and_tried_again(
        self, people: People, service: Service
    ) -> None:
        page = people().open_tab()
        sign_up(page)
        service.advance(5 * MINUTE + 1)  # past any cached copy

        with service.database_away():
            with page.expect_response(GET_SESSION) as answered:
                page.reload()
            assert answered.value.status == 503
            page.get_by_role("heading", name=AWAY).wait_for()
            page.get_by_text("(503)").wait_for()
            # Whether somebody is signed in is not known, so neither is shown.
            assert page.get_by_role("heading").all_inner_texts() == ["Sessions in React", AWAY]
            retry = page.get_by_role("button", name="Try again")
            with held(page, GET_SESSION, retry.click):
                page.get_by_text("One moment…").wait_for()
            page.get_by_text("(503)").wait_for()

        retry.click()
        wait_signed_in(page)


def test_a_server_that_is_away_signs_nobody_out(people: People, service: Service) -> None:
    page = people().open_tab()
    sign_up(page)
    service.stop()
    page.get_by_role("button", name="Sign out").click()
    # The list of sessions may say so as well, where it was still being asked for.
    account = page.locator("section").filter(has_text="Hello, Ada!")
    account.get_by_role("alert").filter(has_text="can’t be reached").wait_for()
    service.start()
    page.reload()
    wait_signed_in(page)


def test_a_day_and_a_week_pass(people: People, service: Service) -> None:
    ada = people()
    page = ada.open_tab()
    sign_up(page)
    for _ in range(2):
        before = ada.token["value"]
        service.advance(DAY + 1)
        page.reload()
        wait_signed_in(page)
        page.reload()
        wait_signed_in(page)
        assert ada.token["value"] != before
    service.advance(8 * DAY)
    page.reload()
    wait_signed_out(page)


@pytest.mark.parametrize("is_settled", [False, True], ids=["within the window", "when settled"])
def test_the_old_token_is_refused_once_it_is_settled_who_has_the_next(
    is_settled: bool, people: People, service: Service
) -> None:
    ada, thief = people(), people(user_agent=FIREFOX)
    page, theirs = ada.open_tab(), thief.open_tab()
    wait_signed_out(theirs)
    sign_up(page)
    old = ada.token
    service.advance(DAY + 1)
    page.reload()  # the next token is offered
    wait_signed_in(page)
    page.reload()  # and confirmed
    wait_signed_in(page)
    assert ada.token["value"] != old["value"]

    if is_settled:
        service.advance(WINDOW + 1)
        page.reload()
        wait_signed_in(page)
    thief.take_token(old)
    theirs.reload()

    if is_settled:
        # Nobody but a thief has it still: the session ends, for both.
        wait_signed_out(theirs)
        service.advance(2)
        page.reload()
        wait_signed_out(page)
    else:
        wait_signed_in(theirs)


def test_a_day_after_the_sign_in_the_list_is_there_and_others_can_be_ended(
    people: People, service: Service
) -> None:
    page, phone = people().open_tab(), people(user_agent=FIREFOX).open_tab()
    sign_up(page)
    sign_in(phone)
    wait_signed_in(phone)
    service.advance(DAY + 1)

    page.reload()
    page.get_by_text(FIREFOX_IN_WORDS).wait_for()
    page.get_by_role("button", name="End all others").click()
    page.get_by_text(FIREFOX_IN_WORDS).wait_for(state="detached")

    assert page.locator(".sessions li").count() == 1
