"""``Sender``: sends a browser's requests to an app, through its layers, and takes the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin
from wsgiref.util import request_uri

from webob import Request, Response  # type: ignore[import-untyped, unused-ignore]

from wsgi_sessions.clock import Clock
from wsgi_sessions.errors import StoreUnavailableError
from wsgi_sessions.manager import SessionManager
from wsgi_sessions.middleware import SessionMiddleware
from wsgi_sessions.sessions.session import Session
from wsgi_sessions.transport.environ import REQUEST_KEY
from wsgi_sessions.wsgi.request import SessionRequest

from ..fakes.faults import WorkerKilled
from ..fakes.instrumentation import RESPOND, pause_at
from ..fakes.interception import Interception
from ..fakes.network import Fate, LostResponse, Network, Trouble
from ..fakes.wrapping import find_session_middleware, rewrapped
from .fetching import Draft, header_lines
from .history import EventLog, Exchange, Note, render_history
from .jar import CookieJar
from .reasons import tokens_held
from .session_reading import is_secure_for, read_session
from .user_agents import find_user_agent
from .wsgi_client import call_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

T = TypeVar("T")


class PreparedRequest:
    """A request with the cookies that its browser had when it was made; ``send()`` sends it.

    A browser gives a request its cookies when a page asks for it, and then lets it wait for a
    free connection (six to a host over HTTP/1.1).
    """

    def __init__(self, about: str, send: Callable[[], Response]) -> None:
        self.about = about
        self._send = send

    def send(self) -> Response:
        """Send it now, and have the browser take the cookies of the response."""
        return self._send()

    def __repr__(self) -> str:
        return f"<PreparedRequest {self.about}>"


class _Waiting:
    """Whether a browser still waits for an answer: one that crashed meanwhile does not."""

    def __init__(self, jar: CookieJar) -> None:
        self._jar = jar
        self._crash_count = jar.crash_count

    @property
    def is_over(self) -> bool:
        return self._jar.crash_count != self._crash_count


class Sender:
    """The part of a browser that sends: the app that it talks to, its jar, and its history."""

    def __init__(
        self,
        app: WSGIApplication,
        *,
        clock: Clock,
        manager: SessionManager | None = None,
        user_agent: str = "Firefox on Linux",
        address: str | None = "127.0.0.1",
        base_url: str = "https://localhost",
        network: Network | None = None,
        cookies: CookieJar | None = None,
    ) -> None:
        self.app = app
        self.clock = clock
        self.user_agent = find_user_agent(user_agent)
        self.address = address
        self.base_url = base_url
        self.network = network if network is not None else Network()
        self.cookies = cookies if cookies is not None else CookieJar(clock)
        self._manager = manager
        self._history: list[Exchange] = []
        self._notes: list[Note] = []
        self._label: str | None = None
        self._log = EventLog()
        with suppress(LookupError):  # ``manager`` raises it again where it is needed
            self._log.listen_to(self.manager.events)

    @property
    def manager(self) -> SessionManager:
        """The manager of the app's ``SessionMiddleware``, or the one given."""
        if self._manager is not None:
            return self._manager
        middleware = find_session_middleware(self.app)
        if middleware is None:
            raise LookupError(
                f"{self.app!r} is not wrapped in SessionMiddleware as far as can be seen; "
                "write Browser(app, clock=clock, manager=manager)"
            )
        return middleware.manager

    @property
    def session(self) -> Session | None:
        """The live session that the next request would have, or None.

        Reading it changes nothing: unlike a request it neither refreshes, touches or confirms
        the session, nor ends one that expired or was stolen. The cookie cache is not used.
        """
        return read_session(self.manager, self._environ())

    @property
    def history(self) -> tuple[Exchange, ...]:
        """What was sent and answered so far, in the order of the answers."""
        return tuple(self._history)

    def story(self) -> str:
        """Return the history as text, a line for each request and event, for messages."""
        session_ids: set[str] = set()
        if self._log.events:
            read = self.manager.parts.signer.read
            session_ids = {token.session_id for token in tokens_held(self)}
            session_ids.update(*(exchange.session_ids(read) for exchange in self._history))
        return render_history(
            self._history,
            events=self._log.events,
            session_ids=session_ids,
            refused=self.cookies.refused,
            notes=self._notes,
        )

    # Sending

    def _send_to_app(self, draft: Draft, take: Callable[[Response], None]) -> PreparedRequest:
        """Return a request that was made just now, to be sent through every layer of the app."""
        waiting = _Waiting(self.cookies)

        def send() -> Response:
            trouble = self.network.next_trouble()
            middleware = self._middleware
            interception = None
            if middleware is not None:
                interception = Interception(middleware, wait=self._wait_in_app(trouble))
            response = self._send(
                self.app, draft, take, trouble=trouble, interception=interception, waiting=waiting
            )
            is_slow = trouble.fate is Fate.ANSWERED_SLOWLY
            if is_slow and not trouble.has_waited and not isinstance(response, LostResponse):
                raise AssertionError(
                    f"{draft.url} was not answered by the app within SessionMiddleware, as far as "
                    "can be seen, so its answer was not slow; give a page of the app's own"
                )
            return response

        return PreparedRequest(f"{draft.method.upper()} {draft.url}", send)

    def _wait_in_app(self, trouble: Trouble) -> Callable[[], None] | None:
        if trouble.fate is not Fate.ANSWERED_SLOWLY:
            return None
        return lambda: trouble.wait(self.clock)

    def _send(
        self,
        app: WSGIApplication,
        draft: Draft,
        take: Callable[[Response], None],
        *,
        trouble: Trouble,
        interception: Interception | None,
        waiting: _Waiting,
        action: str | None = None,
    ) -> Response:
        """Send a request; without an interception it counts as one that has arrived."""
        fate = trouble.fate

        def build() -> Request:
            has_long_body = fate is Fate.UPLOADED_SLOWLY
            return draft.build(address=self.address, has_long_body=has_long_body)

        def call(asked: Request) -> Response:
            with nullcontext() if interception is None else interception.of(asked.environ):
                return call_app(app, asked)

        request = build()
        if fate is Fate.UPLOADED_SLOWLY:
            trouble.wait(self.clock)
        at_ms, events_before = self.clock.now_ms(), len(self._log.events)
        try:
            response = call(request)
            if fate is Fate.SENT_TWICE:
                response = call(build())
        except WorkerKilled:
            fate = Fate.LOST
            response = Response(status="599 Worker Killed")
        pause_at(RESPOND)
        if waiting.is_over:
            fate = Fate.LOST
        exchange = Exchange(
            at_ms=at_ms,
            method=request.method,
            url=request_uri(request.environ),  # WebOb's raises for a path that is not UTF-8
            status=response.status,
            fate=fate,
            sent=request.environ.get("HTTP_COOKIE"),
            received=tuple(response.headers.getall("Set-Cookie")),
            action=action,
            events_before=events_before,
            is_by_app=app is self.app,
            has_arrived=interception is None or interception.has_arrived,
            made_at_ms=draft.made_at_ms,
            answered_at_ms=self.clock.now_ms(),
            by=self._label,
        )
        self._history.append(exchange)
        if fate is Fate.LOST:
            return LostResponse(response)
        if fate is not Fate.DELAYED:
            take(response)
        if fate in (Fate.DELAYED, Fate.REPEATED):
            self.network.hold(str(exchange), lambda: take(response), owner=self.cookies)
        return response

    def _with_handle(
        self,
        action: str,
        act: Callable[[SessionRequest], T],
        *,
        network: Network | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """Do something in a request of its own, in place of the app within its middleware.

        The answer passes through every layer around the middleware. Where a layer answers by
        itself, or the middleware can't be seen, it is done without the layers, and the history
        says so. Without a network no response is lost or late, as for reading the state.
        """
        outcomes: list[T | Exception] = []

        def note(environ: dict[str, Any]) -> None:
            try:
                outcomes.append(act(environ[REQUEST_KEY]))
            except Exception as error:
                outcomes.append(error)

        def send(app: WSGIApplication, middleware: SessionMiddleware) -> Response:
            return self._send(
                app,
                draft,
                lambda answer: self.cookies.receive(
                    answer.headers.getall("Set-Cookie"), url=self._cookie_url
                ),
                trouble=trouble,
                interception=Interception(middleware, note, wait=self._wait_in_app(trouble)),
                waiting=waiting,
                action=action,
            )

        draft, waiting = self._own_draft("POST", headers), _Waiting(self.cookies)
        trouble = Trouble() if network is None else network.next_trouble()
        response, middleware = None, self._middleware
        if middleware is not None:
            response = send(self.app, middleware)
        if response is None or not (outcomes or self._history[-1].has_arrived):
            direct = SessionMiddleware(_not_found, self.manager)
            response = send(direct, direct)
        if not outcomes and isinstance(response, LostResponse):
            raise StoreUnavailableError(f"the worker died, so {action} had no answer")
        if not outcomes and response.status_int == 404:
            raise LookupError(
                f"there are no sessions at {self._cookie_url}, which exempt_paths excepts, so "
                f"{action} was not done; keep the path of the cookies out of it"
            )
        if not outcomes:
            raise StoreUnavailableError(f"the database did not answer, so {action} was not done")
        if isinstance(outcomes[-1], Exception):
            raise outcomes[-1]
        return outcomes[-1]

    def _seen_through_layers(self) -> Session | None:
        """Return the live session that a request brings through the app's layers, or None.

        What comes to the middleware is looked at and changes nothing; layers that can't be seen
        are taken to let it pass.
        """
        seen: list[Session | None] = []

        def read(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            seen.append(read_session(self.manager, environ))
            return _not_found(environ, start_response)

        if self._middleware is None:
            return self.session
        try:
            app = rewrapped(self.app, read)
        except LookupError:
            return self.session
        call_app(app, self._own_draft("GET", jar=self.cookies.copy()).build(address=self.address))
        return seen[-1] if seen else None

    @property
    def _middleware(self) -> SessionMiddleware | None:
        """The middleware within the app, if it can be seen and is that of the manager."""
        middleware = find_session_middleware(self.app)
        if middleware is None or middleware.manager is not self.manager:
            return None
        return middleware

    @property
    def _is_secure(self) -> bool:
        return is_secure_for(self.manager, self._environ())

    def _environ(self) -> dict[str, Any]:
        """Return the environ of a request of this browser; its jar stays as it is."""
        draft = self._own_draft("GET", jar=self.cookies.copy())
        environ: dict[str, Any] = draft.build(address=self.address).environ
        return environ

    @property
    def _cookie_url(self) -> str:
        """Where session cookies are sent to and taken from, whatever their path."""
        return urljoin(self.base_url + "/", self.manager.config.cookie.path)

    def _own_draft(
        self, method: str, headers: Mapping[str, str] | None = None, *, jar: CookieJar | None = None
    ) -> Draft:
        """Make a request to the path of session cookies, with those of another jar if given."""
        url = self._cookie_url
        lines = header_lines(
            method, url, origin=self.base_url, is_navigation=True, user_agent=self.user_agent
        )
        lines["Cookie"] = (self.cookies if jar is None else jar).header_for(url, method=method)
        lines.update(headers or {})
        return Draft(method, url, lines, b"", self.clock.now_ms())


def _not_found(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The app within a middleware that only a request which acts in its place is sent to."""
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return [b""]
