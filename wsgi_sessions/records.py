"""The values that modules pass to each other: records, facts of a request, decisions.

Those that a validated request makes are named tuples: a row becomes one without a loop over its
fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple, NoReturn


def refuse_to_pickle(self: object) -> NoReturn:
    """Raise ``TypeError``, as the ``__reduce__`` of what holds a secret.

    Pickles end up in caches, queues and crash reports.
    """
    raise TypeError(
        f"{type(self).__name__} holds a secret, so it can't be pickled; hand on what it was "
        "made from, or the id of a session"
    )


class Unset(Enum):
    """The type of ``UNSET``, which stands for an argument that was not given."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


class EndReason(str, Enum):
    """Why a session is over; the value is what the ``session`` table stores."""

    SIGNED_OUT = "signed_out"
    REVOKED = "revoked"
    EXPIRED = "expired"
    IDLE = "idle"
    ABSOLUTE = "absolute"
    EVICTED = "evicted"
    REPLAYED = "replayed"
    IP_MISMATCH = "ip_mismatch"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    USER_DELETED = "user_deleted"

    def __str__(self) -> str:
        return self.value


class Outcome(Enum):
    """What ``judge`` found a presented token to be."""

    UNKNOWN = "unknown"
    ENDED = "ended"
    EXPIRED = "expired"
    IP_MISMATCH = "ip_mismatch"
    CONFIRM = "confirm"
    """A later generation than the stored one: what was offered has arrived."""
    CURRENT = "current"
    SETTLE = "settle"
    """The first after the window: this is the sibling that the browser kept."""
    GRACE = "grace"
    """The token before, or a sibling, from a request that was under way."""
    LATE = "late"
    """As ``GRACE``, with a body that took longer."""
    CATCH_UP = "catch_up"
    """The token before, from a browser whose jar went back to what was on disk."""
    TAKE_OVER = "take_over"
    """What a browser was given to catch up has arrived."""
    REPLAY = "replay"


class SessionRecord(NamedTuple):
    """One row of the ``session`` table; instants are epoch milliseconds, UTC.

    ``branch`` is that of the token that counts, ``branch_before`` that of the one that was
    settled before it (None: not known), ``is_settled`` whether it is decided which sibling the
    browser kept, and ``caught_up`` whether a catch-up has taken over.
    ``data`` is the JSON text of the session data (``"{}"`` when empty) and stays unread
    until somebody asks. ``user_id`` is None for an anonymous session.
    """

    id: str
    user_id: Any
    generation: int
    branch: str
    branch_before: str | None
    is_settled: bool
    caught_up: bool
    confirmed_at_ms: int
    created_at_ms: int
    authenticated_at_ms: int
    updated_at_ms: int
    last_seen_at_ms: int
    expires_at_ms: int
    remember: bool
    ip_address: str | None
    user_agent: str | None
    data: str
    data_version: int
    ended_at_ms: int | None
    end_reason: str | None

    def __repr__(self) -> str:
        ended = f", ended={self.end_reason}" if self.ended_at_ms is not None else ""
        return (
            f"SessionRecord(id={self.id!r}, user_id={self.user_id!r}, "
            f"generation={self.generation}{ended})"
        )


class UserRecord(NamedTuple):
    """Who a session belongs to; ``id`` has the type of the user table's primary key."""

    id: Any
    email: str | None
    email_verified: bool
    name: str | None
    image: str | None
    created_at_ms: int
    updated_at_ms: int

    def __repr__(self) -> str:
        return f"UserRecord(id={self.id!r})"


class Account(NamedTuple):
    """One way for a user to sign in; ``provider_id`` is ``"credential"`` for a password."""

    id: str
    user_id: Any
    provider_id: str
    account_id: str
    password_hash: str | None

    def __repr__(self) -> str:
        return f"Account(id={self.id!r}, provider_id={self.provider_id!r})"


_FIRST_BIT_CLEAR = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef")
"""What a branch begins with, in base64url, whose first bit is 0."""


class PresentedToken(NamedTuple):
    """A session token with a valid signature; it gives access, so never show it."""

    session_id: str
    generation: int
    branch: str
    secret: bytes
    text: str
    is_signed_by_newest: bool

    @property
    def is_catch_up(self) -> bool:
        """Whether it was made for a browser that came with the token before (first bit set)."""
        return self.branch[0] not in _FIRST_BIT_CLEAR

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)

    def __repr__(self) -> str:
        return f"PresentedToken(session_id={self.session_id!r}, generation={self.generation})"


class RequestFacts(NamedTuple):
    """What is known of a request, by what trusted proxies say where there are any.

    ``address`` is the client's IP address in its normal form, or None when the server gave
    none (a unix socket). ``user_agent`` is cut to 512 characters. ``has_long_body``: the request
    may have been sent minutes ago, because its body took that long.
    """

    address: str | None
    user_agent: str | None
    is_https: bool
    method: str
    path: str
    has_long_body: bool = False


NO_FACTS: Final = RequestFacts(None, None, is_https=True, method="GET", path="/")
"""Of what is no request, such as a script."""


class ReadOptions(NamedTuple):
    """How a request wants its session read."""

    authoritative: bool = False
    """Go past the cookie cache."""
    allow_refresh: bool = True
    """Refresh, touch, confirm, settle and offer when due; False reads only, and ends nothing."""
    knows_address: bool = True
    """False where nothing tells the client's address, so that it can't be held to one."""
    is_change: bool = False
    """The session is about to be replaced or ended: a replay ends it even without refresh."""


class Change(NamedTuple):
    """The new values of a live session's row, written by compare-and-set, all or none."""

    generation: int
    branch: str
    branch_before: str | None
    is_settled: bool
    caught_up: bool
    confirmed_at_ms: int
    updated_at_ms: int
    last_seen_at_ms: int
    expires_at_ms: int
    may_fail: bool
    """Losing the write loses nothing, as the next request makes it: a touch, or a settling."""
    authenticated_at_ms: int
    """Another instant only where a clock was ahead when it was written."""

    def applied_to(self, record: SessionRecord) -> SessionRecord:
        values = self._asdict()
        del values["may_fail"]
        return record._replace(**values)


class Offer(NamedTuple):
    """A token to set as a cookie; ``branch`` None: a new one, marked if ``is_catch_up``."""

    generation: int
    branch: str | None = None
    is_catch_up: bool = False


class Decision(NamedTuple):
    """What should happen to a session and to the request that presented it.

    ``is_accepted``: the request acts as this session. ``change``: write it first.
    ``end_reason``: why the session is over; ``must_end`` says the row has to be marked so.
    ``offer``: the token to set as a cookie (the next, or the presented one again), or None.
    """

    outcome: Outcome
    is_accepted: bool
    change: Change | None = None
    offer: Offer | None = None
    end_reason: EndReason | None = None
    must_end: bool = False


class FeedPage(NamedTuple):
    """What one statement returns of the revocation feed and of the database itself.

    ``rows``: a session id, or None and the instant before which every session has ended, and
    when the row was written. ``database_secret`` is None until somebody has made it;
    ``database_now_ms`` is what the server's clock says, None where the database has no clock
    of its own (SQLite) or no secret yet.
    """

    rows: list[tuple[str | None, int | None, int]]
    database_secret: str | None
    database_now_ms: int | None

    def __repr__(self) -> str:
        return f"FeedPage(<{len(self.rows)} rows>)"


@dataclass(frozen=True, slots=True)
class CachedCopy:
    """What the ``session_data`` cookie holds, its signature checked."""

    session: SessionRecord = field(repr=False)
    user: UserRecord | None = field(repr=False)
    issued_at_ms: int
    ends_at_ms: int
