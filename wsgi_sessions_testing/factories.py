"""``Factories``: users and sessions as a test needs them, of any age, generation or end.

A browser takes over the cookie of a session made here by ``Browser.adopt``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import peewee

from wsgi_sessions.accounts.passwords import PasswordHasher
from wsgi_sessions.accounts.service import normalize_email
from wsgi_sessions.clock import ms_from_duration
from wsgi_sessions.manager import SessionManager
from wsgi_sessions.records import Account, Authentication, EndReason, RequestFacts, UserRecord
from wsgi_sessions.sessions.policy import absolute_end_ms, first_expiry_ms
from wsgi_sessions.sessions.session import SignIn, User
from wsgi_sessions.sessions.tokens import new_branch, new_id
from wsgi_sessions.storage.accounts import CREDENTIAL

from .browser.reasons import end_reason
from .browser.user_agents import find_user_agent
from .fakes.instrumentation import unwatched

_NOW = timedelta(0)


class Factories:
    """Makes users and sessions in a manager's database, past all limits and throttles."""

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager
        self._store = unwatched(manager.parts.store)
        self._made_count = 0

    def make_user(
        self,
        email: str | None = None,
        *,
        name: str | None = None,
        password: str | None = None,
        email_verified: bool = False,
        image: str | None = None,
    ) -> User:
        """Make a user; without ``password`` they can sign in by e-mail alone, in tests.

        Raises ``UserAlreadyExistsError`` for an e-mail address in use.
        """
        manager = self._manager
        email = normalize_email(email or self._free_email())
        now_ms = manager.clock.now_ms()
        password_hash = None
        if password is not None:
            password_hash = PasswordHasher(manager.config.password).hash(password)
        name = name if name is not None else email.partition("@")[0].title()
        user = UserRecord(new_id(), email, email_verified, name, image, now_ms, now_ms)
        account = Account(new_id(), user.id, CREDENTIAL, str(user.id), password_hash)
        return User(self._store.insert_user(user, account))

    def _free_email(self) -> str:
        """Return an address nobody has: a table of the app's own may hold users of other tests."""
        while True:
            self._made_count += 1
            email = f"user{self._made_count}@example.org"
            if not self._store.users.list_by_email(email):
                return email

    def find_or_make_user(self, email: str) -> User:
        """Return the user with an e-mail address, made now if there is none."""
        found = self._store.users.find_by_email(normalize_email(email))
        return self.make_user(email) if found is None else User(found)

    def find_user(self, who: User | peewee.Model | str | int) -> User:
        """Return who is meant: a user, one of your own model, an e-mail address, or an id.

        For an e-mail address that nobody has, a user is made. Raises ``LookupError`` for an
        unknown id, and ``TypeError`` for what names no user.
        """
        if isinstance(who, User):
            return who
        if isinstance(who, str) and "@" in who:
            return self.find_or_make_user(who)
        key: Any = who.get_id() if isinstance(who, peewee.Model) else who  # type: ignore[no-untyped-call]
        if not isinstance(key, (str, int, UUID)) or isinstance(key, bool):
            kind = who.__name__ if isinstance(who, type) else type(who).__name__
            hint = "; Browser.adopt takes what make_session made" if kind == "SignIn" else ""
            raise TypeError(
                f"{kind} is nobody who could sign in; give an e-mail address, a user or their "
                f"id{hint}"
            )
        found = self._store.users.find(key)
        if found is None:
            raise LookupError(f"{key!r} is neither an e-mail address nor the id of a user")
        return User(found)

    def make_session(
        self,
        user: User | peewee.Model | str | int | None = None,
        *,
        age: timedelta | int = _NOW,
        last_seen: timedelta | int | None = None,
        generation: int = 0,
        confirmed: timedelta | int | None = None,
        refreshed: timedelta | int | None = None,
        is_settled: bool = True,
        caught_up: bool = False,
        remember_me: bool = True,
        ended: EndReason | str | None = None,
        address: str | None = "127.0.0.1",
        user_agent: str | None = None,
        method: str | None = None,
        amr: Sequence[str] = (),
        acr: str | None = None,
        auth_time: timedelta | int | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> SignIn:
        """Make a session as if the user had signed in ``age`` ago and done nothing but rotate.

        ``user`` is whatever ``find_user`` takes; without one a new user is made. ``age`` and
        the other times (all of them ago) are a ``timedelta`` or whole seconds. ``ended``: why
        the session ended just now. Limits on the number of sessions are not applied.

        ``generation``: how often the token was rotated; the answer's ``token`` is of this
        generation, and of the stored branch. ``confirmed``: when this generation was (without
        it at the sign-in), which is when the session was refreshed last, if that was due, and
        seen; ``refreshed`` and ``last_seen`` say otherwise. ``is_settled``: whether it is
        decided which sibling the browser kept. ``caught_up``: a catch-up has taken over.
        ``method``, ``amr``, ``acr`` and ``auth_time`` (ago) are what is known of the sign-in.
        Raises ``ValueError`` for what can't be, such as a confirmation before the sign-in.
        """
        manager, config = self._manager, self._manager.config
        reason = None if ended is None else end_reason(ended)
        if isinstance(generation, bool) or not isinstance(generation, int) or generation < 0:
            raise ValueError(
                f"generation is {generation!r}; it counts how often the token was rotated, from 0"
            )
        if not generation and (caught_up or not is_settled):
            raise ValueError(
                "generation is 0, and a session whose token was never rotated is settled; give "
                "generation=1, say"
            )
        if refreshed is not None and not remember_me:
            raise ValueError(
                f"refreshed is {refreshed!r}, but a session that is not remembered never is; "
                "leave it out"
            )
        now_ms = manager.clock.now_ms()
        signed_in_at_ms = now_ms - ms_from_duration(age)

        def instant(name: str, ago: timedelta | int | None, default_ms: int) -> int:
            at_ms = default_ms if ago is None else now_ms - ms_from_duration(ago)
            if at_ms < signed_in_at_ms:
                raise ValueError(
                    f"{name} is {ago!r} ago and the sign-in (age) {age!r}, so it would have been "
                    "before it; give a shorter one, or a higher age"
                )
            return at_ms

        confirmed_at_ms = instant("confirmed", confirmed, signed_in_at_ms)
        is_refreshed = remember_me and confirmed_at_ms - signed_in_at_ms >= config.update_age_ms
        refreshed_at_ms = instant(
            "refreshed", refreshed, confirmed_at_ms if is_refreshed else signed_in_at_ms
        )
        seen_at_ms = max(confirmed_at_ms, refreshed_at_ms)
        if last_seen is not None:
            seen_at_ms = max(signed_in_at_ms, now_ms - ms_from_duration(last_seen))
        found = self.make_user() if user is None else self.find_user(user)
        agent = None if user_agent is None else find_user_agent(user_agent)
        facts = RequestFacts(address, agent, is_https=True, method="POST", path="/")
        text = json.dumps(dict(data or {}), separators=(",", ":"), sort_keys=True)
        record, token = manager.parts.creation.make_record(
            found.id,
            facts=facts,
            remember=remember_me,
            data=text,
            authentication=Authentication.by_application(method, amr)._replace(
                acr=acr,
                auth_time_ms=None if auth_time is None else now_ms - ms_from_duration(auth_time),
            ),
        )
        record = record._replace(
            generation=generation,
            branch_before=new_branch() if generation else None,
            is_settled=is_settled,
            caught_up=caught_up,
            confirmed_at_ms=confirmed_at_ms,
            created_at_ms=signed_in_at_ms,
            authenticated_at_ms=signed_in_at_ms,
            updated_at_ms=max(confirmed_at_ms, refreshed_at_ms),
            last_seen_at_ms=seen_at_ms,
        )
        expires_at_ms = first_expiry_ms(now_ms=refreshed_at_ms, remember=remember_me, config=config)
        limit_ms = absolute_end_ms(record, config=config)
        record = record._replace(
            expires_at_ms=expires_at_ms if limit_ms is None else min(expires_at_ms, limit_ms)
        )
        self._store.sessions.insert(record)
        if generation:
            token = self.token_of(token, generation=generation, branch=record.branch)
        if reason is not None:
            self._store.session_ends.end(record.id, reason=reason, now_ms=now_ms)
        session = manager.parts.validator.to_session(record, found.record, now_ms=now_ms)
        return SignIn(found, session, token)

    def token_of(
        self, token: str, *, generation: int, branch: str | None = None, is_catch_up: bool = False
    ) -> str:
        """Return another token of the same session, properly signed.

        Without ``branch`` (8 characters) of a new one: a sibling, where ``generation`` is the
        session's. ``is_catch_up``: of a branch as a browser gets it whose jar went back.
        """
        presented = self._manager.parts.signer.read(token)
        if presented is None:
            raise ValueError("this is not a token of the manager's, or its secret has changed")
        if branch is None:
            branch = new_branch(is_catch_up=is_catch_up)
        return self._manager.parts.signer.write(presented.secret, generation, branch)

    def token_before(self, token: str) -> str:
        """Return what the browser held before a session's token was rotated last.

        A sibling of it is ``token_of`` with one generation less. Raises ``ValueError`` where
        nothing was rotated yet, or the session is not there.
        """
        presented = self._manager.parts.signer.read(token)
        found = None if presented is None else self._store.sessions.find(presented.session_id)
        if found is None or not found[0].generation:
            raise ValueError("this is no token of a session here that was rotated once at least")
        record = found[0]
        return self.token_of(token, generation=record.generation - 1, branch=record.branch_before)
