"""Intercepts one request where its ``SessionMiddleware`` calls the wrapped app.

What acts there in place of the app answers through the middleware and every layer around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from wsgi_sessions.middleware import SessionMiddleware
from wsgi_sessions.transport.environ import REQUEST_KEY
from wsgi_sessions.transport.response_headers import HeaderLines

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_KEY = "wsgi_sessions_testing.interception"


class Interception:
    """What happens to one request at the app that a middleware wraps.

    ``act`` answers it in place of that app; without it the app answers. ``wait`` is called when
    the answer begins, before the middleware sees its headers. ``has_arrived`` is set once the
    request has reached the middleware, and was not answered by a layer around it.
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
    def of(self, environ: WSGIEnvironment) -> Iterator[None]:
        """Intercept the request with this environ, if it is answered within the block."""
        middleware = self._middleware
        interceptor = middleware.app
        if not isinstance(interceptor, _Interceptor):
            interceptor = middleware.app = _Interceptor(interceptor)
        interceptor.open_count += 1
        environ[_KEY] = self
        try:
            yield
        finally:
            interceptor.open_count -= 1
            if not interceptor.open_count and middleware.app is interceptor:
                middleware.app = interceptor.app
            # An answer of the middleware itself, a 503 say, does not call the app.
            self.has_arrived = self.has_arrived or REQUEST_KEY in environ

    def is_for(self, interceptor: object) -> bool:
        """Return whether an interceptor is that of this interception's middleware."""
        return self._middleware.app is interceptor

    def answer(
        self, app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Act, or call the app; 404 if the middleware has passed the request on untouched."""

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


class _Interceptor:
    """Takes the place of the wrapped app while there are requests to intercept."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app
        self.open_count = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        interception = environ.get(_KEY)
        if isinstance(interception, Interception) and interception.is_for(self):
            return interception.answer(self.app, environ, start_response)
        return self.app(environ, start_response)


def inner_app(middleware: SessionMiddleware) -> WSGIApplication:
    """Return the app that a middleware wraps, also while a request is under way."""
    app = middleware.app
    return app.app if isinstance(app, _Interceptor) else app
