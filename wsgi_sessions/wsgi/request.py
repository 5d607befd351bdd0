"""The handle in ``environ["wsgi_sessions.request"]``: what the app does to its session.

Must not run the use cases itself. Their database part happens when they are called; their
cookie waits in the outbox until the headers go out, and is refused after that.
"""

from __future__ import annotations

from typing import Any

from ..errors import NotSignedInError, SessionNotFreshError
from ..manager import SignIn
from ..records import EndReason
from ..sessions.session import Session, User
from .exchange import Exchange

__all__ = ["SessionRequest"]


class SessionRequest(Exchange):
    """One request's session, and what can be done with it.

    ``session`` is the live ``Session`` or None; ``end_reason`` says why the session this
    browser held is over; ``facts`` are the client's address, user agent and scheme;
    ``is_database_away`` tells that the session could not be looked up. Whatever changes or
    ends something, and ``require_fresh``, asks the database where only a cached copy had been
    read: ``NotSignedInError`` if the session is not live after all.
    """

    __slots__ = ()

    def sign_up_email(
        self,
        *,
        name: str,
        email: str,
        password: str,
        image: str | None = None,
        remember_me: bool = True,
    ) -> SignIn:
        """Make a user and sign this browser in; see ``SessionManager.sign_up_email``."""
        self._require_unsent("sign up")
        made = self.manager.sign_up_email(
            name=name,
            email=email,
            password=password,
            image=image,
            remember_me=remember_me,
            facts=self.facts,
            replaces=self._replaced_id(),
            also_ends=self._elsewhere_id,
        )
        self._adopt(made)
        return made

    def sign_in_email(self, *, email: str, password: str, remember_me: bool = True) -> SignIn:
        """Check e-mail and password and sign this browser in."""
        self._require_unsent("sign in")
        made = self.manager.sign_in_email(
            email=email,
            password=password,
            remember_me=remember_me,
            facts=self.facts,
            replaces=self._replaced_id(),
            also_ends=self._elsewhere_id,
        )
        self._adopt(made)
        return made

    def sign_in_social(
        self,
        *,
        provider: str,
        id_token: str,
        nonce: str | None = None,
        access_token: str | None = None,
        name: str | None = None,
    ) -> SignIn:
        """Sign this browser in by a provider's ID token; see ``SessionManager.sign_in_social``."""
        self._require_unsent("sign in")
        made = self.manager.sign_in_social(
            provider=provider,
            id_token=id_token,
            nonce=nonce,
            access_token=access_token,
            name=name,
            facts=self.facts,
            replaces=self._replaced_id(),
            also_ends=self._elsewhere_id,
        )
        self._adopt(made)
        return made

    def update_user(self, **changes: str | None) -> User:
        """Change the signed-in user's ``name`` or ``image``; see ``SessionManager.update_user``.

        This browser's cached copy is written anew; those of other devices show the change
        after ``cookie_cache.max_age`` at the latest.
        """
        user = self._require_user_of_database()
        assert self.session is not None
        if self.manager.config.cookie_cache.enabled:
            self._require_unsent("update the user")
        self._before_act()
        try:
            updated = self.manager.update_user(user.id, **changes)
        except LookupError:
            raise NotSignedInError("the user has been deleted meanwhile") from None
        self.session.user = updated
        self._prepare_cookies().post_copy_anew(self.session.record, updated.record)
        self._after_act(is_user_changed=True)
        self._inject()
        return updated

    def sign_in(self, user_id: Any, *, remember_me: bool = True) -> Session:
        """Sign this browser in as a user whom the app itself has authenticated."""
        self._require_unsent("sign in")
        made = self.manager.sign_in(
            user_id,
            remember_me=remember_me,
            facts=self.facts,
            replaces=self._replaced_id(),
            also_ends=self._elsewhere_id,
        )
        self._adopt(made)
        assert self.session is not None
        return self.session

    def sign_out(self) -> bool:
        """End this browser's session and clear its cookies; tell whether there was one.

        Whatever session a well-signed token of this browser belongs to ends, also one that was
        refused for its address, or whose token was replaced. Raises ``StoreUnavailableError``
        while the database is away: a session that lives on must not lose its cookie.
        """
        self._require_unsent("sign out")
        self.ask_database()
        own = [self.session.id] if self.session is not None and self._unsaved is None else []
        presented = [token.session_id for token in self._presented.tokens]
        session_ids = tuple(dict.fromkeys([*own, *presented]))
        has_ended = [self.manager.sign_out(session_id) for session_id in session_ids]
        self._leave(EndReason.SIGNED_OUT, ended_ids=session_ids)
        return any(has_ended)

    def start_anonymous_session(self) -> Session:
        """Return this browser's session, or begin one for a visitor who is not signed in.

        It costs no row and no cookie until something is written to its ``data``. While the
        browser holds a session that was refused for its address, or could not be looked up, a
        cookie would replace that for good: the one returned lives for this request alone, and
        what is written to it is lost as ``on_lost_data`` says. A sign-in takes it over.
        """
        if self.session is None:
            self._require_unsent("start a session")
            record, token = self.manager.creation.make_record(None, facts=self.facts, remember=True)
            self._unsaved = (record, token)
            self.session = self.manager.to_session(
                record, None, now_ms=record.created_at_ms, open_data=self._open_data
            )
            self._inject()
        return self.session

    def list_sessions(self) -> list[Session]:
        """Return the user's live sessions, the latest seen first; ``NotSignedInError``."""
        return self.manager.list_sessions(self._require_user_of_database().id)

    def revoke_session(self, session_id: str) -> bool:
        """End one of the user's own sessions; another user's id changes nothing."""
        user = self._require_user_of_database()
        is_own = self.session is not None and self.session.id == session_id
        if is_own:
            self._require_unsent("revoke this session")
        ended = self.manager.revoke_session(session_id, user_id=user.id)
        if is_own:
            self._leave(EndReason.REVOKED, ended_ids=(session_id,))
        return ended

    def revoke_other_sessions(self) -> int:
        """End all the user's sessions but this one; return how many."""
        self._require_user_of_database()
        assert self.session is not None
        return self.manager.revoke_other_sessions(self.session.id)

    def revoke_all_sessions(self) -> int:
        """End all the user's sessions, this one too; return how many."""
        user = self._require_user_of_database()
        self._require_unsent("revoke this session")
        assert self.session is not None
        own_id = self.session.id
        count = self.manager.revoke_all_sessions(user.id)
        self._leave(EndReason.REVOKED, ended_ids=(own_id,))
        return count

    def change_password(
        self, *, current_password: str, new_password: str, revoke_other_sessions: bool = True
    ) -> SignIn:
        """Set a new password; this session is replaced, and the user's others end."""
        user = self._require_user_of_database()
        assert self.session is not None
        self._require_unsent("change the password")
        made = self.manager.change_password(
            user.id,
            current_password=current_password,
            new_password=new_password,
            revoke_other_sessions=revoke_other_sessions,
            remember_me=self.session.is_remembered,
            facts=self.facts,
            replaces=self._replaced_id(),
        )
        self._adopt(made)
        return made

    def delete_user(self, *, password: str | None = None) -> bool:
        """Delete the signed-in user; needs the password, or a fresh session."""
        user = self._require_user_of_database() if password is not None else self.require_fresh()
        self._require_unsent("delete the user")
        assert self.session is not None
        own_id = self.session.id
        is_deleted = self.manager.delete_user(user.id, password=password, facts=self.facts)
        self._leave(EndReason.USER_DELETED, ended_ids=(own_id,))
        return is_deleted

    def require_user(self) -> User:
        """Return the signed-in user or raise ``NotSignedInError``."""
        user = self.user
        if user is None:
            raise NotSignedInError("nobody is signed in; sign in first")
        return user

    def require_fresh(self) -> User:
        """Return the user if they authenticated less than ``fresh_age`` ago.

        Asks the database, past the cookie cache. Raises ``NotSignedInError`` or
        ``SessionNotFreshError``.
        """
        user = self._require_user_of_database()
        if self.session is None or not self.session.is_fresh:
            raise SessionNotFreshError("this needs a recent sign-in; sign in again")
        return user

    def save_data(self) -> None:
        """Store what was changed in ``session.data`` now, rather than with the response.

        With ``on_lost_data="conflict"``: ``SessionDataLostError`` if the session has ended.
        What the app's transaction rolls back is stored again with the response.
        """
        if self._data is not None:
            self._save_data()

    # Helpers

    def _require_user_of_database(self) -> User:
        self.ask_database()
        return self.require_user()

    def _adopt(self, made: SignIn) -> None:
        """Make a new session the browser's own."""
        if made.session is None or made.token is None:
            return
        record = made.session.record
        self._before_act()
        self._close_data()
        self._is_hidden, self._elsewhere_id = False, None
        self.session = self.manager.to_session(
            record, made.user.record, now_ms=record.created_at_ms, open_data=self._open_data
        )
        self.end_reason = None
        self._response_cookies = None
        self._prepare_cookies().post_session(record, made.user.record, made.token)
        self._after_act()
        self._inject()

    def _leave(self, reason: EndReason, *, ended_ids: tuple[str, ...]) -> None:
        self._before_act()
        if self.session is not None:
            self.end_reason = reason
        self.session = None
        self._close_data()
        self._is_hidden, self._elsewhere_id = False, None
        self._prepare_cookies().post_leaving()
        self._after_act(ended_ids=ended_ids)
        self._inject()

    def _replaced_id(self) -> str | None:
        """Return the id of the session a sign-in replaces, its data stored so far included.

        Asks the database, so that ``_elsewhere_id`` is known after it, too: its cookie is about
        to be replaced, and nobody could end that session from here any more.
        """
        self.ask_database()
        if self.session is None:
            return None
        data = self._data
        if data is not None and self._unsaved is not None and self._is_hidden:
            operations = data.operations()
            if operations:
                self._insert_anonymous(data, operations, has_cookie=False)
        elif data is not None:
            self._save_data(may_refuse=False)
        return None if self._unsaved is not None else self.session.id
