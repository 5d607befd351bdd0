"""The frame of the benchmarks: a result becomes a page and its plots. Nothing is measured here."""

from __future__ import annotations

import importlib
import json
import xml.etree.ElementTree as ET
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from .benchmarks import __main__ as command
from .benchmarks import feed, floor, growth, page, peers, serving, targets, writes
from .benchmarks.peers.contenders import CACHED, CONTENDERS, DATABASE, FLASK_COOKIE, RAW_SELECT
from .benchmarks.report import Plot, Result, Series, Table, from_json, merge, to_json
from .benchmarks.targets import TARGETS


def made_up(cost: float) -> Result:
    return Result(
        "peers",
        [Table("Costs", ["who", "µs", "calls"], [["ours", cost, 7], ["theirs", 4.0 * cost, 9]])],
        [
            Plot("Bars", "who", "µs", [Series("here", [("ours", cost)], [(cost - 1, cost + 1)])]),
            Plot(
                "Growth",
                "sessions",
                "µs",
                [Series("ours", [(10, cost), (1000, cost)]), Series("theirs", [(10, 5.0)])],
                kind="lines",
                is_x_log=True,
                is_y_log=True,
            ),
        ],
        {"cached_us": cost, "visitor_us": 3.5},
        ["Beaker: pip install beaker"],
    )


@pytest.fixture
def measured() -> dict[str, Any]:
    entry = {
        "says": "What it is.",
        "date": "2026-01-31",
        "load": "0.10",
        "machine": {"cores": "2"},
        "is_quick": False,
        "runs": [to_json(made_up(cost)) for cost in (9.0, 7.0, 8.0)],
    }
    return {"benchmarks": {"peers": entry}}


def test_a_result_is_the_same_from_json() -> None:
    result = made_up(5)

    assert from_json(json.loads(json.dumps(to_json(result)))) == result


def test_several_runs_become_their_medians() -> None:
    merged = merge([made_up(9), made_up(7), made_up(8)])

    assert merged.tables[0].rows == [["ours", 8, 7], ["theirs", 32, 9]]
    assert merged.plots[0].series[0] == Series("here", [("ours", 8)], [(6, 10)])
    assert merged.figures == {"cached_us": 8, "visitor_us": 3.5}


def test_the_page_says_what_is_met(measured: dict[str, Any], tmp_path: Path) -> None:
    page.write(measured, tmp_path / "performance.md")

    text = (tmp_path / "performance.md").read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert "| at most 10 µs | 8 µs | 7 to 9 | yes |" in text
    assert "| at most 3 µs | 3.5 µs |  | **no** |" in text
    assert text.count("not measured") == len(TARGETS) - 2
    assert "Not measured: Beaker: pip install beaker" in text
    assert "| theirs | 32.0 | 9 |" in text


def test_the_page_explains_what_is_not_met(
    measured: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explained = [target._replace(why_not="The profile says so.") for target in TARGETS]
    monkeypatch.setattr(targets, "TARGETS", explained)

    page.write(measured, tmp_path / "performance.md")

    assert (tmp_path / "performance.md").read_text().count("The profile says so.") == 1


def test_a_quick_run_meets_no_target(measured: dict[str, Any], tmp_path: Path) -> None:
    measured["benchmarks"]["peers"]["is_quick"] = True

    page.write(measured, tmp_path / "performance.md")

    assert "| yes |" not in (tmp_path / "performance.md").read_text()


def test_plots_are_svg_files_that_the_page_shows(measured: dict[str, Any], tmp_path: Path) -> None:
    page.write(measured, tmp_path / "performance.md")

    plots = sorted((tmp_path / "performance").iterdir())
    assert [plot.name for plot in plots] == ["peers-bars.svg", "peers-growth.svg"]
    for plot in plots:
        assert ET.parse(plot).getroot().tag == "{http://www.w3.org/2000/svg}svg"
        assert f"(performance/{plot.name})" in (tmp_path / "performance.md").read_text()


def test_a_page_is_made_again_from_its_file(
    measured: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = tmp_path / "figures.json"
    command.store(measured, figures)
    monkeypatch.setattr(page, "PAGE", tmp_path / "performance.md")
    monkeypatch.setattr(page, "FIGURES", tmp_path / "unused.json")

    command.main(["--from", str(figures), "--page"])

    assert (tmp_path / "performance.md").exists()
    assert not (tmp_path / "unused.json").exists()


@pytest.mark.parametrize("name", command.ALL)
def test_a_benchmark_can_be_imported_and_says_what_it_measures(name: str) -> None:
    module = importlib.import_module(f"tests.benchmarks.{name}")

    assert module.__doc__
    assert callable(module.measure)


def test_a_quick_run_of_the_peers_gives_what_their_targets_ask_for() -> None:
    """Of those that come with the extra ``dev``; each looks first who is signed in."""
    names = {RAW_SELECT, DATABASE, CACHED, FLASK_COOKIE, "Django, cached_db"}
    chosen = [contender for contender in CONTENDERS if contender.name in names]

    result = peers.compare(chosen, is_quick=True, with_instructions=False, say=print)

    assert result.skipped == []
    assert asked_of("peers") <= result.figures.keys()
    assert {row[0] for row in result.tables[0].rows} == names


def test_a_quick_run_of_the_floor_gives_what_its_targets_ask_for() -> None:
    result = floor.measure(is_quick=True, say=print)

    assert asked_of("floor") <= result.figures.keys()


def test_what_is_served_has_the_figures_that_its_targets_ask_for() -> None:
    given = {f"{plan.key}_{line.key}_share" for plan in serving.PLANS for line in plan.lines}

    assert asked_of("serving") <= given


def test_a_table_keeps_its_size_while_its_growth_is_measured(tmp_path: Path) -> None:
    with closing(growth.Grown(tmp_path / "grown.db", 1000)) as grown:
        before = grown.rows.execute(growth.COUNT).fetchone()
        for _, prepare in grown.operations().values():
            prepare()()
            grown.restore()
            assert grown.rows.execute(growth.COUNT).fetchone() == before


def test_revocations_of_each_second_are_known_to_the_process_that_is_measured(
    tmp_path: Path,
) -> None:
    with closing(feed.Stream(f"sqlite:///{tmp_path}/feed.db", 3000)) as stream:
        assert len(stream.measure(2)) == len(feed.COLUMNS) - 1
        reading = stream.feed.current()
        assert reading is not None
        assert "revoked-0000000000004000" in reading.session_ids
        assert "late-2" in reading.session_ids


def test_hundred_requests_of_a_rotation_are_measured_without_errors(tmp_path: Path) -> None:
    timed, writes_a_session = writes.refresh(f"sqlite:///{tmp_path}/app.db", sessions=1)

    assert (len(timed.seconds), timed.error_count, writes_a_session) == (300, 0, 3)


def asked_of(benchmark: str) -> set[str]:
    asked = (target.figure.partition(".") for target in TARGETS)
    return {figure for name, _, figure in asked if name == benchmark}
