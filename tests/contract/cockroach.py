"""Stands in for CockroachDB: PostgreSQL, spoken to as CockroachDB is, and what is sent, noted.

It shows that Peewee's class, our dialect and our statements fit together, and that nothing is sent
of what CockroachDB's documentation says it has not. It does not show what CockroachDB does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import psycopg
from playhouse.cockroachdb import CockroachDatabase

from wsgi_sessions.storage.dialects.psycopg_driver import QuickCursor

from .databases import is_real_cockroach

_VERSION = 25_02_00
"""As Peewee writes 25.2.0; with one of PostgreSQL's it would refuse savepoints."""

LACKING = {
    "advisory locks, before release 26": r"pg_(try_)?advisory",
    "an isolation level in BEGIN, by Peewee's class": r"BEGIN .*ISOLATION",
    "notifications": r"^\s*(UN)?LISTEN|^\s*NOTIFY|pg_notify",
    "system columns of PostgreSQL": r"\b(ctid|xmin|xmax)\b",
    "exclusion constraints": r"\bEXCLUDE\b",
    "a constraint's name in ON CONFLICT, by Peewee's class": r"ON CONFLICT ON CONSTRAINT",
    "int2vector as a set": r"unnest\(",
    "REINDEX": r"\bREINDEX\b",
    "locks of tables": r"^\s*LOCK\b",
    "what PostgreSQL tells of connections": r"pg_stat_activity|datconnlimit|rolconnlimit",
}
"""What CockroachDB has not, or tells in another way, as patterns of SQL."""
_COLUMN = re.compile(
    r'"\w+" (BIGINT|BIGSERIAL|BOOLEAN|INTEGER|TEXT|UUID|VARCHAR\(\d+\))( NOT NULL)?( PRIMARY KEY)?'
)
_TABLE = re.compile(r'CREATE TABLE IF NOT EXISTS "wsgi_sessions_\w+" \((.*)\)')
_TOKEN = re.compile(r"%s|\(|\)|,|\w+|\"[^\"]*\"|'[^']*'|[^\s\w]")


class Sent(NamedTuple):
    sql: str
    parameters: tuple[Any, ...] = ()


def refusals(sent: Sequence[Sent]) -> list[str]:
    """Return what CockroachDB would not take of some statements, each with the reason."""
    found: list[str] = []
    is_open = False
    for sql, parameters in sent:
        found += [f"{what}: {sql}" for what, pattern in LACKING.items() if _has(pattern, sql)]
        found += [f"a placeholder of no type: {sql}" for _ in _untyped(sql, parameters)]
        created = _TABLE.fullmatch(sql.strip())
        if created:
            columns = re.split(r", (?![^(]*\))", created[1])
            found += [f"a column: {each}" for each in columns if not _COLUMN.fullmatch(each)]
        word = sql.split(None, 1)[0].upper()
        if word in ("CREATE", "ALTER", "DROP") and is_open:
            found.append(f"a table that changes within a transaction: {sql}")
        if word == "BEGIN":
            is_open = True
        elif word in ("COMMIT", "ROLLBACK") and not _has("SAVEPOINT", sql):
            is_open = False
    return found


def _has(pattern: str, sql: str) -> bool:
    return re.search(pattern, sql, re.IGNORECASE) is not None


def _untyped(sql: str, parameters: tuple[Any, ...]) -> Iterator[int]:
    """Yield the numbers of placeholders whose type only their value could tell, and does not.

    They are columns of a SELECT by themselves, or rows of a VALUES that is none of an INSERT. The
    driver names the type of numbers, and not of texts.
    """
    tokens, number = _TOKEN.findall(sql), 0
    for at, token in enumerate(tokens):
        if token != "%s":
            continue
        number += 1
        value = parameters[number - 1]
        after = tokens[at + 1].upper() if at + 1 < len(tokens) else ","
        is_alone = after in (",", "FROM", "AS", "UNION", ")") and tokens[at - 1].upper() in (
            *("SELECT", "DISTINCT", ",", "("),
        )
        if is_alone and (value is None or isinstance(value, str)) and _is_column(tokens[:at]):
            yield number


def _is_column(before: list[str]) -> bool:
    """Return whether what comes after some tokens is a column of a SELECT or of a FROM (VALUES."""
    depth = 0
    for at in range(len(before) - 1, -1, -1):
        token = before[at].upper()
        depth += {")": 1, "(": -1}.get(token, 0)
        if depth == 0 and token in ("SELECT", "FROM", "WHERE", "SET", "BY", "LIMIT"):
            return token == "SELECT"
        if depth == -1:
            return token == "(" and before[at - 1 : at] == ["VALUES"] and before[at - 2] == "("
    return False


@contextmanager
def spoken_to_as_cockroach() -> Iterator[list[Sent]]:
    """Give what is sent over psycopg, in its order; at the end nothing may be to be refused."""
    sent: list[Sent] = []
    with _noted(sent):
        yield sent
    found = refusals(sent)
    assert not found, found


@contextmanager
def _noted(sent: list[Sent]) -> Iterator[None]:
    execute, execute_quickly = psycopg.Cursor.execute, QuickCursor.execute

    def noted(cursor: Any, query: Any, parameters: Any = None, **options: Any) -> Any:
        text = query.decode() if isinstance(query, bytes) else str(query)
        sent.append(Sent(text, tuple(parameters or ())))
        return execute(cursor, query, parameters, **options)

    def noted_quickly(cursor: Any, sql: str, parameters: Any) -> Any:
        sent.append(Sent(sql, tuple(parameters)))
        return execute_quickly(cursor, sql, parameters)

    def set_version(database: Any, _: Any) -> None:
        database.server_version = _VERSION

    with (
        patch.object(psycopg.Cursor, "execute", noted),
        patch.object(QuickCursor, "execute", noted_quickly),
    ):
        if is_real_cockroach():
            yield
            return
        with patch.object(CockroachDatabase, "_set_server_version", set_version):
            yield
