"""What keeps each promise about reliability: the text of the product, and the tests that need it.

``docs/reliability.md`` has a section for each line, with a table of its protections.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.seeded_faults.catalog import Fault


class Protection(NamedTuple):
    """A text of the product without which each of the tests fails."""

    what: str
    """In a sentence or two, with a link to the page that explains it."""
    taken_out: Fault
    """Its name says what is so without it."""
    tests: tuple[str, ...]
    seen: str
    """What the tests said when it was taken out."""
    is_quick: bool = False
    """Whether it is tried each time, and not with ``CI_FULL=1`` alone: a few seconds."""


WALK = "tests/properties/test_judge_walk.py::test_invariants_hold_in_every_state"
PARALLEL = "tests/scenarios/test_parallel.py"
ROTATION = f"{PARALLEL}::TestHundredRequestsOfARotation::test_cost_three_writes_and_sign_nobody_out"
SIGN_INS = f"{PARALLEL}::TestFiftySignIns::test_by_threads_leave_exactly_the_maximum"
KILLED = f"{PARALLEL}::TestKilledWorkers::test_sign_nobody_out_and_leave_no_row_half_written"
EIGHT = f"{PARALLEL}::TestEightProcessesOnOneSqliteFile::test_no_locked_database_reaches_a_client"
AUDIT = "tests/contract/test_audit.py::TestOneFate"
RESTARTS = "tests/load/test_restarts.py"
FIRST_ONES = f"{RESTARTS}::test_the_first_request_after_each_return_is_served_and_nothing_leaks"
CACHED = f"{RESTARTS}::test_a_cached_copy_is_good_for_the_lag_and_no_longer"
UNNOTICED = f"{RESTARTS}::test_a_restart_between_two_requests_is_noticed_by_nobody"
TROUBLE = "tests/load/test_trouble.py::test_trouble_signs_nobody_out_and_keeps_nobody_waiting"
GREENLETS = (
    "tests/load/test_trouble.py::test_two_hundred_greenlets_take_turns_on_twenty_connections"
)
AT_WORK = "tests/load/test_trouble.py::test_who_is_at_work_holds_no_connection"
RACES = "tests/galera/test_races.py"
STANDBY = "tests/load/test_standby.py::TestServerThatTakesNoWrites"
WAITING = "tests/storage/test_waiting.py"
SILENT = f"{WAITING}::TestSilentServer::test_open_connection_is_given_up_within_the_budget"
PIECES = f"{WAITING}::TestSilentServer::test_answer_in_small_pieces_is_given_up_within_the_budget"
POOL = f"{WAITING}::TestPool"
FORKS = "tests/test_fork_safety.py"
SHARED = "tests/scenarios/test_servers.py::test_no_connection_is_shared_across_a_fork"
THEMSELVES = "tests/scenarios/test_servers.py::test_many_at_once_are_each_answered_as_themselves"
HOSTILE = "tests/properties/test_hostile_input.py"

_DECISIONS = "explanation/decisions.md"
_NOTICES = "    if process_id != _process_ids[-1]:\n        _renew_all(process_id)\n    return process_id\n"

LINES: dict[str, tuple[Protection, ...]] = {
    "invariants": (
        Protection(
            "I1: the token before is taken for [a grace](explanation/rotation.md#what-judge-decides) after the next was confirmed.",
            Fault(
                "no grace",
                "sessions/policy.py",
                "        if since_ms < config.rotation_grace_ms:\n            return Outcome.GRACE\n",
                "",
            ),
            (f"{WALK}[3 in flight]",),
            "I1: an honest browser is signed out",
            is_quick=True,
        ),
        Protection(
            f"I1: a cookie that was decided long ago [is not sent]({_DECISIONS}#cookies-of-slow-responses-are-not-sent).",
            Fault(
                "a cookie is sent however late",
                "wsgi/response_cookies.py",
                "return decided_at_ms + self.parts.config.rotation_grace_ms",
                "return decided_at_ms + 10**12",
            ),
            ("tests/wsgi/test_held_headers.py::test_a_token_goes_out_within_the_grace_alone",),
            "a token is sent a grace after it was decided",
        ),
        Protection(
            f"I2: once a generation is settled, [another token of it is a replay]({_DECISIONS}#each-offered-token-is-different-and-the-first-one-after-the-window-settles).",
            Fault(
                "a settled generation is settled again",
                "sessions/policy.py",
                "return Outcome.REPLAY if record.is_settled else Outcome.SETTLE",
                "return Outcome.SETTLE",
            ),
            (f"{WALK}[a thief]",),
            "I2: a thief is let in after the owner came",
            is_quick=True,
        ),
        Protection(
            "I3: [an ended session](explanation/sessions.md#what-holds) is refused before its token is looked at.",
            Fault(
                "an end is not looked at",
                "sessions/policy.py",
                "    if record.ended_at_ms is not None:\n        return D",
                "    if False:\n        return D",
            ),
            (f"{WALK}[read and write apart, revoked]",),
            "I3: a session that is over answers",
        ),
        Protection(
            "I4: a change is written only if the session [still is what was judged](explanation/sessions.md#what-a-request-does).",
            Fault(
                "a change lands whatever was judged",
                "storage/sessions.py",
                "return self._columns.session.update(values).where(self._columns.is_judged)",
                "return self._columns.session.update(values).where(self._columns.is_live_row)",
            ),
            tuple(f"{ROTATION}[{kind}-the confirmed token]" for kind in ("sqlite", "postgres")),
            "more than the one refresh of a hundred requests",
        ),
        Protection(
            f"I5: a sign-in [locks the user's row]({_DECISIONS}#a-sign-in-locks-the-users-row).",
            Fault(
                "a sign-in locks nothing",
                "storage/users.py",
                "return self._runner.dialect.for_update(\n"
                "            columns.user.select(columns.key).where(columns.is_id)\n        )",
                "return columns.user.select(columns.key).where(columns.is_id)",
            ),
            (f"{SIGN_INS}[postgres]", f"{SIGN_INS}[mariadb]"),
            "24 and 23 sessions of 5",
        ),
        Protection(
            "I6: the feed is read [once in a `revocation_lag`](explanation/sessions.md#the-cookie-cache-and-the-feed).",
            Fault(
                "the feed is read too seldom",
                "sessions/revocation_feed.py",
                "0 <= now_ms - reading.begun.at_ms < self._lag_ms",
                "0 <= now_ms - reading.begun.at_ms < self._lag_ms * 5",
            ),
            (
                "tests/sessions/test_revocation_feed.py::test_feed_is_read_once_a_lag",
                f"{CACHED}[postgres]",
            ),
            "one reading in place of two; a copy is taken after the lag",
        ),
        Protection(
            f"I6: a row of the feed that commits late [is found]({_DECISIONS}#a-reading-of-the-feed-takes-what-is-new-and-counts-the-rest).",
            Fault(
                "rows of the feed are read by their ids alone",
                "sessions/known_revocations.py",
                "    is_complete = page.row_count == draft.count(since_ms)\n",
                "    is_complete = True\n",
            ),
            ("tests/contract/test_feed.py::test_row_that_is_committed_after_a_later_one_is_found",),
            "a revocation that was committed late is not found",
            is_quick=True,
        ),
    ),
    "killed-workers": (
        Protection(
            "What belongs together is [one transaction](explanation/sessions.md#the-cookie-cache-and-the-feed): a user and their account, an end and its row of the feed.",
            Fault(
                "each statement commits by itself",
                "storage/connections.py",
                "            with self.database.atomic(*() if is_inner else self.dialect.transaction_kind):\n"
                "                yield\n",
                "            yield\n",
            ),
            (f"{KILLED}[postgres-gthread]",),
            "rows that are half-written: an end that the feed does not know",
        ),
        Protection(
            "An offer writes nothing: [the token before stays good](explanation/rotation.md#a-rotation-step-by-step) until the next one was presented.",
            Fault(
                "an offer is written before it is known to have arrived",
                "sessions/policy.py",
                "generation=token.generation if confirms else record.generation,",
                "generation=token.generation if confirms else offer[0] if offer else record.generation,",
            ),
            (f"{KILLED}[sqlite-gthread]",),
            "browsers that stay are signed out: replayed",
        ),
        Protection(
            "An event of [the audit trail](how-to/events.md) is written in the transaction that it tells.",
            Fault(
                "an event is written after what it tells",
                "storage/store.py",
                "        work = work if self._told is None else self._told.with_rows(work)\n"
                "        return self._runner.atomically(work, is_synchronised=is_synchronised)\n",
                "        run = self._runner.atomically\n"
                "        if self._told is None:\n"
                "            return run(work, is_synchronised=is_synchronised)\n"
                "        later = lambda: run(work, is_synchronised=is_synchronised)\n"
                "        return self._told.with_rows(later)()\n",
            ),
            (f"{AUDIT}::test_a_sign_in_fails_with_its_row",),
            "the session of a sign-in that failed is there, without its event",
        ),
    ),
    "restarts": (
        Protection(
            f"A connection that was cut while it was idle is [noticed before it is used]({_DECISIONS}#connections-are-held-for-a-statement-or-a-transaction-only), and a read that met one is sent again.",
            Fault(
                "idle connections are not looked at, and a read is sent once",
                "storage/connection_source.py",
                "            if not self.dialect.has_unread(entry.connection):\n"
                "                return entry\n",
                "            return entry\n",
                (
                    "storage/connections.py",
                    "or not (self._is_overtaken(error) or self.source.reconnect(error))\n",
                    "or not self._is_overtaken(error)\n",
                ),
            ),
            tuple(f"{UNNOTICED}[{kind}]" for kind in ("postgres", "mariadb")),
            "503 to requests after the restart",
        ),
        Protection(
            f"A dead connection [leaves its place]({_DECISIONS}#connections-are-held-for-a-statement-or-a-transaction-only) in the pool to a new one.",
            Fault(
                "a dead connection keeps its place",
                "storage/pool.py",
                "        _close(entry)\n        self._free_room()\n",
                "        _close(entry)\n",
            ),
            (f"{FIRST_ONES}[postgres-gthread]",),
            "not served again",
        ),
        Protection(
            "Without the database nobody is taken for a visitor: the answer is [503 with `Retry-After`](reference/errors.md).",
            Fault(
                "whoever can't be looked up is a visitor",
                "wsgi/middleware.py",
                "                if not runs_without_database:\n",
                "                if False:\n",
            ),
            (f"{FIRST_ONES}[postgres-gthread]",),
            "browsers that are signed in answered as nobody",
        ),
        Protection(
            f"A cached copy is accepted [for `revocation_lag`]({_DECISIONS}#cached-requests-while-the-database-is-away) after the feed was last read …",
            Fault(
                "a copy needs a reading of this instant",
                "sessions/revocation_feed.py",
                "0 <= now_ms - reading.begun.at_ms < self._lag_ms",
                "0 <= now_ms - reading.begun.at_ms < 1",
            ),
            (f"{CACHED}[postgres]",),
            "503 at once, in place of being served for 4 s",
        ),
        Protection(
            "… and no longer.",
            Fault(
                "a copy is good however old the reading is",
                "sessions/revocation_feed.py",
                "is_within_lag = 0 <= now_ms - reading.begun.at_ms < self._lag_ms",
                "is_within_lag = True",
            ),
            (f"{CACHED}[postgres]",),
            "still served after 4 s",
        ),
        Protection(
            "A server that [takes no more writes](how-to/deployment.md#postgresql-with-a-standby) is left for the new primary.",
            Fault(
                "a server that takes no writes is kept",
                "storage/connection_source.py",
                "in (Meaning.CONNECTION_LOST, Meaning.READ_ONLY)",
                "is Meaning.CONNECTION_LOST",
            ),
            (f"{STANDBY}::test_a_primary_that_was_demoted_is_left_for_the_new_one",),
            "the sign-in after it fails as well: the server takes no writes",
        ),
    ),
    "sqlite": (
        Protection(
            "Who meets [a locked file](how-to/deployment.md#sqlite-on-one-machine) waits for it.",
            Fault(
                "nobody waits for the lock of a file",
                "storage/dialects/sqlite.py",
                'execute(connection, f"PRAGMA busy_timeout = {lock_ms}")',
                'execute(connection, "PRAGMA busy_timeout = 0")',
            ),
            (EIGHT,),
            "26 of 208 requests 503",
        ),
        Protection(
            "A transaction [takes the lock as it begins](how-to/deployment.md#sqlite-on-one-machine): one that has read first would have to be given up where another has written since. And it begins again where it was overtaken.",
            Fault(
                "a transaction reads before it takes the lock, and is tried once",
                "storage/dialects/sqlite.py",
                'transaction_kind = ("IMMEDIATE",)',
                'transaction_kind = ("DEFERRED",)',
                ("storage/connections.py", "or not (is_conflict or", "or not (False or"),
            ),
            (EIGHT,),
            "20 of 208 requests 503, 6 answered 401 as their sign-up had failed",
        ),
    ),
    "galera": (
        Protection(
            f"What locks a user [writes a row of theirs]({_DECISIONS}#on-a-galera-cluster-the-row-of-a-user-is-written-not-only-locked), too.",
            Fault(
                "a user is only locked",
                "storage/users.py",
                "        elif connections.is_lagging:\n",
                "        elif False:\n",
            ),
            (
                f"{RACES}::test_two_sign_ins_that_meet_leave_one_session[written]",
                f"{RACES}::test_a_sign_in_that_meets_an_end_is_ended_or_refused[written-a change of the password]",
            ),
            "two sessions of one; the sign-in with the old password is not tried again, and lives on",
        ),
        Protection(
            'A "no" is [read once more](explanation/rotation-search.md#nodes-that-lag), after the node has applied all that was written before.',
            Fault(
                "a stale no is believed",
                "storage/connections.py",
                "return self.is_lagging and not self.database.in_transaction()",
                "return False",
                ("storage/connections.py", "if row is None and self.is_lagging:", "if False:"),
            ),
            (f"{RACES}::test_a_node_that_applies_nothing_refuses_nobody[read again]",),
            "a session that is live is refused",
        ),
        Protection(
            "A transaction that another node's has overtaken [begins again](how-to/galera.md#what-holds).",
            Fault(
                "a certification conflict is final",
                "storage/dialects/mysql.py",
                "Meaning.OVERTAKEN: (1213, 1020)",
                "Meaning.OVERTAKEN: (1020,)",
            ),
            (f"{RACES}::test_two_sign_ins_that_meet_leave_one_session[written]",),
            "a sign-in fails: the database did not answer",
        ),
    ),
    "forks": (
        Protection(
            f"The process id is compared [at each use]({_DECISIONS}#forks-are-recognised-by-the-process-id), as a fork in C runs no hook.",
            Fault(
                "hooks alone notice a fork",
                "fork_safety.py",
                _NOTICES,
                "    return process_id\n",
                (
                    "fork_safety.py",
                    "os.register_at_fork(after_in_child=notice_fork)",
                    "os.register_at_fork(after_in_child=lambda: _renew_all(os.getpid()))",
                ),
            ),
            (
                f"{FORKS}::test_child_uses_a_connection_of_its_own[postgres-bare-owned]",
                f"{SHARED}[uwsgi-on-postgres]",
            ),
            "four workers of uWSGI use one connection",
        ),
        Protection(
            f"A child [begins with an empty pool]({_DECISIONS}#forks-are-recognised-by-the-process-id).",
            Fault("nothing notices a fork", "fork_safety.py", _NOTICES, "    return process_id\n"),
            (f"{SHARED}[gthread-preload-on-postgres]",),
            "an answer that is none, as two workers read from one connection",
        ),
        Protection(
            f"A child [makes new locks]({_DECISIONS}#forks-are-recognised-by-the-process-id), as who held the parent's is not there.",
            Fault(
                "a child has its parent's locks",
                "fork_safety.py",
                "            holder.renew_locks()\n",
                "            pass\n",
            ),
            (
                f"{FORKS}::test_lock_held_by_a_thread_of_the_parent_is_free_in_the_child[bare-feed]",
                f"{FORKS}::test_lock_held_by_a_thread_of_the_parent_is_free_in_the_child[hooks-passwords]",
            ),
            "the child waits for ever, and is killed after 20 s",
        ),
        Protection(
            f"A connection is [one thread's or one greenlet's]({_DECISIONS}#connections-are-held-for-a-statement-or-a-transaction-only) until it is given back.",
            Fault(
                "threads share a connection",
                "storage/pool.py",
                "                    return self.idle.pop()\n            may_open",
                "                    return self.idle[-1]\n            may_open",
                (
                    "storage/connections.py",
                    "            entry = pool.idle.pop()\n",
                    "            entry = pool.idle[-1]\n",
                ),
            ),
            (f"{THEMSELVES}[gthread-on-postgres]",),
            "no answer within a minute, as two threads read from one connection",
        ),
        Protection(
            f"As a last check, a row of another session [is never believed]({_DECISIONS}#forks-are-recognised-by-the-process-id).",
            Fault(
                "whatever row comes is believed",
                "storage/sessions.py",
                "        if row is None or row[0] != session_id:\n",
                "        if row is None:\n",
            ),
            tuple(
                f"{FORKS}::test_row_of_another_session_is_never_believed[{kind}]"
                for kind in ("sqlite", "postgres", "mariadb")
            ),
            "another user's session is taken",
            is_quick=True,
        ),
    ),
    "budget": (
        Protection(
            f"All waits of a request [have one budget]({_DECISIONS}#database_patience-one-budget-for-all-that-a-request-waits): each may last as long as is left of it.",
            Fault(
                "each wait may last 20 s",
                "storage/time_budget.py",
                "    return max(0, budget.deadline_ms - monotonic_ms())\n",
                "    return 20_000\n",
                (
                    "storage/time_budget.py",
                    "        return max(0, budget.left_ms)\n",
                    "        return 20_000\n",
                ),
            ),
            (
                f"{SILENT}[postgres]",
                f"{SILENT}[mariadb]",
                f"{POOL}::test_who_gets_no_turn_is_told_within_the_budget[postgres]",
            ),
            "503 after 10 s and 20 s with a budget of 1 s; served after a wait in place of 503",
        ),
        Protection(
            "An answer [in small pieces](explanation/decisions.md#database_patience-one-budget-for-all-that-a-request-waits) is waited for no longer than one that does not come at all.",
            Fault(
                "a time-out begins anew with each piece",
                "storage/dialects/pymysql_driver.py",
                "            if seconds <= 0:\n",
                "            seconds = 1.0\n            if seconds <= 0:\n",
            ),
            (f"{PIECES}[True-mariadb]",),
            "answered after the budget, in place of 503",
        ),
        Protection(
            "A lock is waited for [no longer than the budget](explanation/decisions.md#database_patience-one-budget-for-all-that-a-request-waits) …",
            Fault(
                "a lock of a file is waited for 20 s",
                "storage/dialects/sqlite.py",
                'execute(connection, f"PRAGMA busy_timeout = {lock_ms}")',
                'execute(connection, "PRAGMA busy_timeout = 20000")',
            ),
            (
                f"{WAITING}::TestLocks::test_file_that_is_written_is_waited_for_within_the_budget[sqlite]",
            ),
            "over 20 s with a budget of 1 s",
        ),
        Protection(
            "… and by a touch not at all.",
            Fault(
                "a touch waits for a row",
                "storage/sessions.py",
                "write = runner.write_unless_locked if change.may_fail else runner.write_compared",
                "write = runner.write_compared",
            ),
            tuple(
                f"{WAITING}::TestLocks::test_touch_waits_for_no_lock[{kind}]"
                for kind in ("sqlite", "postgres", "mariadb")
            ),
            "20 s, 18 s and 20 s, until the lock was given up",
        ),
        Protection(
            "A visitor without our cookie [needs no database](how-to/deployment.md#time-outs).",
            Fault(
                "visitors are looked up",
                "wsgi/exchange.py",
                "        header = self.cookie_header\n",
                "        header = self.cookie_header\n"
                '        self.parts.store.sessions.find("nobody")\n',
            ),
            (f"{SILENT}[postgres]", f"{TROUBLE}[postgres-gthread-silent]"),
            "503 to a visitor; strangers wait and are answered 503",
        ),
        Protection(
            "Where a server refuses one more connection, the process [waits for one of its own](how-to/deployment.md#how-many-connections).",
            Fault(
                "a server that is full is away",
                "storage/connection_source.py",
                "is_full=lambda error: self.dialect.meaning_of(error) is Meaning.TOO_MANY_CONNECTIONS,",
                "is_full=lambda error: False,",
            ),
            tuple(
                f"{POOL}::test_where_the_server_refuses_one_more_ours_are_waited_for[{kind}]"
                for kind in ("postgres", "mariadb")
            ),
            "requests refused: the database did not answer",
        ),
    ),
    "connections": (
        Protection(
            f"A process opens [no more than `max_connections`]({_DECISIONS}#connections-are-held-for-a-statement-or-a-transaction-only).",
            Fault(
                "one more is always opened",
                "storage/pool.py",
                "may_open = self._count < self.size",
                "may_open = True",
            ),
            (
                f"{POOL}::test_more_threads_than_connections_take_turns[postgres]",
                f"{GREENLETS}[postgres]",
            ),
            "12 connections of 2; 39 of 21",
        ),
        Protection(
            f"A connection is held [for a statement or a transaction]({_DECISIONS}#connections-are-held-for-a-statement-or-a-transaction-only), and not while the application works.",
            Fault(
                "a connection is held while the application works",
                "wsgi/middleware.py",
                "            answer = self._finish(app(self.environ, self.start), files)\n",
                "            with self.exchange.parts.connections.source.taken():\n"
                "                answer = self._finish(app(self.environ, self.start), files)\n",
            ),
            (
                f"{POOL}::test_connection_is_given_back_before_the_application_runs[sqlite]",
                f"{AT_WORK}[sqlite-gthread]",
                f"{AT_WORK}[postgres-gevent]",
                f"{AT_WORK}[mariadb-gevent]",
            ),
            "1 in use in place of 0; 2 of 4 requests 503 on SQLite, 38 of 40 on PostgreSQL, 39 of 40 on MariaDB",
        ),
        Protection(
            "Who waits for one is told [within the budget](how-to/deployment.md#how-many-connections).",
            Fault(
                "a connection is waited for without an end",
                "storage/pool.py",
                "waiter.event.wait(None if patience_ms is None else patience_ms / 1000)",
                "waiter.event.wait(20)",
            ),
            (f"{POOL}::test_who_gets_no_turn_is_told_within_the_budget[sqlite]",),
            "served after a wait beyond the budget, in place of 503",
        ),
    ),
    "malformed": (
        Protection(
            "A token whose signature is wrong [is dropped](explanation/sessions.md#the-token) before anything is looked up.",
            Fault(
                "an unsigned token is taken",
                "sessions/tokens.py",
                "        if key_position is None:\n            return None\n",
                "        if key_position is None:\n            key_position = 0\n",
            ),
            (f"{HOSTILE}::test_hostile_cookies_are_no_session",),
            "a table grew",
        ),
        Protection(
            "A body that is nested deeper than Python parses is [refused](security.md).",
            Fault(
                "a body that is nested too deep raises",
                "api/wire.py",
                "    except (ValueError, RecursionError):\n",
                "    except ValueError:\n",
            ),
            (f"{HOSTILE}::test_hostile_bodies_are_refused",),
            "500",
        ),
        Protection(
            "A Content-Length that is no number is [refused](reference/errors.md).",
            Fault(
                "a length that is no number raises",
                "api/bodies.py",
                "    if not (length.isascii() and length.isdigit()):\n",
                "    if not length:\n",
            ),
            (f"{HOSTILE}::test_hostile_requests_are_answered",),
            "500",
        ),
        Protection(
            "What is no e-mail address is [nobody's](reference/errors.md), and makes no row.",
            Fault(
                "any text is an e-mail address",
                "accounts/service.py",
                "    except (EmailNotValidError, UnicodeError) as error:\n"
                "        raise InvalidEmailError(str(error)) from None\n",
                "    except (EmailNotValidError, UnicodeError):\n        return email.lower()\n",
            ),
            (f"{HOSTILE}::test_hostile_bodies_are_refused",),
            "a sign-up is accepted: a cookie is set, and a table grows",
        ),
    ),
}
