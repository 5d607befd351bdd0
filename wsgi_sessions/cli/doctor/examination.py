"""Examines a manager: asks the database and the system, and hands what they say to the checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...clock import monotonic_seconds
from ...errors import ConfigurationError, StoreUnavailableError
from ...manager import SessionManager
from ...storage.inspection import Inspection
from .clocks import check_clock, check_future
from .findings import Finding, fault, ok
from .lag import check_lag
from .secrets import check_age, check_strength, fingerprint
from .servers import check_server, no_transaction
from .settings import check_settings
from .sqlite_files import check_file, check_pragmas, look_at
from .tables import (
    check_collations,
    check_engines,
    check_indexes,
    check_presence,
    check_rights,
    outdated,
)
from .workers import Deployment, Store, check_connections, check_workers

_FEED_READINGS = 3
_SEEN = "secret_seen."
"""What the names in ``meta`` begin with under which it stands when a secret was first seen."""


class Examination:
    def __init__(
        self,
        manager: SessionManager,
        *,
        environ: Mapping[str, str],
        deployment: Deployment,
        may_write: bool = True,
    ) -> None:
        self._manager = manager
        self._parts = manager.parts
        self._environ = environ
        self._deployment = deployment
        self._may_write = may_write
        self._inspection = Inspection(self._parts.connections, self._parts.models)
        self._database: Any = self._parts.connections.database

    def findings(self) -> Iterator[Finding]:
        """Yield what is found, in the order in which things depend on each other."""
        config = self._parts.config
        yield from check_settings(config, self._environ)
        yield from check_strength(config.secret)
        yield from check_workers(self._deployment, self._store(), config)
        path = self._parts.connections.dialect.file_of(self._database)
        if path is not None:
            yield from check_file(look_at(Path(path)))
        if not self._is_reachable():
            return
        try:
            with self._inspection.connected() as connection:
                yield from self._of_database(connection)
        except ConfigurationError as error:
            yield _refused(error)
        except StoreUnavailableError as error:
            yield fault("connection", self._inspection.explain(error), _remedy(error))

    def _store(self) -> Store:
        connections, database = self._parts.connections, self._database
        size = self._parts.config.max_connections
        return Store(
            connections.dialect.is_server,
            connections.dialect.is_in_memory(database),
            connections.is_owned,
            database.thread_safe,
            size if connections.is_owned else getattr(database, "_max_connections", None),
        )

    def _is_reachable(self) -> bool:
        """Return whether connecting does not make the database that it leads to."""
        dialect = self._parts.connections.dialect
        if dialect.is_in_memory(self._database):
            return True
        try:
            path = dialect.file_of(self._database)
            is_folder = path is not None and Path(path).is_dir()
            return not is_folder and not dialect.is_missing(self._database)
        except StoreUnavailableError:
            return False  # no folder, which the check of the file has told

    def _of_database(self, connection: Any) -> Iterator[Finding]:
        parts, inspection = self._parts, self._inspection
        server = inspection.server(connection)
        yield ok("connection", f"{server.engine} answers")
        if parts.connections.dialect.is_server:
            yield from check_server(server, host=_host_of(self._database))
            yield from check_connections(self._deployment, self._store(), server)
        else:
            yield from check_pragmas(server.settings)
        yield self._clock()
        if parts.connections.dialect.is_in_memory(self._database):
            return
        refusal = inspection.why_no_transaction()
        if refusal is not None:
            yield no_transaction(refusal)
            return
        names = inspection.table_names()
        status = None
        try:
            status = parts.store.check_schema()
        except ConfigurationError as error:
            yield _refused(error)
            return
        except StoreUnavailableError:
            pass  # this account may not read them
        if status is None:
            yield from check_rights(inspection.forbidden(), count=len(names))
            return
        if status.pending:
            yield outdated(status, is_automatic=parts.config.auto_migrate)
            return
        missing = inspection.missing_tables()
        yield from check_presence(
            missing,
            count=len(names),
            are_made_at_first_use=parts.connections.is_owned,
            may_make=not missing or inspection.may_make_tables(),
        )
        if missing:
            return
        yield from check_engines(inspection.other_engines())
        yield from check_collations(inspection.folding_columns())
        yield from check_indexes(inspection.missing_indexes())
        forbidden = inspection.forbidden()
        yield from check_rights(forbidden, count=len(names))
        if forbidden:
            return
        now_ms = parts.clock.now_ms()
        yield from check_future(
            parts.config, latest_expiry_ms=inspection.latest_expiry_ms(), now_ms=now_ms
        )
        yield check_lag(parts.config, self._read_feed())
        yield from check_age(
            [self._seen(secret, now_ms=now_ms) for secret in parts.config.secret],
            now_ms=now_ms,
            longest_life_ms=max(parts.config.expires_in_ms, parts.config.short_expires_in_ms),
        )

    def _clock(self) -> Finding:
        asked_at_ms = self._parts.clock.now_ms()
        said_ms = self._parts.store.clock.read_ms()
        return check_clock(
            self._parts.config,
            asked_at_ms=asked_at_ms,
            said_ms=said_ms,
            answered_at_ms=self._parts.clock.now_ms(),
        )

    def _read_feed(self) -> Sequence[float | None]:
        """Return how long a process takes to read the feed, of several readings."""
        feed, config = self._parts.feed, self._parts.config
        if not config.cookie_cache.enabled or config.revocation_lag_ms == 0:
            return []
        found: list[float | None] = []
        for _ in range(_FEED_READINGS):
            feed.invalidate()
            began = monotonic_seconds()
            reading = feed.current()
            found.append(None if reading is None else (monotonic_seconds() - began) * 1000)
        return found

    def _seen(self, secret: str, *, now_ms: int) -> int | None:
        """Return when this command saw a secret first, and remember that it has seen it now."""
        meta, name = self._parts.store.meta, f"{_SEEN}{fingerprint(secret)}"
        stored = meta.read(name)
        if stored is not None:
            return int(stored) if stored.isdecimal() else None
        if self._may_write:
            meta.write_once(name, str(now_ms))
        return None


def _refused(error: ConfigurationError) -> Finding:
    what, _, remedy = str(error).partition("; ")
    return fault("tables", what, remedy or "bring them up to date")


def _host_of(database: Any) -> str | None:
    parameters = getattr(database, "connect_params", None) or {}
    host = parameters.get("host")
    return None if host is None or parameters.get("unix_socket") else str(host)


_REMEDIES = {
    "password authentication failed": "mend user or password in the database URL",
    "permission denied for database": "GRANT CONNECT ON DATABASE to the account",
    "access denied": "mend user or password in the database URL, or grant the account its rights",
    "does not exist": "create the database or the account, or mend its name in the URL",
    "unknown database": "create the database, or mend its name in the URL",
    "does not support ssl": "turn TLS on at the server, or leave sslmode out where it is local",
    "ssl negotiation": "mend the port or the scheme of the URL: something else answers there",
    "pg_hba.conf": "let pg_hba.conf of the server take this account from this address",
    "is not allowed to connect": "create the account for this address, too: 'name'@'address'",
    "refused": "start the server; if it runs, mend host and port in the URL",
    "name or service not known": "mend the host in the URL, or the machine's DNS",
    "too many connections": "close what is not used, or raise the server's max_connections",
    "connection slots": "close what is not used, or raise the server's max_connections",
    "lock": "end the program or the transaction that holds a lock on the tables",
    "canceling statement": "end the transaction that holds a lock on the tables",
    "timeout": "see whether a firewall drops packets to the server, or the server hangs",
    "timed out": "see whether a firewall drops packets to the server, or the server hangs",
    "unable to open": "let the account that serves read the file and its folder",
    "not a database": "give the path of an SQLite database; this file is something else",
    "malformed": "restore the file from a backup: it is damaged",
    "certificate": "give the URL the authority's certificate: sslrootcert=… or ssl_ca=…",
}


def _remedy(error: BaseException) -> str:
    """Return what to do, by a part of what the driver says."""
    texts = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause).lower())
        cause = cause.__cause__
    said = " ".join(texts)
    found = [remedy for part, remedy in _REMEDIES.items() if part in said]
    return found[0] if found else "see what the server's own log says"
