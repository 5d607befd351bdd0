"""What applications hold: ``Session`` and ``User``, and ``SignIn``, the result of a sign-in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from ..clock import datetime_from_ms, ms_from_duration
from ..config.settings import SessionConfig
from ..light_dataclasses import dataclass
from ..records import Authentication, RequestFacts, SessionRecord, UserRecord, refuse_to_pickle
from ..transport.devices import device_in_words
from .data import SessionData
from .places import Place, home_of, last_used_from


class Here(Protocol):
    """The request that a session is handed out in; ``facts`` is None where nothing tells them."""

    @property
    def facts(self) -> RequestFacts | None: ...

    def open_data(self, session: Session) -> SessionData: ...

    def find_step_ups(self, session_id: str) -> Iterable[int]:
        """Return when the user has stepped up in a session, where that counts here."""
        ...


class _Authenticated:
    """How and when somebody proved who they are, as far as anybody told."""

    __slots__ = ()

    @property
    def _proof(self) -> Authentication:
        raise NotImplementedError

    @property
    def amr(self) -> tuple[str, ...]:
        """The methods by which they proved it, as the provider or application calls them.

        ``"pwd"``, ``"otp"``, ``"hwk"``, say (RFC 8176); empty where nobody told.
        """
        return self._proof.amr

    @property
    def acr(self) -> str | None:
        """The context of that, as the provider calls it; None where it did not tell."""
        return self._proof.acr

    @property
    def auth_time(self) -> datetime | None:
        """When they proved it to the provider; None where it did not tell."""
        at_ms = self._proof.auth_time_ms
        return None if at_ms is None else datetime_from_ms(at_ms)


@dataclass(slots=True, eq=False, repr=False)
class User(_Authenticated):
    """The person a session belongs to.

    ``id`` is the primary key of the user table, in its own type; instants are aware, UTC.
    A name that the app's own user model does not map reads as None. Only the user of a session
    has ``amr``, ``acr`` and ``auth_time``.
    """

    record: UserRecord
    _authentication: str = ""

    @property
    def _proof(self) -> Authentication:
        return Authentication.from_json(self._authentication)

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
class Session(_Authenticated):
    """A live session: one browser or device, signed in as one user, or anonymous.

    ``id`` is public and gives no access: it may be shown, logged and used to revoke.
    """

    record: SessionRecord
    user: User | None
    _: KW_ONLY
    config: SessionConfig
    judged_at_ms: int
    here: Here | None = None
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
    def _proof(self) -> Authentication:
        return Authentication.from_json(self.record.authentication)

    @property
    def method(self) -> str | None:
        """How the user signed in: ``"password"``, the provider's name, or the app's own word."""
        return self._proof.method

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
    def last_ip_address(self) -> str | None:
        """The address it is used from: that of this request, or else of its last touch."""
        return self._used_from[0]

    @property
    def last_user_agent(self) -> str | None:
        """The user agent it is used with: that of this request, or else of its last touch."""
        return self._used_from[1]

    @property
    def last_device(self) -> str:
        """Browser and system by ``last_user_agent``."""
        return device_in_words(self.last_user_agent)

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is used from another network and browser than those it began in."""
        place = Place.of(*self._used_from, config=self.config)
        return place.is_elsewhere_than(home_of(self.record, config=self.config))

    @property
    def _used_from(self) -> tuple[str | None, str | None]:
        facts = None if self.here is None else self.here.facts
        return last_used_from(self.record) if facts is None else (facts.address, facts.user_agent)

    @property
    def is_fresh(self) -> bool:
        """Whether the user has proven less than ``fresh_age`` ago who they are."""
        return self.is_fresh_within(self.config.fresh_age)

    def is_fresh_within(self, within: timedelta | int) -> bool:
        """Return whether the user has proven in this time who they are, by sign-in or step-up.

        ``within`` is a ``timedelta`` or whole seconds, at most ``fresh_age``; ``ValueError`` for
        another. A sign-in by a provider is as old as its ``auth_time``. One that was made in
        another network and browser does not count (``fresh_elsewhere``), nor one in the future
        by more than clocks may differ: that clock was wrong.
        """
        within_ms = ms_from_duration(within)
        if not 0 < within_ms <= self.config.fresh_age_ms:
            raise ValueError(
                f"within is {within!r}; give more than 0 and at most fresh_age "
                f"({self.config.fresh_age}), after which nothing counts as fresh"
            )
        if self.is_anonymous:
            return False
        proven_at_ms = self.record.authenticated_at_ms
        told_ms = self._proof.auth_time_ms
        if told_ms is not None:
            proven_at_ms = min(proven_at_ms, told_ms)
        if self._is_within(within_ms, proven_at_ms) and (
            self.config.fresh_elsewhere or not self.is_elsewhere
        ):
            return True
        step_ups = () if self.here is None else self.here.find_step_ups(self.id)
        return any(self._is_within(within_ms, at_ms) for at_ms in step_ups)

    def _is_within(self, within_ms: int, at_ms: int) -> bool:
        return -self.config.clock_difference_ms <= self.judged_at_ms - at_ms < within_ms

    @property
    def data(self) -> SessionData:
        """The session's own mapping of JSON values.

        Changes are stored with the response of the request that handed the session out; of a
        session from ``SessionManager`` it is a copy to read.
        """
        if self._data is None:
            if self.here is None:
                self._data = SessionData((self.record.data, self.record.data_version))
            else:
                self._data = self.here.open_data(self)
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
