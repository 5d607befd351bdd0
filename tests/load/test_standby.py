"""A standby takes over while browsers go on asking, and has not got the last second."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.scenarios.servers import SECRET, serving
from wsgi_sessions import SessionManager
from wsgi_sessions.errors import StoreUnavailableError

from .standby import Pair, replicated
from .visitors import RECOVERY_SECONDS, SETTINGS, WORKERS, Load, check

PASSWORD = "correct horse battery"
LOST_SECONDS = 1


def test_fail_over_signs_nobody_out(tmp_path: Path) -> None:
    with (
        replicated() as pair,
        serving("gthread", pair.url, tmp_path, workers=WORKERS, settings=SETTINGS) as server,
        Load(server) as load,
    ):
        load.wait_until_served()
        server.use_every_worker()
        pair.wait_until_alike()
        began = time.monotonic()
        with pair.way.silent():
            # Each request writes when its session was seen; the standby never hears of these.
            time.sleep(LOST_SECONDS)
            late = server.visitor()
            assert late.sign_up("late@example.org").status == 200
            pair.primary.kill()
        pair.promote()
        recovery_seconds = load.wait_until_served()
        late.cookies.pop("session_data", None)
        known = late.get("/me?bare").json["user"]
        again = late.sign_up("late@example.org").status

    seen = Counter(one.what for one in load.between(began, began + 60) if one.who != "stranger")
    print("fail-over", dict(seen), f"recovered after {recovery_seconds:.2f} s")
    check(load)
    assert recovery_seconds < RECOVERY_SECONDS
    assert known is None, "who signed in within the lost second is a stranger"
    assert again == 200, "and can do it again"


class TestServerThatTakesNoWrites:
    def test_reads_go_on_and_writes_say_why(self) -> None:
        with replicated() as pair:
            with closing(manager_of(pair.primary.url())) as manager:
                made = manager.sign_up_email(name="A", email="a@example.org", password=PASSWORD)
            pair.wait_until_alike()
            with closing(manager_of(pair.standby.url())) as reader:
                assert made.session is not None
                assert reader.is_live(made.session.id)
                for use in (
                    lambda: reader.sign_out(made.session.id),
                    lambda: reader.sign_in(made.user.id),
                ):
                    with pytest.raises(StoreUnavailableError, match="takes no writes"):
                        use()
                assert reader.is_live(made.session.id)

                pair.primary.kill()
                pair.promote()
                assert reader.sign_out(made.session.id)

    def test_a_primary_that_was_demoted_is_left_for_the_new_one(self) -> None:
        with replicated() as pair, closing(manager_of(pair.url)) as manager:
            made = manager.sign_up_email(name="A", email="a@example.org", password=PASSWORD)
            pair.wait_until_alike()
            pair.promote()
            demote(pair)

            # Over the connection that is open still.
            with pytest.raises(StoreUnavailableError, match="takes no writes"):
                manager.sign_in(made.user.id)
            assert manager.sign_in(made.user.id).session is not None


def manager_of(url: str) -> SessionManager:
    return SessionManager(url, secret=SECRET)


def demote(pair: Pair) -> None:
    """Have the old primary take no more writes, as an operator does before it is stopped."""
    pair.primary.query("ALTER SYSTEM SET default_transaction_read_only = on")
    pair.primary.query("SELECT pg_reload_conf()")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if pair.primary.query("SHOW default_transaction_read_only") == [("on",)]:
            return
        time.sleep(0.02)
    raise AssertionError(pair.primary.log)
