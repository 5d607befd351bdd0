"""What may differ between database engines."""

from __future__ import annotations

import select
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import peewee

from ..driver_errors import BY_CLASS, Meaning, driver_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..connections import Connections
    from ..pool import Execute


class Dialect(ABC):
    """How one engine is spoken to. It has no state; the defaults are those of most servers."""

    peewee_class: ClassVar[type[peewee.Database]]
    peewee_name: ClassVar[str] = ""
    """The name of its class in Peewee's extensions: to import them would load every driver."""
    drivers: ClassVar[tuple[str, ...]]
    """The modules whose ``Error`` may be raised, as far as they are installed."""
    codes: ClassVar[Mapping[Meaning, tuple[int | str, ...]]] = {}
    """SQLSTATEs and error numbers, by what they mean."""
    texts: ClassVar[Mapping[str, Meaning]] = {}
    """What an error without a code means by a part of its text."""
    transaction_kind: ClassVar[tuple[str, ...]] = ()
    """What Peewee's ``atomic()`` is given."""
    is_server: ClassVar[bool] = True
    """Whether connections go to another process, which may cut them or not answer."""
    keeps_first_snapshot: ClassVar[bool] = False
    """Whether a transaction's plain SELECTs show what was there at its first one."""
    now_sql: ClassVar[str] = "NULL"
    """The server's clock in epoch milliseconds UTC, NULL where the process has the same one.

    Of the statement, not of the transaction, which may be an old one of the application's.
    """
    may_fold_text: ClassVar[bool] = False
    """Whether ``=`` may take two texts for one, whatever the collation is called."""
    lowers_every_letter: ClassVar[bool] = False
    """Whether LOWER() knows more letters than those of ASCII, whatever the locale is."""
    may_lag: ClassVar[bool] = False
    """Whether a server may be one of several that apply late what others write: ``is_lagging``."""
    refuses_unseen: ClassVar[bool] = False
    """Whether a transaction may refuse to write what others have changed since it began."""
    counter_field: ClassVar[type[peewee.Field]] = peewee.BigAutoField
    long_text_type: ClassVar[str] = "TEXT"
    """A type for a million characters."""
    exact_text: ClassVar[tuple[str, ...]] = ()
    """What has a text column compared byte by byte."""
    table_settings: ClassVar[tuple[str, ...]] = ()
    has_widths: ClassVar[bool] = True
    """Whether a column holds no more than its type says."""
    own_kinds: ClassVar[tuple[str, ...]] = ()
    """How the types begin that others keep as numbers or as text."""

    # Databases

    def is_for(self, database: Any) -> bool:
        """Return whether a Peewee database is one of this engine."""
        if self.peewee_name:
            return any(kind.__name__ == self.peewee_name for kind in type(database).__mro__)
        return isinstance(database, self.peewee_class)

    def is_in_memory(self, database: Any) -> bool:
        """Return whether a database is in the memory of this process."""
        return False

    def file_of(self, database: Any) -> str | None:
        """Return the path of the file that a database is, None if it is none or in a URI."""
        return None

    def is_missing(self, database: Any) -> bool:
        """Return whether there is no such database yet, and connecting to it would make it."""
        return False

    # Connections

    def use_time_limits(self, database: Any) -> None:
        """Make a database of our own connect within the time that is left."""

    def limited(self, connection: Any) -> AbstractContextManager[None]:
        """Wait for replies no longer than the time that is left."""
        return nullcontext()

    def connect(self, database: Any) -> Any:
        return database._connect()

    def quick_execute(self, connection: Any, timeout_ms: int) -> Execute | None:
        """Return what runs a SELECT of one row, in time, over a connection of a pool of ours.

        Nothing is under way on it, and nothing is looked at but the reply.
        """
        return None

    def watch(self, connection: Any) -> Callable[[int], Any] | None:
        """Return what tells, asked with 0, whether anything has come over a connection."""
        return watch(connection.fileno()) if self.is_server else None

    def stop_preparing(self, connection: Any, error: BaseException) -> bool:
        """Prepare no more statements where that is what failed; tell whether that is new."""
        return False

    @abstractmethod
    def limit_lock_waits(self, connection: Any, lock_ms: int) -> None:
        """Make the engine itself give up a wait for a lock."""

    @abstractmethod
    def write_unless_locked(
        self, connections: Connections, sql: str, parameters: Sequence[Any]
    ) -> int:
        """Run one UPDATE that fails at once where it would have to wait for a lock."""

    @abstractmethod
    def is_idle(self, connection: Any) -> bool:
        """Return whether a connection is open and within no transaction, as the driver knows it."""

    def is_closed(self, connection: Any) -> bool:
        """Return whether the driver has found a connection to be closed, or broken."""
        is_open = getattr(connection, "open", True) and not getattr(connection, "closed", False)
        return not is_open

    def is_running_query(self, connection: Any) -> bool:
        """Return whether the driver is still reading what another query gives."""
        return False

    def is_lagging(self, connection: Any) -> bool:
        """Return whether a server is one of several that apply late what others write."""
        return False

    def has_unread(self, connection: Any) -> bool:
        """Return whether a server has sent something that nobody asked for.

        On a connection at rest this is its end, or what is left of a query that was broken off.
        It costs no round trip.
        """
        try:
            return self._has_unread(connection)
        except Exception:
            # Closed already, found to be cut, or of a driver that does not tell.
            return self.is_closed(connection)

    def _has_unread(self, connection: Any) -> bool:
        return False

    # Errors

    def driver_errors(self) -> tuple[type[Exception], ...]:
        """Return what the installed drivers raise when something is wrong."""
        errors: list[type[Exception]] = []
        for driver in self.drivers:
            with suppress(ImportError):
                errors.append(import_module(driver).Error)
        return tuple(errors)

    def meaning_of(self, error: BaseException | None) -> Meaning:
        """Return what an error of a driver means by its code, its class or else its text."""
        if error is None:
            return Meaning.UNKNOWN
        error = driver_error(error)
        number = error.args[0] if error.args and isinstance(error.args[0], int) else None
        given = {getattr(error, "sqlstate", None), getattr(error, "pgcode", None), number} - {None}
        found = [meaning for meaning, codes in self.codes.items() if not given.isdisjoint(codes)]
        found += [
            BY_CLASS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in BY_CLASS
        ]
        if not given:
            found += [meaning for part, meaning in self.texts.items() if part in str(error)]
        if found[:2] == [Meaning.REFUSED_ROW, Meaning.DUPLICATE]:
            return Meaning.DUPLICATE
        # What the drivers make of a socket's time-out.
        is_timeout = isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)
        if is_timeout and found in ([], [Meaning.CONNECTION_LOST]):
            return Meaning.TIMED_OUT
        return found[0] if found else Meaning.UNKNOWN

    # Queries

    def synchronised(self, sql: str) -> str:
        """Return a SELECT that waits until the server has applied all that others had written."""
        return sql

    def for_update(self, query: Any) -> Any:
        """Lock the rows of a query until the transaction is over."""
        return query.for_update()

    def is_equal_text(self, column: Any, other: Any) -> Any:
        """Compare texts to the last character."""
        return column == other

    def is_like(self, column: Any, pattern: Any) -> Any:
        """Compare a text with a pattern of LIKE, in which a backslash escapes."""
        return peewee.Expression(column, "LIKE", pattern)

    def modulo(self, number: Any, divisor: Any) -> Any:
        """Return what is left of a number after its division."""
        return peewee.fn.MOD(number, divisor)

    def replace_on_conflict(self, insert: Any, *, key: Any, column: Any) -> Any:
        """Make an INSERT replace a column of the row that already has its key."""
        return insert.on_conflict(conflict_target=[key], preserve=[column])

    # Tables

    @abstractmethod
    def changing_tables(self, database: Any, *, max_wait_s: int) -> AbstractContextManager[Any]:
        """Let one process at a time create or alter tables, all or none where the engine can."""

    def migrator(self, database: Any) -> Any:
        """Return Peewee's migrator for this engine."""
        from playhouse.migrate import SchemaMigrator  # it loads every driver

        return SchemaMigrator.from_database(database)

    def is_there_already(self, error: BaseException) -> bool:
        """Return whether a statement failed because what it adds to a table is there."""
        return False

    @abstractmethod
    def columns_query(self, schema: str, tables: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
        """Return SQL, and its parameters, for the columns of tables and views of these names.

        Of each: table, whether it is one, name, type, whether it has to be given. Where
        ``schema`` is empty, those that a statement without one finds.
        """


def execute(connection: Any, sql: str) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute(sql)


def all_rows(cursor: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in cursor.fetchall()]


def key_of_inserted(cursor: Any) -> Any:
    # PostgreSQL alone is asked to return it.
    return cursor.lastrowid if cursor.description is None else cursor.fetchone()[0]


def is_readable(number: int) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([number], [], [], 0)[0])


def watch(number: int) -> Callable[[int], Any]:
    """Return what tells, asked with 0, whether a socket is readable: ``is_readable`` kept ready."""
    # Windows has none, and gevent's is a class whose objects belong to one thread.
    if isinstance(getattr(select, "poll", None), type(len)):
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return poll.poll
    return lambda _: is_readable(number)
