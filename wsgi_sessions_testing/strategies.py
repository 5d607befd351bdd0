"""Hypothesis strategies for settings, cookies, user agents, addresses behind proxies, and time."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from wsgi_sessions.config.settings import SessionConfig

from .browser.user_agents import USER_AGENTS
from .extras import from_extra
from .properties.config_strategies import configs
from .settings import settings_for_tests

with from_extra("testing", "Hypothesis", "wsgi_sessions_testing.strategies"):
    from hypothesis import strategies as st

__all__ = [
    "ProxiedAddress",
    "configs",
    "cookie_headers",
    "ip_addresses",
    "proxied_addresses",
    "session_tokens",
    "timelines",
    "user_agents",
]

_texts = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=40)
_base64url = st.text("ABCXYZabcxyz0189-_", min_size=30, max_size=34)
_branches = st.text("AFZafz0189-_", min_size=7, max_size=9) | st.sampled_from(
    ["", "AAAAAAA=", "AAAA+AAA", "AAAA/AAA", "AAAAAAA\n", "%41AAAAAAA", "٣٣٣٣٣٣٣٣", "A" * 5000]
)
_generations = st.integers(-2, 10**11).map(str) | st.sampled_from(["00", "1e3", "٣", "", "0x1"])


def session_tokens() -> st.SearchStrategy[str]:
    """Return texts that look like session tokens and that no server has signed."""
    return st.builds(
        "{}.{}.{}.{}{}".format,
        st.sampled_from(["v1", "v0", "v2", "V1", ""]),
        _base64url | _texts,
        _generations,
        _branches.map("{}.".format) | st.just(""),  # without one, as a token of four parts
        _base64url | _texts,
    )


def cookie_headers(
    *good: str, names: Sequence[str] = ("session_token", "session_data")
) -> st.SearchStrategy[str]:
    """Return Cookie headers as browsers, proxies and attackers send them.

    ``good`` are pairs such as ``"__Host-session_token=v1.…"`` that each header contains, among
    foreign, broken and hostile ones; without any, no header holds a good token. ``names`` are
    those of the session cookies, without prefix.

    >>> from hypothesis import given
    >>> @given(header=cookie_headers("a=1"))
    ... def test_it(header):
    ...     assert "a=1" in header
    >>> test_it()
    """
    ours = st.builds(
        "{}{}".format,
        st.sampled_from(["", "__Host-", "__Secure-", "__host-"]),
        st.sampled_from(names),
    )
    foreign = st.sampled_from(["_ga", "theme", "csrftoken", "a b", "", "__Host-"]) | _texts
    values = session_tokens() | _texts | st.sampled_from(['"quoted"', "\\377", "=", "x" * 5000])
    if good:
        # Another cookie of our name would be one more to try, and at most four are tried.
        pairs = st.builds(_pair, foreign.filter(lambda name: name not in names), values)
    else:
        pairs = st.builds(_pair, ours | foreign, values)
    return st.builds(
        lambda others, position, joint: joint.join([*others[:position], *good, *others[position:]]),
        st.lists(pairs, min_size=0 if good else 1, max_size=6),
        st.integers(0, 6),
        st.sampled_from(["; ", ";"]),
    )


def _pair(name: str, value: str) -> str:
    """Return a pair without semicolons, which would end it."""
    return f"{name}={value}".replace(";", "")


def user_agents() -> st.SearchStrategy[str]:
    """Return User-Agent lines: of everyday browsers, of tools, none, long and strange ones."""
    return (
        st.sampled_from([*USER_AGENTS.values(), "curl/8.5.0", "python-requests/2.32.3", ""])
        | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60)
        | st.integers(500, 9000).map(lambda length: "Mozilla/5.0 " + "x" * length)
    )


def ip_addresses() -> st.SearchStrategy[str]:
    """Return IPv4 and IPv6 addresses, some of them close to each other."""
    return (
        st.ip_addresses().map(str)
        | st.sampled_from(["192.0.2.1", "192.0.2.200", "198.51.100.7", "127.0.0.1"])
        | st.sampled_from(["2001:db8::1", "2001:db8::ffff", "2001:db8:1::1", "::1"])
    )


@dataclass(frozen=True, slots=True)
class ProxiedAddress:
    """A client's address as it reaches a server behind proxies.

    ``remote_addr`` is whom the server sees, and ``headers`` are those it gets, names as in
    HTTP. ``client`` is the address that it must find, given the proxies in ``trusted``.
    """

    client: str
    remote_addr: str
    headers: dict[str, str]
    trusted: tuple[str, ...]


@st.composite
def proxied_addresses(
    draw: st.DrawFn, *, trusted: Sequence[str] = ("10.0.0.0/8", "fd00::/8")
) -> ProxiedAddress:
    """Return addresses behind up to three trusted proxies, some with forged headers before them.

    ``trusted`` are the networks of the proxies; clients come from elsewhere. Without any proxy
    no header counts.
    """
    networks = [ipaddress.ip_network(text) for text in trusted]

    def is_outside(text: str) -> bool:
        return not any(ipaddress.ip_address(text) in network for network in networks)

    def hosts_of(network: Any) -> st.SearchStrategy[str]:
        return st.ip_addresses(network=network).map(str)

    hosts = st.sampled_from(networks).flatmap(hosts_of) if networks else st.nothing()
    proxies = draw(st.lists(hosts, max_size=3 if networks else 0))
    client = draw(st.ip_addresses().filter(_is_plain).map(str).filter(is_outside))
    lies = draw(st.lists(ip_addresses() | st.sampled_from(["unknown", "_hidden", ""]), max_size=2))
    if not proxies:
        # No proxy confirms what this client sends.
        headers = {"X-Forwarded-For": ", ".join(lies)} if lies else {}
        return ProxiedAddress(client, client, headers, tuple(trusted))
    hops = [*lies, client, *proxies[:-1]]
    if draw(st.booleans()):
        headers = {"X-Forwarded-For": ", ".join(hops)}
    else:
        quoted = [f'for="[{hop}]"' if ":" in hop else f"for={hop}" for hop in hops]
        headers = {"Forwarded": ", ".join(quoted)}
    return ProxiedAddress(client, proxies[-1], headers, tuple(trusted))


def _is_plain(address: Any) -> bool:
    """Return whether an address can be written in one way only, which mapped ones can not."""
    return getattr(address, "ipv4_mapped", None) is None


def timelines(
    config: SessionConfig | None = None, *, max_size: int = 12
) -> st.SearchStrategy[list[timedelta]]:
    """Return waits between requests, many of them on the very edge of a setting.

    >>> from hypothesis import given, settings
    >>> from wsgi_sessions_testing import Bench
    >>> @settings(max_examples=10, deadline=None)
    ... @given(waits=timelines())
    ... def test_it(waits):
    ...     with Bench(None) as bench:
    ...         browser = bench.new_browser()
    ...         browser.sign_in("ada@example.org")
    ...         for wait in waits:
    ...             bench.clock.advance(wait)
    ...             assert browser.session is None or browser.session.expires_at > bench.clock.now()
    >>> test_it()
    """
    known = settings_for_tests() if config is None else config
    names = (
        *("expires_in", "update_age", "rotation_grace", "idle_timeout", "absolute_timeout"),
        *("short_expires_in", "touch_interval", "revocation_lag", "rotation_interval"),
        "upload_grace",
    )
    edges = [edge for name in names if (edge := getattr(known, name)) is not None]
    # The end of the window, and the pause before a rotation.
    interval_ms, grace_ms = known.rotation_interval_ms, known.rotation_grace_ms
    of_rotation_ms = (3 * grace_ms, interval_ms - grace_ms, interval_ms - 2 * grace_ms)
    edges += [timedelta(milliseconds=edge_ms) for edge_ms in of_rotation_ms]
    moment = timedelta(milliseconds=1)
    on_edge = st.builds(
        lambda edge, off_by: max(timedelta(0), edge + off_by * moment),
        st.sampled_from(edges),
        st.integers(-1, 1),
    )
    anything = st.integers(0, known.expires_in_ms).map(lambda ms: timedelta(milliseconds=ms))
    return st.lists(on_edge | anything, max_size=max_size)
