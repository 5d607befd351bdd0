"""``Store``: the parts of what is kept in one database, and what concerns several of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..clock import Clock
from ..errors import ConfigurationError, StoreUnavailableError, UserAlreadyExistsError
from ..records import Account, EndReason, OneTimeToken, UserRecord
from .accounts import CREDENTIAL, AccountStore
from .attempts import AttemptStore
from .connections import Connections
from .driver_errors import IntegrityConflict
from .meta import MetaStore
from .models import Models
from .one_time_tokens import OneTimeTokenStore
from .outages import Health, Outages
from .revocations import RevocationStore
from .server_clock import ServerClock
from .session_ends import EndedSessions, SessionEnds
from .sessions import SessionColumns, SessionStore
from .statements import Runner
from .tables import MAX_WAIT_SECONDS, MIGRATION_SECONDS, Tables
from .user_columns import UserColumns
from .users import UserStore

if TYPE_CHECKING:
    from .event_rows import EventStore
    from .migrations import SchemaStatus

T = TypeVar("T")

_MAX_INSERT_TRIES = 3


class Store:
    """``auto_migrate``: tables of an earlier release are brought up to date before their use."""

    events: EventStore
    """There once ``open_events`` was called, as most applications keep none."""

    def __init__(
        self,
        connections: Connections,
        models: Models,
        clock: Clock,
        *,
        auto_migrate: bool = True,
    ) -> None:
        self._connections = connections
        self._models = models
        self._runner = runner = Runner(connections)
        columns = UserColumns(models, runner.dialect)
        session_columns = SessionColumns(models.session, columns)
        self.clock = ServerClock(runner, clock)
        self.meta = MetaStore(runner, models.meta)
        self.attempts = AttemptStore(runner, models.attempt)
        self.revocations = RevocationStore(runner, models, self.clock)
        self.users = UserStore(runner, columns, models.user_change)
        self.accounts = AccountStore(runner, models.account, columns, self.users)
        self.one_time_tokens = OneTimeTokenStore(runner, models.one_time_token, columns)
        self.sessions = SessionStore(runner, session_columns, self.users, self.clock)
        self.session_ends = SessionEnds(
            runner, session_columns, self.users, self.revocations, self.clock
        )
        self._user_columns = columns
        self._told: EventStore | None = None
        self._tables = Tables(connections, models, self.meta, auto_migrate=auto_migrate)
        if connections.first_use.is_ready_for != self._tables.name:
            connections.first_use.work = (
                self._tables.create if connections.is_owned else self._tables.check
            )

    # Tables and transactions

    def create_tables(self) -> None:
        """Create the tables that are missing, and bring the others up to date.

        Safe when several processes do it at once.

        Raises ``ConfigurationError`` where a table of that name is somebody else's, or holds the
        sessions of another user model, and ``StoreUnavailableError``, in the driver's own words,
        when the database does not answer.
        """
        try:
            self._connections.prepare(self._tables.create)
        except StoreUnavailableError as error:
            explained = Outages(self._connections.database).explain(error)
            raise StoreUnavailableError(explained) from error.__cause__

    def check_tables(self) -> bool:
        """Look, before serving, whether the tables that are there are ours; create none.

        Those of an earlier release are brought up to date. Returns whether the database says
        whose they are, which an empty one does not. Raises ``ConfigurationError`` as
        ``create_tables`` does, and ``StoreUnavailableError`` when the database does not answer.
        """
        self._tables.is_marked = self._tables.is_old = False
        self._connections.visit(self._tables.look)
        if self._tables.is_old:
            self._connections.visit(self._tables.update, timeout_ms=MAX_WAIT_SECONDS * 1000)
        return self._tables.is_marked

    def check_health(self) -> Health:
        """Look whether the database can be used, and what is wrong if not; nothing is raised.

        As any use does, the first one does what is done before that.
        """
        from .probe import look  # most processes are never asked

        return look(self._connections, self._tables)

    def check_schema(self) -> SchemaStatus:
        """Return which version the tables have, and what it would take to bring them up to date.

        Writes nothing. Raises ``ConfigurationError`` as ``create_tables`` does.
        """
        found: list[SchemaStatus] = []

        def look() -> bool:
            found.append(self._tables.status())
            return False

        self._connections.visit(look)
        return found[0] if found else self._tables.status_of_nothing

    def migrate(self) -> tuple[str, ...]:
        """Bring the tables up to date; return what was done, in words.

        Raises ``ConfigurationError`` and ``StoreUnavailableError`` as ``create_tables`` does.
        """
        done: list[str] = []
        self._connections.prepare(
            lambda: self._tables.migrate(lambda each: done.append(each.in_words)),
            timeout_ms=MIGRATION_SECONDS * 1000,
        )
        return tuple(done)

    def atomically(self, work: Callable[[], T], *, is_synchronised: bool = False) -> T:
        """Run calls of these parts all or none; nested calls join.

        After a conflict with others it is run again from the start. ``is_synchronised``: what is
        read in it shows all that was written before it began, on whatever server.
        """
        work = work if self._told is None else self._told.with_rows(work)
        return self._runner.atomically(work, is_synchronised=is_synchronised)

    def open_events(self, *, is_kept: bool = False) -> EventStore:
        """Return the part for the event table; ``is_kept``: from now on transactions tell it."""
        from .event_rows import EventStore

        if "events" not in vars(self):
            self.events = EventStore(self._runner, self._models, self._user_columns)
        if is_kept:
            self._told = self.events
        return self.events

    @property
    def is_lagging(self) -> bool:
        """Whether the server is one of several that apply late what others write.

        What it says may be old, and so nobody is refused before it is read anew.
        """
        return self._connections.is_lagging

    def require_synchronised(self) -> None:
        """Begin the transaction again where it refuses what may only be late."""
        self._connections.require_synchronised()

    @property
    def is_within_app_transaction(self) -> bool:
        """Whether what is written now is undone if the application's transaction is."""
        return self._connections.is_within_app_transaction

    # What concerns several parts

    def insert_user(
        self,
        user: UserRecord,
        account: Account | None = None,
        *,
        tell: Callable[[UserRecord], None] | None = None,
    ) -> UserRecord:
        """Add a user and, if given, one account; return the user with the key it got.

        ``tell`` is called with them in the same transaction.

        Raises ``UserAlreadyExistsError`` when the e-mail address or the account is taken, and
        ``ConfigurationError`` when the user model asks for something else.
        """
        refused: IntegrityConflict | None = None
        for number in range(_MAX_INSERT_TRIES):
            try:
                return self.atomically(
                    lambda: self._insert_user(user, account, tell), is_synchronised=number > 0
                )
            except IntegrityConflict as conflict:
                # What is in the way may have been deleted on another server.
                if number == 0 and self.is_lagging:
                    continue
                if self._is_taken(user, account, conflict):
                    raise UserAlreadyExistsError from None
                refused = conflict
            # Whoever was in the way has perhaps been deleted meanwhile.
            if not refused.is_duplicate:
                break
        name = self._models.user.__name__
        raise ConfigurationError(
            f"the table of {name} refused a new user: {refused}; give what {name} asks for "
            "beyond the attributes of a user a default, or let it be null"
        )

    def _insert_user(
        self,
        user: UserRecord,
        account: Account | None,
        tell: Callable[[UserRecord], None] | None,
    ) -> UserRecord:
        has_own_model, now_ms = self._models.has_own_user, user.created_at_ms
        # An application's own users may have been stored as they were typed, or in a column
        # that is not unique: then no constraint refuses whoever takes another's address.
        if has_own_model and self.users.list_by_email(str(user.email).lower()):
            self.require_synchronised()
            raise UserAlreadyExistsError
        user = self.users.insert(user)
        if has_own_model:
            # The application may have deleted a user, and then given the key to this one.
            self.accounts.delete_left_by(user.id)
            self.session_ends.end_left_by(user.id, now_ms=now_ms)
        if account is not None:
            is_credential = account.provider_id == CREDENTIAL
            account_id = str(user.id) if is_credential else account.account_id
            account = account._replace(user_id=user.id, account_id=account_id)
            self.accounts.insert(account, now_ms=now_ms)
        if tell is not None:
            tell(user)
        return user

    def insert_nobody(self, user: UserRecord, account: Account) -> None:
        """Do the work of ``insert_user`` for an address that is taken; the rows are of no use."""
        now_ms = user.created_at_ms

        def insert() -> None:
            if self._models.has_own_user:
                self.users.list_by_email(str(user.email).lower())
                self.accounts.delete_left_by(None)
                self.session_ends.end_left_by(None, now_ms=now_ms)
                self.accounts.delete_orphans(account)
            self.users.prepare_insert(user)
            for digest in (f"{account.id}.1", f"{account.id}.2"):  # which no token has
                self.one_time_tokens.insert(OneTimeToken(digest, "", None, "", now_ms, now_ms))

        self.atomically(insert)

    def _is_taken(
        self, user: UserRecord, account: Account | None, conflict: IntegrityConflict
    ) -> bool:
        if self._connections.may_read_stale_rows:
            return conflict.is_duplicate
        email = str(user.email)
        if self.users.list_by_email(email.lower() if self._models.has_own_user else email):
            return True
        return (
            account is not None
            and self.accounts.find_user(account.provider_id, account.account_id) is not None
        )

    def change_email(self, user_id: Any, email: str, *, now_ms: int) -> None:
        """Give a user another e-mail address, which is verified; called in a transaction.

        Raises ``UserAlreadyExistsError`` when somebody else has it.
        """
        owners = self.users.list_by_email(email)
        if any(not self.users.is_same(owner.id, user_id) for owner in owners):
            raise UserAlreadyExistsError
        try:
            self.users.update(user_id, email=email, email_verified=True, now_ms=now_ms)
        except IntegrityConflict:
            raise UserAlreadyExistsError from None

    def set_password(self, user_id: Any, account: Account, *, now_ms: int) -> None:
        """Give a user the password hash of an account, also if they had none, in a transaction.

        Whatever hash is there: a sign-in may replace that of the password before by another of
        the same password at any moment, and must not keep it.
        """
        assert account.password_hash is not None
        if not self.accounts.replace_password_hash(user_id, account.password_hash, now_ms=now_ms):
            self.accounts.insert(account, now_ms=now_ms)

    def delete_user(self, user_id: Any, *, now_ms: int, skew_ms: int) -> tuple[bool, EndedSessions]:
        """Delete a user with their accounts and tokens and end their sessions, all or nothing.

        Returns whether there was such a user, and the sessions that ended.
        """

        def delete() -> tuple[bool, EndedSessions]:
            ended = self.session_ends.end_all_of(
                user_id, reason=EndReason.USER_DELETED, now_ms=now_ms, skew_ms=skew_ms
            )
            self.accounts.delete_all_of(user_id)
            self.one_time_tokens.delete_all_of(user_id)
            return self.users.delete(user_id), ended

        return self.atomically(delete, is_synchronised=True)

    def purge(
        self,
        now_ms: int,
        *,
        keep_ended_ms: int,
        feed_age_ms: int,
        attempt_age_ms: int,
        token_age_ms: int,
        batch_rows: int,
        event_age_ms: int | None = None,
    ) -> int:
        """Delete at most a batch of rows of each kind that has had its time; 0 means done."""
        ages_ms = self._purged_ages_ms(
            keep_ended_ms=keep_ended_ms,
            feed_age_ms=feed_age_ms,
            attempt_age_ms=attempt_age_ms,
            token_age_ms=token_age_ms,
            event_age_ms=event_age_ms,
        )
        return sum(
            self._runner.delete_oldest(instant, up_to_ms=now_ms - age_ms, row_count=batch_rows)
            for instant, age_ms in ages_ms.items()
        )

    def count_due(self, now_ms: int, **ages_ms: Any) -> int:
        """Return how many rows ``purge``, given the same ages, deletes until it is done."""
        due = self._purged_ages_ms(**ages_ms)
        return self._runner.count_up_to(
            {instant: now_ms - age_ms for instant, age_ms in due.items()}
        )

    def _purged_ages_ms(
        self,
        *,
        keep_ended_ms: int,
        feed_age_ms: int,
        attempt_age_ms: int,
        token_age_ms: int,
        event_age_ms: int | None = None,
    ) -> dict[Any, int]:
        """Return by the field of an instant how old it has to be."""
        session = self._models.session
        ages_ms = {
            session.ended_at: keep_ended_ms,
            session.expires_at: keep_ended_ms,
            self._models.revocation.created_at: feed_age_ms,
            self._models.attempt.created_at: attempt_age_ms,
            self._models.one_time_token.expires_at: token_age_ms,
        }
        if event_age_ms is not None:
            ages_ms[self._models.event.at] = event_age_ms
        return ages_ms
