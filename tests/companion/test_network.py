"""Responses and requests that are lost, delayed or repeated."""

from __future__ import annotations

from typing import Any

import pytest

from wsgi_sessions import (
    StoreUnavailableError,
)
from wsgi_sessions_testing import (
    Bench,
    Browser,
    FakeClock,
    LostResponse,
    Network,
    assert_signed_in,
)

from .apps import ADA, echo_app


def test_a_lost_response_reaches_the_app_and_not_the_browser() -> None:
    network = Network()
    browser = Browser(echo_app, clock=FakeClock(), network=network)
    with network.losing_responses(1):
        lost = browser.get("/first")
        assert browser.get("/second").status_int == 200
    assert isinstance(lost, LostResponse)
    assert lost.status_int == 0
    assert lost.body == b""
    assert not lost.headers
    assert "PATH_INFO=/first" in lost.unseen.text


def test_the_jar_does_not_know_of_a_lost_response(bench: Bench, ada: Browser) -> None:
    before = ada.session_token
    bench.clock.advance(days=1)
    with bench.network.losing_responses():
        ada.get("/")
        ada.get("/")
    assert ada.session_token == before
    assert ada.get("/account").status_int == 200
    assert ada.session_token != before


def test_a_delayed_responses_cookies_come_when_delivered(bench: Bench, ada: Browser) -> None:
    before = ada.session_token
    bench.clock.advance(days=1)
    with bench.network.delaying_responses(1):
        assert ada.get("/account").status_int == 200
    assert ada.session_token == before
    assert len(bench.network.held) == 1
    assert bench.network.deliver() == 1
    assert ada.session_token != before
    assert not bench.network.held


def test_delayed_responses_can_overtake_each_other() -> None:
    network = Network()
    answers = iter("abc")

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        cookie = ("Set-Cookie", f"last={next(answers)}")
        start_response("200 OK", [("Content-Type", "text/plain"), cookie])
        return [b""]

    browser = Browser(app, clock=FakeClock(), network=network)
    with network.delaying_responses(3):
        for _ in range(3):
            browser.get("/")
    first, second, _ = network.held
    network.deliver(second)
    assert browser.cookies["last"] == "b"
    network.deliver(newest_first=True)
    assert browser.cookies["last"] == "a"
    with pytest.raises(LookupError, match="not on its way"):
        network.deliver(first)


def test_a_repeated_response_sets_its_cookies_twice(bench: Bench, ada: Browser) -> None:
    bench.clock.advance(days=1)
    with bench.network.repeating_responses(1):
        ada.get("/")
    first = ada.session_token
    ada.get("/")
    bench.clock.advance(days=1)
    ada.get("/")
    assert ada.session_token != first
    bench.network.deliver()
    assert ada.session_token == first


def test_a_repeated_request_reaches_the_app_twice() -> None:
    network = Network()
    calls: list[bytes] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        calls.append(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(len(calls)).encode()]

    browser = Browser(app, clock=FakeClock(), network=network)
    with network.repeating_requests(1):
        assert browser.post("/", {"a": "1"}).text == "2"
    assert calls == [b"a=1", b"a=1"]


def test_of_nested_troubles_the_inner_one_comes_first() -> None:
    network = Network()
    browser = Browser(echo_app, clock=FakeClock(), network=network)
    with network.delaying_responses(1), network.losing_responses(1):
        assert browser.get("/").status_int == 0
        assert browser.get("/").status_int == 200
    assert len(network.held) == 1


def test_a_trouble_that_met_nothing_is_an_error() -> None:
    network = Network()
    with (
        pytest.raises(AssertionError, match="2 were to be lost, but only 0 requests"),
        network.losing_responses(2),
    ):
        pass


def test_a_failure_within_a_trouble_is_not_hidden() -> None:
    network = Network()
    with pytest.raises(KeyError), network.losing_responses(2):
        raise KeyError("the test's own")


@pytest.mark.parametrize("count", [0, -1, True])
def test_a_trouble_needs_a_sensible_count(count: int) -> None:
    with pytest.raises(ValueError, match="1 or more"), Network().losing_responses(count):
        pass


def test_a_lost_sign_in_leaves_a_session_that_the_browser_knows_nothing_of(bench: Bench) -> None:
    browser = bench.new_browser()
    with bench.network.losing_responses(1):
        session = browser.sign_in(ADA)
    assert browser.session is None
    assert [one.id for one in bench.manager.list_sessions(session.user_id)] == [session.id]


@pytest.mark.parametrize("password", [None, "correct horse"])
def test_a_delayed_sign_in_is_one_when_it_is_delivered(bench: Bench, password: str | None) -> None:
    user = bench.factories.make_user(ADA, password=password)
    browser = bench.new_browser()
    with bench.network.delaying_responses(1):
        session = browser.sign_in(user, password)
    assert browser.session is None
    bench.network.deliver()
    assert browser.session is not None
    assert browser.session.id == session.id


def test_a_lost_sign_in_by_password_is_one_over_there(bench: Bench) -> None:
    user = bench.factories.make_user(ADA, password="correct horse")
    browser = bench.new_browser()
    with bench.network.losing_responses(1):
        session = browser.sign_in(ADA, "correct horse")
    assert browser.session is None
    assert [one.id for one in bench.manager.list_sessions(user.id)] == [session.id]


def test_a_lost_sign_out_ends_the_session_all_the_same(bench: Bench, ada: Browser) -> None:
    token = ada.session_token
    with bench.network.losing_responses(1):
        assert ada.sign_out()
    assert ada.session_token == token
    assert ada.session is None


def test_a_sign_out_that_is_sent_twice_has_the_second_answer(bench: Bench, ada: Browser) -> None:
    with bench.network.repeating_requests(1):
        assert not ada.sign_out()
    assert ada.session is None


def test_a_lost_revocation_is_one(bench: Bench, ada: Browser) -> None:
    phone = bench.new_browser()
    revoked = phone.sign_in(ADA).id
    with bench.network.losing_responses(1):
        assert ada.revoke_session(revoked)
    assert phone.session is None


def test_looking_at_a_session_is_no_request_to_be_lost(bench: Bench, ada: Browser) -> None:
    with bench.network.losing_responses(1):
        assert ada.session is not None
        assert_signed_in(ada)
        ada.get("/")


def test_a_worker_that_dies_at_a_sign_in_has_no_answer(bench: Bench) -> None:
    user = bench.factories.make_user(ADA)
    with (
        pytest.raises(StoreUnavailableError, match="the worker died, so sign in had no answer"),
        bench.faults.worker_killed(after="write"),
    ):
        bench.new_browser().sign_in(user)
    assert len(bench.manager.list_sessions(user.id)) == 1
