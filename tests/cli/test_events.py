"""``wsgi-sessions events``: what is kept, by user, time and name."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from wsgi_sessions import InvalidCredentialsError, RequestFacts

from .sites import PASSWORD, Site

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
HERE = RequestFacts("192.0.2.7", FIREFOX, is_https=True, method="POST", path="/")


def act(site: Site) -> None:
    """Have Ada sign in and out an hour later, and somebody guess Bob's password in between."""
    site.clock.advance(days=1)
    made = site.manager.sign_in_email(email="ada@example.org", password=PASSWORD, facts=HERE)
    site.clock.advance(minutes=30)
    with suppress(InvalidCredentialsError):
        site.manager.sign_in_email(email="bob@example.org", password="wrong horse", facts=HERE)
    site.clock.advance(minutes=30)
    assert made.session is not None
    site.manager.sign_out(made.session.id, facts=HERE)


def names(site: Site, *arguments: str) -> list[str]:
    return [event["name"] for event in site.line.document("events", *arguments)["events"]]


def test_of_a_user_the_latest_first(site: Site) -> None:
    act(site)

    found = site.line.document("events", "--user", "ada@example.org", "--since", "2h")

    assert found["next_after"] is None
    ended, began = found["events"]
    assert (ended["name"], ended["reason"]) == ("session_ended", "signed_out")
    assert (began["name"], began["ip_address"]) == ("session_created", "192.0.2.7")
    assert began["details"]["method"] == "password"
    assert {ended["user_id"], began["user_id"]} == {site.ids["ada"]}
    assert ended["session_id"] == began["session_id"]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--name", "sign_in_failed"], ["sign_in_failed"]),
        (["--since", "20m"], ["session_ended"]),
        (["--since", "45m"], ["session_ended", "sign_in_failed"]),
        (["--user", "bob@example.org", "--since", "1d"], ["sign_in_failed"]),
        (["--limit", "1"], ["session_ended"]),
        (["--name", "session_ended", "--name", "sign_in_failed", "--since", "2h"], None),
    ],
)
def test_by_name_and_time(sqlite_site: Site, arguments: list[str], found: Any) -> None:
    act(sqlite_site)

    assert names(sqlite_site, *arguments) == (found or ["session_ended", "sign_in_failed"])


def test_since_an_instant(sqlite_site: Site) -> None:
    act(sqlite_site)
    at = sqlite_site.line.document("events", "--name", "sign_in_failed")["events"][0]["at"]

    assert names(sqlite_site, "--since", at) == ["session_ended", "sign_in_failed"]


def test_pages_hold_each_event_once(sqlite_site: Site) -> None:
    act(sqlite_site)
    every = names(sqlite_site)

    seen: list[str] = []
    after: list[str] = []
    while True:
        page = sqlite_site.line.document("events", "--limit", "2", *after)
        seen += [event["name"] for event in page["events"]]
        if page["next_after"] is None:
            break
        after = ["--after", page["next_after"]]

    assert (seen, len(every)) == (every, 3)


def test_people_read_a_table(sqlite_site: Site) -> None:
    act(sqlite_site)

    shown = sqlite_site.line("events", "--since", "2h").output

    assert "session_ended" in shown and "Firefox on Linux" in shown
    assert "reason=signed_out" in shown and "cause=wrong_password" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "soon"], "'soon' is no duration"),
        (["--since", "2026-03-01T12:00"], "has no time zone"),
        (["--after", "x"], "is no place"),
        (["--name", "purge_done"], "'purge_done' is not one of"),
    ],
)
def test_wrong_use_says_what_to_give(sqlite_site: Site, arguments: list[str], said: str) -> None:
    result = sqlite_site.line("events", *arguments)

    assert (result.exit_code, said in result.output) == (2, True), result.output


def test_where_nothing_is_kept_it_says_why(sqlite_site: Site) -> None:
    sqlite_site.manager.parts.models.event.delete().execute()
    config = sqlite_site.manager.parts.config
    object.__setattr__(config, "audit", None)

    result = sqlite_site.line("events")

    assert result.exit_code == 0
    assert "There is no such event. The setting audit is off" in result.output
