"""Hypothesis strategies for settings, cookies, user agents, addresses behind proxies, and time."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from wsgi_sessions.clock import ms_from_duration
from wsgi_sessions.config.parts import CookieConfig
from wsgi_sessions.config.settings import SessionConfig

from .browser.user_agents import USER_AGENTS
from .extras import from_extra
from .settings import settings_for_tests, with_changes

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


# Settings; where two bound each other, the one drawn later keeps to the bounds of the earlier

_DAY_S = 86_400
_MAX_MS = 60 * _DAY_S * 1000
_PROXIES = [(), ("10.0.0.0/8",), ("192.0.2.0/24", "fd00::/8")]


def configs(**fixed: Any) -> st.SearchStrategy[SessionConfig]:
    """Return settings that go together; those given by name stay as they are.

    Of a part such as ``cookie={"path": "/"}`` the fields that are named stay. The cookies' path
    and domain vary, too; give them where a test asks for pages of its own.

    >>> from hypothesis import given
    >>> @given(config=configs(expires_in=3600))
    ... def test_it(config):
    ...     assert config.update_age < config.expires_in
    ...     assert not config.rotate_tokens or 5 * config.rotation_grace < config.rotation_interval
    >>> test_it()
    """
    return _configs(settings_for_tests(), fixed)


@st.composite
def _configs(draw: st.DrawFn, defaults: SessionConfig, fixed: Mapping[str, Any]) -> SessionConfig:
    seconds = st.integers(1, 60 * _DAY_S)
    drawn = {
        **draw(_lifetimes(fixed)),
        "idle_timeout": draw(st.none() | seconds),
        "absolute_timeout": draw(st.none() | seconds),
        "short_expires_in": draw(seconds),
        "fresh_age": draw(seconds),
        "touch_interval": draw(st.integers(0, _DAY_S)),
        "on_replay": draw(st.sampled_from(["revoke", "reject"])),
        "revocation_lag": draw(st.integers(0, 60)),
        "cookie_cache": {
            "enabled": draw(st.booleans()),
            "max_age": draw(st.sampled_from([1, 300]) | st.integers(1, _DAY_S)),
        },
        "multi_session": {
            "enabled": draw(st.booleans()),
            "maximum_sessions": draw(st.none() | st.integers(1, 6)),
            "on_limit": draw(st.sampled_from(["evict", "reject"])),
        },
        "ip_binding": draw(st.sampled_from(["off", "subnet", "exact"])),
        "on_ip_mismatch": draw(st.sampled_from(["reject", "revoke"])),
        "trusted_proxies": draw(st.sampled_from(_PROXIES)),
        "cookie": draw(_cookies(fixed.get("cookie"))),
        "on_database_error": draw(st.sampled_from(["unavailable", "anonymous"])),
    }
    return with_changes(defaults, drawn, fixed)


_ROTATION = ("rotate_tokens", "rotation_interval", "rotation_grace", "upload_grace")


@st.composite
def _lifetimes(draw: st.DrawFn, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Return how long sessions live and how often their tokens rotate, as they fit together.

    With G for ``rotation_grace``, L for ``upload_grace``, and R for what is left of
    ``expires_in`` after ``update_age``: L is at least 3 G, ``rotation_interval`` more than
    L + 2 G, and R more than L + 3 G.
    """
    given = {
        name: ms_from_duration(fixed[name])
        for name in ("expires_in", "update_age", "clock_difference", *_ROTATION[1:])
        if fixed.get(name) is not None
    }
    least_ms, least_life_ms = (_least_room_ms(given, graces) for graces in (2, 3))
    rotates = fixed.get("rotate_tokens")
    if rotates is None:
        # The given settings may leave no time for a rotation.
        has_room = given.get("rotation_interval", _MAX_MS) > least_ms
        has_room = has_room and _most_life_ms(given) > least_life_ms
        rotates = has_room and draw(st.booleans())
    update_age_ms, expires_in_ms = draw(_lives_ms(given, least_life_ms if rotates else 0))
    drawn = {"expires_in": expires_in_ms, "update_age": update_age_ms}
    if not rotates and not any(name in fixed for name in _ROTATION) and draw(st.booleans()):
        # Leave rotation to the product, which turns it off for sessions that are too short.
        return {name: timedelta(milliseconds=value) for name, value in drawn.items()}
    life_ms = expires_in_ms - update_age_ms if rotates else 2 * _MAX_MS
    interval_ms = given.get("rotation_interval")
    if interval_ms is None:
        usual = [600, 3600, _DAY_S, update_age_ms // 1000]
        interval_ms = draw(_durations_ms(least_ms + 1, max(_MAX_MS, 2 * least_ms), usual))
    room_ms = interval_ms if rotates else _MAX_MS
    grace_ms = given.get("rotation_grace")
    if grace_ms is None:
        most_ms = min((room_ms - 1) // 5, (life_ms - 1) // 6, 3_600_000)
        if "upload_grace" in given:
            upload_ms = given["upload_grace"]
            most_ms = min(
                upload_ms // 3,
                (room_ms - upload_ms - 1) // 2,
                (life_ms - upload_ms - 1) // 3,
                most_ms,
            )
        least_ms = _least_grace_ms(given)
        grace_ms = draw(_durations_ms(least_ms, max(least_ms, most_ms), [1, 30, 60]))
    drawn |= {"rotation_interval": interval_ms, "rotation_grace": grace_ms}
    if "upload_grace" not in given and draw(st.booleans()):
        most_ms = min(room_ms - 2 * grace_ms, life_ms - 3 * grace_ms) - 1
        most_ms = max(3 * grace_ms, most_ms)
        drawn["upload_grace"] = draw(_durations_ms(3 * grace_ms, most_ms, [180, 600, 3600]))
    return {
        "rotate_tokens": rotates,
        **{name: timedelta(milliseconds=value) for name, value in drawn.items()},
    }


def _least_room_ms(given: Mapping[str, int], graces: int) -> int:
    """Return what ``rotation_interval``, or the time left after ``update_age``, must exceed."""
    grace_ms = given.get("rotation_grace", _least_grace_ms(given))
    return max(3 * grace_ms, given.get("upload_grace", 0)) + graces * grace_ms


def _least_grace_ms(given: Mapping[str, int]) -> int:
    """Return the shortest grace: not less than clocks may differ."""
    return max(1, given.get("clock_difference", 1))


def _most_life_ms(given: Mapping[str, int]) -> int:
    """Return the most of ``expires_in`` that can be left after ``update_age``."""
    return given.get("expires_in", _MAX_MS) - given.get("update_age", 1)


@st.composite
def _lives_ms(draw: st.DrawFn, given: Mapping[str, int], least_room_ms: int) -> tuple[int, int]:
    """Return ``update_age`` and ``expires_in``, with more than this between them."""
    update_age_ms, expires_in_ms = given.get("update_age"), given.get("expires_in")
    if update_age_ms is None:
        most_ms = min(10 * _DAY_S * 1000, (expires_in_ms or _MAX_MS) - least_room_ms - 1)
        update_age_ms = draw(_durations_ms(1, max(1, most_ms), [60, 3600, _DAY_S]))
    if expires_in_ms is None:
        usual = [times * update_age_ms // 1000 for times in (2, 7, 30)]
        begin_ms = update_age_ms + least_room_ms + 1
        expires_in_ms = draw(_durations_ms(begin_ms, max(_MAX_MS, 2 * begin_ms), usual))
    return update_age_ms, expires_in_ms


def _durations_ms(least_ms: int, most_ms: int, usual_s: list[int]) -> st.SearchStrategy[int]:
    """Return durations within bounds: whole seconds if there are any, some of them usual."""
    usual_ms = [1000 * s for s in usual_s if least_ms <= 1000 * s <= most_ms]
    least_s, most_s = -(-least_ms // 1000), most_ms // 1000
    if least_s > most_s:
        return st.integers(least_ms, most_ms)
    whole = st.integers(least_s, most_s).map(lambda s: 1000 * s)
    return st.sampled_from(usual_ms) | whole if usual_ms else whole


@st.composite
def _cookies(draw: st.DrawFn, fixed: Any) -> dict[str, Any]:
    """Return fields for ``cookie``; SameSite=None and Partitioned need Secure."""
    if isinstance(fixed, CookieConfig):
        return {}
    given = dict(fixed or {})
    needs_secure = given.get("same_site") == "None" or given.get("partitioned") is True
    secure = draw(st.sampled_from(["auto", True] if needs_secure else ["auto", True, False]))
    is_insecure = given.get("secure", secure) is False
    return {
        "secure": secure,
        "same_site": draw(st.sampled_from(["Lax", "Strict", *([] if is_insecure else ["None"])])),
        "path": draw(st.sampled_from(["/", "/", "/app"])),
        "domain": draw(st.sampled_from([None, None, "example.org"])),
        "partitioned": False if is_insecure else draw(st.booleans()),
    }
