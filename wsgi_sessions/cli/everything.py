"""``revoke-everything``: the end of all sessions, or of all that began before an instant."""

from __future__ import annotations

from datetime import datetime

import click

from ..clock import ms_from_datetime
from ..storage.statistics import Statistics
from .failures import Failure
from .parameters import ParameterType
from .run import Run, takes_run
from .text import counted, instant, instant_in_words


class Instant(ParameterType[datetime]):
    """An instant with its zone, as RFC 3339 has it; without one nobody knows whose noon it is."""

    name = "instant"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """
        >>> Instant().convert("2026-03-01T12:00Z", None, None).isoformat()
        '2026-03-01T12:00:00+00:00'
        """
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        try:
            # Python 3.10 reads no Z.
            found = datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in "Zz" else text)
        except ValueError:
            self.fail(f"{text!r} is no instant; write it as 2026-03-01T12:00Z", param, ctx)
        if found.tzinfo is None:
            self.fail(
                f"{text!r} has no time zone; write 2026-03-01T12:00Z for UTC, or "
                "2026-03-01T12:00+01:00",
                param,
                ctx,
            )
        return found


@click.command("revoke-everything")
@click.option("--before", type=Instant(), metavar="INSTANT", help="Only what began before it.")
@click.option("--yes", "is_confirmed", is_flag=True, help="Do not ask.")
@takes_run
def revoke_everything(run: Run, before: datetime | None, is_confirmed: bool) -> None:
    """End every session there is.

    With --before only those that began before an instant, such as 2026-03-01T12:00Z.
    """
    manager = run.manager
    parts = manager.parts
    before_ms = None if before is None else ms_from_datetime(before)
    if before_ms is not None and before_ms > parts.clock.now_ms():
        raise click.UsageError(f"--before {instant(before_ms)} has not come yet")
    with run.patiently():
        count, users = Statistics(parts.connections, parts.models).count_created_before(before_ms)
    which = "" if before_ms is None else f" that began before {instant_in_words(before_ms)} UTC"
    what = f"{counted(count, 'session')}{which}"
    if not count:
        run.output.show({"ended": 0}, f"There are no sessions{which} to end.")
        raise Failure("nothing was done")
    run.confirm(f"This ends {what}, of {counted(users, 'user')}. Go on?", is_confirmed=is_confirmed)
    with run.patiently():
        ended = manager.revoke_everything(before=before)
    run.output.show(
        {"ended": ended, "before": instant(before_ms)},
        f"{counted(ended, 'session')} ended. Copies of sessions in cookies are void, too.",
    )
