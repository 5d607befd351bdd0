"""Chromium with a profile on disk, in processes of our own: it can be closed, and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .chromium import CHROMIUM, FLAGS, need_chromium
from .service import PATIENCE_SECONDS, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, CDPSession, Playwright


class DiskChromium:
    """A browser that comes back with what its profile has kept."""

    def __init__(self, playwright: Playwright, profile: Path) -> None:
        need_chromium()
        self._playwright = playwright
        self._profile = profile
        self._process: subprocess.Popen[bytes] | None = None
        self._devtools: CDPSession | None = None

    def open(self) -> BrowserContext:
        """Start it; the context is that of the profile, cookies included."""
        told = self._profile / "DevToolsActivePort"
        told.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [
                *(str(CHROMIUM), "--headless=new", f"--user-data-dir={self._profile}"),
                *("--remote-debugging-port=0", "--password-store=basic", *FLAGS, "about:blank"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(lambda: told.exists() and "\n" in told.read_text(), "Chromium's port")
        port = told.read_text().splitlines()[0]
        browser = self._playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
        self._devtools = browser.new_browser_cdp_session()
        context = browser.contexts[0]
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        return context

    def close(self) -> None:
        """Close it as people do: it writes down all that it has."""
        assert self._devtools is not None and self._process is not None
        self._devtools.send("Browser.close")
        self._process.wait(PATIENCE_SECONDS)
        self.kill()

    def look_on(self, seconds: float) -> None:
        """Let it work for a while; what Playwright reports meanwhile is handled."""
        assert self._devtools is not None
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._devtools.send("Browser.getVersion")
            time.sleep(0.05)

    def renderers(self) -> list[int]:
        """Return the process ids of what draws its tabs."""
        assert self._devtools is not None
        found = self._devtools.send("SystemInfo.getProcessInfo")["processInfo"]
        return [process["id"] for process in found if process["type"] == "renderer"]

    def kill(self) -> None:
        """Kill all its processes at once, as the system does, or a failing battery."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = self._devtools = None
