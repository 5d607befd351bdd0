"""The values that modules pass to each other: records, facts of a request, decisions.

They are named tuples: a row becomes one without a loop over its fields. The annotations are no
texts here: ``NamedTuple`` would compile each of them when this is imported.
"""

import json
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final, Literal, NamedTuple, NoReturn, TypeAlias


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


MailKind = Literal[
    "reset-password",
    "verify-email",
    "change-email",
    "password-changed",
    "email-changed",
    "sign-up-attempt",
]
"""What a mail is for; the first three carry a link."""


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


class Outcome(str, Enum):
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
    until somebody asks. ``user_id`` is None for an anonymous session. ``last_ip_address`` and
    ``last_user_agent`` are those of the last touch, None before the first. ``authentication`` is
    the JSON text of ``Authentication`` (empty: nothing is known), and ``provider_sid`` a digest of
    the provider's session, by which the provider ends ours.
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
    last_ip_address: str | None = None
    last_user_agent: str | None = None
    authentication: str = ""
    provider_sid: str | None = None

    def __repr__(self) -> str:
        ended = f", ended={self.end_reason}" if self.ended_at_ms is not None else ""
        return (
            f"SessionRecord(id={self.id!r}, user_id={self.user_id!r}, "
            f"generation={self.generation}{ended})"
        )


MAX_METHODS = 8
MAX_METHOD_CHARACTERS = 32
"""What ``amr`` may hold: with both bounded, the ``session`` table has room."""


class Authentication(NamedTuple):
    """How somebody proved who they are, as far as anybody said.

    ``method`` is ``"password"``, the name of a provider, or the application's own word. ``amr``,
    ``acr`` and ``auth_time_ms`` are what the provider told (OpenID Connect Core, section 2).
    """

    method: str | None = None
    amr: tuple[str, ...] = ()
    acr: str | None = None
    auth_time_ms: int | None = None

    @classmethod
    def by_application(cls, method: str | None, amr: Sequence[str] = ()) -> "Authentication":
        """Return what an application says of a sign-in; ``ValueError`` for what is no name."""
        if isinstance(amr, str) or len(amr) > MAX_METHODS:
            raise ValueError(f"amr is {amr!r}; give a list of at most {MAX_METHODS} names")
        method_names = [] if method is None else [(method, 64)]
        for name, length in [*method_names, *((each, MAX_METHOD_CHARACTERS) for each in amr)]:
            if not is_name(name, max_length=length):
                raise ValueError(
                    f"{name!r} is no name of a method; give up to {length} printable ASCII "
                    "characters"
                )
        return cls(method, tuple(amr))

    def to_json(self) -> str:
        """Return the JSON text that the ``session`` table keeps; what is not known is left out.

        >>> Authentication("google", amr=("pwd", "otp")).to_json()
        '{"method":"google","amr":["pwd","otp"]}'
        """
        known = {name: value for name, value in self._asdict().items() if value not in (None, ())}
        return json.dumps(known, separators=(",", ":")) if known else ""

    @classmethod
    def from_json(cls, text: str) -> "Authentication":
        """
        >>> Authentication.from_json('{"method":"google","amr":["pwd","otp"]}')
        Authentication(method='google', amr=('pwd', 'otp'), acr=None, auth_time_ms=None)
        """
        known = json.loads(text) if text else {}
        return cls(**{**known, "amr": tuple(known.get("amr", ()))})


def is_name(text: object, *, max_length: int) -> bool:
    """Return whether this is a registered name, a URI or the like: printable ASCII."""
    return (
        isinstance(text, str)
        and 0 < len(text) <= max_length
        and text.isascii()
        and text.isprintable()
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


class OneTimeToken(NamedTuple):
    """A row of the ``one_time_token`` table: what a token that works once is good for.

    The table keeps a ``digest`` of the token alone. ``value`` is what belongs to the purpose,
    such as a new e-mail address; ``used_at_ms`` is None until the token was used.
    """

    digest: str
    purpose: str
    user_id: Any
    value: str | None
    created_at_ms: int
    expires_at_ms: int
    used_at_ms: int | None = None

    def __repr__(self) -> str:
        return f"OneTimeToken(purpose={self.purpose!r}, user_id={self.user_id!r})"


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

    For the throttle alone: ``device_cookies`` are the values that the browser sent, and
    ``session_id`` is that of the live session whose user is asked for their password.
    ``nonce_keys`` are what the browser sent to show that a nonce is its own.
    """

    address: str | None
    user_agent: str | None
    is_https: bool
    method: str
    path: str
    has_long_body: bool = False
    device_cookies: tuple[str, ...] = ()
    session_id: str | None = None
    nonce_keys: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return (
            f"RequestFacts(address={self.address!r}, is_https={self.is_https!r}, "
            f"method={self.method!r}, path={self.path!r})"
        )


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
    last_ip_address: str | None = None
    last_user_agent: str | None = None

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


FeedRow: TypeAlias = tuple[str | None, int | None, int, int]
"""A session id, or None and the instant before which every session has ended; when the row was
written; its id."""


class FeedPage(NamedTuple):
    """What one statement returns of the revocation feed and of the database itself.

    ``row_count`` is how many rows there are of the time that was asked for, also beyond a limit.
    ``database_secret`` is None until somebody has made it, and the count with it;
    ``database_now_ms`` is what the server's clock says, None where the database has no clock
    of its own (SQLite) or no secret yet.
    """

    rows: list[FeedRow]
    row_count: int | None
    database_secret: str | None
    database_now_ms: int | None

    def __repr__(self) -> str:
        return f"FeedPage(<{len(self.rows)} rows>)"


class CachedCopy(NamedTuple):
    """What the ``session_data`` cookie holds, its signature checked."""

    session: SessionRecord
    user: UserRecord | None
    issued_at_ms: int
    ends_at_ms: int

    def __repr__(self) -> str:
        return f"CachedCopy(issued_at_ms={self.issued_at_ms}, ends_at_ms={self.ends_at_ms})"
