"""``Parts``: what a ``SessionManager`` is made of, for one database and one configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .accounts.device_cookie import DeviceCookies
from .accounts.mail import Mailer
from .accounts.one_time_tokens import OneTimeTokens
from .accounts.provider_logout import ProviderLogouts
from .accounts.reauthentication import Reauthentication
from .accounts.service import AccountService
from .accounts.social import SocialAccounts
from .accounts.throttle import Throttle
from .clock import Clock
from .config.fields import in_words
from .config.parts import ThrottleConfig
from .config.settings import SessionConfig
from .errors import ConfigurationError, StoreUnavailableError
from .events import Events
from .light_dataclasses import dataclass
from .sessions.cleanup import Purger
from .sessions.cookie_cache import CookieCache
from .sessions.creation import SessionCreation
from .sessions.database_clock import ClockCheck
from .sessions.ending import SessionEnding
from .sessions.presented_copies import PresentedCopies
from .sessions.reading import SessionReader
from .sessions.revocation_feed import RevocationFeed
from .sessions.step_up import StepUpSigner
from .sessions.tokens import TokenSigner
from .sessions.validation import Validator
from .storage.connections import Connections
from .storage.models import Models, build_models
from .storage.outages import Outages
from .storage.store import Store
from .storage.tables import refuse_other_users
from .transport.cookies import SessionCookies

if TYPE_CHECKING:
    import peewee

    from .config.keywords import SessionSettings
    from .sessions.audit_trail import AuditTrail

logger = logging.getLogger("wsgi_sessions")

MAX_COOKIE_LIFE = timedelta(days=400)
"""Browsers cut what is longer (RFC 6265bis, section 5.5)."""

_unavailable: set[object] = set()
"""Databases of this process that did not answer when an application was wrapped."""
_in_use: WeakSet[Parts] = WeakSet()
"""The parts of this process's managers that wrap an application."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Each part is made once and knows only the parts that it uses."""

    config: SessionConfig
    clock: Clock
    connections: Connections
    models: Models
    store: Store
    events: Events
    devices: DeviceCookies
    throttle: Throttle
    accounts: AccountService
    social: SocialAccounts
    tokens: OneTimeTokens
    mailer: Mailer
    provider_logouts: ProviderLogouts
    signer: TokenSigner
    cookies: SessionCookies
    cache: CookieCache
    feed: RevocationFeed
    validator: Validator
    reader: SessionReader
    step_ups: StepUpSigner
    reauthentication: Reauthentication
    creation: SessionCreation
    ending: SessionEnding
    purger: Purger
    audit: AuditTrail | None
    """What tells the event table, where the setting ``audit`` is on."""

    def is_same_as(self, other: Parts) -> bool:
        """Return whether other parts lead to the same sessions: these, or some made alike."""
        return self is other or (self._shares_database(other) and self.config == other.config)

    def _shares_database(self, other: Parts) -> bool:
        ours, theirs = self.connections.database, other.connections.database
        return ours is theirs or (
            type(ours) is type(theirs)
            and ours.database == theirs.database
            and ours.database not in (None, "", ":memory:")
            and ours.connect_params == theirs.connect_params
        )


def build_parts(
    connections: Connections,
    config: SessionConfig,
    clock: Clock,
    *,
    wrap_store: Callable[[Store], Store] | None = None,
) -> Parts:
    """Build the parts; ``wrap_store`` may put something before the store, to watch its calls."""
    models = build_models(
        connections.database,
        user_model=config.user_model,
        user_attributes=config.user_attributes,
        table_prefix=config.table_prefix,
    )
    if config.require_verified_email and models.user_fields["email_verified"] is None:
        raise ConfigurationError(
            "require_verified_email is True but the user model does not say whether an address is "
            "verified; map its attribute with user_attributes={'email_verified': …}"
        )
    store = Store(connections, models, clock, auto_migrate=config.auto_migrate)
    if config.audit is not None and config.audit.enabled:
        store.open_events(is_kept=True)
    if wrap_store is not None:
        store = wrap_store(store)
    events = Events(clock)
    events.outages = Outages(connections.database)
    audit = _build_audit(store, config, clock, events)
    throttled = config.throttle or ThrottleConfig()
    devices = DeviceCookies(config.secret, lifetime_ms=throttled.device_lifetime_ms)
    throttle = Throttle(store, config, events, devices)
    signer = TokenSigner(config.secret)
    cache = CookieCache(config)
    clock_check = ClockCheck(clock, config, events)
    feed = RevocationFeed(store, clock, config, clock_check)
    cookies = SessionCookies(config, signer)
    ending = SessionEnding(store, feed, events, clock, config, audit)
    step_ups = StepUpSigner(config)
    validator = Validator(
        store=store,
        copies=PresentedCopies(cache=cache, feed=feed, events=events, config=config),
        feed=feed,
        events=events,
        clock=clock,
        clock_check=clock_check,
        config=config,
        audit=audit,
    )
    accounts = AccountService(store, config, events, throttle, audit=audit)
    social = SocialAccounts(store, config, events, throttle, clock, audit=audit)
    reader = SessionReader(store, cookies, validator, config, clock, step_ups)
    return Parts(
        config=config,
        clock=clock,
        connections=connections,
        models=models,
        store=store,
        events=events,
        accounts=accounts,
        social=social,
        tokens=OneTimeTokens(store, config),
        mailer=Mailer(config.on_send, events),
        devices=devices,
        throttle=throttle,
        provider_logouts=ProviderLogouts(store, social, ending, config, events, clock),
        signer=signer,
        cookies=cookies,
        cache=cache,
        feed=feed,
        validator=validator,
        reader=reader,
        step_ups=step_ups,
        reauthentication=Reauthentication(
            reader, accounts, social, step_ups, events, clock, config, audit
        ),
        creation=SessionCreation(store, signer, config, clock, audit),
        ending=ending,
        purger=Purger(store, clock, config, events, clock_check),
        audit=audit,
    )


def _build_audit(
    store: Store, config: SessionConfig, clock: Clock, events: Events
) -> AuditTrail | None:
    if config.audit is None or not config.audit.enabled:
        return None
    from .sessions.audit_trail import AuditTrail
    from .sessions.noted_events import NotedEvents

    trail = AuditTrail(store, config.audit, config, clock)
    events.noted = NotedEvents(store, config.audit, trail)
    return trail


def read_config(config: SessionConfig | None, settings: SessionSettings) -> SessionConfig:
    """Return the configuration that a manager is given, as a whole, as settings or both.

    What browsers do not keep, and how the settings of rotation fit together, is logged once.
    Raises ``ConfigurationError``.
    """
    if config is None:
        config = SessionConfig.from_mapping(settings)
    elif not isinstance(config, SessionConfig):
        raise ConfigurationError(
            f"config is of type {type(config).__name__}; give SessionConfig.from_env(), "
            "SessionConfig.from_mapping(…) or SessionConfig(…)"
        )
    elif settings:
        config = config.replace(**settings)
    expires_in = timedelta(milliseconds=config.expires_in_ms)
    if expires_in > MAX_COOKIE_LIFE:
        _warn_once(
            f"expires_in is {in_words(expires_in)}, but browsers keep no cookie longer than 400 "
            "days; who stays away longer is signed out. Set expires_in to 400 days or less"
        )
    for note in config.rotation_notes:
        _warn_once(note)
    return config


def connect(
    database: str | peewee.Database | peewee.DatabaseProxy, config: SessionConfig
) -> Connections:
    return Connections(
        database, max_connections=config.max_connections, timeout_ms=config.database_patience_ms
    )


def check_database(parts: Parts) -> None:
    """Check, before serving, whether the tables are there and are ours.

    Raises ``ConfigurationError`` where they are somebody else's or another user model's. If the
    database does not answer, the log says why and the application starts; the same database is
    not waited for twice in a process.
    """
    database: Any = parts.connections.database
    place = (type(database), str(database.database), str(database.connect_params))
    if place not in _unavailable:
        try:
            if not parts.store.check_tables():
                _refuse_second_user_model(parts)
        except StoreUnavailableError as error:
            _unavailable.add(place)
            parts.events.emit("database_error", details={"error": error})
    _in_use.add(parts)


def _refuse_second_user_model(parts: Parts) -> None:
    """Refuse another user model over tables that do not record yet whose they are.

    Other processes are found by their first use, which marks the tables.
    """
    table = parts.models.meta._meta.table_name
    for other in list(_in_use):
        if other.models.meta._meta.table_name == table and parts._shares_database(other):
            refuse_other_users(
                parts.models,
                whose=other.models.whose,
                else_="That other manager has been started in this process",
            )


@cache
def _warn_once(note: str) -> None:
    from .log_fields import log_fields

    logger.warning("%s", note, extra=log_fields("setting_note"))
