"""What a command ends with: the exit codes, and one message for whatever went wrong."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import IO, TYPE_CHECKING, Any, NoReturn

import click

from ..errors import AnswerableError, ConfigurationError, StoreUnavailableError
from .text import printable

if TYPE_CHECKING:
    from .run import Run


class Exit(IntEnum):
    """The exit codes; what each means is told by ``MEANINGS``."""

    DONE = 0
    FAULT = 1
    WRONG_USE = 2
    DATABASE_AWAY = 3
    INTERRUPTED = 130
    PIPE_CLOSED = 141


MEANINGS = {
    Exit.DONE: "done; or nothing wrong was found",
    Exit.FAULT: "a fault was found, or nothing was done: nobody and nothing is called so, "
    "or the question was answered with no",
    Exit.WRONG_USE: "an option, a value or a setting is wrong, or the tables are missing",
    Exit.DATABASE_AWAY: "the database did not answer; try again",
    Exit.INTERRUPTED: "stopped by Ctrl-C; what was done until then stays done",
    Exit.PIPE_CLOSED: "whatever read the output has gone, as head does",
}


class Failure(click.ClickException):
    """A command can't go on; shown on the standard error, with ``--json`` as an object."""

    def __init__(self, message: str, code: Exit = Exit.FAULT) -> None:
        super().__init__(printable(message))
        self.exit_code = int(code)  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
        self.is_json = False

    def show(self, file: IO[Any] | None = None) -> None:
        if self.is_json:
            error = {"code": Exit(self.exit_code).name.lower(), "message": self.message}
            text = json.dumps({"error": error})
        else:
            text = f"Error: {self.message}" if self.message else ""
        if text:
            click.echo(text, file=file, err=True)


@contextmanager
def failures_shown(run: Run) -> Iterator[None]:
    """Turn what a command raises into a ``Failure`` with its exit code."""
    try:
        yield
    except click.NoSuchOption as error:
        if error.option_name != "--app":
            raise
        said = "--app stands before the command, and flask and manage.py have none"
        raise click.UsageError(said, error.ctx) from None
    except click.ClickException as failure:
        if isinstance(failure, Failure):
            failure.is_json = run.output.is_json
        raise
    except BrokenPipeError:
        _leave_quietly()
    except (KeyboardInterrupt, click.Abort):
        raise _shown("stopped", Exit.INTERRUPTED, run) from None
    except ConfigurationError as error:
        raise _shown(str(error), Exit.WRONG_USE, run) from None
    except StoreUnavailableError as error:
        raise _shown(run.explain(error), Exit.DATABASE_AWAY, run) from None
    except AnswerableError as error:
        raise _shown(str(error), Exit.FAULT, run) from None


def _shown(message: str, code: Exit, run: Run) -> Failure:
    failure = Failure(message, code)
    failure.is_json = run.output.is_json
    return failure


def _leave_quietly() -> NoReturn:
    # Or Python would fail once more when it flushes the standard output at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(Exit.PIPE_CLOSED)
