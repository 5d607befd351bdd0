"""``UserRules``: visitors with data, several users, and whose sessions each of them can end."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from ..fakes.managers import sibling
from .base import KEYS
from .checks import MachineChecks
from .reference_model import ReferenceSession
from .rules import rule

EMAILS = ("ada@example.org", "bob@example.org")


class UserRules(MachineChecks):
    """What users do to their own sessions and to those of others."""

    def sign_in(self, which: int, who: str, remember: int) -> None:
        """Sign a browser in; ``SessionMachine`` has the rule."""
        raise NotImplementedError

    @rule(key=st.sampled_from(KEYS))
    def put_data(self, which: int, worker: int, key: str) -> None:
        """Write session data; a visitor gets a session by it."""
        browser = self._browser_at(which, worker)

        def put(handle: Any) -> None:
            items = handle.start_anonymous_session().data.setdefault(key, [])
            items.append(len(items))

        if self._text_in(browser) is None:
            browser._with_handle("put data", put)
            held = self._held(browser)
            assert held is not None, self._explain("a visitor's data brought no cookie")
        else:
            held = self._held(browser)
            session = self._reference(held)
            seen = self._look(self.browsers[which], worker, put)
            if held is None or session is None or seen is None:
                return
            if session.end_reason is not None or session.is_user_gone:
                return  # the request came from a copy, which can't know that
        self._note_item(held.session_id, key)
        self._compare_rows()

    @rule(who=st.sampled_from(EMAILS))
    def come_as_visitor(self, which: int, who: str, forgets: bool) -> None:
        """Write data before a sign-in, in an empty browser or in that of an earlier user."""
        if forgets:
            self.browsers[which].cookies.clear()
        self.put_data(which, 0, KEYS[0])
        self.sign_in(which, who, 1)
        self.put_data(which, 0, KEYS[1])

    @rule()
    def try_anothers_session(self, which: int, whose: int, worker: int) -> None:
        """Try to end the session of somebody else by its id."""
        if which == whose:
            return
        for seat, who in ((whose, EMAILS[1]), (which, EMAILS[0])):
            session = self._session_in(self.browsers[seat])
            user = self.bench.factories.find_or_make_user(who)
            if session is None or session.user_id != user.id or not self._is_live(session):
                self.sign_in(seat, who, 1)
        victim = self._held(self.browsers[whose])
        if victim is None:
            return
        ended: list[bool] = []

        def revoke(handle: Any) -> None:
            ended.append(handle.revoke_session(victim.session_id))

        self._look(self.browsers[which], worker, revoke)
        assert not any(ended), self._explain("somebody ended the session of another user")

    @rule()
    def sign_out_elsewhere(self, which: int, worker: int, is_everywhere: bool) -> None:
        """End all other sessions of a user, or all of them."""
        self._be_signed_in(which)
        session = self._session_in(self.browsers[which])
        name = "revoke_all_sessions" if is_everywhere else "revoke_other_sessions"
        acted: list[Any] = []

        def act(handle: Any) -> None:
            if handle.user is not None:
                acted.append(getattr(handle, name)())

        self._look(self.browsers[which], worker, act, leaves=is_everywhere)
        if session is None or not acted or session.end_reason is not None:
            return
        theirs = self._sessions_of(session.user_id)
        kept = None if is_everywhere else session
        self._note_ends("revoked", [one for one in theirs if one is not kept])

    @rule()
    def delete_user(self, whose: int, by_app: bool, worker: int) -> None:
        """Delete a user, by the product or by the app alone; nobody is let in as them."""
        self._be_signed_in(whose)
        session = self._session_in(self.browsers[whose])
        if session is None or session.user_id is None or not self._is_live(session):
            return
        theirs = self._sessions_of(session.user_id)
        manager = self.bench.manager
        if by_app:
            if manager.parts.models.has_own_user:
                return
            user = manager.parts.models.user
            manager.parts.connections.run(user.delete().where(user.id == session.user_id).execute)
            for one in theirs:
                one.is_user_gone = True
        else:
            manager.delete_user(session.user_id)
            self._note_ends("user_deleted", theirs)
        self._advance(self.config.revocation_lag_ms)
        self._look(self.browsers[whose], worker)

    @rule()
    def end_everything(self, which: int, worker: int) -> None:
        """End every session, and use one when each process must know."""
        self._be_signed_in(which)
        self._look(self.browsers[which], worker)
        sibling(self.bench.manager).revoke_everything()
        self._note_ends("revoked", list(self.sessions.values()))
        self._advance(self.config.revocation_lag_ms)
        self._look(self.browsers[which], worker)

    @precondition(lambda self: self.sessions)
    @rule()
    def purge(self, whose: int, worker: int, is_ending: bool) -> None:
        """Clean up, in some cases right after another process has ended a session."""
        session = self._session_in(self.browsers[whose])
        if is_ending and session is not None and self._is_live(session):
            self._look(self.browsers[whose], worker)
            sibling(self.bench.manager).revoke_session(session.id)
            self._note_ends("revoked", [session])
        self.bench.manager.purge()
        self._advance(self.config.revocation_lag_ms)
        self._look(self.browsers[whose], worker)

    def _note_end_of_gone(self, session: ReferenceSession) -> None:
        """Copy from the row how a session ended whose user's row is gone.

        There may be no row: a cookie without Max-Age can outlive the session and its record.
        """
        row = self._row_unless_purged(session)
        if row is not None and row.end_reason is not None:
            session.end(str(row.end_reason), self.clock.now_ms())

    def _note_ends(self, reason: str, sessions: list[ReferenceSession]) -> None:
        """Check in the rows what was ended just now, and note it in the reference.

        A session past a limit may have been ended with the others, or not.
        """
        for session in sessions:
            if session.end_reason is not None:
                continue
            row = self._find_row(session.id)
            ended_as = None if row is None else row.end_reason
            if self._is_live(session):
                assert ended_as == reason, self._explain(
                    f"a session was to end as {reason}, and is {ended_as or 'live'}"
                )
            if ended_as is not None:
                session.end(str(ended_as), self.clock.now_ms())
