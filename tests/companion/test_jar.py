"""Claims about ``CookieJar``: what RFC 6265bis asks of a browser."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from wsgi_sessions_testing import CookieJar, FakeClock

HERE = "https://app.example.org/account/page"
PLAIN = "http://app.example.org/account/page"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def jar(clock: FakeClock) -> CookieJar:
    return CookieJar(clock)


def why_refused(jar: CookieJar, line: str, url: str = HERE) -> str:
    jar.receive([line], url=url)
    assert len(jar) == 0
    assert [refused.line for refused in jar.refused] == [line]
    return jar.refused[0].why


def test_a_cookie_is_a_name_and_a_value(jar: CookieJar) -> None:
    jar.receive(["a=1", "b=2; Path=/"], url=HERE)
    assert dict(jar) == {"a": "1", "b": "2"}
    assert jar["a"] == "1"
    assert "c" not in jar
    assert jar.get("c") is None


def test_the_very_instant_of_max_age_counts_as_over(jar: CookieJar, clock: FakeClock) -> None:
    jar.receive(["a=1; Max-Age=60"], url=HERE)
    clock.advance(seconds=60, milliseconds=-1)
    assert "a" in jar
    clock.advance(milliseconds=1)
    assert "a" not in jar
    assert jar.header_for(HERE) is None


def test_max_age_counts_before_expires(jar: CookieJar, clock: FakeClock) -> None:
    jar.receive(["a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], url=HERE)
    jar.receive(["b=1; Expires=Thu, 01 Jan 2099 00:00:00 GMT; Max-Age=60"], url=HERE)
    assert {"a", "b"} == set(jar)
    clock.advance(seconds=61)
    assert not jar


def test_expires_alone_is_heeded(jar: CookieJar, clock: FakeClock) -> None:
    jar.receive(["a=1; Expires=Tue, 01 Jan 2030 12:00:10 GMT"], url=HERE)
    clock.advance(seconds=9)
    assert "a" in jar
    clock.advance(seconds=1)
    assert "a" not in jar


@pytest.mark.parametrize("over", ["Max-Age=0", "Max-Age=-1", "Expires=Thu, 1 Jan 1970 0:0:0 GMT"])
def test_a_cookie_that_is_over_takes_the_old_one_away(jar: CookieJar, over: str) -> None:
    jar.receive(["a=1"], url=HERE)
    jar.receive([f"a=; {over}"], url=HERE)
    assert not jar
    assert not jar.refused


def test_clearing_with_another_path_leaves_the_cookie(jar: CookieJar) -> None:
    jar.receive(["a=1; Path=/"], url=HERE)
    jar.receive(["a=; Path=/account; Max-Age=0"], url=HERE)
    assert jar["a"] == "1"


@pytest.mark.parametrize("text", ["", "soon", "6.5", "+60", "--1"])
def test_an_unreadable_max_age_is_as_if_it_were_not_there(jar: CookieJar, text: str) -> None:
    jar.receive([f"a=1; Max-Age={text}"], url=HERE)
    cookie = jar.find("a")
    assert cookie is not None
    assert cookie.expires_at_ms is None


def test_no_cookie_lives_longer_than_400_days(jar: CookieJar, clock: FakeClock) -> None:
    jar.receive(["a=1; Max-Age=99999999999"], url=HERE)
    jar.receive(["b=1; Expires=Fri, 31 Dec 9999 23:59:59 GMT"], url=HERE)
    clock.advance(days=400, milliseconds=-1)
    assert set(jar) == {"a", "b"}
    clock.advance(milliseconds=1)
    assert not jar


def test_restart_drops_the_cookies_that_end_with_the_browser(jar: CookieJar) -> None:
    jar.receive(["a=1", "b=1; Max-Age=60"], url=HERE)
    jar.restart()
    assert set(jar) == {"b"}


def test_a_copy_goes_its_own_way(jar: CookieJar) -> None:
    jar.receive(["a=1"], url=HERE)
    twin = jar.copy()
    jar.receive(["a=2"], url=HERE)
    twin.receive(["b=1"], url=HERE)
    assert dict(jar) == {"a": "2"}
    assert dict(twin) == {"a": "1", "b": "1"}


def test_a_copy_can_live_by_another_clock(jar: CookieJar, clock: FakeClock) -> None:
    jar.receive(["a=1; Max-Age=60"], url=HERE)
    twin = jar.copy(clock=FakeClock())
    clock.advance(days=1)
    assert not jar
    assert set(twin) == {"a"}


def test_forgetting(jar: CookieJar) -> None:
    jar.receive(["a=1", "a=2; Path=/", "b=1"], url=HERE)
    jar.discard("a")
    assert set(jar) == {"b"}
    jar.clear()
    assert not jar


# What leaves the jar


def test_a_cookie_seen_to_be_over_does_not_come_back_with_the_clock(
    jar: CookieJar, clock: FakeClock
) -> None:
    jar.receive(["a=1; Max-Age=60"], url=HERE)
    clock.advance(seconds=60)
    assert jar.header_for(HERE) is None
    clock.advance(seconds=-60)
    assert jar.header_for(HERE) is None


@pytest.mark.parametrize(
    "act",
    [
        CookieJar.restart,
        lambda jar: jar.receive(["b=1"], url=HERE),
        lambda jar: jar.header_for(PLAIN),
        lambda jar: jar.script_view(HERE),
    ],
)
def test_every_use_of_the_jar_drops_what_is_over(
    jar: CookieJar, clock: FakeClock, act: Callable[[CookieJar], None]
) -> None:
    jar.receive(["a=1; Max-Age=60"], url=HERE)
    clock.advance(seconds=60)
    act(jar)
    clock.advance(seconds=-60)
    assert "a" not in jar


def test_looking_into_the_jar_drops_nothing(jar: CookieJar, clock: FakeClock) -> None:
    jar.receive(["a=1; Max-Age=60"], url=HERE)
    clock.advance(seconds=60)
    assert not jar and not jar.find_all() and [cookie.name for cookie in jar.gone] == ["a"]
    clock.advance(seconds=-60)
    assert "a" in jar and not jar.gone


def test_the_least_recently_used_cookie_of_a_full_domain_is_evicted(jar: CookieJar) -> None:
    jar.receive(["first=1; Path=/", "second=1; Path=/account; Secure"], url=HERE)
    jar.receive([f"c{number}=1; Secure; Path=/" for number in range(177)], url=HERE)
    jar.receive(["third=1; Path=/x; Secure"], url=HERE)
    jar.header_for(HERE)
    assert len(jar) == 180

    jar.receive(["fourth=1; Secure"], url=HERE)
    jar.receive(["fifth=1; Secure"], url=HERE)

    assert len(jar) == 180
    assert [cookie.name for cookie in jar.gone] == ["first", "third"]


def test_a_sub_domain_drives_out_cookies_but_not_those_of_high_priority(jar: CookieJar) -> None:
    host = HERE.split("/")[2]
    lines = ["ours=1; Path=/; Secure; Priority=High", "theirs=1; Path=/; Secure"]
    jar.receive(
        [*lines, "low=1; Secure; Priority=low", "odd=1; Secure; Priority=Highest"], url=HERE
    )
    jar.receive(["plain=1; Priority=HIGH"], url=HERE)
    jar.receive([f"c{number}=1; Secure" for number in range(200)], url=f"https://evil.{host}/")

    assert "ours" in jar
    assert [cookie.name for cookie in jar.gone][:4] == ["low", "plain", "theirs", "odd"]


def test_a_full_domain_evicts_from_no_other(jar: CookieJar) -> None:
    jar.receive(["a=1"], url="https://example.com/")
    jar.receive([f"c{number}=1" for number in range(300)], url=HERE)
    assert "a" in jar
    assert len(jar) == 181
    assert set(jar) >= {"c299", "c120"}


def test_what_is_gone_is_remembered(jar: CookieJar, clock: FakeClock) -> None:
    lines = ["a=1; Max-Age=60", "b=1", "c=1; Max-Age=90", "d=1; Max-Age=90", "e=1; Max-Age=90"]
    jar.receive(lines, url=HERE)
    clock.advance(seconds=60)
    jar.restart()
    jar.receive(["c=; Max-Age=0", "e=2"], url=HERE)
    jar.discard("d")
    assert [cookie.name for cookie in jar.gone] == ["a", "b", "c", "d"]
    assert jar.copy().gone == jar.gone


# Secure


def test_a_secure_cookie_stays_off_plain_http(jar: CookieJar) -> None:
    jar.receive(["a=1; Secure", "b=1"], url=HERE)
    assert jar.header_for(HERE) == "a=1; b=1"
    assert jar.header_for(PLAIN) == "b=1"


def test_a_secure_cookie_is_not_taken_over_plain_http(jar: CookieJar) -> None:
    assert "Secure" in why_refused(jar, "a=1; Secure", PLAIN)


def test_plain_http_cannot_shadow_a_secure_cookie(jar: CookieJar) -> None:
    jar.receive(["a=1; Secure; Path=/"], url=HERE)
    jar.receive(["a=2; Path=/account", "a=2; Domain=example.org"], url=PLAIN)
    assert jar.header_for(HERE) == "a=1"
    assert len(jar.refused) == 2


# HttpOnly


def test_scripts_do_not_see_http_only_cookies(jar: CookieJar) -> None:
    jar.receive(["a=1; HttpOnly", "b=1"], url=HERE)
    assert jar.script_view(HERE) == "b=1"
    assert jar.header_for(HERE) == "a=1; b=1"


# Path


@pytest.mark.parametrize(
    ("path", "request_path", "is_sent"),
    [
        ("/", "/anything", True),
        ("/account", "/account", True),
        ("/account", "/account/x", True),
        ("/account", "/accounting", False),
        ("/account/", "/account", False),
        ("/account/", "/account/x", True),
        ("/account", "/", False),
    ],
)
def test_path_matching(jar: CookieJar, path: str, request_path: str, is_sent: bool) -> None:
    jar.receive([f"a=1; Path={path}"], url=HERE)
    assert (jar.header_for(f"https://app.example.org{request_path}") is not None) is is_sent


@pytest.mark.parametrize("line", ["a=1", "a=1; Path", "a=1; Path=relative"])
def test_without_a_usable_path_the_folder_of_the_page_counts(jar: CookieJar, line: str) -> None:
    jar.receive([line], url=HERE)
    cookie = jar.find("a")
    assert cookie is not None
    assert cookie.path == "/account"


def test_longer_paths_and_older_cookies_go_first(jar: CookieJar, clock: FakeClock) -> None:
    jar.receive(["old=1; Path=/"], url=HERE)
    clock.advance(seconds=1)
    jar.receive(["new=1; Path=/", "deep=1; Path=/account"], url=HERE)
    clock.advance(seconds=1)
    jar.receive(["old=2; Path=/"], url=HERE)
    assert jar.header_for(HERE) == "deep=1; old=2; new=1"


def test_of_two_with_one_name_the_first_sent_is_read(jar: CookieJar) -> None:
    jar.receive(["a=outer; Path=/", "a=inner; Path=/account"], url=HERE)
    assert jar["a"] == "inner"
    assert jar.header_for(HERE) == "a=inner; a=outer"
    assert len(jar) == 1


# Domain


def test_without_domain_only_the_very_host_gets_it(jar: CookieJar) -> None:
    jar.receive(["a=1; Path=/"], url=HERE)
    assert jar.header_for("https://app.example.org/") == "a=1"
    assert jar.header_for("https://sub.app.example.org/") is None
    assert jar.header_for("https://example.org/") is None


@pytest.mark.parametrize("domain", ["example.org", ".example.org", "EXAMPLE.org"])
def test_with_domain_its_sub_domains_get_it(jar: CookieJar, domain: str) -> None:
    jar.receive([f"a=1; Path=/; Domain={domain}"], url=HERE)
    assert jar.header_for("https://example.org/") == "a=1"
    assert jar.header_for("https://other.example.org/") == "a=1"
    assert jar.header_for("https://badexample.org/") is None


@pytest.mark.parametrize("domain", ["example.com", "sub.app.example.org", "org", "10.0.0.1"])
def test_a_domain_that_is_not_the_hosts_is_refused(jar: CookieJar, domain: str) -> None:
    assert domain in why_refused(jar, f"a=1; Domain={domain}")


def test_localhost_as_domain_means_localhost_alone(jar: CookieJar) -> None:
    jar.receive(["a=1; Domain=localhost; Path=/"], url="https://localhost/")
    cookie = jar.find("a")
    assert cookie is not None
    assert cookie.is_host_only


def test_an_address_is_no_domain_for_others(jar: CookieJar) -> None:
    jar.receive(["a=1; Path=/; Domain=10.0.0.1"], url="https://10.0.0.1/")
    assert jar.header_for("https://10.0.0.1/") == "a=1"
    assert jar.header_for("https://1.10.0.0.1/") is None


# SameSite


@pytest.mark.parametrize(
    ("same_site", "method", "is_navigation", "is_sent"),
    [
        ("Strict", "GET", True, False),
        ("Lax", "GET", True, True),
        ("Lax", "POST", True, False),
        ("Lax", "GET", False, False),
        (None, "GET", True, True),
        (None, "POST", True, False),
        ("None", "POST", True, True),
        ("None", "GET", False, True),
    ],
)
def test_what_another_site_can_make_the_browser_send(
    jar: CookieJar, same_site: str | None, method: str, is_navigation: bool, is_sent: bool
) -> None:
    attribute = "" if same_site is None else f"; SameSite={same_site}"
    jar.receive([f"a=1; Secure{attribute}"], url=HERE)
    header = jar.header_for(HERE, method=method, is_cross_site=True, is_navigation=is_navigation)
    assert (header is not None) is is_sent
    assert jar.header_for(HERE, method=method) == "a=1"


def test_a_cross_site_image_sets_no_lax_cookie(jar: CookieJar) -> None:
    jar.receive(["a=1; SameSite=Lax"], url=HERE, is_cross_site=True, is_navigation=False)
    assert not jar
    jar.receive(["a=1; SameSite=Lax"], url=HERE, is_cross_site=True, is_navigation=True)
    assert "a" in jar


def test_same_site_none_needs_secure(jar: CookieJar) -> None:
    assert "Secure" in why_refused(jar, "a=1; SameSite=None")


# Prefixes


@pytest.mark.parametrize(
    "line",
    [
        "__Secure-a=1",
        "__Host-a=1; Path=/",
        "__Host-a=1; Secure",
        "__Host-a=1; Secure; Path=/account",
        "__Host-a=1; Secure; Path=/; Domain=app.example.org",
        "__hOsT-a=1; Secure; Path=/account",
        "=__Host-a=1; Secure; Path=/",
    ],
)
def test_a_prefixed_cookie_that_breaks_its_promise_is_refused(jar: CookieJar, line: str) -> None:
    assert why_refused(jar, line)


def test_prefixed_cookies_that_keep_it_are_taken(jar: CookieJar) -> None:
    lines = ["__Host-a=1; Secure; Path=/", "__Secure-b=1; Secure; Domain=example.org"]
    jar.receive(lines, url=HERE)
    assert set(jar) == {"__Host-a", "__Secure-b"}


# Lines that browsers ignore


@pytest.mark.parametrize(
    "line", ["", ";", "=", "a=1\x00", "a=1\x7f; Path=/", "a=1\n", "a=" + "x" * 4096]
)
def test_unusable_lines_are_refused_with_a_reason(jar: CookieJar, line: str) -> None:
    assert why_refused(jar, line)


def test_the_longest_pair_has_4096_bytes(jar: CookieJar) -> None:
    jar.receive(["a=" + "x" * 4095], url=HERE)
    assert "a" in jar


def test_a_cookie_without_a_name_is_sent_bare(jar: CookieJar) -> None:
    jar.receive(["lonely"], url=HERE)
    assert jar.header_for(HERE) == "lonely"


def test_an_attribute_over_1024_bytes_is_as_if_it_were_not_there(jar: CookieJar) -> None:
    jar.receive(["a=1; Path=/" + "x" * 1024], url=HERE)
    cookie = jar.find("a")
    assert cookie is not None
    assert cookie.path == "/account"


def test_a_jar_shows_names_alone(jar: CookieJar) -> None:
    jar.receive(["a=hush", "b=1"], url=HERE)
    assert repr(jar) == "CookieJar(a, b)"


def test_a_relative_url_says_what_to_write(jar: CookieJar) -> None:
    with pytest.raises(ValueError, match="write https://localhost"):
        jar.header_for("/account")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 37)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 37)),
        ("Sun Nov  6 08:49:37 1994", datetime(1994, 11, 6, 8, 49, 37)),
        ("6 november 69 8:9:7", datetime(2069, 11, 6, 8, 9, 7)),
        ("31 Feb 2030 00:00:00", None),
        ("1 Jan 1600 00:00:00", None),
        ("1 Jan 2030", None),
        ("1 Jan 2030 25:00:00", None),
    ],
)
def test_expires_is_read_as_browsers_read_it(
    jar: CookieJar, clock: FakeClock, text: str, instant: datetime | None
) -> None:
    clock.travel_to(datetime(1990, 1, 1, tzinfo=timezone.utc))
    if instant is not None:
        clock.travel_to(instant.replace(tzinfo=timezone.utc) - timedelta(seconds=10))
    jar.receive([f"a=1; Expires={text}"], url=HERE)
    cookie = jar.find("a")
    assert cookie is not None
    if instant is None:
        assert cookie.expires_at_ms is None
    else:
        clock.advance(seconds=10)
        assert "a" not in jar


# Where Secure cookies are taken, and the prefixes


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("https://example.org/", True),
        ("http://localhost/", True),
        ("http://localhost:8000/", True),
        ("http://app.localhost/", True),
        ("http://127.0.0.1:5000/", True),
        ("http://127.8.8.8/", True),
        ("http://[::1]:5000/", True),
        ("http://example.org/", False),
        ("http://localhost.example.org/", False),
        ("http://192.0.2.1/", False),
        ("http://[2001:db8::1]/", False),
    ],
)
def test_secure_cookies_are_kept_where_nobody_listens(url: str, is_taken: bool) -> None:
    jar = CookieJar(FakeClock())
    jar.receive(["a=1; Secure; Path=/", "__Host-b=2; Secure; Path=/"], url=url)
    assert (set(jar) == {"a", "__Host-b"}) is is_taken
    assert jar.header_for(url) == ("a=1; __Host-b=2" if is_taken else None)
    assert len(jar.refused) == (0 if is_taken else 2)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("__Http-a=1; Secure; HttpOnly", None),
        ("__Http-a=1; Secure; HttpOnly; Domain=example.org; Path=/x", None),
        ("__Http-a=1; Secure", "__Http-a needs HttpOnly"),
        ("__Http-a=1; HttpOnly", "__Http-a needs Secure"),
        ("__http-a=1; Secure", "__http-a needs HttpOnly"),
        ("__Host-Http-a=1; Secure; HttpOnly; Path=/", None),
        ("__Host-Http-a=1; Secure; Path=/", "__Host-Http-a needs HttpOnly"),
        ("__Host-Http-a=1; HttpOnly; Path=/", "__Host-Http-a needs Secure"),
        ("__Host-Http-a=1; Secure; HttpOnly; Path=/x", "__Host-Http-a needs Path=/"),
        (
            "__Host-Http-a=1; Secure; HttpOnly; Path=/; Domain=example.org",
            "__Host-Http-a must not have a Domain",
        ),
        ("__Host-a=1; Secure; Path=/", None),
        ("=__Http-a=1", "it has no name and a value that looks like a prefixed one"),
    ],
)
def test_prefixes_ask_for_their_attributes(line: str, why: str | None) -> None:
    jar = CookieJar(FakeClock())
    jar.receive([line], url="https://example.org/x")
    assert [refused.why for refused in jar.refused] == ([] if why is None else [why])
