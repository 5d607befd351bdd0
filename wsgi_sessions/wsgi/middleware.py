"""The WSGI middleware (PEP 3333): serves an app, with endpoints of ours beside it."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..config.exempt_paths import is_exempt
from ..config.settings import SessionConfig
from ..errors import AnswerableError, StoreUnavailableError
from ..manager import SessionManager
from ..parts import check_database
from ..records import ReadOptions
from ..storage.time_budget import Budget, request_budget
from ..transport.environ import REQUEST_KEY, asks_for_json, without_sessions
from ..transport.response_headers import HeaderLines, with_our_headers
from .arguments import check_app, check_manager
from .exchange import Exchange
from .refusals import refusal_of
from .served import find_exchange

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from .request import SessionRequest

_AS_USUAL = ReadOptions()
_FILE_WRAPPER_KEY = "wsgi.file_wrapper"
_DONE = (list, tuple)
"""Bodies that run no code; a subclass may."""
_CALL = "SessionMiddleware(app, manager)"


class Endpoints(Protocol):
    """A WSGI app of ours that answers some paths in place of the wrapped app."""

    path_setting: ClassVar[str]
    """The setting that says under which path they answer."""

    def read_options(self, environ: WSGIEnvironment) -> ReadOptions:
        """Return how the session of a request is to be read."""
        ...

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer; the environ carries the same keys as the wrapped app's."""
        ...


FindEndpoints = Callable[[SessionManager], Iterable[Endpoints]]


class Middleware:
    """``SessionMiddleware`` without endpoints of its own: these are given."""

    def __init__(
        self,
        app: WSGIApplication,
        manager: SessionManager,
        *,
        find_endpoints: FindEndpoints = lambda _manager: (),
    ) -> None:
        check_app(app, call=_CALL)
        check_manager(manager, call=_CALL)
        self.app = app
        self.manager = manager
        check_database(manager.parts)
        self._endpoints = tuple(find_endpoints(manager))
        self._find_roots(manager.parts.config)

    def _find_roots(self, config: SessionConfig) -> None:
        """Note where the endpoints answer: no other request is to cost a call of theirs."""
        roots = [(getattr(config, each.path_setting), each) for each in self._endpoints]
        self._roots = [(root, len(root), each) for root, each in roots if root is not None]
        self._rooted_in = config

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        config = self.manager.parts.config
        if config.exempt_paths and is_exempt(path, config.exempt_paths):
            return self.app(without_sessions(environ), start_response)
        if self._rooted_in is not config:
            self._find_roots(config)
        if request_budget.get() is not None:  # that of an outer middleware holds
            return self._answer_within_budget(environ, start_response, path)
        token = request_budget.set(Budget(config.database_patience_ms))
        try:
            return self._answer_within_budget(environ, start_response, path)
        finally:
            request_budget.reset(token)

    def _answer_within_budget(
        self, environ: WSGIEnvironment, start_response: StartResponse, path: str
    ) -> Iterable[bytes]:
        app, options = self.app, _AS_USUAL
        config = self.manager.parts.config
        runs_without_database = config.on_database_error == "anonymous"
        for root, length, endpoints in self._roots:
            if path[:length] == root and path[length : length + 1] in ("", "/"):
                app, options = endpoints, endpoints.read_options(environ)
                runs_without_database = True
                break
        exchange: Exchange | None = None
        outer: SessionRequest | None = None
        if REQUEST_KEY in environ:
            exchange = find_exchange(environ, self.manager)
            innermost = environ[REQUEST_KEY]
            if exchange is None or innermost is not exchange.handle:
                # What is outside of this keeps another manager's keys.
                environ = dict(environ)
            if exchange is not None and exchange.is_within(environ):
                exchange.join(environ)
                if options.authoritative:
                    exchange.ask_database()
                return app(environ, start_response)
            outer = innermost if exchange is None else exchange.outer
            if exchange is not None and exchange.may_restart(environ):
                exchange.restart(environ)
            else:
                exchange = None
        is_new = exchange is None
        if exchange is None:
            exchange = Exchange(self.manager, environ, outer=outer)
        response = _Response(exchange, environ, start_response)
        if is_new:
            try:
                exchange.validate(options)
            except StoreUnavailableError as error:
                if not runs_without_database:
                    return response.refuse(error)
                response.report(error)
        return response.run(app)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.app!r})"


class _Response:
    """What an app answers to one request, on its way to the server.

    Headers with a cookie that has a date are held until the first bytes of the body, with which a
    server sends them (PEP 3333). That can take minutes, after which the cookie must not be sent.
    """

    has_begun = False
    held: tuple[str, HeaderLines] | None = None
    _write: Callable[[bytes], object] | None = None
    """What the server returned for headers that were held."""

    def __init__(
        self, exchange: Exchange, environ: WSGIEnvironment, start_response: StartResponse
    ) -> None:
        self.exchange = exchange
        self.environ = environ
        self.start_response = start_response

    def run(self, app: WSGIApplication) -> Iterable[bytes]:
        """Call the app; a refusal that it raises is answered in its place."""
        files = _FileWatch(self.environ) if _FILE_WRAPPER_KEY in self.environ else None
        self.exchange.is_serving = True
        is_returned = False
        try:
            answer = self._finish(app(self.environ, self.start), files)
            is_returned = True
            return answer
        except AnswerableError as error:
            # exc_info only replaces headers that were given before (PEP 3333); without such some
            # servers and test clients raise it.
            has_started = self.has_begun and self.held is None
            return self.refuse(error, sys.exc_info() if has_started else None)
        finally:
            if not is_returned:
                self.exchange.is_serving = False

    def start(self, status: str, headers: HeaderLines, exc_info: Any = None) -> Any:
        """Take the app's headers, as its ``start_response``, and add ours."""
        exchange = self.exchange
        if exc_info is not None:
            # The app's transaction may have undone something since the first headers.
            exchange.undo_begin()
        ours = exchange.begin(headers)
        self.has_begun = True
        if exc_info is None:
            if self.held is not None:
                self.send_held()  # a second start: the server raises
            elif ours and self._write is None and exchange.has_dated_cookies:
                self.held = status, list(headers)
                return self._write_held
            try:
                return self.start_response(status, with_our_headers(headers, ours))
            except BaseException:
                exchange.undo_begin()
                raise
        try:
            write = self.start_response(status, with_our_headers(headers, ours), exc_info)
            # In place of those that were held; the app may still call our ``write``.
            self.held, self._write = None, write
            return write
        finally:
            exc_info = None  # PEP 3333: no circular reference through the traceback

    def send_held(self) -> None:
        if self.held is not None:
            status, headers = self.held
            self.held = None
            headers = with_our_headers(headers, self.exchange.cookies_now())
            self._write = self.start_response(status, headers)

    def _write_held(self, data: bytes) -> None:
        self.send_held()
        assert self._write is not None
        self._write(data)

    def _finish(self, iterable: Iterable[bytes], files: _FileWatch | None) -> Iterable[bytes]:
        """Return the app's iterable, wrapped only if something of ours remains to be done.

        A body that runs code can still change the session's data; a list cannot. A server may
        need the app's own object, as it does to send a file.
        """
        exchange, parts = self.exchange, self.exchange.parts
        is_done = type(iterable) in _DONE
        is_file = not is_done and files is not None and files.is_file(iterable)
        runs_code = not (is_done or is_file)
        if self.held is not None and not runs_code:
            self.send_held()
        if self.held is not None:
            finishing = _Finishing(iterable, self)
            finishing.take_first_step()
            return finishing
        if not self.has_begun or (runs_code and exchange.session is not None):
            return _Finishing(iterable, self)
        session = exchange.session
        exchange.release()
        now_ms = parts.clock.now_ms() if session is None else session.judged_at_ms
        if not is_file and now_ms not in parts.purger.rest_ms:
            return _Finishing(iterable, self)
        return iterable

    def report(self, error: AnswerableError) -> None:
        if isinstance(error, StoreUnavailableError):
            self.exchange.parts.events.emit("database_error", details={"error": error})

    def refuse(self, error: AnswerableError, exc_info: Any = None) -> Iterable[bytes]:
        """Answer in the app's place, with the cookies of what it did before it failed."""
        self.report(error)
        refusal = refusal_of(error, self.environ)
        headers, body = refusal.answer(is_program=asks_for_json(self.environ))
        headers.append(("Content-Length", str(len(body))))
        headers = with_our_headers(headers, self.exchange.begin_without_app())
        try:
            if exc_info is None:
                self.start_response(refusal.status_line, headers)
            else:
                self.start_response(refusal.status_line, headers, exc_info)
        except SystemError as failure:
            # uWSGI takes the headers, and then leaves the exception set that it was handed.
            if exc_info is None or failure.__cause__ is not exc_info[1]:
                raise
        finally:
            exc_info = None  # PEP 3333: no circular reference through the traceback
        return [] if self.exchange.facts.method == "HEAD" else [body]


class _Finishing:
    """An app's iterable; at its end and after its ``close()`` something of ours is done.

    Held headers are given to the server before the first bytes.
    """

    __slots__ = ("_inner", "_response", "_steps", "_taken")

    def __init__(self, inner: Iterable[bytes], response: _Response) -> None:
        self._inner = inner
        self._response = response
        self._taken: list[bytes] = []
        self._steps: Iterator[bytes] | None = None

    def take_first_step(self) -> None:
        """Take the first chunk now, so that held headers are sent before this is returned.

        Not every outer layer accepts headers during iteration: Bottle's ``mount()`` does not.
        """
        self._steps = self._run()
        try:
            self._taken = list(itertools.islice(self._steps, 1))
        except BaseException:
            self.close()  # as nobody else gets this object to close
            raise

    def __iter__(self) -> Iterator[bytes]:
        if self._steps is None:
            return self._run()
        return itertools.chain(self._taken, self._steps)

    def _run(self) -> Iterator[bytes]:
        response, has_sent = self._response, False
        try:
            for chunk in self._inner:
                response.send_held()
                has_sent = has_sent or bool(chunk)
                yield chunk
            response.send_held()
            # Not only at close(): a server marks a chunked body's end before it calls that,
            # and this client's next request must find what the body has set.
            response.exchange.save_streamed()
        except AnswerableError as error:
            if has_sent:
                response.report(error)
                raise
            yield from response.refuse(error, sys.exc_info() if response.held is None else None)

    def close(self) -> None:
        try:
            close = getattr(self._inner, "close", None)
            if close is not None:
                close()
        finally:
            self._response.exchange.finish()


class _FileWatch:
    """Files that a server sends by itself: what its ``wsgi.file_wrapper`` made (PEP 3333).

    They are returned as they are, since the server needs the very object that its wrapper made.
    Most servers give a type, so ``isinstance`` recognises what it made. uWSGI gives a function
    that returns the file itself: there the app gets one that also remembers its results. A type
    is left as it is, as applications ask ``isinstance(x, environ["wsgi.file_wrapper"])``.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        self._wrap: Any = environ[_FILE_WRAPPER_KEY]
        self._made: list[Any] = []
        if callable(self._wrap) and not isinstance(self._wrap, type):
            environ[_FILE_WRAPPER_KEY] = self._make

    def is_file(self, iterable: Any) -> bool:
        if isinstance(self._wrap, type):
            return isinstance(iterable, self._wrap)
        return any(made is iterable for made in self._made)

    def _make(self, *args: Any, **kwargs: Any) -> Any:
        made = self._wrap(*args, **kwargs)
        self._made.append(made)
        return made
