"""``DatabaseManager``: what is done about the database itself, whatever is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .clock import Clock, ms_from_duration
from .config.settings import SessionConfig
from .events import Events
from .parts import Parts
from .storage.outages import Health

if TYPE_CHECKING:
    import peewee

    from .config.fields import Duration
    from .storage.migrations import SchemaStatus


class DatabaseManager:
    """What a ``SessionManager`` can do about its database; make one of those."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        """What this manager is made of; replaced as a whole, and by tests alone."""

    @property
    def config(self) -> SessionConfig:
        return self.parts.config

    @property
    def clock(self) -> Clock:
        return self.parts.clock

    @property
    def events(self) -> Events:
        """Where applications subscribe to what happens."""
        return self.parts.events

    @property
    def database(self) -> peewee.Database:
        """The Peewee database that sessions live in."""
        database: peewee.Database = self.parts.connections.database
        return database

    def create_tables(self) -> None:
        """Create the tables that are missing; a URL's own database gets them by itself.

        Those of an earlier release are brought up to date, as ``auto_migrate`` says.

        Raises ``ConfigurationError`` where they are somebody else's, another user model's or of
        a later release.
        """
        self.parts.store.create_tables()

    def check_schema(self) -> SchemaStatus:
        """Return which version the tables have, and what ``migrate`` would do; nothing is written.

        Raises ``ConfigurationError`` as ``create_tables`` does.

        >>> from wsgi_sessions import SessionManager
        >>> manager = SessionManager("sqlite:///:memory:", secret="0123456789abcdef" * 2)
        >>> manager.check_schema().version is None
        True
        """
        return self.parts.store.check_schema()

    def migrate(self) -> tuple[str, ...]:
        """Bring tables of an earlier release up to date; return what was done, in words.

        This is what ``auto_migrate`` does at start, in as much time as it takes. Several
        processes may do it at once, and processes of the release before go on. Raises as
        ``create_tables`` does.
        """
        return self.parts.store.migrate()

    def check_health(self, *, timeout: Duration = 2, slow_after: Duration = 1) -> Health:
        """Look whether sessions can be used now; for a health check, and cheap enough for that.

        Takes ``timeout`` at most, whatever the database does; whatever is wrong is the result, and
        no exception. An answer that takes longer than ``slow_after`` counts as slow. As any use
        does, the first one makes or migrates the tables, if
        requests do.
        """
        from .health import check_health  # most processes are never asked

        limits_ms = [ms_from_duration(each) for each in (timeout, slow_after)]
        if min(limits_ms) <= 0:
            raise ValueError("timeout and slow_after must be more than 0 seconds")
        return check_health(self.parts, timeout_ms=limits_ms[0], slow_after_ms=limits_ms[1])

    def purge(self, *, batch_rows: int = 500) -> int:
        """Delete a batch of rows that nobody needs any more; return how many, 0 when done."""
        return self.parts.purger.purge(batch_rows=batch_rows)

    def close(self) -> None:
        """Send the mails that wait and close the connections this manager opened.

        It opens new ones when used again.
        """
        self.parts.mailer.flush()
        if self.parts.events.noted is not None:
            self.parts.events.noted.flush()
        self.parts.connections.close()
