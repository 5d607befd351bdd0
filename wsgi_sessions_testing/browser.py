"""``Browser``: one person's browser, talking to a WSGI app and keeping its cookies.

Must not reach into the product's tables: it signs in and looks through the same doors as
everybody, and asks the clock of the test for the time.
"""

from __future__ import annotations

import copy
import json as json_codec
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar
from urllib.parse import urljoin

import peewee
from webob import Request, Response  # type: ignore[import-untyped, unused-ignore]

from wsgi_sessions.clock import Clock
from wsgi_sessions.environ import REQUEST_KEY
from wsgi_sessions.errors import StoreUnavailableError
from wsgi_sessions.manager import SessionManager, SignIn
from wsgi_sessions.middleware import SessionMiddleware
from wsgi_sessions.request import SessionRequest
from wsgi_sessions.session import Session, User

from .factories import Factories
from .faults import WorkerKilled
from .fetching import Form, build_request, encode_form, header_lines
from .history import EventLog, Exchange, tell
from .jar import CookieJar, is_same_site
from .network import Fate, LostResponse, Network
from .passage import Passage
from .peeking import is_secure_for, peek_at_session
from .reasons import tokens_held
from .seam import RESPOND, reach
from .user_agents import find_user_agent
from .wrapping import find_session_middleware, rewrapped
from .wsgi_client import call_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from typing_extensions import Unpack

    from .workers import Worker

__all__ = ["Browser", "RequestOptions"]

T = TypeVar("T")


class RequestOptions(TypedDict, total=False):
    """What every request can be given besides its method and URL."""

    query: Form
    """Added to the URL."""
    headers: Mapping[str, str | None]
    """Sent in place of what the browser would send; None leaves one out."""
    from_origin: str
    """The origin of the page that sends the request, ``"https://evil.example"`` say."""
    is_navigation: bool
    """Whether a link or form opens the page (the default), or a script, image or frame asks."""


class Browser:
    """A browser with a jar of its own, at one address.

    Every request goes through ``wsgiref.validate``; its body is read to the end and closed.
    ``user_agent`` is sent as it is, or in full if it is a name such as ``"Firefox on Linux"``.
    Redirects are not followed. What the app raises is raised.
    """

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
        self._log = EventLog()
        with suppress(LookupError):  # a middleware that can't be seen is told of when it is needed
            self._log.listen_to(self.manager.events)

    # Requests

    def get(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Open a page."""
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Ask for the headers of a page."""
        return self.request("HEAD", url, **options)

    def post(
        self, url: str, form: Form | bytes | None = None, **options: Unpack[RequestOptions]
    ) -> Response:
        """Send a form, or bytes with a ``Content-Type`` of your own."""
        return self.request("POST", url, form, **options)

    def put(
        self, url: str, form: Form | bytes | None = None, **options: Unpack[RequestOptions]
    ) -> Response:
        """Send a form, or bytes, with PUT."""
        return self.request("PUT", url, form, **options)

    def delete(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Send a DELETE."""
        return self.request("DELETE", url, **options)

    def post_json(self, url: str, value: Any = None, **options: Unpack[RequestOptions]) -> Response:
        """Send a value as JSON; the answer's is in ``.json``."""
        headers: dict[str, str | None] = {"Content-Type": "application/json"}
        headers.update(options.get("headers", {}))
        options["headers"] = headers
        body = json_codec.dumps({} if value is None else value).encode()
        return self.request("POST", url, body, **options)

    def request(
        self,
        method: str,
        url: str,
        body: Form | bytes | None = None,
        *,
        query: Form | None = None,
        headers: Mapping[str, str | None] | None = None,
        from_origin: str | None = None,
        is_navigation: bool = True,
    ) -> Response:
        """Send a request and take the cookies of its response, if the network lets it arrive.

        ``url`` is absolute or relative to ``base_url``. A response lost on the way is a
        ``LostResponse``, whose ``status_int`` is 0.
        """
        url = urljoin(self.base_url + "/", url)
        if query is not None:
            url += ("&" if "?" in url else "?") + encode_form(query)
        origin = self.base_url if from_origin is None else from_origin
        is_cross_site = not is_same_site(origin, url)
        lines = header_lines(
            method, url, origin=origin, is_navigation=is_navigation, user_agent=self.user_agent
        )
        lines["Cookie"] = self.cookies.header_for(
            url, method=method, is_cross_site=is_cross_site, is_navigation=is_navigation
        )
        content = body if isinstance(body, bytes) else encode_form(body or ()).encode()
        if body is not None and not isinstance(body, bytes):
            lines["Content-Type"] = "application/x-www-form-urlencoded"
        lines.update(headers or {})

        def take(response: Response) -> None:
            self.cookies.receive(
                response.headers.getall("Set-Cookie"),
                url=url,
                is_cross_site=is_cross_site,
                is_navigation=is_navigation,
            )

        middleware = self._middleware
        return self._send(
            self.app,
            lambda: build_request(method, url, lines, content, address=self.address),
            take,
            fate=self.network.next_fate(),
            passage=None if middleware is None else Passage(middleware),
        )

    # Sessions

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
    def session_token(self) -> str | None:
        """The text of the session cookie that would be sent now, or None."""
        name = self.manager.cookies.token_name(is_secure=self._is_secure)
        sent = self.cookies.find_all(self._cookie_url)
        return next((cookie.value for cookie in sent if cookie.name == name), None)

    @property
    def session(self) -> Session | None:
        """The live session that the next request would have, or None.

        Looking changes nothing: unlike a request it neither refreshes, touches or confirms the
        session nor ends one that expired or was stolen. The cookie cache is not believed.
        """
        return peek_at_session(self.manager, self._look())

    def sign_in(
        self,
        who: str | int | User | peewee.Model,
        password: str | None = None,
        *,
        remember_me: bool = True,
    ) -> Session:
        """Sign in and return the new session.

        ``who`` is an e-mail address, whose user is made if there is none, a user, an instance of
        your own user model, or an id. Without ``password`` no password work is done; with one
        it is a request to the JSON API, as a page would send it. The network does to it what it
        does to any request, so the browser may not have the session that is returned. Raises
        what the product raises (``SessionLimitReached``, say), and ``AssertionError`` when the
        API refuses.
        """
        factories = Factories(self.manager)
        if password is not None:
            is_email = isinstance(who, str) and "@" in who
            email = who if is_email else factories.find_user(who).email
            return self._sign_in_through_api(str(email), password, remember_me=remember_me)
        # A user model of the app's own need not have what a User has.
        user_id: Any = (
            who.get_id()  # type: ignore[no-untyped-call]
            if isinstance(who, peewee.Model)
            else factories.find_user(who).id
        )
        return self._with_handle(
            "sign in",
            lambda handle: handle.sign_in(user_id, remember_me=remember_me),
            network=self.network,
        )

    def sign_out(self) -> bool:
        """Sign out as the app's own sign-out button would; tell whether a session ended."""
        return self._with_handle("sign out", lambda handle: handle.sign_out(), network=self.network)

    def revoke_session(self, session: str | Session) -> bool:
        """End a session of the same user, or that of an id; tell whether a live one ended."""
        session_id = session.id if isinstance(session, Session) else session
        if not isinstance(session_id, str):
            raise TypeError(f"{type(session).__name__} is no session; give one, or its id")
        return self._with_handle(
            "revoke session", lambda h: h.revoke_session(session_id), network=self.network
        )

    def adopt(self, made: SignIn) -> None:
        """Take over the cookie of a session made elsewhere, by ``make_session`` say."""
        if made.token is None or made.session is None:
            raise ValueError("nobody was signed in by this, so there is no cookie to take over")
        _, line = self.manager.cookies.set_token(
            made.token, is_secure=self._is_secure, remember=made.session.is_remembered
        )
        self.cookies.receive([line], url=self._cookie_url)

    # The browser itself

    def restart(self) -> None:
        """Close and open the browser: cookies that end with it are gone."""
        self.cookies.restart()

    def fork(self) -> Browser:
        """Return another browser with a copy of the jar: a thief's, or a restored backup."""
        twin = copy.copy(self)
        twin.cookies = self.cookies.copy()
        twin._history = list(self._history)
        return twin

    def through(self, worker: Worker) -> Browser:
        """Return this very browser, its jar and history, as it talks to a certain worker."""
        same = copy.copy(self)
        same.app = worker.app
        same._manager = worker.manager
        return same

    @property
    def history(self) -> tuple[Exchange, ...]:
        """What was sent and answered so far, the earliest first."""
        return tuple(self._history)

    def story(self) -> str:
        """Return the history as text, a line for each request and event, for messages."""
        session_ids: set[str] = set()
        if self._log.heard:
            read = self.manager.signer.read
            session_ids = {token.session_id for token in tokens_held(self)}
            session_ids.update(*(exchange.session_ids(read) for exchange in self._history))
        return tell(
            self._history,
            events=self._log.heard,
            session_ids=session_ids,
            refused=self.cookies.refused,
        )

    def __repr__(self) -> str:
        return f"<Browser {self.user_agent[:40]!r} at {self.address} with {self.cookies!r}>"

    # Under the bonnet

    def _send(
        self,
        app: WSGIApplication,
        build: Callable[[], Request],
        take: Callable[[Response], None],
        *,
        fate: Fate,
        passage: Passage | None,
        action: str | None = None,
    ) -> Response:
        """Send a request; without a passage nobody can tell whether it gets to the middleware."""
        at_ms, heard_before = self.clock.now_ms(), len(self._log.heard)
        request = build()

        def call(asked: Request) -> Response:
            with nullcontext() if passage is None else passage.open(asked.environ):
                return call_app(app, asked)

        try:
            response = call(request)
            if fate is Fate.SENT_TWICE:
                response = call(build())
        except WorkerKilled:
            fate = Fate.LOST
            response = Response(status="599 Worker Killed")
        reach(RESPOND)
        exchange = Exchange.of(
            request,
            response,
            at_ms=at_ms,
            fate=fate,
            action=action,
            heard_before=heard_before,
            is_by_app=app is self.app,
            has_arrived=passage is None or passage.has_arrived,
        )
        self._history.append(exchange)
        if fate is Fate.LOST:
            return LostResponse(response)
        if fate is not Fate.DELAYED:
            take(response)
        if fate in (Fate.DELAYED, Fate.REPEATED):
            self.network.hold(str(exchange), lambda: take(response))
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

        The answer travels out through every layer around that. Where a layer answers by itself,
        or the middleware can't be seen, it is done past the layers, and the history says so.
        Without a network the line is good: so a test looks at how things are.
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
                lambda: self._own_request("POST", headers),
                lambda answer: self.cookies.receive(
                    answer.headers.getall("Set-Cookie"), url=self._cookie_url
                ),
                fate=fate,
                passage=Passage(middleware, note),
                action=action,
            )

        fate = Fate.ARRIVES if network is None else network.next_fate()
        response, middleware = None, self._middleware
        if middleware is not None:
            response = send(self.app, middleware)
        if response is None or not (outcomes or self._history[-1].has_arrived):
            direct = SessionMiddleware(_nobody, self.manager)
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

        def look(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            seen.append(peek_at_session(self.manager, environ))
            return _nobody(environ, start_response)

        if self._middleware is None:
            return self.session
        try:
            app = rewrapped(self.app, look)
        except LookupError:
            return self.session
        call_app(app, self.fork()._own_request("GET"))
        return seen[-1] if seen else None

    @property
    def _middleware(self) -> SessionMiddleware | None:
        """The middleware within the app, if it can be seen and is that of the manager."""
        middleware = find_session_middleware(self.app)
        if middleware is None or middleware.manager is not self.manager:
            return None
        return middleware

    def _sign_in_through_api(self, email: str, password: str, *, remember_me: bool) -> Session:
        api_path = self.manager.config.api_path
        if api_path is None:
            raise LookupError(
                "signing in with a password goes through the JSON API, and api_path is None; "
                "leave the password out, or post to the app's own form"
            )
        response = self.post_json(
            f"{api_path}/sign-in/email",
            {"email": email, "password": password, "rememberMe": remember_me},
            is_navigation=False,
        )
        answer = response.unseen if isinstance(response, LostResponse) else response
        if answer.status_int != 200:
            raise AssertionError(
                f"sign-in was answered {answer.status}: {answer.text}\n{self.story()}"
            )
        # What the browser has when the answer arrives, and it may never.
        reached = self.fork()
        reached.cookies.receive(answer.headers.getall("Set-Cookie"), url=self._cookie_url)
        session = reached.session
        if session is None:
            raise AssertionError(f"signed in, but no cookie got through:\n{self.story()}")
        return session

    @property
    def _is_secure(self) -> bool:
        return is_secure_for(self.manager, self._look())

    def _look(self) -> dict[str, Any]:
        """Return the environ of a request of this browser, whose jar does not notice."""
        environ: dict[str, Any] = self.fork()._own_request("GET").environ
        return environ

    @property
    def _cookie_url(self) -> str:
        """Where session cookies are sent to and taken from, whatever their path."""
        return urljoin(self.base_url + "/", self.manager.config.cookie.path)

    def _own_request(self, method: str, headers: Mapping[str, str] | None = None) -> Request:
        url = self._cookie_url
        lines = header_lines(
            method, url, origin=self.base_url, is_navigation=True, user_agent=self.user_agent
        )
        lines["Cookie"] = self.cookies.header_for(url, method=method)
        lines.update(headers or {})
        return build_request(method, url, lines, b"", address=self.address)


def _nobody(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Stands where an app is wrapped, for a request that acts in its place."""
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return [b""]
