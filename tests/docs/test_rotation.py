"""What ``docs/explanation/rotation.md`` says ``judge`` decides is what it decides; its picture can be shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest

from tests.support import NOW, make_session
from wsgi_sessions import SessionConfig
from wsgi_sessions.records import Decision, PresentedToken, SessionRecord
from wsgi_sessions.sessions.policy import judge
from wsgi_sessions.sessions.tokens import TokenSigner, new_branch

FOLDER = Path(__file__).parents[2] / "docs" / "explanation"
PAGE = (FOLDER / "rotation.md").read_text(encoding="utf-8")


class Row(NamedTuple):
    token: str
    when: str
    outcome: str
    told: str

    def __str__(self) -> str:
        return f"{self.token}, {self.when}"


def read_rows(table: str) -> list[Row]:
    lines = table.splitlines()[2:]
    return [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines]


SECTION = PAGE.partition("## What `judge` decides")[2].partition("\n## ")[0]
SHORT_BODIES, LONG_BODIES = map(read_rows, re.findall(r"(?m)(?:^\|.*\|\n)+", SECTION))

CONFIG = SessionConfig(secret="for the tests of rotation.md alone")
GRACE_MS, WINDOW_MS = CONFIG.rotation_grace_ms, CONFIG.rotation_window_ms
UPLOAD_MS = CONFIG.upload_grace_ms
GENERATION = 7
BRANCH, SIBLING, CATCH_UP = new_branch(), new_branch(), new_branch(is_catch_up=True)
BRANCH_BEFORE = new_branch()

TOKENS = {
    "a later generation": [(GENERATION + 1, SIBLING), (GENERATION + 2, CATCH_UP)],
    "the stored branch": [(GENERATION, BRANCH)],
    "a sibling": [(GENERATION, SIBLING)],
    "a sibling made for a catch-up": [(GENERATION, CATCH_UP)],
    "the token before": [(GENERATION - 1, BRANCH_BEFORE)],
    "a sibling of the token before": [(GENERATION - 1, SIBLING), (GENERATION - 1, CATCH_UP)],
    "any older generation": [(GENERATION - 2, BRANCH), (0, SIBLING)],
}


class Moment(NamedTuple):
    is_settled: bool
    has_taken_over: bool
    since_ms: int


MOMENTS = [
    Moment(is_settled, has_taken_over, since_ms)
    for is_settled in (False, True)
    for has_taken_over in (False, True)
    for edge_ms in (1, GRACE_MS, WINDOW_MS, UPLOAD_MS)
    for since_ms in (edge_ms - 1, edge_ms)
]

WHEN: dict[str, Callable[[Moment], bool]] = {
    "always": lambda _: True,
    "settled, or in the window": lambda it: it.is_settled or it.since_ms < WINDOW_MS,
    "in the window": lambda it: it.since_ms < WINDOW_MS,
    "settled, after the window": lambda it: it.is_settled and it.since_ms >= WINDOW_MS,
    "not settled, after the window": lambda it: not it.is_settled and it.since_ms >= WINDOW_MS,
    "not settled, nothing has taken over yet": lambda it: not (it.is_settled or it.has_taken_over),
    "in the grace": lambda it: it.since_ms < GRACE_MS,
    "not settled, nothing has taken over yet, after the grace": lambda it: (
        not (it.is_settled or it.has_taken_over) and it.since_ms >= GRACE_MS
    ),
    "settled, or something has taken over, after the grace": lambda it: (
        (it.is_settled or it.has_taken_over) and it.since_ms >= GRACE_MS
    ),
    "not settled, within `upload_grace`": lambda it: not it.is_settled and it.since_ms < UPLOAD_MS,
    "after the window, within `upload_grace`": lambda it: WINDOW_MS <= it.since_ms < UPLOAD_MS,
    "after the grace, within `upload_grace`": lambda it: GRACE_MS <= it.since_ms < UPLOAD_MS,
}


each_row = pytest.mark.parametrize(
    ("row", "has_long_body"),
    [*((row, False) for row in SHORT_BODIES), *((row, True) for row in LONG_BODIES)],
    ids=str,
)


@each_row
def test_each_row_is_what_judge_decides(row: Row, has_long_body: bool) -> None:
    decisions = list(decisions_of(row, has_long_body=has_long_body))

    assert {spelled(each.outcome.value) for each in decisions} == {spelled(row.outcome)}
    assert {each.is_accepted for each in decisions} == {row.told.startswith("accepted")}


@each_row
def test_just_after_a_rotation_a_catch_up_alone_gets_a_token(row: Row, has_long_body: bool) -> None:
    has_offer = {each.offer is not None for each in decisions_of(row, has_long_body=has_long_body)}

    assert has_offer == {row.outcome == "catch-up"}


def test_the_rows_leave_nothing_out() -> None:
    told = {
        (token, moment)
        for row in SHORT_BODIES
        for token in TOKENS[row.token]
        for moment in MOMENTS
        if WHEN[row.when](moment)
    }
    # A sibling made for a catch-up that does not take over is one like any other.
    all_tokens = {token for tokens in TOKENS.values() for token in tokens}
    all_tokens.remove((GENERATION, CATCH_UP))

    assert {(token, moment) for token in all_tokens for moment in MOMENTS} <= told


def test_a_token_is_as_long_as_the_page_says() -> None:
    [(bytes_told, of_branch)] = re.findall(r"some (\d+) bytes, (\d+) of which", PAGE)
    text = TokenSigner(["s" * 32]).write(bytes(24), GENERATION, BRANCH)

    assert abs(len(text) - int(bytes_told)) <= 1
    assert len(f".{BRANCH}") == int(of_branch)


def test_the_picture_says_in_words_what_it_shows() -> None:
    [place] = re.findall(r"!\[.{200,}?\]\((.+?)\)", PAGE)
    picture = ET.fromstring((FOLDER / place).read_text(encoding="utf-8"))
    words = [picture.find(f"{{http://www.w3.org/2000/svg}}{tag}") for tag in ("title", "desc")]

    assert [each is not None and each.get("id") for each in words] == [
        *str(picture.get("aria-labelledby")).split()
    ]
    assert all(each is not None and each.text for each in words)


def decisions_of(row: Row, *, has_long_body: bool) -> Iterator[Decision]:
    for generation, branch in TOKENS[row.token]:
        for moment in filter(WHEN[row.when], MOMENTS):
            token = PresentedToken("s" * 24, generation, branch, bytes(24), "", True)
            yield judge(
                stored_at(moment),
                token,
                now_ms=NOW + moment.since_ms,
                address=None,
                config=CONFIG,
                has_long_body=has_long_body,
            )


def stored_at(moment: Moment) -> SessionRecord:
    return make_session(
        generation=GENERATION,
        branch=BRANCH,
        branch_before=BRANCH_BEFORE,
        is_settled=moment.is_settled,
        caught_up=moment.has_taken_over,
    )


def spelled(outcome: str) -> str:
    return re.sub(r"[_-]", " ", outcome)
