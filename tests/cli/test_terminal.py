"""What is written depends on who reads: a wide or narrow terminal, a pipe, or nobody any more."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from wsgi_sessions import SessionManager, SystemClock
from wsgi_sessions.cli.output import Bars, Output, Record, Table
from wsgi_sessions_testing.factories import Factories

from .sites import DAY, SECRET, Site

pty = pytest.importorskip("pty")

ESCAPE = "\x1b["


def variables(url: str, **more: str) -> dict[str, str]:
    given = {"DATABASE_URL": url, "SECRET": SECRET}
    kept = {name: text for name, text in os.environ.items() if not name.startswith("WSGI_SESS")}
    kept.pop("NO_COLOR", None)
    return {**kept, **{f"WSGI_SESSIONS_{name}": text for name, text in given.items()}, **more}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "wsgi_sessions", *arguments]


def in_terminal(
    arguments: list[str], environ: Mapping[str, str], *, columns: int = 100, typed: str = ""
) -> tuple[int, str]:
    """Run a command in a terminal of its own; return its exit code and all that is shown."""
    ours, its = pty.openpty()
    size = {"COLUMNS": str(columns), "LINES": "24", "TERM": "xterm-256color"}
    process = subprocess.Popen(
        arguments, stdin=its, stdout=its, stderr=its, env={**environ, **size}, close_fds=True
    )
    os.close(its)
    os.write(ours, typed.encode())
    shown = b""
    with contextlib.suppress(OSError):  # what Linux gives at the end
        while chunk := os.read(ours, 4096):
            shown += chunk
    os.close(ours)
    return process.wait(), shown.decode().replace("\r\n", "\n")


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_wide_terminal_shows_a_table_in_colour(sqlite_site: Site) -> None:
    code, shown = in_terminal(command("users", "list"), variables(sqlite_site.url), columns=140)

    assert code == 0 and ESCAPE in shown
    [row] = [line for line in without_colours(shown).splitlines() if "ada@" in line]
    assert str(sqlite_site.ids["ada"]) in row


@pytest.mark.parametrize(
    "arguments",
    [
        ("users", "list"),
        ("sessions", "list", "ada@example.org", "--ended"),
        ("why", "ada@example.org", "--days", "3000"),
        ("stats",),
        ("sessions", "show", "PHONE"),
    ],
    ids=" ".join,
)
def test_forty_columns_hold_everything(sqlite_site: Site, arguments: tuple[str, ...]) -> None:
    typed = [sqlite_site.sessions["phone"] if each == "PHONE" else each for each in arguments]

    code, shown = in_terminal(command(*typed), variables(sqlite_site.url), columns=40)

    lines = without_colours(shown).splitlines()
    assert code == 0
    assert [line for line in lines if len(line) > 40] == []
    if arguments[0] == "users":
        assert str(sqlite_site.ids["ada"]) in "".join(lines)


def test_what_is_no_terminal_gets_whole_lines_without_colour(sqlite_site: Site) -> None:
    told = subprocess.run(
        command("sessions", "list", "ada@example.org", "--ended"),
        env=variables(sqlite_site.url, COLUMNS="40", FORCE_COLOR="1"),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )

    lines = told.stdout.splitlines()
    assert (told.returncode, len(lines), ESCAPE in told.stdout) == (0, 6, False)
    assert lines == [line.rstrip() for line in lines]


def test_letters_that_the_output_can_not_show_are_replaced(sqlite_site: Site) -> None:
    Factories(sqlite_site.manager).make_user("zoe@example.org", name="Zoë 🙂")

    told = subprocess.run(
        command("users", "list"),
        env=variables(sqlite_site.url, PYTHONIOENCODING="latin-1", PYTHONUTF8="0"),
        capture_output=True,
        encoding="latin-1",
    )

    assert told.returncode == 0 and "Zoë ?" in told.stdout


def test_a_reader_that_has_gone_ends_it_quietly(sqlite_site: Site) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    told = subprocess.run(
        command("sessions", "list", "--json"),
        env=variables(sqlite_site.url),
        stdout=writing,
        stderr=subprocess.PIPE,
    )

    os.close(writing)
    assert (told.returncode, told.stderr) == (141, b"")


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_a_terminal_is_asked(sqlite_site: Site, answer: str, code: int) -> None:
    given, shown = in_terminal(
        command("forget", "bob@example.org"), variables(sqlite_site.url), typed=answer
    )

    assert given == code and "It can't be undone. Go on?" in " ".join(shown.split())
    is_there = sqlite_site.manager.parts.store.users.find(sqlite_site.ids["bob"]) is not None
    assert is_there == (code != 0)


@pytest.mark.usefixtures("interruptible")
def test_a_purge_in_a_terminal_shows_how_far_it_is_and_stops_by_ctrl_c(sqlite_url: str) -> None:
    manager = SessionManager(sqlite_url, secret=SECRET, clock=SystemClock())
    factories = Factories(manager)
    for _ in range(30):
        factories.make_session("ada@example.org", age=40 * DAY)
    ours, its = pty.openpty()
    process = subprocess.Popen(
        command("purge", "--batch-rows", "1", "--pause", "100"),
        stdin=its, stdout=its, stderr=its,
        env=variables(sqlite_url, COLUMNS="120", TERM="xterm-256color"),
        start_new_session=True,
    )  # fmt: skip
    os.close(its)
    shown = ""
    while "Deleting" not in shown or "/s" not in shown:
        shown += os.read(ours, 4096).decode()

    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):
        while chunk := os.read(ours, 4096):
            shown += chunk.decode()

    assert process.wait() == 130
    assert "run it again to go on" in " ".join(without_colours(shown).split())
    left = manager.parts.purger.count_due()
    assert 0 < left < 30


@pytest.mark.parametrize(
    "part",
    [Table(("a", "b"), []), Table(("a",), [], title="none"), Record([]), Bars("none", [])],
    ids=["table", "title", "record", "bars"],
)
def test_nothing_to_show_is_no_failure(part: Any, capsys: pytest.CaptureFixture[str]) -> None:
    Output().show({}, part)

    assert len(capsys.readouterr().out.splitlines()) <= 2
