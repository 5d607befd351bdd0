"""``SessionManager``: the use cases, each readable from top to bottom."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from .accounts.service import MAX_PASSWORD_CHECKS, CheckedPassword
from .clock import Clock, SystemClock
from .config.settings import SessionConfig
from .errors import InvalidCredentialsError, InvalidIdTokenError
from .events import Events
from .parts import build_parts, connect, read_config
from .records import NO_FACTS, UNSET, EndReason, RequestFacts, Unset, UserRecord
from .sessions.creation import CreatedSession, Replaced
from .sessions.session import Session, SignIn, User
from .transport.environ import REQUEST_KEY, SESSION_KEY, find_handle, find_source

if TYPE_CHECKING:
    import peewee
    from typing_extensions import Unpack

    from .config.keywords import SessionSettings


class SessionManager:
    """Sessions and accounts in one database.

    ``database`` is a URL (``sqlite:///app.db``, ``postgresql://…``, ``mysql://…``) or a Peewee
    database of the application's own, whose connection state is left as found. Settings are
    the fields of ``SessionConfig``, given one by one or as ``config``.

    Raises ``ConfigurationError`` for a wrong setting or an unusable database URL. The methods
    raise ``StoreUnavailableError`` when the database does not answer.

    >>> manager = SessionManager("sqlite:///:memory:", secret="0123456789abcdef" * 2)
    >>> made = manager.sign_up_email(name="Ada", email="ada@example.org", password="correct horse")
    >>> made.user.email
    'ada@example.org'
    >>> [session.id for session in manager.list_sessions(made.user.id)] == [made.session.id]
    True
    >>> manager.sign_out(made.session.id)
    True
    >>> manager.list_sessions(made.user.id)
    []
    """

    def __init__(
        self,
        database: str | peewee.Database | peewee.DatabaseProxy,
        *,
        config: SessionConfig | None = None,
        clock: Clock | None = None,
        **settings: Unpack[SessionSettings],
    ) -> None:
        config = read_config(config, settings)
        self.parts = build_parts(connect(database, config), config, clock or SystemClock())
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

    # Reading

    def get_session(
        self,
        source: Any = None,
        *,
        headers: Any = None,
        authoritative: bool = False,
        is_https: bool | None = None,
    ) -> Session | None:
        """Return the live session of a request, or None; nothing is written, and nothing ends.

        ``source`` is a WSGI environ, a request object that has one, or ``headers``: a mapping,
        ``Headers`` of a framework, or pairs of text or bytes. A request the middleware has seen is
        not looked up again, unless ``authoritative=True`` asks the database, past the cookie
        cache. In a connection that lasts, its cookie grows old; ask ``is_live`` there.

        Headers have no address, so ``ip_binding`` is not asked of them, and no scheme: the cookie
        is looked for under its prefixed name, which nobody can plant, unless
        ``cookie.secure=False``, or ``is_https=False`` for a browser that came by http, says
        otherwise. For an environ ``is_https`` takes the place of its own scheme.
        """
        source = find_source(source, headers)
        handle = find_handle(source, self.parts)
        if handle is not None:
            seen: Session | None = handle.session
            if not authoritative:
                return seen
            if seen is not None and handle.is_from_database:
                return self.parts.reader.find_live(seen.id)
        elif SESSION_KEY in source and REQUEST_KEY not in source and not authoritative:
            known: Session | None = source[SESSION_KEY]
            # A header can have this name, too, and is text; no client can send an object.
            if known is None or isinstance(known, Session):
                return known
        return self.parts.reader.read(source, authoritative=authoritative, is_https=is_https)

    def is_live(self, session_id: str) -> bool:
        """Return whether a session is not ended, within its limits, and its user still exists.

        One SELECT, past every cache. Nothing is touched: an idle limit goes on counting.
        """
        return self.parts.reader.find_live(session_id) is not None

    def list_sessions(self, user_id: Any) -> list[Session]:
        """Return a user's live sessions, the latest seen first; at most 1000."""
        return self.parts.reader.list_live(user_id)

    # Signing in

    def sign_up_email(
        self,
        *,
        name: str,
        email: str,
        password: str,
        image: str | None = None,
        remember_me: bool = True,
        facts: RequestFacts = NO_FACTS,
        replaces: Replaced | str | None = None,
    ) -> SignIn:
        """Create a user with e-mail and password, and sign them in, if they may already.

        Raises ``InvalidEmailError``, ``PasswordTooShortError``, ``PasswordTooLongError``,
        ``UserAlreadyExistsError``, ``TooManyTriesError`` or ``InvalidValueError``; and
        ``InvalidCredentialsError`` if the user was deleted before the session began.
        """
        user = self.parts.accounts.sign_up(
            name=name,
            email=email,
            password=password,
            image=image,
            now_ms=self.parts.clock.now_ms(),
            address=facts.address,
        )
        must_wait = self.config.require_verified_email and not user.email_verified
        if must_wait or not self.config.auto_sign_in:
            return SignIn(User(user), None)
        try:
            return self._create_session(
                user, remember_me=remember_me, facts=facts, replaces=replaces
            )
        except LookupError:
            raise InvalidCredentialsError("the user was deleted meanwhile") from None

    def sign_in_email(
        self,
        *,
        email: str,
        password: str,
        remember_me: bool = True,
        facts: RequestFacts = NO_FACTS,
        replaces: Replaced | str | None = None,
    ) -> SignIn:
        """Check e-mail and password and begin a session.

        Raises ``InvalidCredentialsError`` (whichever of the two is wrong), ``InvalidEmailError``,
        ``EmailNotVerifiedError``, ``TooManyTriesError`` or ``SessionLimitReached``.
        """
        accounts, now_ms = self.parts.accounts, self.parts.clock.now_ms()

        def begin(checked: CheckedPassword) -> CreatedSession | None:
            if not accounts.is_unchanged(checked):
                return None
            return self.parts.creation.create(
                checked.user, remember_me=remember_me, facts=facts, replaces=replaces
            )

        email = accounts.start_check(
            email=email, password=password, now_ms=now_ms, address=facts.address
        )
        for _ in range(MAX_PASSWORD_CHECKS):
            checked = accounts.check_password(
                email=email, password=password, now_ms=now_ms, address=facts.address
            )
            created = self.parts.store.atomically(partial(begin, checked))
            if created is not None:
                return self._report_created(checked.user, created, facts=facts)
        raise InvalidCredentialsError("the password was changed again and again meanwhile")

    def sign_in_social(
        self,
        *,
        provider: str,
        id_token: str,
        nonce: str | None = None,
        access_token: str | None = None,
        name: str | None = None,
        remember_me: bool = True,
        facts: RequestFacts = NO_FACTS,
        replaces: Replaced | str | None = None,
    ) -> SignIn:
        """Verify a provider's ID token and begin a session for its user.

        Somebody new becomes a user, with ``name`` where the token has none. Raises
        ``ProviderNotFoundError``, ``IdTokenNotSupportedError``, ``InvalidIdTokenError``,
        ``ProviderUnavailableError``, ``EmailMissingError``, ``AccountNotLinkedError``,
        ``EmailNotVerifiedError`` or ``SessionLimitReached``.
        """
        user = self.parts.social.find_or_make_user(
            provider,
            id_token,
            nonce=nonce,
            access_token=access_token,
            name=name,
            now_ms=self.parts.clock.now_ms(),
            address=facts.address,
        )
        try:
            return self._create_session(
                user, remember_me=remember_me, facts=facts, replaces=replaces
            )
        except LookupError:
            # Deleted since the token was checked.
            raise InvalidIdTokenError("user_deleted") from None

    def sign_in(
        self,
        user_id: Any,
        *,
        remember_me: bool = True,
        facts: RequestFacts = NO_FACTS,
        replaces: Replaced | str | None = None,
    ) -> SignIn:
        """Begin a session for a user whom the application itself has authenticated.

        ``replaces`` is the session that the browser held: it ends, and the data of an anonymous
        one is carried over. Raises ``LookupError`` (unknown user) or ``SessionLimitReached``.
        """
        user = self.parts.store.users.find(user_id)
        if user is None:
            raise LookupError(f"there is no user with the id {user_id!r}")
        return self._create_session(user, remember_me=remember_me, facts=facts, replaces=replaces)

    def update_user(
        self, user_id: Any, *, name: str | Unset = UNSET, image: str | Unset | None = UNSET
    ) -> User:
        """Change a user's ``name`` or ``image`` (None removes the image); return the user.

        Raises ``InvalidValueError``, or ``LookupError`` for an unknown user.
        """
        now_ms = self.parts.clock.now_ms()
        return User(self.parts.accounts.update_user(user_id, name=name, image=image, now_ms=now_ms))

    def change_password(
        self,
        user_id: Any,
        *,
        current_password: str,
        new_password: str,
        revoke_other_sessions: bool = True,
        remember_me: bool = True,
        facts: RequestFacts = NO_FACTS,
        replaces: Replaced | str | None = None,
    ) -> SignIn:
        """Set a new password, end the user's sessions and begin another for this browser.

        Raises ``InvalidPasswordError`` for a wrong current password, ``PasswordTooShortError``,
        ``PasswordTooLongError`` or ``TooManyTriesError``.
        """
        accounts, now_ms = self.parts.accounts, self.parts.clock.now_ms()
        reason = EndReason.PASSWORD_CHANGED
        replaced = replace(Replaced.of(replaces), reason=reason)
        accounts.hasher.check_length(new_password)
        checked = accounts.confirm_password(
            user_id, password=current_password, now_ms=now_ms, address=facts.address
        )
        new_hash = accounts.hasher.hash(new_password)

        def change() -> CreatedSession:
            accounts.set_password(checked, new_hash, now_ms=now_ms)
            others: tuple[str, ...] = ()
            if revoke_other_sessions:
                others = self.parts.ending.end_unreported(
                    checked.user.id, reason=reason, except_id=replaced.session_id
                ).session_ids
            created = self.parts.creation.create(
                checked.user, remember_me=remember_me, facts=facts, replaces=replaced
            )
            ended = tuple((session_id, reason) for session_id in others)
            return created._replace(ended=ended + created.ended)

        created = self.parts.store.atomically(change)
        self.events.emit("password_changed", user_id=checked.user.id, address=facts.address)
        return self._report_created(checked.user, created, facts=facts)

    def _create_session(
        self,
        user: UserRecord,
        *,
        remember_me: bool,
        facts: RequestFacts,
        replaces: Replaced | str | None,
    ) -> SignIn:
        def create() -> CreatedSession:
            return self.parts.creation.create(
                user, remember_me=remember_me, facts=facts, replaces=replaces
            )

        return self._report_created(user, self.parts.store.atomically(create), facts=facts)

    def _report_created(
        self, user: UserRecord, created: CreatedSession, *, facts: RequestFacts
    ) -> SignIn:
        """Report what began and what ended, now that it is committed."""
        record = created.session
        for session_id, reason in created.ended:
            # What this browser had before may have been another user's.
            whose = None if reason is EndReason.SIGNED_OUT else user.id
            self.parts.ending.report([session_id], user_id=whose, reason=reason)
        self.parts.events.emit(
            "session_created", session_id=record.id, user_id=user.id, address=facts.address
        )
        session = self.parts.validator.to_session(record, user, now_ms=record.created_at_ms)
        return SignIn(User(user), session, created.token)

    # Ending

    def sign_out(self, session_id: str) -> bool:
        """End a session because its browser asked to; return whether it was live."""
        return self.parts.ending.end(session_id, reason=EndReason.SIGNED_OUT)

    def revoke_session(self, session_id: str, *, user_id: Any = None) -> bool:
        """End a session, with ``user_id`` only that user's; return whether it was live."""
        return self.parts.ending.revoke(session_id, user_id=user_id)

    def revoke_other_sessions(self, session_id: str) -> int:
        """End all other sessions of the user whose session this is; return how many."""
        return self.parts.ending.revoke_others(session_id)

    def revoke_all_sessions(self, user_id: Any) -> int:
        """End every session of a user; return how many."""
        return self.parts.ending.revoke_all_of(user_id)

    def revoke_everything(self) -> int:
        """End every session there is, say after a leak; return how many."""
        return self.parts.ending.revoke_everything()

    def delete_user(
        self, user_id: Any, *, password: str | None = None, facts: RequestFacts = NO_FACTS
    ) -> bool:
        """Delete a user and their accounts, and end their sessions; return whether they existed.

        With ``password`` it is checked first: ``InvalidPasswordError``, ``TooManyTriesError``.
        """
        if password is not None:
            self.parts.accounts.confirm_password(
                user_id, password=password, now_ms=self.parts.clock.now_ms(), address=facts.address
            )
        return self.parts.ending.delete_user(user_id)

    def create_tables(self) -> None:
        """Create the tables that are missing; a URL's own database gets them by itself.

        Raises ``ConfigurationError`` where they are somebody else's or another user model's.
        """
        self.parts.store.create_tables()

    def purge(self, *, batch_rows: int = 500) -> int:
        """Delete a batch of rows that nobody needs any more; return how many, 0 when done."""
        return self.parts.purger.purge(batch_rows=batch_rows)

    def close(self) -> None:
        """Close the connections this manager opened; it opens new ones when used again."""
        self.parts.connections.close()

    def __repr__(self) -> str:
        return f"SessionManager({type(self.database).__name__})"
