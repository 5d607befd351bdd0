"""What a forked child finds: no lock that a thread of its parent held."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from wsgi_sessions import PasswordConfig, SessionManager
from wsgi_sessions.accounts import PasswordHasher
from wsgi_sessions_testing import CHEAP_PASSWORDS

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)
WAIT_SECONDS = 20
HOLDERS: dict[str, tuple[Callable[[SessionManager], Any], Callable[[SessionManager], Any]]] = {
    "feed": (lambda m: m.feed._lock, lambda m: m.feed.is_good("session-1", m.clock.now_ms())),
    "purger": (lambda m: m.purger._lock, lambda m: m.purger._lock.acquire(blocking=False)),
    "passwords": (
        lambda m: m.accounts._hasher._place(),
        lambda m: m.accounts._hasher.hash("correct horse"),
    ),
    "throttle": (
        lambda m: m.accounts._throttle._lock,
        lambda m: note_a_try(m),
    ),
}


def note_a_try(manager: SessionManager) -> bool:
    manager.accounts._throttle._note(("key",), 1)
    return True


def child_gets_there(work: Callable[[], Any]) -> bool:
    """Tell whether work that needs a lock is done in a child of this process."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if work():
                os.write(write_end, b"done")
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        is_over = bool(select.select([pipe], [], [], WAIT_SECONDS)[0])
        if not is_over:
            os.kill(pid, 9)
        said = pipe.read()
    os.waitpid(pid, 0)
    return said == b"done"


@pytest.mark.parametrize("name", HOLDERS)
def test_lock_held_by_a_thread_of_the_parent_is_free_in_the_child(name: str, tmp_path: Any) -> None:
    lock_of, use = HOLDERS[name]
    manager = SessionManager(
        f"sqlite:///{tmp_path}/forked.db",
        secret="x" * 32,
        password={**CHEAP_PASSWORDS, "max_parallel": 1, "max_waiting": 0},
    )
    manager.create_tables()
    lock: AbstractContextManager[Any] = lock_of(manager)

    with lock:
        assert child_gets_there(lambda: use(manager))

    manager.close()


def test_what_is_gone_is_not_renewed() -> None:
    hasher = PasswordHasher(PasswordConfig(max_parallel=1))
    del hasher

    assert child_gets_there(lambda: True)
