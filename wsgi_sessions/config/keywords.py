"""The settings as keyword arguments, for type checkers: what ``**settings`` takes.

A test holds each of them to its declaration in ``settings.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from os import PathLike
from typing import Any, TypedDict

from .checks import Network
from .fields import Duration
from .messages import Messages
from .parts import (
    AuditConfig,
    CookieCacheConfig,
    CookieConfig,
    MultiSessionConfig,
    PasswordConfig,
    ThrottleConfig,
)
from .providers import SocialProvider
from .settings import (
    CheckSignUp,
    IpBinding,
    OnDatabaseError,
    OnIpMismatch,
    OnLostData,
    OnReplay,
    OnSend,
)

Fields = Mapping[str, Any]


class SessionSettings(TypedDict, total=False):
    """Any of the settings of ``SessionConfig``; ``session`` may hold them in camelCase."""

    session: Fields
    secret: str | tuple[str, ...] | list[str]
    expires_in: Duration
    update_age: Duration
    idle_timeout: Duration | None
    absolute_timeout: Duration | None
    short_expires_in: Duration
    fresh_age: Duration
    fresh_elsewhere: bool
    touch_interval: Duration
    rotate_tokens: bool | None
    rotation_interval: Duration | None
    rotation_grace: Duration
    upload_grace: Duration | None
    on_replay: OnReplay
    clock_difference: Duration | None
    longest_transaction: Duration
    cookie_cache: CookieCacheConfig | Fields | bool
    revocation_lag: Duration
    multi_session: MultiSessionConfig | Fields | bool
    ip_binding: IpBinding
    ip_prefix_v4: int
    ip_prefix_v6: int
    on_ip_mismatch: OnIpMismatch
    trusted_proxies: Collection[str | Network]
    cookie: CookieConfig | Fields
    throttle: ThrottleConfig | Fields | None
    password: PasswordConfig | Fields
    allow_sign_up: bool
    check_sign_up: CheckSignUp | None
    auto_sign_in: bool
    require_verified_email: bool
    site_url: str | None
    on_send: OnSend | None
    reset_expires_in: Duration
    verification_expires_in: Duration
    user_model: Any
    user_attributes: Mapping[str, str | None]
    table_prefix: str
    social_providers: tuple[SocialProvider, ...] | list[SocialProvider]
    api_path: str | None
    openapi: bool
    session_fields: Mapping[str, str]
    trusted_origins: Collection[str]
    messages: Messages
    health_path: str | None
    exempt_paths: Collection[str]
    pages_path: str | None
    pages_templates: str | PathLike[str] | None
    pages_title: str | None
    pages_home_url: str
    sign_in_url: str
    change_password_url: str | None
    pages_report_url: str | None
    clear_site_data: Collection[str]
    on_database_error: OnDatabaseError
    on_lost_data: OnLostData
    database_patience: Duration
    max_connections: int
    auto_migrate: bool
    purge_interval: Duration
    keep_ended: Duration
    audit: AuditConfig | Fields | bool | None
