"""``SessionRequest`` in ``environ["wsgi_sessions.request"]``: what applications call.

The database part of a call happens at once; its cookie is sent with the headers.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..clock import ms_from_duration
from ..errors import NotSignedInError, SessionNotFreshError
from ..records import UNSET, EndReason, RequestFacts, Unset
from ..sessions.session import Session, SignIn, User
from .known_devices import facts_of_user, facts_of_visitor, know_device, make_nonce
from .refusals import report_refusal

if TYPE_CHECKING:
    from ..manager import SessionManager
    from .exchange import Exchange


class SessionRequest:
    """One request's session, and what can be done with it.

    Whatever changes or ends something, and ``require_fresh``, asks the database where only a
    cached copy was read: ``NotSignedInError`` if the session is not live after all. What sets a
    cookie raises ``ResponseStartedError`` after ``start_response``.
    """

    __slots__ = ("__weakref__", "_held", "_kept")

    _kept: Session | None

    def __init__(self, exchange: Exchange) -> None:
        self._held = exchange

    @property
    def _exchange(self) -> Exchange:
        exchange = self._held
        if exchange.has_let_go:
            exchange.take_back(self)
        return exchange

    @property
    def session(self) -> Session | None:
        """The live session, or None for a visitor."""
        return self._exchange.session

    @property
    def user(self) -> User | None:
        """The signed-in user, or None."""
        session = self._exchange.session
        return None if session is None else session.user

    @property
    def end_reason(self) -> EndReason | None:
        """Why the session that this browser held is over, when it just ended."""
        return self._exchange.end_reason

    @property
    def facts(self) -> RequestFacts:
        """The client's address, user agent and scheme, and the method and path it asked for."""
        return self._exchange.facts

    @property
    def is_secure(self) -> bool:
        """Whether the cookies of this request are Secure."""
        return self._exchange.is_secure

    @property
    def is_database_away(self) -> bool:
        """Whether the session could not be looked up, because the database did not answer."""
        return self._exchange.is_database_away

    @property
    def is_from_database(self) -> bool:
        """Whether the database was asked for the session, and not a cached copy alone."""
        return self._exchange.is_from_database

    @property
    def manager(self) -> SessionManager:
        """The manager of the middleware that serves this request."""
        return self._exchange.manager

    @property
    def outer(self) -> SessionRequest | None:
        """The request of another manager's middleware around this one."""
        return self._exchange.outer

    def list_sessions(self) -> list[Session]:
        """Return the user's live sessions, the latest seen first; ``NotSignedInError``."""
        return self.manager.list_sessions(self._user_of_database().id)

    def require_user(self) -> User:
        """Return the signed-in user or raise ``NotSignedInError``."""
        user = self.user
        if user is None:
            raise NotSignedInError
        return user

    def require_fresh(self, *, within: timedelta | int | None = None) -> User:
        """Return the user if they have proven lately who they are, by sign-in or step-up.

        ``within`` is a ``timedelta`` or whole seconds, at most ``fresh_age``, which it is if not
        given (see ``Session.is_fresh_within``). Asks the database, past the cookie cache. Raises
        ``NotSignedInError`` or ``SessionNotFreshError``, which tells the client how recent it
        must be.
        """
        user = self._user_of_database()
        session = self.session
        assert session is not None
        within = session.config.fresh_age if within is None else within
        if not session.is_fresh_within(within):
            error = SessionNotFreshError(
                max_age_seconds=ms_from_duration(within) // 1000,
                is_elsewhere=session.is_elsewhere and not session.config.fresh_elsewhere,
            )
            report_refusal(self, error)
            raise error
        return user

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
    ) -> SignIn:
        """Create a user and sign this browser in; see ``SessionManager.sign_up_email``."""
        self._exchange.require_unsent("sign up")
        made = self.manager.sign_up_email(
            name=name,
            email=email,
            password=password,
            image=image,
            remember_me=remember_me,
            callback_url=callback_url,
            facts=facts_of_visitor(self._exchange),
            replaces=self._exchange.replaced(),
        )
        return self._exchange.sign_in(made)

    def sign_in_email(self, *, email: str, password: str, remember_me: bool = True) -> SignIn:
        """Check e-mail and password and sign this browser in."""
        self._exchange.require_unsent("sign in")
        made = self.manager.sign_in_email(
            email=email,
            password=password,
            remember_me=remember_me,
            facts=facts_of_visitor(self._exchange),
            replaces=self._exchange.replaced(),
        )
        return self._exchange.sign_in(made)

    def make_nonce(self, provider: str) -> str:
        """Return a nonce for an ID token, good for an hour and in this browser alone."""
        return make_nonce(self._exchange, provider)

    def sign_in_social(
        self,
        *,
        provider: str,
        id_token: str,
        nonce: str | None = None,
        access_token: str | None = None,
        name: str | None = None,
        remember_me: bool = True,
    ) -> SignIn:
        """Sign this browser in by a provider's ID token; see ``SessionManager.sign_in_social``."""
        self._exchange.require_unsent("sign in")
        made = self.manager.sign_in_social(
            provider=provider,
            id_token=id_token,
            nonce=nonce,
            access_token=access_token,
            name=name,
            remember_me=remember_me,
            facts=facts_of_visitor(self._exchange),
            replaces=self._exchange.replaced(),
        )
        return self._exchange.sign_in(made)

    def sign_in(
        self,
        user_id: Any,
        *,
        method: str | None = None,
        amr: Sequence[str] = (),
        remember_me: bool = True,
    ) -> SignIn:
        """Sign this browser in as a user whom the application itself has authenticated.

        See ``SessionManager.sign_in``.
        """
        self._exchange.require_unsent("sign in")
        made = self.manager.sign_in(
            user_id,
            method=method,
            amr=amr,
            remember_me=remember_me,
            facts=facts_of_visitor(self._exchange),
            replaces=self._exchange.replaced(),
        )
        return self._exchange.sign_in(made)

    def start_anonymous_session(self) -> Session:
        """Return this browser's session, or begin one for a visitor who is not signed in.

        It costs no row and no cookie until something is written to its ``data``. While the
        browser holds a session that was refused for its address, or could not be looked up, a
        cookie would replace that for good: the one returned lives for this request alone, and
        what is written to it is lost as ``on_lost_data`` says. A sign-in takes it over.
        """
        return self._exchange.data.start_anonymous()

    def reauthenticate(
        self,
        *,
        password: str | None = None,
        provider: str | None = None,
        id_token: str | None = None,
        nonce: str | None = None,
        access_token: str | None = None,
        method: str | None = None,
    ) -> Session:
        """Step up: have the signed-in user prove again who they are; return the session.

        It stays as it is, data too, and is fresh here now; see ``SessionManager.reauthenticate``.
        """
        self._user_of_database()
        assert self.session is not None
        self._exchange.require_unsent("reauthenticate")
        made = self.manager.reauthenticate(
            self.session.id,
            password=password,
            provider=provider,
            id_token=id_token,
            nonce=nonce,
            access_token=access_token,
            method=method,
            facts=facts_of_user(self._exchange),
        )
        self._exchange.step_up(made)
        return self.session

    # Changing

    def update_user(self, *, name: str | Unset = UNSET, image: str | Unset | None = UNSET) -> User:
        """Change the signed-in user's ``name`` or ``image`` (None removes the image).

        This browser's cached copy is written anew; those of other devices show the change
        after ``cookie_cache.max_age`` at the latest. Raises ``InvalidValueError``.
        """
        user = self._user_of_database()
        if self.manager.config.cookie_cache.enabled:
            self._exchange.require_unsent("update the user")
        self._exchange.before_act()
        try:
            updated = self.manager.update_user(user.id, name=name, image=image)
        except LookupError:
            raise NotSignedInError from None
        self._exchange.change_user(updated)
        return updated

    def change_password(
        self, *, current_password: str, new_password: str, revoke_other_sessions: bool = True
    ) -> SignIn:
        """Set a new password; this session is replaced, and the user's others end."""
        user = self._user_of_database()
        assert self.session is not None
        self._exchange.require_unsent("change the password")
        made = self.manager.change_password(
            user.id,
            current_password=current_password,
            new_password=new_password,
            revoke_other_sessions=revoke_other_sessions,
            remember_me=self.session.is_remembered,
            facts=facts_of_user(self._exchange),
            replaces=self._exchange.replaced(),
        )
        return self._exchange.sign_in(made)

    def reset_password(self, *, token: str, new_password: str) -> User:
        """Set a password by the token of a mail; a session of that user ends here, too."""
        self._exchange.require_unsent("reset the password")
        user = self.manager.reset_password(token=token, new_password=new_password, facts=self.facts)
        if self.session is not None and self.session.user_id == user.id:
            self._exchange.sign_out(EndReason.PASSWORD_CHANGED, ended_ids=(self.session.id,))
        know_device(self._exchange, user.record)
        return user

    def verify_email(self, *, token: str) -> User:
        """Verify or change an e-mail address by the token of a mail; return the user."""
        self._exchange.require_unsent("verify the address")
        self._exchange.ask_database()
        self._exchange.before_act()
        user = self.manager.verify_email(token=token, facts=self.facts)
        if self.user is not None and self.user.id == user.id:
            know_device(self._exchange, user.record)
            self._exchange.change_user(user)
        return user

    def change_email(self, *, new_email: str, callback_url: str | None = None) -> None:
        """Mail a link to a new address of the signed-in user; needs a fresh session."""
        user = self.require_fresh()
        self.manager.change_email(
            user.id, new_email=new_email, callback_url=callback_url, facts=self.facts
        )

    def save_data(self) -> None:
        """Store what was changed in ``session.data`` now, rather than with the response.

        With ``on_lost_data="conflict"``: ``SessionDataLostError`` if the session has ended.
        What the application's transaction rolls back is stored again with the response.
        """
        self._exchange.data.save()

    # Ending

    def sign_out(self) -> bool:
        """End this browser's session and clear its cookies; return whether there was one.

        Whatever session a well-signed token of this browser belongs to ends, also one that was
        refused for its address, or whose token was replaced. Raises ``StoreUnavailableError``
        while the database is away: a session that lives on must not lose its cookie.
        """
        self._exchange.require_unsent("sign out")
        self._exchange.ask_database()
        session_ids = self._exchange.presented_session_ids()
        facts = self._exchange.facts
        has_ended = [self.manager.sign_out(session_id, facts=facts) for session_id in session_ids]
        self._exchange.sign_out(EndReason.SIGNED_OUT, ended_ids=session_ids)
        return any(has_ended)

    def revoke_session(self, session_id: str) -> bool:
        """End one of the user's own sessions; another user's id changes nothing."""
        user = self._user_of_database()
        is_own = self.session is not None and self.session.id == session_id
        if is_own:
            self._exchange.require_unsent("revoke this session")
        has_ended = self.manager.revoke_session(session_id, user_id=user.id, facts=self.facts)
        if is_own:
            self._exchange.sign_out(EndReason.REVOKED, ended_ids=(session_id,))
        return has_ended

    def revoke_other_sessions(self) -> int:
        """End all the user's sessions but this one; return how many."""
        self._user_of_database()
        assert self.session is not None
        return self.manager.revoke_other_sessions(self.session.id, facts=self.facts)

    def revoke_all_sessions(self) -> int:
        """End all the user's sessions, this one too; return how many."""
        user = self._user_of_database()
        self._exchange.require_unsent("revoke this session")
        assert self.session is not None
        own_id = self.session.id
        count = self.manager.revoke_all_sessions(user.id, facts=self.facts)
        self._exchange.sign_out(EndReason.REVOKED, ended_ids=(own_id,))
        return count

    def delete_user(self, *, password: str | None = None) -> bool:
        """Delete the signed-in user; needs the password, or a fresh session."""
        user = self._user_of_database() if password is not None else self.require_fresh()
        self._exchange.require_unsent("delete the user")
        assert self.session is not None
        own_id = self.session.id
        is_deleted = self.manager.delete_user(
            user.id, password=password, facts=facts_of_user(self._exchange)
        )
        self._exchange.sign_out(EndReason.USER_DELETED, ended_ids=(own_id,))
        return is_deleted

    def _user_of_database(self) -> User:
        self._exchange.ask_database()
        return self.require_user()

    def __repr__(self) -> str:
        return f"SessionRequest(session={self.session!r})"
