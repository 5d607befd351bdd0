"""``assert_limit_holds``: how many sessions of one user are live after many sign-ins."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsgi_sessions.errors import SessionLimitReached

from ..bench import Bench, config_for_tests
from ..fakes.managers import sibling
from .steps import advance

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

ROUNDS = 10


def assert_limit_holds(
    app: WSGIApplication, *, folder: str | Path, sign_ins: int = 12, config: Any = None
) -> None:
    """Assert that ``maximum_sessions`` of one user's sessions stay live, the latest ones.

    Signs in from threads, on an SQLite file in ``folder``, then from one device after another.
    A user model of the app's own must be in a database that threads can share. With
    ``on_limit="reject"`` sessions that are past a limit must not count.
    """
    config = config_for_tests(app) if config is None else config
    database = f"sqlite:///{folder}/limit.db" if config.user_model is None else None
    with Bench(app, database=database, config=config) as bench:
        multi = bench.manager.config.multi_session
        most = multi.maximum_sessions if multi.enabled else 1
        if most is None:
            raise AssertionError("maximum_sessions is None, so there is no limit to hold")
        user = bench.factories.make_user()
        manager = sibling(bench.manager)
        for _ in range(ROUNDS):
            _sign_in_at_once(lambda: manager.sign_in(user.id), count=sign_ins)
            live = manager.list_sessions(user.id)
            if len(live) != most:
                raise AssertionError(
                    f"{sign_ins} parallel sign-ins of one user left {len(live)} sessions, where "
                    f"{most} is the maximum"
                )
        if multi.on_limit == "reject" and multi.enabled:
            _assert_ended_do_not_count(bench, user.id)
            return
        latest = []
        for _ in range(most + 1):
            bench.clock.advance(minutes=10)
            made = manager.sign_in(user.id)
            assert made.session is not None
            latest.append(made.session.id)
        kept = [session.id for session in manager.list_sessions(user.id)]
        if kept != latest[: -most - 1 : -1]:
            raise AssertionError(
                f"of {most + 1} devices that signed in one after another, the sessions of these "
                f"are live, the latest seen first: {[_number(one, latest) for one in kept]}"
            )


def _assert_ended_do_not_count(bench: Bench, user_id: Any) -> None:
    """Let all sessions come to a limit: none of them is in the way of the next sign-in."""
    config = bench.manager.config
    limits = (config.idle_timeout_ms, config.absolute_timeout_ms, config.expires_in_ms)
    advance(bench.clock, min(limit_ms for limit_ms in limits if limit_ms is not None))
    try:
        bench.manager.sign_in(user_id)
    except SessionLimitReached:
        raise AssertionError(
            "a sign-in was rejected for the sake of sessions that are past a limit"
        ) from None


def _sign_in_at_once(sign_in: Callable[[], Any], *, count: int) -> None:
    barrier = threading.Barrier(count)

    def work() -> None:
        barrier.wait(30)
        with suppress(SessionLimitReached):
            sign_in()

    threads = [threading.Thread(target=work) for _ in range(count)]
    interval = sys.getswitchinterval()
    # Switch threads as often as possible, so that some switch between a read and a write.
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)


def _number(session_id: str, latest: list[str]) -> int | str:
    return latest.index(session_id) + 1 if session_id in latest else "an earlier one"
