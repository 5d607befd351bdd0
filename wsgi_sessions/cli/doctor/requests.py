"""What a given request is to the application: its address, its scheme, and the cookie it gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...api.guard import is_trusted_origin
from ...config.exempt_paths import is_exempt
from ...config.settings import SessionConfig
from ...errors import ConfigurationError
from ...transport.client_address import find_unknown_proxy, normal_address
from ...transport.cookies import SessionCookies
from ...transport.environ import read_facts
from .findings import Finding, fault, ok, warning

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from ...records import RequestFacts

SUBJECT = "request"

_PORTS = {"http": "80", "https": "443"}
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_FORWARDED = ("HTTP_X_FORWARDED_PROTO", "HTTP_FORWARDED")


def parse_request(
    text: str, headers: Sequence[str] = (), *, peer: str | None = None
) -> WSGIEnvironment:
    """Return the environ of a request as the server gets it, such as "GET https://example.org/".

    The scheme is that by which the server is asked: behind a proxy that ends TLS, mostly http.
    ``peer`` is the address that connects to the server, "unix" for a unix socket.

    >>> parse_request("POST https://example.org/a?b=c", ["X-Forwarded-For: 192.0.2.1"])["PATH_INFO"]
    '/a'
    """
    *method, url = text.split()
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or len(method) > 1:
        raise ConfigurationError(
            f"the request is {text!r}; give a method and a URL as the server is asked for it, "
            "such as 'GET https://example.org/', and headers by --header"
        )
    address = "127.0.0.1" if peer is None else "" if peer == "unix" else normal_address(peer)
    if address is None:
        raise ConfigurationError(
            f"the peer is {peer!r}; give an IP address, or unix for a unix socket"
        )
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method[0].upper() if method else "GET",
        "wsgi.url_scheme": parts.scheme,
        "SCRIPT_NAME": "",
        "PATH_INFO": parts.path or "/",
        "QUERY_STRING": parts.query,
        "SERVER_NAME": parts.hostname,
        "SERVER_PORT": str(parts.port or _PORTS[parts.scheme]),
        "HTTP_HOST": parts.netloc.rpartition("@")[2],
        "REMOTE_ADDR": address,
    }
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise ConfigurationError(
                f"the header is {header!r}; give it as 'Name: value', such as "
                "'X-Forwarded-For: 203.0.113.7'"
            )
        environ[f"HTTP_{name.strip().upper().replace('-', '_')}"] = value.strip()
    return environ


def check_request(
    environ: WSGIEnvironment, config: SessionConfig, cookies: SessionCookies
) -> list[Finding]:
    """Return what the request is seen as, and what stands in the way of its session."""
    facts = read_facts(environ, config)
    is_secure = cookies.is_secure_for(is_https=facts.is_https)
    _, cookie = cookies.set_token("…", is_secure=is_secure, max_age_s=None)
    scheme = "https" if facts.is_https else "http"
    seen = f"it comes from {facts.address or 'an unknown address'} over {scheme}"
    return [
        ok(SUBJECT, f"{seen}; a sign-in sets {cookie}"),
        *_path(facts, config),
        *_proxies(environ, facts, config),
        *_cookie(environ, facts, config, is_secure=is_secure),
        *_origin(environ, config),
    ]


def _path(facts: RequestFacts, config: SessionConfig) -> Iterator[Finding]:
    if is_exempt(facts.path, config.exempt_paths):
        yield warning(
            SUBJECT,
            f"{facts.path} is within exempt_paths: the application finds no session there",
            "take it out of exempt_paths, if the application asks for one",
        )
    elif config.cookie.path != "/" and not _covers(config.cookie.path, facts.path):
        yield fault(
            SUBJECT,
            f"cookie.path is {config.cookie.path!r}, so browsers send no cookie to {facts.path}",
            "leave cookie.path out",
        )


def _covers(cookie_path: str, path: str) -> bool:
    """Return whether a path matches (RFC 6265, section 5.1.4)."""
    return path == cookie_path or path.startswith(f"{cookie_path.rstrip('/')}/")


def _proxies(
    environ: WSGIEnvironment, facts: RequestFacts, config: SessionConfig
) -> Iterator[Finding]:
    proxy = find_unknown_proxy(environ, config.trusted_proxies)
    if proxy is not None:
        yield fault(
            SUBJECT,
            f"{proxy} forwards it and is not believed: all clients look like this one, and share "
            "its limits of the throttle",
            "give trusted_proxies the addresses of the socket's peers, such as '127.0.0.1'"
            if proxy == "unix"
            else f"add {proxy!r} to trusted_proxies",
        )
    elif facts.address is None:
        yield warning(
            SUBJECT,
            "its address is unknown: all such clients share their limits of the throttle",
            "have the proxy send X-Forwarded-For, and give trusted_proxies its address",
        )
    elif any(_is_in(facts.address, network) for network in config.trusted_proxies):
        yield warning(
            SUBJECT,
            f"{facts.address} is a trusted proxy itself, so nobody says who the client is",
            "have each proxy send X-Forwarded-For, and list proxies alone in trusted_proxies",
        )


def _is_in(address: str, network: Any) -> bool:
    import ipaddress

    return ipaddress.ip_address(address) in network


def _cookie(
    environ: WSGIEnvironment, facts: RequestFacts, config: SessionConfig, *, is_secure: bool
) -> Iterator[Finding]:
    host = environ["SERVER_NAME"]
    says_https = any("https" in environ.get(name, "").lower() for name in _FORWARDED)
    if says_https and not facts.is_https:
        yield fault(
            SUBJECT,
            "a header says that the browser came over https, and nobody who says so is believed: "
            + ("its cookies are those of http" if not is_secure else "links lead to http"),
            "add the proxy that connects to the server to trusted_proxies, and have it send "
            "X-Forwarded-Proto",
        )
    elif is_secure and not facts.is_https and host not in _LOCAL_HOSTS:
        yield fault(
            SUBJECT,
            "it comes over http, where browsers refuse the Secure cookie: nobody can sign in",
            "serve over https; if a proxy does, add it to trusted_proxies and have it send "
            "X-Forwarded-Proto: https",
        )
    domain = (config.cookie.domain or "").removeprefix(".").lower()
    if domain and host != domain and not host.endswith(f".{domain}"):
        yield fault(
            SUBJECT,
            f"cookie.domain is {domain!r}, which {host} is not within: browsers refuse the cookie",
            "leave cookie.domain out, or give the domain of this host",
        )


def _origin(environ: WSGIEnvironment, config: SessionConfig) -> Iterator[Finding]:
    origin = environ.get("HTTP_ORIGIN")
    if not origin:
        return
    if is_trusted_origin(environ, origin, config):
        yield ok(SUBJECT, f"a page of {origin} may ask for changes")
    else:
        yield fault(
            SUBJECT,
            f"a page of {origin} may not ask for changes: it gets 403",
            "add it to trusted_origins if it is yours; if it is this very site behind a proxy, "
            "have the proxy pass the header Host on, or send X-Forwarded-Host and -Proto",
        )
