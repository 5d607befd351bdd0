"""The served application as the tests hold it: started, stopped, and moved in time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from tests.scenarios.servers import free_port

ROOT = Path(__file__).parents[2]
NODE_FOLDER = Path(__file__).parent / "node"
PATIENCE_SECONDS = 60


class Service:
    """gunicorn with two workers on one port, which can go away and come back.

    ``{port}`` in the text of a setting stands for that port. ``issuer_url`` is a ``LocalIssuer``,
    whose people can sign in as those of the provider ``corp``.
    """

    application = "tests.e2e.app:application"

    def __init__(
        self, folder: Path, *, workers: int = 2, issuer_url: str | None = None, **settings: Any
    ) -> None:
        if find_spec("gunicorn") is None or find_spec("whitenoise") is None:
            pytest.skip("gunicorn or whitenoise is not installed; they come with the extra demo")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.settings = settings
        self.log = folder / "server.log"
        self._workers = workers
        self._issuer_url = issuer_url
        self._offset_ms, self._speed, self._since_ms = 0, 1, 0
        self._set_clock()
        self.start()

    def advance(self, seconds: float) -> None:
        """Move the server's clock; that of the browser stays."""
        self._offset_ms += int(seconds * 1000)
        self._set_clock()

    def quicken(self, speed: int) -> None:
        """Have the server's clock run as many times as fast as the browser's, once and for all."""
        assert self._speed == 1, "it is quick already"
        self._speed, self._since_ms = speed, time.time_ns() // 1_000_000
        self._set_clock()

    def _set_clock(self) -> None:
        draft = self.folder / "clock.new"
        draft.write_text(f"{self._offset_ms} {self._speed} {self._since_ms}")
        draft.replace(self.folder / "clock")

    def start(self) -> None:
        with self.log.open("ab") as said:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "gunicorn", "--workers", str(self._workers)),
                    *("--worker-class", "gthread", "--threads", "8", "--graceful-timeout", "1"),
                    *("--bind", f"127.0.0.1:{self.port}", "--log-level", "warning"),
                    self.application,
                ],
                cwd=ROOT,
                env={
                    **os.environ,
                    "E2E_FOLDER": str(self.folder),
                    "E2E_ISSUER": self._issuer_url or "",
                    "E2E_SETTINGS": json.dumps({"site_url": self.url, **self.settings}).replace(
                        "{port}", str(self.port)
                    ),
                },
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError), closing(self._connect()) as connection:
                connection.request("GET", "/api/auth/ok")
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"the server did not start: {self.log.read_text()}")

    @contextmanager
    def database_away(self) -> Iterator[None]:
        """Serve without the database until the end of the block; then it is back as it was."""
        database, hidden = self.folder / "e2e.db", self.folder / "hidden.db"
        self.stop()
        database.rename(hidden)
        database.mkdir()
        self.start()
        yield
        self.stop()
        database.rmdir()
        hidden.rename(database)
        self.start()

    def statements_of(self, do: Callable[[], object]) -> list[str]:
        """Return the SQL that all workers sent while something was done."""
        said = self.folder / "statements"
        begin = said.stat().st_size
        do()
        with said.open() as file:
            file.seek(begin)
            return file.read().splitlines()

    def mails(self, kind: str) -> list[dict[str, Any]]:
        """Return the mails of a kind that were sent so far: each has ``kind``, ``to`` and ``url``."""
        return [mail for mail in read_notes(self.folder / "mails") if mail["kind"] == kind]

    def wait_for_mail(self, kind: str, count: int = 1) -> dict[str, Any]:
        """Wait until so many mails of a kind were sent, and return the last of them."""
        wait_until(lambda: len(self.mails(kind)) >= count, f"{count} mails of the kind {kind}")
        return self.mails(kind)[-1]

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        parent = self._process.pid
        told = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        return [int(one) for one in told.split()]

    def _connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=5)

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def serving(folder: Path, **settings: Any) -> Iterator[Service]:
    """Serve until the end of the block, and find no traceback in the log."""
    service = Service(folder, **settings)
    with closing_service(service):
        yield service


@contextmanager
def closing_service(service: Service) -> Iterator[None]:
    """Stop a service at the end of the block, and find no traceback in its log."""
    try:
        yield
        assert "Traceback" not in service.log.read_text()
    finally:
        service.stop()


def read_notes(path: Path) -> list[dict[str, Any]]:
    """Return what the workers have written down in a file, a line of JSON each."""
    # The last line may be under way.
    return [json.loads(line) for line in path.read_text().splitlines(True) if line.endswith("\n")]


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def need_npm(folder: Path, package: str) -> None:
    """Skip unless Node is there and ``npm ci`` was run in a folder."""
    if which("node") is None:
        pytest.skip("node is not installed")
    if not (folder / "node_modules" / package).exists():
        pytest.skip(f"{package} is not installed; run: cd {folder.relative_to(ROOT)} && npm ci")


class Node:
    """The npm client in a Node process; ``call`` runs a method of it for a device."""

    def __init__(self, url: str) -> None:
        need_npm(NODE_FOLDER, "better-auth")
        self._process = subprocess.Popen(
            ["node", "driver.mjs"],
            cwd=NODE_FOLDER,
            env={**os.environ, "BASE_URL": url, "NO_COLOR": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def call(self, device: str, call: str, *args: Any, **options: Any) -> Any:
        """Return what a call gives: ``{"data", "error"}`` for those of the client.

        ``ConnectionError`` where the client throws, as it does when no server answers.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        asked = {"device": device, "call": call, "args": args, "options": options}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "thrown" in answer:
            raise ConnectionError(answer["thrown"])
        return answer["value"]

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
