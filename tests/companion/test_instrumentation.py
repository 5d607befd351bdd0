"""Claims about the watched store: every method of it is classified, so nothing is passed over."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from tests.support import IS_FULL
from wsgi_sessions import SessionManager
from wsgi_sessions.accounts.social import SocialAccounts
from wsgi_sessions.errors import StoreUnavailableError
from wsgi_sessions.storage.accounts import AccountStore
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing import Bench, Browser, LocalIssuer, Schedules, settings_for_tests
from wsgi_sessions_testing.fakes.instrumentation import CALLS, UNWATCHED, StoreCall

from .apps import ADA, account_app

TWO_TABS = [(True, True), *([(False, False)] if IS_FULL else [])]
"""Whether the user is known, and the provider trusted; newcomers come in a thousand orders."""


class Calls:
    """Records the names of calls, or refuses the calls of one name."""

    def __init__(self, refused: str | None = None) -> None:
        self.names: list[str] = []
        self.refused = refused

    def around(self, call: StoreCall) -> Any:
        self.names.append(call.name)
        if call.name == self.refused:
            raise StoreUnavailableError("away")
        return call.run()


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with LocalIssuer() as issuer:
        yield issuer


def bench_with(issuer: LocalIssuer) -> Bench:
    return Bench(account_app, social_providers=[issuer.provider("corp", is_trusted=True)])


def sign_in(browser: Browser, issuer: LocalIssuer) -> Any:
    issuer.clock = browser.clock
    token = issuer.id_token("ada", email=ADA, email_verified=True)
    return browser.post_json(
        "/api/auth/sign-in/social", {"provider": "corp", "idToken": {"token": token}}
    )


class TestClassification:
    """``CALLS`` names the methods of the store and its parts, all of them and no others."""

    @pytest.mark.parametrize(
        ("owner", "name"), [(Store, "archive"), (AccountStore, "accounts.archive")]
    )
    def test_a_method_that_is_not_classified_fails_at_set_up(
        self, owner: Any, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(owner, "archive", lambda _: None, raising=False)
        said = (
            f"the store's method {name} is not classified, so schedules would not interleave it "
            "and faults not break it; add it to CALLS in "
            "wsgi_sessions_testing.fakes.instrumentation as READ, WRITE or UNWATCHED"
        )
        with pytest.raises(TypeError) as failure, Bench(account_app):
            pass
        assert str(failure.value) == said

    def test_what_is_classified_is_there(self) -> None:
        manager = SessionManager("sqlite:///:memory:", config=settings_for_tests(), audit=True)
        for name in CALLS:
            part, _, method = name.rpartition(".")
            owner = getattr(manager.parts.store, part) if part else manager.parts.store
            assert callable(getattr(owner, method)), name
        manager.close()

    def test_what_asks_the_database_is_watched(self) -> None:
        asking = {"find", "list", "insert", "update", "delete", "end", "link", "apply", "merge"}
        unwatched = {name for name, kind in CALLS.items() if kind == UNWATCHED}
        assert not {name for name in unwatched if name.rpartition(".")[2].split("_")[0] in asking}


class TestSocialSignIn:
    """It reads accounts, and links them: that is interleaved, and broken, like all else."""

    def test_its_reads_and_writes_of_accounts_are_watched(self, issuer: LocalIssuer) -> None:
        with bench_with(issuer) as bench:
            bench.factories.make_user(ADA, email_verified=True)
            store: Any = bench.manager.parts.store
            with store.watched_by(Calls()) as calls:
                assert sign_in(bench.new_browser(), issuer).status_int == 200
        names = [name for name in calls.names if not name.startswith("attempts.")]
        assert names[:6] == [
            *["one_time_tokens.insert", "one_time_tokens.find", "accounts.find_user"],
            *["users.find_by_email", "accounts.link", "accounts.find_user"],
        ]

    def test_it_answers_503_while_the_database_is_down(self, issuer: LocalIssuer) -> None:
        with bench_with(issuer) as bench:
            browser = bench.new_browser()
            assert sign_in(browser, issuer).status_int == 200
            browser.sign_out()
            with bench.faults.database_down():
                assert sign_in(browser, issuer).status_int == 503
            with bench.faults.database_down(1):
                assert sign_in(browser, issuer).status_int == 503
            assert browser.session is None
            assert sign_in(browser, issuer).status_int == 200

    @pytest.mark.parametrize("refused", ["accounts.find_user", "accounts.link"])
    def test_it_answers_503_where_accounts_alone_are_not_answered(
        self, refused: str, issuer: LocalIssuer
    ) -> None:
        with bench_with(issuer) as bench:
            bench.factories.make_user(ADA, email_verified=True)
            store: Any = bench.manager.parts.store
            with store.watched_by(Calls(refused)):
                assert sign_in(bench.new_browser(), issuer).status_int == 503

    @pytest.mark.parametrize(("is_known", "is_trusted"), TWO_TABS)
    def test_the_first_two_of_a_user_are_interleaved(
        self,
        issuer: LocalIssuer,
        is_known: bool,
        is_trusted: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # Two more reads, of what is no account, would make many times as many orders.
        monkeypatch.setattr(SocialAccounts, "is_over", lambda *_: False)

        def two_tabs(bench: Bench) -> Generator[list[Any], list[Any], None]:
            tabs = [bench.new_browser(), bench.new_browser()]
            if is_known:
                assert sign_in(tabs[0], issuer).status_int == 200
                tabs[0].cookies.clear()
            answers = yield [lambda tab=tab: sign_in(tab, issuer) for tab in tabs]
            assert [answer.status_int for answer in answers] == [200, 200]
            assert len({tab.session.user_id for tab in tabs if tab.session}) == 1
            created = [event for event in bench.events if event.name == "user_created"]
            assert len(created) == 1

        providers = [issuer.provider("corp", is_trusted=is_trusted)]
        # Without the throttle, whose counts would make a hundred thousand orders.
        schedules = Schedules(account_app, social_providers=providers, throttle=None)
        orders = schedules.walk(two_tabs)
        # More than the two in which one follows the other: they pause at each other's accounts.
        assert orders > 10
