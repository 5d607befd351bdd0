"""``python -m tests.benchmarks.companion``: what a test with sessions costs, and the plugin alone."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from wsgi_sessions_testing import Bench

ROUNDS = 200
IMPORTS = 15
RUNS = 5
TESTS = 300

CONFTEST = """
import pytest

@pytest.fixture
def wsgi_app():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"nobody" if environ["wsgi_sessions.user"] is None else b"somebody"]

    return app
"""
WITH_A_BROWSER = """
import pytest

def test_first_of_all(browser):
    pass

@pytest.mark.parametrize("turn", range({count}))
def test_it(browser, turn):
    browser.sign_in("ada@example.org")
    assert browser.get("/").text == "somebody"
"""
WITHOUT = """
import pytest

def test_first_of_all(browser):
    pass

@pytest.mark.parametrize("turn", range({count}))
def test_it(wsgi_app, turn):
    pass
"""


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"nobody" if environ["wsgi_sessions.user"] is None else b"somebody"]


def seconds_of_a_test() -> float:
    """Return what a test with a sign-in and a page takes, its fresh database included."""
    began = time.perf_counter()
    with Bench(app) as bench:
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        assert browser.get("/").text == "somebody"
    return time.perf_counter() - began


def seconds_of_a_password_test() -> float:
    """Return what a test takes that signs up and in with a password, at cheap parameters."""
    began = time.perf_counter()
    with Bench(app) as bench:
        user = bench.factories.make_user(password="correct horse")
        bench.new_browser().sign_in(user, password="correct horse")
    return time.perf_counter() - began


def cpu_seconds_of_a_run(folder: str, *options: str) -> float:
    """Return the CPU time of one run of pytest, which other processes disturb least."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, folder],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cpu_seconds_through_pytest() -> float:
    """Return what the fixtures and the body of such a test cost, above an empty one.

    What the first of a run costs, which imports everything, is left out.
    """
    least: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "conftest.py").write_text(CONFTEST)
        for _ in range(RUNS):
            for kind, tests in (("with", WITH_A_BROWSER), ("without", WITHOUT)):
                Path(folder, "test_it.py").write_text(tests.format(count=TESTS))
                took = cpu_seconds_of_a_run(folder)
                least[kind] = min(took, least.get(kind, took))
    return (least["with"] - least["without"]) / TESTS


def main() -> None:
    """Print medians, and the least CPU time of runs with and without the plugin, interleaved."""
    for measured in (seconds_of_a_test, seconds_of_a_password_test):
        measured()
    tests, passwords = [], []
    for _ in range(ROUNDS):
        tests.append(seconds_of_a_test())
        passwords.append(seconds_of_a_password_test())
    print(f"a test with a sign-in and a page     {statistics.median(tests) * 1000:7.2f} ms")
    print(f"the same, by pytest's fixtures       {cpu_seconds_through_pytest() * 1000:7.2f} ms CPU")
    print(f"a test with a password sign-in       {statistics.median(passwords) * 1000:7.2f} ms")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        with_plugin, without = [], []
        for _ in range(IMPORTS):
            with_plugin.append(cpu_seconds_of_a_run(folder))
            without.append(cpu_seconds_of_a_run(folder, "-p", "no:wsgi_sessions"))
        added = min(with_plugin) - min(without)
        print(f"the plugin in a run that ignores it  {added * 1000:7.2f} ms")


if __name__ == "__main__":
    main()
