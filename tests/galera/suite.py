"""A plugin of pytest that selects what can be tested on a Galera cluster: all tests of MariaDB."""

from __future__ import annotations

import pytest

_LOCK = "a lock is known to one node alone, and what others commit undoes who holds it"
_STATEMENTS = "it counts statements; on a cluster a row of the user is written, too"
_IDS = "each node counts its ids for itself"
_OF_APP = "a conflict is the application's where the transaction is"

LEFT_OUT = {
    "companion/test_databases": "its database is made on one node, and used at once on another",
    "contract/test_app_transactions.py::TestWithinTheApplicationsTransaction::test_many_sign_ins": _OF_APP,
    "contract/test_cockroach.py::TestFeed::test_row_that_commits_late": _IDS,
    "contract/test_copies.py::test_nobody_waits_while_a_lock_keeps_another": _LOCK,
    "contract/test_many_sessions.py::test_ending_a_few_is_as_few": _STATEMENTS,
    "contract/test_many_sessions.py::test_ending_all_is_a_few_statements": _STATEMENTS,
    "contract/test_many_sessions.py::test_one_over_is_one_update": _STATEMENTS,
    "contract/test_many_sessions.py::test_sign_in_without_a_limit_reads_no_list": _STATEMENTS,
    "contract/test_new_engine.py::TestFeed::test_row_that_commits_late": _IDS,
    "contract/test_revocations.py::TestFeed::test_row_that_commits_late": _IDS,
    "load": "its servers are its own, and are killed",
    "monitoring/test_health.py::TestVersions::test_that_can_not_be_migrated_now": _LOCK,
    "monitoring/test_health.py::TestAwayAndSlow::test_a_table_that_is_locked": _LOCK,
    "storage/test_servers.py::TestServer::test_deadlock_is_tried_again": _LOCK,
    "storage/test_waiting.py::TestLocks": _LOCK,
}
"""Why a test is left out, by the beginning of its id."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what uses no server of MariaDB, and what is left out."""
    selected = [item for item in items if _is_selected(item.nodeid)]
    config.hook.pytest_deselected(items=[item for item in items if item not in {*selected}])
    items[:] = selected


def _is_selected(node_id: str) -> bool:
    place = node_id.removeprefix("tests/")
    is_of_mariadb = "mariadb" in place or "-mysql]" in place
    return is_of_mariadb and not place.startswith(("galera", *LEFT_OUT))
