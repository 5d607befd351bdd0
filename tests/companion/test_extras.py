"""Claims about what is not installed: each use of it names the command that installs it.

Every claim is tried in a process that lacks the package, so the companion is not imported here.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTING = 'pip install "wsgi-sessions[testing]"'
SOCIAL = 'pip install "wsgi-sessions[testing,social]"'
BENCH = "from wsgi_sessions_testing import Bench\n"
WALK = """
def story(bench):
    browser = bench.new_browser()
    yield [lambda: browser.get("/")] * 2

from wsgi_sessions_testing import Schedules, settings_for_tests
Schedules(lambda environ, start_response: [], config=settings_for_tests()).walk(story)
"""
SERVER = "from wsgi_sessions_testing.fakes.databases import ServerDatabase; ServerDatabase"


def run_without(package: str, code: str) -> str:
    """Run code where importing a package fails, and return what it says as it dies."""
    hidden = f"import sys; sys.modules[{package!r}] = None\n"
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", hidden + code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    return ran.stderr


@pytest.mark.parametrize(
    ("package", "code", "command"),
    [
        ("hypothesis", "from wsgi_sessions_testing import SessionMachine", TESTING),
        ("hypothesis", "from wsgi_sessions_testing import strategies", TESTING),
        ("hypothesis", "import wsgi_sessions_testing.strategies", TESTING),
        ("hypothesis", "import wsgi_sessions_testing.properties.base", TESTING),
        ("hypothesis", "import wsgi_sessions_testing.properties.user_rules", TESTING),
        ("hypothesis", "import wsgi_sessions_testing.properties.jar_rules", TESTING),
        ("greenlet", WALK, TESTING),
        ("jwt", "from wsgi_sessions_testing import LocalIssuer; LocalIssuer()", SOCIAL),
        ("cryptography", "from wsgi_sessions_testing import LocalIssuer; LocalIssuer()", SOCIAL),
        (
            "gunicorn",
            "from wsgi_sessions_testing import live; live._server_class()",
            'pip install "wsgi-sessions[testing,demo]"',
        ),
        ("psycopg", f"{SERVER}('postgresql://db/x')", 'pip install "wsgi-sessions[postgres]"'),
        ("pymysql", f"{SERVER}('mysql://db/x')", 'pip install "wsgi-sessions[mysql]"'),
        (
            "psycopg",
            f"{BENCH}Bench(None, database='postgresql://db/x').__enter__()",
            'pip install "wsgi-sessions[postgres]"',
        ),
    ],
)
def test_what_is_missing_is_named_with_its_command(package: str, code: str, command: str) -> None:
    said = run_without(package, code)

    assert f"install it with: {command}\n" in said


@pytest.mark.parametrize("package", ["hypothesis", "greenlet", "jwt", "gunicorn", "psycopg"])
def test_whoever_does_not_use_it_needs_no_extra(package: str) -> None:
    code = (
        f"{BENCH}with Bench(None) as bench: bench.factories.make_session()\nsys.exit('well done')"
    )

    assert run_without(package, code) == "well done\n"


def test_a_fault_of_the_project_is_no_missing_extra() -> None:
    code = (
        "from wsgi_sessions_testing.extras import from_extra\n"
        "with from_extra('testing', 'greenlet', 'it'): 1 / 0"
    )

    assert "ZeroDivisionError" in run_without("greenlet", code)
