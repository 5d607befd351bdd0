"""``Run``: what a command is given, and the decorator that gives it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from ..errors import ConfigurationError, StoreUnavailableError
from ..light_dataclasses import dataclass
from ..manager import SessionManager
from ..storage.outages import Outages
from ..storage.time_budget import limited_to
from .failures import Exit, Failure
from .output import Output

_LONG_MS = 30 * 60_000

TAKES_IDS = {"ignore_unknown_options": True}
"""The context settings of commands that take ids: one may begin with a hyphen."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(eq=False)
class Run:
    """One run of a command: its output, and the manager, which is found when it is asked for."""

    output: Output
    find_manager: Callable[[], SessionManager]
    _found: SessionManager | None = None
    _has_tables: bool = False

    @property
    def unchecked_manager(self) -> SessionManager:
        """The manager, whatever its database is like: for what looks into that, or makes it."""
        if self._found is None:
            self._found = self.find_manager()
        return self._found

    @property
    def manager(self) -> SessionManager:
        """The manager, whose tables are there: a misspelt name must not make an empty database.

        Raises ``ConfigurationError`` or ``StoreUnavailableError``.
        """
        manager = self.unchecked_manager
        if not self._has_tables:
            parts = manager.parts
            if parts.connections.dialect.is_missing(parts.connections.database):
                raise ConfigurationError(
                    f"there is no database file {parts.connections.database.database}; is its "
                    "name right, and is this the right folder? wsgi-sessions migrate makes it"
                )
            if not parts.store.check_tables():
                raise ConfigurationError(
                    f"the database has no tables {parts.config.table_prefix}… yet; run "
                    "wsgi-sessions migrate, or see whether database and table_prefix are right"
                )
            self._has_tables = True
        return manager

    @contextmanager
    def patiently(self) -> Iterator[None]:
        """Wait in the block for the database as long as a statement over all rows may take."""
        with limited_to(_LONG_MS):
            yield

    def explain(self, error: StoreUnavailableError) -> str:
        """Return why the database does not answer, as the driver has it, without a password."""
        if self._found is None:
            return str(error)
        return Outages(self._found.parts.connections.database).explain(error)

    def confirm(self, question: str, *, is_confirmed: bool) -> None:
        """Ask before something that can't be undone; ``is_confirmed`` is the option ``--yes``.

        Raises ``Failure`` where the answer is no, or nobody is there to be asked.
        """
        if is_confirmed:
            return
        if self.output.is_json or not sys.stdin.isatty():
            raise Failure(
                f"{question} Nobody is there to be asked: say so with --yes", Exit.WRONG_USE
            )
        if not click.confirm(question, default=False, err=True):
            raise Failure("nothing was done")


def takes_run(function: F) -> F:
    """Give a command the ``Run`` as its first argument, and the option ``--json``."""
    add_option = click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=_ask_for_json,
        help="Print JSON, for programs.",
    )
    wrapped: Any = click.make_pass_decorator(Run)(function)
    decorated: F = add_option(wrapped)
    return decorated


def _ask_for_json(context: click.Context, _parameter: click.Parameter, is_asked: bool) -> None:
    run = context.find_object(Run)
    if run is not None and is_asked:
        run.output.is_json = True
