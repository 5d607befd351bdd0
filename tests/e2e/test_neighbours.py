"""Chromium at a site behind nginx, which ends TLS, and a sub-domain that means it harm."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from tests.scenarios.servers import free_port
from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions.adapters import check_form_origin
from wsgi_sessions_testing import CHEAP_PASSWORDS

from .chromium import launched
from .nginx import nginx_serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OURS, EVIL = "shop.example.test", "evil.shop.example.test"
PASSWORD = "correct horse"
FORM = (
    '<form action="{action}" method="post"><input name="email" value="{email}">'
    f'<input name="password" value="{PASSWORD}"><button>{{action}}</button></form>'
)
FILL_THE_JAR = (
    "<script>for (let n = 0; n < 200; n++) "
    f'document.cookie = "c" + n + "=x; domain={OURS}; secure";</script>'
)
# PASSED: as docs/how-to/deployment.md asks. DEFAULT: what nginx sends where nothing is said of Host.
# OLDER: what a browser from before 2023 sends, which knows no Fetch Metadata.
PASSED = "proxy_set_header Host $http_host;"
DEFAULT = ""
OLDER = f'{PASSED} proxy_set_header Sec-Fetch-Site ""; proxy_set_header Sec-Fetch-Mode "";'


def app(environ: Any, start_response: Any) -> list[bytes]:
    handle, path = environ["wsgi_sessions.request"], environ["PATH_INFO"]
    if environ["REQUEST_METHOD"] == "POST":
        check_form_origin(environ)
        length = int(environ["CONTENT_LENGTH"])
        form = {k: v[0] for k, v in parse_qs(environ["wsgi.input"].read(length).decode()).items()}
        if path == "/sign-up":
            handle.sign_up_email(name="Ada", email=form["email"], password=form["password"])
        else:
            handle.sign_in_email(email=form["email"], password=form["password"])
        start_response("303 See Other", [("Location", "/")])
        return []
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    user = environ["wsgi_sessions.user"]
    who = "nobody" if user is None else escape(user.email)
    forms = (FORM.format(action=action, email="ada@example.org") for action in FORMS)
    return [f"<!doctype html><p>{who}</p>{''.join(forms)}".encode()]


FORMS = ("/sign-up", "/sign-in")


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class ThreadedServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Neighbourhood:
    """The site, its sub-domain, and Eve, who has a session of her own to plant."""

    def __init__(self, folder: Path) -> None:
        self.manager = SessionManager(
            f"sqlite:///{folder / 'app.db'}",
            secret="a-secret-for-tests-of-32-characters",
            password=CHEAP_PASSWORDS,
            throttle=None,
        )
        made = self.manager.sign_up_email(name="Eve", email="eve@example.org", password=PASSWORD)
        self.eves_token = made.token
        self.port = free_port()
        self.url = f"https://{OURS}:{self.port}"
        self.evil_url = f"https://{EVIL}:{self.port}"

    @contextmanager
    def served(self) -> Iterator[int]:
        """Serve the site by http until the end of the block; gives its port."""
        application = SessionMiddleware(app, self.manager)
        server = make_server(
            "127.0.0.1", 0, application, server_class=ThreadedServer, handler_class=QuietHandler
        )
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            self.manager.close()


def server_blocks(folder: Path, place: Neighbourhood, backend: int, headers: str) -> str:
    planted = {
        "/comma": f"p=a,__Host-session_token={place.eves_token}",
        "/quoted": f'p="a,__Host-session_token={place.eves_token},b"',
        "/open-quote": 'a="x',
        "/nameless": f"=__Host-session_token={place.eves_token}",
        "/prefixed": f"__Host-session_token={place.eves_token}",
    }
    plants = "".join(
        f"location {path} {{ default_type text/html; add_header Set-Cookie "
        f"'{cookie}; Domain={OURS}; Path=/; Secure'; return 200 planted; }}\n"
        for path, cookie in planted.items()
    )
    form = FORM.format(action=f"{place.url}/sign-in", email="eve@example.org")
    server = (
        f"listen 127.0.0.1:{place.port} ssl; ssl_certificate {folder}/cert.pem; "
        f"ssl_certificate_key {folder}/key.pem;"
    )
    return f"""
    server {{
        server_name {OURS}; {server}
        location / {{ {headers} proxy_pass http://127.0.0.1:{backend}; }}
    }}
    server {{
        server_name {EVIL}; {server}
        {plants}
        location /form {{ default_type text/html; return 200 '{form}'; }}
        location /fill {{ default_type text/html; return 200 '{FILL_THE_JAR}'; }}
    }}
"""


@contextmanager
def behind_nginx(folder: Path, place: Neighbourhood, headers: str) -> Iterator[Neighbourhood]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed; run: apt-get install openssl")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"),
            *("-subj", f"/CN={OURS}", "-addext", f"subjectAltName=DNS:{OURS},DNS:{EVIL}"),
        ],
        capture_output=True,
        check=True,
    )
    with place.served() as backend:
        blocks = server_blocks(folder, place, backend, headers)
        with nginx_serving(folder, place.port, blocks):
            yield place


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched(f"--host-resolver-rules=MAP *.{OURS} 127.0.0.1, MAP {OURS} 127.0.0.1") as browser:
        yield browser


@pytest.fixture
def site(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Neighbourhood]:
    """A site that follows the README's advice for where TLS ends before it, and no more."""
    monkeypatch.setenv("WSGI_SESSIONS_ENV", "production")
    with behind_nginx(tmp_path, Neighbourhood(tmp_path), request.param) as site:
        yield site


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(ignore_https_errors=True)
    yield context.new_page()
    context.close()


def who(page: Page, site: Neighbourhood) -> str | None:
    page.goto(site.url)
    return page.locator("p").text_content()


def press(page: Page, label: str) -> int:
    with page.expect_navigation() as navigation:
        page.get_by_role("button", name=label).click()
    return navigation.value.status


ACCEPTED = pytest.mark.parametrize(
    "site",
    [PASSED, DEFAULT, OLDER],
    indirect=True,
    ids=["host passed on", "nginx's own host", "older browser"],
)
PROXIED = pytest.mark.parametrize("site", [PASSED], indirect=True, ids=["nginx"])


@ACCEPTED
def test_sign_up_and_in_work_behind_a_proxy_that_ends_tls(page: Page, site: Neighbourhood) -> None:
    assert who(page, site) == "nobody"
    assert press(page, "/sign-up") == 200
    assert who(page, site) == "ada@example.org"
    assert press(page, "/sign-in") == 200

    statuses = page.evaluate(
        """async (password) => {
            const call = (path, body) => fetch("/api/auth" + path, {
                method: "POST",
                headers: {"Content-Type": "application/json"},
                body: JSON.stringify(body),
            });
            const known = {email: "ada@example.org", password};
            const made = {email: "bob@example.org", password, name: "Bob"};
            return [
                (await call("/sign-out", {})).status,
                (await call("/sign-in/email", known)).status,
                (await call("/sign-up/email", made)).status,
            ];
        }""",
        PASSWORD,
    )

    assert statuses == [200, 200, 200]
    assert who(page, site) == "bob@example.org"


@ACCEPTED
def test_form_of_a_sub_domain_signs_nobody_in(page: Page, site: Neighbourhood) -> None:
    for is_signed_in in (False, True):
        if is_signed_in:
            assert who(page, site) == "nobody"
            press(page, "/sign-up")
        page.goto(f"{site.evil_url}/form")
        assert press(page, "/sign-in") == 403
        assert who(page, site) == ("ada@example.org" if is_signed_in else "nobody")


@PROXIED
@pytest.mark.parametrize("cookie", ["comma", "quoted", "open-quote", "nameless", "prefixed"])
def test_cookie_of_a_sub_domain_is_no_session(cookie: str, page: Page, site: Neighbourhood) -> None:
    page.goto(f"{site.evil_url}/{cookie}")
    assert who(page, site) == "nobody"

    press(page, "/sign-up")
    page.goto(f"{site.evil_url}/{cookie}")

    assert who(page, site) == "ada@example.org"


@PROXIED
def test_jar_that_a_sub_domain_fills_keeps_our_cookie(page: Page, site: Neighbourhood) -> None:
    page.goto(site.url)
    press(page, "/sign-up")
    page.goto(f"{site.evil_url}/fill")
    names = {cookie["name"] for cookie in page.context.cookies(site.url)}
    assert len(names) < 201, "the jar evicted nothing, so this shows nothing"

    assert who(page, site) == "ada@example.org"
