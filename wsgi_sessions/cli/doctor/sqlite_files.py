"""The file of an SQLite database, and the folder in which SQLite makes others beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from .findings import Finding, fault, ok, warning

SUBJECT = "file"

_NETWORKED = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "glusterfs", "ceph")
_MAX_WAL_BYTES = 256 * 1024 * 1024
_MIN_FREE_SHARE = 0.05


class File(NamedTuple):
    """What the system says of a file; ``is_open_to_all``: every account can read it."""

    path: Path
    is_there: bool
    is_folder: bool
    is_folder_there: bool
    is_writable: bool
    is_folder_writable: bool
    is_open_to_all: bool
    file_system: str
    wal_bytes: int
    free_share: float


def look_at(path: Path) -> File:
    path = path.absolute()
    is_there, folder = path.exists(), path.parent
    wal = path.with_name(f"{path.name}-wal")
    return File(
        path,
        is_there,
        path.is_dir(),
        folder.is_dir(),
        not is_there or _may_write(path),
        _may_write(folder),
        is_there and _is_open_to_all(path),
        _file_system_of(path),
        wal.stat().st_size if wal.exists() else 0,
        _free_share(folder) if folder.is_dir() else 1.0,
    )


def check_file(file: File) -> list[Finding]:
    found = list(_problems(file))
    return found or [ok(SUBJECT, f"{file.path} and its folder can be written to")]


def _problems(file: File) -> Iterator[Finding]:
    if not file.is_folder_there:
        yield fault(
            SUBJECT,
            f"there is no folder {file.path.parent}",
            "create it, or mend the path; sqlite:///x is within the current folder, and "
            "sqlite:////x begins at the root",
        )
        return
    if file.is_folder:
        yield fault(SUBJECT, f"{file.path} is a folder", "give the path of a file")
        return
    if not file.is_folder_writable:
        yield fault(
            SUBJECT,
            f"the folder {file.path.parent} can't be written to, and SQLite makes files beside "
            "the database",
            "give the folder to the account that serves: chown, or chmod u+w",
        )
    if not file.is_there:
        yield warning(
            SUBJECT,
            f"there is no file {file.path}; it is made at the first use",
            "start the application once; if it has run before, the path is another one: give it "
            "from the root, as sqlite:////folder/file.db",
        )
        return
    if not file.is_writable:
        yield fault(
            SUBJECT,
            f"{file.path} can't be written to: nobody can sign in",
            "give the file to the account that serves: chown, or chmod u+w",
        )
    if file.is_open_to_all:
        yield warning(
            SUBJECT,
            f"every account of this machine can read {file.path}, with addresses and password "
            "hashes in it",
            f"chmod o= {file.path}",
        )
    if file.file_system in _NETWORKED:
        yield fault(
            SUBJECT,
            f"{file.path} is on {file.file_system}, and WAL needs memory that processes share: "
            "on a network the file can be destroyed",
            "put it on a disk of the machine that serves, or use PostgreSQL or MariaDB",
        )
    if file.wal_bytes > _MAX_WAL_BYTES:
        yield warning(
            SUBJECT,
            f"{file.path.name}-wal has {file.wal_bytes // 1_048_576} MiB: somebody keeps a "
            "transaction open, and reading slows down",
            "find the program that holds the file open, such as a shell or a backup, and end it",
        )
    if file.free_share < _MIN_FREE_SHARE:
        yield warning(
            SUBJECT,
            f"the disk has {file.free_share:.0%} left; when it is full, nobody can sign in",
            "make room",
        )


def check_pragmas(settings: Mapping[str, str]) -> list[Finding]:
    """Return how the connections to a file are set; a URL's are set by us."""
    found = []
    mode = settings.get("journal_mode")
    if mode not in ("wal", "memory", None):
        found.append(
            warning(
                SUBJECT,
                f"journal_mode is {mode}: every write makes all readers wait, and a reader the "
                "writers",
                "give the database pragmas={'journal_mode': 'wal'}, or run PRAGMA journal_mode=WAL",
            )
        )
    if settings.get("synchronous") == "0":
        found.append(
            warning(
                SUBJECT,
                "synchronous is off: a crash of the machine can destroy the database",
                "give the database pragmas={'synchronous': 'normal'}",
            )
        )
    if settings.get("query_only") == "1":
        found.append(fault(SUBJECT, "query_only is on: nobody can sign in", "take the pragma out"))
    return found or [ok(SUBJECT, f"journal_mode is {mode}")]


def _may_write(path: Path) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(path, os.W_OK, effective_ids=effective)


def _is_open_to_all(path: Path) -> bool:
    """Return whether others may read the file, and pass every folder on the way to it."""
    if os.name != "posix" or not path.stat().st_mode & 0o004:
        return False
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


def _file_system_of(path: Path) -> str:
    """Return the kind of file system, "" where the system does not tell."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return ""
    longest, kind = "", ""
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, point, found, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if path.is_relative_to(point) and len(point) >= len(longest):
            longest, kind = point, found
    return kind


def _free_share(folder: Path) -> float:
    usage = shutil.disk_usage(folder)
    return usage.free / usage.total if usage.total else 1.0
