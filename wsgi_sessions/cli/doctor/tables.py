"""The tables: whether they are there, are ours, have their indexes, and may be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...storage.inspection import COUNT, Forbidden, MissingIndex
from ...storage.migrations.migration import SchemaStatus
from .findings import Finding, fault, ok, warning

SUBJECT = "tables"


def check_presence(
    missing: Sequence[str], *, count: int, are_made_at_first_use: bool, may_make: bool
) -> list[Finding]:
    if not missing:
        return [ok(SUBJECT, f"all {count} are there")]
    names = ", ".join(missing)
    if not may_make:
        return [
            fault(
                SUBJECT,
                f"this account finds no {names}, and may make no tables",
                "GRANT USAGE, CREATE ON SCHEMA public to the account, or name another schema by "
                "?options=-csearch_path=… in the URL",
            )
        ]
    if len(missing) == count and are_made_at_first_use:
        return [
            warning(
                SUBJECT,
                "none is there yet; they are made at the first use",
                "start the application once; if it has run before, this is another database, or "
                "another table_prefix",
            )
        ]
    remedy = (
        "start the application anew, which makes them; if they are there, grant this account its "
        "rights on them"
        if are_made_at_first_use
        else "call manager.create_tables() once, before serving"
    )
    return [fault(SUBJECT, f"missing: {names}", remedy)]


def outdated(status: SchemaStatus, *, is_automatic: bool) -> Finding:
    """Judge tables of an earlier release."""
    what = f"they have version {status.version}, and this release needs {status.needed}"
    remedy = "see what is to be done by wsgi-sessions migrate --check, and do it without --check"
    if is_automatic:
        return warning(SUBJECT, f"{what}; the next start brings them up to date", remedy)
    return fault(SUBJECT, f"{what}, and auto_migrate is off", remedy)


def check_indexes(missing: Sequence[MissingIndex]) -> list[Finding]:
    if not missing:
        return [ok("indexes", "all are there")]
    return [_missing(index) for index in missing]


def _missing(index: MissingIndex) -> Finding:
    columns = ", ".join(index.columns)
    if index.is_unique:
        return fault(
            "indexes",
            f"{index.table} has no unique index on {columns}: parallel requests can make two rows "
            "where one may be",
            f"remove rows that are there twice, then: {index.sql}",
        )
    return warning(
        "indexes",
        f"{index.table} has no index on {columns}: with many rows, requests or the clean-up read "
        "all of them",
        index.sql,
    )


def check_engines(others: Mapping[str, str]) -> Iterator[Finding]:
    for table, engine in others.items():
        yield fault(
            SUBJECT,
            f"{table} is kept by {engine}, which has no transactions: limits and ends of sessions "
            "do not hold",
            f"ALTER TABLE `{table}` ENGINE=InnoDB",
        )


def check_collations(folding: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    for table, columns in folding.items():
        yield fault(
            SUBJECT,
            f"{', '.join(columns)} of {table} are not compared byte by byte in utf8mb4: two ids "
            "that differ by case, or two addresses, count as one",
            f"ALTER TABLE `{table}` CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        )


def check_rights(forbidden: Sequence[Forbidden], *, count: int) -> list[Finding]:
    if not forbidden:
        return [ok("rights", "this account may do all that is needed")]
    reason = forbidden[0].reason
    tables = sorted({each.table for each in forbidden})
    actions = sorted({each.action for each in forbidden})
    if "read-only" in reason or "readonly" in reason:
        return [
            fault(
                "rights",
                f"the database can't be written to: {reason}",
                "name the server that is written to, not a standby or a copy; of a file, make it "
                "and its folder writable for the account that serves",
            )
        ]
    if actions == [COUNT]:
        return [
            fault(
                "rights",
                f"this account may not take the next number for {tables[0]}: no session can be "
                "ended",
                f"GRANT USAGE ON SEQUENCE {tables[0]}_id_seq to the account",
            )
        ]
    actions = [action for action in actions if action != COUNT]
    where = "all tables" if len(tables) >= count else ", ".join(tables)
    return [
        fault(
            "rights",
            f"this account may not {', '.join(actions)} {where}: {reason}",
            f"GRANT {', '.join(actions)} ON {where} to the account",
        )
    ]
