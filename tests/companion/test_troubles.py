"""Claims about what is slow or breaks off: crashes, uploads, answers, requests that wait."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from wsgi_sessions_testing import (
    Bench,
    Browser,
    CookieJar,
    FakeClock,
    LostResponse,
    Network,
    PreparedRequest,
    assert_rotated,
    assert_signed_in,
    assert_signed_out,
)

ADA = "ada@example.org"
HERE = "https://app.example.org/"


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answers with the length of the body and whether somebody is signed in."""
    length = environ.get("CONTENT_LENGTH") or "none"
    who = "visitor" if environ["wsgi_sessions.user"] is None else "user"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{length} {who}".encode()]


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench(app) as bench:
        yield bench


def rotate(browser: Browser) -> None:
    """Be offered the next token, and confirm it."""
    before = browser.session_token
    browser.get("/")
    assert_rotated(browser, before)
    browser.get("/")


class TestJarAfterCrash:
    """What was on disk."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def jar(self, clock: FakeClock) -> CookieJar:
        return CookieJar(clock)

    def crash(self, jar: CookieJar, *, keeps: bool = True) -> None:
        jar.crash(30_000, keeps_session_cookies=keeps)

    def test_what_was_set_lately_is_undone(self, jar: CookieJar, clock: FakeClock) -> None:
        jar.receive(["a=1", "b=1"], url=HERE)
        clock.advance(milliseconds=1)
        jar.receive(["a=2", "c=2"], url=HERE)
        clock.advance(seconds=30, milliseconds=-1)
        self.crash(jar)
        assert dict(jar) == {"a": "1", "b": "1"}
        assert [(cookie.name, cookie.value) for cookie in jar.gone] == [("c", "2")]

    def test_what_was_removed_lately_is_back(self, jar: CookieJar, clock: FakeClock) -> None:
        jar.receive(["a=1", "b=1"], url=HERE)
        clock.advance(seconds=40)
        jar.receive(["a=; Max-Age=0"], url=HERE)
        jar.discard("b")
        assert [cookie.name for cookie in jar.gone] == ["a", "b"]
        self.crash(jar)
        assert dict(jar) == {"a": "1", "b": "1"}
        assert not jar.gone

    def test_several_changes_of_one_cookie_are_undone_to_the_first(
        self, jar: CookieJar, clock: FakeClock
    ) -> None:
        jar.receive(["a=1"], url=HERE)
        clock.advance(seconds=40)
        for line in ("a=2", "a=3", "a=; Max-Age=0", "a=4"):
            jar.receive([line], url=HERE)
            clock.advance(seconds=1)
        self.crash(jar)
        assert dict(jar) == {"a": "1"}

    def test_what_came_back_is_on_disk(self, jar: CookieJar, clock: FakeClock) -> None:
        jar.receive(["a=1"], url=HERE)
        clock.advance(seconds=40)
        jar.receive(["a=2"], url=HERE)
        self.crash(jar)
        self.crash(jar)
        assert dict(jar) == {"a": "1"}

    def test_a_cookie_that_is_over_does_not_come_back(
        self, jar: CookieJar, clock: FakeClock
    ) -> None:
        jar.receive(["a=1; Max-Age=35", "b=1; Max-Age=35"], url=HERE)
        clock.advance(seconds=34)
        jar.receive(["a=2"], url=HERE)
        clock.advance(seconds=1)
        self.crash(jar)
        assert dict(jar) == {}

    def test_an_evicted_cookie_is_back(self, jar: CookieJar, clock: FakeClock) -> None:
        jar.receive([f"c{number}=1" for number in range(180)], url=HERE)
        clock.advance(seconds=40)
        jar.receive(["new=1"], url=HERE)
        assert "c0" not in jar
        self.crash(jar)
        assert "c0" in jar
        assert "new" not in jar

    def test_a_browser_that_is_closed_saves_everything(
        self, jar: CookieJar, clock: FakeClock
    ) -> None:
        jar.receive(["a=1; Max-Age=60"], url=HERE)
        jar.restart()
        self.crash(jar)
        assert dict(jar) == {"a": "1"}

    def test_without_restored_tabs_session_cookies_are_gone(
        self, jar: CookieJar, clock: FakeClock
    ) -> None:
        jar.receive(["a=1", "b=1; Max-Age=600"], url=HERE)
        clock.advance(seconds=40)
        twin = jar.copy()
        self.crash(twin)
        self.crash(jar, keeps=False)
        assert dict(twin) == {"a": "1", "b": "1"}
        assert dict(jar) == {"b": "1"}
        self.crash(jar)
        assert dict(jar) == {"b": "1"}

    def test_a_copy_has_its_own_disk(self, jar: CookieJar, clock: FakeClock) -> None:
        jar.receive(["a=1"], url=HERE)
        twin = jar.copy()
        self.crash(twin)
        assert dict(twin) == {}
        assert dict(jar) == {"a": "1"}

    def test_what_is_later_than_now_was_saved(self, jar: CookieJar, clock: FakeClock) -> None:
        jar.receive(["a=1"], url=HERE)
        clock.advance(hours=-1)
        self.crash(jar)
        assert dict(jar) == {"a": "1"}


class TestCrash:
    """A browser that is killed and comes back."""

    def test_a_crash_after_a_rotation_signs_nobody_out(self, bench: Bench, ada: Browser) -> None:
        bench.clock.advance(days=1)
        before = ada.session_token
        rotate(ada)
        bench.clock.advance(seconds=5)
        ada.crash()
        assert ada.session_token == before
        bench.clock.advance(minutes=2)
        ada.get("/")
        assert_rotated(ada, before)
        assert_signed_in(ada)

    def test_what_was_saved_stays(self, bench: Bench, ada: Browser) -> None:
        bench.clock.advance(days=1)
        ada.get("/")
        token = ada.session_token
        bench.clock.advance(seconds=5)
        ada.crash(seconds_unsaved=5)
        assert ada.session_token == token
        ada.crash(timedelta(seconds=5, milliseconds=1))
        assert ada.session_token != token

    def test_a_sign_in_that_was_not_saved_is_lost(self, bench: Bench, ada: Browser) -> None:
        ada.crash()
        assert ada.session_token is None
        with pytest.raises(AssertionError, match="its session is live, but the jar has lost"):
            assert_signed_out(ada, reason="revoked")

    def test_a_session_that_ends_with_the_browser_may_be_restored(self, bench: Bench) -> None:
        browser = bench.new_browser()
        browser.sign_in(ADA, remember_me=False)
        bench.clock.advance(minutes=1)
        browser.crash()
        assert_signed_in(browser)
        browser.crash(keeps_session_cookies=False)
        assert_signed_out(browser)

    def test_answers_on_their_way_are_lost(self, bench: Bench, ada: Browser) -> None:
        bench.clock.advance(days=1)
        other = bench.new_browser()
        other.sign_in("grace@example.org")
        with bench.network.delaying_responses(2):
            ada.get("/")
            other.get("/")
        ada.crash()
        assert len(bench.network.held) == 1
        assert bench.network.deliver() == 1
        assert ada.session_token is not None
        assert ada.session_token.split(".")[2] == "0"

    @pytest.mark.parametrize("trouble", ["slow_uploads", "slow_answers"])
    def test_an_answer_to_what_was_sent_before_is_lost(
        self, bench: Bench, ada: Browser, trouble: str
    ) -> None:
        bench.clock.advance(days=1)
        before = ada.session_token
        with getattr(bench.network, trouble)(ada.crash, 1):
            answer = ada.get("/")
        assert isinstance(answer, LostResponse)
        assert answer.unseen.text.endswith(" user")
        assert ada.session_token == before

    def test_a_request_made_before_reaches_the_app_and_its_answer_nobody(
        self, bench: Bench, ada: Browser
    ) -> None:
        bench.clock.advance(days=1)
        waiting = ada.prepare("GET", "/")
        before = ada.session_token
        ada.crash()
        answer = waiting.send()
        assert isinstance(answer, LostResponse)
        assert answer.unseen.text.endswith(" user")
        assert ada.session_token == before

    def test_a_copy_of_the_browser_goes_on(self, bench: Bench, ada: Browser) -> None:
        thief = ada.fork()
        bench.clock.advance(days=1)
        with bench.network.delaying_responses(1):
            thief.get("/")
        ada.crash()
        bench.network.deliver()
        assert thief.session_token is not None
        assert thief.session_token.split(".")[2] == "1"

    def test_the_story_tells_it(self, bench: Bench, ada: Browser) -> None:
        bench.clock.advance(days=1)
        rotate(ada)
        with bench.network.delaying_responses(1):
            ada.get("/")
        bench.clock.advance(seconds=5)
        ada.crash()
        ada.get("/")
        ada.crash(2.5)
        lines = ada.story().splitlines()
        told = [line for line in lines if "crashes" in line]
        token = r"__Host-session_token=v1\.[\w-]{4}…\.0\.[\w-]{4}…\.…"
        assert re.fullmatch(
            r"2030-01-02T12:00:05\.000\+00:00 the browser crashes, 30 s after it wrote its cookies "
            rf"to disk: {token} is back, 1 answers on their way to it are lost",
            told[0],
        )
        assert told[1].endswith("2.5 s after it wrote its cookies to disk: nothing is lost")
        assert lines.index(told[0]) == len(lines) - 3
        assert ada.session_token is not None
        assert ada.session_token not in ada.story()

    def test_the_story_of_a_lost_sign_in_names_what_is_gone(self, ada: Browser) -> None:
        ada.crash()
        assert re.search(r"=v1\.[\w-]{4}…\.0\.[\w-]{4}…\.… is gone", ada.story())

    @pytest.mark.parametrize("wrong", [-1, True, timedelta(seconds=-1)])
    def test_no_time_below_zero(self, ada: Browser, wrong: Any) -> None:
        with pytest.raises(ValueError, match="give 0 or more"):
            ada.crash(wrong)


class TestPreparedRequests:
    """What a page asks for, and the browser sends when it can."""

    def test_it_has_the_cookies_of_when_it_was_made(self, bench: Bench, ada: Browser) -> None:
        bench.clock.advance(days=1)
        old = ada.session_token
        waiting = [ada.prepare("GET", f"/photo/{number}") for number in range(3)]
        rotate(ada)
        bench.clock.advance(seconds=59)
        assert [request.send().text for request in waiting] == ["none user"] * 3
        assert f"={old}" in str(ada.history[-1].sent)
        assert ada.session_token != old
        assert (
            "GET https://localhost/photo/2 (made at 2030-01-02T12:00:00.000+00:00) -> "
            in (ada.story().splitlines()[-1])
        )

    def test_its_cookies_are_taken_when_it_is_answered(self, bench: Bench, ada: Browser) -> None:
        waiting = ada.prepare("GET", "/")
        bench.clock.advance(days=1)
        before = ada.session_token
        waiting.send()
        assert_rotated(ada, before)

    def test_the_network_meets_it_when_it_is_sent(self, bench: Bench, ada: Browser) -> None:
        with (
            pytest.raises(AssertionError, match="no request was made within the block"),
            bench.network.losing_responses(),
        ):
            waiting = ada.prepare("GET", "/")
        with bench.network.losing_responses(1):
            assert isinstance(waiting.send(), LostResponse)

    def test_it_is_shown(self, ada: Browser) -> None:
        waiting = ada.prepare("post", "/photos", {"a": "b"})
        assert isinstance(waiting, PreparedRequest)
        assert repr(waiting) == "<PreparedRequest POST https://localhost/photos>"


class TestSlowUploads:
    """Requests whose bodies take long."""

    def test_an_upload_outlasts_a_rotation(self, bench: Bench, ada: Browser) -> None:
        bench.clock.advance(days=1)
        old = ada.session_token

        def meanwhile() -> None:
            rotate(ada)
            bench.clock.advance(minutes=9)
            ada.get("/")

        with bench.network.slow_uploads(meanwhile):
            answer = ada.post("/photos", bytes(70_000), headers={"Content-Type": "image/png"})
        assert answer.text == "70000 user"
        assert f"={old}" in str(ada.history[-1].sent)
        assert ada.history[-1].received == ()
        last = ada.story().splitlines()[-1]
        assert (
            "2030-01-02T12:09:00.000+00:00 POST https://localhost/photos (made at 2030-01-02"
            in (last)
        )
        assert " (uploaded slowly)" in last
        assert_signed_in(ada)

    def test_without_a_body_it_gets_one(self, bench: Bench, ada: Browser) -> None:
        with bench.network.slow_uploads(60, 2):
            assert ada.get("/").text == "65537 user"
            assert ada.post("/").text == "65537 user"

    def test_a_short_body_is_refused_before_anything_happens(
        self, bench: Bench, ada: Browser
    ) -> None:
        before = bench.clock.now_ms()
        told = "the body has 3 bytes, but a slow upload is one of more than 65536; send a longer"
        with bench.network.slow_uploads(60), pytest.raises(ValueError, match=told):
            ada.post("/", {"a": "b"})
        assert bench.clock.now_ms() == before

    def test_the_longest_short_body_is_refused_too(self, bench: Bench, ada: Browser) -> None:
        with bench.network.slow_uploads(60), pytest.raises(ValueError, match="has 65536 bytes"):
            ada.put("/", bytes(65_536))

    def test_time_alone_may_pass(self, bench: Bench, ada: Browser) -> None:
        before = bench.clock.now()
        with bench.network.slow_uploads(90):
            ada.get("/")
        assert bench.clock.now() - before == timedelta(seconds=90)
        with bench.network.slow_uploads(timedelta(minutes=5)):
            ada.get("/")
        assert bench.clock.now() - before == timedelta(seconds=390)

    def test_signing_out_can_be_slow(self, bench: Bench, ada: Browser) -> None:
        at = bench.clock.now()
        with bench.network.slow_uploads(90, 1):
            assert ada.sign_out()
        assert bench.clock.now() - at == timedelta(seconds=90)
        assert_signed_out(ada)


class TestSlowAnswers:
    """Answers that the app begins late."""

    def test_a_cookie_decided_long_ago_is_not_sent(self, bench: Bench, ada: Browser) -> None:
        bench.clock.advance(days=1)

        def meanwhile() -> None:
            rotate(ada)
            bench.clock.advance(minutes=4)
            ada.get("/")

        with bench.network.slow_answers(meanwhile):
            assert ada.get("/").text == "none user"
        assert ada.history[-1].received == ()
        assert (
            "-> 200 OK (answered slowly, answered at 2030-01-02T12:04:00"
            in (ada.story().splitlines()[-1])
        )
        ada.get("/")
        assert_signed_in(ada)

    def test_one_that_is_not_that_late_brings_its_cookie(self, bench: Bench, ada: Browser) -> None:
        bench.clock.advance(days=1)
        before = ada.session_token
        with bench.network.slow_answers(59):
            ada.get("/")
        assert_rotated(ada, before)

    def test_the_app_has_been_asked(self) -> None:
        asked: list[int] = []

        def noting(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
            asked.append(1)
            start_response("200 OK", [("Content-Type", "text/plain")])
            yield b"text"

        with Bench(noting) as bench:
            browser, counts = bench.new_browser(), []
            with bench.network.slow_answers(lambda: counts.append(len(asked))):
                assert browser.get("/").text == "text"
        assert counts == [1]

    def test_it_happens_once_where_the_headers_are_replaced(self) -> None:
        import sys

        def failing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            start_response("200 OK", [("Content-Type", "text/plain")])
            try:
                raise KeyError("late")
            except KeyError:
                headers = [("Content-Type", "text/plain")]
                start_response("500 Internal Server Error", headers, sys.exc_info())
            return [b"sorry"]

        with Bench(failing) as bench:
            at = bench.clock.now()
            with bench.network.slow_answers(60):
                assert bench.new_browser().get("/").status_int == 500
            assert bench.clock.now() - at == timedelta(seconds=60)

    def test_signing_in_can_be_slow(self, bench: Bench) -> None:
        browser, at = bench.new_browser(), bench.clock.now()
        with bench.network.slow_answers(90, 1):
            browser.sign_in(ADA)
        assert bench.clock.now() - at == timedelta(seconds=90)
        assert_signed_in(browser)

    def test_an_answer_that_is_not_the_apps_shows_nothing(self, bench: Bench, ada: Browser) -> None:
        told = "get-session was not answered by the app within SessionMiddleware, as far as can"
        with bench.network.slow_answers(60), pytest.raises(AssertionError, match=told):
            ada.get("/api/auth/get-session")


SLOW: list[Callable[[Network, Any, int | None], Any]] = [
    Network.slow_uploads,
    Network.slow_answers,
]


class TestSlowBlocks:
    """What both have in common."""

    @pytest.mark.parametrize("slow", SLOW)
    def test_requests_made_meanwhile_do_not_meet_the_block(
        self, bench: Bench, ada: Browser, slow: Callable[..., Any]
    ) -> None:
        made: list[str] = []

        def meanwhile() -> None:
            made.append(ada.get("/").text)
            with bench.network.losing_responses(1):
                assert isinstance(ada.get("/"), LostResponse)

        with slow(bench.network, meanwhile):
            ada.get("/")
            ada.get("/")
        assert made == ["none user"] * 2

    @pytest.mark.parametrize("slow", SLOW)
    def test_requests_made_meanwhile_meet_the_block_around(
        self, bench: Bench, ada: Browser, slow: Callable[..., Any]
    ) -> None:
        before = bench.clock.now()
        with slow(bench.network, 60, 1), slow(bench.network, lambda: ada.get("/"), 1):
            ada.get("/")
        assert bench.clock.now() - before == timedelta(seconds=60)

    @pytest.mark.parametrize("slow", SLOW)
    def test_a_block_that_met_nothing_fails(
        self, bench: Bench, ada: Browser, slow: Callable[..., Any]
    ) -> None:
        with (
            pytest.raises(AssertionError, match="no request was made within the block"),
            slow(bench.network, 60),
        ):
            pass
        with (
            pytest.raises(AssertionError, match=r"2 were to be \w+ slowly, but only 1 requests"),
            slow(bench.network, 60, 2),
        ):
            ada.get("/")

    @pytest.mark.parametrize("slow", SLOW)
    @pytest.mark.parametrize(
        ("wrong", "error", "said"),
        [
            (0, ValueError, "meanwhile is 0, which is not slow; give more than 0"),
            (timedelta(seconds=-1), ValueError, "which is not slow"),
            (True, TypeError, "meanwhile is True; give what happens meanwhile, such as"),
            ("60", TypeError, "seconds or a timedelta"),
        ],
    )
    def test_nonsense_is_refused(
        self,
        bench: Bench,
        slow: Callable[..., Any],
        wrong: Any,
        error: type[Exception],
        said: str,
    ) -> None:
        with pytest.raises(error, match=said), slow(bench.network, wrong):
            raise AssertionError("unreachable")

    @pytest.mark.parametrize("slow", SLOW)
    def test_what_fails_meanwhile_fails_the_test(
        self, bench: Bench, ada: Browser, slow: Callable[..., Any]
    ) -> None:
        def meanwhile() -> None:
            raise KeyError("meanwhile")

        with pytest.raises(KeyError, match="meanwhile"), slow(bench.network, meanwhile):
            ada.get("/")
        with slow(bench.network, 60):
            ada.get("/")
