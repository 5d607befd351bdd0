"""A hot path does what is written in ``figures.json``: a commit that changes it says so there."""

from __future__ import annotations

import pytest

from .counting import count_calls
from .figures import HOW_TO_CHANGE, differences, measure, written
from .paths import bare_app, environ_with


def test_figures_are_those_that_are_written() -> None:
    found = list(differences(written(), measure(with_instructions=False)))
    if found:
        pytest.fail("\n".join([*found, HOW_TO_CHANGE]), pytrace=False)


def test_bare_application_is_two_calls() -> None:
    counts = count_calls(bare_app, environ_with(""))

    assert counts == {
        "tests/hot_paths/paths.py bare_app": 1,
        "tests/hot_paths/counting.py start_response": 1,
    }


def test_differences_name_what_is_new_and_gone() -> None:
    function, other = "wsgi_sessions/wsgi/exchange.py show", "wsgi_sessions/clock.py has_passed"
    before = {"statements": ["SELECT"], "calls": 3, "functions": {function: 1, other: 2}}
    after = {"statements": [], "calls": 2, "functions": {"wsgi_sessions/parts.py new": 1, other: 1}}

    found = list(differences({"paths": {"cached": before}}, {"paths": {"cached": after}}))

    assert found == [
        "cached: sends no statement, not SELECT",
        "cached: 2 calls, not 3 (-1)",
        f"    {other} (1, not 2)",
        "    new: wsgi_sessions/parts.py new (1)",
        f"    gone: {function} (1)",
    ]


def test_differences_name_what_is_imported() -> None:
    before = {"paths": {}, "imported": ["wsgi_sessions.parts", "wsgi_sessions.clock"]}
    after = {"paths": {}, "imported": ["wsgi_sessions.parts", "wsgi_sessions.api"]}

    assert list(differences(before, after)) == [
        "import wsgi_sessions loads as well: wsgi_sessions.api",
        "import wsgi_sessions no longer loads: wsgi_sessions.clock",
    ]


def test_instructions_may_differ_by_little() -> None:
    def figures(count: int) -> dict[str, object]:
        return {"paths": {}, "instructions": {"a build": {"cached": count}}}

    assert list(differences(figures(100_000), figures(101_900))) == []
    assert list(differences(figures(100_000), figures(103_000))) == [
        "cached: 103,000 instructions, not 100,000 (+3.0%)"
    ]
