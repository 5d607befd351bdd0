"""The page on the command line names every command, option and exit code, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from wsgi_sessions.cli.failures import MEANINGS
from wsgi_sessions.cli.main import find_program
from wsgi_sessions.cli.program import COMMANDS
from wsgi_sessions.records import EndReason
from wsgi_sessions.sessions.end_words import END_IN_WORDS

from .pages import blocks_of, text_of

PAGE = "docs/how-to/command-line.md"


def leaves() -> Iterator[tuple[str, click.Command]]:
    """Yield each command that does something, by what is typed."""
    program = find_program()
    context = click.Context(program)
    for name in COMMANDS:
        command = program.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {each}", inner) for each, inner in command.commands.items())
        else:
            yield name, command


def rows() -> dict[str, str]:
    """Return the rows of the table of commands, by the command without its arguments."""
    table = text_of(PAGE).partition("## The commands")[2].partition("\n## ")[0]
    found = re.findall(r"^\| `([a-z -]+?)(?: [\[A-Z][^`]*)?` \|(.*)$", table, re.MULTILINE)
    return dict(found)


def test_every_command_has_a_row_and_no_other() -> None:
    assert set(rows()) == dict(leaves()).keys()


def test_every_row_has_the_options_of_its_command() -> None:
    shared = {"--json", "--help"}
    for name, command in leaves():
        of_command = {option for each in command.params for option in each.opts if "--" in option}
        told = set(re.findall(r"--[a-z-]+", rows()[name]))
        assert told == of_command - shared, name


def test_every_exit_code_is_told_in_the_words_of_the_code() -> None:
    table = text_of(PAGE).partition("## Exit codes")[2].partition("\n## ")[0]

    told = {
        int(code): said for code, said in re.findall(r"^\| (\d+) \| (.*) \|$", table, re.MULTILINE)
    }

    assert told == {int(code): said for code, said in MEANINGS.items()}


def test_what_is_shown_of_why_is_what_it_says() -> None:
    [shown] = blocks_of(PAGE, "text")

    assert END_IN_WORDS[EndReason.EVICTED] in shown.text
    assert END_IN_WORDS[EndReason.EXPIRED] in shown.text
