"""What the audit trail keeps: what is new about a sign-in, of addresses, and of a flood."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import PASSWORD
from wsgi_sessions import ConfigurationError, SessionConfig, SessionEvent, StoreUnavailableError
from wsgi_sessions.events import NOTED_EVENTS, TOLD_EVENTS, EventName
from wsgi_sessions.records import EndReason
from wsgi_sessions_testing import Bench

ADA = "ada@example.org"
LINUX, IPHONE = "Firefox on Linux", "Safari on iPhone"
SECRET = "0123456789abcdef" * 2


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"a page"]


def kept(bench: Bench, *names: EventName) -> list[SessionEvent]:
    """Return the events of the table, the first one first."""
    return bench.manager.list_events(names=names, max_count=1000)[::-1]


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench(app, audit=True) as bench:
        yield bench


def guess(bench: Bench, address: str = "192.0.2.1", *, count: int = 1) -> None:
    """Come with forged cookies."""
    browser = bench.new_browser(address=address)
    for _ in range(count):
        browser.get("/", headers={"Cookie": "__Host-session_token=v1.forged; session_token=v1.x"})


class TestNews:
    def sign_in(self, bench: Bench, user: Any, device: str, address: str) -> tuple[bool, bool]:
        """Sign in; return whether device and network are new, as listeners and the table say."""
        told: list[SessionEvent] = []
        stop = bench.manager.events.subscribe(told.append)
        bench.new_browser(device, address=address).sign_in(user)
        stop()
        [event] = [event for event in told if event.name == "session_created"]
        [row] = bench.manager.list_events(names=["session_created"], max_count=1)
        news = (event.details["is_new_device"], event.details["is_new_network"])
        assert news == (row.details["is_new_device"], row.details["is_new_network"])
        return news

    def test_the_first_sign_in_is_new_in_both(self, bench: Bench) -> None:
        user = bench.factories.make_user(ADA)
        assert self.sign_in(bench, user, LINUX, "192.0.2.1") == (True, True)

    @pytest.mark.parametrize(
        ("device", "address", "news"),
        [
            (LINUX, "192.0.2.99", (False, False)),
            (IPHONE, "192.0.2.1", (True, False)),
            (LINUX, "198.51.100.1", (False, True)),
            (IPHONE, "198.51.100.1", (True, True)),
        ],
    )
    def test_compared_with_the_sessions_before(
        self, bench: Bench, device: str, address: str, news: tuple[bool, bool]
    ) -> None:
        user = bench.factories.make_user(ADA)
        self.sign_in(bench, user, LINUX, "192.0.2.1")
        assert self.sign_in(bench, user, device, address) == news

    def test_an_ended_session_is_remembered_until_it_is_purged(self, bench: Bench) -> None:
        user = bench.factories.make_user(ADA)
        self.sign_in(bench, user, LINUX, "192.0.2.1")
        bench.manager.revoke_all_sessions(user.id)
        bench.clock.advance(days=29)
        assert self.sign_in(bench, user, LINUX, "192.0.2.1") == (False, False)
        bench.manager.revoke_all_sessions(user.id)
        bench.clock.advance(days=31)
        while bench.manager.purge():
            pass
        assert self.sign_in(bench, user, LINUX, "192.0.2.1") == (True, True)

    def test_another_persons_sessions_tell_nothing(self, bench: Bench) -> None:
        self.sign_in(bench, bench.factories.make_user(ADA), LINUX, "192.0.2.1")
        other = bench.factories.make_user("bob@example.org")
        assert self.sign_in(bench, other, LINUX, "192.0.2.1") == (True, True)

    def test_where_it_is_off_nobody_asks(self) -> None:
        with Bench(app) as bench:
            bench.new_browser().sign_in(ADA)
            [event] = [one for one in bench.events if one.name == "session_created"]
        assert set(event.details) == {"method", "device"}


class TestAddresses:
    def addresses(self, **audit: Any) -> list[str | None]:
        with Bench(app, audit=audit) as bench:
            for address in ("192.0.2.77", "2001:db8:1:2::17"):
                bench.new_browser(address=address).sign_in(ADA)
                guess(bench, address)
            return [event.address for event in kept(bench, "session_created", "cookie_refused")]

    def test_all_of_it_is_kept_unless_something_else_is_said(self) -> None:
        v4, v6 = "192.0.2.77", "2001:db8:1:2::17"
        assert self.addresses() == [v4, v4, v6, v6]

    def test_it_can_be_cut_to_its_network(self) -> None:
        v4, v6 = "192.0.2.0/24", "2001:db8:1::/48"
        assert self.addresses(addresses="cut") == [v4, v4, v6, v6]

    def test_it_can_be_left_out(self) -> None:
        assert self.addresses(addresses="none") == [None] * 4

    def test_it_can_be_hashed_with_a_key(self) -> None:
        first, again, other, _ = self.addresses(addresses="hashed")
        assert first == again != other
        assert first is not None and len(first) == 32 and "192" not in first
        with Bench(app, audit={"addresses": "hashed"}, secret="another" + SECRET) as bench:
            bench.new_browser(address="192.0.2.77").sign_in(ADA)
            [event] = kept(bench, "session_created")
        assert event.address not in (first, None)


class TestWhatIsKept:
    def test_only_the_named_ones(self) -> None:
        with Bench(app, audit={"events": ["session_ended", "cookie_refused"]}) as bench:
            browser = bench.new_browser()
            browser.sign_in(ADA)
            assert browser.session is not None
            bench.manager.sign_out(browser.session.id)
            guess(bench)
            assert [event.name for event in kept(bench)] == ["session_ended", "cookie_refused"]

    def test_an_unknown_name_is_refused(self) -> None:
        with pytest.raises(
            ConfigurationError, match=r"audit.events holds 'purge_done'; give names"
        ):
            SessionConfig(secret=SECRET, audit={"events": ["purge_done"]})  # type: ignore[arg-type]

    def test_they_go_after_their_time(self) -> None:
        with Bench(app, audit={"keep": 60}) as bench:
            guess(bench)
            bench.clock.advance(seconds=60)
            while bench.manager.purge():
                pass
            assert kept(bench) == []

    def test_who_ended_a_session_and_from_where(self, bench: Bench) -> None:
        laptop, phone = bench.new_browser(LINUX), bench.new_browser(IPHONE, address="198.51.100.7")
        for browser in (laptop, phone):
            browser.sign_in(ADA)
        assert laptop.session is not None
        session_id = laptop.session.id
        phone.post_json("/api/auth/revoke-session", {"token": session_id})

        [ended] = kept(bench, "session_ended")
        assert (ended.session_id, ended.reason) == (session_id, EndReason.REVOKED)
        assert (ended.address, "iPhone" in str(ended.user_agent)) == ("198.51.100.7", True)

    @pytest.mark.parametrize("off", [None, False, {"enabled": False}])
    def test_off_it_imports_and_keeps_nothing(self, off: Any) -> None:
        program = (
            "import sys\n"
            "from wsgi_sessions import SessionManager\n"
            f"manager = SessionManager('sqlite:///:memory:', secret={SECRET!r}, audit={off!r})\n"
            "user = manager.create_user(name='Ada', email='ada@example.org')\n"
            "manager.sign_out(manager.sign_in(user.id).session.id)\n"
            "print([name for name in sys.modules if 'audit' in name or 'noted' in name"
            " or 'event_rows' in name], manager.list_events())\n"
        )
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert (ran.stdout.strip(), ran.returncode) == ("[] []", 0), ran.stderr


class TestRefusals:
    def test_each_has_address_and_browser(self, bench: Bench) -> None:
        browser = bench.new_browser(IPHONE, address="198.51.100.7")
        browser.get("/", headers={"Cookie": "__Host-session_token=v1.forged; session_token=v1.x"})
        browser.post_json("/api/auth/sign-out", from_origin="https://evil.example")

        first, second = kept(bench)
        assert (first.name, first.details) == ("cookie_refused", {"cookie": "token"})
        assert (second.name, second.details["path"]) == ("request_refused", "/api/auth/sign-out")
        assert second.details["code"] == "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED"
        assert {event.address for event in (first, second)} == {"198.51.100.7"}
        assert all("iPhone" in str(event.user_agent) for event in (first, second))

    def test_a_wrong_password_and_too_many(self) -> None:
        with Bench(app, audit=True, throttle={"tries": 1}) as bench:
            bench.factories.make_user(ADA, password=PASSWORD)
            for _ in range(2):
                bench.new_browser().post_json(
                    "/api/auth/sign-in/email", {"email": ADA, "password": "wrong horse"}
                )
            assert [event.name for event in kept(bench)][-2:] == ["sign_in_failed", "throttled"]

    def test_a_flood_of_one_network_leaves_so_many_rows_a_minute(self) -> None:
        with Bench(app, audit={"network_refusals": 3}) as bench:
            guess(bench, "192.0.2.1", count=50)
            guess(bench, "192.0.2.200", count=50)
            assert len(kept(bench)) == 3
            guess(bench, "198.51.100.1")
            bench.clock.advance(seconds=60)
            guess(bench)

            assert [event.details.get("suppressed") for event in kept(bench)] == [
                *[None, None, None, 97, None],
            ]

    def test_a_flood_from_everywhere_does_too(self) -> None:
        with Bench(app, audit={"refusals": 20}) as bench:
            for number in range(60):
                guess(bench, f"10.0.{number}.1")
            assert len(kept(bench)) == 20
            bench.clock.advance(seconds=60)
            guess(bench)
            assert kept(bench)[-1].details["suppressed"] == 40

    def test_what_is_left_is_told_when_the_manager_closes(self) -> None:
        with Bench(app, audit={"network_refusals": 1}) as bench:
            guess(bench, count=5)
            bench.manager.parts.events.noted.flush()  # type: ignore[union-attr]
            bench.manager.parts.events.noted.flush()  # type: ignore[union-attr]
            assert [event.details.get("suppressed") for event in kept(bench)] == [None, 4]

    def test_a_failure_fails_no_request_and_rests(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        tries: list[int] = []

        def fail(_events: Any) -> None:
            tries.append(bench.clock.now_ms())
            raise StoreUnavailableError("the disk is full")

        store: Any = bench.manager.parts.store
        caplog.set_level(logging.WARNING, "wsgi_sessions")
        with monkeypatch.context() as broken:
            broken.setattr(store.inner.events, "_insert", fail)
            assert bench.new_browser().get("/").status_int == 200
            guess(bench, count=3)
            assert len(tries) == 1
            bench.clock.advance(seconds=10)
            guess(bench)
            assert len(tries) == 2
        bench.clock.advance(seconds=10)
        guess(bench)

        [event] = kept(bench)
        assert event.details["suppressed"] == 4
        assert (
            caplog.messages == ["the event cookie_refused was not kept: StoreUnavailableError"] * 2
        )

    def test_a_database_that_is_away_is_waited_for_once(self, bench: Bench) -> None:
        with bench.faults.database_down():
            for _ in range(3):
                guess(bench)
        assert kept(bench) == []


def test_each_name_is_kept_in_one_way() -> None:
    assert not set(TOLD_EVENTS) & set(NOTED_EVENTS)
