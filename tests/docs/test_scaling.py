"""The arithmetic and the shards of ``docs/scaling.md``, and the figures it takes from a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import PASSWORD
from wsgi_sessions_testing import Browser

from .pages import DOCS, python_of, text_of

PAGE = "docs/scaling.md"
ARITHMETIC, SHARDS = python_of(PAGE)
FIGURES = DOCS / "explanation" / "performance" / "figures.json"


def tables() -> list[list[list[str]]]:
    """Return the cells of each table of the page."""
    found = re.findall(r"(?:^\|.*\n)+", text_of(PAGE), re.MULTILINE)
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
        for table in found
    ]


def table_with(title: str) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the table whose head begins with a title."""
    [(head, _, *rows)] = [table for table in tables() if table[0][0] == title]
    return head, rows


def load_with(changes: str = "", live: int = 10**8) -> dict[str, float]:
    names: dict[str, Any] = {}
    exec(ARITHMETIC, names)
    exec(changes, names)
    return dict(names["load"](live))


def shown(value: float) -> str:
    """Return a number with two digits that count, as the page shows it."""
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def test_the_table_is_what_the_arithmetic_gives() -> None:
    head, rows = table_with("live sessions")
    for column, live in enumerate(head[1:], 1):
        found = load_with(live=int(live.replace(",", "")))
        assert {row[0]: row[column] for row in rows} == {
            name: shown(value) for name, value in found.items()
        }


def test_the_effects_of_settings_are_what_the_arithmetic_gives() -> None:
    head, rows = table_with("with")
    for what, *cells in rows:
        changes = re.findall(r"`([A-Z_]+ = [\d.]+)`", what)
        found = load_with("\n".join(changes))
        assert cells == [shown(found[name]) for name in head[1:]]


def test_the_figures_are_those_that_were_measured() -> None:
    measured = json.loads(FIGURES.read_text(encoding="utf-8"))["benchmarks"]
    [run] = measured["capacity"]["runs"][-1:]
    names: dict[str, Any] = {}
    exec(ARITHMETIC, names)

    assert names["ROW_BYTES"] == round(run["figures"]["postgres_used_session_bytes"], -1)
    for name, what in (
        ("READ_US", "requests that only read"),
        ("TOUCH_US", "requests that note their time"),
        ("SIGN_IN_US", "sign-ins"),
    ):
        [row] = [row for row in run["tables"][1]["rows"] if row[0] == f"{what}, PostgreSQL"]
        assert names[name] == float(f"{row[3]:.2g}")


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"SECRET": "for the tests of this page alone, no other"}
    exec(SHARDS, names)
    yield names
    for manager in names["managers"]:
        manager.close()


def browser_of(names: dict[str, Any], shard: int) -> Browser:
    manager = names["managers"][shard]
    return Browser(names["application"], clock=manager.clock, manager=manager)


def signed_up(names: dict[str, Any], email: str, shard: int) -> Browser:
    browser = browser_of(names, shard)
    answer = browser.post("/who", {"email": email})
    assert (answer.status_int, answer.headers["Location"]) == (303, "https://localhost/password")
    made = browser.post_json(
        "/api/auth/sign-up/email", {"name": "Ada", "email": email, "password": PASSWORD}
    )
    assert made.status_int == 200
    return browser


def test_each_user_is_in_their_shard_alone(shards: dict[str, Any]) -> None:
    here = signed_up(shards, "ada@shop.example.org", 0)
    there = signed_up(shards, "Bob@shop.example.net", 1)

    assert here.get("/").text == "ada@shop.example.org"
    assert there.get("/").text == "bob@shop.example.net"
    assert shards["shard_0"].find_user(email="bob@shop.example.net") is None
    assert shards["shard_1"].find_user(email="ada@shop.example.org") is None


@pytest.mark.parametrize("shard", ["0", "7", "9999", "x"])
def test_another_shard_knows_nobody_and_signs_nobody_out(
    shards: dict[str, Any], shard: str
) -> None:
    browser = signed_up(shards, "bob@shop.example.net", 1)
    token = browser.session_token
    name = shards["shard_1"].parts.cookies.token_name(is_secure=True)
    cookies = f"{name}={token}; shard={shard}"
    stranger = browser_of(shards, 0)

    seen = stranger.get("/", headers={"Cookie": cookies})

    assert seen.text == ("bob@shop.example.net" if shard in ("7", "9999") else "")
    assert seen.headers.getall("Set-Cookie") == []
    assert browser.get("/").text == "bob@shop.example.net"


def test_nobody_signs_up_in_another_shard(shards: dict[str, Any]) -> None:
    browser = browser_of(shards, 0)
    refused = browser.post_json(
        "/api/auth/sign-up/email",
        {"name": "Bob", "email": "bob@shop.example.net", "password": PASSWORD},
    )

    assert (refused.status_int, refused.json["code"]) == (403, "SIGN_UP_REFUSED")


def test_another_site_sends_nobody_to_another_shard(shards: dict[str, Any]) -> None:
    browser = signed_up(shards, "bob@shop.example.net", 1)
    refused = browser.post(
        "/who", {"email": "ada@shop.example.org"}, from_origin="https://evil.example"
    )

    assert refused.status_int == 403
    assert browser.get("/").text == "bob@shop.example.net"
