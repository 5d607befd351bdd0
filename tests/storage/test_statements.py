"""Claims about queries that are compiled once, when they are first run."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.models import build_models
from wsgi_sessions.storage.statements import Runner, Statement, compiled_once
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing import FakeClock


def test_a_query_is_compiled_when_it_is_first_run_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = Connections(f"sqlite:///{tmp_path}/app.db")
    compiled: list[Statement] = []
    compile_query = Runner.compile

    def note(runner: Runner, query: Any) -> Statement:
        compiled.append(compile_query(runner, query))
        return compiled[-1]

    monkeypatch.setattr(Runner, "compile", note)

    store = Store(connections, build_models(connections.database), FakeClock())
    assert compiled == []

    for _ in range(3):
        assert store.attempts.count(["key"], since_ms=0, until_ms=1) == {}
    counts = [statement for statement in compiled if "attempt" in statement.sql]
    values = {"since": 0, "until": 1, **{f"key{number}": "key" for number in range(4)}}
    assert [statement.fill(values) for statement in counts] == [("key", "key", "key", "key", 0, 1)]
    connections.close()


def test_what_is_compiled_once_waits_for_no_other_thread() -> None:
    """So that a child which is forked meanwhile waits for nobody who is not there."""
    is_compiling, may_end = Event(), Event()

    class Counter:
        """Compiles nothing, and tells how often."""

        def __init__(self) -> None:
            self.count = 0

        def compile(self, query: str) -> Statement:
            self.count += 1
            return Statement(query, (self.count,))

    class Thing:
        def __init__(self, *, is_slow: bool) -> None:
            self.is_slow = is_slow
            self._runner = Counter()

        @compiled_once
        def statement(self) -> str:
            if self.is_slow:
                is_compiling.set()
                may_end.wait(30)
            return "query"

    slow, quick = Thing(is_slow=True), Thing(is_slow=False)
    first, second = (Thread(target=getattr, args=(thing, "statement")) for thing in (slow, quick))
    first.start()
    assert is_compiling.wait(30)
    second.start()
    second.join(5)
    has_ended = not second.is_alive()
    may_end.set()
    first.join()
    second.join()

    assert has_ended
    once = Statement("query", (1,))
    assert (slow.statement, slow.statement, quick.statement) == (once, once, once)
