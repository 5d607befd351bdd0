"""What sessions add to a request, here and in other libraries, rounds taking turns."""

from __future__ import annotations

import os
import random
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from tests.hot_paths.instructions import can_count

from ..report import Cell, Plot, Result, Say, Series, Table
from .contenders import (
    BY_NAME,
    CACHED,
    CONTENDERS,
    DATABASE,
    FLASK_COOKIE,
    FLOOR,
    RAW_SELECT,
    SERVER,
    Contender,
)
from .worker import Costs, Worker, workers_of

ROUNDS = 25
ROUND_US = 25_000
"""How long the requests of one kind take in a round."""
NOTE = """\
Every contender has the same browser's request, with other cookies before its own, and its application answers who is signed in; that is checked first. *Bare* is the same application without sessions, on the same framework, and what is shown is the difference of the two. The *spread* is that of eight rounds of ten. The *fastest peer* is that of those with sessions on the server. *Yields* says what the application gets: the *user* as stored, or the *value* that was put into the session. Sessions on the *server* can be ended at once; those in a *cookie* are valid until they expire, whatever happens to the user. The settings are the defaults, but Django keeps its connection, as in production. Flask-Session then stores every session again at every request; *no refresh* is without that, so the session expires at a fixed time; that does not count as the fastest peer. Starlette is called without an event loop."""
CALLS_NOTE = """\
Calls are of functions *in Python*, and *in all*, those in C too. Instructions are those of the processor, counted by callgrind. Neither depends on how busy the machine is."""


def measure(*, is_quick: bool, say: Say) -> Result:
    result = compare(CONTENDERS, is_quick=is_quick, with_instructions=can_count(), say=say)
    if not can_count():
        result.skipped.append("instructions: they need valgrind, on x86-64")
    return result


def compare(
    contenders: Sequence[Contender], *, is_quick: bool, with_instructions: bool, say: Say
) -> Result:
    """Measure some of the contenders; ours and the raw SELECT have to be among them."""
    skipped: list[str] = []

    def miss(why: str) -> None:
        skipped.append(why)
        say(f"left out: {why}")

    rounds, round_us = (3, 2_000) if is_quick else (ROUNDS, ROUND_US)
    say(f"starting {len(contenders)} applications")
    with workers_of([contender.name for contender in contenders], miss) as workers:
        costs = _take_turns(workers, rounds, round_us, say)
        calls = {name: worker.calls() for name, worker in workers.items()}
    present = [BY_NAME[name] for name in workers]
    instructions: dict[str, Costs] = {}
    if with_instructions:
        counted = [BY_NAME[RAW_SELECT], BY_NAME[DATABASE]] if is_quick else present
        # Side by side: the count does not depend on what else runs.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for number, (contender, count) in enumerate(
                zip(counted, pool.map(_instructions_of, counted), strict=True), 1
            ):
                say(f"counted instructions, {number} of {len(counted)}: {contender.name}")
                instructions[contender.name] = count
    return _result(present, costs, calls, instructions, skipped)


@cache
def _instructions_of(contender: Contender) -> Costs:
    """Count once for all runs: they are the same."""
    from .counted import instructions_of

    return instructions_of(contender)


def _take_turns(
    workers: dict[str, Worker], rounds: int, round_us: float, say: Say
) -> dict[str, list[Costs]]:
    counts = {
        name: max(5, min(500, int(round_us / max(worker.microseconds(5)))))
        for name, worker in workers.items()
    }
    costs: dict[str, list[Costs]] = {name: [] for name in workers}
    for number in range(rounds):
        if number % 5 == 0:
            say(f"round {number + 1} of {rounds}")
        # In another order each time: who comes after whom must not matter.
        for name in random.Random(number).sample(list(workers), len(workers)):
            costs[name].append(workers[name].microseconds(counts[name]))
    return costs


def _result(
    present: list[Contender],
    costs: dict[str, list[Costs]],
    calls: dict[str, tuple[Costs, Costs]],
    instructions: dict[str, Costs],
    skipped: list[str],
) -> Result:
    signed_in = {
        name: [each.signed_in - each.bare for each in rounds] for name, rounds in costs.items()
    }
    visitor = {
        name: statistics.median(each.visitor - each.bare for each in rounds)
        for name, rounds in costs.items()
    }
    medians = {name: statistics.median(values) for name, values in signed_in.items()}
    tenths = {name: _tenths(values) for name, values in signed_in.items()}
    peers = [contender for contender in present if not contender.is_ours]
    fastest = min(
        (medians[peer.name] for peer in peers if peer.kept == SERVER and peer.is_default),
        default=float("nan"),
    )
    rows: list[list[Cell]] = [
        [
            contender.name,
            contender.kept,
            contender.knows,
            medians[contender.name],
            round(_spread(medians[contender.name], tenths[contender.name])),
            medians[contender.name] / medians[RAW_SELECT],
            medians[contender.name] / fastest,
            "—" if contender.kept == FLOOR else visitor[contender.name],
        ]
        for contender in sorted(present, key=lambda contender: medians[contender.name])
    ]
    shown = sorted(present, key=lambda contender: medians[contender.name])
    return Result(
        "peers",
        [
            Table(
                "What a request costs over the bare application",
                [
                    *("who", "kept in", "yields", "signed in, µs", "spread, %"),
                    *("× SELECT", "× fastest peer", "visitor, µs"),
                ],
                rows,
                NOTE,
            ),
            Table(
                "Calls and instructions over the bare application",
                [
                    *("who", "in Python", "in all", "instructions"),
                    *("visitor: in all", "instructions"),
                ],
                [[contender.name, *_counts(contender, calls, instructions)] for contender in shown],
                CALLS_NOTE,
            ),
        ],
        [
            Plot(
                "What sessions add to a request",
                "",
                "µs over the bare application",
                [
                    Series(
                        "signed in",
                        [(contender.name, medians[contender.name]) for contender in shown],
                        [tenths[contender.name] for contender in shown],
                    ),
                    Series(
                        "visitor without a cookie",
                        [
                            (contender.name, max(visitor[contender.name], 0.1))
                            for contender in shown
                            if contender.kept != FLOOR
                        ],
                    ),
                ],
                is_y_log=True,
            ),
            *_plot_of_instructions(shown, instructions),
        ],
        _figures(peers, medians, visitor, calls),
        skipped,
    )


def _figures(
    peers: list[Contender],
    medians: dict[str, float],
    visitor: dict[str, float],
    calls: dict[str, tuple[Costs, Costs]],
) -> dict[str, float]:
    figures = {
        "raw_select_us": medians[RAW_SELECT],
        "database_us": medians[DATABASE],
        "cached_us": medians[CACHED],
        "visitor_us": visitor[DATABASE],
        "database_over_raw": medians[DATABASE] / medians[RAW_SELECT],
        "database_calls": round(calls[DATABASE][1].over_bare()[0]),
        "cached_calls": round(calls[CACHED][1].over_bare()[0]),
        "visitor_calls": round(calls[DATABASE][1].over_bare()[1]),
    }
    on_server = [peer for peer in peers if peer.kept == SERVER]
    for name, compared in (
        ("server_side_ratio", [peer for peer in on_server if peer.is_default]),
        ("server_side_tuned_ratio", on_server),
    ):
        if compared:
            figures[name] = min(medians[peer.name] for peer in compared) / medians[DATABASE]
    if FLASK_COOKIE in medians:
        # What its cookie costs, without what Flask does for a visitor.
        flask = medians[FLASK_COOKIE] - visitor[FLASK_COOKIE]
        figures["flask_cookie_us"] = flask
        figures["cached_over_flask"] = medians[CACHED] / flask
    return figures


def _counts(
    contender: Contender,
    calls: dict[str, tuple[Costs, Costs]],
    instructions: dict[str, Costs],
) -> list[Cell]:
    functions, all_functions = calls[contender.name]
    counted = instructions.get(contender.name)
    cells: list[Cell] = []
    for kind in (0, 1):
        if contender.kept == FLOOR and kind == 1:
            return [*cells, "—", "—"]
        if kind == 0:
            cells.append(round(functions.over_bare()[kind]))
        cells.append(round(all_functions.over_bare()[kind]))
        cells.append("—" if counted is None else round(counted.over_bare()[kind]))
    return cells


def _plot_of_instructions(shown: list[Contender], instructions: dict[str, Costs]) -> Iterator[Plot]:
    counted = [
        (contender, instructions[contender.name].over_bare())
        for contender in shown
        if contender.name in instructions
    ]
    if len(counted) < len(shown):
        return
    yield Plot(
        "Instructions that sessions add to a request",
        "",
        "thousand instructions over the bare application",
        [
            Series(
                "signed in",
                [(contender.name, signed_in / 1e3) for contender, (signed_in, _) in counted],
            ),
            Series(
                "visitor without a cookie",
                [
                    (contender.name, visitor / 1e3)
                    for contender, (_, visitor) in counted
                    if contender.kept != FLOOR
                ],
            ),
        ],
        is_y_log=True,
    )


def _spread(median: float, tenths: tuple[float, float]) -> float:
    low, high = tenths
    return (high - low) / median * 100


def _tenths(values: list[float]) -> tuple[float, float]:
    """Return between what eight of ten values are."""
    cuts = statistics.quantiles(values, n=10, method="inclusive")
    return cuts[0], cuts[-1]
