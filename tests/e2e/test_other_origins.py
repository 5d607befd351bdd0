"""The npm client itself in a page of another origin: answered where the origin is trusted."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .people import EMAIL, PASSWORD, Person, sign_up, wait_signed_in, wait_signed_out
from .service import NODE_FOLDER, Service, need_npm, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CALL = """async ([baseURL, call, args]) => {
    const client = betterAuth.createAuthClient({baseURL});
    const method = call.split(".").reduce((found, part) => found[part], client);
    try {
        const {data, error} = await method(...args);
        return {data, status: error?.status ?? 200};
    } catch (thrown) {
        return {data: null, status: `no answer: ${thrown.name}`};
    }
}"""
UNHEARD = {"data": None, "status": "no answer: TypeError"}


class Blank(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Elsewhere</title>")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def client_script(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The client as one script, for a page that no bundler has built."""
    need_npm(NODE_FOLDER, "rolldown")
    made = tmp_path_factory.mktemp("client") / "client.js"
    subprocess.run(
        [
            *("node_modules/.bin/rolldown", "window.mjs", "--platform", "browser"),
            *("--format", "iife", "--name", "betterAuth", "--file", str(made)),
        ],
        cwd=NODE_FOLDER,
        check=True,
        capture_output=True,
    )
    return made.read_text()


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Another port of the same host: another origin, to which the same cookies are sent.

    So nothing but the check of the origin stands between such a page and the session.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), Blank)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Elsewhere:
    """A page of another origin at somebody's device, with the client in it."""

    def __init__(self, page: Page, service: Service, script: str) -> None:
        self._page = page
        self._service = service
        page.add_script_tag(content=script)

    def ask(self, call: str, *args: Any) -> Any:
        return self._page.evaluate(CALL, [self._service.url, call, list(args)])


@pytest.mark.parametrize("cookie_cache", [False, True], ids=["no cache", "cookie cache"])
@pytest.mark.parametrize("is_trusted", [False, True], ids=["stranger", "trusted"])
def test_a_page_of_another_origin_needs_trust(
    is_trusted: bool,
    cookie_cache: bool,
    elsewhere: str,
    client_script: str,
    chromium: Browser,
    tmp_path: Path,
) -> None:
    trusted = [elsewhere] if is_trusted else []
    with serving(tmp_path, trusted_origins=trusted, cookie_cache=cookie_cache) as service:
        ada = Person(chromium, service)
        home = ada.open_tab()
        sign_up(home)
        other = Elsewhere(ada.open_tab(elsewhere), service, client_script)

        found = other.ask("getSession")
        signed_in = other.ask("signIn.email", {"email": EMAIL, "password": PASSWORD})
        renamed = other.ask("updateUser", {"name": "Eve"})
        signed_out = other.ask("signOut")

        home.reload()
        if is_trusted:
            assert found["data"]["user"]["email"] == EMAIL
            assert [one["status"] for one in (signed_in, renamed, signed_out)] == [200] * 3
            wait_signed_out(home)
        else:
            assert [found, signed_in, renamed, signed_out] == [UNHEARD] * 4
            wait_signed_in(home)
            assert home.get_by_role("heading", name="Hello, Ada!").count() == 1
            home.get_by_text("this device").wait_for()
            assert home.locator(".sessions li").count() == 1
        ada.close()


@pytest.mark.parametrize("is_trusted", [False, True], ids=["stranger", "trusted"])
def test_a_page_of_another_site_needs_trust_and_has_no_session(
    is_trusted: bool, elsewhere: str, client_script: str, chromium: Browser, tmp_path: Path
) -> None:
    """``localhost`` is another site than ``127.0.0.1``: cookies that are Lax stay away."""
    elsewhere = elsewhere.replace("127.0.0.1", "localhost")
    with serving(tmp_path, trusted_origins=[elsewhere] if is_trusted else []) as service:
        ada = Person(chromium, service)
        home = ada.open_tab()
        sign_up(home)
        other = Elsewhere(ada.open_tab(elsewhere), service, client_script)

        found = other.ask("getSession")
        signed_in = other.ask("signIn.email", {"email": EMAIL, "password": PASSWORD})
        signed_out = other.ask("signOut")

        answers = [found, signed_in, signed_out]
        if is_trusted:
            assert [one["status"] for one in answers] == [200] * 3
            assert found["data"] is None
            assert signed_in["data"]["user"]["email"] == EMAIL
        else:
            assert answers == [UNHEARD] * 3
        home.reload()
        wait_signed_in(home)
        ada.close()
