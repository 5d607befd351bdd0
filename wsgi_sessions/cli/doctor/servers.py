"""How a database server is set: what loses writes, cuts texts, or is read on the way."""

from __future__ import annotations

from collections.abc import Iterator

from ...storage.inspection import Server
from .findings import Finding, fault, ok, warning

SUBJECT = "server"

_LOCAL = ("", "localhost", "127.0.0.1", "::1")


def check_server(server: Server, *, host: str | None) -> list[Finding]:
    """Return what is wrong with a server; ``host`` is None, or a path, for a unix socket."""
    found = [*_read_only(server), *_durability(server), *_texts(server), *_encryption(server, host)]
    version = server.settings.get("server_version") or server.settings.get("version") or ""
    between = ", through a pooler" if server.is_behind_pooler else ""
    return found or [ok(SUBJECT, f"{server.engine} {version.split(' ')[0]}{between} is well set")]


def no_transaction(refusal: str) -> Finding:
    """Judge what was said to an empty transaction."""
    if "locked" in refusal:
        remedy = "end the program that holds a lock, such as a shell or a backup"
    else:
        remedy = "set pool_mode = transaction or session at the pooler, if there is one"
    return fault(SUBJECT, f"no transaction can begin, so nobody can sign in: {refusal}", remedy)


def _read_only(server: Server) -> Iterator[Finding]:
    if server.settings.get("in_recovery") == "on":
        yield fault(
            SUBJECT,
            "it is a standby: nobody can sign in, and no session can be ended",
            "name the primary; with several hosts in the URL add target_session_attrs=read-write",
        )
    elif server.settings.get("transaction_read_only") == "on":
        yield fault(
            SUBJECT,
            "transactions are read-only by default: nobody can sign in",
            "set default_transaction_read_only = off for this database and role",
        )


def _durability(server: Server) -> Iterator[Finding]:
    settings = server.settings
    if settings.get("fsync") == "off" or settings.get("full_page_writes") == "off":
        yield fault(
            SUBJECT,
            "fsync or full_page_writes is off: a crash of the machine can destroy the database",
            "set both to on",
        )
    if settings.get("synchronous_commit") == "off":
        yield warning(
            SUBJECT,
            "synchronous_commit is off: after a crash, sessions that were just revoked are live "
            "again",
            "set synchronous_commit = on for this database",
        )
    # What one node of Galera loses in a crash the others have.
    is_node = settings.get("wsrep_on") == "on" and settings.get("wsrep_provider") != "none"
    if settings.get("innodb_flush_log_at_trx_commit", "1") != "1" and not is_node:
        yield warning(
            SUBJECT,
            "innodb_flush_log_at_trx_commit is not 1: after a crash, sessions that were just "
            "revoked are live again",
            "set innodb_flush_log_at_trx_commit = 1",
        )


def _texts(server: Server) -> Iterator[Finding]:
    settings = server.settings
    encoding = settings.get("server_encoding", "utf8")
    if encoding != "utf8":
        yield fault(
            SUBJECT,
            f"the database's encoding is {encoding.upper()}: names in other letters are refused",
            "create the database with ENCODING 'UTF8'",
        )
    mode = settings.get("sql_mode")
    if mode is not None and "strict_trans_tables" not in mode and "strict_all_tables" not in mode:
        yield warning(
            SUBJECT,
            "sql_mode is not strict: texts that are too long are cut without a word",
            "add STRICT_TRANS_TABLES to sql_mode",
        )


def _encryption(server: Server, host: str | None) -> Iterator[Finding]:
    is_local = host is None or host in _LOCAL or host.startswith("/")
    if server.is_encrypted is False and not is_local:
        yield warning(
            SUBJECT,
            f"the connection to {host} is not encrypted: who is on the network between reads "
            "e-mail addresses and password hashes",
            "use TLS: ?sslmode=verify-full for PostgreSQL, or ?ssl_ca=… for MariaDB in the URL",
        )
