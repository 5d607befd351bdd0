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
from .policy import cached_copy_end_ms
from .records import EndReason, PresentedToken, ReadOptions, SessionRecord, UserRecord
from .session import Session, SessionData, User
from .validation import Validation

__all__ = ["SessionRequest"]

HeaderLines = list[tuple[str, str]]


class SessionRequest:
    """One request's session, and what can be done with it.

    ``session`` is the live ``Session`` or None; ``end_reason`` says why the session this
    browser held is over; ``facts`` are the client's address, user agent and scheme;
    ``is_database_away`` tells that the session could not be looked up.
    """

    __slots__ = (
        "_copied_token",
        "_data",
        "_environ",
        "_has_begun",
        "_is_let_go",
        "_outbox",
        "_presented",
        "_unsaved",
        "_validated_at_ms",
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
        self._outbox: HeaderLines = []
        self._copied_token: str | None = None
        self._data: SessionData | None = None
        self._unsaved: tuple[SessionRecord, str] | None = None
        self._has_begun = False
        self._is_let_go = False
        self._validated_at_ms = 0

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
            self._validated_at_ms = found.now_ms
            if found.session is not None:
                self.session = self.manager.show(
                    found.session, found.user, now_ms=found.now_ms, open_data=self._open_data
                )
                if found.token is not None and found.offer is None and found.may_be_copied:
                    self._copied_token = found.token.text
                if found.token is not None and (found.offer is not None or found.may_be_copied):
                    self._post_after_validation(found, found.session, found.token)
        self._inject()

    def begin(self) -> HeaderLines:
        """Save what the app has set so far and return the cookies to send with the headers."""
        data = self._data
        if data is not None:
            self._save_data()
            if self._unsaved is not None:
                data.on_change = self._save_data  # which can only refuse now, and says why
        self._has_begun = True
        return self._outbox

    @property
    def has_open_data(self) -> bool:
        """Whether the app holds the session's data, so that something may be left to save."""
        return self._data is not None

    def let_go(self) -> None:
        """Take note that nothing of ours will run when the app's body ends."""
        self._is_let_go = True

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
        if self.manager.config.cookie_cache.enabled:
            self._post_copy_anew(self.session.record, updated.record)
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
        """
        self._require_unsent("sign out")
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

    def _require_unsent(self, action: str) -> None:
        if self._has_begun:
            raise ResponseStartedError(
                f"the headers are out, so no cookie can go with them; {action} before "
                "start_response is called"
            )

    def _post_after_validation(
        self, found: Validation, record: SessionRecord, token: PresentedToken
    ) -> None:
        if found.offer is not None:
            text = self.manager.signer.write(token.secret, found.offer)
            self._outbox = [self._token_line(text, remember=bool(record.remember))]
        elif self.manager.config.cookie_cache.enabled and not self._has_good_copy(token):
            self._post_copy(record, found.user, token.text, now_ms=found.now_ms)

    def _has_good_copy(self, token: PresentedToken) -> bool:
        copy = self.manager.validator.find_good_copy(
            self._presented, token.text, now_ms=self._validated_at_ms
        )
        return copy is not None and self.manager.feed.is_good(copy.session.id, copy.issued_at_ms)

    def _post_copy(
        self, record: SessionRecord, user: UserRecord | None, token_text: str, *, now_ms: int
    ) -> None:
        manager = self.manager
        ends_at_ms = cached_copy_end_ms(record, now_ms=now_ms, config=manager.config)
        if ends_at_ms <= now_ms:
            return
        text = manager.cache.seal(
            record, user, token_text=token_text, issued_at_ms=now_ms, ends_at_ms=ends_at_ms
        )
        if text is None:
            return
        max_age_s = -((now_ms - ends_at_ms) // 1000) if record.remember else None
        line = manager.cookies.set_cached_copy(text, is_secure=self.is_secure, max_age_s=max_age_s)
        if line is None:
            manager.report_copy_too_large(record.id)
        else:
            self._outbox.append(line)

    def _post_copy_anew(self, record: SessionRecord, user: UserRecord) -> None:
        """Have the browser's copy replaced, or dropped where its token is about to change."""
        name = self.manager.cookies.cache_name(is_secure=self.is_secure)
        self._outbox = [line for line in self._outbox if not line[1].startswith(f"{name}=")]
        kept = len(self._outbox)
        if self._copied_token is not None:
            now_ms = self.manager.clock.now_ms()
            self._post_copy(record, user, self._copied_token, now_ms=now_ms)
        if len(self._outbox) == kept:
            self._outbox.append(self.manager.cookies.clear_cached_copy(is_secure=self.is_secure))

    def _token_line(self, text: str, *, remember: bool) -> tuple[str, str]:
        return self.manager.cookies.set_token(text, is_secure=self.is_secure, remember=remember)

    def _adopt(self, made: SignIn) -> None:
        """Make a new session the browser's own."""
        if made.session is None or made.token is None:
            return
        record = made.session.record
        self._data = None
        self._unsaved = None
        self.session = self.manager.show(
            record, made.user.record, now_ms=record.created_at_ms, open_data=self._open_data
        )
        self.end_reason = None
        self._outbox = [self._token_line(made.token, remember=bool(record.remember))]
        self._copied_token = made.token
        if self.manager.config.cookie_cache.enabled:
            self._post_copy(record, made.user.record, made.token, now_ms=record.created_at_ms)
        self._inject()

    def _leave(self, reason: EndReason) -> None:
        if self.session is not None:
            self.end_reason = reason
        self.session = None
        self._data = None
        self._unsaved = None
        self._outbox = self.manager.cookies.clear(is_secure=self.is_secure)
        self._inject()

    def _replaced_id(self) -> str | None:
        """Return the id of the session a sign-in replaces, its data stored so far included."""
        if self.session is None:
            return None
        if self._data is not None:
            self._save_data()
        return None if self._unsaved is not None else self.session.id

    def _open_data(self, session: Session) -> SessionData:
        record = session.record
        # A cached copy carries no data text: it is read when the app first asks for it.
        known = (record.data, record.data_version) if record.data else None
        data = SessionData(known, load=lambda: self._load_data(record.id))
        if session is self.session:
            self._data = data
            if self._is_let_go or (self._has_begun and self._unsaved is not None):
                # Nothing will be saved when the body ends, so store each change as it is made.
                data.on_change = self._save_data
        return data

    def _load_data(self, session_id: str) -> tuple[str, int] | None:
        found = self.manager.store.find_session(session_id)
        if found is None or found[0].ended_at_ms is not None:
            return None
        return found[0].data, found[0].data_version

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
        self._outbox = [self._token_line(token, remember=True)]
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
