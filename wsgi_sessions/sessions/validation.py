"""From presented cookies to a live session: a cached copy, or look up, judge, compare and set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..clock import Clock
from ..config.settings import SessionConfig
from ..errors import StoreUnavailableError
from ..events import Events
from ..light_dataclasses import dataclass
from ..records import (
    Change,
    Decision,
    EndReason,
    Offer,
    Outcome,
    PresentedToken,
    ReadOptions,
    RequestFacts,
    SessionRecord,
    UserRecord,
)
from ..storage.sessions import FoundSession
from ..storage.store import Store
from ..transport.cookies import PresentedCookies, Siblings, newest_of_each_session
from .database_clock import ClockCheck
from .places import find_move
from .policy import judge, put_clock_right
from .presented_copies import PresentedCopies
from .revocation_feed import RevocationFeed
from .session import Here, Session, User
from .undisturbed import is_undisturbed

if TYPE_CHECKING:
    from .audit_trail import AuditTrail

_MAX_JUDGEMENTS = 10
_NEEDS_FEED = frozenset({EndReason.REPLAYED, EndReason.IP_MISMATCH, EndReason.USER_DELETED})
"""All other reasons here are limits of the session, which its copies have, too."""
_ONLY_REFUSED = frozenset({Outcome.REPLAY, Outcome.IP_MISMATCH})


class Validation(NamedTuple):
    """The result for a request's cookies; ``session`` is None for a visitor.

    ``token`` is None beside a session from a cached copy: the database was not asked. ``offer``
    is the token to set as a cookie, or None. ``may_be_copied``: the token is the one that counts,
    and settled, so a copy may be made. ``is_hidden``: a well-signed token was refused whose
    session may live on, in ``elsewhere_id`` if it was for its address.
    """

    now_ms: int
    session: SessionRecord | None = None
    user: UserRecord | None = None
    token: PresentedToken | None = None
    offer: Offer | None = None
    end_reason: EndReason | None = None
    may_be_copied: bool = False
    is_hidden: bool = False
    elsewhere_id: str | None = None


@dataclass(eq=False, kw_only=True)
class Validator:
    store: Store
    copies: PresentedCopies
    feed: RevocationFeed
    events: Events
    clock: Clock
    clock_check: ClockCheck
    config: SessionConfig
    audit: AuditTrail | None = None

    def validate(
        self,
        presented: PresentedCookies,
        *,
        facts: Callable[[], RequestFacts],
        options: ReadOptions,
    ) -> Validation:
        """Find the session that the presented cookies stand for and do what is due to it.

        ``facts`` is called where they matter, which most requests do not need.
        Raises ``StoreUnavailableError`` when the database must be asked and does not answer.
        """
        now_ms = self.clock.now_ms()
        may_use_copy = self.config.cookie_cache.enabled and not options.authoritative
        if (
            presented.cached_texts
            and may_use_copy
            and (not presented.token_texts[1:] or _is_of_one_session(presented))
        ):
            copy = self.copies.find(presented, facts=facts, options=options, now_ms=now_ms)
            if copy is not None:
                return Validation(now_ms, copy.session, copy.user)
        tokens = presented.tokens
        if len(tokens) != 1:
            if presented.token_texts and not tokens:
                sender = facts()
                self.events.emit(
                    "cookie_refused",
                    address=sender.address,
                    user_agent=sender.user_agent,
                    details={"cookie": "token"},
                )
            return self._from_several(tokens, facts=facts(), options=options, now_ms=now_ms)
        (token,) = tokens
        found = self._find(token)
        if found is not None:
            record, user = found
            if (user is not None or record.user_id is None) and is_undisturbed(
                record, token, now_ms=now_ms, config=self.config
            ):
                return Validation(now_ms, record, user, token, may_be_copied=True)
        return self._judged(tokens, found, facts=facts(), options=options, now_ms=now_ms)

    def _find(self, token: PresentedToken, *, anew: bool = False) -> FoundSession | None:
        """Read a session; ``anew``, it has changed since it was read before."""
        find = self.store.sessions.find
        found = find(token.session_id, anew=True) if anew else find(token.session_id)
        outages = self.events.outages
        if outages is not None and outages.is_away:
            outages.end()
        return found

    def _from_several(
        self, presented: Siblings, *, facts: RequestFacts, options: ReadOptions, now_ms: int
    ) -> Validation:
        """Return the first live session of those whose tokens a browser presents."""
        refused = Validation(now_ms)
        sessions = newest_of_each_session(presented)
        for position, tokens in enumerate(sessions, start=1):
            found = self._judged(
                tokens,
                self._find(tokens[0]),
                facts=facts,
                options=options,
                now_ms=now_ms,
            )
            if found.session is not None:
                if position < len(sessions):
                    self._report_others(found, sessions[position:], facts=facts, options=options)
                return found
            refused = refused._replace(
                end_reason=refused.end_reason or found.end_reason,
                is_hidden=refused.is_hidden or found.is_hidden,
                elsewhere_id=refused.elsewhere_id or found.elsewhere_id,
            )
        return refused

    def to_session(
        self,
        record: SessionRecord,
        user: UserRecord | None,
        *,
        now_ms: int,
        here: Here | None = None,
    ) -> Session:
        """Return a record as the ``Session`` that applications hold, as it was at an instant."""
        return Session(
            record,
            None if user is None else User(user, record.authentication),
            config=self.config,
            judged_at_ms=now_ms,
            here=here,
        )

    def _judged(
        self,
        tokens: Siblings,
        found: FoundSession | None,
        *,
        facts: RequestFacts,
        options: ReadOptions,
        now_ms: int,
    ) -> Validation:
        """Judge a session by the tokens presented for it, and do what follows from that."""
        address = facts.address
        before: object = None
        token = tokens[0]
        for attempt in range(_MAX_JUDGEMENTS):
            if attempt:
                found = self._find(token, anew=True)
            # Somebody was faster, and the application's transaction does not see with what.
            is_unseen = (
                found is not None and found == before and self.store.is_within_app_transaction
            )
            before = found
            record, user = (None, None) if found is None else found
            if record is not None and not options.knows_address:
                address = record.ip_address
            judged = None if record is None else self._put_right(record, now_ms=now_ms)
            if len(tokens) > 1:
                token = of_stored_branch(tokens, record)
            decision = judge(
                judged,
                token,
                now_ms=now_ms,
                address=address,
                user_agent=facts.user_agent,
                config=self.config,
                has_long_body=facts.has_long_body,
                allow_refresh=options.allow_refresh,
                is_user_missing=(
                    record is not None and user is None and record.user_id is not None
                ),
                must_write=judged is not record,
            )
            if record is None:
                return Validation(now_ms)
            # What is old may let somebody in, but refuses nobody.
            if not (decision.is_accepted or attempt) and self.store.is_lagging:
                before = None
                continue
            if decision.is_accepted and is_unseen:
                return Validation(now_ms, record, user, token)
            if decision.is_accepted:
                stored: SessionRecord | None = record
                if decision.change is not None:
                    stored = self._apply(record, decision, decision.change, address=address)
                if stored is None:
                    continue
                is_settled = bool(stored.is_settled)
                # If the write that settles was lost, nothing is offered yet.
                offer = decision.offer if is_settled or not _settles(decision) else None
                is_newest = token.branch == stored.branch and token.generation == stored.generation
                return Validation(
                    now_ms,
                    stored,
                    user,
                    token,
                    offer,
                    may_be_copied=is_settled and offer is None and is_newest,
                )
            # A reader ends nothing: it may be in a stream that began long ago.
            is_reader = not (options.allow_refresh or options.is_change)
            is_over = decision.outcome not in _ONLY_REFUSED
            if not is_reader:
                if not (is_unseen or self._refuse(record, decision, facts=facts, now_ms=now_ms)):
                    continue
                is_over = is_over or decision.must_end
            is_elsewhere = not is_over and decision.outcome is Outcome.IP_MISMATCH
            return Validation(
                now_ms,
                end_reason=decision.end_reason if is_over else None,
                is_hidden=not is_over,
                elsewhere_id=record.id if is_elsewhere else None,
            )
        raise StoreUnavailableError(
            f"session {token.session_id} changed {_MAX_JUDGEMENTS} times while it was judged; "
            "try again"
        )

    def _report_others(
        self,
        found: Validation,
        others: Sequence[Siblings],
        *,
        facts: RequestFacts,
        options: ReadOptions,
    ) -> None:
        """Report every other live session whose token the request brought.

        Nothing is done to them, and a failure of the database does not fail the request.
        """
        assert found.session is not None
        for tokens in others:
            try:
                other = self.store.sessions.find(tokens[0].session_id)
            except StoreUnavailableError:
                return
            if other is None or (other[1] is None and other[0].user_id is not None):
                continue
            decision = judge(
                other[0],
                of_stored_branch(tokens, other[0]),
                now_ms=found.now_ms,
                address=facts.address if options.knows_address else other[0].ip_address,
                config=self.config,
                has_long_body=facts.has_long_body,
                allow_refresh=False,
            )
            if decision.is_accepted:
                self.events.emit(
                    "two_sessions_presented",
                    session_id=found.session.id,
                    user_id=found.session.user_id,
                    address=facts.address,
                    details={"other_session_id": tokens[0].session_id},
                )

    def _put_right(self, record: SessionRecord, *, now_ms: int) -> SessionRecord:
        """Return a record with what a clock that was ahead wrote put right, if ours is right."""
        judged = put_clock_right(record, now_ms=now_ms, config=self.config)
        if judged is record:
            return record
        if not self.clock_check.is_needed:
            return judged
        asked_at_ms = self.clock.now_ms()
        try:
            said_ms = self.store.clock.read_ms()
        except StoreUnavailableError:
            return record
        return judged if self.clock_check.is_right(said_ms, asked_at_ms=asked_at_ms) else record

    def _apply(
        self, record: SessionRecord, decision: Decision, change: Change, *, address: str | None
    ) -> SessionRecord | None:
        """Write the change of an accepted request; return the row as it is then.

        The record as it was if the write may fail and did; None if the row has changed meanwhile.
        """
        try:
            is_written = self.store.sessions.apply(record, change)
        except StoreUnavailableError:
            if not change.may_fail:
                raise
            return record
        if not is_written:
            # It does no harm if another request's touch came first.
            return None if _settles(decision) or not change.may_fail else record
        about = {"session_id": record.id, "user_id": record.user_id, "address": address}
        if change.generation != record.generation:
            self.events.emit("session_rotated", **about, details={"generation": change.generation})
        if change.expires_at_ms != record.expires_at_ms:
            self.events.emit("session_refreshed", **about)
        stored = change.applied_to(record)
        move = find_move(record, stored, config=self.config)
        if move is not None:
            self.events.emit("session_moved", **about, details=move)
        return stored

    def _refuse(
        self, record: SessionRecord, decision: Decision, *, facts: RequestFacts, now_ms: int
    ) -> bool:
        """End the session if the decision says so; False if the row has changed meanwhile."""
        reason = decision.end_reason
        if decision.must_end and reason is not None:
            if not self._end(record, reason, facts=facts, now_ms=now_ms):
                return False
            self.feed.invalidate()
        about = {"session_id": record.id, "user_id": record.user_id, "address": facts.address}
        if decision.outcome is Outcome.REPLAY:
            self.events.emit("session_replayed", **about, user_agent=facts.user_agent)
        elif decision.outcome is Outcome.IP_MISMATCH:
            self.events.emit("ip_mismatch", **about, user_agent=facts.user_agent)
        if decision.must_end:
            self.events.emit("session_ended", **about, reason=reason)
        return True

    def _end(
        self, record: SessionRecord, reason: EndReason, *, facts: RequestFacts, now_ms: int
    ) -> bool:
        def end() -> bool:
            has_ended = self.store.session_ends.end(
                record.id,
                reason=reason,
                now_ms=now_ms,
                judged=record,
                with_feed=reason in _NEEDS_FEED,
            )
            if has_ended and self.audit is not None:
                whose = record.user_id
                self.audit.tell_ends([record.id], reason=reason, facts=facts, user_id=whose)
            return has_ended

        return end() if self.audit is None else self.store.atomically(end)


def _settles(decision: Decision) -> bool:
    return decision.outcome is Outcome.SETTLE


def _is_of_one_session(presented: PresentedCookies) -> bool:
    """Return whether a copy may decide: of several sessions only the database says which counts."""
    return len(newest_of_each_session(presented.tokens)) < 2


def of_stored_branch(tokens: Siblings, record: SessionRecord | None) -> PresentedToken:
    """Return the sibling that counts, if it is among those presented, else the first."""
    first, *others = tokens
    if record is not None and first.branch != record.branch:
        for token in others:
            if token.branch == record.branch:
                return token
    return first
