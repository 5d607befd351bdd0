"""``HealthApp``: tells load balancers and monitoring whether sessions can be used."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from ..clock import monotonic_ms, ms_from_duration
from ..config.fields import Duration
from ..fork_safety import notice_fork, renew_locks_in_child
from ..manager import SessionManager
from ..records import ReadOptions
from ..request_errors import MethodNotAllowedError
from ..storage.outages import Health
from ..transport.response_headers import protections
from ..wsgi.arguments import check_manager
from ..wsgi.refusals import refusal_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_PAUSE_MS = 1000
"""What was found is told to whoever asks within this: nobody keeps the database busy so."""


class HealthApp:
    """A WSGI application that answers 200 while sessions can be used, and else 503.

    The body is JSON with the ``status`` of ``manager.check_health()`` and nothing else: anybody
    may read it. ``SessionMiddleware`` answers so under the setting ``health_path``; to answer on
    another port, or with other limits, mount this.
    """

    path_setting: ClassVar[str] = "health_path"

    def __init__(
        self, manager: SessionManager, *, timeout: Duration = 2, slow_after: Duration = 1
    ) -> None:
        check_manager(manager, call="HealthApp(manager)")
        self._manager = manager
        self._timeout, self._slow_after = timeout, slow_after
        self._found: tuple[int, Health] | None = None
        self.renew_locks()
        renew_locks_in_child(self)

    def renew_locks(self) -> None:
        """Replace the lock by a free one: in a forked child nobody is looking."""
        self._lock = threading.Lock()

    def read_options(self, environ: WSGIEnvironment) -> ReadOptions:  # noqa: ARG002  no session is needed
        return ReadOptions(allow_refresh=False)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        method = environ.get("REQUEST_METHOD", "GET")
        if method not in ("GET", "HEAD"):
            refusal = refusal_of(MethodNotAllowedError("GET, HEAD"))
            headers, body = refusal.answer(is_program=True)
            start_response(refusal.status_line, [*headers, ("Content-Length", str(len(body)))])
            return [body]
        status = self._look()
        body = json.dumps({"status": status}).encode()
        headers += [("Content-Length", str(len(body))), *protections()]
        start_response("200 OK" if status == "ok" else "503 Service Unavailable", headers)
        return [] if method == "HEAD" else [body]

    def _look(self) -> str:
        notice_fork()
        # Whoever comes meanwhile waits no longer than whoever looks.
        if not self._lock.acquire(timeout=ms_from_duration(self._timeout) / 1000):
            return "busy"
        try:
            if self._found is None or monotonic_ms() - self._found[0] >= _PAUSE_MS:
                health = self._manager.check_health(
                    timeout=self._timeout, slow_after=self._slow_after
                )
                self._found = monotonic_ms(), health
            return self._found[1].status
        finally:
            self._lock.release()

    def __repr__(self) -> str:
        return f"HealthApp({self._manager!r})"
