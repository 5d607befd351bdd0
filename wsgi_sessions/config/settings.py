"""``SessionConfig``: every setting, said once, in a frozen dataclass that is checked when made.

A wrong value is refused here, at the start, and no message shows a secret.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ConfigurationError
from ..light_dataclasses import dataclass
from ..records import MailKind, refuse_to_pickle
from . import checks
from .checks import Network
from .fields import (
    Duration,
    check_settings,
    choice,
    count,
    duration,
    flag,
    in_ms,
    put,
    setting,
    settings_of,
)
from .messages import Messages
from .messages import messages as check_messages
from .parts import (
    AuditConfig,
    CookieCacheConfig,
    CookieConfig,
    MultiSessionConfig,
    PasswordConfig,
    ThrottleConfig,
)
from .providers import SocialProvider
from .relations import check_relations, fill_in
from .sources import is_production, naming_variables, part, read_environment, read_settings

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .keywords import SessionSettings

OnReplay = Literal["revoke", "reject"]
IpBinding = Literal["off", "subnet", "exact"]
OnIpMismatch = Literal["reject", "revoke"]
OnDatabaseError = Literal["unavailable", "anonymous"]
OnLostData = Literal["event", "conflict"]
CheckSignUp = Callable[..., str | None]
OnSend = Callable[[MailKind, Any, str | None, str | None], object]
"""Takes the kind of a mail, the ``User`` it goes to, and the link and token that belong in it."""

_DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """Every setting of the product; ``docs/reference/settings.md`` lists them.

    Durations are ``timedelta`` or whole seconds, and read back as ``timedelta``; the same in
    milliseconds has the suffix ``_ms``. Parts are given as their dataclass or a mapping. What
    is left to other settings (None) reads back as what follows from them, and follows them again
    in a copy that ``replace`` or ``dataclasses.replace`` makes.

    Raises ``ConfigurationError``, naming the setting, the value, the bound and the remedy.

    >>> config = SessionConfig(secret="0123456789abcdef" * 2, expires_in=3600, update_age=600)
    >>> config.expires_in, config.expires_in_ms
    (datetime.timedelta(seconds=3600), 3600000)
    >>> config.rotation_interval_ms, config.replace(update_age=1200).rotation_interval_ms
    (600000, 1200000)
    """

    secret: str | tuple[str, ...] | list[str] = setting((), checks.secrets, is_secret=True)
    """Signs tokens and copies. Of a list all verify, and the first signs."""
    expires_in: Duration = setting(7 * _DAY, duration())
    """A session expires this long after its last refresh."""
    expires_in_ms: int = in_ms()
    update_age: Duration = setting(_DAY, duration())
    """A session in use is refreshed this long after its last refresh."""
    update_age_ms: int = in_ms()
    idle_timeout: Duration | None = setting(None, checks.idle_timeout, none="no limit")
    """Ends a session between 80 % and 100 % of this after its last request."""
    idle_timeout_ms: int | None = in_ms()
    absolute_timeout: Duration | None = setting(None, duration(), none="no limit")
    """Ends a session this long after its sign-in, whatever its use."""
    absolute_timeout_ms: int | None = in_ms()
    short_expires_in: Duration = setting(_DAY, duration())
    """Lifetime on the server without `remember_me`, when the cookie ends with the browser; such a
    session is never refreshed."""
    short_expires_in_ms: int = in_ms()
    fresh_age: Duration = setting(_DAY, duration())
    """How long `session.is_fresh` holds after a user has proven who they are."""
    fresh_age_ms: int = in_ms()
    fresh_elsewhere: bool = setting(False, flag())
    """Whether that counts in another network and browser than those it was proven in, too."""
    touch_interval: Duration = setting(300, duration(may_be_zero=True))
    """At most one write of `last_seen_at` in this time; 0 writes it at every request."""
    touch_interval_ms: int = in_ms()

    rotate_tokens: bool | None = setting(
        None,
        flag(),
        none="True, unless sessions live too briefly and nothing else is said of rotation",
    )
    """Whether a token in use is followed by another now and then. Without that a stolen one is good
    until its session ends."""
    rotation_interval: Duration | None = setting(
        None, duration(), none="`update_age`, at least 10 minutes"
    )
    """A token that was confirmed this long ago is followed by another."""
    rotation_interval_ms: int = in_ms()
    short_rotation_interval_ms: int | None = in_ms()
    """Of sessions that are not remembered; None: they live too briefly to be rotated."""
    rotation_grace: Duration = setting(60, duration())
    """How long what is under way at a rotation is accepted: longer than your slowest round trip and
    the difference of your servers' clocks together."""
    rotation_grace_ms: int = in_ms()
    rotation_window_ms: int = in_ms()
    upload_grace: Duration | None = setting(
        None, duration(), none="10 minutes or what the other settings allow, at least three graces"
    )
    """The same for requests with a long body: two graces longer than your slowest upload."""
    upload_grace_ms: int = in_ms()
    rotation_notes: tuple[str, ...] = field(init=False, repr=False, compare=False, default=())
    """What the log should say once of how the settings of rotation fit together."""
    on_replay: OnReplay = setting("revoke", choice(OnReplay))
    """A replayed token ends its session, or only its request is refused. The latter leaves the
    session to whoever settled first, who may be the thief."""
    clock_difference: Duration | None = setting(
        None, duration(may_be_zero=True), none="half of `rotation_grace`"
    )
    """How far the clocks of two servers may be apart; at most `rotation_grace`."""
    clock_difference_ms: int = in_ms()
    longest_transaction: Duration = setting(60, duration(may_be_zero=True))
    """How long a transaction in which a session ends may stay open before its commit."""
    longest_transaction_ms: int = in_ms()

    cookie_cache: CookieCacheConfig = setting(CookieCacheConfig(), part(CookieCacheConfig))
    """A signed copy of session and user in a second cookie, which spares the database."""
    revocation_lag: Duration = setting(1, duration(may_be_zero=True))
    """How long a cached session may outlive its end, in every process; 0 asks the database at every
    request."""
    revocation_lag_ms: int = in_ms()

    multi_session: MultiSessionConfig = setting(MultiSessionConfig(), part(MultiSessionConfig))
    """How many live sessions a user can have."""
    ip_binding: IpBinding = setting("off", choice(IpBinding))
    """Binds a session to the network or address it began at."""
    ip_prefix_v4: int = setting(24, count("bits", at_least=0, at_most=32))
    """How many bits of an IPv4 address are its network, for 'subnet' and `fresh_elsewhere`."""
    ip_prefix_v6: int = setting(64, count("bits", at_least=0, at_most=128))
    """The same for IPv6."""
    on_ip_mismatch: OnIpMismatch = setting("reject", choice(OnIpMismatch))
    """Elsewhere the request has no session, or the session ends."""
    trusted_proxies: tuple[Network, ...] = setting((), checks.networks)
    """Proxies whose `X-Forwarded-*` or `Forwarded` is believed."""

    cookie: CookieConfig = setting(CookieConfig(), part(CookieConfig))
    """Names and attributes of the cookies, always HttpOnly."""
    throttle: ThrottleConfig | None = setting(
        ThrottleConfig(), part(ThrottleConfig, hint=", or None to turn it off"), none="off"
    )
    """How many tries with a password are allowed, counted over all processes."""
    password: PasswordConfig = setting(PasswordConfig(), part(PasswordConfig))
    """Lengths and hashing of passwords."""
    allow_sign_up: bool = setting(True, flag())
    """Whether somebody new may come, by a sign-up or a provider; `create_user` may always."""
    check_sign_up: CheckSignUp | None = setting(
        None, checks.sign_up_check, none="everybody may", is_in_environment=False
    )
    """Your function that is given `email`, `name` and `provider` of somebody new (None for a
    password), and returns None, or in words why they may not sign up."""
    auto_sign_in: bool = setting(True, flag())
    """Whether a sign-up signs in."""
    require_verified_email: bool = setting(False, flag())
    """Whether an address must be verified before it can sign in."""
    site_url: str | None = setting(None, checks.site_url, none="not known")
    """Where browsers find your application: links in mails begin so."""
    on_send: OnSend | None = setting(
        None, checks.send, none="no mail is sent", is_in_environment=False
    )
    """Your function that sends a mail of a `kind` to `user.email`, with the `url` in it."""
    reset_expires_in: Duration = setting(3600, duration())
    """How long a link is good for that sets a new password."""
    reset_expires_in_ms: int = in_ms()
    verification_expires_in: Duration = setting(_DAY, duration())
    """How long a link is good for that verifies an e-mail address."""
    verification_expires_in_ms: int = in_ms()
    user_model: Any = setting(
        None, checks.user_model, none="the built-in table", is_in_environment=False
    )
    """Your own model of users, with one primary key."""
    user_attributes: Mapping[str, str | None] = setting(
        {}, checks.user_attributes, is_in_environment=False
    )
    """What your model calls its attributes; None for what it does not have."""
    table_prefix: str = setting(checks.DEFAULT_TABLE_PREFIX, checks.table_prefix)
    """What the names of the tables begin with; another one for each user model."""
    social_providers: tuple[SocialProvider, ...] | list[SocialProvider] = setting(
        (), checks.providers, is_in_environment=False
    )
    """Whose ID tokens sign people in."""

    api_path: str | None = setting("/api/auth", checks.mount_path, none="off")
    """Where the JSON API answers."""
    openapi: bool = setting(True, flag())
    """Whether `GET /openapi.json` describes the JSON API; else it is 404."""
    session_fields: Mapping[str, str] = setting({}, checks.session_fields, is_in_environment=False)
    """Additional fields of a session in the JSON API; they live in `session.data`."""
    trusted_origins: tuple[str, ...] = setting((), checks.origins)
    """Other origins that may send changes and read answers."""
    messages: Messages = setting({}, check_messages, is_in_environment=False)
    """What clients read in place of our English texts: a text for each code, or for a language a
    mapping of such, which is chosen by the header Accept-Language."""
    health_path: str | None = setting(None, checks.mount_path, none="off")
    """Where monitoring asks whether sessions can be used."""
    exempt_paths: tuple[str, ...] = setting((), checks.exempt_paths)
    """Paths that are passed on without a look-up."""
    pages_path: str | None = setting(None, checks.mount_path, none="off")
    """Where the sessions page is; beside `api_path`."""
    pages_templates: str | os.PathLike[str] | None = setting(
        None, checks.templates, none="built-in"
    )
    """Templates of your own for the sessions page."""
    pages_title: str | None = setting(None, checks.title, none="no title")
    """Whose site the sessions page says it is of."""
    pages_home_url: str = setting("/", checks.page_url)
    """The way back from the sessions page."""
    sign_in_url: str = setting("/", checks.page_url)
    """Where visitors of the sessions page are sent."""
    change_password_url: str | None = setting(None, checks.page_url, none="no link")
    """Where the sessions page has passwords changed."""

    pages_report_url: str | None = setting(None, checks.report_url, none="no reports")
    """Where browsers report what the page's Content-Security-Policy has kept out."""
    clear_site_data: tuple[str, ...] = setting((), checks.site_data)
    """What browsers throw away of the site when they sign out: 'cache', 'storage' or both."""

    on_database_error: OnDatabaseError = setting("unavailable", choice(OnDatabaseError))
    """While the database does not answer: 503 with `Retry-After`, or the application without a
    session. Nobody is signed out."""
    on_lost_data: OnLostData = setting("event", choice(OnLostData))
    """Data set in a session that has ended meanwhile is dropped with an event, or the client is
    told, too, by 409."""
    database_patience: Duration = setting(5, checks.patience)
    """All that a request may wait for the database; then 503."""
    database_patience_ms: int = in_ms()
    max_connections: int = setting(20, count("connections", at_least=1, at_most=10_000))
    """To a database given as a URL, in each process."""
    auto_migrate: bool = setting(True, flag())
    """Whether tables of an earlier release are brought up to date at start. False refuses them
    until `wsgi-sessions migrate` has run."""
    purge_interval: Duration = setting(3600, duration(may_be_zero=True))
    """At most one clean-up in this time and process."""
    purge_interval_ms: int = in_ms()
    keep_ended: Duration = setting(30 * _DAY, duration(may_be_zero=True))
    """How long ended sessions stay for the record."""
    keep_ended_ms: int = in_ms()
    audit: AuditConfig | None = setting(
        None, part(AuditConfig, hint=", True, or None to turn it off"), none="off"
    )
    """Keeps events in the database: sign-ins, ends, changes and refusals."""

    _filled_in: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What was None and is now as the others make it; ``dataclasses.replace`` hands it on."""

    def __post_init__(self) -> None:
        for name, value in self._filled_in.items():
            if getattr(self, name) is value:
                object.__setattr__(self, name, None)
        check_settings(self)
        check_relations(self)
        fill_in(self)
        if is_production(os.environ):
            put(self, "cookie", dataclasses.replace(self.cookie, secure=True))

    def replace(self, **changes: Unpack[SessionSettings]) -> SessionConfig:
        """Return a configuration with some settings changed, checked anew.

        A part may be given as a mapping of the fields that change. ``dataclasses.replace`` takes
        whole parts alone, and a ``rotate_tokens`` that is what was filled in for not given.
        """
        declared = settings_of(type(self))
        parts = {name: getattr(self, name) for name in declared if declared[name].kind.part}
        given = read_settings(type(self), parts, changes)
        # A value that is given counts as given, even where it is the one that was filled in.
        kept = {name: self._filled_in[name] for name in self._filled_in if name not in given}
        return dataclasses.replace(self, **given, _filled_in=kept)

    @classmethod
    def from_mapping(
        cls, mapping: Mapping[str, Any], **overrides: Unpack[SessionSettings]
    ) -> SessionConfig:
        """Read settings from a mapping: a TOML table, or a paste.deploy section of strings.

        Takes nested tables, dotted names and camelCase names (``cookieCache.maxAge``), all of it
        under the key ``session``, too, as better-auth has it. ``overrides`` win. An unknown name
        is a ``ConfigurationError`` with the nearest known one, if one is near.
        """
        return cls(**read_settings(cls, mapping, overrides))

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] | None = None, **overrides: Unpack[SessionSettings]
    ) -> SessionConfig:
        """Read settings from environment variables such as ``WSGI_SESSIONS_EXPIRES_IN=604800``.

        Parts join with an underscore: ``WSGI_SESSIONS_COOKIE_CACHE_ENABLED=true``. Lists are
        separated by commas. ``overrides`` win over the environment.
        """
        environ = os.environ if environ is None else environ
        found = read_environment(environ, cls)
        given = read_settings(cls, overrides)
        try:
            forced = {"cookie.secure": True} if is_production(environ) else {}
            return cls(**read_settings(cls, found, overrides, forced))
        except ConfigurationError as error:
            raise naming_variables(error, found, given) from None

    __reduce__ = refuse_to_pickle

    def __copy__(self) -> SessionConfig:
        return self

    def __deepcopy__(self, _: Any) -> SessionConfig:
        return self
