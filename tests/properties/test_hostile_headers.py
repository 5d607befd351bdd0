"""The parsers of what clients and proxies write: nothing raises, and rubbish moves nothing good."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from publicsuffixlist import PublicSuffixList

from wsgi_sessions import RefusedError, SessionConfig
from wsgi_sessions.api.guard import _is_label_of, check_origin
from wsgi_sessions.config.public_suffixes import covers_public_suffix
from wsgi_sessions.sessions.tokens import TokenSigner
from wsgi_sessions.transport.client_address import read_client, read_elements
from wsgi_sessions.transport.cookies import SessionCookies

SOME = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
SECRET = "0123456789abcdef" * 2
SIGNER = TokenSigner([SECRET])
OURS = SIGNER.write(b"o" * 24, 3, "AAAAours")
THEIRS = SIGNER.write(b"t" * 24, 9, "Athieves")
PROXIES = (ipaddress.ip_network("10.0.0.0/8"),)

latin = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=60)
syntax = st.text("for=proto:;,\" \\\t[]_10.'x%", max_size=60)
pieces = st.sampled_from(
    [
        *[
            "for=10.1.1.1",
            "for=6.6.6.6",
            'for="6.6.6.6',
            "proto=https",
            "host=evil.test",
            '"',
            "\\",
        ],
        *[
            ",",
            ";",
            "for=_x",
            'for="[::1]"',
            "10.1.1.1",
            "unknown",
            "https",
            "[::1",
            "::ffff:10.1.1.1",
        ],
    ]
)
rubbish = latin | syntax | st.lists(pieces, max_size=8).map("".join)


@st.composite
def quoted(draw: st.DrawFn, values: st.SearchStrategy[str]) -> tuple[str, str]:
    """Draw a value and one of the ways in which a quoted string can say it."""
    value = draw(values)
    said = "".join(f"\\{sign}" if sign in '"\\' or draw(st.booleans()) else sign for sign in value)
    return value, f'"{said}"'


hosts = quoted(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))


@SOME
@given(left=rubbish, host=hosts)
@example(left='for="', host=("a", '"a"'))
@example(left='for="\\', host=(",", '","'))
def test_nearest_proxy_is_read_whatever_stands_before(left: str, host: tuple[str, str]) -> None:
    meant, said = host
    header = f'{left},for="203.0.113.9:80";host={said};proto=https'

    first = next(read_elements(header))

    assert first == ("203.0.113.9", True, meant)


@SOME
@given(
    forwarded=st.none() | rubbish,
    addresses=st.none() | rubbish,
    schemes=st.none() | rubbish,
    hosts=st.none() | rubbish,
    peer=st.sampled_from(["10.0.0.1", "", "192.0.2.1", "unix:"]),
)
def test_headers_of_proxies_never_fail(peer: str, **said: str | None) -> None:
    names = {
        "forwarded": "HTTP_FORWARDED",
        "addresses": "HTTP_X_FORWARDED_FOR",
        "schemes": "HTTP_X_FORWARDED_PROTO",
        "hosts": "HTTP_X_FORWARDED_HOST",
    }
    environ: dict[str, Any] = {names[k]: v for k, v in said.items() if v is not None}
    environ |= {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http"}

    client = read_client(environ, PROXIES)

    assert client.address is None or str(ipaddress.ip_address(client.address)) == client.address
    if peer == "192.0.2.1":
        assert client == ("192.0.2.1", False, None)
    assert read_client(environ, ()).is_https is False
    # One kind of header is read, or the other.
    if environ.get("HTTP_X_FORWARDED_FOR") or environ.get("HTTP_X_FORWARDED_PROTO"):
        environ.pop("HTTP_FORWARDED", None)
    elif environ.get("HTTP_FORWARDED"):
        environ.pop("HTTP_X_FORWARDED_HOST", None)
    assert read_client(environ, PROXIES) == client


others = st.lists((latin | rubbish).map(lambda text: text.replace(";", "")), max_size=6)
planted = st.sampled_from(
    [
        f"p=a,__Host-session_token={THEIRS}",
        f'p="a, __Host-session_token={THEIRS}"',
        f'"__Host-session_token={THEIRS}"',
        f"\x0b__Host-session_token={THEIRS}",
        f"\xa0__Host-session_token={THEIRS}",
        f"__host-session_token={THEIRS}",
        f"__Host-session_token\x0c={THEIRS}",
        f"__Host-session_token={THEIRS[:-1]}",
        f'__Host-session_token="{THEIRS}',
        f"session_token={THEIRS}",
        'a="x',
        'b"',
    ]
)


@pytest.fixture(scope="module")
def cookies() -> SessionCookies:
    return SessionCookies(SessionConfig(secret=SECRET), SIGNER)


@SOME
@given(
    before=others | st.lists(planted),
    after=others | st.lists(planted),
    joint=st.sampled_from([";", "; "]),
)
def test_our_cookie_is_found_among_anything_and_nothing_else_is(
    cookies: SessionCookies, before: list[str], after: list[str], joint: str
) -> None:
    ours = f"__Host-session_token={OURS}"

    found = cookies.read(joint.join([*before, ours, *after]), is_secure=True)
    alone = cookies.read(joint.join([*before, *after]), is_secure=True)

    assert [token.text for token in found.tokens] == [OURS]
    assert alone.tokens == ()


@SOME
@given(
    origin=st.none() | rubbish | st.sampled_from(["null", "https://app.example.org"]),
    referer=st.none() | rubbish | st.sampled_from(["https://app.example.org/x"]),
    site=st.sampled_from([None, "none", "same-site", "cross-site", "same-origin,", ""]),
    cookie=st.sampled_from([None, "a=b"]),
)
def test_only_our_own_name_is_heard(
    origin: str | None, referer: str | None, site: str | None, cookie: str | None
) -> None:
    said = {
        "HTTP_ORIGIN": origin,
        "HTTP_REFERER": referer,
        "HTTP_SEC_FETCH_SITE": site,
        "HTTP_COOKIE": cookie,
    }
    environ: dict[str, Any] = {k: v for k, v in said.items() if v is not None}
    environ |= {"HTTP_HOST": "app.example.org", "REMOTE_ADDR": "192.0.2.1"}
    environ["wsgi.url_scheme"] = "https"
    try:
        check_origin(environ, SessionConfig(secret=SECRET))
    except RefusedError:
        return
    named = origin or referer
    if named:
        assert named.lower().startswith("https://app.example.org")
    else:
        assert cookie is None and site in (None, "none", "")


@SOME
@given(pattern=st.text("ab*-", min_size=1, max_size=8), label=st.text("ab-._", max_size=8))
def test_star_stands_for_any_part_of_a_label(pattern: str, label: str) -> None:
    assume("*" in pattern)
    expression = re.escape(pattern).replace(r"\*", "[a-z0-9_-]*")
    expected = label != "" and re.fullmatch(expression, label) is not None

    assert _is_label_of(pattern, label) is expected


LIST = PublicSuffixList()
LABELS = ["com", "co", "uk", "github", "io", "s3", "amazonaws", "compute", "ck", "www", "kawasaki"]
labels = st.sampled_from(
    [*LABELS, "jp", "city", "xn--55qx5d", "cn", "example", "a", "vercel", "app"]
)
stars = st.sampled_from(["*", "a*", "*a", "s*", "*-x", "w*w"])


@SOME
@given(
    pattern=st.lists(labels | stars, min_size=1, max_size=5).map(".".join),
    fillings=st.lists(st.sampled_from([*LABELS, "", "zz", "eu-west-1"]), min_size=5, max_size=5),
)
def test_pattern_that_covers_no_suffix_stays_within_one_registered_name(
    pattern: str, fillings: list[str]
) -> None:
    """By the list's own package, which knows nothing of patterns."""
    assume("*" in pattern)
    if covers_public_suffix(pattern):
        return
    host = pattern
    for filling in fillings:
        host = host.replace("*", filling, 1)
    assume("*" not in host and "" not in host.split("."))
    fixed = pattern.rpartition("*")[2].partition(".")[2]
    registered = LIST.privatesuffix(host)
    assert registered is not None
    assert f".{fixed}".endswith(f".{registered}"), (host, registered)
