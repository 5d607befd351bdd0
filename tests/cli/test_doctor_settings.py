"""``doctor`` finds what is unsafe in settings, secrets, requests and the ways to serve."""

from __future__ import annotations

import base64
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.databases import run_on_server
from tests.support import DAY, NOW
from wsgi_sessions import SessionConfig, SessionManager
from wsgi_sessions.accounts.mail import print_mail
from wsgi_sessions.cli.doctor.findings import Finding, Level
from wsgi_sessions.cli.doctor.lag import check_lag
from wsgi_sessions.cli.doctor.requests import check_request, parse_request
from wsgi_sessions.cli.doctor.secrets import check_age, check_strength, fingerprint
from wsgi_sessions.cli.doctor.servers import check_server, no_transaction
from wsgi_sessions.cli.doctor.settings import check_settings
from wsgi_sessions.cli.doctor.sqlite_files import File, check_file, check_pragmas
from wsgi_sessions.cli.doctor.workers import (
    Deployment,
    Store,
    check_connections,
    check_workers,
    deployment_from,
)
from wsgi_sessions.errors import ConfigurationError
from wsgi_sessions.sessions.tokens import new_secret
from wsgi_sessions.storage.inspection import Server
from wsgi_sessions_testing import FakeClock

from .doctors import (
    PRODUCTION,
    complaints,
    examine,
    healthy,
    manager_of,
    sole_complaint,
)

SECRET = "s0123456789abcdef" * 2


def config(**settings: Any) -> SessionConfig:
    given: dict[str, Any] = {"secret": SECRET, "cookie": {"secure": True}, **settings}
    return SessionConfig(**given)


# Settings


@pytest.mark.parametrize(
    ("settings", "level", "what", "remedy"),
    [
        ({"cookie": {"secure": False}}, "fault", "cookie.secure is False", "serve over https"),
        ({"cookie": {"secure": "auto"}}, "warning", "cookie.secure is 'auto'", "ENV=production"),
        (
            {"cookie": {"secure": True, "domain": "example.org"}},
            "warning",
            "cookie.domain is 'example.org'",
            "leave cookie.domain out",
        ),
        (
            {"cookie": {"secure": True, "same_site": "None"}},
            "warning",
            "cookie.same_site is 'None'",
            "'Lax'",
        ),
        ({"trusted_origins": ["http://a.example"]}, "warning", "'http://a.example'", "with https"),
        ({"trusted_origins": ["https://*.a.example"]}, "warning", "abandoned", "one by one"),
        ({"trusted_proxies": ["0.0.0.0/0"]}, "fault", "0.0.0.0/0", "proxies alone"),
        ({"trusted_proxies": ["::/0"]}, "fault", "::/0", "proxies alone"),
        ({"trusted_proxies": ["64.0.0.0/3"]}, "warning", "wider than any", "proxies alone"),
        ({"rotate_tokens": False}, "warning", "rotate_tokens is False", "leave rotate_tokens out"),
        ({"rotation_grace": 20}, "warning", "rotation_grace is 20 s", "30 seconds or more"),
        ({"on_replay": "reject"}, "warning", "on_replay is 'reject'", "'revoke'"),
        ({"ip_binding": "exact"}, "warning", "ip_binding is 'exact'", "'subnet'"),
        (
            {"cookie_cache": True, "revocation_lag": 600},
            "warning",
            "revocation_lag is 600 s",
            "some seconds",
        ),
        ({"purge_interval": 30 * 86_400}, "warning", "purge_interval is 30 days", "an hour"),
        ({"throttle": None}, "warning", "throttle is off", "leave throttle out"),
        ({"password": {"min_length": 4}}, "warning", "min_length is 4", "8 or more"),
        (
            {"password": {"memory_cost_kib": 64, "parallelism": 1}},
            "warning",
            "memory_cost_kib is 64",
            "19456 KiB",
        ),
        (
            {"on_send": print_mail, "site_url": "https://a.example"},
            "fault",
            "on_send is print_mail",
            "a function that sends mails",
        ),
        ({"site_url": "http://a.example"}, "warning", "site_url is", "with https"),
        ({"expires_in": 500 * 86_400}, "warning", "expires_in is 500 days", "400 days or less"),
    ],
)
def test_a_setting_that_is_unsafe_in_production(
    settings: dict[str, Any],
    level: str,
    what: str,
    remedy: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WSGI_SESSIONS_ENV", raising=False)

    found = sole_complaint(check_settings(config(**settings), {}))

    assert found.level.value == level
    assert what in found.what
    assert remedy in found.remedy


@pytest.mark.parametrize(
    "settings",
    [
        {"cookie": {"secure": False}},
        {"cookie": {"secure": "auto"}},
        {"trusted_origins": ["http://localhost:3000"]},
        {"on_send": print_mail, "site_url": "http://localhost:8000"},
    ],
)
def test_what_is_right_on_a_developer_s_machine(settings: dict[str, Any]) -> None:
    found = check_settings(config(**settings), {"WSGI_SESSIONS_ENV": "development"})

    assert complaints(found) == []


def test_private_networks_are_no_fault() -> None:
    settings = config(trusted_proxies=["10.0.0.0/8", "172.16.0.0/12", "fd00::/16"])

    assert complaints(check_settings(settings, PRODUCTION)) == []


# Secrets


@pytest.mark.parametrize(
    ("secret", "level"),
    [
        ("django-insecure-6j3k2h5g7f8d9s0a1q2w3e", "fault"),
        ("ChangeMe!ChangeMeNot!8fj39dk29fjl30", "fault"),
        ("x9-abcdefghijklmnopqrstuvwxyz-0123", "fault"),
        ("the quick brown fox jumps over a dog", "warning"),
        ("qwqwqertqwqwqwertyqwqwqwqertyuqwqq", "warning"),
    ],
)
def test_a_secret_that_nobody_has_drawn(secret: str, level: str) -> None:
    found = sole_complaint(check_strength([secret]))

    assert found.level.value == level
    assert found.remedy == "make one with: wsgi-sessions secret"
    assert secret not in str(found)


def test_the_same_secret_twice() -> None:
    secret = new_secret()

    assert sole_complaint(check_strength([secret, secret])).remedy == "take one of them out"


@given(st.integers(0, 2**64), st.sampled_from(["base64", "hex"]))
def test_a_secret_that_was_drawn_is_no_fault(seed: int, form: str) -> None:
    drawn = random.Random(seed).randbytes(32)
    secret = drawn.hex() if form == "hex" else base64.urlsafe_b64encode(drawn).decode()

    assert complaints(check_strength([secret])) == []


def test_a_fingerprint_tells_secrets_apart_and_little_else() -> None:
    assert fingerprint("a" * 32) == fingerprint("a" * 32) != fingerprint("b" * 32)
    assert len(fingerprint("a" * 32)) * 4 == 16


def test_the_age_of_a_secret_counts_from_when_it_was_seen_first(tmp_path: Path) -> None:
    clock = FakeClock()
    with healthy("sqlite", tmp_path, clock=clock) as manager:
        first = examine(manager)
        clock.advance(days=3)
        second = examine(manager)
        clock.advance(days=730)
        old = sole_complaint(examine(manager))

    assert "is unknown" in _of(first, "secrets")[-1].what
    assert _of(second, "secrets")[-1].what.startswith("the secret is 3 days old or older")
    assert old.what == "the secret is 733 days old or older"
    assert old.remedy.startswith("put a new one before it in the list")


def _of(findings: list[Finding], subject: str) -> list[Finding]:
    return [each for each in findings if each.subject == subject]


def test_an_older_secret_that_no_session_needs_any_more(tmp_path: Path) -> None:
    clock = FakeClock()
    with healthy("sqlite", tmp_path, clock=clock, secret=[new_secret(), new_secret()]) as manager:
        assert complaints(examine(manager)) == []
        clock.advance(days=7, seconds=1)
        found = sole_complaint(examine(manager))

    assert found.what.startswith("the newest secret is there for longer than 7 days")
    assert found.remedy.startswith("take the older ones out")


def test_a_secret_from_the_future_is_new() -> None:
    found = check_age([NOW + DAY], now_ms=NOW, longest_life_ms=DAY)

    assert complaints(found) == []
    assert found[0].what.startswith("the secret is 0 days old")


# Requests


def request_findings(
    text: str, *headers: str, peer: str | None = None, **settings: Any
) -> list[Finding]:
    manager = manager_of("sqlite:///:memory:", **settings)
    environ = parse_request(text, headers, peer=peer)
    return check_request(environ, manager.config, manager.parts.cookies)


def test_a_request_through_a_trusted_proxy_is_shown_as_it_is_seen() -> None:
    [found] = request_findings(
        "GET http://example.org/cart",
        "X-Forwarded-For: 203.0.113.7",
        "X-Forwarded-Proto: https",
        peer="10.0.0.5",
        trusted_proxies=["10.0.0.0/8"],
        cookie={"secure": "auto"},
    )

    assert found.level is Level.OK
    assert "from 203.0.113.7 over https" in found.what
    assert "__Host-session_token=…; Path=/; Secure" in found.what


@pytest.mark.parametrize(
    ("peer", "named"), [("10.0.0.5", "add '10.0.0.5'"), ("unix", "'127.0.0.1'")]
)
def test_a_proxy_that_is_not_believed(peer: str, named: str) -> None:
    found = sole_complaint(
        request_findings("GET https://example.org/", "X-Forwarded-For: 203.0.113.7", peer=peer)
    )

    assert found.level is Level.FAULT
    assert "all clients look like this one" in found.what
    assert named in found.remedy


def test_https_that_nobody_believes() -> None:
    found = complaints(
        request_findings(
            "GET http://example.org/",
            "X-Forwarded-For: 203.0.113.7",
            "X-Forwarded-Proto: https",
            peer="10.0.0.5",
            cookie={"secure": "auto"},
        )
    )

    assert [each.level for each in found] == [Level.FAULT, Level.FAULT]
    assert "its cookies are those of http" in found[1].what
    assert "trusted_proxies" in found[1].remedy


def test_a_secure_cookie_over_http() -> None:
    found = sole_complaint(request_findings("GET http://example.org/"))

    assert (found.level, "nobody can sign in" in found.what) == (Level.FAULT, True)
    assert "X-Forwarded-Proto: https" in found.remedy


def test_a_cookie_of_another_host() -> None:
    found = sole_complaint(
        request_findings(
            "GET https://example.org/", cookie={"secure": True, "domain": "example.com"}
        )
    )

    assert "browsers refuse the cookie" in found.what
    assert found.remedy.startswith("leave cookie.domain out")


def test_a_path_without_the_cookie() -> None:
    settings: dict[str, Any] = {"cookie": {"secure": True, "path": "/shop"}}
    found = sole_complaint(request_findings("GET https://example.org/shopping", **settings))

    assert "no cookie to /shopping" in found.what
    assert found.remedy == "leave cookie.path out"
    assert complaints(request_findings("GET https://example.org/shop/cart", **settings)) == []


def test_an_exempt_path() -> None:
    found = sole_complaint(
        request_findings("GET https://example.org/static/a.css", exempt_paths=["/static/"])
    )

    assert found.remedy.startswith("take it out of exempt_paths")


def test_a_client_without_an_address() -> None:
    found = sole_complaint(request_findings("GET https://example.org/", peer="unix"))

    assert (found.level, "unknown" in found.what) == (Level.WARNING, True)


def test_a_chain_that_ends_in_a_trusted_proxy() -> None:
    found = sole_complaint(
        request_findings(
            "GET https://example.org/",
            "X-Forwarded-For: 10.0.0.9",
            peer="10.0.0.5",
            trusted_proxies=["10.0.0.0/8"],
        )
    )

    assert "10.0.0.9 is a trusted proxy itself" in found.what


def test_the_origin_of_a_page() -> None:
    own = request_findings("POST https://example.org/", "Origin: https://example.org")
    other = sole_complaint(
        request_findings("POST https://example.org/", "Origin: https://app.example.org")
    )

    assert own[-1].what == "a page of https://example.org may ask for changes"
    assert other.remedy.startswith("add it to trusted_origins")


# Workers and connections

FILE = Store(is_server=False, is_in_memory=False, is_owned=True, is_thread_safe=True, pool_size=20)
REMOTE = FILE._replace(is_server=True)


@pytest.mark.parametrize(
    ("deployment", "store", "level", "what", "remedy"),
    [
        (
            Deployment(workers=2),
            FILE._replace(is_in_memory=True, pool_size=1),
            "fault",
            "the memory of one process",
            "give a file",
        ),
        (
            Deployment(2, 30, "gthread"),
            REMOTE,
            "warning",
            "30 threads share 20 connections",
            "raise max_connections to 30",
        ),
        (
            Deployment(2, None, "gevent"),
            FILE,
            "warning",
            "gevent can't switch while SQLite waits",
            "use gthread workers",
        ),
        (
            Deployment(2, None, "gevent", is_preloaded=True),
            REMOTE,
            "fault",
            "--preload loads the application before",
            "leave --preload out",
        ),
        (
            Deployment(2, 4, "gthread"),
            REMOTE._replace(is_thread_safe=False),
            "fault",
            "thread_safe=False",
            "leave thread_safe out",
        ),
        (
            Deployment(2, worker_class="sync", timeout_s=5),
            REMOTE,
            "warning",
            "kills a worker after 5 s",
            "well below gunicorn's --timeout",
        ),
    ],
)
def test_workers_that_do_not_fit(
    deployment: Deployment, store: Store, level: str, what: str, remedy: str
) -> None:
    found = sole_complaint(check_workers(deployment, store, config()))

    assert found.level.value == level
    assert what in found.what
    assert remedy in found.remedy


def test_gunicorn_s_variables_are_read() -> None:
    environ = {"WEB_CONCURRENCY": "3", "GUNICORN_CMD_ARGS": "--threads 8 -k gthread --preload"}

    assert deployment_from(environ) == Deployment(3, 8, "gthread", is_preloaded=True)
    with pytest.raises(ConfigurationError, match="give a number"):
        deployment_from({"WEB_CONCURRENCY": "many"})


def test_more_connections_than_a_role_may_have(tmp_path: Path) -> None:
    with healthy("postgres", tmp_path) as manager:
        name = manager.parts.connections.database.database
        run_on_server("postgres", f"ALTER DATABASE {name} CONNECTION LIMIT 30")
        found = sole_complaint(examine(manager, deployment=Deployment(4, 8, "gthread")))
        near = sole_complaint(examine(manager, deployment=Deployment(3, 9, "gthread")))
        few = examine(manager, deployment=Deployment(2, 8, "gthread"))

    assert found.level is Level.FAULT
    assert found.what.startswith("4 workers open up to 8 each, 32 together")
    assert "allows this account 30" in found.what
    assert "put a pooler between" in found.remedy
    assert near.level is Level.WARNING
    assert complaints(few) == []


def test_more_connections_than_mariadb_has(tmp_path: Path) -> None:
    with healthy("mariadb", tmp_path, max_connections=1000) as manager:
        found = sole_complaint(examine(manager, deployment=Deployment(500, 100, "gthread")))

    assert (found.level, found.subject) == (Level.FAULT, "connections")
    assert found.what.startswith("500 workers open up to 100 each, 50000 together")


def test_an_application_s_own_pool_counts(tmp_path: Path) -> None:
    from playhouse.pool import PooledSqliteDatabase

    database = PooledSqliteDatabase(
        str(tmp_path / "app.db"), max_connections=4, pragmas={"journal_mode": "wal"}
    )
    manager = manager_of(database)
    manager.create_tables()
    (tmp_path / "app.db").chmod(0o600)

    found = sole_complaint(examine(manager, deployment=Deployment(1, 8, "gthread")))
    database.close_all()

    assert found.what.startswith("8 threads share 4 connections")


SERVER = Server("PostgreSQL", {"server_version": "15.1"}, 97, 5, False, False)


def test_behind_a_pooler_its_own_limits_count() -> None:
    server = SERVER._replace(is_behind_pooler=True)

    [found] = check_connections(Deployment(500, 8, "gthread"), REMOTE, server)

    assert found.level is Level.OK
    assert "default_pool_size" in found.what


# Servers and files, as they tell of themselves


@pytest.mark.parametrize(
    ("settings", "level", "remedy"),
    [
        ({"in_recovery": "on", "transaction_read_only": "on"}, "fault", "name the primary"),
        ({"fsync": "off"}, "fault", "set both to on"),
        ({"server_encoding": "sql_ascii"}, "fault", "ENCODING 'UTF8'"),
        ({"innodb_flush_log_at_trx_commit": "2"}, "warning", "trx_commit = 1"),
    ],
)
def test_a_server_that_is_badly_set(settings: dict[str, str], level: str, remedy: str) -> None:
    found = sole_complaint(check_server(SERVER._replace(settings=settings), host="127.0.0.1"))

    assert found.level.value == level
    assert remedy in found.remedy


@pytest.mark.parametrize(
    ("provider", "count"), [("/usr/lib/galera/libgalera_smm.so", 0), ("none", 1)]
)
def test_a_node_of_galera_may_leave_the_disk_for_later(provider: str, count: int) -> None:
    settings = {
        "innodb_flush_log_at_trx_commit": "0",
        "wsrep_on": "on",
        "wsrep_provider": provider,
    }

    found = complaints(check_server(SERVER._replace(settings=settings), host="127.0.0.1"))

    assert len(found) == count


@pytest.mark.parametrize(
    ("host", "is_encrypted", "count"),
    [
        ("db.example", False, 1),
        ("db.example", True, 0),
        ("db.example", None, 0),
        ("127.0.0.1", False, 0),
        ("/run/postgresql", False, 0),
        (None, False, 0),
    ],
)
def test_a_connection_over_a_network_in_clear(
    host: str | None, is_encrypted: bool | None, count: int
) -> None:
    found = complaints(check_server(SERVER._replace(is_encrypted=is_encrypted), host=host))

    assert ["sslmode=verify-full" in each.remedy for each in found] == [True] * count


def test_a_pooler_that_takes_no_transaction() -> None:
    found = no_transaction("transaction blocks not allowed in statement pooling mode")

    assert found.level is Level.FAULT
    assert found.remedy.startswith("set pool_mode = transaction")


GOOD_FILE = File(
    path=Path("/srv/app.db"),
    is_there=True,
    is_folder=False,
    is_folder_there=True,
    is_writable=True,
    is_folder_writable=True,
    is_open_to_all=False,
    file_system="ext4",
    wal_bytes=4_000_000,
    free_share=0.5,
)


@pytest.mark.parametrize(
    ("changes", "level", "remedy"),
    [
        ({"is_folder": True}, "fault", "the path of a file"),
        ({"file_system": "nfs4"}, "fault", "on a disk of the machine"),
        ({"wal_bytes": 2**30}, "warning", "holds the file open"),
        ({"free_share": 0.01}, "warning", "make room"),
    ],
)
def test_a_file_in_a_bad_place(changes: dict[str, Any], level: str, remedy: str) -> None:
    found = sole_complaint(check_file(GOOD_FILE._replace(**changes)))

    assert found.level.value == level
    assert remedy in found.remedy
    assert complaints(check_file(GOOD_FILE)) == []


def test_pragmas_that_lose_writes() -> None:
    found = check_pragmas({"journal_mode": "wal", "synchronous": "0", "query_only": "1"})

    assert [each.level for each in found] == [Level.WARNING, Level.FAULT]


# The revocation lag


@pytest.mark.parametrize(
    ("settings", "readings", "level", "what"),
    [
        ({}, [], "ok", "cookie_cache is off"),
        ({"cookie_cache": True, "revocation_lag": 0}, [], "ok", "revocation_lag is 0"),
        ({"cookie_cache": True}, [2.0, 3.0, 900.0], "ok", "at most 1 s"),
        ({"cookie_cache": True}, [501.0, 800.0, None], "warning", "takes 650 ms"),
        ({"cookie_cache": True}, [None, None, None], "fault", "no cached copy is taken"),
    ],
)
def test_the_lag_is_that_of_the_settings_and_of_readings(
    settings: dict[str, Any], readings: list[float | None], level: str, what: str
) -> None:
    found = check_lag(config(**settings), readings)

    assert (found.level.value, what in found.what) == (level, True)


def test_the_feed_is_read_to_measure_it(on_each_engine: SessionManager) -> None:
    cached = manager_of(on_each_engine.database, cookie_cache=True)

    [found] = _of(examine(cached), "revocation lag")

    assert found.what.startswith("at most 1 s; a reading of the feed takes ")
    assert timedelta(milliseconds=float(found.what.split()[-2])) < timedelta(seconds=1)
