"""What all tests share: with ``CI=true`` a skip is a failure, and ``no_cover`` means it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from wsgi_sessions_testing import Bench, Browser

    from .wsgi.test_request import Stage


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """An app that acts as a test tells it to, and its browser; the parameter is the settings."""
    # Not at the top: pytest rewrites the assertions of what is imported after this file.
    from .wsgi.test_request import Stage

    with Stage(**getattr(request, "param", {})) as stage:
        yield stage


@pytest.fixture
def ada(bench: Bench) -> Browser:
    """Ada's browser, signed in, on the bench that a module makes."""
    browser = bench.new_browser()
    browser.sign_in("ada@example.org")
    return browser


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where every part has to be there."""
    report = yield
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = (
            f"skipped, though CI=true means that every part is here: {report.longrepr}"
        )
    return report


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Measure no coverage of a test that is marked ``no_cover``.

    pytest-cov does so by itself, but in the processes of pytest-xdist a second measurement goes
    on where it stops its own (7.1). So this comes last. What runs the product millions of times
    took three times as long.
    """
    if item.get_closest_marker("no_cover") is None:
        return (yield)
    tracer, thread_tracer = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
        threading.settrace(thread_tracer)
