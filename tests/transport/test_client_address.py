"""The client's address and scheme, behind proxies that are trusted and headers that lie."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from wsgi_sessions import SessionConfig
from wsgi_sessions.transport.client_address import (
    Hop,
    find_unknown_proxy,
    is_same_network,
    normal_address,
    read_client,
    read_elements,
)

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32"))


def read(environ: dict[str, Any], proxies: Any = PROXIES) -> tuple[str | None, bool]:
    return read_client({"wsgi.url_scheme": "http", **environ}, proxies)[:2]


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
        ({"X_FORWARDED_FOR": "203.0.113.9", "X_FORWARDED_PROTO": "wss"}, ("203.0.113.9", True)),
        ({"X_FORWARDED_FOR": "203.0.113.9", "X_FORWARDED_PROTO": "WS"}, ("203.0.113.9", False)),
        ({"X_FORWARDED_PROTO": "wss"}, ("10.0.0.1", True)),
        ({"X_FORWARDED_FOR": "203.0.113.9:4711"}, ("203.0.113.9", False)),
        ({"X_FORWARDED_FOR": "[2001:db9::7]:4711"}, ("2001:db9::7", False)),
        ({"X_FORWARDED_FOR": "2001:db9::7"}, ("2001:db9::7", False)),
        ({"X_FORWARDED_FOR": "fe80::1%eth0"}, ("fe80::1", False)),
        ({"X_FORWARDED_FOR": "::ffff:203.0.113.9, ::ffff:10.1.1.1"}, ("203.0.113.9", False)),
        ({"X_FORWARDED_FOR": "6.6.6.6,"}, (None, False)),
        ({"X_FORWARDED_FOR": "6.6.6.6, , 10.1.1.1"}, (None, False)),
        ({"X_FORWARDED_FOR": "6.6.6.6, 10.1.1.1:x"}, (None, False)),
        ({"X_FORWARDED_FOR": "6.6.6.6, [10.1.1.1]"}, (None, False)),
        ({"X_FORWARDED_FOR": "6.6.6.6, [10.1.1.1]:80"}, (None, False)),
        ({"X_FORWARDED_FOR": "6.6.6.6, 10.1.1.1:800000"}, (None, False)),
        ({"X_FORWARDED_FOR": "6.6.6.6, 10.1.1.1:_"}, (None, False)),
        ({"X_FORWARDED_FOR": '6.6.6.6, 110.1.1.1"'}, (None, False)),
        ({"X_FORWARDED_FOR": '6.6.6.6, "10.1.1.11'}, (None, False)),
        ({"X_FORWARDED_PROTO": 'http,\t"https"'}, ("10.0.0.1", True)),
        ({"X_FORWARDED_FOR": "6.6.6.6, 10.1.1.1%eth0"}, (None, False)),
        # Two proxies that add their words, and a client that comes with some of its own.
        (
            {"X_FORWARDED_FOR": "203.0.113.9, 10.1.1.1", "X_FORWARDED_PROTO": "https, http"},
            ("203.0.113.9", True),
        ),
        (
            {
                "X_FORWARDED_FOR": "172.16.0.1, 203.0.113.9, 10.1.1.1",
                "X_FORWARDED_PROTO": "https, http",
            },
            ("203.0.113.9", True),
        ),
        (
            {"X_FORWARDED_FOR": "203.0.113.9", "X_FORWARDED_PROTO": "https, https, http"},
            ("203.0.113.9", False),
        ),
        ({"FORWARDED": "for=203.0.113.9;proto=https;by=10.0.0.1"}, ("203.0.113.9", True)),
        ({"FORWARDED": 'for="[2001:DB9::7]:4711"'}, ("2001:db9::7", False)),
        ({"FORWARDED": 'for="203.0.113.9:4711"'}, ("203.0.113.9", False)),
        ({"FORWARDED": 'for="203.0.113.9:_port"'}, ("203.0.113.9", False)),
        ({"FORWARDED": 'For="203.0.113.9";PROTO="HTTPS"'}, ("203.0.113.9", True)),
        ({"FORWARDED": r'for="203.0.113.\9";proto="ht\tps"'}, ("203.0.113.9", True)),
        ({"FORWARDED": 'for=203.0.113.9; proto=https ;by="a,b;c"'}, ("203.0.113.9", True)),
        ({"FORWARDED": 'for=203.0.113.9;by="a, for=10.1.1.1"'}, ("203.0.113.9", False)),
        ({"FORWARDED": r'for=203.0.113.9;by="a\", for=10.1.1.1"'}, ("203.0.113.9", False)),
        ({"FORWARDED": "for=203.0.113.9;proto=wss"}, ("203.0.113.9", True)),
        ({"FORWARDED": "for=6.6.6.6, for=203.0.113.9;proto=https"}, ("203.0.113.9", True)),
        (
            {"FORWARDED": "for=203.0.113.9;proto=https, for=10.1.1.1;proto=http"},
            ("203.0.113.9", True),
        ),
        (
            {"FORWARDED": "for=203.0.113.9;proto=https,for=10.1.1.1", "X_FORWARDED_FOR": ""},
            ("203.0.113.9", True),
        ),
        ({"FORWARDED": "for=_hidden"}, (None, False)),
        ({"FORWARDED": "for=6.6.6.6, for=_hidden;proto=https"}, (None, True)),
        ({"FORWARDED": 'for=6.6.6.6, for="_hidden:_port";proto=https'}, (None, True)),
        ({"FORWARDED": 'for=6.6.6.6, for="Unknown:80";proto=https'}, (None, True)),
        ({"FORWARDED": "for=6.6.6.6, proto=https"}, (None, True)),
        ({"FORWARDED": ";;=,"}, (None, False)),
        ({"FORWARDED": 'for=203.0.113.9;by="a,"'}, ("203.0.113.9", False)),
        ({"FORWARDED": 'for=203.0.113.9;by=",a"'}, ("203.0.113.9", False)),
        # What is left of a good element may be as broken as it likes.
        ({"FORWARDED": ",for=203.0.113.9;proto=https"}, ("203.0.113.9", True)),
        ({"FORWARDED": 'for="6.6.6.6, for=203.0.113.9;proto=https'}, ("203.0.113.9", True)),
        ({"FORWARDED": r'for="6.6.6.6\, for="203.0.113.9"'}, ("203.0.113.9", False)),
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


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        # By a proxy that tells the scheme alone: the client is the hop that the server saw.
        ({"X_FORWARDED_PROTO": "https"}, ("10.0.0.1", True, None)),
        ({"X_FORWARDED_PROTO": "http"}, ("10.0.0.1", False, None)),
        ({"X_FORWARDED_PROTO": "x"}, ("10.0.0.1", False, None)),
        (
            {"X_FORWARDED_PROTO": "https", "X_FORWARDED_HOST": "www.example.org"},
            ("10.0.0.1", True, "www.example.org"),
        ),
        # By one that tells the address alone: the scheme is what the server saw.
        ({"X_FORWARDED_FOR": "203.0.113.9"}, ("203.0.113.9", False, None)),
        (
            {"X_FORWARDED_FOR": "203.0.113.9", "X_FORWARDED_HOST": "www.example.org"},
            ("203.0.113.9", False, "www.example.org"),
        ),
        ({"X_FORWARDED_FOR": "unknown"}, (None, False, None)),
        (
            {"X_FORWARDED_FOR": "203.0.113.9", "X_FORWARDED_PROTO": "https"},
            ("203.0.113.9", True, None),
        ),
    ],
)
@pytest.mark.parametrize(
    "sent",
    [
        "for=6.6.6.6;proto=https;host=forged.test",
        "for=6.6.6.6;proto=http;host=forged.test",
        "for=203.0.113.9;proto=https, for=10.1.1.1;proto=https",
        *["for=6.6.6.6", "proto=https", "host=forged.test", "rubbish", ""],
    ],
)
def test_forwarded_of_a_client_says_nothing_beside_what_a_proxy_wrote(
    sent: str, written: dict[str, str], expected: tuple[str | None, bool, str | None]
) -> None:
    """Nor where it agrees: whoever sends it knows what the proxy will write."""
    headers = {"FORWARDED": sent, **written}
    environ = {f"HTTP_{name}": value for name, value in headers.items()}

    assert read_client({"REMOTE_ADDR": "10.0.0.1", **environ}, PROXIES) == expected


@pytest.mark.parametrize(
    "sent",
    [
        *[{"X_FORWARDED_PROTO": scheme} for scheme in ("http", "https", "x", "https, https", ",")],
        {"X_FORWARDED_PROTO": "https", "X_FORWARDED_HOST": "forged.test"},
    ],
)
def test_scheme_sent_through_a_proxy_that_writes_forwarded_chooses_no_address(
    sent: dict[str, str],
) -> None:
    """It makes the address that of the proxy, which is counted, and no session is bound to."""
    environ = {f"HTTP_{name}": value for name, value in sent.items()}
    environ |= {"REMOTE_ADDR": "10.0.0.1", "HTTP_FORWARDED": "for=203.0.113.9;proto=http"}

    assert read(environ)[0] == "10.0.0.1"


@pytest.mark.parametrize(
    "sent",
    [
        {"X_FORWARDED_HOST": "forged.test"},
        {"X_FORWARDED_FOR": "", "X_FORWARDED_PROTO": "", "X_FORWARDED_HOST": "forged.test"},
        {"X_FORWARDED_PORT": "80", "X_REAL_IP": "6.6.6.6", "X_FORWARDED_SERVER": "forged.test"},
    ],
)
def test_proxy_that_writes_forwarded_alone_is_believed(sent: dict[str, str]) -> None:
    environ = {f"HTTP_{name}": value for name, value in sent.items()}
    environ |= {
        "REMOTE_ADDR": "10.0.0.1",
        "HTTP_FORWARDED": "for=203.0.113.9;proto=https;host=www.example.org",
    }

    client = read_client(environ, PROXIES)

    assert client == ("203.0.113.9", True, "www.example.org")


@pytest.mark.parametrize(
    "element",
    [
        *[
            "for=6.6.6.6;for=7.7.7.7",
            "for=6.6.6.6;FOR=6.6.6.6",
            "for=6.6.6.6;proto=https;proto=https",
        ],
        *['for="6.6.6.6', 'for=6.6.6.6"', 'for="6.6.6.6""', "for='6.6.6.6'", 'for="6.6.6.6" x'],
        *["for=[2001:db9::7]", 'for="2001:db9::7"', 'for="[2001:db9::7"', 'for="[6.6.6.6]"'],
        *["for=6.6.6.6:80", 'for="6.6.6.6:"', 'for="6.6.6.6:x"', 'for="6.6.6.6:800000"'],
        *["for =6.6.6.6", "for= 6.6.6.6", "for=", 'for=""', "for", "=6.6.6.6", "6.6.6.6"],
        *["for=6.6.6.6 proto=https", "for=6.6.6.6;proto", "for=6.6.6.6;;=", 'for="\x006.6.6.6"'],
        *["for=6.6.6", "for=6.6.6.666", "for=example.org", "for=\xe9", "for=_", "for=_a/b"],
        'for=6.6.6.6;by="' + "x" * 2000 + '"',
    ],
)
@pytest.mark.parametrize("left", ["", "for=8.8.8.8;proto=https, "])
@pytest.mark.parametrize("right", ["", ", for=10.1.1.1"])
def test_what_is_malformed_vouches_for_nothing(left: str, element: str, right: str) -> None:
    """Nor does what stands to the left of it: whoever wrote that, nobody says so."""
    header = f"{left}{element};proto=https{right}"

    assert read({"REMOTE_ADDR": "10.0.0.1", "HTTP_FORWARDED": header}) == (None, False)


@pytest.mark.parametrize("header", [" ", ",", "for=6.6.6.6,", "for=6.6.6.6, ,for=10.1.1.1"])
def test_empty_element_vouches_for_nothing(header: str) -> None:
    assert read({"REMOTE_ADDR": "10.0.0.1", "HTTP_FORWARDED": header}) == (None, False)


@pytest.mark.parametrize(
    "header", ["for=6.6.6.6;", ";for=6.6.6.6", "by=_a;;for=6.6.6.6", "for=6.6.6.6;;"]
)
def test_pair_may_be_left_out(header: str) -> None:
    assert read({"REMOTE_ADDR": "10.0.0.1", "HTTP_FORWARDED": header}) == ("6.6.6.6", False)


@pytest.mark.parametrize("broken", ["", " ", ";", "for=", "for=x", 'for="', "x" * 2000])
def test_nothing_is_read_beyond_what_is_malformed(broken: str) -> None:
    assert list(read_elements(f"for=8.8.8.8,{broken}")) == [Hop()]


@pytest.mark.parametrize(
    ("left", "length", "is_read"),
    [
        *[("", 1024, True), ("", 1025, False)],
        # The comma before it counts, too.
        *[("for=8.8.8.8,", 1023, True), ("for=8.8.8.8,", 1024, False)],
    ],
)
def test_element_has_a_longest_length(left: str, length: int, is_read: bool) -> None:
    element = "for=6.6.6.6;by=".ljust(length, "x")

    first = next(read_elements(f"{left}{element}"))

    assert (first == ("6.6.6.6", None, None)) is is_read


def test_server_that_calls_its_scheme_wss_is_https() -> None:
    environ = {"REMOTE_ADDR": "192.0.2.1", "wsgi.url_scheme": "wss"}

    assert read(environ) == read(environ, ()) == ("192.0.2.1", True)


@pytest.mark.parametrize(
    ("headers", "host"),
    [
        ({"X_FORWARDED_HOST": "www.example.org"}, "www.example.org"),
        ({"X_FORWARDED_HOST": "forged.test, www.example.org"}, "www.example.org"),
        (
            {"X_FORWARDED_FOR": "1.2.3.4", "X_FORWARDED_HOST": "forged.test, www.example.org"},
            "www.example.org",
        ),
        (
            {
                "X_FORWARDED_FOR": "1.2.3.4, 10.1.1.1",
                "X_FORWARDED_HOST": "forged.test, www.example.org, inner",
            },
            "www.example.org",
        ),
        (
            {"X_FORWARDED_FOR": "1.2.3.4, 10.1.1.1", "X_FORWARDED_HOST": "www.example.org"},
            "www.example.org",
        ),
        ({"FORWARDED": 'for=1.2.3.4;host="www.example.org:8443"'}, "www.example.org:8443"),
        ({"FORWARDED": "host=forged.test, for=1.2.3.4"}, None),
        ({"FORWARDED": "host=www.example.org;host=www.example.org"}, None),
        ({"X_FORWARDED_HOST": ""}, None),
    ],
)
def test_host_is_what_the_outermost_proxy_was_asked_for(
    headers: dict[str, str], host: str | None
) -> None:
    environ = {f"HTTP_{name}": value for name, value in headers.items()}

    assert read_client({"REMOTE_ADDR": "10.0.0.1", **environ}, PROXIES).host == host
    assert read_client({"REMOTE_ADDR": "192.0.2.1", **environ}, PROXIES).host is None
    assert read_client({"REMOTE_ADDR": "10.0.0.1", **environ}, ()).host is None


@pytest.mark.parametrize(
    ("network", "meant"),
    [
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:10.1.2.3", "10.1.2.3/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::ffff:a00:0/104", "10.0.0.0/8"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::/0", "::/0"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("64:ff9b::/96", "64:ff9b::/96"),
        ("::fffe:0:0/95", "::fffe:0:0/95"),
    ],
)
@pytest.mark.parametrize("is_text", [True, False])
def test_mapped_network_means_its_ipv4_network(network: str, meant: str, is_text: bool) -> None:
    given: Any = [network if is_text else ipaddress.ip_network(network)]
    config = SessionConfig(secret="0123456789abcdef" * 2, trusted_proxies=given)

    assert config.trusted_proxies == (ipaddress.ip_network(meant),)


def test_mapped_network_is_trusted() -> None:
    proxies: Any = ["::ffff:10.0.0.0/104"]
    config = SessionConfig(secret="0123456789abcdef" * 2, trusted_proxies=proxies)

    for peer in ("10.0.0.1", "::ffff:10.0.0.1"):
        environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": "203.0.113.9"}
        assert read(environ, config.trusted_proxies)[0] == "203.0.113.9"


@pytest.mark.parametrize(("length", "expected"), [(100, "fe80::1"), (101, None)])
def test_address_has_at_most_a_hundred_characters(length: int, expected: str | None) -> None:
    said = "fe80::1%".ljust(length, "z")

    assert read({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": said}) == (expected, False)


def test_long_texts_are_not_kept() -> None:
    before = normal_address.cache_info().currsize
    for number in range(50):
        read({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": f"{number}" * 5_000})

    assert normal_address.cache_info().currsize <= before + 1


@pytest.mark.parametrize(
    "header",
    [
        *["for=10.1.1.1," * 50_000, 'for="' * 50_000, '"' * 200_000, "," * 200_000, ";" * 200_000],
        *["\\" * 200_000, '\\"' * 100_000, 'for="' + "\\," * 100_000, "for=a;" * 50_000],
    ],
)
def test_work_on_an_endless_header_is_bounded(header: str) -> None:
    """Counted in characters that are looked at: what the parser does with each is one step."""

    class Counted(str):  # noqa: SLOT000  (it counts at the class)
        looked_at = 0

        def __getitem__(self, key: Any) -> str:
            found = str.__getitem__(self, key)
            Counted.looked_at += len(found)
            return found

        def rfind(self, sub: str, start: Any = 0, end: Any = None) -> int:
            found = str.rfind(self, sub, start, end)
            Counted.looked_at += end - max(found, start)
            return found

    list(read_elements(Counted(header)))

    assert Counted.looked_at <= 32 * 3 * 1024


def test_unix_socket_has_proxies_alone() -> None:
    assert read({"REMOTE_ADDR": "", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}) == (
        "203.0.113.9",
        False,
    )
    assert read({"HTTP_X_FORWARDED_PROTO": "https"}) == (None, True)
    assert read({"REMOTE_ADDR": ""}, ()) == (None, False)


def test_unix_socket_without_proxies_is_believed_nothing() -> None:
    forged = {"HTTP_X_FORWARDED_HOST": "forged.test", "HTTP_X_FORWARDED_PROTO": "https"}

    for address in ({}, {"REMOTE_ADDR": ""}, {"REMOTE_ADDR": "unix:"}):
        assert read_client({**address, **forged}, ()) == (None, False, None)
        assert read({**address, **forged}, ()) == (None, False)


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

    assert read(environ) == read(environ, ()) == ("10.0.0.1", True)
    assert read({**environ, "HTTP_X_FORWARDED_FOR": "203.0.113.9"}) == ("203.0.113.9", True)
    assert read({**environ, "HTTP_X_FORWARDED_PROTO": "http"}) == ("10.0.0.1", False)
    assert read({**environ, "HTTP_X_FORWARDED_PROTO": "ws"}) == ("10.0.0.1", False)
    assert read({**environ, "HTTP_FORWARDED": "for=203.0.113.9"}) == ("203.0.113.9", True)
    assert read({**environ, "HTTP_FORWARDED": "for=203.0.113.9;proto=ws"})[1] is False


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
        ("fe80::1%", None),
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


@pytest.mark.parametrize(
    ("remote", "headers", "proxies", "expected"),
    [
        ("10.0.0.5", {"X_FORWARDED_FOR": "203.0.113.9"}, (), "10.0.0.5"),
        ("127.0.0.1", {"FORWARDED": "for=203.0.113.9"}, (), "127.0.0.1"),
        ("127.0.0.1", {"FORWARDED": "proto=https"}, (), "127.0.0.1"),
        ("fd00::1", {"X_FORWARDED_FOR": "203.0.113.9"}, (), "fd00::1"),
        ("::ffff:10.0.0.5", {"X_FORWARDED_FOR": "203.0.113.9"}, (), "10.0.0.5"),
        ("192.168.1.1", {"X_FORWARDED_FOR": "203.0.113.9"}, PROXIES, "192.168.1.1"),
        ("10.0.0.5", {"X_FORWARDED_FOR": "203.0.113.9, 172.16.0.1"}, PROXIES, "172.16.0.1"),
        ("", {"X_FORWARDED_FOR": "203.0.113.9"}, (), "unix"),
        ("", {"X_FORWARDED_FOR": "203.0.113.9"}, PROXIES, None),
        ("10.0.0.5", {"X_FORWARDED_FOR": "203.0.113.9"}, PROXIES, None),
        ("10.0.0.5", {"X_FORWARDED_FOR": "172.16.0.1"}, PROXIES, None),
        ("10.0.0.5", {"X_FORWARDED_FOR": "rubbish, more"}, PROXIES, None),
        ("198.51.100.1", {"X_FORWARDED_FOR": "203.0.113.9"}, (), None),
        ("10.0.0.5", {}, (), None),
        ("10.0.0.5", {"X_FORWARDED_PROTO": "https"}, (), None),
    ],
)
def test_a_private_address_that_forwards_and_is_not_trusted_is_found(
    remote: str, headers: dict[str, str], proxies: Any, expected: str | None
) -> None:
    environ = {"REMOTE_ADDR": remote, **{f"HTTP_{name}": v for name, v in headers.items()}}
    assert find_unknown_proxy(environ, proxies) == expected
