"""The sessions page, as forms and links meet it: through the real middleware, by ``Browser``."""

from __future__ import annotations

import base64
import html
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from wsgi_sessions import (
    ConfigurationError,
    EndReason,
    SessionManager,
    SessionMiddleware,
    StoreUnavailableError,
    User,
    get_request,
)
from wsgi_sessions.pages.app import SessionsPage
from wsgi_sessions.sessions.signing import KeyRing
from wsgi_sessions_testing import Bench, Browser

from ..refusals import PROTECTIONS

PAGE = "/account/sessions"
ADA = "ada@example.org"
IPHONE = "Safari on iPhone"


def app(environ: Any, start_response: Any) -> list[bytes]:
    if environ["PATH_INFO"] == "/cart":
        get_request(environ).start_anonymous_session().data["cart"] = ["tea"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the app itself"]


def make_bench(**settings: Any) -> Bench:
    return Bench(app, pages_path=PAGE, **settings)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with make_bench() as bench:
        yield bench


@pytest.fixture
def laptop(bench: Bench) -> Browser:
    browser = bench.new_browser()
    browser.sign_in(ADA)
    return browser


@pytest.fixture
def phone(bench: Bench) -> Browser:
    browser = bench.new_browser(IPHONE, address="2001:db8::17")
    browser.sign_in(ADA)
    return browser


def token_in(page: Any) -> str:
    return str(re.findall(r'name="csrf_token" value="([^"]+)"', page.text)[0])


def send(browser: Browser, action: str, **form: str) -> Any:
    form = {"csrf_token": token_in(browser.get(PAGE)), **form}
    return browser.post(f"{PAGE}/{action}", form)


def id_of(browser: Browser) -> str:
    assert browser.session is not None
    return browser.session.id


def text_of(page: Any) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text)))


# Being there


def test_the_page_is_off_unless_asked_for() -> None:
    with Bench(app) as bench:
        assert bench.new_browser().get(PAGE).text == "the app itself"


def test_only_its_own_paths_are_answered(bench: Bench) -> None:
    browser = bench.new_browser()
    for path in ("/account", "/account/sessionsx", "/account/Sessions"):
        assert browser.get(path).text == "the app itself"


def test_a_missing_extra_is_named_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def find_spec(name: str) -> Any:
        return None if name == "jinja2" else real(name)

    monkeypatch.setattr("wsgi_sessions.pages.app.find_spec", find_spec)
    settings: dict[str, Any] = {"secret": "a-secret-for-tests-of-32-characters"}
    manager = SessionManager("sqlite:///:memory:", pages_path=PAGE, **settings)
    with pytest.raises(ConfigurationError, match=r"pip install 'wsgi-sessions\[pages\]'"):
        SessionMiddleware(app, manager)
    SessionMiddleware(app, SessionManager("sqlite:///:memory:", **settings))


def test_the_extra_is_imported_only_to_show_the_page() -> None:
    program = (
        "import sys, wsgi_sessions\n"
        "for path in (None, '/account/sessions'):\n"
        "    manager = wsgi_sessions.SessionManager('sqlite:///:memory:', secret='s0123456789abcdef' * 2,\n"
        "        pages_path=path)\n"
        "    wsgi_sessions.SessionMiddleware(print, manager)\n"
        "print({'jinja2'} & set(sys.modules))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.stdout.strip(), ran.returncode) == ("set()", 0), ran.stderr


# Showing


def test_sessions_are_shown_in_words(bench: Bench, laptop: Browser, phone: Browser) -> None:
    bench.clock.advance(hours=3)
    shown = text_of(laptop.get(PAGE))
    assert "ada@example.org is signed in on 2 browsers. End what you don’t recognise" in shown
    assert "This browser Firefox on Linux Signed in 3 hours ago Sign out" in shown
    assert (
        "Safari on iPhone new Address 2001:db8::17 Last seen 3 hours ago Signed in 3 hours ago End"
        in shown
    )
    assert shown.index("Firefox on Linux") < shown.index("Safari on iPhone")


def test_this_device_comes_first_though_another_was_seen_later(
    bench: Bench, laptop: Browser
) -> None:
    bench.clock.advance(minutes=1)  # less than touch_interval, so looking is not being seen
    bench.new_browser(IPHONE).sign_in(ADA)
    shown = text_of(laptop.get(PAGE))
    assert shown.index("This browser Firefox on Linux") < shown.index("Safari on iPhone")


def test_times_are_for_machines_too(laptop: Browser, bench: Bench) -> None:
    bench.new_browser(IPHONE).sign_in(ADA)
    instants = re.findall(r'<time datetime="([^"]+)"', laptop.get(PAGE).text)
    assert len(instants) == 3
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", said) for said in instants)


def test_what_is_said_in_words_is_there_in_full(bench: Bench, laptop: Browser) -> None:
    phone = bench.new_browser(IPHONE)
    phone.sign_in(ADA)
    bench.clock.advance(hours=3)
    assert 'title="1 January 2030, 12:00 UTC">3 hours ago</time>' in laptop.get(PAGE).text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *[(None, "This account"), ("<b>", "&lt;b&gt;"), ("A\ud800", "A?"), ("x" * 120, "x" * 120)],
        ("\u202eada\u2069\u202e", "\u202eada\u2069\u202e"),
        ("\u05d0\u05d1 1", "\u05d0\u05d1 1"),
    ],
)
def test_a_user_of_the_apps_own_table_may_have_any_name_and_no_email(
    laptop: Browser, monkeypatch: pytest.MonkeyPatch, name: str | None, said: str
) -> None:
    monkeypatch.setattr(User, "email", None)
    monkeypatch.setattr(User, "name", name)
    answer = laptop.get(PAGE)
    assert answer.status_int == 200
    assert f"<bdi>{said}</bdi> is signed in on 1 browser." in answer.text


def test_one_session_has_nothing_else_to_end(laptop: Browser) -> None:
    page = laptop.get(PAGE).text
    assert "signed in on 1 browser." in page
    assert "End all other sessions" not in page


@pytest.mark.parametrize(
    "agent",
    [
        *["<script>alert(1)</script>" * 20, '"><img src=x onerror=alert(1)>', "</style>"],
        *["x" * 600, "; wetab Build", "\x00\x85\xff" * 200],
    ],
)
def test_what_a_browser_calls_itself_is_escaped(bench: Bench, laptop: Browser, agent: str) -> None:
    other = bench.new_browser(agent)
    other.sign_in(ADA)
    page = laptop.get(PAGE)
    assert "<script" not in page.text and "<img" not in page.text
    assert page.text.count("</style>") == 1
    assert "Unknown device" in page.text


def test_a_user_without_address_and_agent_is_shown(bench: Bench) -> None:
    browser = bench.new_browser("", address=None)
    browser.sign_in(ADA)
    shown = text_of(browser.get(PAGE))
    assert "This browser Unknown device Signed in just now" in shown
    assert "Address" not in shown


def test_visitors_are_sent_to_sign_in(bench: Bench) -> None:
    answer = bench.new_browser().get(PAGE)
    assert answer.status_int == 303
    assert answer.headers["Location"] == "/?next=%2Faccount%2Fsessions"


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("/sign-in", "/sign-in?next=%2Faccount%2Fsessions"),
        ("/sign-in?a=b", "/sign-in?a=b&next=%2Faccount%2Fsessions"),
        ("/sign-in#form", "/sign-in?next=%2Faccount%2Fsessions#form"),
        ("https://id.example.org/in", "https://id.example.org/in?next=%2Faccount%2Fsessions"),
    ],
)
def test_the_sign_in_page_is_the_apps(url: str, location: str) -> None:
    with make_bench(sign_in_url=url) as bench:
        browser = bench.new_browser()
        assert browser.get(PAGE).headers["Location"] == location


def test_an_anonymous_session_is_no_user(bench: Bench) -> None:
    browser = bench.new_browser()
    browser.get("/cart")
    assert browser.session is not None
    assert browser.get(PAGE).status_int == 303


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_slash_at_the_end_leads_to_the_page(laptop: Browser, method: str) -> None:
    answer = laptop.request(method, f"{PAGE}/")
    assert (answer.status_int, answer.headers["Location"]) == (308, PAGE)


def test_the_address_is_shown_where_it_differs(bench: Bench, laptop: Browser) -> None:
    here, there, nowhere = (
        bench.new_browser(IPHONE, address=address)
        for address in (laptop.address, "198.51.100.7", None)
    )
    for browser in (here, there, nowhere):
        browser.sign_in(ADA)
    page = laptop.get(PAGE)
    assert re.findall(r"<dt>Address</dt><dd><bdi>([^<]*)</bdi>", page.text) == ["198.51.100.7"]
    assert str(laptop.address) not in page.text


def test_what_is_new_or_unknown_is_set_apart(bench: Bench) -> None:
    bench.new_browser("a-robot/1.0\u00ff").sign_in(ADA)
    bench.new_browser(IPHONE).sign_in(ADA)
    bench.clock.advance(days=2)
    bench.new_browser("Chrome on Windows").sign_in(ADA)
    bench.clock.advance(hours=23)
    laptop = bench.new_browser()
    laptop.sign_in(ADA)
    shown = text_of(laptop.get(PAGE))
    headings = ["This browser", "New or unknown", "Other browsers"]
    own, odd, known = (shown.index(heading) for heading in headings)
    assert own < shown.index("Firefox on Linux") < odd
    assert odd < shown.index("Chrome on Windows new") < known
    assert odd < shown.index("Unknown device a-robot/1.0") < known
    assert known < shown.index("Safari on iPhone")
    bench.clock.advance(hours=1)
    assert "Chrome on Windows new" not in text_of(laptop.get(PAGE))


def test_what_a_device_without_a_name_calls_itself_is_cut(bench: Bench, laptop: Browser) -> None:
    bench.new_browser("x" * 512).sign_in(ADA)
    assert f"<bdi>{'x' * 120}…</bdi>" in laptop.get(PAGE).text


def test_whose_site_it_is_and_the_way_back_are_settings() -> None:
    settings = {
        "pages_title": "Ada & Co",
        "pages_home_url": "/home",
        "change_password_url": "/account/password?from=sessions",
    }
    with make_bench(**settings) as bench:
        browser = bench.new_browser()
        browser.sign_in(ADA)
        for path in (PAGE, f"{PAGE}/nothing"):
            page = browser.get(path).text
            assert " · Ada &amp; Co</title>" in page
            assert re.search(r'<a href="/home">.* Back to <bdi>Ada &amp; Co</bdi></a>', page)
        shown = browser.get(PAGE).text
        assert '<a href="/account/password?from=sessions">Change your password</a>' in shown


def test_without_the_settings_the_way_leads_to_the_root(laptop: Browser) -> None:
    page = laptop.get(PAGE).text
    assert "<title>Your sessions</title>" in page
    assert re.search(r'<a href="/">.* Back to the site</a>', page)
    assert "password" not in text_of(laptop.get(PAGE)).replace("change your password", "")


def test_its_icon_needs_no_session_and_no_database(bench: Bench, laptop: Browser) -> None:
    found = re.search(r'<link rel="icon" href="([^"]+)"', laptop.get(PAGE).text)
    assert found is not None
    with bench.faults.database_unasked():
        answer = bench.new_browser().get(found[1])
    with bench.faults.database_down():
        assert laptop.get(found[1]).body == answer.body
    assert (answer.status_int, answer.content_type) == (200, "image/svg+xml")
    assert answer.body.startswith(b"<svg")
    assert "max-age" in answer.headers["Cache-Control"]
    assert laptop.head(found[1]).body == b""
    assert laptop.post(found[1], {}).status_int == 404


def test_every_button_has_a_name_of_its_own(bench: Bench, laptop: Browser) -> None:
    for _ in range(4):
        bench.new_browser(IPHONE).sign_in(ADA)
    names = re.findall(r'aria-label="(End session: [^"]+)"', laptop.get(PAGE).text)
    assert len(names) == len(set(names)) == 4
    assert all("signed in 1 January 2030, 12:00 UTC" in name for name in names)


def test_head_has_no_body(laptop: Browser) -> None:
    answer = laptop.head(PAGE)
    assert (answer.status_int, answer.body) == (200, b"")


def get_mounted(browser: Browser, script_name: str, path: str = PAGE) -> tuple[Any, bytes]:
    """Return headers and body of a page of an app that is mounted somewhere."""
    said: list[Any] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": script_name,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443",
        "HTTP_COOKIE": browser.cookies.header_for("https://localhost/"),
        "wsgi.url_scheme": "https",
        "HTTP_HOST": "localhost",
    }
    wrapped = SessionMiddleware(app, browser.manager)
    body = b"".join(wrapped(environ, lambda *given: said.append(given)))  # type: ignore[arg-type]
    return dict(said[-1][1]), body


def test_a_mounted_app_links_to_where_it_is(bench: Bench, laptop: Browser) -> None:
    _, body = get_mounted(laptop, "/s\xc3\xa4ule")
    assert b'action="/s%C3%A4ule/account/sessions/sign-out"' in body
    headers, _ = get_mounted(bench.new_browser(), "/s\xc3\xa4ule")
    assert headers["Location"] == "/?next=%2Fs%25C3%25A4ule%2Faccount%2Fsessions"


def test_a_mount_never_leads_to_another_host(bench: Bench, laptop: Browser) -> None:
    headers, _ = get_mounted(laptop, "//evil.example", f"{PAGE}/")
    assert headers["Location"] == "/evil.example/account/sessions"
    _, body = get_mounted(laptop, "//evil.example")
    assert b'action="/evil.example/account/sessions/sign-out"' in body
    headers, _ = get_mounted(bench.new_browser(), "//evil.example")
    assert headers["Location"] == "/?next=%2Fevil.example%2Faccount%2Fsessions"


# Headers


def test_the_policy_lets_nothing_in(laptop: Browser) -> None:
    headers = laptop.get(PAGE).headers
    policy = headers["Content-Security-Policy"]
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[\w+/=]+'; img-src 'self'; form-action 'self'; "
        r"base-uri 'none'; frame-ancestors 'none'",
        policy,
    )
    assert headers["Cache-Control"].startswith("no-store")
    expected = {**PROTECTIONS, "Content-Security-Policy": policy, "Referrer-Policy": "same-origin"}
    assert {name: headers[name] for name in PROTECTIONS} == expected
    assert headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", ["/icon.svg", "/", "/nothing"])
def test_what_is_beside_the_page_is_protected(laptop: Browser, path: str) -> None:
    headers = laptop.get(PAGE + path).headers
    assert set(PROTECTIONS) <= set(headers)
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_a_template_that_fails_is_an_answer_without_a_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("base.html", "sessions.html", "message.html"):
        (tmp_path / name).write_text("{{ no_such_name }}")
    with make_bench(pages_templates=tmp_path) as bench:
        browser = bench.new_browser()
        browser.sign_in(ADA)
        answer = browser.get(PAGE)
    assert answer.status_int == 500 and answer.content_type == "text/plain"
    assert answer.text == "Something went wrong on the server. Please try again later.\n"
    assert "no_such_name" in caplog.text
    assert {name: answer.headers[name] for name in PROTECTIONS}["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("name", "path"), [("message.html", "/nothing"), ("icon.svg", "/icon.svg")]
)
def test_a_template_beside_the_page_that_fails_is_an_answer_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, path: str
) -> None:
    (tmp_path / name).write_bytes(b"{{ no_such_name }}\xff")
    with make_bench(pages_templates=tmp_path) as bench:
        answer = bench.new_browser().get(PAGE + path)
    assert answer.status_int == 500
    assert answer.text == "Something went wrong on the server. Please try again later.\n"
    assert {name: answer.headers[name] for name in PROTECTIONS} == PROTECTIONS
    assert len(caplog.records) == 1


def test_browsers_report_where_it_is_asked() -> None:
    with make_bench(pages_report_url="https://reports.example.org/csp?site=1") as bench:
        browser = bench.new_browser()
        browser.sign_in(ADA)
        headers = browser.get(PAGE).headers
    assert (
        headers["Reporting-Endpoints"] == 'wsgi-sessions="https://reports.example.org/csp?site=1"'
    )
    assert headers["Content-Security-Policy"].endswith(
        "; report-to wsgi-sessions; report-uri https://reports.example.org/csp?site=1"
    )


def test_signing_out_throws_away_what_is_asked() -> None:
    with make_bench(clear_site_data="storage") as bench:
        browser = bench.new_browser()
        browser.sign_in(ADA)
        assert send(browser, "sign-out").headers["Clear-Site-Data"] == '"storage"'


def test_a_sign_in_page_elsewhere_may_follow_a_form() -> None:
    with make_bench(sign_in_url="https://id.example.org/in") as bench:
        browser = bench.new_browser()
        browser.sign_in(ADA)
        policy = browser.get(PAGE).headers["Content-Security-Policy"]
        assert "form-action 'self' https://id.example.org;" in policy


# Ending


def test_one_session_is_ended(bench: Bench, laptop: Browser, phone: Browser) -> None:
    answer = send(laptop, "revoke", session_id=id_of(phone))
    assert phone.session is None and laptop.session is not None
    page = laptop.get(answer.headers["Location"])
    assert answer.status_int == 303
    # Without a script: the browser itself puts the focus there, and a screen reader reads it.
    notice = '<p class="notice" role="status" tabindex="-1" autofocus>'
    assert f"{notice}Safari on iPhone has been signed out.</p>" in page.text


def test_a_link_says_of_no_session_that_it_has_ended(
    bench: Bench, laptop: Browser, phone: Browser
) -> None:
    eve = bench.new_browser()
    eve.sign_in("eve@example.org")
    hers = id_of(eve)
    bench.manager.revoke_session(hers)
    for session_id in (id_of(phone), id_of(laptop), hers, "a" * 24, "", "\0" * 24, "<b>"):
        answer = laptop.get(f"{PAGE}?done=ended&session={quote(session_id)}")
        assert answer.status_int == 200
        assert 'role="status"' not in answer.text


def test_all_others_are_ended(bench: Bench, laptop: Browser, phone: Browser) -> None:
    answer = send(laptop, "revoke-others")
    assert answer.headers["Location"] == f"{PAGE}?done=others"
    assert phone.session is None and laptop.session is not None
    assert "All other sessions have ended." in text_of(laptop.get(answer.headers["Location"]))


@pytest.mark.parametrize("action", ["sign-out", "revoke"])
def test_ones_own_session_is_ended(laptop: Browser, phone: Browser, action: str) -> None:
    answer = send(laptop, action, session_id=id_of(laptop))
    assert (answer.status_int, answer.headers["Location"]) == (303, "/")
    assert laptop.session is None and phone.session is not None
    assert list(laptop.cookies) == ["__Host-known_device"], "it knows the browser, not who is in"


@pytest.mark.parametrize("session_id", ["", "x", "../..", "a" * 24, "\0", "ü" * 24, "a" * 5000])
def test_an_unknown_id_ends_nothing(laptop: Browser, phone: Browser, session_id: str) -> None:
    assert send(laptop, "revoke", session_id=session_id).status_int == 303
    assert laptop.session is not None and phone.session is not None


@pytest.mark.parametrize("session_id", ["", "\0" * 24, "ü" * 24, "a" * 23, "a" * 25])
def test_what_is_no_id_does_not_reach_the_database(
    laptop: Browser, monkeypatch: pytest.MonkeyPatch, session_id: str
) -> None:
    # PostgreSQL, for one, takes no text with a NUL in it.
    asked: list[str] = []
    monkeypatch.setattr(SessionManager, "revoke_session", lambda _, it, **__: asked.append(it))
    assert send(laptop, "revoke", session_id=session_id).status_int == 303
    assert asked == []


def test_somebody_elses_session_is_not_ended(bench: Bench, laptop: Browser) -> None:
    eve = bench.new_browser()
    eve.sign_in("eve@example.org")
    answer = send(eve, "revoke", session_id=id_of(laptop))
    unknown = send(eve, "revoke", session_id="a" * 24)
    assert answer.headers["Location"] == unknown.headers["Location"]
    assert "That session is not there any more." in text_of(eve.get(answer.headers["Location"]))
    assert laptop.session is not None


def test_what_has_ended_before_is_told_so(laptop: Browser, phone: Browser) -> None:
    session_id = id_of(phone)
    send(laptop, "revoke-others")
    answer = send(laptop, "revoke", session_id=session_id)
    assert "That session is not there any more." in text_of(laptop.get(answer.headers["Location"]))
    answer = send(laptop, "revoke-others")
    assert "There was no other session to end." in text_of(laptop.get(answer.headers["Location"]))


# Forgeries and nonsense


@pytest.mark.parametrize("token", ["", "x", "AAAA", "A" * 32, "ü", "=" * 40])
def test_a_form_without_the_right_token_is_refused(
    laptop: Browser, phone: Browser, token: str
) -> None:
    answer = send(laptop, "revoke-others", csrf_token=token)
    assert answer.status_int == 403
    assert "Go back, reload the page" in text_of(answer)
    assert phone.session is not None


def test_another_sessions_token_is_refused(laptop: Browser, phone: Browser) -> None:
    answer = send(laptop, "revoke-others", csrf_token=token_in(phone.get(PAGE)))
    assert answer.status_int == 403
    assert phone.session is not None


@pytest.mark.parametrize("purpose", ["session token", "session token v1", "cookie cache v1", ""])
def test_a_signature_made_for_another_purpose_is_refused(
    bench: Bench, laptop: Browser, phone: Browser, purpose: str
) -> None:
    ring = KeyRing(bench.manager.config.secret, purpose)
    forged = base64.urlsafe_b64encode(ring.sign(id_of(laptop).encode())).decode()
    assert send(laptop, "revoke-others", csrf_token=forged).status_int == 403
    assert bench.events[-1].details == {"code": "FORM_OUTDATED", "path": f"{PAGE}/revoke-others"}
    assert phone.session is not None


def test_a_form_of_another_site_is_refused(laptop: Browser, phone: Browser) -> None:
    form = {"csrf_token": token_in(laptop.get(PAGE))}
    url = f"{PAGE}/revoke-others"
    for origin in ("https://evil.example", "null"):
        older = {"Origin": origin, "Sec-Fetch-Site": None}
        assert laptop.post(url, form, headers=older).status_int == 403
    assert laptop.post(url, form, from_origin="https://evil.example").status_int == 403
    assert phone.session is not None


def test_a_form_of_another_site_is_refused_to_visitors_too(bench: Bench) -> None:
    older = {"Origin": "https://evil.example", "Sec-Fetch-Site": None}
    answer = bench.new_browser().post(f"{PAGE}/sign-out", {}, headers=older)
    assert (answer.status_int, answer.headers.getall("Set-Cookie")) == (403, [])


def test_visitors_can_end_nothing(bench: Bench, laptop: Browser) -> None:
    answer = bench.new_browser().post(f"{PAGE}/revoke", {"session_id": id_of(laptop)})
    assert answer.status_int == 303 and "next=" in answer.headers["Location"]
    assert laptop.session is not None


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("POST", PAGE, 405, "GET, HEAD"),
        ("DELETE", PAGE, 405, "GET, HEAD"),
        ("GET", f"{PAGE}/revoke", 405, "POST"),
        ("POST", f"{PAGE}/", 405, "GET, HEAD"),
        ("GET", f"{PAGE}//", 404, None),
        ("POST", f"{PAGE}/nothing", 404, None),
        ("GET", f"{PAGE}/%00%FF", 404, None),
    ],
)
def test_what_is_not_there_is_told_in_a_page(
    laptop: Browser, method: str, path: str, status: int, allow: str | None
) -> None:
    answer = laptop.request(method, path)
    assert (answer.status_int, answer.headers.get("Allow")) == (status, allow)
    assert "<h1>" in answer.text and "Content-Security-Policy" in answer.headers


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"a=b", "text/plain", 415),
        (b"a=b", "multipart/form-data; boundary=x", 415),
        (b"&".join(b"a=%d" % number for number in range(50)), None, 400),
        (b"\xff\xfe%zz=%", None, 403),
        (b"x" * 70_000, None, 413),
    ],
)
def test_what_is_no_form_of_ours_is_refused(
    laptop: Browser, body: bytes, kind: str | None, status: int
) -> None:
    headers = {"Content-Type": kind or "application/x-www-form-urlencoded"}
    answer = laptop.post(f"{PAGE}/revoke", body, headers=headers)
    assert answer.status_int == status
    assert "<h1>" in answer.text


@pytest.mark.parametrize(
    "query", ["done=<b>", "done=\xff", "x" * 5000, "%FF=%", "done=ended=1", "done=ended"]
)
def test_nothing_of_the_query_is_shown(laptop: Browser, query: str) -> None:
    answer = laptop.get(f"{PAGE}?{query}")
    assert answer.status_int == 200
    assert 'role="status"' not in answer.text and "<b>" not in answer.text


# The database


def test_a_database_that_is_away_is_told_in_a_page(bench: Bench, laptop: Browser) -> None:
    with bench.faults.database_down():
        answer = laptop.get(PAGE)
    assert (answer.status_int, answer.headers["Retry-After"]) == (503, "5")
    assert "You are not signed out The service is away for a moment." in text_of(answer)
    assert laptop.session is not None


def test_a_database_that_goes_away_halfway_too(
    bench: Bench, laptop: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_manager: SessionManager, _user_id: Any) -> None:
        raise StoreUnavailableError

    monkeypatch.setattr(SessionManager, "list_sessions", away)
    assert laptop.get(PAGE).status_int == 503


def test_the_cookie_cache_is_not_asked() -> None:
    with make_bench(cookie_cache=True) as bench:
        laptop, phone = bench.new_browser(), bench.new_browser(IPHONE)
        for browser in (laptop, phone):
            browser.sign_in(ADA)
            browser.get("/")
        bench.manager.revoke_session(id_of(phone))
        assert phone.get(PAGE).status_int == 303


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_the_session_itself_is_read_from_the_database(bench: Bench, method: str) -> None:
    options = SessionsPage(bench.manager).read_options({"REQUEST_METHOD": method})
    assert options.authoritative


# Templates


def test_the_apps_own_templates_come_first(tmp_path: Path) -> None:
    (tmp_path / "base.html").write_text(
        "<html><style>b { color: red }</style>{% block main %}{% endblock %}</html>"
    )
    (tmp_path / "icon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "message.html").write_text("<p>{{ title }} – {{ text }}</p>")
    with make_bench(pages_templates=str(tmp_path)) as bench:
        browser = bench.new_browser()
        browser.sign_in(ADA)
        page = browser.get(PAGE)
        assert page.text.startswith("<html><style>b { color: red }</style>")
        policy = page.headers["Content-Security-Policy"]
        assert re.search(r"style-src 'sha256-[\w+/=]+' 'self';", policy)
        answer = browser.get(f"{PAGE}/nothing")
        assert browser.get(f"{PAGE}/icon.svg").text == "<svg xmlns='http://www.w3.org/2000/svg'/>"
        assert answer.text == ("<p>There is no such page – Not found.</p>")


# What is over


def ended_of(page: Any) -> str:
    return text_of(page).partition("Ended sessions")[2].strip()


def test_nothing_is_said_of_ends_where_there_are_none(laptop: Browser) -> None:
    assert "Ended sessions" not in text_of(laptop.get(PAGE))


def test_ends_are_shown_with_their_reason(bench: Bench, laptop: Browser, phone: Browser) -> None:
    send(laptop, "revoke", session_id=id_of(phone))
    bench.clock.advance(hours=2)

    assert ended_of(laptop.get(PAGE)) == (
        "Safari on iPhone Ended in another browser, or by the site."
        " Last used from 2001:db8::17 Ended 2 hours ago"
    )


@pytest.mark.parametrize("reason", EndReason)
def test_there_are_words_for_every_reason(
    bench: Bench, laptop: Browser, phone: Browser, reason: EndReason
) -> None:
    bench.manager.parts.ending.end(id_of(phone), reason=reason)

    shown = ended_of(laptop.get(PAGE))

    assert re.match(r"Safari on iPhone (not safe )?[A-Z][^_]+\.", shown)
    assert ("not safe" in shown) == (reason in (EndReason.REPLAYED, EndReason.IP_MISMATCH))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"expires_in": 14 * 3600, "update_age": 3600},
            "It ran out: it was not used for too long.",
        ),
        ({"idle_timeout": 9 * 3600}, "It was not used for some time."),
        ({"absolute_timeout": 12 * 3600}, "It had lasted as long as a session can."),
    ],
)
def test_who_never_came_back_is_shown_too(settings: dict[str, Any], words: str) -> None:
    with make_bench(**settings) as bench:
        phone = bench.new_browser(IPHONE)
        phone.sign_in(ADA)
        bench.clock.advance(hours=15)
        laptop = bench.new_browser()
        laptop.sign_in(ADA)

        assert ended_of(laptop.get(PAGE)).startswith(f"Safari on iPhone {words}")


def test_only_ones_own_ends_are_shown_and_so_many(bench: Bench, laptop: Browser) -> None:
    bob = bench.new_browser(IPHONE)
    bob.sign_in("bob@example.org")
    bob.sign_out()
    for _ in range(12):
        other = bench.new_browser("Chrome on Android")
        other.sign_in(ADA)
        bench.clock.advance(minutes=1)
        other.sign_out()

    page = laptop.get(PAGE)

    assert ended_of(page).count("Signed out in that browser.") == 10
    assert "iPhone" not in ended_of(page)


def test_the_words_can_be_replaced_alone(tmp_path: Path) -> None:
    (tmp_path / "reasons.html").write_text("{% macro words(reason) %}<{{ reason }}>{% endmacro %}")
    with make_bench(pages_templates=str(tmp_path)) as bench:
        laptop, other = bench.new_browser(), bench.new_browser(IPHONE)
        for browser in (laptop, other):
            browser.sign_in(ADA)
        other.sign_out()

        assert "<signed_out>" in laptop.get(PAGE).text


def test_what_is_over_costs_one_statement_by_an_index(bench: Bench, laptop: Browser) -> None:
    store: Any = bench.manager.parts.store
    query = store.inner.sessions._list_ended
    names = ("user_id", "since", "now", "seen_until", "begun_until", "max_count")
    sql = f"EXPLAIN QUERY PLAN {query.sql}"

    plan = store.inner._runner.connections.read_rows(sql, query.fill(dict.fromkeys(names, 1)))

    assert "USING INDEX wsgi_sessions_session_user_id_ended_at (user_id=?)" in str(plan)
