"""The tutorial ``docs/tutorial/quickstart.md`` goes as it says, step by step."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..scenarios.servers import PATIENCE_SECONDS, free_port, stop_server
from .pages import ROOT, blocks_of, python_of
from .shell import SHOWN_URL, run_curls

PAGE = "docs/tutorial/quickstart.md"
[APPLICATION, TESTS] = python_of(PAGE)
[_SEE_IT, SERVE, SIGN_UP, END_ELSEWHERE, _INSTALL, RUN_TESTS] = [
    block.text for block in blocks_of(PAGE, "sh")
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hello.py").write_text(APPLICATION, encoding="utf-8")
    (tmp_path / "test_hello.py").write_text(TESTS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    make_secret, start = SERVE.strip().splitlines()
    shown = SHOWN_URL.removeprefix("http://")
    program, *options = shlex.split(start.replace(shown, address))
    python = shlex.quote(sys.executable)
    script = (
        f"{make_secret.replace('python', python)}\nexec {python} -m {program} {shlex.join(options)}"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-ec", script], cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for(f"http://{address}/", folder)
            yield f"http://{address}"
        finally:
            stop_server(process)


def wait_for(url: str, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while subprocess.run(["curl", "-s", url], capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.05)


@pytest.mark.server
def test_the_steps_go_as_the_page_says(url: str, folder: Path) -> None:
    visitor, signed_up, greeted, first_visit, second_visit = run_curls(
        SIGN_UP, url=url, folder=folder
    )

    assert visitor.endswith("401")
    assert json.loads(signed_up.removesuffix("200"))["user"]["name"] == "Ada"
    assert greeted == "Hello, Ada!\n200"
    assert first_visit == "ada@example.org was here 1 times.\n200"
    assert second_visit == "ada@example.org was here 2 times.\n200"

    phone, listed, ended, on_the_phone, on_the_laptop = run_curls(
        END_ELSEWHERE, url=url, folder=folder
    )

    assert phone.endswith("200")
    assert len(json.loads(listed.removesuffix("200"))) == 2
    assert ended == '{"status":true}200'
    assert on_the_phone == "Hello, stranger!\n200"
    assert on_the_laptop == "Hello, Ada!\n200"


def test_the_tests_of_the_page_pass(folder: Path) -> None:
    _python, *arguments = shlex.split(RUN_TESTS)
    without_others = ["-p", "no:django", "-p", "no:pytest-splinter", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, *arguments, *without_others],
        cwd=folder,
        env={**os.environ, "WSGI_SESSIONS_SECRET": "s0123456789abcdef" * 2},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout
    assert not (folder / "hello.db").exists()


def test_what_the_page_starts_is_there() -> None:
    assert (ROOT / "examples" / "quickstart.py").exists()
