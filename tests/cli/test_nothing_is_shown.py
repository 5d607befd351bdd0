"""No output of any command holds what gives access, nor what a client sent to upset a terminal."""

from __future__ import annotations

import pytest

from wsgi_sessions.cli.program import COMMANDS
from wsgi_sessions_testing.factories import Factories

from .sites import Site

ADA = "ada@example.org"
EVERY_COMMAND = (
    ("users", "list"),
    ("users", "show", ADA),
    ("sessions", "list"),
    ("sessions", "list", ADA, "--ended"),
    ("sessions", "show", "PHONE"),
    ("why", ADA, "--days", "90"),
    ("stats",),
    ("events",),
    ("events", "--user", ADA, "--since", "90d"),
    ("purge", "--dry-run"),
    ("export", ADA),
    ("sessions", "revoke", "PHONE"),
    ("sessions", "revoke-all", ADA),
    ("revoke-everything", "--before", "2029-12-31T12:00Z", "--yes"),
    ("revoke-everything", "--yes"),
    ("forget", ADA, "--yes"),
    ("purge", "--pause", "0"),
)
"""In an order in which each has something to show."""
OTHERS = {"secret", "doctor", "simulate", "migrate"}
"""They have tests of their own: what they show is not about people, or is what they are for."""


def test_every_command_is_driven() -> None:
    assert set(COMMANDS) - OTHERS == {arguments[0] for arguments in EVERY_COMMAND}


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["words", "json"])
def test_no_output_holds_a_secret(site: Site, options: tuple[str, ...]) -> None:
    shown = ""
    for arguments in EVERY_COMMAND:
        typed = [site.sessions["phone"] if each == "PHONE" else each for each in arguments]
        result = site.line(*typed, *options)
        assert result.exit_code in {0, 1}, result.output
        shown += result.output

    assert site.sessions["phone"] in shown
    assert len(site.hidden) > 10
    assert {each for each in site.hidden if each in shown} == set()


def test_no_failure_holds_a_secret(sqlite_site: Site) -> None:
    shown = ""
    for name, *rest in EVERY_COMMAND:
        for wrong in (["--what"], ["nobody", "nobody"], ["-" + "x" * 23]):
            shown += sqlite_site.line(name, *rest[:1], *wrong).output

    assert {each for each in sqlite_site.hidden if each in shown} == set()


@pytest.mark.parametrize(
    "command",
    [
        ("sessions", "show"),
        ("sessions", "revoke"),
        ("sessions", "list"),
        ("sessions", "revoke-all"),
        ("users", "show"),
        ("why",),
        ("export",),
        ("forget", "--yes"),
    ],
    ids=" ".join,
)
def test_a_token_that_is_taken_for_an_id_is_not_repeated(
    sqlite_site: Site, command: tuple[str, ...]
) -> None:
    [token, *_] = [each for each in sqlite_site.hidden if each.startswith("v1.")]

    refused = sqlite_site.line(*command, token, "--json")

    assert refused.exit_code == 1
    assert token not in refused.output


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["words", "json"])
def test_what_clients_send_does_not_reach_the_terminal(
    sqlite_site: Site, options: tuple[str, ...]
) -> None:
    hostile = "\x1b]0;owned\x07\x9b2J\u202egnp.exe\nroot  yes"
    factories = Factories(sqlite_site.manager)
    eve = factories.make_user("eve@example.org", name=hostile)
    signed_in = factories.make_session(eve, user_agent=hostile, data={"note": hostile})
    assert signed_in.session is not None

    shown = "".join(
        sqlite_site.line(*arguments, *options).output
        for arguments in (
            ("users", "list"),
            ("users", "show", "eve@example.org"),
            ("sessions", "list", "eve@example.org"),
            ("sessions", "show", signed_in.session.id),
            ("export", "eve@example.org"),
            ("users", "show", hostile),
        )
    )

    assert "owned" in shown
    assert [char for char in shown if not char.isprintable() and char != "\n"] == []
    assert "\nroot" not in shown


def test_markup_in_a_name_is_shown_as_it_is(sqlite_site: Site) -> None:
    assert "[red]" in sqlite_site.line("users", "list").stdout
