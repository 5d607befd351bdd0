"""Pages that ask as often as those of real sites: frames, streams, a worker, beacons, prerender."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

STREAM_SECONDS = 0.5
TAB = """<!doctype html><title>%(path)s</title><link rel="icon" href="data:,">
<p>%(email)s <a href="/tab/%(next)d">on</a> <iframe src="/frame"></iframe>
<script type="speculationrules">
{"prerender": [{"urls": ["/tab/%(next)d"], "eagerness": "immediate"}]}
</script>
<script>
const often = (milliseconds, work) =>
    setInterval(() => { work().catch(() => {}); }, milliseconds * (0.5 + Math.random()));
const frame = document.querySelector("iframe");
often(300, () => fetch("/me"));
often(800, async () => { frame.src = "/frame"; });
often(900, async () => { navigator.sendBeacon("/beacon", "still here"); });
addEventListener("pagehide", () => { navigator.sendBeacon("/beacon", "gone"); });
new EventSource("/stream");
navigator.serviceWorker.register("/worker.js").catch(() => {});
often(600, async () => { navigator.serviceWorker.controller?.postMessage("ask"); });
</script>
"""
FRAME = '<!doctype html><p>%(email)s<script>fetch("/me").catch(() => {});</script>'
WORKER = """
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
    if (event.request.mode !== "navigate") event.respondWith(fetch(event.request));
});
addEventListener("message", (event) => {
    event.waitUntil(fetch("/from-worker").catch(() => {}));
});
"""


def is_busy_path(path: str) -> bool:
    """Tell whether a path is one of ours."""
    return path in ("/frame", "/stream", "/worker.js") or path.startswith("/tab/")


def answer_busily(path: str, email: str, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a path of ours."""
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return _stream()
    if path == "/worker.js":
        start_response("200 OK", [("Content-Type", "text/javascript")])
        return [WORKER.encode()]
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    if path == "/frame":
        return [(FRAME % {"email": email}).encode()]
    number = int(path.rpartition("/")[2])
    return [(TAB % {"path": path, "email": email, "next": number + 1}).encode()]


def _stream() -> Iterator[bytes]:
    yield b"retry: 1000\n\n"
    until = time.monotonic() + STREAM_SECONDS
    while time.monotonic() < until:
        time.sleep(0.1)
        yield b"data: a word\n\n"
