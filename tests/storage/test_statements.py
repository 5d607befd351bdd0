"""Claims about queries that are compiled once, when they are first run."""

from __future__ import annotations

from typing import Any

import pytest

from wsgi_sessions.storage.statements import compile_query


class Query:
    """Stands in for a Peewee query, and counts how often it is compiled."""

    def __init__(self) -> None:
        self.compiled_count = 0

    def sql(self) -> tuple[str, list[Any]]:
        self.compiled_count += 1
        return "SELECT ?", [1]


def test_a_query_is_compiled_when_it_is_first_asked_for_and_no_more() -> None:
    query = Query()

    statement = compile_query(query)
    before = query.compiled_count
    asked = [(statement.sql, statement.fill({})) for _ in range(3)]

    assert (before, query.compiled_count) == (0, 1)
    assert asked == [("SELECT ?", (1,))] * 3


def test_what_a_statement_never_has_is_missing() -> None:
    statement: Any = compile_query(Query())

    with pytest.raises(AttributeError, match="text"):
        statement.text  # noqa: B018
