"""The sessions page: where users see their sessions and end them, without JavaScript."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, quote, urlsplit

from .. import errors, request_errors
from ..api.bodies import discarding_body, media_type, read_body
from ..api.guard import check_origin
from ..clock import datetime_from_ms
from ..config.settings import SessionConfig
from ..light_dataclasses import dataclass
from ..manager import SessionManager
from ..records import ReadOptions
from ..sessions.session import Session
from ..sessions.signing import KeyRing
from ..sessions.tokens import is_session_id
from ..transport.devices import device_in_words
from ..transport.environ import get_request, mount_path
from ..transport.response_headers import protections
from ..wsgi.refusals import answerable, refusal_of, report_refusal
from ..wsgi.request import SessionRequest
from .rows import ended_row_of, row_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_STYLE = re.compile(r"<style[^>]*>(.*?)</style>", re.DOTALL)
_MAX_FIELDS = 20
_MAX_ENDED = 10
_ICON = "/icon.svg"
_REPORTS = "wsgi-sessions"
_ACTIONS = ("/revoke", "/revoke-others", "/sign-out")
_FORM = "application/x-www-form-urlencoded"
NOTICES = {
    "not-there": "That session is not there any more.",
    "others": "All other sessions have ended.",
    "no-others": "There was no other session to end.",
}
_TITLES = {
    400: "That form can’t be read",
    403: "That was refused",
    404: "There is no such page",
    405: "That can’t be done here",
    413: "That form is too large",
    415: "That form can’t be read",
    503: "You are not signed out",
}


@dataclass(frozen=True, slots=True)
class _Response:
    """Not WebOb's, which makes a Location absolute with the client's Host header."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    kind: str = "text/html; charset=utf-8"

    def send(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        headers = {
            "Content-Type": self.kind,
            "Content-Length": str(len(self.body)),
            "Cache-Control": "no-store",
            # Not no-referrer: forms would then say the origin "null".
            **dict(protections(referrer_policy="same-origin")),
            **dict(self.headers),
        }
        start_response(f"{self.status} {HTTPStatus(self.status).phrase}", [*headers.items()])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [self.body]


class SessionsPage:
    """The page of one manager under ``pages_path``, served by ``SessionMiddleware``.

    Raises ``ConfigurationError`` when the page is on and the extra ``pages`` is not installed.
    """

    path_setting: ClassVar[str] = "pages_path"

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager
        self._templates: tuple[Any, Any] | None = None
        if manager.config.pages_path is not None and find_spec("jinja2") is None:
            raise errors.ConfigurationError(
                "pages_path is given, but the page needs Jinja2; install it with "
                "pip install 'wsgi-sessions[pages]', or leave pages_path out"
            )

    def read_options(self, environ: WSGIEnvironment) -> ReadOptions:
        """Return how to read the session: past the cookie cache, as the page is about sessions."""
        if self._is_icon(environ):
            return ReadOptions(allow_refresh=False)
        method = environ["REQUEST_METHOD"]
        return ReadOptions(
            authoritative=True, allow_refresh=method == "GET", is_change=method == "POST"
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        handle = get_request(environ)
        try:
            response = self._answer(environ, handle)
        except Exception as error:
            try:
                response = self._refusal(environ, answerable(error, handle))
            except Exception as failure:  # of the template for refusals
                response = self._refusal(environ, answerable(failure, handle))
        return response.send(environ, start_response)

    def _rest_of_path(self, environ: WSGIEnvironment) -> str:
        path: str = environ.get("PATH_INFO", "")
        return path.removeprefix(self._manager.config.pages_path or "")

    def _is_icon(self, environ: WSGIEnvironment) -> bool:
        is_read = environ["REQUEST_METHOD"] in ("GET", "HEAD")
        return is_read and self._rest_of_path(environ) == _ICON

    def _answer(self, environ: WSGIEnvironment, handle: SessionRequest) -> _Response:
        if self._is_icon(environ):
            return self._icon()
        if handle.is_database_away:
            raise errors.StoreUnavailableError
        rest = self._rest_of_path(environ)
        is_page, form = rest in ("", "/"), {}
        methods = ("GET", "HEAD") if is_page else ("POST",)
        with discarding_body(environ):
            if not is_page and rest not in _ACTIONS:
                raise request_errors.PathNotFoundError
            if environ["REQUEST_METHOD"] not in methods:
                raise request_errors.MethodNotAllowedError(", ".join(methods))
            if not is_page:
                check_origin(environ, self._manager.config)
        if rest == "/":
            return _Response(308, (("Location", self._page_path(environ)),))
        if not is_page:
            with discarding_body(environ, request_errors.BodyTooLargeError):
                form = _read_form(environ)
        session = handle.session
        if session is None or session.user is None:
            return _see(self._sign_in_url(environ))
        if is_page:
            return self._show(environ, handle, session=session)
        if not self._is_token_of(session, form.get("csrf_token", "")):
            error = request_errors.FormOutdatedError()
            report_refusal(handle, error)
            raise error
        done = _act(rest, handle, session_id=form.get("session_id", ""))
        if handle.session is None:
            return _see(self._manager.config.sign_in_url)
        return _see(f"{self._page_path(environ)}?done={done}")

    def _show(
        self, environ: WSGIEnvironment, handle: SessionRequest, *, session: Session
    ) -> _Response:
        query = dict(parse_qsl(environ.get("QUERY_STRING", "")[:200], errors="replace"))
        now = datetime_from_ms(self._manager.clock.now_ms())
        rows = [row_of(one, now=now, this=session) for one in handle.list_sessions()]
        rows.sort(key=lambda row: (not row.is_this_one, not row.is_odd))
        ended = self._manager.parts.reader.list_ended(session.user_id, max_count=_MAX_ENDED)
        return self._render(
            environ,
            200,
            "sessions.html",
            user=session.user,
            sessions=rows,
            ended=[ended_row_of(one, now=now, this=session) for one in ended],
            notice=self._notice(query, user_id=session.user_id),
            csrf_token=self._token_of(session),
        )

    def _notice(self, query: Mapping[str, str], *, user_id: Any) -> str | None:
        """Return a sentence about what was just done; no text of the query is shown."""
        done = query.get("done", "")
        if done != "ended":
            return NOTICES.get(done)
        session_id = query.get("session", "")
        if not is_session_id(session_id):
            return None
        found = self._manager.parts.store.sessions.find(session_id)
        if found is None or found[0].user_id != user_id or found[0].ended_at_ms is None:
            return None
        return f"{device_in_words(found[0].user_agent)} has been signed out."

    # CSRF tokens, bound to the session

    def _ring(self) -> KeyRing:
        return KeyRing(self._manager.config.secret, "sessions page v1")

    def _token_of(self, session: Session) -> str:
        return self._ring().sign_as_text(session.id.encode())

    def _is_token_of(self, session: Session, text: str) -> bool:
        return self._ring().has_signed(session.id.encode(), text)

    # Responses

    def _page_path(self, environ: WSGIEnvironment) -> str:
        return mount_path(environ) + (self._manager.config.pages_path or "")

    def _sign_in_url(self, environ: WSGIEnvironment) -> str:
        """Return the URL of the sign-in page that leads back to this one."""
        url, hash_mark, fragment = self._manager.config.sign_in_url.partition("#")
        joint = "&" if "?" in url else "?"
        return f"{url}{joint}next={quote(self._page_path(environ), safe='')}{hash_mark}{fragment}"

    def _refusal(self, environ: WSGIEnvironment, error: errors.AnswerableError) -> _Response:
        refusal = refusal_of(error, environ)
        if isinstance(error, errors.InternalError):
            # In plain text, as it may be a template that fails.
            headers, body = refusal.answer(is_program=False)
            return _Response(refusal.status, tuple(headers), body)
        title = _TITLES.get(refusal.status, _TITLES[403])
        return self._render(
            environ,
            refusal.status,
            "message.html",
            *refusal.headers,
            title=title,
            text=_sentence(refusal.text),
        )

    def _render(
        self,
        environ: WSGIEnvironment,
        status: int,
        template: str,
        *headers: tuple[str, str],
        **values: Any,
    ) -> _Response:
        found = self._environment().get_template(template)
        config = self._manager.config
        html = found.render(
            page_path=self._page_path(environ),
            site_title=config.pages_title,
            home_url=config.pages_home_url,
            change_password_url=config.change_password_url,
            **values,
        )
        policy = _content_security_policy(html, config)
        if config.pages_report_url is not None:
            # report-uri is for browsers that do not know report-to yet.
            policy += f"; report-to {_REPORTS}; report-uri {config.pages_report_url}"
            headers = (*headers, ("Reporting-Endpoints", f'{_REPORTS}="{config.pages_report_url}"'))
        ours = ("Content-Security-Policy", policy)
        return _Response(status, (ours, *headers), html.encode("utf-8", "replace"))

    def _icon(self) -> _Response:
        environment = self._environment()
        drawing: str = environment.loader.get_source(environment, _ICON.strip("/"))[0]
        headers = (("Cache-Control", "private, max-age=86400"),)
        return _Response(200, headers, drawing.encode(), "image/svg+xml")

    def _environment(self) -> Any:
        """Return the Jinja2 environment; the application's own templates come first."""
        folder = self._manager.config.pages_templates
        if self._templates is None or self._templates[0] != folder:
            # Costly to import and only needed where the page is on.
            import jinja2

            ours = jinja2.PackageLoader("wsgi_sessions", "pages/templates")
            theirs = [] if folder is None else [jinja2.FileSystemLoader(folder)]
            environment = jinja2.Environment(
                loader=jinja2.ChoiceLoader([*theirs, ours]),
                autoescape=True,
                undefined=jinja2.StrictUndefined,
                trim_blocks=True,
                lstrip_blocks=True,
            )
            self._templates = (folder, environment)
        return self._templates[1]


def _act(action: str, handle: SessionRequest, *, session_id: str) -> str:
    """Do what a form asks for; return what the page is to say of it."""
    if action == "/sign-out":
        handle.sign_out()
        return ""
    if action == "/revoke-others":
        return "others" if handle.revoke_other_sessions() else "no-others"
    has_ended = is_session_id(session_id) and handle.revoke_session(session_id)
    return f"ended&session={session_id}" if has_ended else "not-there"


def _see(url: str) -> _Response:
    return _Response(303, (("Location", url),))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _read_form(environ: WSGIEnvironment) -> dict[str, str]:
    body = read_body(environ)
    if media_type(environ) != _FORM:
        raise request_errors.UnsupportedMediaTypeError(f"Content-Type: {_FORM}")
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MAX_FIELDS
        )
    except ValueError:
        raise errors.InvalidValueError(f"the form has more than {_MAX_FIELDS} fields") from None
    return dict(pairs)


def _content_security_policy(html: str, config: SessionConfig) -> str:
    """Return a Content-Security-Policy that allows the styles of this page and nothing else.

    Everything a client can set is escaped, so whatever stands in a style element is ours or
    the application's. A template of the application's may use style sheets of its origin.
    """
    styles = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in _STYLE.findall(html)
    ]
    if config.pages_templates is not None:
        styles.append("'self'")
    # A form's redirect counts too, and signing out leads to the sign-in page.
    target = urlsplit(config.sign_in_url)
    elsewhere = f" {target.scheme}://{target.netloc}" if target.netloc else ""
    return (
        f"default-src 'none'; style-src {' '.join(styles) or chr(39) + 'none' + chr(39)}; "
        f"img-src 'self'; form-action 'self'{elsewhere}; base-uri 'none'; frame-ancestors 'none'"
    )
