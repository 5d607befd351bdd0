"""``migrate``: brings the tables of an earlier release up to date."""

from __future__ import annotations

import click

from ..storage.migrations import SchemaStatus
from .failures import Exit
from .output import Line
from .run import Run, takes_run


@click.command
@click.option("--check", is_flag=True, help="Only say what is to be done; exit code 1 if anything.")
@click.option("--sql", is_flag=True, help="Only print the statements that would run.")
@takes_run
def migrate(run: Run, check: bool, sql: bool) -> None:
    """Bring the tables up to the version that this release needs.

    Workers of the release before can go on meanwhile, and several processes may do it at once.
    """
    if check and sql:
        raise click.UsageError("--check and --sql are two ways to look; give one")
    manager = run.unchecked_manager
    status = manager.check_schema()
    must_create, is_look = status.version is None, check or sql
    done: tuple[str, ...] = ()
    if not is_look:
        if must_create:
            manager.create_tables()
        else:
            done = manager.migrate()
    document = {
        "version": status.version if is_look else status.needed,
        "needed": status.needed,
        "created": must_create and not is_look,
        "done": done,
        "pending": status.pending if is_look else (),
        "sql": status.sql if sql else None,
    }
    if sql:
        run.output.show(document, *(f"{statement};" for statement in status.sql))
    elif is_look:
        run.output.show(document, *_what_is_to_do(status))
        if must_create or status.pending:
            click.get_current_context().exit(int(Exit.FAULT))
    else:
        version = f"the tables have version {status.needed}"
        created = ["created the tables"] if must_create else []
        run.output.show(document, *created, *done, Line(version, "good"))


def _what_is_to_do(status: SchemaStatus) -> list[Line]:
    if status.version is None:
        return [Line("there are no tables yet: run migrate, or start the application", "warning")]
    lines = [Line(f"to do: {each}", "warning") for each in status.pending]
    meaning = "warning" if lines else "good"
    version = f"the tables have version {status.version}, and this release needs {status.needed}"
    return [*lines, Line(version, meaning)]
