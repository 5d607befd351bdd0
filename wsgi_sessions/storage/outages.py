"""What is the matter with a database; an outage's cause and end are logged, once each.

No password is shown, and no value of a row.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote

from ..clock import monotonic_ms

if TYPE_CHECKING:
    from ..log_fields import LineName

logger = logging.getLogger("wsgi_sessions")

_MAX_TEXT = 600
_DATABASE_MODULES = frozenset(
    {"wsgi_sessions", "peewee", "sqlite3", "psycopg", "psycopg2", "pymysql", "MySQLdb"}
)
_IN_URL = r"(://[^\s/@:]*):[^\s/]*@"
_IN_SETTINGS = r"(?i)((?:password|passwd|pwd)['\"]?\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s,;&)]+)"


HealthStatus = Literal["ok", "slow", "busy", "not_migrated", "away"]


class Health(NamedTuple):
    """Whether sessions can be used, as ``manager.check_health()`` has found it.

    ``status``: ``ok``; ``slow``, the database answers, but late, or a lock holds it up; ``busy``,
    no connection is free; ``not_migrated``, its tables are missing, of another version or not as
    they have to be; ``away``, it does not answer. ``detail`` says more, for you and not for
    clients: it may name hosts and users, but no password.
    """

    status: HealthStatus
    latency_ms: int = 0
    detail: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether the status is ``ok``."""
        return self.status == "ok"


class Outages:
    def __init__(self, database: Any) -> None:
        self._database = database
        self._began_ms: int | None = None
        self.is_away = False
        """Whether it did not answer when it was last used."""
        self.count = 0
        """How often it has begun not to."""

    def begin(self, error: BaseException) -> None:
        """Log why the database does not answer, unless that is logged already."""
        if self.is_away:
            return
        self.is_away = True
        self.count += 1
        self._began_ms = monotonic_ms()
        logger.error(
            "%s; what needs it is answered 503 until it does",
            self.explain(error),
            extra=_log_fields("database_away"),
        )

    def end(self) -> None:
        if not self.is_away:
            return
        self.is_away = False
        seconds = (monotonic_ms() - (self._began_ms or 0)) / 1000
        logger.warning(
            "the database %s answers again, after %.0f s",
            self._place(),
            seconds,
            extra=_log_fields("database_back", seconds=round(seconds)),
        )

    def explain(self, error: BaseException) -> str:
        """Return which database does not answer, and why, as the driver has it."""
        return f"the database {self._place()} does not answer: {self.reason(error)}"

    def _place(self) -> str:
        parameters = self._parameters()
        if self._database.deferred:
            return type(self._database).__name__
        name = str(self._database.database)
        host = parameters.get("host") or parameters.get("unix_socket")
        port = f":{parameters['port']}" if parameters.get("port") else ""
        return self._without_password(f"{name} on {host}{port}" if host else name)

    def reason(self, error: BaseException) -> str:
        """Return what went wrong, with its causes."""
        cause = error.__cause__
        names_the_class_alone = str(error).endswith(f"({type(cause).__name__})")
        texts = [] if cause is not None and names_the_class_alone else [str(error)]
        while cause is not None and len(texts) < 5:
            text = f"{type(cause).__name__}: {cause}"
            if text not in texts:
                texts.append(text)
            cause = _error_before(cause)
        return self._without_password(" / ".join(texts))

    def _without_password(self, text: str) -> str:
        parameters = self._parameters()
        for name in ("password", "passwd"):
            password = str(parameters.get(name) or "")
            for form in {password, quote(password, safe="")} - {""}:
                text = text.replace(form, "***")
        text = re.sub(_IN_URL, r"\1:***@", text)
        text = re.sub(_IN_SETTINGS, r"\1***", text)
        return " ".join(text.split())[:_MAX_TEXT]

    def _parameters(self) -> dict[str, Any]:
        return getattr(self._database, "connect_params", None) or {}


def _log_fields(line: LineName, **details: Any) -> dict[str, Any]:
    from ..log_fields import log_fields  # most databases are never away

    return log_fields(line, details=details)


def _error_before(error: BaseException) -> BaseException | None:
    """Return the error that led to another, as that of a statement to that of its roll-back.

    Neither an error that the application was handling, nor a refused row, whose text has values.
    """
    if error.__cause__ is not None:
        return error.__cause__ if error.__cause__ is not error else None
    context = error.__context__
    if context is None or type(context).__module__.partition(".")[0] not in _DATABASE_MODULES:
        return None
    is_refusal = any(kind.__name__ == "IntegrityError" for kind in type(context).__mro__)
    return None if is_refusal else context
