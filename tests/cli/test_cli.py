"""The command line, as it is typed."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from wsgi_sessions import SessionConfig
from wsgi_sessions.cli.main import main


def test_secret_is_new_each_time_and_good_for_a_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert (main(["secret"]), main(["secret"])) == (0, 0)

    first, second = capsys.readouterr().out.split()
    assert first != second
    assert SessionConfig(secret=first).secret == (first,)


@pytest.mark.parametrize("arguments", [[], ["secrets"], ["secret", "more"]])
def test_wrong_use_says_what_there_is(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)

    assert stopped.value.code == 2
    assert "usage: python -m wsgi_sessions" in capsys.readouterr().err


def test_importing_the_module_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    importlib.import_module("wsgi_sessions.__main__")

    assert capsys.readouterr().out == ""


def test_module_runs() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "wsgi_sessions", "secret"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert len(printed.stdout.strip()) == 43
    assert printed.stderr == ""


def test_module_s_exit_status_is_the_command_s() -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "wsgi_sessions", "secrets"], capture_output=True, text=True
    )

    assert refused.returncode == 2
    assert "invalid choice: 'secrets'" in refused.stderr
