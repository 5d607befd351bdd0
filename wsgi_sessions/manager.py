"""``SessionManager``: the use cases, each readable from top to bottom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from .accounts.service import MAX_PASSWORD_CHECKS, CheckedPassword, new_user
from .clock import Clock, SystemClock
from .config.settings import SessionConfig
from .errors import InvalidCredentialsError, InvalidIdTokenError
from .mail_manager import MailManager
from .parts import build_parts, connect, read_config
from .records import NO_FACTS, Authentication, EndReason, RequestFacts, UserRecord
from .sessions.creation import CreatedSession, Replaced
from .sessions.session import Session, SignIn, User
from .transport.environ import REQUEST_KEY, SESSION_KEY, find_handle, find_source

if TYPE_CHECKING:
    import peewee
    from typing_extensions import Unpack

    from .config.keywords import SessionSettings

_BY_PASSWORD = Authentication("password")


class SessionManager(MailManager):
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
        super().__init__(build_parts(connect(database, config), config, clock or SystemClock()))

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
        callback_url: str | None = None,
        facts: RequestFacts = NO_FACTS,
        replaces: Replaced | str | None = None,
    ) -> SignIn:
        """Create a user with e-mail and password, and sign them in, if they may already.

        With ``require_verified_email`` they are mailed a link, which leads on to ``callback_url``.
        With it, or without ``auto_sign_in``, nothing tells that an address is taken: the user
        that is returned is then made up, and the owner is told by mail.

        Raises ``InvalidEmailError``, ``PasswordTooShortError`` and its like, ``InvalidValueError``,
        ``SignUpDisabledError``, ``SignUpRefusedError``, ``UserAlreadyExistsError`` or
        ``TooManyTriesError``; ``InvalidCredentialsError`` if the user was deleted meanwhile.
        """
        now_ms = self.parts.clock.now_ms()
        new = new_user(name=name, email=email, image=image, now_ms=now_ms)
        password_hash = self.parts.accounts.start_sign_up(new, password, address=facts.address)
        if self.config.require_verified_email or not self.config.auto_sign_in:
            return SignIn(User(self._sign_up_only(new, password_hash, callback_url, facts)), None)
        user = self.parts.accounts.insert_user(new, password_hash, address=facts.address)
        try:
            return self._create_session(
                user,
                remember_me=remember_me,
                facts=facts,
                replaces=replaces,
                authentication=_BY_PASSWORD,
            )
        except LookupError:
            raise InvalidCredentialsError from None

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
                checked.user,
                remember_me=remember_me,
                facts=facts,
                replaces=replaces,
                authentication=_BY_PASSWORD,
            )

        with accounts.signing_in(
            email=email, password=password, facts=facts, now_ms=now_ms
        ) as normal_email:
            for _ in range(MAX_PASSWORD_CHECKS):
                checked = accounts.check_password(
                    email=normal_email, password=password, now_ms=now_ms, facts=facts
                )
                created = self.parts.store.atomically(partial(begin, checked))
                if created is not None:
                    return self._report_created(checked.user, created, facts=facts)
            raise InvalidCredentialsError

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
        ``EmailNotVerifiedError``, ``SignUpDisabledError``, ``SignUpRefusedError``,
        ``TooManyTriesError`` or ``SessionLimitReached``.
        """
        social, now_ms, address = self.parts.social, self.parts.clock.now_ms(), facts.address
        claims = social.verify(
            provider,
            id_token,
            nonce=nonce,
            access_token=access_token,
            now_ms=now_ms,
            facts=facts,
        )
        user = social.find_or_make_user(provider, claims, name=name, now_ms=now_ms, address=address)
        try:
            made = self._create_session(
                user,
                remember_me=remember_me,
                facts=facts,
                replaces=replaces,
                authentication=claims.as_authentication(provider),
                provider_sid=claims.sid,
            )
        except LookupError:
            # Deleted since the token was checked.
            raise InvalidIdTokenError("user_deleted") from None
        # Now: a logout that came before the COMMIT has not found the session.
        if made.session is not None and social.is_over(provider, claims):
            self.revoke_session(made.session.id)
            raise InvalidIdTokenError("ended")
        return made

    def sign_in(
        self,
        user_id: Any,
        *,
        method: str | None = None,
        amr: Sequence[str] = (),
        remember_me: bool = True,
        facts: RequestFacts = NO_FACTS,
        replaces: Replaced | str | None = None,
    ) -> SignIn:
        """Begin a session for a user whom the application itself has authenticated.

        ``method`` is how, in the application's own word (``"passkey"``), and ``amr`` the same in
        those of RFC 8176; the session shows both. ``replaces`` is the session that the browser
        held: it ends, and the data of an anonymous one is carried over. Raises ``LookupError``
        (unknown user), ``ValueError`` (a method that is no name) or ``SessionLimitReached``.
        """
        authentication = Authentication.by_application(method, amr)
        return self._create_session(
            self._existing_user(user_id),
            remember_me=remember_me,
            facts=facts,
            replaces=replaces,
            authentication=authentication,
        )

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

        Raises ``InvalidPasswordError`` for a wrong current password, ``PasswordTooShortError``
        and its like for a new one that is not taken, or ``TooManyTriesError``.
        """
        accounts, now_ms = self.parts.accounts, self.parts.clock.now_ms()
        reason = EndReason.PASSWORD_CHANGED
        replaced = replace(Replaced.of(replaces), reason=reason)
        checked = accounts.confirm_password(
            user_id, password=current_password, now_ms=now_ms, facts=facts
        )
        new_hash = accounts.hash_new_password(checked.user, new_password)

        def change() -> CreatedSession:
            accounts.set_password(checked, new_hash, now_ms=now_ms)
            # Whoever asked for a link with the password before must not set another one now.
            self.parts.tokens.use_up(checked.user.id, now_ms=now_ms)
            if self.parts.audit is not None:
                self.parts.audit.tell("password_changed", facts=facts, user_id=checked.user.id)
            others: tuple[str, ...] = ()
            if revoke_other_sessions:
                others = self.parts.ending.end_unreported(
                    checked.user.id, reason=reason, except_id=replaced.session_id, facts=facts
                ).session_ids
            created = self.parts.creation.create(
                checked.user,
                remember_me=remember_me,
                facts=facts,
                replaces=replaced,
                authentication=_BY_PASSWORD,
            )
            ended = tuple((session_id, reason) for session_id in others)
            return created._replace(ended=ended + created.ended)

        created = self.parts.store.atomically(change, is_synchronised=True)
        self.events.emit("password_changed", user_id=checked.user.id, address=facts.address)
        self.parts.mailer.send("password-changed", checked.user)
        return self._report_created(checked.user, created, facts=facts)

    def _create_session(
        self,
        user: UserRecord,
        *,
        remember_me: bool,
        facts: RequestFacts,
        replaces: Replaced | str | None,
        authentication: Authentication,
        provider_sid: str | None = None,
    ) -> SignIn:
        def create() -> CreatedSession:
            return self.parts.creation.create(
                user,
                remember_me=remember_me,
                facts=facts,
                replaces=replaces,
                authentication=authentication,
                provider_sid=provider_sid,
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
            self.parts.ending.report(
                [session_id], user_id=whose, reason=reason, address=facts.address
            )
        session = self.parts.validator.to_session(record, user, now_ms=record.created_at_ms)
        self.parts.events.emit(
            "session_created",
            session_id=record.id,
            user_id=user.id,
            address=facts.address,
            details={"method": session.method, "device": session.device, **created.news},
        )
        return SignIn(session.user or User(user), session, created.token)

    def __repr__(self) -> str:
        return f"SessionManager({type(self.database).__name__})"
