"""The client's address and scheme, behind proxies that are trusted and headers that lie."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from wsgi_sessions.addresses import is_same_network, normal_address, read_address_and_scheme

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32"))


def read(environ: dict[str, Any], proxies: Any = PROXIES) -> tuple[str | None, bool]:
    return read_address_and_scheme({"wsgi.url_scheme": "http", **environ}, proxies)


def test_without_proxies_headers_are_not_believed() -> None:
    environ = {
        "REMOTE_ADDR": "192.0.2.1",
        "HTTP_X_FORWARDED_FOR": "203.0.113.9",
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_FORWARDED": "for=203.0.113.9;proto=https",
    }

    assert read(environ, ()) == ("192.0.2.1", False)


def test_stranger_is_not_believed() -> None:
    environ = {"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}

    assert read(environ) == ("192.0.2.1", False)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X_FORWARDED_FOR": "203.0.113.9"}, ("203.0.113.9", False)),
        ({"X_FORWARDED_FOR": "6.6.6.6, 203.0.113.9, 10.1.1.1"}, ("203.0.113.9", False)),
        ({"X_FORWARDED_FOR": "10.2.2.2, 10.1.1.1"}, ("10.2.2.2", False)),
        ({"X_FORWARDED_FOR": "203.0.113.9", "X_FORWARDED_PROTO": "https"}, ("203.0.113.9", True)),
        (
            {"X_FORWARDED_FOR": "6.6.6.6, 203.0.113.9", "X_FORWARDED_PROTO": "https, http"},
            ("203.0.113.9", False),
        ),
        (
            {"X_FORWARDED_FOR": "203.0.113.9, 10.1.1.1", "X_FORWARDED_PROTO": "HTTPS"},
            ("203.0.113.9", True),
        ),
        (
            {"X_FORWARDED_FOR": "203.0.113.9", "X_FORWARDED_PROTO": "http, https"},
            ("203.0.113.9", True),
        ),
        ({"X_FORWARDED_PROTO": "https"}, ("10.0.0.1", True)),
        ({"X_FORWARDED_FOR": "unknown"}, (None, False)),
        ({"X_FORWARDED_FOR": "203.0.113.9, rubbish"}, (None, False)),
        ({"X_FORWARDED_FOR": ""}, ("10.0.0.1", False)),
        ({"FORWARDED": "for=203.0.113.9;proto=https;by=10.0.0.1"}, ("203.0.113.9", True)),
        ({"FORWARDED": 'for="[2001:DB9::7]:4711"'}, ("2001:db9::7", False)),
        ({"FORWARDED": "for=6.6.6.6, for=203.0.113.9;proto=https"}, ("203.0.113.9", True)),
        ({"FORWARDED": "for=_hidden"}, (None, False)),
        ({"FORWARDED": ";;=,"}, (None, False)),
        (
            {"FORWARDED": "for=6.6.6.6;proto=https", "X_FORWARDED_FOR": "203.0.113.9"},
            ("203.0.113.9", False),
        ),
    ],
)
def test_walk_ends_at_the_first_hop_that_is_no_proxy(
    headers: dict[str, str], expected: tuple[str | None, bool]
) -> None:
    environ = {f"HTTP_{name}": value for name, value in headers.items()}

    assert read({"REMOTE_ADDR": "10.0.0.1", **environ}) == expected


def test_unix_socket_has_proxies_alone() -> None:
    assert read({"REMOTE_ADDR": "", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}) == (
        "203.0.113.9",
        False,
    )
    assert read({"HTTP_X_FORWARDED_PROTO": "https"}) == (None, True)
    assert read({"REMOTE_ADDR": ""}, ()) == (None, False)


def test_endless_header_is_cut() -> None:
    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "10.1.1.1," * 100_000}

    assert read(environ)[1] is False


@pytest.mark.parametrize("name", ["X_FORWARDED_FOR", "FORWARDED"])
def test_endless_header_is_cut_at_thirty_two_hops(name: str) -> None:
    prefix = "for=" if name == "FORWARDED" else ""
    hops = [f"{prefix}10.1.{n // 250}.{n % 250 + 1}" for n in range(40)]

    address, _ = read({"REMOTE_ADDR": "10.0.0.1", f"HTTP_{name}": ", ".join(hops)})

    assert address == "10.1.0.9"


@pytest.mark.parametrize(
    "value",
    [
        *["\0", "\xff\xfe", "for", "for=", 'for="', "=" * 50, ";" * 50, "," * 50, "[", "[]", "%"],
        *["::%25eth0%", "1" * 10_000, ":" * 10_000, "for=[::", "0x7f.1", "127.1", "1.2.3.4/8"],
    ],
)
@pytest.mark.parametrize(
    "name", ["REMOTE_ADDR", "HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_FORWARDED_PROTO"]
)
def test_hostile_value_is_no_address_and_no_failure(name: str, value: str) -> None:
    address, is_https = read({"REMOTE_ADDR": "10.0.0.1", name: value})

    assert address in (None, "10.0.0.1", "::")
    assert is_https is False


def test_proxy_over_ipv6_is_trusted_also_by_its_mapped_address() -> None:
    for address in ("2001:db8::5", "::ffff:10.0.0.1", "[2001:db8::5]:443"):
        environ = {"REMOTE_ADDR": address, "HTTP_X_FORWARDED_FOR": "203.0.113.9"}

        assert read(environ)[0] == "203.0.113.9", address


def test_server_s_own_https_stays_when_no_proxy_says_otherwise() -> None:
    environ = {"REMOTE_ADDR": "10.0.0.1", "wsgi.url_scheme": "https"}

    assert read(environ) == ("10.0.0.1", True)
    assert read({**environ, "HTTP_X_FORWARDED_FOR": "203.0.113.9"}) == ("203.0.113.9", True)
    assert read({**environ, "HTTP_X_FORWARDED_PROTO": "http"}) == ("10.0.0.1", False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%eth0]:80", "fe80::1"),
        (' "192.0.2.1" ', "192.0.2.1"),
        ("", None),
        ("192.0.2.999", None),
        ("192.0.2.01", None),
        ("example.org", None),
        ("٣.0.0.1", None),
    ],
)
def test_address_has_one_normal_form(text: str, expected: str | None) -> None:
    assert normal_address(text) == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("192.0.2.1", "192.0.2.255", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "2001:db8::1", False),
        ("192.0.2.1", "::c000:201", False),
        ("somewhere", "somewhere", True),
        ("somewhere", "192.0.2.1", False),
    ],
)
def test_network_is_compared_by_the_prefix_of_its_family(
    first: str, second: str, expected: bool
) -> None:
    assert is_same_network(first, second, prefix_v4=24, prefix_v6=64) is expected


@pytest.mark.parametrize(
    ("first", "second", "prefixes", "expected"),
    [
        ("192.0.2.1", "192.0.2.1", (32, 128), True),
        ("192.0.2.1", "192.0.2.2", (32, 128), False),
        ("192.0.2.1", "10.0.0.1", (0, 0), True),
        ("192.0.2.1", "192.0.2.127", (25, 128), True),
        ("192.0.2.1", "192.0.2.128", (25, 128), False),
        ("2001:db8::1", "2001:db8::2", (0, 128), False),
        ("2001:db8::1", "fe80::1", (32, 0), True),
    ],
)
def test_prefix_length_is_that_of_the_config(
    first: str, second: str, prefixes: tuple[int, int], expected: bool
) -> None:
    v4, v6 = prefixes

    assert is_same_network(first, second, prefix_v4=v4, prefix_v6=v6) is expected
