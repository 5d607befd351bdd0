"""Puts the rooms together for one database and one configuration.

Must not know a use case: it only says which room is given which others.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from .accounts import AccountService, SocialAccounts
from .clock import Clock, SystemClock
from .config.settings import SessionConfig
from .errors import ConfigurationError, StoreUnavailableError
from .events import Events
from .sessions.cleanup import Purger
from .sessions.cookie_cache import CookieCache
from .sessions.creation import SessionCreation
from .sessions.database_clock import ClockCheck
from .sessions.revocation_feed import RevocationFeed
from .sessions.tokens import TokenSigner
from .sessions.validation import Validator
from .storage.connections import Connections
from .storage.models import Models, build_models
from .storage.outages import Outages
from .storage.store import Store
from .storage.tables import refuse_other_users
from .transport.cookies import SessionCookies

if TYPE_CHECKING:
    import peewee
    from typing_extensions import Unpack

    from .config.keywords import SessionSettings

__all__ = ["MAX_COOKIE_LIFE", "Assembly"]

logger = logging.getLogger("wsgi_sessions")

MAX_COOKIE_LIFE = timedelta(days=400)
"""Browsers cut what is longer (RFC 6265bis, section 5.5)."""

Self = TypeVar("Self", bound="Assembly")

_away: set[object] = set()
"""Databases that did not answer when an application was wrapped."""
_started: WeakSet[Assembly] = WeakSet()
"""The managers of this process that wrap an application."""


class Assembly:
    """The rooms below the use cases, each made once and known by name."""

    def __init__(
        self,
        database: str | peewee.Database | peewee.DatabaseProxy,
        *,
        config: SessionConfig | None = None,
        clock: Clock | None = None,
        **settings: Unpack[SessionSettings],
    ) -> None:
        if config is None:
            config = SessionConfig.from_mapping(settings)
        elif not isinstance(config, SessionConfig):
            raise ConfigurationError(
                f"config is of type {type(config).__name__}; give SessionConfig.from_env(), "
                "SessionConfig.from_mapping(…) or SessionConfig(…)"
            )
        elif settings:
            config = config.replace(**settings)
        if config.expires_in_ms > MAX_COOKIE_LIFE // timedelta(milliseconds=1):
            _warn_once(
                f"expires_in is {config.expires_in}, but browsers keep no cookie longer than 400 "
                "days; who stays away longer is signed out. Set expires_in to 400 days or less"
            )
        for note in config.rotation_notes:
            _warn_once(note)
        connections = _connect(database, config)
        self._assemble(connections, config, clock if clock is not None else SystemClock())
        self._has_warned_of_size = False

    def _assemble(
        self,
        connections: Connections,
        config: SessionConfig,
        clock: Clock,
        *,
        wrap_store: Callable[[Store], Store] | None = None,
    ) -> None:
        self.config = config
        self.clock = clock
        self.connections = connections
        self.models: Models = build_models(
            connections.database,
            user_model=config.user_model,
            user_attributes=config.user_attributes,
            table_prefix=config.table_prefix,
        )
        store = Store(connections, self.models, clock)
        # The one seam for tests: every read and write of the product goes through the store.
        self.store = store if wrap_store is None else wrap_store(store)
        self.events = Events(clock)
        self.events.outages = Outages(connections.database)
        self.accounts = AccountService(self.store, config, self.events)
        self.social = SocialAccounts(self.store, config, self.events, clock)
        self.signer = TokenSigner(config.secret)
        self.creation = SessionCreation(self.store, self.signer, config, clock)
        self.cookies = SessionCookies(config, self.signer)
        self.cache = CookieCache(
            config.secret,
            version=config.cookie_cache.version,
            max_age_ms=config.cookie_cache.max_age_ms,
            clock_difference_ms=config.clock_difference_ms,
        )
        clock_check = ClockCheck(clock, config, self.events)
        self.feed = RevocationFeed(self.store, clock, config, clock_check)
        self.purger = Purger(self.store, clock, config, self.events, clock_check)
        self.validator = Validator(
            store=self.store,
            cache=self.cache,
            feed=self.feed,
            events=self.events,
            clock=clock,
            clock_check=clock_check,
            config=config,
        )

    @property
    def database(self) -> peewee.Database:
        """The Peewee database that sessions live in."""
        database: peewee.Database = self.connections.database
        return database

    def is_same_as(self, other: Assembly) -> bool:
        """Tell whether another manager has the same sessions: this one, or one made alike."""
        if other is self:
            return True
        return _is_same_database(self.database, other.database) and self.config == other.config

    def create_tables(self) -> None:
        """Create the tables that are missing; a URL's own database gets them by itself.

        Raises ``ConfigurationError`` where they are somebody else's or another user model's, and
        ``StoreUnavailableError``, with the driver's own words, when the database does not answer.
        """
        try:
            self.store.create_tables()
        except StoreUnavailableError as error:
            explained = Outages(self.database).explain(error)
            raise StoreUnavailableError(explained) from error.__cause__

    def check_database(self) -> None:
        """Look, before serving, whether the tables are there and are ours.

        Raises ``ConfigurationError`` where they are somebody else's or another user model's. A
        database that does not answer is no reason not to start; the log says why, and it is not
        waited for twice in a process.
        """
        database: Any = self.database
        place = (type(database), str(database.database), str(database.connect_params))
        if place not in _away:
            try:
                if not self.store.check_tables():
                    self._refuse_second_user_model()
            except StoreUnavailableError as error:
                _away.add(place)
                self.events.emit("database_error", details={"error": error})
        _started.add(self)

    def _refuse_second_user_model(self) -> None:
        """Refuse another user model over tables that say of nobody yet whose they are.

        What other processes have is told by their first use, which marks the tables.
        """
        table = self.models.meta._meta.table_name
        for other in list(_started):
            is_same_table = other.models.meta._meta.table_name == table
            if is_same_table and _is_same_database(self.database, other.database):
                refuse_other_users(
                    self.models,
                    whose=other.models.whose,
                    else_="That other manager has been started in this process",
                )

    def close(self) -> None:
        """Close the connections this manager opened; it opens new ones when used again."""
        self.connections.close()

    @contextmanager
    def reassembled(
        self: Self,
        *,
        database: str | peewee.Database | None = None,
        config: SessionConfig | None = None,
        clock: Clock | None = None,
        wrap_store: Callable[[Store], Store] | None = None,
    ) -> Iterator[Self]:
        """Run with another database, config or clock, and put the old ones back: for tests.

        ``wrap_store`` may stand something before the store that watches or breaks its calls.
        """
        before = dict(self.__dict__)
        if database is None:
            connections = self.connections
        else:
            connections = _connect(database, config or self.config)
        try:
            self._assemble(
                connections, config or self.config, clock or self.clock, wrap_store=wrap_store
            )
            # The application's own listeners are part of what is tested.
            for listener in before["events"]._listeners:
                self.events.subscribe(listener)
            yield self
        finally:
            if connections is not before["connections"]:
                connections.close()
            self.__dict__.update(before)

    def sibling(
        self: Self,
        *,
        clock: Clock | None = None,
        wrap_store: Callable[[Store], Store] | None = None,
    ) -> Self:
        """Return what another process has: this database and config, caches of its own."""
        twin = copy.copy(self)
        twin._assemble(self.connections, self.config, clock or self.clock, wrap_store=wrap_store)
        # Who listens here, now or later, hears what happens over there.
        twin.events.subscribe(self.events.tell)
        twin._has_warned_of_size = False
        return twin


def _is_same_database(ours: Any, theirs: Any) -> bool:
    return ours is theirs or (
        type(ours) is type(theirs)
        and ours.database == theirs.database
        and ours.database not in (None, "", ":memory:")
        and ours.connect_params == theirs.connect_params
    )


@cache
def _warn_once(note: str) -> None:
    """Log a note about the settings once in this process."""
    logger.warning("%s", note)


def _connect(
    database: str | peewee.Database | peewee.DatabaseProxy, config: SessionConfig
) -> Connections:
    return Connections(
        database,
        max_connections=config.max_connections,
        timeout_ms=config.database_patience_ms,
    )
