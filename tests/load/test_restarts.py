"""The database is stopped and started under load: 503 meanwhile, and all served by the next request.

Twice by default, and five times for longer with ``CI_FULL=1``.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.scenarios.servers import Server, Visitor, serving
from tests.support import IS_FULL, in_parallel

from .own_servers import OwnServer, Relay
from .visitors import MAX_CONNECTIONS, SETTINGS, SLACK_SECONDS, WORKERS, Load, check, tell

STOPS = 5 if IS_FULL else 2
SECONDS_AWAY = 10 if IS_FULL else 2
LAG_SECONDS = 4
THREADS = 4
"""Of the worker that serves."""


@pytest.mark.parametrize("kind", ["gthread", "gevent"] if IS_FULL else ["gthread"])
def test_the_first_request_after_each_return_is_served_and_nothing_leaks(
    kind: str, own: OwnServer, tmp_path: Path
) -> None:
    with (
        serving(kind, own.url(), tmp_path, workers=WORKERS, settings=SETTINGS) as server,
        Load(server, plain_count=4) as load,
    ):
        load.wait_until_served()
        server.use_every_worker()
        sockets_before = count_sockets(server)
        seen_away: Counter[str] = Counter()
        first_ones = []
        for _ in range(STOPS):
            own.kill()
            began = time.monotonic()
            time.sleep(SECONDS_AWAY)
            seen_away += Counter(
                one.what for one in load.between(began, time.monotonic()) if one.who != "stranger"
            )
            own.start()
            back = time.monotonic()
            load.wait_until_served()
            first_ones += [
                min(
                    (one for one in load.between(back, time.monotonic()) if one.who == who),
                    key=lambda one: one.at,
                )
                for who in {one.who for one in load.seen}
            ]
        held, sockets_after = own.connection_count(), count_sockets(server)

    print(kind, own.kind, dict(seen_away), "first:", Counter(one.what for one in first_ones))
    print("connections", held, "sockets of the workers", sockets_before, sockets_after)
    check(load)
    assert seen_away["away"], "it was away"
    assert {one.what for one in first_ones} == {"served"}, "within one request of its return"
    assert held <= WORKERS * MAX_CONNECTIONS
    assert sockets_after <= sockets_before + WORKERS * MAX_CONNECTIONS


def test_a_restart_between_two_requests_is_noticed_by_nobody(
    own: OwnServer, tmp_path: Path
) -> None:
    with serving("gthread", own.url(), tmp_path, workers=1) as server:
        visitor = server.visitor()
        assert visitor.sign_up("ada@example.org").status == 200

        def use(number: int) -> list[int]:
            tab, newcomer = Visitor(server.port, visitor.cookies), server.visitor()
            email = f"{number}-{time.monotonic()}@example.org"
            return [tab.get("/at-work?0.2").status, newcomer.sign_up(email).status]

        before = in_parallel(use, THREADS)
        held = own.connection_count()
        own.kill()
        own.start()
        after = in_parallel(use, THREADS)

    print(own.kind, "connections that were cut", held)
    assert held > 1
    assert before == after == [[200, 200]] * THREADS


def test_a_cached_copy_is_good_for_the_lag_and_no_longer(own: OwnServer, tmp_path: Path) -> None:
    settings = {"cookie_cache": {"enabled": True}, "revocation_lag": LAG_SECONDS}
    with (
        # By a way that is cut at once, which a server that is killed may take its time for.
        closing(Relay(own.port)) as relay,
        serving("gthread", own.url(relay.port), tmp_path, workers=1, settings=settings) as server,
    ):
        visitor = server.visitor()
        assert visitor.sign_up("cached@example.org").status == 200
        assert visitor.user() == "cached@example.org"
        assert "session_data" in visitor.cookies
        # So long ago that the next request reads the feed.
        time.sleep(LAG_SECONDS + 0.2)
        read_at = time.monotonic()
        assert visitor.user() == "cached@example.org"
        own.kill()
        relay.cut()
        seen = []
        while time.monotonic() < read_at + LAG_SECONDS + SLACK_SECONDS:
            at = time.monotonic() - read_at
            answer = visitor.get("/me?bare")
            seen.append((at, time.monotonic() - read_at, tell(answer, "cached@example.org")))
            time.sleep(0.05)
        own.start()
        assert visitor.user() == "cached@example.org"

    within = [what for at, until, what in seen if until < LAG_SECONDS - 0.5]
    after = [what for at, until, what in seen if at > LAG_SECONDS + 0.5]
    print(Counter(within), Counter(after))
    assert set(within) == {"served"}, "served without the database"
    assert set(after) == {"away"}, "nobody knows whether it has been revoked"


def count_sockets(server: Server) -> int:
    """Return how many sockets the workers of a server hold, those of clients at rest aside."""
    count = 0
    for process_id in server.workers():
        for path in Path(f"/proc/{process_id}/fd").iterdir():
            with suppress(OSError):
                count += str(path.readlink()).startswith("socket:")
    return count
