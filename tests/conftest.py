"""What all tests share: with ``CI=true`` a skip is a failure, and ``no_cover`` means it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from wsgi_sessions_testing import Bench, Browser, FakeClock, LocalIssuer

    from .support import Stage


MARKS = {
    "browser": ("e2e",),
    "server": (
        *("e2e", "load", "scenarios", "galera"),
        *("contract/test_isolation", "storage/test_servers", "storage/test_outages"),
        *("contract/test_user_models.py::TestInstantsOfAnOwnModel::test_with_a_zone",),
        *("companion/test_databases", "plugin/test_plugin_live_server"),
        "reliability/test_protections",
        *("examples/test_quickstart", "adapters/test_examples_start"),
        *("monitoring/test_monitoring_example", "monitoring/test_health.py::test_a_server_without"),
        "test_benchmarks.py::test_a_quick_run_of_the_floor",
    ),
    "slow": (
        *(
            "load",
            "galera",
            "properties",
            "seeded_faults/test_seeded_faults",
            "reliability/test_protections",
            "typing",
            "test_fork_safety",
        ),
        # A pytest or an example of its own, often in another process.
        *("examples", "plugin", "adapters/test_examples_start", "companion/test_extras"),
        # Many examples of Hypothesis, or of settings.
        *("companion/test_strategies", "companion/test_state_machine", "api/test_hostile_bodies"),
        "companion/test_assertions.py::test_a_sound_product_passes_under_valid_settings",
        "api/test_documented_answers.py::test_every_documented_refusal_is_given",
        "api/test_openapi.py::test_the_server_answers_as_it_is_described",
        "accounts/test_id_tokens.py::test_whatever_is_sent_is_refused_in_one_way",
        "test_benchmarks.py::test_a_quick_run",
        # Many rows, or real waiting.
        *("contract/test_many_sessions", "storage/test_waiting", "storage/test_app_database"),
    ),
}
"""Which tests bear which marker, by the beginning of where they are."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what the loop of a minute leaves out, by folder, file and kind of database."""
    for item in items:
        place = item.nodeid.removeprefix("tests/")
        for marker, places in MARKS.items():
            if place.startswith(places) and item.nodeid != place:
                item.add_marker(marker)
        callspec = getattr(item, "callspec", None)
        if callspec and {"postgres", "mariadb"} & set(map(str, callspec.params.values())):
            item.add_marker("server")


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """An app that acts as a test tells it to, and its browser; the parameter is the settings."""
    # Not at the top: pytest rewrites the assertions of what is imported after this file.
    from .support import Stage

    with Stage(**getattr(request, "param", {})) as stage:
        yield stage


@pytest.fixture
def issuer(clock: FakeClock) -> Iterator[LocalIssuer]:
    """An OpenID provider of this process, on the clock of the module."""
    from wsgi_sessions_testing import LocalIssuer

    with LocalIssuer(clock=clock) as issuer:
        yield issuer


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
