"""The code of ``docs/how-to/events.md`` runs, and the log has the lines that it shows."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from wsgi_sessions import EventName, InvalidCredentialsError
from wsgi_sessions.events import EVENT_KINDS
from wsgi_sessions_testing import Bench

from .pages import blocks_of, python_of, text_of

PAGE = "docs/how-to/events.md"
[LISTENER, KEEP, CHOOSE, NEW_DEVICE, LOGGING, JSON, AUDIT, TESTS] = python_of(PAGE)
[LOG_LINE] = [block.text.strip() for block in blocks_of(PAGE, "text")]


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"a page"]


def replay(bench: Bench) -> None:
    """Have a thief come with a token that the owner has left behind."""
    owner = bench.new_browser()
    owner.sign_in("ada@example.org")
    thief = owner.fork()
    thief.address = "203.0.113.66"
    for _ in range(3):
        bench.clock.advance(days=1)
        owner.get("/")
        owner.get("/")
    thief.get("/")


def test_a_listener_hears_of_a_theft() -> None:
    mails: list[tuple[Any, str]] = []
    with Bench(app) as bench:
        names: dict[str, Any] = {
            "manager": bench.manager,
            "send_mail": lambda *mail: mails.append(mail),
        }
        exec(LISTENER, names)
        replay(bench)
        names["unsubscribe"]()
        replay(bench)

    assert [text for _, text in mails] == ["Your session was used elsewhere, from 203.0.113.66."]


def test_a_mail_goes_out_at_a_sign_in_from_a_new_device() -> None:
    mails: list[tuple[Any, str]] = []
    with Bench(app, audit=True) as bench:
        names = {"manager": bench.manager, "send_mail": lambda *mail: mails.append(mail)}
        exec(NEW_DEVICE, names)
        user = bench.factories.make_user("ada@example.org")
        for device in ("Firefox on Linux", "Safari on iPhone", "Firefox on Linux"):
            bench.new_browser(device).sign_in(user)
            bench.clock.advance(hours=1)

    assert [(to, text.partition(". If")[0]) for to, text in mails] == [
        ("ada@example.org", "Somebody signed in on Safari on iPhone from 127.0.0.1"),
    ]


def test_events_are_kept_and_listed_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"SECRET": "a-secret-for-tests-of-32-characters"}
    exec(KEEP, names)
    with pytest.raises(InvalidCredentialsError):
        names["manager"].sign_in_email(email="ada@example.org", password="wrong horse")
    names["manager"].close()

    exec(CHOOSE, names)
    names["manager"].close()

    assert capsys.readouterr().out.endswith(" None unknown_user\n")


def test_a_theft_is_logged_as_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "wsgi_sessions")
    with Bench(app) as bench:
        replay(bench)

    [line] = caplog.messages
    assert re.sub(r"session=\S+ user=\S+", "", line) == re.sub(
        r"session=\S+ user=\S+", "", LOG_LINE
    )
    assert re.fullmatch(r"session=[\w-]{24}", LOG_LINE.split()[1])


def test_the_level_is_set_as_shown() -> None:
    show_level = "print(logging.getLogger('wsgi_sessions').getEffectiveLevel())"
    run = subprocess.run(
        [sys.executable, "-c", LOGGING + show_level], capture_output=True, text=True, check=True
    )

    assert run.stdout == f"{logging.INFO}\n"


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """Return our logger at INFO, without what a test adds to it afterwards."""
    logger = logging.getLogger("wsgi_sessions")
    before = list(logger.handlers)
    logger.setLevel(logging.INFO)
    yield logger
    logger.setLevel(logging.NOTSET)
    for handler in [handler for handler in logger.handlers if handler not in before]:
        logger.removeHandler(handler)
        handler.close()


def test_the_formatter_of_the_page_writes_fields(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(JSON, {})
    with Bench(app) as bench:
        user = bench.factories.make_user()
        bench.new_browser("Firefox on Linux").sign_in(user)

    [line] = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert (line["level"], line["event"], line["user_id"]) == ("INFO", "session_created", user.id)
    assert line["details"]["device"] == "Firefox on Linux"


def test_the_filter_of_the_page_keeps_the_audit_trail_alone(
    logger: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(AUDIT, {"logging": logging})
    with Bench(app) as bench:
        replay(bench)

    written = (tmp_path / "audit.log").read_text().splitlines()
    assert [line.split()[0] for line in written] == ["session_created", "session_ended"]


def test_the_test_of_the_page_passes(tmp_path: Path) -> None:
    fixture = "import pytest\n\n@pytest.fixture\ndef wsgi_app():\n    return app\n"
    shown_app = (
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [b'a page']\n\n\n"
    )
    (tmp_path / "test_events.py").write_text(shown_app + fixture + TESTS, encoding="utf-8")
    run = subprocess.run(
        [
            *[sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
            *["-p", "no:django", "-p", "no:pytest-splinter", "test_events.py"],
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 passed" in run.stdout


def test_every_name_in_the_table_is_an_event() -> None:
    table = re.findall(r"^\| `([a-z_]+)`", text_of(PAGE), re.MULTILINE)

    assert len(table) > 4
    assert set(table) <= set(EVENT_KINDS)


def test_every_event_has_a_meaning() -> None:
    assert set(get_args(EventName)) == set(EVENT_KINDS)
