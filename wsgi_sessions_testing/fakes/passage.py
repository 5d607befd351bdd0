"""How a request gets through an app's layers to its ``SessionMiddleware``, and acts there.

Must not add anything to an answer: what is done in place of the wrapped app travels out
through the middleware and every layer around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from wsgi_sessions.transport.environ import REQUEST_KEY
from wsgi_sessions.transport.response_headers import HeaderLines
from wsgi_sessions.wsgi.middleware import SessionMiddleware

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Passage", "wrapped_by"]

PASSAGE_KEY = "wsgi_sessions_testing.fakes.passage"


class Passage:
    """One request's way in.

    ``act`` answers it in place of the app within the middleware, None leaves that to the app.
    ``wait`` is called when the app begins its answer, before the middleware knows of it.
    ``has_arrived``: the request got there, and was not answered by a layer further out.
    """

    def __init__(
        self,
        middleware: SessionMiddleware,
        act: Callable[[WSGIEnvironment], None] | None = None,
        *,
        wait: Callable[[], None] | None = None,
    ) -> None:
        self.has_arrived = False
        self._middleware = middleware
        self._act = act
        self._wait = wait

    @contextmanager
    def open(self, environ: WSGIEnvironment) -> Iterator[None]:
        """Have a request meet this passage for as long as it is being answered."""
        middleware = self._middleware
        gate = middleware.app
        if not isinstance(gate, _Gate):
            gate = middleware.app = _Gate(gate)
        gate.guest_count += 1
        environ[PASSAGE_KEY] = self
        try:
            yield
        finally:
            gate.guest_count -= 1
            if not gate.guest_count and middleware.app is gate:
                middleware.app = gate.app
            # A refusal of the middleware's own, a 503 say, has not got further.
            self.has_arrived = self.has_arrived or REQUEST_KEY in environ

    def is_through(self, gate: object) -> bool:
        """Tell whether a gate is that of the middleware this passage is meant for."""
        return self._middleware.app is gate

    def answer(
        self,
        app: WSGIApplication,
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        """Act, or hand on to the app; 404 where the middleware itself lets the request pass."""

        def begin(status: str, headers: HeaderLines, *exc_info: Any) -> Any:
            if self._wait is not None:
                self._wait()
            return start_response(status, headers, *exc_info)

        if self._act is None:
            self.has_arrived = True
            return app(environ, begin)
        status = "404 Not Found"
        if REQUEST_KEY in environ:
            self.has_arrived = True
            self._act(environ)
            status = "200 OK"
        begin(status, [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return [b""]


class _Gate:
    """Stands before the wrapped app while requests with a passage are under way."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app
        self.guest_count = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        passage = environ.get(PASSAGE_KEY)
        if isinstance(passage, Passage) and passage.is_through(self):
            return passage.answer(self.app, environ, start_response)
        return self.app(environ, start_response)


def wrapped_by(middleware: SessionMiddleware) -> WSGIApplication:
    """Return the app that a middleware wraps, also while a request is under way."""
    app = middleware.app
    return app.app if isinstance(app, _Gate) else app
