"""``SessionMiddleware``: the PEP 3333 door and nothing else.

Must not judge, look up or write sessions: it has that done before the app runs, and adds the
cookies to a copy of the app's headers.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..config.exempt_paths import is_exempt
from ..errors import AnswerableError, StoreUnavailableError
from ..manager import SessionManager
from ..records import ReadOptions
from ..storage.time_budget import begin_budget, end_budget
from ..transport.environ import REQUEST_KEY, find_handle, without_sessions
from ..transport.response_headers import HeaderLines, with_our_headers
from .arguments import check_app, check_manager
from .file_wrapper import FILE_WRAPPER_KEY, FileWatch
from .refusals import refusal_of
from .request import SessionRequest

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from .exchange import Exchange

__all__ = ["Endpoints", "SessionMiddleware"]

_AS_USUAL = ReadOptions()
_CALL = "SessionMiddleware(app, manager)"


class Endpoints(Protocol):
    """A WSGI app of ours that answers some paths in place of the wrapped app."""

    def answers(self, path: str) -> bool:
        """Tell whether a PATH_INFO is ours."""
        ...

    def read_options(self, environ: WSGIEnvironment) -> ReadOptions:
        """Tell how the session of a request is to be read."""
        ...

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer; the environ carries the same keys as the wrapped app's."""
        ...


class SessionMiddleware:
    """Wraps any WSGI app and puts the session into its environ.

    The app finds ``wsgi_sessions.session``, ``.user``, ``.request`` and ``.end_reason``.
    While the database is away the answer is 503 with ``Retry-After``; with
    ``on_database_error="anonymous"`` the app runs and sees a visitor.

    Raises ``ConfigurationError`` for what is no application or no ``SessionManager``.
    """

    endpoint_factories: ClassVar[list[Callable[[SessionManager], Endpoints]]] = []
    """What makes the endpoints served beside every wrapped app: the JSON API."""

    def __init__(self, app: WSGIApplication, manager: SessionManager) -> None:
        check_app(app, call=_CALL)
        check_manager(manager, call=_CALL)
        self.app = app
        self.manager = manager
        manager.check_database()
        self._endpoints = tuple(make(manager) for make in self.endpoint_factories)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        path = environ.get("PATH_INFO", "")
        exempt_paths = self.manager.config.exempt_paths
        if exempt_paths and is_exempt(path, exempt_paths):
            return self.app(without_sessions(environ), start_response)
        budget = begin_budget(self.manager.config.database_patience_ms)
        try:
            return self._answer_within_budget(environ, start_response, path)
        finally:
            end_budget(budget)

    def _answer_within_budget(
        self, environ: WSGIEnvironment, start_response: StartResponse, path: str
    ) -> Iterable[bytes]:
        app, options = self.app, _AS_USUAL
        runs_without_database = self.manager.config.on_database_error == "anonymous"
        for endpoints in self._endpoints:
            if endpoints.answers(path):
                app, options = endpoints, endpoints.read_options(environ)
                runs_without_database = True
                break
        request: SessionRequest | None = None
        outer: Exchange | None = None
        if REQUEST_KEY in environ:
            handle = find_handle(environ, self.manager)
            if environ[REQUEST_KEY] is not handle:
                # Another manager's keys stay what they are for whatever is outside of this.
                environ = dict(environ)
            if handle is not None and handle.is_within(environ):
                handle.join(environ)
                if options.authoritative:
                    handle.ask_database()
                return app(environ, start_response)
            if handle is not None and handle.may_go_on(environ):
                request = handle
                request.go_on(environ)
            outer = environ[REQUEST_KEY] if handle is None else handle.outer
        if request is None:
            request = SessionRequest(self.manager, environ, outer=outer)
            try:
                request.validate(options)
            except StoreUnavailableError as error:
                self.manager.events.emit("database_error", details={"error": error})
                if not runs_without_database:
                    return _answer(error, request, start_response)
        return self._serve(app, request, environ, start_response)

    def _serve(
        self,
        app: WSGIApplication,
        request: SessionRequest,
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        files = FileWatch(environ) if FILE_WRAPPER_KEY in environ else None
        has_begun = False
        held: list[_HeldHeaders] = []

        def begin(status: str, headers: HeaderLines, exc_info: Any = None) -> Any:
            nonlocal has_begun
            if exc_info is not None:
                # What the app's transaction has undone since the headers before is settled anew.
                request.take_back_beginning()
            ours = request.begin(headers)
            has_begun = True
            if exc_info is None:
                if held:
                    held.pop().start()  # twice: the server says that it was begun before
                elif ours and request.has_dated_cookies:
                    held.append(_HeldHeaders(status, headers, request, start_response))
                    return held[0].write
                try:
                    return start_response(status, with_our_headers(headers, ours))
                except BaseException:
                    request.take_back_beginning()
                    raise
            try:
                write = start_response(status, with_our_headers(headers, ours), exc_info)
                if held:
                    held.pop().give_way(write)
                return write
            finally:
                exc_info = None  # PEP 3333: no circular reference through the traceback

        request.is_serving = True
        is_handed_back = False
        try:
            iterable = app(environ, begin)
            answer = self._hand_back(request, iterable, start_response, has_begun, files, held=held)
            is_handed_back = True
            return answer
        except AnswerableError as error:
            if isinstance(error, StoreUnavailableError):
                self.manager.events.emit("database_error", details={"error": error})
            # Only headers that were given before are replaced (PEP 3333); some servers and
            # test clients raise what they are handed here, whatever they have sent.
            is_told = has_begun and not (held and held[0].is_waiting)
            exc_info = sys.exc_info() if is_told else None
            return _answer(error, request, start_response, exc_info=exc_info)
        finally:
            if not is_handed_back:
                request.is_serving = False

    def _hand_back(
        self,
        request: SessionRequest,
        iterable: Iterable[bytes],
        start_response: StartResponse,
        has_begun: bool,
        files: FileWatch | None,
        *,
        held: list[_HeldHeaders],
    ) -> Iterable[bytes]:
        """Return the app's iterable, as it is unless something of ours remains to be done.

        A body that runs code may yet touch the session's data. A list is done; the server may
        want this very object, as it does to send a file.
        """
        is_done = isinstance(iterable, (list, tuple))
        is_file = not is_done and files is not None and files.is_file(iterable)
        runs_code = not (is_done or is_file)
        if held and not runs_code:
            held.pop().start()
        if not has_begun or held or (runs_code and request.session is not None):
            finishing = _Finishing(iterable, request, start_response, held)
            if held:
                finishing.take_first_step()
            return finishing
        request.save_streamed()
        request.let_go()
        if self.manager.purger.is_due() and not is_file:
            return _Finishing(iterable, request, start_response, held)
        return iterable

    def __repr__(self) -> str:
        return f"SessionMiddleware({self.app!r})"


class _HeldHeaders:
    """Headers that wait for the body: a server sends them with its first bytes (PEP 3333).

    Until then minutes may pass, and a cookie that was decided before must not go out.
    """

    __slots__ = ("_headers", "_request", "_start_response", "_status", "_write")

    def __init__(
        self,
        status: str,
        headers: HeaderLines,
        request: SessionRequest,
        start_response: StartResponse,
    ) -> None:
        self._status = status
        self._headers = list(headers)
        self._request = request
        self._start_response = start_response
        self._write: Callable[[bytes], object] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether the server was not told yet; it was once something was written."""
        return self._write is None

    def start(self) -> Callable[[bytes], object]:
        """Hand the headers to the server, unless that was done; return what writes to it."""
        if self._write is None:
            headers = with_our_headers(self._headers, self._request.cookies_now())
            self._write = self._start_response(self._status, headers)
        return self._write

    def give_way(self, write: Callable[[bytes], object]) -> None:
        """Take note that other headers were told instead; the app may still write by this."""
        self._write = write

    def write(self, data: bytes) -> None:
        """Write as what a server's ``start_response`` returns."""
        self.start()(data)


class _Finishing:
    """An app's iterable at whose end and after whose ``close()`` something of ours is done.

    Headers that are held, now or by its first step, are handed on before its first bytes.
    """

    __slots__ = ("_held", "_inner", "_request", "_start_response", "_steps", "_taken")

    def __init__(
        self,
        inner: Iterable[bytes],
        request: SessionRequest,
        start_response: StartResponse,
        held: list[_HeldHeaders],
    ) -> None:
        self._inner = inner
        self._request = request
        self._start_response = start_response
        self._held = held
        self._taken: list[bytes] = []
        self._steps: Iterator[bytes] | None = None

    def take_first_step(self) -> None:
        """Have the first chunk made now, so that held headers are told before this is returned.

        Not every layer outside takes headers from an iterable: Bottle's ``mount()`` does not.
        """
        self._steps = self._run()
        try:
            self._taken = list(itertools.islice(self._steps, 1))
        except BaseException:
            self.close()  # as nobody else is handed this
            raise

    def __iter__(self) -> Iterator[bytes]:
        if self._steps is None:
            return self._run()
        return itertools.chain(self._taken, self._steps)

    def _run(self) -> Iterator[bytes]:
        has_sent = False
        try:
            for chunk in self._inner:
                if self._held:
                    self._held.pop().start()
                has_sent = has_sent or bool(chunk)
                yield chunk
            if self._held:
                self._held.pop().start()
            # Not only at close(): a server marks a chunked body's end before it calls that,
            # and this client's next request must find what the body has set.
            self._request.save_streamed()
        except AnswerableError as error:
            if isinstance(error, StoreUnavailableError):
                self._request.manager.events.emit("database_error", details={"error": error})
            if has_sent:
                raise
            is_waiting = self._held and self._held[0].is_waiting
            exc_info = None if is_waiting else sys.exc_info()
            yield from _answer(error, self._request, self._start_response, exc_info=exc_info)

    def close(self) -> None:
        try:
            close = getattr(self._inner, "close", None)
            if close is not None:
                close()
        finally:
            self._request.finish()


def _answer(
    error: AnswerableError,
    request: SessionRequest,
    start_response: StartResponse,
    *,
    exc_info: Any = None,
) -> Iterable[bytes]:
    """Answer in the app's place, with the cookies of what it had done until then.

    In plain text; a program that asks for JSON gets the code, too, as the JSON API gives it.
    """
    refusal = refusal_of(error)
    kind, body = refusal.body(is_program=request.is_program)
    headers = [("Content-Type", kind), ("Content-Length", str(len(body))), *refusal.headers]
    headers = with_our_headers(headers, request.begin_without_app())
    try:
        if exc_info is None:
            start_response(refusal.status_line, headers)
        else:
            start_response(refusal.status_line, headers, exc_info)
    except SystemError as failure:
        # uWSGI takes the headers, and then leaves the exception set that it was handed.
        if exc_info is None or failure.__cause__ is not exc_info[1]:
            raise
    finally:
        exc_info = None  # PEP 3333: no circular reference through the traceback
    return [] if request.facts.method == "HEAD" else [body]
