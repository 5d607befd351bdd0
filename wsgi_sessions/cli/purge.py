"""``purge``: deletes what has had its time, a batch at a time, beside the traffic."""

from __future__ import annotations

import time

import click

from ..clock import monotonic_ms
from ..storage.time_budget import limited_to
from .failures import Exit, Failure
from .run import Run, takes_run
from .text import counted

_BATCH_PATIENCE_MS = 60_000


@click.command
@click.option(
    "--batch-rows",
    type=click.IntRange(1, 50_000),
    default=500,
    show_default=True,
    help="How many rows of a table one transaction deletes.",
)
@click.option(
    "--pause",
    type=click.FloatRange(0, 100),
    default=1.0,
    show_default=True,
    help="How long to rest after a batch, as a multiple of what it took.",
)
@click.option("--dry-run", is_flag=True, help="Only count.")
@takes_run
def purge(run: Run, batch_rows: int, pause: float, dry_run: bool) -> None:
    """Delete what has had its time, in batches.

    That is what ended longer ago than keep_ended, and other rows that nobody needs. Each batch is
    committed: after Ctrl-C, the next run goes on with what is left.
    """
    manager = run.manager
    with run.patiently():
        due = manager.parts.purger.count_due()
    if dry_run:
        run.output.show({"due": due, "deleted": 0}, f"{counted(due, 'row')} to delete.")
        return
    deleted = 0
    try:
        with run.output.progress("Deleting", total=due) as advance:
            while True:
                began_ms = monotonic_ms()
                with limited_to(_BATCH_PATIENCE_MS):
                    count = manager.purge(batch_rows=batch_rows)
                if not count:
                    break
                deleted += count
                advance(count)
                time.sleep((monotonic_ms() - began_ms) / 1000 * pause)
    except KeyboardInterrupt:
        raise Failure(
            f"stopped: {counted(deleted, 'row')} deleted, {max(0, due - deleted):,} left; run it "
            "again to go on",
            Exit.INTERRUPTED,
        ) from None
    if due and not deleted:
        raise Failure(
            f"{counted(due, 'row')} to delete, and none was: the clocks of this machine and of the "
            "database differ, and by a wrong clock live sessions would be deleted"
        )
    run.output.show({"due": due, "deleted": deleted}, f"{counted(deleted, 'row')} deleted.")
