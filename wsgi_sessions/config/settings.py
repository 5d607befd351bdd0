"""Settings: frozen dataclasses that are checked when they are made.

Must not be changed once made, and must not show a secret: a wrong value gets no further.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeVar

from ..errors import ConfigurationError
from ..records import refuse_to_pickle
from .checks import (
    DEFAULT_TABLE_PREFIX,
    check_api_path,
    check_choice,
    check_count,
    check_flag,
    check_origin,
    check_page_url,
    check_providers,
    check_secrets,
    check_session_fields,
    check_table_prefix,
    check_templates,
    check_title,
)
from .exempt_paths import check_exempt_path, lies_within
from .networks import Network, normal_network
from .parts import (
    PARTS,
    CookieCacheConfig,
    CookieConfig,
    Duration,
    MultiSessionConfig,
    PasswordConfig,
    ThrottleConfig,
    normalize_durations,
    twin,
)
from .providers import SocialProvider
from .rotation import WINDOW_IN_GRACES, find_rotation_times
from .sources import is_production, naming_variables, nest, read_environment

__all__ = [
    "PARTS",
    "CookieCacheConfig",
    "CookieConfig",
    "MultiSessionConfig",
    "PasswordConfig",
    "SessionConfig",
    "ThrottleConfig",
]

Part = TypeVar("Part")

_MAX_PATIENCE_MS = 86_400_000
"""Servers and drivers refuse to be told of much more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """Every setting of the product; see ``docs/settings.md`` for what each means.

    Durations are ``timedelta`` or whole seconds, and read back as ``timedelta``; each has a
    twin in milliseconds (``expires_in_ms``). Parts are given as their dataclass or a mapping.

    Raises ``ConfigurationError``, naming the setting, the value, the bound and the remedy.

    >>> config = SessionConfig(secret="0123456789abcdef" * 2, expires_in=3600, update_age=600)
    >>> config.expires_in, config.expires_in_ms
    (datetime.timedelta(seconds=3600), 3600000)
    """

    secret: str | tuple[str, ...] | list[str] = field(default=(), repr=False)
    expires_in: Duration = timedelta(days=7)
    update_age: Duration = timedelta(days=1)
    idle_timeout: Duration | None = None
    absolute_timeout: Duration | None = None
    fresh_age: Duration = timedelta(days=1)
    short_expires_in: Duration = timedelta(days=1)
    rotate_tokens: bool | None = None
    rotation_interval: Duration | None = None
    rotation_grace: Duration = timedelta(seconds=60)
    upload_grace: Duration | None = None
    clock_difference: Duration | None = None
    longest_transaction: Duration = timedelta(seconds=60)
    on_replay: Literal["revoke", "reject"] = "revoke"
    touch_interval: Duration = timedelta(seconds=300)
    cookie_cache: CookieCacheConfig = field(default_factory=CookieCacheConfig)
    revocation_lag: Duration = timedelta(seconds=1)
    multi_session: MultiSessionConfig = field(default_factory=MultiSessionConfig)
    ip_binding: Literal["off", "subnet", "exact"] = "off"
    ip_prefix_v4: int = 24
    ip_prefix_v6: int = 64
    on_ip_mismatch: Literal["reject", "revoke"] = "reject"
    trusted_proxies: tuple[Network, ...] = ()
    cookie: CookieConfig = field(default_factory=CookieConfig)
    throttle: ThrottleConfig | None = field(default_factory=ThrottleConfig)
    password: PasswordConfig = field(default_factory=PasswordConfig)
    trusted_origins: tuple[str, ...] = ()
    exempt_paths: tuple[str, ...] = ()
    api_path: str | None = "/api/auth"
    pages_path: str | None = None
    pages_templates: str | os.PathLike[str] | None = None
    pages_title: str | None = None
    pages_home_url: str = "/"
    sign_in_url: str = "/"
    change_password_url: str | None = None
    social_providers: tuple[SocialProvider, ...] | list[SocialProvider] = ()
    session_fields: Mapping[str, str] = field(default_factory=dict)
    on_database_error: Literal["unavailable", "anonymous"] = "unavailable"
    on_lost_data: Literal["event", "conflict"] = "event"
    database_patience: Duration = timedelta(seconds=5)
    max_connections: int = 20
    purge_interval: Duration = timedelta(seconds=3600)
    keep_ended: Duration = timedelta(days=30)
    auto_sign_in: bool = True
    require_verified_email: bool = False
    user_model: Any = None
    user_attributes: Mapping[str, str | None] = field(default_factory=dict)
    table_prefix: str = DEFAULT_TABLE_PREFIX

    expires_in_ms: int = twin()
    update_age_ms: int = twin()
    idle_timeout_ms: int | None = twin()
    absolute_timeout_ms: int | None = twin()
    fresh_age_ms: int = twin()
    short_expires_in_ms: int = twin()
    rotation_interval_ms: int = twin()
    short_rotation_interval_ms: int | None = twin()
    """Of sessions that are not remembered; None: they live too briefly to be rotated."""
    rotation_grace_ms: int = twin()
    rotation_window_ms: int = twin()
    upload_grace_ms: int = twin()
    rotation_notes: tuple[str, ...] = field(init=False, repr=False, compare=False, default=())
    """What the log should say once of how the settings of rotation fit together."""
    _left_to_us: frozenset[str] = field(init=False, repr=False, compare=False, default=frozenset())
    clock_difference_ms: int = twin()
    longest_transaction_ms: int = twin()
    touch_interval_ms: int = twin()
    revocation_lag_ms: int = twin()
    database_patience_ms: int = twin()
    purge_interval_ms: int = twin()
    keep_ended_ms: int = twin()

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "secret", check_secrets(self.secret))
        put(self, "cookie_cache", _part("cookie_cache", CookieCacheConfig, self.cookie_cache))
        put(self, "multi_session", _part("multi_session", MultiSessionConfig, self.multi_session))
        put(self, "cookie", _part("cookie", CookieConfig, self.cookie))
        put(self, "password", _part("password", PasswordConfig, self.password))
        if self.throttle is not None:
            put(self, "throttle", _part("throttle", ThrottleConfig, self.throttle))
        normalize_durations(
            self,
            "",
            expires_in=(False, False),
            update_age=(False, False),
            idle_timeout=(True, False),
            absolute_timeout=(True, False),
            fresh_age=(False, False),
            short_expires_in=(False, False),
            rotation_interval=(True, False),
            rotation_grace=(False, False),
            upload_grace=(True, False),
            clock_difference=(True, True),
            longest_transaction=(False, True),
            touch_interval=(False, True),
            revocation_lag=(False, True),
            database_patience=(False, False),
            purge_interval=(False, True),
            keep_ended=(False, True),
        )
        if self.clock_difference is None:
            put(self, "clock_difference", self.rotation_grace / 2)
            put(self, "clock_difference_ms", self.rotation_grace_ms // 2)
        for name in ("auto_sign_in", "require_verified_email"):
            check_flag(name, getattr(self, name))
        if self.rotate_tokens is not None:
            check_flag("rotate_tokens", self.rotate_tokens)
        check_choice("on_replay", self.on_replay, ("revoke", "reject"))
        check_choice("ip_binding", self.ip_binding, ("off", "subnet", "exact"))
        check_choice("on_ip_mismatch", self.on_ip_mismatch, ("reject", "revoke"))
        check_choice("on_database_error", self.on_database_error, ("unavailable", "anonymous"))
        check_choice("on_lost_data", self.on_lost_data, ("event", "conflict"))
        check_count("max_connections", self.max_connections, at_least=1, at_most=10_000)
        check_count("ip_prefix_v4", self.ip_prefix_v4, at_least=0, at_most=32)
        check_count("ip_prefix_v6", self.ip_prefix_v6, at_least=0, at_most=128)
        put(self, "trusted_proxies", _networks(self.trusted_proxies))
        put(self, "trusted_origins", _each("trusted_origins", self.trusted_origins, check_origin))
        put(self, "exempt_paths", _each("exempt_paths", self.exempt_paths, check_exempt_path))
        if self.api_path is not None:
            check_api_path("api_path", self.api_path)
        if self.pages_path is not None:
            check_api_path("pages_path", self.pages_path)
        if self.pages_templates is not None:
            check_templates(self.pages_templates)
        if self.pages_title is not None:
            check_title("pages_title", self.pages_title)
        check_page_url("pages_home_url", self.pages_home_url)
        check_page_url("sign_in_url", self.sign_in_url)
        if self.change_password_url is not None:
            check_page_url("change_password_url", self.change_password_url)
        put(self, "social_providers", check_providers(self.social_providers))
        put(self, "session_fields", check_session_fields(self.session_fields))
        self._check_user_attributes()
        check_table_prefix(self.table_prefix)
        self._check_relations()
        if is_production(os.environ):
            put(self, "cookie", dataclasses.replace(self.cookie, secure=True))

    def _check_relations(self) -> None:
        if (
            self.pages_path is not None
            and self.api_path is not None
            and lies_within(self.pages_path, self.api_path)
        ):
            raise ConfigurationError(
                f"pages_path is {self.pages_path!r} and api_path is {self.api_path!r}, so "
                "one would hide the other; give two paths that lie side by side"
            )
        for name in ("api_path", "pages_path"):
            path = getattr(self, name)
            for prefix in self.exempt_paths:
                if path is not None and lies_within(path, prefix):
                    raise ConfigurationError(
                        f"exempt_paths holds {prefix!r} and {name} is {path!r}, which needs "
                        "sessions; give paths that lie side by side"
                    )
        if self.update_age_ms >= self.expires_in_ms:
            raise ConfigurationError(
                f"update_age is {self.update_age} but sessions live {self.expires_in}, so none "
                "would ever be refreshed; lower update_age or raise expires_in"
            )
        self._settle_rotation()
        if self.rotate_tokens and self.clock_difference_ms > self.rotation_grace_ms:
            raise ConfigurationError(
                f"clock_difference is {self.clock_difference} but must not be more than "
                f"rotation_grace, which is {self.rotation_grace}, or a token could be a replay "
                "by one server's clock and the newest by another's; lower clock_difference or "
                "raise rotation_grace"
            )
        if self.database_patience_ms > _MAX_PATIENCE_MS:
            raise ConfigurationError(
                f"database_patience is {self.database_patience} but at most a day is taken; a "
                "request that waits for longer is answered to nobody"
            )
        if self.idle_timeout_ms is not None and self.idle_timeout_ms < 1000:
            raise ConfigurationError(
                f"idle_timeout is {self.idle_timeout}; give at least 1 second, or None"
            )

    def _settle_rotation(self) -> None:
        """Fill in and check how tokens rotate; ``_left_to_us`` keeps what was not given."""
        put = object.__setattr__
        names = ("rotate_tokens", "rotation_interval", "upload_grace")
        put(self, "_left_to_us", frozenset(n for n in names if getattr(self, n) is None))
        times = find_rotation_times(
            rotate_tokens=self.rotate_tokens,
            grace_ms=self.rotation_grace_ms,
            interval_ms=self.rotation_interval_ms,
            upload_grace_ms=self.upload_grace_ms,
            expires_in_ms=self.expires_in_ms,
            update_age_ms=self.update_age_ms,
            short_expires_in_ms=self.short_expires_in_ms,
            absolute_timeout_ms=self.absolute_timeout_ms,
        )
        put(self, "rotate_tokens", times.rotate_tokens)
        put(self, "rotation_interval", timedelta(milliseconds=times.interval_ms))
        put(self, "rotation_interval_ms", times.interval_ms)
        put(self, "short_rotation_interval_ms", times.short_interval_ms)
        put(self, "rotation_window_ms", WINDOW_IN_GRACES * self.rotation_grace_ms)
        put(self, "upload_grace", timedelta(milliseconds=times.upload_grace_ms))
        put(self, "upload_grace_ms", times.upload_grace_ms)
        put(self, "rotation_notes", times.notes)

    def _check_user_attributes(self) -> None:
        known = ("email", "email_verified", "name", "image", "created_at", "updated_at")
        if not isinstance(self.user_attributes, Mapping):
            raise ConfigurationError(
                "user_attributes maps our names to those of your user model, such as "
                f"{{'email': 'mail'}}, and is not {self.user_attributes!r}"
            )
        for name in self.user_attributes:
            check_choice("a name in user_attributes", name, known)
        if self.user_attributes and self.user_model is None:
            raise ConfigurationError(
                "user_attributes is given but user_model is not; give your Peewee model too"
            )

    def replace(self, **changes: Any) -> SessionConfig:
        """Return a configuration with some settings changed, checked anew.

        A part may be given as a mapping of the fields that change.
        """
        given = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}
        if self.clock_difference_ms == self.rotation_grace_ms // 2:
            given["clock_difference"] = None  # the default, which follows the grace
        given.update(dict.fromkeys(self._left_to_us))
        for name, value in nest(changes, type(self), PARTS).items():
            current = given.get(name)
            if isinstance(value, Mapping) and dataclasses.is_dataclass(current):
                known = {
                    f.name: getattr(current, f.name) for f in dataclasses.fields(current) if f.init
                }
                value = {**known, **value}
            given[name] = value
        return type(self)(**given)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], **overrides: Any) -> SessionConfig:
        """Read settings from a mapping: a TOML table, or a paste.deploy section of strings.

        Takes nested tables, dotted names and camelCase names (``cookieCache.maxAge``). An
        unknown name is a ``ConfigurationError`` with the nearest known one.
        """
        return cls(**nest({**mapping, **overrides}, cls, PARTS))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> SessionConfig:
        """Read settings from environment variables such as ``WSGI_SESSIONS_EXPIRES_IN=604800``.

        Parts join with an underscore: ``WSGI_SESSIONS_COOKIE_CACHE_ENABLED=true``. Lists are
        separated by commas. ``overrides`` win over the environment.
        """
        environ = os.environ if environ is None else environ
        found = read_environment(environ, cls, PARTS)
        given = nest(overrides, cls, PARTS)
        settings = {**found, **overrides}
        try:
            if is_production(environ):
                settings = nest({**nest(settings, cls, PARTS), "cookie.secure": True}, cls, PARTS)
            return cls(**nest(settings, cls, PARTS))
        except ConfigurationError as error:
            raise naming_variables(error, [n for n in found if not _is_in(n, given)]) from None

    __reduce__ = refuse_to_pickle

    def __copy__(self) -> SessionConfig:
        return self

    def __deepcopy__(self, _: Any) -> SessionConfig:
        return self


def _is_in(name: str, settings: Mapping[str, Any]) -> bool:
    """Tell whether a setting, which may be a field of a part, is one of those given."""
    part, _, field_name = name.partition(".")
    if part not in settings:
        return False
    value = settings[part]
    return not field_name or not isinstance(value, Mapping) or field_name in value


def _part(name: str, wanted: type[Part], value: Any) -> Part:
    if isinstance(value, wanted):
        return value
    if isinstance(value, bool) and wanted in (CookieCacheConfig, MultiSessionConfig):
        value = {"enabled": value}
    if isinstance(value, Mapping):
        return wanted(**nest(value, wanted, prefix=f"{name}."))
    # Text is not shown: somebody may have taken this for the place of a password.
    shown = "text" if isinstance(value, str) else repr(value)
    off = ", or None to turn it off" if wanted is ThrottleConfig else ""
    raise ConfigurationError(
        f"{name} is {shown}; give a {wanted.__name__} or a mapping of its fields{off}"
    )


def _each(name: str, values: Any, check: Callable[[str, Any], Any]) -> tuple[Any, ...]:
    if isinstance(values, str):
        values = [part.strip() for part in values.split(",") if part.strip()]
    if not isinstance(values, (list, tuple, set, frozenset)):
        raise ConfigurationError(f"{name} is {values!r}; give a list of strings")
    return tuple(check(name, value) for value in values)


def _networks(values: Any) -> tuple[Network, ...]:
    def parse(name: str, value: Any) -> Network:
        if isinstance(value, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
            return normal_network(value)
        try:
            if not isinstance(value, str):
                raise TypeError
            return normal_network(ipaddress.ip_network(value, strict=False))
        except (TypeError, ValueError):
            raise ConfigurationError(
                f"{name} holds {value!r}; give networks or addresses, such as '10.0.0.0/8'"
            ) from None

    return _each("trusted_proxies", values, parse)
