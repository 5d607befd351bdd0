"""Claims about what a failed assertion tells: what is wrong, and the requests that led there."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.plugin.project import APP, BARE, Project

pytest_plugins = ["pytester"]

NOON = "2030-01-01T12:00:00.000+00:00"
TOKEN = "__Host-session_token=v1.abcd….0.wxyz….…"
DEVICE = "__Host-known_device=wxyz…"
COOKIE = f"{TOKEN}, {DEVICE}"
FLAGS = "Max-Age=604800; Path=/; Secure; HttpOnly; SameSite=Lax; Priority=High"
SET_DEVICE = f"set {DEVICE}; {FLAGS.replace('604800', '31536000')}"
SET = f"set {TOKEN}; {FLAGS}; {SET_DEVICE}"
BEGAN = f"{NOON} event session_created of session abcd… at 127.0.0.1 device=Firefox on Linux"
SIGN_IN = f"{NOON} sign in -> 200 OK; {SET}\n{BEGAN}"
NOTHING = "(nothing was sent yet)"


def say(project: Project, body: str, *, app: str = BARE, settings: str = "") -> str:
    """Return what a test with this body says, its ``browser`` signed in before."""
    lines = "\n".join(f"    {line}" for line in dedent(body).strip().splitlines())
    project.write(
        APP,
        app,
        tests=f"""\
import pytest
from wsgi_sessions_testing import (
    Schedules, assert_cookie_flags, assert_logout_is_final, assert_no_session_fixation,
    assert_not_shared_cacheable, assert_revocation_within, assert_rotated, assert_rotation_safe,
    assert_signed_in, assert_signed_out,
)

@pytest.fixture
def ada(browser):
    browser.sign_in("ada@example.org")
    return browser

@pytest.mark.sessions({settings})
def test_it(new_browser, request, wsgi_app, clock, network):
    nobody = new_browser()
    ada = request.getfixturevalue("ada")
{lines}
""",
    )
    said = project.told()
    assert said.startswith("AssertionError: ")
    return said.removeprefix("AssertionError: ")


def story(what: str, *lines: str) -> str:
    return "\n".join((what, *lines))


# Signed in, signed out


def test_who_is_signed_out_has_no_cookie(project: Project) -> None:
    said = say(project, "assert_signed_in(nobody)")
    assert said == story("the browser is signed out (it has no session cookie)", NOTHING)


def test_who_was_signed_out_sees_what_happened_before(project: Project) -> None:
    said = say(
        project,
        """
        with network.losing_responses(1):
            ada.get("/cart", query={"page": "2"})
        clock.advance(days=8)
        ada.get("/account")
        assert_signed_in(ada)
        """,
    )
    assert said == story(
        "the browser is signed out (its session ended: expired)",
        SIGN_IN,
        f"{NOON} GET https://localhost/cart?page=2 -> 200 OK (lost); sent {COOKIE}",
        "2030-01-09T12:00:00.000+00:00 GET https://localhost/account -> 401 Unauthorized; "
        f"sent {DEVICE}",
    )


def test_an_ended_session_says_why_it_ended(project: Project) -> None:
    said = say(project, "ada.manager.revoke_session(ada.session.id)\nassert_signed_in(ada)")
    assert said == story(
        "the browser is signed out (its session ended: revoked)",
        SIGN_IN,
        f"{NOON} event session_ended as revoked of session abcd…",
    )


def test_somebody_else_is_named(project: Project) -> None:
    said = say(project, "assert_signed_in(ada, as_='grace@example.org')")
    assert said == story(
        "the browser is signed in as ada@example.org, not as grace@example.org", SIGN_IN
    )


def test_who_is_still_signed_in_is_shown(project: Project) -> None:
    said = say(project, "assert_signed_out(ada)")
    assert said == story(
        "the browser is still signed in: Session(id='…', user_id='…')",
        SIGN_IN,
    )


def test_another_reason_is_named(project: Project) -> None:
    said = say(project, "ada.sign_out()\nassert_signed_out(ada, reason='revoked')")
    gone = "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax; Priority=High"
    assert said == story(
        "the session ended as signed_out, not as revoked",
        SIGN_IN,
        f"{NOON} sign out -> 200 OK; sent {COOKIE}; set __Host-session_token=; {gone}; "
        f"set __Host-session_data=; {gone}",
        f"{NOON} event session_ended as signed_out of session abcd… at 127.0.0.1",
    )


@pytest.mark.parametrize(
    ("settings", "act", "reason"),
    [
        ("", "clock.advance(days=7)", "expired"),
        ("idle_timeout=3600", "clock.advance(hours=1)", "idle"),
        ("absolute_timeout=3600", "clock.advance(hours=1)", "absolute"),
        ("ip_binding='exact'", "ada.address = '192.0.2.1'", "ip_mismatch"),
        ("ip_binding='exact', on_ip_mismatch='revoke'", "ada.address = '::1'", "ip_mismatch"),
        ("", "ada.manager.delete_user(ada.session.user_id)", "user_deleted"),
        ("", "ada.sign_out()", "signed_out"),
        ("", "ada.adopt(make_session(ended='evicted'))", "evicted"),
    ],
)
@pytest.mark.parametrize("visit", ["", "ada.get('/account')"])
def test_every_reason_can_be_stated_before_a_request_and_after(
    project: Project, settings: str, act: str, reason: str, visit: str
) -> None:
    project.write(
        APP,
        BARE,
        tests=f"""
        import pytest
        from wsgi_sessions_testing import assert_signed_out

        @pytest.mark.sessions({settings})
        def test_it(browser, clock, make_session):
            ada = browser
            ada.sign_in("ada@example.org")
            {act}
            {visit}
            assert_signed_out(ada, reason="{reason}")
        """,
    )
    project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize("on_replay", ["revoke", "reject"])
def test_a_replay_can_be_stated_of_the_thief(project: Project, on_replay: str) -> None:
    said = say(
        project,
        """
        thief = ada.fork()
        clock.advance(days=1)
        ada.get("/"), ada.get("/")
        clock.advance(minutes=3)
        ada.get("/")
        assert_signed_out(thief, reason="replayed")
        assert_signed_out(thief, reason="revoked")
        """,
        settings=f"on_replay='{on_replay}'",
    )
    verb = "ended" if on_replay == "revoke" else "is refused"
    assert said.startswith(f"the session {verb} as replayed, not as revoked\n")


def test_a_session_whose_cookie_alone_is_gone_has_not_ended(project: Project) -> None:
    said = say(project, "ada.cookies.clear()\nassert_signed_out(ada, reason='expired')")
    assert said == story(
        "nothing ended as expired: its session is live, but the jar has lost the cookie", SIGN_IN
    )


@pytest.mark.parametrize(
    ("settings", "act", "why"),
    [
        ("idle_timeout=3600", "clock.advance(hours=1)", "its session ended: idle"),
        ("ip_binding='exact'", "ada.address = '::1'", "its token is refused: ip_mismatch"),
    ],
)
def test_a_session_past_a_limit_or_elsewhere_says_which(
    project: Project, settings: str, act: str, why: str
) -> None:
    said = say(project, f"{act}\nassert_signed_in(ada)", settings=settings)
    assert said == story(f"the browser is signed out ({why})", SIGN_IN)


def test_events_stand_where_they_happened_and_are_of_this_browser_alone(project: Project) -> None:
    said = say(
        project,
        """
        nobody.sign_in("grace@example.org")
        clock.advance(days=1)
        ada.get("/"), nobody.get("/"), ada.get("/")
        ada.manager.revoke_session(ada.session.id)
        ada.get("/account")
        assert_signed_in(ada)
        """,
    )
    morning = "2030-01-02T12:00:00.000+00:00"
    rotated = TOKEN.replace(".0.", ".1.")
    assert said == story(
        "the browser is signed out (its session ended: revoked)",
        SIGN_IN,
        f"{morning} GET https://localhost/ -> 200 OK; sent {COOKIE}; set {rotated}; {FLAGS}",
        f"{morning} event session_refreshed of session abcd… at 127.0.0.1",
        f"{morning} GET https://localhost/ -> 200 OK; sent {rotated}, {DEVICE}",
        f"{morning} event session_rotated of session abcd… at 127.0.0.1 generation=1",
        f"{morning} event session_ended as revoked of session abcd…",
        f"{morning} GET https://localhost/account -> 401 Unauthorized; sent {rotated}, {DEVICE}",
    )


def test_no_session_has_no_reason(project: Project) -> None:
    said = say(project, "assert_signed_out(nobody, reason='revoked')")
    assert said == story("the browser has had no session that could have ended as revoked", NOTHING)


def test_a_misspelled_reason_is_told_the_right_ones(project: Project) -> None:
    project.write(
        APP,
        BARE,
        tests="""
        from wsgi_sessions_testing import assert_signed_out

        def test_it(browser):
            browser.sign_in("ada@example.org")
            browser.sign_out()
            assert_signed_out(browser, reason="revokd")
        """,
    )
    assert project.told() == (
        "ValueError: 'revokd' is no end reason; give one of signed_out, revoked, expired, idle, "
        "absolute, evicted, replayed, ip_mismatch, password_changed, user_deleted"
    )


# Rotation


def test_a_token_that_was_not_due_says_its_generation(project: Project) -> None:
    said = say(
        project,
        """
        before = ada.session_token
        clock.advance(hours=23)
        ada.get("/account")
        assert_rotated(ada, before)
        """,
    )
    assert said == story(
        "the token is still that of generation 0",
        SIGN_IN,
        f"2030-01-02T11:00:00.000+00:00 GET https://localhost/account -> 200 OK; sent {COOKIE}",
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "assert_rotated(nobody, nobody.session_token)",
            "there was no token before, so nothing could be rotated",
        ),
        (
            "assert_rotated(nobody, ada.session_token)",
            "the browser has no token of ours now, or had none before",
        ),
    ],
)
def test_a_token_that_was_not_there_is_no_rotated_one(
    project: Project, body: str, said: str
) -> None:
    assert say(project, body) == story(said, NOTHING)


def test_another_session_is_no_rotation(project: Project) -> None:
    said = say(
        project,
        """
        before = ada.session_token
        ada.sign_in("grace@example.org")
        assert_rotated(ada, before)
        """,
    )
    assert said == story(
        "the browser has another session now, which is no rotation",
        SIGN_IN,
        f"{NOON} sign in -> 200 OK; sent {COOKIE}; {SET}",
        f"{NOON} event session_ended as signed_out of session abcd… at 127.0.0.1",
        BEGAN,
    )


CUTTING_COOKIES = """
    from wsgi_sessions import SessionMiddleware

    class CookieCutter:
        def __init__(self, app):
            self.app = app

        def __call__(self, environ, start_response):
            def start(status, headers, exc_info=None):
                kept = [h for h in headers if h[0] != "Set-Cookie" or "HTTP_COOKIE" not in environ]
                return start_response(status, kept)

            return self.app(environ, start)

    @pytest.fixture
    def wsgi_app(session_manager):
        return CookieCutter(SessionMiddleware(account_app, session_manager))
"""


def test_a_proxy_that_drops_cookies_is_not_rotation_safe(project: Project) -> None:
    said = say(project, "assert_rotation_safe(ada)", app=CUTTING_COOKIES)
    page = "2030-01-02T12:00:00.000+00:00 GET https://localhost/ -> 200 OK"
    assert said == story(
        "the token is still that of generation 0",
        SIGN_IN,
        f"{page} (lost); sent {COOKIE}",
        "2030-01-02T12:00:00.000+00:00 event session_refreshed of session abcd… at 127.0.0.1",
        f"{page}; sent {COOKIE}",
    )


# Cookies and caches


@pytest.mark.parametrize(
    ("settings", "asked", "said"),
    [
        ("{'same_site': 'None'}", "same_site='Lax'", "came without samesite=lax"),
        ("{'secure': False}", "secure=True", "came without secure"),
        ("{'domain': 'example.org'}", "domain=None", "goes to other hosts of a domain, too"),
        ("{}", "secure=False", "is Secure, and should not be"),
        (
            "{'path': '/shop'}",
            "path='/', same_site='Strict'",
            "came without path=/, samesite=strict",
        ),
    ],
)
def test_a_session_cookie_without_a_flag_is_shown(
    project: Project, settings: str, asked: str, said: str
) -> None:
    told = say(project, f"assert_cookie_flags(ada, {asked})", settings=f"cookie={settings}")
    what, *lines = told.splitlines()
    assert what == f"a session cookie {said}"
    assert len(lines) == 2 and "sign in -> 200 OK; set " in lines[0]


def test_no_cookie_has_no_flags(project: Project) -> None:
    said = say(project, "assert_cookie_flags(nobody)")
    assert said == story("no session cookie was sent yet; sign in or open a page first", NOTHING)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        (
            "('Cache-Control', 'public, max-age=60'), ('Vary', 'Cookie')",
            (
                "Cache-Control lets shared caches keep it: "
                "Cache-Control: public, max-age=60, Vary: Cookie"
            ),
        ),
        (
            "('Cache-Control', 'S-MaxAge=60'), ('Vary', 'Accept-Encoding')",
            (
                "Cache-Control lets shared caches keep it; Vary does not name Cookie: "
                "Cache-Control: S-MaxAge=60, Vary: Accept-Encoding"
            ),
        ),
        (
            "('Set-Cookie', 'theme=dark')",
            (
                "it sets a cookie and is neither private nor no-store; Vary does not name Cookie: "
                "Cache-Control: None, Vary: None"
            ),
        ),
    ],
)
def test_a_page_that_shared_caches_keep_shows_its_headers(
    project: Project, headers: str, said: str
) -> None:
    body = f"""
        from webob import Response
        answer = Response(headerlist=[{headers}])
        assert_not_shared_cacheable(answer)
        """
    assert say(project, body) == said


# Attacks and endings

ATTACKER = SIGN_IN.replace("127.0.0.1", "203.0.113.66")
PAGE = f"{NOON} GET https://localhost/ -> 200 OK; sent {COOKIE}"


def test_a_sign_in_that_leaves_the_attackers_session_is_shown(project: Project) -> None:
    said = say(
        project,
        """
        def sign_in(browser):
            browser.post("/sign-in", {"email": "ada@example.org"})

        assert_no_session_fixation(wsgi_app, sign_in=sign_in)
        """,
    )
    assert said == story(
        "sign_in(browser) left the victim with the attacker's session; if the app refused it, "
        "have sign_in make its user first, as nobody else is in the database",
        ATTACKER,
        f"{NOON} POST https://localhost/sign-in -> 200 OK; sent {COOKIE}",
    )


def test_a_sign_in_that_signs_nobody_in_is_shown(project: Project) -> None:
    said = say(
        project,
        "assert_no_session_fixation(wsgi_app, sign_in=lambda browser: browser.sign_out())",
    )
    what, *lines = said.splitlines()
    assert what == "sign_in(browser) signed nobody in"
    assert "\n".join(lines[:2]) == ATTACKER and " sign out -> 200 OK; " in lines[2]


def test_a_sign_out_button_that_does_nothing_is_shown(project: Project) -> None:
    said = say(project, "assert_logout_is_final(ada, sign_out=lambda b: b.post('/sign-out'))")
    assert said == story(
        "the browser is still signed in after the sign-out",
        SIGN_IN,
        PAGE,
        f"{NOON} POST https://localhost/sign-out -> 200 OK; sent {COOKIE}",
    )


def test_a_sign_out_that_only_forgets_the_cookie_is_shown(project: Project) -> None:
    said = say(project, "assert_logout_is_final(ada, sign_out=lambda b: b.cookies.clear())")
    assert said == story(
        "a copy of the cookies from before the sign-out is still signed in", SIGN_IN, PAGE
    )


def test_a_revocation_that_comes_late_says_how_late(project: Project) -> None:
    said = say(
        project,
        "assert_revocation_within(ada, 0.5)",
        settings="cookie_cache=True",
    )
    sent = f"{TOKEN}, __Host-session_data=eyJ2Ijoi…, {DEVICE}"
    cache = "__Host-session_data=eyJ2Ijoi…; Max-Age=300; Path=/; Secure; HttpOnly; SameSite=Lax; Priority=High"
    visit = [
        f"{NOON} GET https://localhost/ -> 200 OK; sent {sent}",
        f"{NOON} look -> 200 OK; sent {sent}",
    ]
    assert said == story(
        "the session is still let in 0.5 s after it was revoked",
        f"{NOON} sign in -> 200 OK; set {TOKEN}; {FLAGS}; set {cache}; {SET_DEVICE}",
        BEGAN,
        *visit,
        *visit,
        "2030-01-01T11:59:50.000+00:00 event session_ended as revoked of session abcd…",
        f"2030-01-01T12:00:00.500+00:00 look -> 200 OK; sent {sent}",
    )


@pytest.mark.parametrize(
    "asked", ["assert_rotation_safe(nobody)", "assert_revocation_within(nobody, 1)"]
)
def test_who_was_not_signed_in_is_told_so(project: Project, asked: str) -> None:
    assert say(project, asked) == story("the browser was not signed in before", NOTHING)


def test_a_refused_cookie_is_told_with_its_reason(project: Project) -> None:
    said = say(
        project,
        """
        nobody.cookies.receive(["__Host-session_token=x; Path=/"], url="https://localhost/")
        assert_signed_in(nobody)
        """,
    )
    assert said == story(
        "the browser is signed out (it has no session cookie)",
        "refused __Host-session_token=x from https://localhost/: __Host-session_token needs Secure",
    )


def test_no_story_holds_a_token(project: Project) -> None:
    project.write(
        APP,
        BARE,
        tests="""
        import pytest
        from wsgi_sessions_testing import assert_signed_out

        @pytest.mark.sessions(cookie_cache=True)
        def test_it(browser):
            browser.sign_in("ada@example.org")
            browser.get("/account")
            _, secret, _, branch, signature = browser.session_token.split(".")
            with pytest.raises(AssertionError) as failure:
                assert_signed_out(browser)
            told = str(failure.value)
            assert "GET https://localhost/account" in told
            assert secret not in told and branch not in told and signature not in told
        """,
    )
    project.run().assert_outcomes(passed=1)
