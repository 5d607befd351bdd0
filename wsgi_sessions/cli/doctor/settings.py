"""Settings that are allowed, and a mistake where real people sign in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from ...accounts.mail import print_mail
from ...config.fields import in_words
from ...config.settings import SessionConfig
from ...parts import MAX_COOKIE_LIFE
from .findings import Finding, fault, ok, warning

SUBJECT = "settings"

_ENVIRONMENT = "WSGI_SESSIONS_ENV"
_WIDEST_NETWORK = {4: 8, 6: 16}
"""Bits; a wider network is no proxy's. 10.0.0.0/8 is the widest private one."""
_MIN_MEMORY_KIB = 19_456
"""OWASP, Password Storage Cheat Sheet: argon2id with 19 MiB, two passes and one lane."""
_MIN_PASSWORD_LENGTH = 8
_MAX_LAG_MS = 60_000
_MAX_PURGE_INTERVAL_MS = 7 * 86_400_000
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


def check_settings(config: SessionConfig, environ: Mapping[str, str]) -> list[Finding]:
    """Return what is unsafe in settings; those that do not fit together are refused before."""
    word = environ.get(_ENVIRONMENT, "")
    is_development = word in ("development", "testing")
    found = [
        *_notes(config),
        *_cookies(config, is_development=is_development),
        *_origins(config, is_development=is_development),
        *_proxies(config),
        *_rules(config),
        *_passwords(config),
        *_mails(config, is_development=is_development),
    ]
    if not found:
        kind = f" for {word}" if word else ""
        found = [ok(SUBJECT, f"they fit together, and none is unsafe{kind}")]
    return found


def _notes(config: SessionConfig) -> Iterator[Finding]:
    for note in config.rotation_notes:
        what, _, remedy = note.rpartition("; ")
        yield warning(SUBJECT, what or note, remedy)
    expires_in = timedelta(milliseconds=config.expires_in_ms)
    if expires_in > MAX_COOKIE_LIFE:
        yield warning(
            SUBJECT,
            f"expires_in is {in_words(expires_in)}, and browsers keep no cookie longer than 400 "
            "days",
            "set expires_in to 400 days or less",
        )


def _cookies(config: SessionConfig, *, is_development: bool) -> Iterator[Finding]:
    cookie = config.cookie
    if cookie.secure is False and not is_development:
        yield fault(
            SUBJECT,
            "cookie.secure is False: the token goes over http in clear, and over https another "
            "site of the domain can plant one",
            f"serve over https and set {_ENVIRONMENT}=production, or cookie.secure=True",
        )
    elif cookie.secure == "auto" and not is_development:
        yield warning(
            SUBJECT,
            "cookie.secure is 'auto': whoever comes over http gets a cookie without Secure",
            f"set {_ENVIRONMENT}=production where https is served, and {_ENVIRONMENT}=development "
            "on a developer's machine",
        )
    if cookie.domain is not None:
        yield warning(
            SUBJECT,
            f"cookie.domain is {cookie.domain!r}: every host below it gets the token, and can "
            "plant another",
            "leave cookie.domain out, unless several hosts must share their sessions",
        )
    if cookie.same_site == "None":
        yield warning(
            SUBJECT,
            "cookie.same_site is 'None': browsers send the token with requests of any site, and "
            "the check of origins alone is left",
            "set cookie.same_site to 'Lax', unless your pages are framed by another site",
        )


def _origins(config: SessionConfig, *, is_development: bool) -> Iterator[Finding]:
    for origin in config.trusted_origins:
        scheme, _, host = origin.partition("://")
        if is_development and host.partition(":")[0] in _LOCAL_HOSTS:
            continue
        if scheme == "http":
            yield warning(
                SUBJECT,
                f"trusted_origins holds {origin!r}: who is on the network between can answer in "
                "its place, and change accounts",
                "give it with https, or take it out",
            )
        elif "*" in host:
            yield warning(
                SUBJECT,
                f"trusted_origins holds {origin!r}: whoever gets any of these hosts, such as an "
                "abandoned one, can change accounts",
                "list the hosts one by one",
            )


def _proxies(config: SessionConfig) -> Iterator[Finding]:
    for network in config.trusted_proxies:
        if network.prefixlen == 0:
            yield fault(
                SUBJECT,
                f"trusted_proxies holds {network}: every client can name any address and scheme "
                "for its own, past the throttle and ip_binding",
                "list the addresses of your proxies alone",
            )
        elif network.prefixlen < _WIDEST_NETWORK[network.version]:
            yield warning(
                SUBJECT,
                f"trusted_proxies holds {network}, which is wider than any network of proxies",
                "list the addresses of your proxies alone",
            )


def _rules(config: SessionConfig) -> Iterator[Finding]:
    if config.rotate_tokens is False and not config.rotation_notes:
        yield warning(
            SUBJECT,
            "rotate_tokens is False: a stolen token is good until its session ends, and nobody "
            "finds out",
            "leave rotate_tokens out",
        )
    if config.on_replay == "reject":
        yield warning(
            SUBJECT,
            "on_replay is 'reject': of a browser and a thief, the first to come keeps the session",
            "set on_replay to 'revoke'",
        )
    if config.ip_binding == "exact":
        yield warning(
            SUBJECT,
            "ip_binding is 'exact': a phone has another address with every network, and loses its "
            "session",
            "set ip_binding to 'subnet' or 'off', unless all clients have fixed addresses",
        )
    if config.cookie_cache.enabled and config.revocation_lag_ms > _MAX_LAG_MS:
        lag = in_words(timedelta(milliseconds=config.revocation_lag_ms))
        yield warning(
            SUBJECT,
            f"revocation_lag is {lag}: so long does a revoked session go on being served",
            "set revocation_lag to some seconds: it costs one query in this time and process",
        )
    if config.purge_interval_ms > _MAX_PURGE_INTERVAL_MS:
        interval = in_words(timedelta(milliseconds=config.purge_interval_ms))
        yield warning(
            SUBJECT,
            f"purge_interval is {interval}: processes that live less long never clean up, and "
            "the tables grow",
            "set purge_interval to an hour or so",
        )


def _passwords(config: SessionConfig) -> Iterator[Finding]:
    password = config.password
    if config.throttle is None:
        yield warning(
            SUBJECT,
            "throttle is off: passwords can be guessed without limit",
            "leave throttle out, unless something before the application limits guesses",
        )
    if password.min_length < _MIN_PASSWORD_LENGTH:
        yield warning(
            SUBJECT,
            f"password.min_length is {password.min_length}: shorter passwords than 8 characters "
            "are guessed",
            "set password.min_length to 8 or more (NIST SP 800-63B)",
        )
    if password.memory_cost_kib * password.time_cost < 2 * _MIN_MEMORY_KIB:
        yield warning(
            SUBJECT,
            f"password.memory_cost_kib is {password.memory_cost_kib} with password.time_cost "
            f"{password.time_cost}: hashes of a stolen database are guessed too quickly",
            "leave both out, or give 19456 KiB and 2 passes at least (OWASP)",
        )


def _mails(config: SessionConfig, *, is_development: bool) -> Iterator[Finding]:
    if config.on_send is print_mail and not is_development:
        yield fault(
            SUBJECT,
            "on_send is print_mail: no mail is sent, and the log holds links that sign people in",
            "give a function that sends mails",
        )
    url = config.site_url
    if url is not None and url.startswith("http://") and not is_development:
        yield warning(
            SUBJECT,
            f"site_url is {url!r}: the tokens in mails go over http in clear",
            "give site_url with https",
        )
