"""Requests and answers of Chromium that are under way while the token rotates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.scenarios.servers import free_port

from .chromium import launched
from .nginx import nginx_serving
from .people import EMAIL
from .rotation import (
    DAY,
    GRACE,
    WINDOW,
    Site,
    ask,
    generation_of,
    open_page,
    rotate,
    serving_site,
    sign_up,
    token_of,
)
from .service import PATIENCE_SECONDS, wait_until
from .slow_way import SlowWay

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

UPLOAD = """([path, length]) => {
    window.uploaded = fetch(path, {method: "POST", body: new Uint8Array(length)});
}"""
UPLOAD_ALL = """([path, count, length]) => {
    window.statuses = [];
    for (let number = 0; number < count; number++) {
        fetch(path + number, {method: "POST", body: new Uint8Array(length)})
            .then((answer) => answer.text().then(() => statuses.push(answer.status)))
            .catch((error) => statuses.push(String(error)));
    }
}"""
PHOTOS = 110
PHOTO_BYTES = 100_000
PARALLEL = 6
"""As many connections as Chromium has to one server over HTTP/1.1."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    yield context
    context.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving_site(tmp_path) as site:
        yield site


def test_slow_uploads_through_a_proxy_that_reads_the_body_first(
    context: BrowserContext, site: Site, tmp_path: Path
) -> None:
    port = free_port()
    block = (
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_request_buffering on; "
        f"proxy_set_header Host $http_host; proxy_pass {site.url}; }} }}"
    )
    with nginx_serving(tmp_path, port, block), closing(SlowWay(port)) as way:
        page, other = open_page(context, way.url), open_page(context, way.url)
        sign_up(page)
        for name in ("first", "second"):
            page.evaluate(UPLOAD, [f"/upload/{name}", 200_000])
        wait_until(lambda: len(way.stuck) == 2, "both uploads to stick")
        rotate(other, site)
        offered = token_of(context)
        assert generation_of(context) == 1

        site.advance(GRACE + 15)
        assert site.requests("/upload") == [], "the proxy has them still"
        with page.expect_response("**/upload/first") as answered:
            way.let_go_on("first")
        assert answered.value.status == 200
        assert answered.value.json() == {"user": EMAIL, "length": 200_000}
        assert "set-cookie" not in answered.value.all_headers()
        assert token_of(context) == offered
        assert ask(other) == EMAIL

        # Now it is settled that the browser has the next token.
        site.advance(WINDOW)
        assert ask(other) == EMAIL
        with page.expect_response("**/upload/second") as answered:
            way.let_go_on("second")
        assert answered.value.status == 200
        assert token_of(context) == offered
        rotate(other, site)
        assert ask(page) == EMAIL
    site.check_that_nobody_was_signed_out()


def test_many_queued_uploads(context: BrowserContext, site: Site) -> None:
    """Photos dropped at once: each has the cookie of when it was dropped, however long it waits."""
    page, other = open_page(context, site.url), open_page(context, site.url)
    sign_up(page)
    site.advance(DAY - 2 * GRACE)
    page.evaluate(UPLOAD_ALL, ["/held/photo/", PHOTOS, PHOTO_BYTES])

    def let(count: int) -> None:
        """Let so many photos in all be answered, and the next ones reach the application."""
        site.let("photo", count)
        page.wait_for_function("count => statuses.length >= count", arg=count, polling=50)
        site.wait_for_request("/held/photo", min(count + PARALLEL, PHOTOS))

    def let_and_reload_the_other_tab(count: int) -> None:
        """The same, while a navigation goes ahead of the photos in Chromium's queue."""
        with other.expect_navigation():
            with other.expect_request(f"{site.url}/"):
                other.evaluate("() => { setTimeout(() => location.reload()); }")
            let(count)

    site.wait_for_request("/held/photo", PARALLEL)
    let(20)
    assert generation_of(context) == 0
    site.advance(2 * GRACE)
    let(40)
    assert generation_of(context) == 1, "it is offered the next token"
    let_and_reload_the_other_tab(50)
    assert len(site.events("session_rotated")) == 1
    site.advance(GRACE + 15)
    let(70)
    site.advance(WINDOW - GRACE)
    let_and_reload_the_other_tab(80)
    site.advance(GRACE + 15)
    let(PHOTOS)

    assert page.evaluate("statuses") == [200] * PHOTOS
    sent = [request["cookie"].split(".")[2] for request in site.requests("/held/photo")]
    assert sent == ["0"] * PHOTOS, "each has the cookie of when it was made"
    assert ask(page) == EMAIL
    rotate(page, site)
    site.check_that_nobody_was_signed_out()


@pytest.mark.parametrize("kind", ["held", "streamed"])
def test_slow_answers(kind: str, context: BrowserContext, site: Site) -> None:
    page, other = open_page(context, site.url), open_page(context, site.url)
    sign_up(page)
    site.advance(DAY + 1)
    for number in range(3):
        page.evaluate("path => { fetch(path); }", f"/{kind}/report/{number}")
    site.wait_for_request(f"/{kind}/report", 3)
    assert generation_of(context) == 0, "the next token is decided on, and under way"
    assert ask(other) == ask(other) == EMAIL
    assert len(site.events("session_rotated")) == 1
    assert generation_of(context) == 1

    # Its token is a sibling after the grace, and after the window; then the token before.
    for number, later in enumerate((GRACE + 15, WINDOW, DAY)):
        site.advance(later)
        if number == 2:
            assert ask(other) == EMAIL
        assert ask(other) == EMAIL
        held = token_of(context)
        with page.expect_response(f"**/{kind}/report/{number}") as answered:
            site.let("report", number + 1)
        assert answered.value.json()["user"] == EMAIL
        assert "set-cookie" not in answered.value.all_headers()
        assert token_of(context) == held, "the jar did not go back"
        assert ask(page) == ask(other) == EMAIL
    assert generation_of(context) == 2
    site.check_that_nobody_was_signed_out()
