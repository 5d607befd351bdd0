"""The handle in ``environ["wsgi_sessions.request"]``: what the app does to its session.

Must not run the use cases itself. Their database part happens when they are called; their
cookie waits in the outbox until the headers go out, and is refused after that.
"""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any

from .environ import inject, read_facts
from .errors import (
    NotSignedInError,
    ResponseStartedError,
    SessionNotFreshError,
    StoreUnavailableError,
)
from .manager import SessionManager, SignIn
from .outbox import Outbox
from .records import EndReason, ReadOptions, SessionRecord
from .response_headers import HeaderLines
from .session import Session, SessionData, User

__all__ = ["SessionRequest"]


class SessionRequest:
    """One request's session, and what can be done with it.

    ``session`` is the live ``Session`` or None; ``end_reason`` says why the session this
    browser held is over; ``facts`` are the client's address, user agent and scheme;
    ``is_database_away`` tells that the session could not be looked up.
    """

    __slots__ = (
        "_before_sign_in",
        "_data",
        "_environ",
        "_has_begun",
        "_is_let_go",
        "_outbox",
        "_presented",
        "_unsaved",
        "end_reason",
        "facts",
        "is_database_away",
        "is_secure",
        "manager",
        "session",
    )

    def __init__(self, manager: SessionManager, environ: dict[str, Any]) -> None:
        self.manager = manager
        self.session: Session | None = None
        self.end_reason: EndReason | None = None
        self.facts = read_facts(environ, manager.config)
        self.is_secure = manager.cookies.is_secure_for(is_https=self.facts.is_https)
        self.is_database_away = False
        self._environ = environ
        self._presented = manager.cookies.read(environ.get("HTTP_COOKIE"), is_secure=self.is_secure)
        self._outbox: Outbox | None = None
        self._before_sign_in: tuple[Session | None, Outbox | None] | None = None
        self._data: SessionData | None = None
        self._unsaved: tuple[SessionRecord, str] | None = None
        self._has_begun = False
        self._is_let_go = False

    @property
    def user(self) -> User | None:
        """The signed-in user, or None."""
        return None if self.session is None else self.session.user

    # What the middleware calls

    def validate(self, options: ReadOptions) -> None:
        """Look the session up, do what is due to it and pin the badge on the environ.

        Raises ``StoreUnavailableError`` when the database must be asked and does not answer;
        the request is then that of a visitor with ``is_database_away``.
        """
        if self._presented.token_texts:
            try:
                found = self.manager.validator.validate(
                    self._presented, address=self.facts.address, options=options
                )
            except StoreUnavailableError:
                self.is_database_away = True
                self._inject()
                raise
            self.end_reason = found.end_reason
            if found.session is not None:
                self.session = self.manager.show(
                    found.session, found.user, now_ms=found.now_ms, open_data=self._open_data
                )
                if found.offer is not None or self.manager.config.cookie_cache.enabled:
                    self._open_outbox().post_after_validation(found, self._presented)
        self._inject()

    def begin(self) -> HeaderLines:
        """Save what the app has set so far and return the cookies to send with the headers."""
        self._forget_what_was_rolled_back()
        data = self._data
        if data is not None:
            try:
                self._save_data()
            except TypeError as error:
                # Told to the app once: the page on which it shows that has to get through.
                self._report_dropped(type(error).__name__)
                self._data = None
                raise
            if self._unsaved is not None:
                data.on_change = self._save_data  # which can only refuse now, and says why
        self._has_begun = True
        return [] if self._outbox is None else self._outbox.lines

    def begin_without_app(self) -> HeaderLines:
        """Return the cookies to send with an answer that takes the place of the app's.

        What the app did to sessions before it broke off has happened, so its cookies go out;
        what it set in the session's data is dropped with its answer.
        """
        self._has_begun = True
        return [] if self._outbox is None else self._outbox.lines

    @property
    def has_open_data(self) -> bool:
        """Whether the app holds the session's data, so that something may be left to save."""
        return self._data is not None

    def let_go(self) -> None:
        """Take note that nothing of ours will run when the app's body ends."""
        self._is_let_go = True
        if self._data is not None:
            self._data.on_change = self._save_data

    def save_streamed(self) -> None:
        """Save what a streamed body has set; the response is under way, so nothing may fail."""
        if self._data is not None:
            try:
                self._save_data()
            except (StoreUnavailableError, ResponseStartedError, TypeError) as error:
                self._report_dropped(type(error).__name__)

    def finish(self) -> None:
        """Do what is left when the response is out: save, and purge if that is due."""
        self.save_streamed()
        self.manager.purger.purge_if_due()

    # What the app calls

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
        )
        self._adopt(made)
        return made

    def update_user(self, **changes: str | None) -> User:
        """Change the signed-in user's ``name`` or ``image``; see ``SessionManager.update_user``.

        This browser's cached copy is written anew; those of other devices show the change
        after ``cookie_cache.max_age`` at the latest.
        """
        user = self.require_user()
        assert self.session is not None
        if self.manager.config.cookie_cache.enabled:
            self._require_unsent("update the user")
        updated = self.manager.update_user(user.id, **changes)
        self.session.user = updated
        self._open_outbox().post_copy_anew(self.session.record, updated.record)
        self._inject()
        return updated

    def sign_in(self, user_id: Any, *, remember_me: bool = True) -> Session:
        """Sign this browser in as a user whom the app itself has authenticated."""
        self._require_unsent("sign in")
        made = self.manager.sign_in(
            user_id, remember_me=remember_me, facts=self.facts, replaces=self._replaced_id()
        )
        self._adopt(made)
        assert self.session is not None
        return self.session

    def sign_out(self) -> bool:
        """End this browser's session and clear its cookies; tell whether there was one.

        A session that could not be validated (expired, say) is cleared from the browser too.
        Raises ``StoreUnavailableError`` while the database is away: a session that lives on
        must not lose its cookie.
        """
        self._require_unsent("sign out")
        if self.is_database_away:
            raise StoreUnavailableError("the database is away, so nothing was ended; try later")
        ended = False
        if self.session is not None:
            ended = self._unsaved is None and self.manager.sign_out(self.session.id)
        self._leave(EndReason.SIGNED_OUT)
        return ended

    def start_anonymous_session(self) -> Session:
        """Return this browser's session, or begin one for a visitor who is not signed in.

        It costs no row and no cookie until something is written to its ``data``.
        """
        if self.session is None:
            self._require_unsent("start a session")
            record, token = self.manager.admission.make_record(
                None, facts=self.facts, remember=True
            )
            self._unsaved = (record, token)
            self.session = self.manager.show(
                record, None, now_ms=record.created_at_ms, open_data=self._open_data
            )
            self._inject()
        return self.session

    def list_sessions(self) -> list[Session]:
        """Return the user's live sessions, the latest seen first; ``NotSignedInError``."""
        return self.manager.list_sessions(self.require_user().id)

    def revoke_session(self, session_id: str) -> bool:
        """End one of the user's own sessions; another user's id changes nothing."""
        user = self.require_user()
        is_own = self.session is not None and self.session.id == session_id
        if is_own:
            self._require_unsent("revoke this session")
        ended = self.manager.revoke_session(session_id, user_id=user.id)
        if is_own:
            self._leave(EndReason.REVOKED)
        return ended

    def revoke_other_sessions(self) -> int:
        """End all the user's sessions but this one; return how many."""
        self.require_user()
        assert self.session is not None
        return self.manager.revoke_other_sessions(self.session.id)

    def revoke_all_sessions(self) -> int:
        """End all the user's sessions, this one too; return how many."""
        user = self.require_user()
        self._require_unsent("revoke this session")
        count = self.manager.revoke_all_sessions(user.id)
        self._leave(EndReason.REVOKED)
        return count

    def change_password(
        self, *, current_password: str, new_password: str, revoke_other_sessions: bool = True
    ) -> SignIn:
        """Set a new password; this session is replaced, and the user's others end."""
        user = self.require_user()
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
        user = self.require_user() if password is not None else self.require_fresh()
        self._require_unsent("delete the user")
        is_deleted = self.manager.delete_user(user.id, password=password, facts=self.facts)
        self._leave(EndReason.USER_DELETED)
        return is_deleted

    def require_user(self) -> User:
        """Return the signed-in user or raise ``NotSignedInError``."""
        user = self.user
        if user is None:
            raise NotSignedInError("nobody is signed in; sign in first")
        return user

    def require_fresh(self) -> User:
        """Return the user if they authenticated less than ``fresh_age`` ago.

        Raises ``NotSignedInError`` or ``SessionNotFreshError``.
        """
        user = self.require_user()
        if self.session is None or not self.session.is_fresh:
            raise SessionNotFreshError("this needs a recent sign-in; sign in again")
        return user

    def save_data(self) -> None:
        """Store what was changed in ``session.data`` now, rather than with the response."""
        if self._data is not None:
            self._save_data()

    # Behind the counter

    def _inject(self) -> None:
        inject(self._environ, session=self.session, request=self, end_reason=self.end_reason)

    def _open_outbox(self) -> Outbox:
        """Return the outbox; most requests need none, so it is made when something is posted."""
        if self._outbox is None:
            self._outbox = Outbox(self.manager, is_secure=self.is_secure)
        return self._outbox

    def _require_unsent(self, action: str) -> None:
        if self._has_begun:
            raise ResponseStartedError(
                f"the headers are out, so no cookie can go with them; {action} before "
                "start_response is called"
            )

    def _adopt(self, made: SignIn) -> None:
        """Make a new session the browser's own."""
        if made.session is None or made.token is None:
            return
        record = made.session.record
        if self._before_sign_in is None and self.manager.connections.is_within_app_transaction:
            self._before_sign_in = (self.session, self._outbox)
        self._close_data()
        self.session = self.manager.show(
            record, made.user.record, now_ms=record.created_at_ms, open_data=self._open_data
        )
        self.end_reason = None
        self._outbox = None
        self._open_outbox().post_session(record, made.user.record, made.token)
        self._inject()

    def _forget_what_was_rolled_back(self) -> None:
        """Keep the session from before a sign-in that the app's transaction has undone."""
        if self._before_sign_in is None:
            return
        before, self._before_sign_in = self._before_sign_in, None
        if self.session is None or self.manager.store.find_session(self.session.id) is not None:
            return
        self._close_data()
        self.session, self._outbox = before
        self._inject()

    def _leave(self, reason: EndReason) -> None:
        if self.session is not None:
            self.end_reason = reason
        self.session = None
        self._close_data()
        self._before_sign_in = None
        self._open_outbox().post_leaving()
        self._inject()

    def _close_data(self) -> None:
        """Let go of the data of a session that is no longer this browser's."""
        if self._data is not None:
            self._data.on_change = lambda: self._report_dropped("the session was replaced")
        self._data = None
        self._unsaved = None

    def _replaced_id(self) -> str | None:
        """Return the id of the session a sign-in replaces, its data stored so far included."""
        if self.session is None:
            return None
        if self._data is not None:
            self._save_data()
        return None if self._unsaved is not None else self.session.id

    def _open_data(self, session: Session) -> SessionData:
        data = self.manager.open_data(session)
        if session is self.session:
            self._data = data
            if self._is_let_go or (self._has_begun and self._unsaved is not None):
                # Nothing will be saved when the body ends, so store each change as it is made.
                data.on_change = self._save_data
        return data

    def _save_data(self) -> None:
        data, session = self._data, self.session
        if data is None or session is None:
            return
        operations = data.operations()
        if not operations:
            return
        if self._unsaved is not None:
            self._insert_anonymous(data, operations)
            return
        stored = self.manager.store.merge_data(session.id, operations, known=data.known)
        if stored is None:
            self._report_dropped("the session ended meanwhile")
            self._data = None
        else:
            data.mark_stored(stored)

    def _insert_anonymous(
        self, data: SessionData, operations: MutableMapping[str, str | None]
    ) -> None:
        assert self._unsaved is not None
        self._require_unsent("write to an anonymous session's data for the first time")
        record, token = self._unsaved
        values = {key: json.loads(text) for key, text in operations.items() if text is not None}
        text = json.dumps(values, separators=(",", ":"), sort_keys=True)
        self.manager.store.insert_session(record._replace(data=text))
        self._unsaved = None
        data.mark_stored((text, record.data_version))
        self._open_outbox().post_session(record, None, token)
        self.manager.events.emit(
            "session_created", session_id=record.id, address=self.facts.address
        )

    def _report_dropped(self, why: str) -> None:
        session = self.session
        self.manager.events.emit(
            "data_dropped",
            session_id=None if session is None else session.id,
            user_id=None if session is None else session.user_id,
            details={"why": why},
        )

    def __repr__(self) -> str:
        return f"SessionRequest(session={self.session!r})"
