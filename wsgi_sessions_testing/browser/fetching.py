"""Builds the request that a browser would send for a page (Fetch standard, RFC 9110)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from urllib.parse import urlencode, urlsplit

from webob import Request  # type: ignore[import-untyped, unused-ignore]

from wsgi_sessions.transport.environ import MAX_SHORT_BODY_BYTES

from .cookie_rules import is_same_site, is_trustworthy

Form = Mapping[str, str] | Sequence[tuple[str, str]]


def encode_form(form: Form) -> str:
    """Encode the fields of a form for a URL or a body."""
    return urlencode(form)


def header_lines(
    method: str, url: str, *, origin: str, is_navigation: bool, user_agent: str
) -> dict[str, str | None]:
    """Return the headers a browser adds by itself when a page of ``origin`` asks for a URL."""
    relation = _relation(origin, url)
    lines: dict[str, str | None] = {"User-Agent": user_agent or None, "Accept": "*/*"}
    if is_trustworthy(url):
        lines["Sec-Fetch-Site"] = relation
        lines["Sec-Fetch-Mode"] = "navigate" if is_navigation else "cors"
    is_safe = method.upper() in ("GET", "HEAD")
    if not is_safe or (relation != "same-origin" and not is_navigation):
        lines["Origin"] = origin
    return lines


@dataclass(frozen=True, slots=True)
class Draft:
    """A request that was made, with its cookies, and may be sent later.

    ``lines`` are its headers; one that is None is not sent.
    """

    method: str
    url: str
    lines: Mapping[str, str | None]
    content: bytes
    made_at_ms: int

    def build(self, *, address: str | None, has_long_body: bool = False) -> Request:
        """Return a request as a server would hand it to an app.

        ``has_long_body``: a request without a body gets a long one of zeros. Raises
        ``ValueError`` where the body that there is is not long.
        """
        content = self.content
        if has_long_body and not content:
            content = bytes(MAX_SHORT_BODY_BYTES + 1)
        if has_long_body and len(content) <= MAX_SHORT_BODY_BYTES:
            raise ValueError(
                f"the body has {len(content)} bytes, but a slow upload is one of more than "
                f"{MAX_SHORT_BODY_BYTES}; send a longer one, or none at all"
            )
        parts = urlsplit(self.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = Request.blank(path, base_url=f"{parts.scheme}://{parts.netloc}")
        environ = request.environ
        environ["REQUEST_METHOD"] = self.method.upper()
        environ["HTTP_HOST"] = parts.netloc  # as browsers send it: no port unless it is unusual
        environ["REMOTE_ADDR"] = address or ""  # empty is what servers give on a unix socket
        environ["SERVER_PROTOCOL"] = "HTTP/1.1"
        environ["wsgi.input"] = BytesIO(content)
        if content or environ["REQUEST_METHOD"] in ("POST", "PUT", "PATCH"):
            environ["CONTENT_LENGTH"] = str(len(content))
        for name, value in self.lines.items():
            if value is not None:
                request.headers[name] = value
        return request


def _relation(origin: str, url: str) -> str:
    first, second = urlsplit(origin), urlsplit(url)
    if (first.scheme, first.netloc) == (second.scheme, second.netloc):
        return "same-origin"
    return "same-site" if is_same_site(origin, url) else "cross-site"
