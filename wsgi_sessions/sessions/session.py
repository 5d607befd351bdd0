"""What applications hold: ``Session`` and ``User``, and ``SignIn``, the result of a sign-in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from typing import Any

from ..clock import datetime_from_ms
from ..config.settings import SessionConfig
from ..records import SessionRecord, UserRecord, refuse_to_pickle
from ..transport.devices import device_in_words
from .data import SessionData


@dataclass(slots=True, eq=False, repr=False)
class User:
    """The person a session belongs to.

    ``id`` is the primary key of the user table, in its own type; instants are aware, UTC.
    A name that the app's own user model does not map reads as None.
    """

    record: UserRecord

    @property
    def id(self) -> Any:
        return self.record.id

    @property
    def email(self) -> str | None:
        return self.record.email

    @property
    def email_verified(self) -> bool:
        return bool(self.record.email_verified)

    @property
    def name(self) -> str | None:
        return self.record.name

    @property
    def image(self) -> str | None:
        return self.record.image

    @property
    def created_at(self) -> datetime:
        return datetime_from_ms(self.record.created_at_ms)

    @property
    def updated_at(self) -> datetime:
        return datetime_from_ms(self.record.updated_at_ms)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, User) and other.record == self.record

    def __hash__(self) -> int:
        return hash(self.record.id)

    def __repr__(self) -> str:
        return f"User(id={self.record.id!r})"


@dataclass(slots=True, eq=False, repr=False)
class Session:
    """A live session: one browser or device, signed in as one user, or anonymous.

    ``id`` is public and gives no access: it may be shown, logged and used to revoke.
    """

    record: SessionRecord
    user: User | None
    _: KW_ONLY
    config: SessionConfig
    judged_at_ms: int
    open_data: Callable[[Session], SessionData] | None = None
    _data: SessionData | None = field(default=None, init=False)

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def user_id(self) -> Any:
        """The user's primary key, or None for an anonymous session."""
        return self.record.user_id

    @property
    def is_anonymous(self) -> bool:
        return self.record.user_id is None

    @property
    def generation(self) -> int:
        """How often the token of this session was rotated."""
        return self.record.generation

    @property
    def expires_at(self) -> datetime:
        return datetime_from_ms(self.record.expires_at_ms)

    @property
    def created_at(self) -> datetime:
        return datetime_from_ms(self.record.created_at_ms)

    @property
    def authenticated_at(self) -> datetime:
        """When the user last proved who they are."""
        return datetime_from_ms(self.record.authenticated_at_ms)

    @property
    def updated_at(self) -> datetime:
        """When the session was last refreshed or its token rotated."""
        return datetime_from_ms(self.record.updated_at_ms)

    @property
    def last_seen_at(self) -> datetime:
        """When the session was last used; up to ``touch_interval`` behind."""
        return datetime_from_ms(self.record.last_seen_at_ms)

    @property
    def ip_address(self) -> str | None:
        return self.record.ip_address

    @property
    def user_agent(self) -> str | None:
        return self.record.user_agent

    @property
    def device(self) -> str:
        """Browser and system by ``user_agent``, such as "Firefox on Linux"."""
        return device_in_words(self.record.user_agent)

    @property
    def is_remembered(self) -> bool:
        """Whether the session outlives the browser's closing (``remember_me``)."""
        return bool(self.record.remember)

    @property
    def is_fresh(self) -> bool:
        """Whether the last authentication is younger than ``fresh_age``.

        False if it lies in the future by more than clocks may differ: that clock was wrong.
        """
        age_ms, config = self.judged_at_ms - self.record.authenticated_at_ms, self.config
        return not self.is_anonymous and -config.clock_difference_ms <= age_ms < config.fresh_age_ms

    @property
    def data(self) -> SessionData:
        """The session's own mapping of JSON values.

        Changes are stored with the response of the request that handed the session out; of a
        session from ``SessionManager`` it is a copy to read.
        """
        if self._data is None:
            if self.open_data is None:
                self._data = SessionData((self.record.data, self.record.data_version))
            else:
                self._data = self.open_data(self)
        return self._data

    def __repr__(self) -> str:
        return f"Session(id={self.record.id!r}, user_id={self.record.user_id!r})"


@dataclass(frozen=True, slots=True)
class SignIn:
    """The result of a sign-in.

    ``session`` and ``token`` are None after a sign-up with ``auto_sign_in=False``. ``token``
    is what the cookie carries: it gives access, so give it to the browser and to nobody else.
    """

    user: User
    session: Session | None
    token: str | None = field(default=None, repr=False)

    __reduce__ = refuse_to_pickle
