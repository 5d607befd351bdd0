"""``SessionManager``: the use cases, each readable from top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import InvalidCredentialsError, InvalidIdTokenError
from .parts import Assembly
from .records import EndReason, ReadOptions, RequestFacts, SessionRecord, UserRecord
from .sessions.creation import CreatedSession, Replaced
from .sessions.policy import is_live
from .sessions.session import Session, SessionData, SignIn, User
from .sessions.tokens import is_session_id, new_database_secret
from .storage.meta import DATABASE_SECRET
from .storage.session_ends import EndedSessions
from .transport.environ import (
    REQUEST_KEY,
    SESSION_KEY,
    find_cookies,
    find_handle,
    find_source,
    read_facts,
)

__all__ = ["SessionManager", "SignIn"]

NO_FACTS = RequestFacts(None, None, is_https=True, method="GET", path="/")


class SessionManager(Assembly):
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

        Headers tell no address, so ``ip_binding`` is not asked of them, and no scheme: the cookie
        is looked for under its prefixed name, which nobody can plant, unless
        ``cookie.secure=False``, or ``is_https=False`` for a browser that came by http, says
        otherwise. For an environ ``is_https`` takes the place of its own scheme.
        """
        source = find_source(source, headers)
        handle = find_handle(source, self)
        if handle is not None:
            if not authoritative:
                return handle.session
            if handle.session is not None and handle.is_from_database:
                return self._look_again(handle.session.id)
        elif SESSION_KEY in source and REQUEST_KEY not in source and not authoritative:
            known: Session | None = source[SESSION_KEY]
            # A header can have this name, too, and is text; no client can send an object.
            if known is None or isinstance(known, Session):
                return known
        facts, is_environ = NO_FACTS, "wsgi.url_scheme" in source
        if is_environ:
            facts = read_facts(source, self.config)
        if is_https is None:
            is_https = facts.is_https
        is_secure = self.cookies.is_secure_for(is_https=is_https)
        options = ReadOptions(
            authoritative=authoritative, allow_refresh=False, knows_address=is_environ
        )
        presented = self.cookies.read(find_cookies(source), is_secure=is_secure)
        if not presented.tokens:
            return None
        found = self.validator.validate(presented, facts=facts, options=options)
        if found.session is None:
            return None
        return self.to_session(
            found.session, found.user, now_ms=found.now_ms, open_data=self.open_data
        )

    def is_live(self, session_id: str) -> bool:
        """Tell whether a session goes on: not ended, within its limits, its user still there.

        One SELECT, past every cache. Nothing is touched: an idle limit goes on counting.
        """
        if not is_session_id(session_id):
            return False
        found = self.store.sessions.find(session_id)
        return found is not None and self._goes_on(*found)

    def _look_again(self, session_id: str) -> Session | None:
        found = self.store.sessions.find(session_id)
        if found is None or not self._goes_on(*found):
            return None
        return self.to_session(*found, now_ms=self.clock.now_ms(), open_data=self.open_data)

    def _goes_on(self, record: SessionRecord, user: UserRecord | None) -> bool:
        is_orphan = user is None and record.user_id is not None
        now_ms = self.clock.now_ms()
        return not is_orphan and is_live(record, now_ms=now_ms, config=self.config)

    def load_data(self, session_id: str) -> tuple[str, int] | None:
        """Return the JSON text and version of a live session's data, or None."""
        found = self.store.sessions.find(session_id)
        if found is None or found[0].ended_at_ms is not None:
            return None
        return found[0].data, found[0].data_version

    def open_data(self, session: Session) -> SessionData:
        """Return a session's data, with nobody yet to store what is changed in it."""
        record = session.record
        # A cached copy carries no data text: it is read when the app first asks for it.
        known = (record.data, record.data_version) if record.data else None
        return SessionData(known, load=lambda: self.load_data(record.id))

    def list_sessions(self, user_id: Any) -> list[Session]:
        """Return a user's live sessions, the latest seen first; at most 1000."""
        now_ms = self.clock.now_ms()
        user = self.store.users.find(user_id)
        return [
            self.to_session(record, user, now_ms=now_ms)
            for record in self.store.sessions.list_live(user_id, now_ms)
            if is_live(record, now_ms=now_ms, config=self.config)
        ]

    def to_session(
        self,
        record: SessionRecord,
        user: UserRecord | None,
        *,
        now_ms: int,
        open_data: Callable[[Session], SessionData] | None = None,
    ) -> Session:
        """Dress a record as what applications hold."""
        return Session(
            record,
            None if user is None else User(user),
            judged_at_ms=now_ms,
            fresh_age_ms=self.config.fresh_age_ms,
            clock_difference_ms=self.config.clock_difference_ms,
            open_data=open_data,
        )

    # Signing in

    def sign_up_email(
        self,
        *,
        name: str,
        email: str,
        password: str,
        image: str | None = None,
        remember_me: bool = True,
        facts: RequestFacts | None = None,
        replaces: str | None = None,
        also_ends: str | None = None,
    ) -> SignIn:
        """Make a user with e-mail and password, and sign them in.

        Not with ``auto_sign_in`` off, nor before an address is verified where it must be.

        Raises ``InvalidEmailError``, ``PasswordTooShortError``, ``PasswordTooLongError``,
        ``UserAlreadyExistsError``, ``TooManyTriesError`` or ``InvalidValueError``; and
        ``InvalidCredentialsError`` if the user was deleted before the session began.
        """
        facts = facts or NO_FACTS
        user = self.accounts.sign_up(
            name=name,
            email=email,
            password=password,
            image=image,
            now_ms=self.clock.now_ms(),
            address=facts.address,
        )
        must_wait = self.config.require_verified_email and not user.email_verified
        if must_wait or not self.config.auto_sign_in:
            return SignIn(User(user), None)
        try:
            return self._begin_session(
                user,
                remember_me=remember_me,
                facts=facts,
                replaces=replaces,
                also_ends=also_ends,
            )
        except LookupError:
            raise InvalidCredentialsError("the user was deleted meanwhile") from None

    def sign_in_email(
        self,
        *,
        email: str,
        password: str,
        remember_me: bool = True,
        facts: RequestFacts | None = None,
        replaces: str | None = None,
        also_ends: str | None = None,
    ) -> SignIn:
        """Check e-mail and password and begin a session.

        Raises ``InvalidCredentialsError`` (whichever of the two is wrong), ``InvalidEmailError``,
        ``EmailNotVerifiedError``, ``TooManyTriesError`` or ``SessionLimitReached``.
        """
        facts = facts or NO_FACTS
        user, created = self.accounts.check_password(
            email=email,
            password=password,
            now_ms=self.clock.now_ms(),
            address=facts.address,
            and_then=lambda user: (
                user,
                self.creation.begin(
                    user,
                    remember_me=remember_me,
                    facts=facts,
                    replaced=Replaced(replaces, also_ends),
                ),
            ),
        )
        return self._report_begun(user, created, facts=facts)

    def sign_in_social(
        self,
        *,
        provider: str,
        id_token: str,
        nonce: str | None = None,
        access_token: str | None = None,
        name: str | None = None,
        remember_me: bool = True,
        facts: RequestFacts | None = None,
        replaces: str | None = None,
        also_ends: str | None = None,
    ) -> SignIn:
        """Verify a provider's ID token and begin a session for whom it is about.

        Somebody new becomes a user; ``name`` is theirs where the token has none. Raises
        ``ProviderNotFoundError``, ``IdTokenNotSupportedError``, ``InvalidIdTokenError``,
        ``ProviderUnavailableError``, ``EmailMissingError``, ``AccountNotLinkedError``,
        ``EmailNotVerifiedError`` or ``SessionLimitReached``.
        """
        facts = facts or NO_FACTS
        user = self.social.find_or_make_user(
            provider,
            id_token,
            nonce=nonce,
            access_token=access_token,
            name=name,
            now_ms=self.clock.now_ms(),
            address=facts.address,
        )
        try:
            return self._begin_session(
                user,
                remember_me=remember_me,
                facts=facts,
                replaces=replaces,
                also_ends=also_ends,
            )
        except LookupError:
            # Deleted since the token was checked.
            raise InvalidIdTokenError("user_deleted") from None

    def sign_in(
        self,
        user_id: Any,
        *,
        remember_me: bool = True,
        facts: RequestFacts | None = None,
        replaces: str | None = None,
        also_ends: str | None = None,
    ) -> SignIn:
        """Begin a session for a user whom the application itself has authenticated.

        ``replaces`` is the id of the session that the browser held: it ends, and the data of
        an anonymous one is carried over. ``also_ends`` is that of another one it held, which
        was refused for its address. Raises ``LookupError`` for an unknown user and
        ``SessionLimitReached`` under ``on_limit="reject"``.
        """
        user = self.store.users.find(user_id)
        if user is None:
            raise LookupError(f"there is no user with the id {user_id!r}")
        return self._begin_session(
            user,
            remember_me=remember_me,
            facts=facts or NO_FACTS,
            replaces=replaces,
            also_ends=also_ends,
        )

    def update_user(self, user_id: Any, **changes: str | None) -> User:
        """Change a user's ``name`` or ``image`` (None takes the image away); return the user.

        Raises ``InvalidValueError``, or ``LookupError`` for an unknown user.
        """
        return User(self.accounts.update_user(user_id, now_ms=self.clock.now_ms(), **changes))

    def change_password(
        self,
        user_id: Any,
        *,
        current_password: str,
        new_password: str,
        revoke_other_sessions: bool = True,
        remember_me: bool = True,
        facts: RequestFacts | None = None,
        replaces: str | None = None,
    ) -> SignIn:
        """Set a new password, end the user's sessions and begin another for this browser.

        Raises ``InvalidPasswordError`` for a wrong current password, ``PasswordTooShortError``,
        ``PasswordTooLongError`` or ``TooManyTriesError``.
        """
        facts, reason = facts or NO_FACTS, EndReason.PASSWORD_CHANGED

        def begin_anew(user: UserRecord) -> tuple[UserRecord, CreatedSession]:
            others: tuple[str, ...] = ()
            if revoke_other_sessions:
                others = self._end_user_sessions(
                    user.id, reason=reason, except_id=replaces
                ).session_ids
            created = self.creation.begin(
                user,
                remember_me=remember_me,
                facts=facts,
                replaced=Replaced(replaces, reason=reason),
            )
            ended = tuple((session_id, reason) for session_id in others)
            return user, created._replace(ended=ended + created.ended)

        user, created = self.accounts.change_password(
            user_id,
            current_password=current_password,
            new_password=new_password,
            now_ms=self.clock.now_ms(),
            address=facts.address,
            and_then=begin_anew,
        )
        return self._report_begun(user, created, facts=facts)

    def _begin_session(
        self,
        user: UserRecord,
        *,
        remember_me: bool,
        facts: RequestFacts,
        replaces: str | None,
        also_ends: str | None,
    ) -> SignIn:
        replaced = Replaced(replaces, also_ends)
        created = self.creation.begin(user, remember_me=remember_me, facts=facts, replaced=replaced)
        return self._report_begun(user, created, facts=facts)

    def _report_begun(
        self, user: UserRecord, created: CreatedSession, *, facts: RequestFacts
    ) -> SignIn:
        """Tell of what began and ended, now that it is committed, and dress it."""
        record = created.session
        for session_id, reason in created.ended:
            # What this browser had before may have been another user's.
            whose = None if reason is EndReason.SIGNED_OUT else user.id
            self._report_ended((session_id,), user_id=whose, reason=reason)
        self.events.emit(
            "session_created", session_id=record.id, user_id=user.id, address=facts.address
        )
        session = self.to_session(record, user, now_ms=record.created_at_ms)
        return SignIn(User(user), session, created.token)

    # Ending

    def sign_out(self, session_id: str) -> bool:
        """End a session because its browser asked to; tell whether it was live."""
        return self._end(session_id, reason=EndReason.SIGNED_OUT)

    def revoke_session(self, session_id: str, *, user_id: Any = None) -> bool:
        """End a session by its id; with ``user_id``, only if it is that user's.

        Tells whether a live session ended; what cannot be an id ends none.
        """
        if not is_session_id(session_id):
            return False
        if user_id is not None:
            found = self.store.sessions.find(session_id)
            if found is None or not self.store.users.is_same(found[0].user_id, user_id):
                return False
        return self._end(session_id, reason=EndReason.REVOKED)

    def revoke_other_sessions(self, session_id: str) -> int:
        """End all other sessions of the user whose session this is; return how many."""
        found = self.store.sessions.find(session_id) if is_session_id(session_id) else None
        if found is None or found[0].user_id is None:
            return 0
        return self._end_all_of(found[0].user_id, except_id=session_id)

    def revoke_all_sessions(self, user_id: Any) -> int:
        """End every session of a user; return how many."""
        return self._end_all_of(user_id, except_id=None)

    def revoke_everything(self) -> int:
        """End every session there is, say after a leak; return how many."""

        def end_all() -> int:
            # No copy of before can be opened after this, whatever a clock said when it was made.
            self.store.meta.replace(DATABASE_SECRET, new_database_secret())
            return self.store.session_ends.end_all(now_ms=self.clock.now_ms())

        count = self.store.atomically(end_all)
        self.feed.invalidate()
        self.events.emit(
            "session_ended", reason=EndReason.REVOKED, details={"session_count": count}
        )
        return count

    def delete_user(
        self, user_id: Any, *, password: str | None = None, facts: RequestFacts | None = None
    ) -> bool:
        """Delete a user, their accounts, and end their sessions; tell whether there was one.

        With ``password`` it is checked first: ``InvalidPasswordError``, ``TooManyTriesError``.
        """
        now_ms = self.clock.now_ms()
        if password is not None:
            address = facts.address if facts is not None else None
            self.accounts.confirm_password(
                user_id, password=password, now_ms=now_ms, address=address
            )
        reason = EndReason.USER_DELETED
        is_deleted, ended = self.store.delete_user(
            user_id, now_ms=now_ms, skew_ms=self.config.rotation_grace_ms
        )
        self._report_ended(ended.session_ids, user_id=user_id, reason=reason)
        if is_deleted:
            self.events.emit("user_deleted", user_id=user_id, reason=reason)
        return is_deleted

    def _end(self, session_id: str, *, reason: EndReason) -> bool:
        if not is_session_id(session_id):
            return False
        ended = self.store.session_ends.end(session_id, reason=reason, now_ms=self.clock.now_ms())
        if ended:
            self._report_ended((session_id,), user_id=None, reason=reason)
        return ended

    def _end_all_of(self, user_id: Any, *, except_id: str | None) -> int:
        reason = EndReason.REVOKED
        ended = self._end_user_sessions(user_id, reason=reason, except_id=except_id)
        self._report_ended(ended.session_ids, user_id=user_id, reason=reason)
        return ended.number

    def _end_user_sessions(
        self, user_id: Any, *, reason: EndReason, except_id: str | None = None
    ) -> EndedSessions:
        return self.store.session_ends.end_all_of(
            user_id,
            reason=reason,
            now_ms=self.clock.now_ms(),
            skew_ms=self.config.rotation_grace_ms,
            except_id=except_id,
        )

    def _report_ended(
        self, session_ids: tuple[str, ...], *, user_id: Any, reason: EndReason
    ) -> None:
        self.feed.invalidate()
        for session_id in session_ids:
            self.events.emit("session_ended", session_id=session_id, user_id=user_id, reason=reason)

    def report_copy_too_large(self, session_id: str) -> None:
        """Warn, once in this process, of a copy over what browsers store (4096 bytes)."""
        if not self._has_warned_of_size:
            self._has_warned_of_size = True
            self.events.emit("cookie_cache_too_large", session_id=session_id)

    # Cleaning up

    def purge(self, *, batch_rows: int = 500) -> int:
        """Delete a batch of rows that nobody needs any more; return how many, 0 when done."""
        return self.purger.purge(batch_rows=batch_rows)

    def __repr__(self) -> str:
        return f"SessionManager({type(self.database).__name__})"
