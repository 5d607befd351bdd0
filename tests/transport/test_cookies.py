"""Session cookies: our cookies found in any header, and Set-Cookie as browsers want it."""

from __future__ import annotations

from typing import Any

import pytest

from wsgi_sessions import SessionConfig
from wsgi_sessions.sessions.tokens import TokenSigner
from wsgi_sessions.transport.cookies import PresentedCookies, SessionCookies
from wsgi_sessions_testing import FakeClock
from wsgi_sessions_testing.browser.jar import CookieJar

SECRET = "0123456789abcdef" * 2
SIGNER = TokenSigner([SECRET])
BRANCH = "Branch-0"
TOKEN = SIGNER.write(bytes(24), 0, BRANCH)
OTHER = SIGNER.write(bytes(24), 1, BRANCH)


def make_cookies(**settings: Any) -> SessionCookies:
    settings = {"cookie_cache": True, **settings}
    return SessionCookies(SessionConfig(secret=SECRET, **settings), SIGNER)


def read(header: str | None, *, is_secure: bool = False, **settings: Any) -> PresentedCookies:
    return make_cookies(**settings).read(header, is_secure=is_secure)


def find(header: str, **settings: Any) -> tuple[list[str], list[str]]:
    found = read(header, **settings)
    return list(found.token_texts), list(found.cached_texts)


class TestRead:
    @pytest.mark.parametrize(
        "header",
        [
            "session_token=T",
            "a=b; session_token=T",
            "session_token=T; a=b",
            "a=b; session_token=T; c=d",
            "a=b;session_token=T",
            "a=b;\tsession_token=T",
            "a=b,c; session_token=T; d=e,f",
            "a=b,session_token=X; session_token=T",
            "session_token=T; a=b, session_token=X",
            'session_token="T"',
            'session_token="T" ; a=b',
            'a="b c"; session_token=T',
            'a="b; session_token=T',
            'a="b"; session_token="T"; c="',
            "session_token = T",
            "session_token= T ; a=b",
            " session_token=T",
            "session_token=T; session_token=T",
            "session_token_old=x; session_token=T",
            "xsession_token=x; session_token=T",
            "my=session_token=x; session_token=T",
            "=; ;;; =x; session_token=T",
            "broken; session_token=T",
            "a=\xff\x00é; session_token=T",
        ],
    )
    def test_token_is_found_among_anything(self, header: str) -> None:
        assert find(header) == (["T"], [])

    @pytest.mark.parametrize(
        "header",
        [
            None,
            "",
            ";",
            "a=b",
            "session_token",
            "xsession_token=T",
            "session_tokenx=T",
            "session-token=T",
            "Session_Token=T",
            "__Host-session_token=T",
            "__Secure-session_token=T",
            "a=session_token=T",
            "session_data=C",
            "a=b, session_token=T",
            "a=b,session_token=T,c=d",
            'a="b,session_token=T"',
            'a="b", session_token=T',
            '"session_token=T"',
            '"session_token"=T',
            "\x0bsession_token=T",
            "a=b;\xa0session_token=T",
            "session_token\x0c=T",
            "session_token=",
            'session_token=""',
        ],
    )
    def test_what_is_not_ours_is_nothing(self, header: str | None) -> None:
        found = read(header)

        assert (list(found.token_texts), list(found.cached_texts)) == ([], [])
        assert found.tokens == ()

    @pytest.mark.parametrize(
        "header",
        [
            "session_token=T; session_data=C",
            "session_data=C; session_token=T",
            "a=b; session_data=C; c=d; session_token=T",
            'session_token=T; session_data="C"',
            "session_token=T; a=,session_data=X; session_data=C",
            "session_token=T; session_data=C; session_data=C",
        ],
    )
    def test_copy_is_found_beside_the_token(self, header: str) -> None:
        assert find(header) == (["T"], ["C"])

    def test_copy_is_not_looked_for_when_the_cache_is_off(self) -> None:
        assert find("session_token=T; session_data=C", cookie_cache=False) == (["T"], [])

    def test_at_most_four_of_each_name_are_taken(self) -> None:
        tokens = [SIGNER.write(bytes([n]) * 24, 0, BRANCH) for n in range(9)]
        header = "; ".join(f"session_token={t}; session_data=C{n}" for n, t in enumerate(tokens))

        assert find(header) == (tokens[:4], ["C0", "C1", "C2", "C3"])

    def test_pieces_of_rubbish_take_no_place(self) -> None:
        rubbish = "; ".join(f"session_token={TOKEN[:-5]}{n:05}" for n in range(50))

        assert find(f"{rubbish}; session_token={TOKEN}") == ([TOKEN], [])

    def test_repeated_value_takes_one_place(self) -> None:
        header = "; ".join(["session_token=T"] * 9 + ["session_token=U"])

        assert find(header) == (["T", "U"], [])

    def test_tokens_that_we_signed_are_told_in_the_order_of_the_header(self) -> None:
        header = f"session_token=rubbish; session_token={OTHER}; session_token={TOKEN}"

        assert [token.text for token in read(header).tokens] == [OTHER, TOKEN]

    def test_signatures_are_checked_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[str] = []
        real = TokenSigner.read

        def count(signer: TokenSigner, text: str) -> Any:
            calls.append(text)
            return real(signer, text)

        monkeypatch.setattr(TokenSigner, "read", count)
        found = read(f"session_token={TOKEN}")

        assert calls == []
        assert found.tokens is found.tokens
        assert calls == [TOKEN]

    def test_long_hostile_header_is_read(self) -> None:
        header = 'session_token="' * 3_000 + f"; session_token={TOKEN}"

        assert TOKEN in read(header).token_texts

    @pytest.mark.parametrize("is_secure", [False, True])
    def test_signatures_checked_grow_no_faster_than_what_is_looked_at(
        self, is_secure: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[str] = []
        monkeypatch.setattr(TokenSigner, "read", lambda _, text: calls.append(text))
        name = "__Host-session_token" if is_secure else "session_token"
        forged = [f"{name}={TOKEN[:-6]}{n:06}" for n in range(100_000)]

        assert read("; ".join(forged), is_secure=is_secure).token_texts == ()
        assert len(calls) <= 65_536 // len(forged[0])

    def test_name_of_special_characters_is_taken_as_it_is(self) -> None:
        settings = {"cookie": {"name": "s.d|+"}}

        assert find("sxd=A; s.d|+=T; a=b", **settings) == (["T"], [])
        assert find("sxd|+=A", **settings) == ([], [])

    def test_one_name_may_begin_the_other(self) -> None:
        settings = {"cookie": {"name": "sid", "cache_name": "sid_data"}}

        assert find("sid_data=C; sid=T", **settings) == (["T"], ["C"])

    def test_repr_shows_no_value(self) -> None:
        assert repr(read(f"session_token={TOKEN}; session_data=C")) == (
            "PresentedCookies(<1>, cached=<1>)"
        )


class TestPrefix:
    @pytest.mark.parametrize(
        ("cookie", "name"),
        [
            ({}, "__Host-session_token"),
            ({"name": "sid"}, "__Host-sid"),
            ({"path": "/app"}, "__Secure-session_token"),
            ({"domain": "example.org"}, "__Secure-session_token"),
        ],
    )
    def test_secure_name_says_as_much_as_its_attributes_allow(
        self, cookie: dict[str, Any], name: str
    ) -> None:
        assert make_cookies(cookie=cookie).token_name(is_secure=True) == name

    def test_cached_copy_has_the_same_prefix(self) -> None:
        cookies = make_cookies()

        assert cookies.cache_name(is_secure=True) == "__Host-session_data"
        assert cookies.cache_name(is_secure=False) == "session_data"

    def test_name_over_http_has_none(self) -> None:
        assert make_cookies().token_name(is_secure=False) == "session_token"

    def test_https_reads_the_prefixed_name_alone(self) -> None:
        header = "session_token=planted; __Secure-session_token=planted; __Host-session_token=T"

        assert find(header, is_secure=True) == (["T"], [])
        assert find("session_token=planted", is_secure=True) == ([], [])

    @pytest.mark.parametrize(
        "header",
        [
            "p=a,__Host-session_token={evil}; __Host-session_token={ours}",
            "__Host-session_token={ours}; p=a, __Host-session_token={evil}",
            'p="a,__Host-session_token={evil}"; __Host-session_token={ours}',
            'p="a; __Host-session_token={ours}; q=b"',
            "__Host-session_token={ours}; p=a,__Host-session_data=evil,b",
            "p=,__Host-session_token=w,__Host-session_token=x; __Host-session_token={ours}",
            "__Host-session_token=rubbish; __Host-session_token={ours}",
            "__Host-session_token={ours}; __Host-session_token=rubbish",
            'session_token={evil}; __Host-session_token={ours}; "__Host-session_token={evil}"',
        ],
    )
    def test_what_a_sub_domain_plants_is_not_read(self, header: str) -> None:
        """It can plant any cookie but one with our prefix; see RFC 6265bis, section 5.7."""
        assert find(header.format(evil=OTHER, ours=TOKEN), is_secure=True) == ([TOKEN], [])

    def test_planted_value_alone_is_nobody(self) -> None:
        header = f"p=a,__Host-session_token={OTHER},__Host-session_data=C"

        assert find(header, is_secure=True) == ([], [])

    def test_one_candidate_of_a_name_that_is_bound_to_the_host(self) -> None:
        """The last: a browser sends what stood in its jar before a sign-in before it."""
        stranger = SIGNER.write(b"s" * 24, 9, BRANCH)
        header = (
            f"__Host-session_token={stranger}; __Host-session_data=D; "
            f"__Host-session_token={TOKEN}; __Host-session_data=C"
        )

        assert find(header, is_secure=True) == ([TOKEN], ["C"])

    def test_latest_generation_of_the_last_session_is_the_candidate(self) -> None:
        newer, stranger = SIGNER.write(bytes(24), 2, BRANCH), SIGNER.write(b"s" * 24, 9, BRANCH)
        header = "; ".join(f"__Host-session_token={t}" for t in (stranger, newer, TOKEN, OTHER))

        assert find(header, is_secure=True) == ([newer], [])

    def test_siblings_of_the_latest_generation_are_all_candidates(self) -> None:
        """The table knows which of them counts."""
        first, second = (SIGNER.write(bytes(24), 2, f"Branch-{n}") for n in (1, 2))
        stranger = SIGNER.write(b"s" * 24, 9, BRANCH)
        texts = (OTHER, stranger, second, TOKEN, first, second, "rubbish")
        header = "; ".join(f"__Host-session_token={text}" for text in texts)

        assert find(header, is_secure=True) == ([second, first], [])

    @pytest.mark.parametrize("count", [4, 5, 40])
    def test_of_many_tokens_of_a_session_the_latest_is_among_the_candidates(
        self, count: int
    ) -> None:
        texts = [SIGNER.write(bytes(24), n, BRANCH) for n in range(count)]
        header = "; ".join(f"__Host-session_token={text}" for text in texts)

        assert find(header, is_secure=True) == (texts[-1:], [])

    def test_name_that_says_secure_alone_may_stand_for_several_cookies(self) -> None:
        header = f"__Secure-session_token={OTHER}; __Secure-session_token={TOKEN}"
        settings = {"cookie": {"path": "/app"}}

        assert find(header, is_secure=True, **settings) == ([OTHER, TOKEN], [])

    @pytest.mark.parametrize(
        ("secure", "over_https", "over_http"),
        [("auto", True, False), (True, True, True), (False, False, False)],
    )
    def test_secure_follows_the_scheme_unless_it_is_set(
        self, secure: Any, over_https: bool, over_http: bool
    ) -> None:
        cookies = make_cookies(cookie={"secure": secure})

        assert cookies.is_secure_for(is_https=True) is over_https
        assert cookies.is_secure_for(is_https=False) is over_http


class TestSet:
    def test_token_over_http(self) -> None:
        assert make_cookies().set_token("T", is_secure=False, max_age_s=604_800) == (
            "Set-Cookie",
            "session_token=T; Max-Age=604800; Path=/; HttpOnly; SameSite=Lax; Priority=High",
        )

    def test_token_over_https(self) -> None:
        assert make_cookies().set_token("T", is_secure=True, max_age_s=604_800) == (
            "Set-Cookie",
            "__Host-session_token=T; Max-Age=604800; Path=/; Secure; HttpOnly; SameSite=Lax; Priority=High",
        )

    def test_every_cookie_has_the_same_protection(self) -> None:
        cookies = make_cookies()
        lines = [
            set_cookie("T", is_secure=True, max_age_s=60)
            for set_cookie in (
                cookies.set_token,
                cookies.set_cached_copy,
                cookies.set_step_up,
                cookies.set_device,
                cookies.set_nonce_key,
            )
        ]

        for line in lines:
            assert line is not None
            name, _, attributes = line[1].partition("=T; Max-Age=60; ")
            assert name.startswith("__Host-")
            assert attributes == "Path=/; Secure; HttpOnly; SameSite=Lax; Priority=High"

    def test_token_under_the_longest_name_is_not_too_large_for_browsers(self) -> None:
        cookies = make_cookies(cookie={"name": "n" * 256, "path": "/app"})
        token = SIGNER.write(bytes(24), 10**9, BRANCH)

        line = cookies.set_token(token, is_secure=True, max_age_s=604_800)[1]

        assert len(line.partition(";")[0]) < 4096
        assert all(len(attribute) <= 1024 for attribute in line.split("; ")[1:])

    @pytest.mark.parametrize("max_age_s", [1, 60, 604_800, 34_560_000])
    def test_token_lasts_as_long_as_told(self, max_age_s: int) -> None:
        line = make_cookies().set_token("T", is_secure=False, max_age_s=max_age_s)[1]

        assert line.split("; ")[1] == f"Max-Age={max_age_s}"

    def test_token_that_is_not_remembered_ends_with_the_browser(self) -> None:
        line = make_cookies().set_token("T", is_secure=False, max_age_s=None)[1]

        assert line == "session_token=T; Path=/; HttpOnly; SameSite=Lax; Priority=High"

    def test_every_attribute_of_the_config_is_rendered(self) -> None:
        cookies = make_cookies(
            cookie={
                "path": "/app",
                "domain": "example.org",
                "same_site": "None",
                "partitioned": True,
            },
        )

        assert cookies.set_token("T", is_secure=True, max_age_s=3600)[1] == (
            "__Secure-session_token=T; Max-Age=3600; Path=/app; Domain=example.org; Secure; "
            "HttpOnly; SameSite=None; Partitioned; Priority=High"
        )

    def test_what_browsers_take_from_secure_cookies_alone_is_left_out_over_http(self) -> None:
        cookies = make_cookies(cookie={"same_site": "None", "partitioned": True})

        line = cookies.set_token("T", is_secure=False, max_age_s=None)[1]

        assert line == "session_token=T; Path=/; HttpOnly; SameSite=Lax; Priority=High"

    @pytest.mark.parametrize(("max_age_s", "attribute"), [(60, "; Max-Age=60"), (None, "")])
    def test_cached_copy_ends_when_told(self, max_age_s: int | None, attribute: str) -> None:
        assert make_cookies().set_cached_copy("C", is_secure=False, max_age_s=max_age_s) == (
            "Set-Cookie",
            f"session_data=C{attribute}; Path=/; HttpOnly; SameSite=Lax; Priority=High",
        )

    def test_cached_copy_that_browsers_would_drop_is_not_set(self) -> None:
        cookies = make_cookies()
        rest = "session_data=; Path=/; HttpOnly; SameSite=Lax; Priority=High"
        longest = "C" * (4096 - len(rest))

        fits = cookies.set_cached_copy(longest, is_secure=False, max_age_s=None)

        assert fits is not None and len(fits[1]) == 4096
        assert cookies.set_cached_copy(longest + "C", is_secure=False, max_age_s=None) is None

    def test_cookie_outlives_what_a_sub_domain_fills_the_jar_with(self) -> None:
        """Chromium keeps 180 cookies of a site, and drops those of high priority last."""
        jar = CookieJar(FakeClock())
        line = make_cookies().set_token("T", is_secure=True, max_age_s=604_800)[1]
        jar.receive([line], url="https://example.org/")

        planted = [f"c{number}=x; Secure; Domain=example.org" for number in range(200)]
        jar.receive(planted, url="https://evil.example.org/")

        assert jar["__Host-session_token"] == "T"


class TestClear:
    def test_both_cookies_go_by_the_attributes_they_were_set_with(self) -> None:
        gone = "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; Secure; HttpOnly"

        assert make_cookies().clear(is_secure=True) == [
            ("Set-Cookie", f"__Host-session_token=; {gone}; SameSite=Lax; Priority=High"),
            ("Set-Cookie", f"__Host-session_data=; {gone}; SameSite=Lax; Priority=High"),
        ]

    def test_domain_and_path_are_named_again(self) -> None:
        cookies = make_cookies(cookie={"path": "/app", "domain": "example.org"})

        assert all(
            "; Path=/app; Domain=example.org;" in line for _, line in cookies.clear(is_secure=False)
        )

    def test_copy_can_go_alone(self) -> None:
        cookies = make_cookies()

        assert cookies.clear_cached_copy(is_secure=False) == cookies.clear(is_secure=False)[1]
        assert cookies.clear_cached_copy(is_secure=False)[1].startswith("session_data=;")


class TestDeviceCookie:
    @pytest.mark.parametrize(
        ("header", "found"),
        [
            (None, ()),
            ("a=b", ()),
            ("known_device=D", ("D",)),
            ('a=b; known_device="D" ;c=d', ("D",)),
            ("a=known_device=D", ()),
            ("xknown_device=D", ()),
            ("known_device=1; known_device=2", ("1", "2")),
            ("; ".join(f"known_device={n}" for n in range(9)), ("0", "1", "2", "3")),
        ],
    )
    def test_is_found_in_any_header(self, header: str | None, found: tuple[str, ...]) -> None:
        assert make_cookies().read_devices(header, is_secure=False) == found

    def test_under_a_name_that_nobody_can_plant_the_last_one_counts(self) -> None:
        header = "known_device=x; __Host-known_device=1; __Host-known_device=2"
        assert make_cookies().read_devices(header, is_secure=True) == ("2",)

    def test_is_not_cleared_with_the_others(self) -> None:
        lines = make_cookies().clear(is_secure=True)
        assert not any("known_device" in line for _, line in lines)
