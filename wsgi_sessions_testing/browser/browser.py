"""``Browser``: one person's browser, talking to a WSGI app and keeping its cookies."""

from __future__ import annotations

import copy
import json as json_codec
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import urljoin

import peewee
from webob import Response  # type: ignore[import-untyped, unused-ignore]

from wsgi_sessions.sessions.policy import cookie_lifetime_ms
from wsgi_sessions.sessions.session import Session, SignIn, User

from ..factories import Factories
from ..fakes.network import LostResponse
from .cookie import Cookie
from .cookie_rules import is_same_site
from .fetching import Draft, Form, encode_form, header_lines
from .history import Note, shorten
from .sender import PreparedRequest, Sender

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..fakes.workers import Worker


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


class Browser(Sender):
    """A browser with a jar of its own, at one address.

    Every request goes through ``wsgiref.validate``; its body is read to the end and closed.
    ``user_agent`` is sent as it is, or in full if it is a name such as ``"Firefox on Linux"``.
    Redirects are not followed. What the app raises is raised.
    """

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
        **options: Unpack[RequestOptions],
    ) -> Response:
        """Send a request and take the cookies of its response, unless the network loses it.

        ``url`` is absolute or relative to ``base_url``. A response lost on the way is a
        ``LostResponse``, whose ``status_int`` is 0.
        """
        return self.prepare(method, url, body, **options).send()

    def prepare(
        self,
        method: str,
        url: str,
        body: Form | bytes | None = None,
        *,
        query: Form | None = None,
        headers: Mapping[str, str | None] | None = None,
        from_origin: str | None = None,
        is_navigation: bool = True,
    ) -> PreparedRequest:
        """Make a request with the cookies that the jar has now, to be sent by its ``send()``."""
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

        return self._send_to_app(Draft(method, url, lines, content, self.clock.now_ms()), take)

    # Sessions

    @property
    def session_token(self) -> str | None:
        """The text of the session cookie that would be sent now, or None."""
        name = self.manager.parts.cookies.token_name(is_secure=self._is_secure)
        sent = self.cookies.find_all(self._cookie_url)
        return next((cookie.value for cookie in sent if cookie.name == name), None)

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
        made = self._with_handle(
            "sign in",
            lambda handle: handle.sign_in(user_id, remember_me=remember_me),
            network=self.network,
        )
        assert made.session is not None
        return made.session

    def sign_out(self) -> bool:
        """Sign out as the app's own sign-out button would; return whether a session ended."""
        return self._with_handle("sign out", lambda handle: handle.sign_out(), network=self.network)

    def reauthenticate(self, password: str | None = None) -> Session:
        """Step up: prove again who is there; return the session, which is fresh here from now on.

        Without ``password`` no password work is done, as if the app had asked for something else.
        """
        given = {"method": "test"} if password is None else {"password": password}
        return self._with_handle(
            "step up", lambda handle: handle.reauthenticate(**given), network=self.network
        )

    def revoke_session(self, session: str | Session) -> bool:
        """End a session of the same user, given it or its id; return whether it was live."""
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
        manager = self.manager
        lifetime_ms = cookie_lifetime_ms(
            made.session.record, now_ms=manager.clock.now_ms(), config=manager.config
        )
        _, line = manager.parts.cookies.set_token(
            made.token,
            is_secure=self._is_secure,
            max_age_s=None if lifetime_ms is None else -(-lifetime_ms // 1000),
        )
        self.cookies.receive([line], url=self._cookie_url)

    # The browser itself

    def restart(self) -> None:
        """Close and open the browser: cookies that end with it are gone."""
        self.cookies.restart()

    def crash(
        self, seconds_unsaved: float | timedelta = 30, *, keeps_session_cookies: bool = True
    ) -> None:
        """Kill the browser and start it again, with the jar as it was on disk.

        Browsers write cookies to disk late (Chromium: every 30 seconds, or after 512 changes).
        So what was set or removed within the last ``seconds_unsaved`` is undone. What the
        browser had sent still reaches the app; answers on their way to it are lost.
        ``keeps_session_cookies``: cookies without Max-Age come back too, as in a browser that
        restores its tabs after a crash; False: they are gone as after ``restart()``.
        """
        unsaved = seconds_unsaved
        if not isinstance(unsaved, timedelta):
            unsaved = timedelta(seconds=unsaved)
        if isinstance(seconds_unsaved, bool) or unsaved < timedelta(0):
            raise ValueError(f"seconds_unsaved is {seconds_unsaved!r}; give 0 or more")
        at_ms = self.clock.now_ms()
        changed = self.cookies.crash(
            unsaved // timedelta(milliseconds=1), keeps_session_cookies=keeps_session_cookies
        )
        lost_count = self.network.drop(self.cookies)
        text = _describe_crash(changed, unsaved_s=unsaved.total_seconds(), lost_count=lost_count)
        if self._label is not None:
            text = f"{self._label}: {text}"
        self._notes.append(Note(at_ms, text, len(self._history), len(self._log.events)))

    def fork(self) -> Browser:
        """Return another browser with a copy of the jar: a thief's, or a restored backup."""
        forked = copy.copy(self)
        forked.cookies = self.cookies.copy()
        forked._history, forked._notes = list(self._history), list(self._notes)
        return forked

    def through(self, worker: Worker) -> Browser:
        """Return the same browser, its jar and history, talking to a certain worker."""
        same = copy.copy(self)
        same.app = worker.app
        same._manager = worker.manager
        return same

    def __repr__(self) -> str:
        return f"<Browser {self.user_agent[:40]!r} at {self.address} with {self.cookies!r}>"

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
        # As if the answer had arrived, even where it was lost or is late.
        reached = self.fork()
        reached.cookies.receive(answer.headers.getall("Set-Cookie"), url=self._cookie_url)
        session = reached.session
        if session is None:
            raise AssertionError(f"signed in, but no cookie got through:\n{self.story()}")
        return session


def _describe_crash(
    changed: list[tuple[Cookie | None, Cookie | None]], *, unsaved_s: float, lost_count: int
) -> str:
    """Describe a crash in words; ``changed`` has what each place of the jar held, and holds now."""
    losses = [
        f"{_pair(was)} is gone" if now is None else f"{_pair(now)} is back" for was, now in changed
    ]
    text = f"the browser crashes, {unsaved_s:g} s after it wrote its cookies to disk"
    if lost_count:
        losses.append(f"{lost_count} answers on their way to it are lost")
    return f"{text}: {', '.join(losses) if losses else 'nothing is lost'}"


def _pair(cookie: Cookie | None) -> str:
    return "" if cookie is None else shorten(f"{cookie.name}={cookie.value}")
