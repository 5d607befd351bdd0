"""A release after this one, whose tables have more: a column, an index and a table.

``python -m tests.migrations.next_release URL [STEPS]`` opens a database with it, as a worker does
at its start; with a number, it is killed after so many statements of the migration.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import peewee

import wsgi_sessions.parts
from tests.migrations.frozen import SECRET
from wsgi_sessions import SessionManager
from wsgi_sessions.storage import models, schema
from wsgi_sessions.storage.migrations import MIGRATIONS, AddColumn, AddIndex, AddTable, Migration

THIS = 1 + len(MIGRATIONS)
NEXT = THIS + 1
STEPS = (AddTable("extra"), AddColumn("session", "note"), AddIndex("session", ("end_reason",)))
STATEMENTS = 4
"""A table, the index of its column, a column, an index."""


class _NextModels:
    def __init__(self, now: Any) -> None:
        self._now = now
        session, place = now.session, now.meta._meta
        session._meta.add_field("note", peewee.CharField(max_length=20, null=True))
        session._meta.indexes = [*session._meta.indexes, (("end_reason",), False)]
        meta = {
            "database": place.database,
            "table_name": place.table_name.replace("_meta", "_extra"),
            "legacy_table_names": False,
        }
        fields = {"name": peewee.CharField(max_length=20, index=True)}
        self.extra = type("Extra", (peewee.Model,), {"Meta": type("Meta", (), meta), **fields})

    @property
    def created_here(self) -> tuple[Any, ...]:
        *ours, meta = self._now.created_here
        return (*ours, self.extra, meta)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._now, name)


def install(put: Callable[[Any, str, Any], None], *, works_with: int = 1) -> None:
    """Put the next release's models and migrations in the place of this one's."""
    added = Migration(NEXT, "a note on each session", STEPS, works_with=works_with)
    put(schema, "MIGRATIONS", (*MIGRATIONS, added))
    put(
        wsgi_sessions.parts,
        "build_models",
        lambda *arguments, **options: _NextModels(models.build_models(*arguments, **options)),
    )


def die_after(statement_count: int) -> None:
    """Kill this process before it sends one more statement of a migration."""
    statements = schema.Schema.statements

    def cut(self: Any, *arguments: Any) -> Any:
        for number, sql in enumerate(statements(self, *arguments)):
            if number == statement_count:
                os.kill(os.getpid(), signal.SIGKILL)
            yield sql
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(schema.Schema, "statements", cut)  # noqa: B010  a method is not assigned to


def main(arguments: list[str]) -> None:
    url, *steps = arguments
    install(setattr)
    if steps:
        die_after(int(steps[0]))
    manager = SessionManager(url, secret=SECRET)
    manager.create_tables()
    sys.stdout.write(f"{manager.check_schema().version}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
