"""Worker processes and threads against forks, the pool, and the server's limit of connections."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ...config.settings import SessionConfig
from ...errors import ConfigurationError
from ...storage.inspection import Server
from .findings import Finding, fault, ok, warning

SUBJECT = "workers"
CONNECTIONS = "connections"

WORKER_CLASSES = ("sync", "gthread", "gevent", "eventlet", "uwsgi", "waitress", "tornado")
_GREEN = ("gevent", "eventlet")
_GREENLETS = 1000
"""gunicorn's default of ``--worker-connections``."""
_DEFAULT_TIMEOUT_S = 30
_SAFE_SHARE = 0.8
_VARIABLE = re.compile(r"[0-9]{1,6}")


class Deployment(NamedTuple):
    """How the application is served, as far as it is known."""

    workers: int | None = None
    threads: int | None = None
    worker_class: str | None = None
    timeout_s: int | None = None
    is_preloaded: bool = False

    @property
    def is_green(self) -> bool:
        return self.worker_class in _GREEN

    @property
    def parallel(self) -> int | None:
        """How many requests one process serves at a time, None if that is not known."""
        if self.threads is not None:
            return self.threads
        return _GREENLETS if self.is_green else 1 if self.worker_class == "sync" else None


class Store(NamedTuple):
    """How this process reaches the database."""

    is_server: bool
    is_in_memory: bool
    is_owned: bool
    is_thread_safe: bool
    pool_size: int | None
    """The most connections a process opens; None for one to each thread."""


def deployment_from(environ: Mapping[str, str]) -> Deployment:
    """Read what gunicorn reads; raises ``ConfigurationError`` for a number that is none.

    >>> deployment_from({"WEB_CONCURRENCY": "4", "GUNICORN_CMD_ARGS": "-k gthread --threads=8"})
    Deployment(workers=4, threads=8, worker_class='gthread', timeout_s=None, is_preloaded=False)
    """
    words = shlex.split(environ.get("GUNICORN_CMD_ARGS", ""))
    given: dict[str, str] = {}
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        following = words[place + 1] if place + 1 < len(words) else ""
        given[name] = value if equals else following
    workers = given.get("--workers") or given.get("-w") or environ.get("WEB_CONCURRENCY")
    return Deployment(
        _number("workers", workers),
        _number("threads", given.get("--threads")),
        given.get("--worker-class") or given.get("-k"),
        _number("timeout", given.get("--timeout") or given.get("-t")),
        "--preload" in given,
    )


def _number(name: str, text: str | None) -> int | None:
    if not text:
        return None
    if not _VARIABLE.fullmatch(text):
        raise ConfigurationError(
            f"the {name} of GUNICORN_CMD_ARGS or WEB_CONCURRENCY are {text!r}; give a number"
        )
    return int(text)


def check_workers(deployment: Deployment, store: Store, config: SessionConfig) -> list[Finding]:
    found = [
        *_memory(deployment, store),
        *_green(deployment, store),
        *_threads(deployment, store),
        *_patience(deployment, config),
    ]
    if found:
        return found
    if deployment == Deployment():
        return [
            ok(
                SUBJECT,
                "nothing is known of the server; say --workers, --threads and --worker-class to "
                "have them held against the pool and the database",
            )
        ]
    return [ok(SUBJECT, "no connection crosses a fork, and each thread finds one in the pool")]


def _memory(deployment: Deployment, store: Store) -> Iterator[Finding]:
    if store.is_in_memory and deployment.workers != 1:
        yield fault(
            SUBJECT,
            "the database is in the memory of one process: each worker has other sessions, and "
            "all end with it",
            "give a file (sqlite:////folder/app.db) or a server",
        )


def _green(deployment: Deployment, store: Store) -> Iterator[Finding]:
    if not deployment.is_green:
        return
    if not store.is_server:
        yield warning(
            SUBJECT,
            f"{deployment.worker_class} can't switch while SQLite waits for the disk or a lock: "
            "all requests of the worker wait with it",
            "use gthread workers, or PostgreSQL or MariaDB",
        )
    if deployment.is_preloaded:
        yield fault(
            SUBJECT,
            f"--preload loads the application before {deployment.worker_class} has patched the "
            "standard library: its locks are those of threads, and a worker can stand still",
            "leave --preload out",
        )


def _threads(deployment: Deployment, store: Store) -> Iterator[Finding]:
    parallel = deployment.parallel
    if parallel is None:
        return
    if parallel > 1 and not store.is_thread_safe:
        yield fault(
            SUBJECT,
            "the database was made with thread_safe=False, and several threads use it",
            "leave thread_safe out",
        )
    # Of greenlets there are as many as of clients, and few of them use the database at a time.
    if (
        not deployment.is_green
        and not store.is_in_memory
        and store.pool_size is not None
        and parallel > store.pool_size
    ):
        yield warning(
            SUBJECT,
            f"{parallel} threads share {store.pool_size} connections (max_connections): under "
            "load they wait for each other",
            f"raise max_connections to {parallel}, or lower the number of threads",
        )


def _patience(deployment: Deployment, config: SessionConfig) -> Iterator[Finding]:
    if deployment.worker_class not in (None, "sync"):
        return  # with threads and greenlets gunicorn only watches whether the process is alive
    timeout_s = deployment.timeout_s
    if timeout_s is None and deployment.worker_class == "sync":
        timeout_s = _DEFAULT_TIMEOUT_S
    if timeout_s and config.database_patience_ms >= timeout_s * 1000:
        yield warning(
            SUBJECT,
            f"database_patience is {config.database_patience_ms // 1000} s and gunicorn kills a "
            f"worker after {timeout_s} s: while the database is away, workers die in place of "
            "answering 503",
            "set database_patience well below gunicorn's --timeout",
        )


def check_connections(deployment: Deployment, store: Store, server: Server) -> list[Finding]:
    """Hold what all workers may open against what the server lets this account have."""
    limit = server.max_connections
    if not store.is_server or limit is None:
        return []
    now = f"{server.connection_count} are open now" if server.connection_count else ""
    if server.is_behind_pooler:
        return [
            ok(
                CONNECTIONS,
                f"a pooler stands between: its default_pool_size and max_client_conn count, and "
                f"the server allows {limit}",
            )
        ]
    each = _each(deployment, store)
    if deployment.workers is None or each is None:
        return [ok(CONNECTIONS, f"the server allows this account {limit}; {now}")]
    total = deployment.workers * each
    what = f"{deployment.workers} workers open up to {each} each, {total} together, and the server"
    remedy = (
        "lower max_connections, threads or workers, raise the server's max_connections, or put a "
        "pooler between"
    )
    if total > limit:
        return [fault(CONNECTIONS, f"{what} allows this account {limit}: the rest get 503", remedy)]
    if total > limit * _SAFE_SHARE:
        return [
            warning(
                CONNECTIONS,
                f"{what} allows this account {limit}: little is left for a restart, in which old "
                "and new workers are there at once",
                remedy,
            )
        ]
    return [ok(CONNECTIONS, f"{what} allows this account {limit}; {now}")]


def _each(deployment: Deployment, store: Store) -> int | None:
    """Return how many connections one worker may open: one for each request under way, at most."""
    known = [size for size in (deployment.parallel, store.pool_size) if size is not None]
    return min(known) if known else None
