"""``UserManager``: the use cases that begin no session: ends, users, passwords, events."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from .accounts.profile import check_imported
from .accounts.reauthentication import Proof
from .accounts.service import credential_of, new_user, normalize_email
from .clock import ms_from_datetime
from .database_manager import DatabaseManager
from .events import EventName, SessionEvent
from .records import (
    NO_FACTS,
    UNSET,
    EndReason,
    RequestFacts,
    Unset,
    UserRecord,
)
from .sessions.session import User
from .sessions.step_up import StepUp
from .storage.session_ends import EndedSessions

if TYPE_CHECKING:
    from datetime import datetime


class UserManager(DatabaseManager):
    """What a ``SessionManager`` can do that begins no session; make one of those."""

    def reauthenticate(
        self,
        session_id: str,
        *,
        password: str | None = None,
        provider: str | None = None,
        id_token: str | None = None,
        nonce: str | None = None,
        access_token: str | None = None,
        method: str | None = None,
        facts: RequestFacts = NO_FACTS,
    ) -> StepUp:
        """Have the user of a live session prove again who they are; the session stays as it is.

        By ``password``; by ``id_token`` and ``provider``, where that account is theirs; or by a
        ``method`` of the application's own. Returns what their browser is to show for it. Raises
        ``NotSignedInError``, ``InvalidPasswordError``, what ``sign_in_social`` does, and
        ``SessionNotFreshError`` for a login at the provider as old as ``fresh_age``.
        """
        proof = Proof(
            password=password,
            provider=provider,
            id_token=id_token,
            nonce=nonce,
            access_token=access_token,
            method=method,
        )
        return self.parts.reauthentication.step_up(session_id, proof, facts=facts)

    # Ending sessions

    def sign_out(self, session_id: str, *, facts: RequestFacts = NO_FACTS) -> bool:
        """End a session because its browser asked to; return whether it was live.

        ``facts`` are those of the request that asks for an end, here and below: events have them.
        """
        return self.parts.ending.end(session_id, reason=EndReason.SIGNED_OUT, facts=facts)

    def revoke_session(
        self, session_id: str, *, user_id: Any = None, facts: RequestFacts = NO_FACTS
    ) -> bool:
        """End a session, with ``user_id`` only that user's; return whether it was live."""
        return self.parts.ending.revoke(session_id, user_id=user_id, facts=facts)

    def revoke_other_sessions(self, session_id: str, *, facts: RequestFacts = NO_FACTS) -> int:
        """End all other sessions of the user whose session this is; return how many."""
        return self.parts.ending.revoke_others(session_id, facts=facts)

    def revoke_all_sessions(self, user_id: Any, *, facts: RequestFacts = NO_FACTS) -> int:
        """End every session of a user; return how many."""
        return self.parts.ending.revoke_all_of(user_id, facts=facts)

    def revoke_everything(self, *, before: datetime | None = None) -> int:
        """End every session, or each that began before an instant; return how many.

        All or nothing. Outside of a request it takes as long as it takes, not
        ``database_patience``: some seconds for a quarter of a million.
        """
        before_ms = None if before is None else ms_from_datetime(before)
        return self.parts.ending.revoke_everything(created_before_ms=before_ms)

    # Users

    def find_user(self, user_id: Any = None, *, email: str | None = None) -> User | None:
        """Return a user by id, or by e-mail address; None if there is none.

        Raises ``TypeError`` unless it is given one of the two.
        """
        if (user_id is None) == (email is None):
            raise TypeError("find_user takes a user's id or an e-mail address; give one of them")
        if email is None:
            user = self.parts.store.users.find(user_id)
        else:
            user = self.parts.store.users.find_by_email(normalize_email(email))
        return None if user is None else User(user)

    def create_user(
        self,
        *,
        name: str,
        email: str,
        password: str | None = None,
        password_hash: str | None = None,
        email_verified: bool = False,
        image: str | None = None,
    ) -> User:
        """Make a user who is not signed in, whoever may sign up.

        Without a password they can set one by ``request_password_reset``. ``password_hash`` is
        that of another system, for an import. Raises what ``sign_up_email`` does, and
        ``UserAlreadyExistsError`` in every case.
        """
        if password is not None and password_hash is not None:
            raise TypeError("a user has a password or the hash of one; give one of them")
        check_imported(password_hash, email_verified)
        now_ms = self.parts.clock.now_ms()
        user = new_user(
            name=name, email=email, image=image, email_verified=email_verified, now_ms=now_ms
        )
        if password is not None:
            password_hash = self.parts.accounts.hash_new_password(user, password)
        return User(self.parts.accounts.insert_user(user, password_hash))

    def update_user(
        self, user_id: Any, *, name: str | Unset = UNSET, image: str | Unset | None = UNSET
    ) -> User:
        """Change a user's ``name`` or ``image`` (None removes the image); return the user.

        Raises ``InvalidValueError``, or ``LookupError`` for an unknown user.
        """
        now_ms = self.parts.clock.now_ms()
        return User(self.parts.accounts.update_user(user_id, name=name, image=image, now_ms=now_ms))

    def backchannel_logout(
        self, provider: str, logout_token: str, *, facts: RequestFacts = NO_FACTS
    ) -> int:
        """End the sessions that a provider says are over; return how many.

        Takes a logout token of OpenID Connect, and a security event ``session-revoked`` of CAEP;
        other events end none. For an application that has the JSON API turned off. Raises
        ``ProviderNotFoundError``, ``IdTokenNotSupportedError``, ``InvalidLogoutTokenError`` or
        ``ProviderUnavailableError``.
        """
        return self.parts.provider_logouts.end(provider, logout_token, address=facts.address)

    def delete_user(
        self, user_id: Any, *, password: str | None = None, facts: RequestFacts = NO_FACTS
    ) -> bool:
        """Delete a user and their accounts, and end their sessions; return whether they existed.

        With ``password`` it is checked first: ``InvalidPasswordError``, ``TooManyTriesError``.
        """
        if password is not None:
            self.parts.accounts.confirm_password(
                user_id, password=password, now_ms=self.parts.clock.now_ms(), facts=facts
            )
        return self.parts.ending.delete_user(user_id, facts=facts)

    # Passwords

    def set_password(self, user_id: Any, new_password: str) -> User:
        """Give a user a password, end all their sessions, and tell them by mail.

        The links that were mailed to them work no more. Raises ``LookupError`` for an unknown
        user, ``PasswordTooShortError`` and its like.
        """
        user = self._existing_user(user_id)
        password_hash = self.parts.accounts.hash_new_password(user, new_password)
        ended = self.parts.store.atomically(
            lambda: self._replace_password(user, password_hash, email_verified=False),
            is_synchronised=True,
        )
        self._report_new_password(user, ended, address=None)
        return User(user)

    def _replace_password(
        self,
        user: UserRecord,
        password_hash: str,
        *,
        email_verified: bool,
        facts: RequestFacts = NO_FACTS,
    ) -> EndedSessions:
        """Set a password within a transaction; end all that the one before has opened."""
        now_ms, store = self.parts.clock.now_ms(), self.parts.store
        if not store.users.lock(user.id):  # deleted meanwhile
            raise _no_user(user.id)
        store.set_password(user.id, credential_of(user, password_hash), now_ms=now_ms)
        if email_verified and not user.email_verified:
            store.users.update(user.id, email_verified=True, now_ms=now_ms)
            # Not where the application's table never knows of any address whether it is verified.
            if self.config.user_attributes.get("email_verified", "") is not None:
                store.accounts.unlink_providers(user.id)
        self.parts.tokens.use_up(user.id, now_ms=now_ms)
        if self.parts.audit is not None:
            if email_verified and not user.email_verified:
                self.parts.audit.tell("email_verified", facts=facts, user_id=user.id)
            self.parts.audit.tell("password_changed", facts=facts, user_id=user.id)
        return self.parts.ending.end_unreported(
            user.id, reason=EndReason.PASSWORD_CHANGED, facts=facts
        )

    def _report_new_password(
        self, user: UserRecord, ended: EndedSessions, *, address: str | None
    ) -> None:
        self.events.emit("password_changed", user_id=user.id, address=address)
        self.parts.ending.report(
            ended.session_ids,
            user_id=user.id,
            reason=EndReason.PASSWORD_CHANGED,
            address=address,
        )
        self.parts.mailer.send("password-changed", user)

    # E-mail addresses

    def mark_email_verified(self, user_id: Any) -> User:
        """Note that a user has shown the application that their e-mail address is theirs.

        Raises ``LookupError`` for an unknown user.
        """
        user, now_ms = self._existing_user(user_id), self.parts.clock.now_ms()
        if user.email_verified:
            return User(user)

        def mark() -> None:
            self.parts.store.users.update(user.id, email_verified=True, now_ms=now_ms)
            if self.parts.audit is not None:
                self.parts.audit.tell("email_verified", user_id=user.id)

        if self.parts.audit is None:
            mark()
        else:
            self.parts.store.atomically(mark)
        self.events.emit("email_verified", user_id=user.id)
        return User(user._replace(email_verified=True, updated_at_ms=now_ms))

    # Events that are kept

    def list_events(
        self,
        *,
        user_id: Any = None,
        since: datetime | None = None,
        names: Collection[EventName] = (),
        before: SessionEvent | None = None,
        max_count: int = 100,
    ) -> list[SessionEvent]:
        """Return events that the setting ``audit`` has kept, the latest first; at most 1000.

        Of a user, since an instant, of some names. ``before`` is the last event of the page
        before. Raises ``ValueError`` for a ``since`` without a time zone.
        """
        return self.parts.store.open_events().find(
            user_id=user_id,
            since_ms=None if since is None else ms_from_datetime(since),
            names=names,
            before=before,
            max_count=max_count,
        )

    def delete_events(self, user_id: Any) -> int:
        """Delete what the setting ``audit`` has kept of a user; return how many events."""
        return self.parts.store.open_events().delete_all_of(user_id)

    def _existing_user(self, user_id: Any) -> UserRecord:
        user = self.parts.store.users.find(user_id)
        if user is None:
            raise _no_user(user_id)
        return user


def _no_user(user_id: Any) -> LookupError:
    return LookupError(f"there is no user with the id {user_id!r}")
