"""Every code block of every page is run, or at least read by what would run it."""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from wsgi_sessions import SessionConfig

from .pages import PAGES, ROOT, Block, blocks_of, text_of

RUN_IN = {
    "README.md": "tests/docs/test_readme.py",
    "docs/index.md": "tests/docs/test_readme.py",
    "docs/tutorial/quickstart.md": "tests/docs/test_quickstart.py",
    "docs/how-to/choosing-settings.md": "tests/docs/test_settings.py",
    "docs/how-to/deployment.md": "tests/scenarios/test_deployment.py",
    "docs/how-to/events.md": "tests/docs/test_events.py",
    "docs/how-to/frameworks.md": "tests/adapters/test_frameworks_doc.py",
    "docs/how-to/mail.md": "tests/docs/test_mail.py",
    "docs/how-to/messages.md": "tests/docs/test_messages.py",
    "docs/how-to/monitoring.md": "tests/monitoring/test_monitoring_page.py",
    "docs/how-to/passwords.md": "tests/docs/test_passwords.py",
    "docs/how-to/sessions-page.md": "tests/docs/test_sessions_page.py",
    "docs/how-to/sign-up.md": "tests/docs/test_sign_up.py",
    "docs/how-to/social.md": "tests/docs/test_social.py",
    "docs/how-to/step-up.md": "tests/docs/test_step_up.py",
    "docs/how-to/testing.md": "tests/docs/test_testing.py",
    "docs/how-to/throttling.md": "tests/docs/test_throttling.py",
    "docs/scaling.md": "tests/docs/test_scaling.py",
    "docs/explanation/sessions.md": "tests/docs/test_sessions.py",
    "docs/reference/errors.md": "tests/docs/test_reference.py",
    "docs/reference/settings.md": "tests/docs/test_reference.py",
}
"""The tests that run the Python of a page. Each takes all its blocks, and fails for one more."""

PLAYED = {"docs/operations.md": "console"}
"""The language whose blocks of a page ``tests/docs/test_operations.py`` plays again."""

READ_HERE = {"python", "sh", "json", "toml", "ini", "text", ""}
RUN_FROM_THE_PAGE = {"nginx", "apache", "dockerfile"}
"""Of ``docs/how-to/deployment.md`` alone, whose test starts the servers with them."""

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
each_shell_block = pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "sh"], ids=str
)
PYPROJECT = text_of("pyproject.toml")
EXTRAS = set(
    re.findall(
        r"^(\w+) = \[",
        PYPROJECT.partition("[project.optional-dependencies]\n")[2].partition("\n[project.")[0],
        re.MULTILINE,
    )
)
MARKERS = set(re.findall(r'^    "(\w+): ', PYPROJECT.partition("markers = [")[2], re.MULTILINE))


def test_every_page_with_python_is_run_by_a_test() -> None:
    assert {block.page for block in BLOCKS if block.language == "python"} == {
        page for page in RUN_IN if blocks_of(page, "python")
    }


@pytest.mark.parametrize("page", RUN_IN)
def test_the_test_of_a_page_reads_it(page: str) -> None:
    source = text_of(RUN_IN[page])

    assert page in source or re.search(rf'/ "{Path(page).name}"', source)


def test_no_block_is_of_a_language_that_nothing_reads() -> None:
    unknown = [
        str(block)
        for block in BLOCKS
        if block.language not in READ_HERE
        and PLAYED.get(block.page) != block.language
        and not (block.language in RUN_FROM_THE_PAGE and block.page == "docs/how-to/deployment.md")
    ]

    assert unknown == []


def test_no_code_is_indented_in_place_of_a_block() -> None:
    for page in PAGES:
        without_blocks = re.sub(r"(?ms)^```.*?^```$", "", text_of(page))
        assert not re.search(r"\n\n    [^\s*\-|:]", without_blocks), page


@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if block.language in ("python", "json", "toml", "ini")],
    ids=str,
)
def test_block_can_be_read(block: Block) -> None:
    if block.language == "python":
        compile(block.text, str(block), "exec")
    elif block.language == "json":
        json.loads(block.text)
    elif block.language == "toml":
        if sys.version_info < (3, 11):
            import tomli as tomllib
        else:
            import tomllib
        tomllib.loads(block.text)
    else:
        parser = configparser.RawConfigParser(strict=True)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(block.text)
        for section in parser.sections():
            if dict(parser[section]).get("use") == "egg:wsgi-sessions":
                given = {**parser[section], "secret": "s0123456789abcdef" * 2}
                del given["use"], given["database"]
                SessionConfig.from_mapping(given)


@each_shell_block
def test_shell_block_has_no_mistake(block: Block) -> None:
    run = subprocess.run(
        ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
    )

    assert run.stderr == ""


@each_shell_block
def test_shell_block_names_what_there_is(block: Block) -> None:
    for line in block.text.splitlines():
        # What is between ``$(`` and ``)`` is a command, too.
        within = re.findall(r"=\$\((.*)\)", line)
        for command in within or line.split(" && "):
            words = shlex.split(command, comments=True)
            if words:
                check_command(words, block)


def check_command(words: list[str], block: Block) -> None:
    """See that files, modules, extras and markers that a command names are there."""
    if words[0] == "pip":
        assert words[1] == "install"
        for word in words[2:]:
            if not word.startswith("-"):
                # A folder: that of the project, or one of the examples.
                name = re.sub(r"^(?:\.|\.\./[./]*|\./examples/\w+)(?=\[|$)", "wsgi-sessions", word)
                check_requirement(name)
    elif words[0] == "python" and words[1] == "-m":
        assert importlib.util.find_spec(words[2]) is not None, words[2]
        check_pytest(words[3:], block) if words[2] == "pytest" else None
    elif words[0] == "python" and words[1].endswith(".py"):
        folder = (ROOT / block.page).parent
        assert (ROOT / words[1]).exists() or (folder / words[1]).exists(), words[1]


def check_requirement(text: str) -> None:
    requirement = Requirement("wsgi-sessions" if text.endswith(".whl") else text)
    if requirement.name == "wsgi-sessions":
        assert requirement.extras <= EXTRAS
    else:
        assert requirement.name in PYPROJECT or requirement.name == "build"


def check_pytest(options: list[str], block: Block) -> None:
    if "-m" in options:
        expression = options[options.index("-m") + 1]
        assert set(re.findall(r"\w+", expression)) - {"not", "and", "or"} <= MARKERS
    for option in options:
        if option.startswith("tests/"):
            assert (ROOT / option).exists(), option
        elif option.endswith(".py"):
            assert f"# {option}\n" in text_of(block.page)
