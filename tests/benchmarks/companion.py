"""What a test with sessions costs, and the plugin alone."""

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

from .report import Cell, Result, Say, Table

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


_ALONE = ("-p", "no:cacheprovider", "-p", "no:pytest-splinter")
"""The dev extra has another plugin with a fixture of the name ``browser``."""


def cpu_seconds_of_a_run(folder: str, *options: str) -> float:
    """Return the CPU time of one run of pytest, which other processes disturb least."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *_ALONE, *options, folder],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cpu_seconds_through_pytest(*, runs: int, tests: int) -> float:
    """Return what the fixtures and the body of such a test cost, above an empty one.

    What the first of a run costs, which imports everything, is left out.
    """
    least: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "conftest.py").write_text(CONFTEST)
        for _ in range(runs):
            for kind, source in (("with", WITH_A_BROWSER), ("without", WITHOUT)):
                Path(folder, "test_it.py").write_text(source.format(count=tests))
                took = cpu_seconds_of_a_run(folder)
                least[kind] = min(took, least.get(kind, took))
    return (least["with"] - least["without"]) / tests


def measure(*, is_quick: bool, say: Say) -> Result:
    """Return medians, and the least CPU time of runs with and without the plugin, interleaved."""
    tests: dict[str, list[float]] = {"page": [], "password": []}
    for turn in range((5 if is_quick else ROUNDS) + 1):
        page, password = seconds_of_a_test(), seconds_of_a_password_test()
        if turn:  # the first imports everything
            tests["page"].append(page)
            tests["password"].append(password)
    say("tests by pytest's fixtures")
    runs, count = (1, 50) if is_quick else (RUNS, TESTS)
    by_pytest = cpu_seconds_through_pytest(runs=runs, tests=count)
    say("runs that ignore the plugin")
    added = cpu_seconds_of_the_plugin(2 if is_quick else IMPORTS)
    figures = {
        "test_ms": statistics.median(tests["page"]) * 1000,
        "pytest_test_ms": by_pytest * 1000,
        "password_test_ms": statistics.median(tests["password"]) * 1000,
        "plugin_ms": added * 1000,
    }
    names = (
        "a test with a sign-in and a page",
        "the same, by pytest's fixtures, CPU time",
        "a test with a password sign-in",
        "the plugin in a run that ignores it, CPU time",
    )
    rows: list[list[Cell]] = [
        [name, value] for name, value in zip(names, figures.values(), strict=True)
    ]
    return Result("companion", [Table("Tests", ["what", "ms"], rows)], figures=figures)


def cpu_seconds_of_the_plugin(runs: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        with_plugin, without = [], []
        for _ in range(runs):
            with_plugin.append(cpu_seconds_of_a_run(folder))
            without.append(cpu_seconds_of_a_run(folder, "-p", "no:wsgi_sessions"))
    return min(with_plugin) - min(without)
