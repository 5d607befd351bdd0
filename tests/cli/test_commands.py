"""What the commands say and do, on every engine."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from wsgi_sessions.errors import StoreUnavailableError
from wsgi_sessions.records import EndReason
from wsgi_sessions.sessions.end_words import END_IN_WORDS, end_of
from wsgi_sessions.sessions.policy import is_live
from wsgi_sessions.storage.listings import Listings, LiveAt
from wsgi_sessions.transport.devices import device_in_words
from wsgi_sessions_testing.factories import Factories

from .sites import DAY, MINUTE, Site


class TestUsers:
    def test_are_listed_with_their_live_sessions(self, site: Site) -> None:
        listed = site.line.document("users", "list")

        found = {user["email"]: user["live_sessions"] for user in listed["users"]}
        assert found == {"ada@example.org": 2, "bob@example.org": 1}
        assert listed["next_after"] is None

    def test_pages_hold_everybody_once(self, site: Site) -> None:
        factories = Factories(site.manager)
        made = {factories.make_user(f"user-{number}@example.org").id for number in range(5)}

        seen: list[str] = []
        after: list[str] = []
        for _ in range(10):
            page = site.line.document("users", "list", "--limit", "3", *after)
            seen += [user["id"] for user in page["users"]]
            after = ["--after", str(page["next_after"])]
            if page["next_after"] is None:
                break

        assert len(seen) == len(set(seen)) and set(seen) == made | set(site.ids.values())

    def test_are_found_by_how_their_address_begins(self, site: Site) -> None:
        Factories(site.manager).make_user("jörg@example.org")

        def found(prefix: str) -> list[str]:
            listed = site.line.document("users", "list", "--email", prefix)
            return [user["email"] for user in listed["users"]]

        assert found("AD") == ["ada@example.org"]
        assert found("jörg@") == found("JÖRG") == ["jörg@example.org"]
        assert [found(prefix) for prefix in ("a%", "_da", "\\", "jorg")] == [[], [], [], []]

    def test_one_is_shown_by_address_or_id(self, site: Site) -> None:
        by_address = site.line.document("users", "show", "Ada@Example.org")

        assert site.line.document("users", "show", str(site.ids["ada"])) == by_address
        assert by_address["signs_in_by"] == ["password"]


class TestSessions:
    def test_of_a_user_are_listed_the_latest_seen_first(self, site: Site) -> None:
        live = site.line.document("sessions", "list", "ada@example.org")["sessions"]
        every = site.line.document("sessions", "list", "ada@example.org", "--ended")["sessions"]

        names = {session_id: name for name, session_id in site.sessions.items()}
        assert [names[each["id"]] for each in live] == ["laptop", "phone"]
        assert [names[each["id"]] for each in every] == [
            *("laptop", "evicted", "phone", "expired", "revoked"),
        ]

    def test_of_everybody_come_in_pages(self, site: Site) -> None:
        first = site.line.document("sessions", "list", "--limit", "2")
        rest = site.line.document("sessions", "list", "--after", first["next_after"])

        ids = [each["id"] for each in first["sessions"] + rest["sessions"]]
        assert sorted(ids) == sorted(site.sessions[each] for each in ("laptop", "phone", "bob"))

    def test_are_found_by_address(self, site: Site) -> None:
        found = site.line.document("sessions", "list", "--address", "192.0.2.8")["sessions"]

        assert [each["id"] for each in found] == [site.sessions["phone"]]

    def test_what_is_called_live_is_what_the_policy_calls_live(self, site: Site) -> None:
        manager = site.manager
        factories = Factories(manager)
        for seconds in (0, 59, 60, 61, 3599, 3600, 3601):
            factories.make_session("ada@example.org", age=seconds, last_seen=min(seconds, 60))
        parts = manager.parts
        config = parts.config.replace(idle_timeout=60, absolute_timeout=3600)
        now_ms = site.clock.now_ms()
        listings = Listings(parts.connections, parts.models)

        live = listings.list_sessions(live=LiveAt.of(config, now_ms), limit=1000)

        every = listings.list_sessions(limit=1000)
        assert [each.id for each in live] == [
            each.id for each in every if is_live(each, now_ms=now_ms, config=config)
        ]
        assert 0 < len(live) < len(every)

    def test_one_is_shown(self, site: Site) -> None:
        shown = site.line.document("sessions", "show", site.sessions["phone"])

        assert (shown["device"], shown["ip_address"]) == ("Safari on iPhone", "192.0.2.8")
        assert (shown["is_live"], shown["method"]) == (True, "password")

    def test_are_revoked_once(self, site: Site) -> None:
        laptop, phone = site.sessions["laptop"], site.sessions["phone"]

        assert site.line.document("sessions", "revoke", laptop) == {"ended": {laptop: True}}
        again = site.line("sessions", "revoke", laptop, phone)

        assert again.exit_code == 1 and f"{phone}: ended" in again.stdout
        assert not site.manager.is_live(phone)

    def test_all_of_a_user_end(self, site: Site) -> None:
        assert site.line.document("sessions", "revoke-all", "ada@example.org") == {"ended": 2}

        again = site.line("sessions", "revoke-all", "ada@example.org")
        assert (again.exit_code, site.manager.is_live(site.sessions["bob"])) == (1, True)


class TestEverything:
    def test_ends_what_began_before_an_instant(self, site: Site) -> None:
        noon = site.clock.now().replace(hour=11, minute=55).isoformat()

        ended = site.line.document("revoke-everything", "--before", noon, "--yes")

        # The expired one is nobody's any more, and is marked with the others.
        assert ended["ended"] == 3
        live = {name for name, each in site.sessions.items() if site.manager.is_live(each)}
        assert live == {"laptop"}

    def test_asks_first(self, site: Site) -> None:
        refused = site.line("revoke-everything")

        assert refused.exit_code == 2 and "say so with --yes" in refused.stderr
        assert site.manager.is_live(site.sessions["laptop"])

    def test_says_when_there_was_nothing_to_end(self, site: Site) -> None:
        site.line("revoke-everything", "--yes")

        assert site.line.document("revoke-everything", "--yes", exit_code=1) == {"ended": 0}

    @pytest.mark.parametrize("instant", ["noon", "2029-12-31T12:00", "2031-01-01T00:00Z", ""])
    def test_takes_no_instant_of_nowhere_or_to_come(self, sqlite_site: Site, instant: str) -> None:
        refused = sqlite_site.line("revoke-everything", "--before", instant, "--yes")

        assert refused.exit_code == 2 and "--before" in refused.stderr
        assert sqlite_site.manager.is_live(sqlite_site.sessions["laptop"])


class TestWhy:
    def test_tells_each_end_the_latest_first(self, site: Site) -> None:
        told = site.line.document("why", "ada@example.org")

        assert [(each["reason"], each["session_id"]) for each in told["ends"]] == [
            ("evicted", site.sessions["evicted"]),
            ("expired", site.sessions["expired"]),
        ]
        evicted, expired = told["ends"]
        assert (evicted["device"], evicted["ip_address"]) == ("Chrome on Windows", "192.0.2.9")
        assert expired["ended_at"] == "2029-12-30T12:00:00Z"
        assert told["live_sessions"] == 2

    def test_is_told_in_words(self, site: Site) -> None:
        told = site.line("why", "ada@example.org")

        assert END_IN_WORDS[EndReason.EVICTED] in told.stdout
        assert "2 sessions of this user are live" in told.stdout

    def test_goes_back_as_far_as_it_is_asked_and_says_how_long_ends_are_kept(
        self, site: Site
    ) -> None:
        told = site.line("why", "ada@example.org", "--days", "60")

        assert site.sessions["revoked"] in told.stdout
        assert "kept for 30 days (keep_ended)" in told.stdout

    def test_a_deleted_user_is_known_by_the_id(self, site: Site) -> None:
        site.manager.delete_user(site.ids["bob"])

        told = site.line.document("why", str(site.ids["bob"]))

        assert [each["reason"] for each in told["ends"]] == ["user_deleted"]

    def test_every_reason_has_words(self) -> None:
        assert set(END_IN_WORDS) == set(EndReason)


class TestStats:
    def test_are_what_counting_row_by_row_gives(self, site: Site) -> None:
        parts = site.manager.parts
        now_ms, config = site.clock.now_ms(), parts.config
        every = Listings(parts.connections, parts.models).list_sessions(limit=1000)
        live = [each for each in every if is_live(each, now_ms=now_ms, config=config)]

        told = site.line.document("stats")

        assert told["sessions"] == {
            "all": len(every),
            "live": len(live),
            "live_anonymous": 0,
            "live_users": len({each.user_id for each in live}),
            "overdue": len(every) - len(live) - 2,
            "ended": 2,
        }
        assert told["live_by_device"] == Counter(device_in_words(each.user_agent) for each in live)
        assert told["ends_by_reason"] == {"evicted": 1}
        assert told["rows"]["wsgi_sessions_user"] == 2

    def test_ages_are_counted_to_the_edge(self, site: Site) -> None:
        factories = Factories(site.manager)
        for seconds in (5 * MINUTE - 1, 5 * MINUTE, 60 * MINUTE, DAY, DAY + 1):
            factories.make_session("ada@example.org", age=seconds)

        told = site.line.document("stats")["live_by_age"]

        # With the laptop just now, Bob ten minutes and the phone two days ago.
        assert list(told.values()) == [2, 2, 1, 3, 0, 0, 0]

    def test_an_empty_database_has_histograms_too(self, site: Site) -> None:
        site.line("forget", "ada@example.org", "--yes")
        site.line("forget", "bob@example.org", "--yes")

        told = site.line("stats")

        assert told.exit_code == 0 and "Live sessions by age" in told.stdout


class TestPersonalData:
    def test_is_exported_whole(self, site: Site) -> None:
        exported = site.line.document("export", "ada@example.org")

        assert exported["user"]["email"] == "ada@example.org"
        assert len(exported["sessions"]) == 5
        assert [each["has_password"] for each in exported["accounts"]] == [True]
        assert [each["purpose"] for each in exported["mailed_links"]] == ["reset-password"]
        [laptop] = [s for s in exported["sessions"] if s["id"] == site.sessions["laptop"]]
        assert laptop["data"] == {"cart": [1, "é"]}

    def test_events_are_part_of_it(self, site: Site) -> None:
        site.manager.revoke_session(site.sessions["bob"])

        [event] = site.line.document("export", "bob@example.org")["events"]

        assert (event["name"], event["reason"]) == ("session_ended", "revoked")

    def test_is_the_same_without_json_asked_for(self, site: Site) -> None:
        told = site.line("export", "bob@example.org")

        assert json.loads(told.stdout)["user"]["email"] == "bob@example.org"

    def test_is_forgotten_whole_and_others_are_left(self, site: Site) -> None:
        site.manager.revoke_session(site.sessions["phone"])

        forgotten = site.line.document("forget", "ada@example.org", "--yes")

        deleted = {"users": 1, "accounts": 1, "mailed_links": 1, "sessions": 5, "events": 1}
        assert forgotten["deleted"] == deleted
        assert list(site.manager.parts.store.open_events().find(user_id=site.ids["ada"])) == []
        assert site.line("export", str(site.ids["ada"])).exit_code == 1
        assert site.manager.is_live(site.sessions["bob"])

    def test_is_forgotten_whole_or_not_at_all(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[str] = []
        site.manager.events.subscribe(lambda event: told.append(event.name))
        site.manager.revoke_session(site.sessions["phone"])
        before = site.line.document("export", "ada@example.org")
        events = site.manager.parts.store.open_events()

        def fail(_user_id: Any) -> int:
            raise StoreUnavailableError("away")

        with monkeypatch.context() as patch:
            patch.setattr(events, "delete_all_of", fail)
            assert site.line("forget", "ada@example.org", "--yes").exit_code == 3
        after = site.line.document("export", "ada@example.org")

        assert {**after, "exported_at": ""} == {**before, "exported_at": ""}
        assert told == ["session_ended"]
        site.line.document("forget", "ada@example.org", "--yes")
        assert told == ["session_ended", "session_ended", "user_deleted"]

    def test_a_second_run_finishes_what_the_first_left(self, site: Site) -> None:
        site.manager.delete_user(site.ids["ada"])

        forgotten = site.line.document("forget", str(site.ids["ada"]), "--yes")

        assert (forgotten["deleted"]["users"], forgotten["deleted"]["sessions"]) == (0, 5)

    def test_nothing_is_forgotten_unless_it_is_confirmed(self, site: Site) -> None:
        assert site.line("forget", "ada@example.org").exit_code == 2
        assert site.manager.parts.store.users.find(site.ids["ada"]) is not None


def test_an_end_that_nothing_has_marked_is_told_as_the_first_limit_that_was_over(
    sqlite_site: Site,
) -> None:
    parts = sqlite_site.manager.parts
    config = parts.config.replace(idle_timeout=600, absolute_timeout=5 * DAY)
    record = parts.store.sessions.find(sqlite_site.sessions["expired"])
    assert record is not None

    end = end_of(record[0], now_ms=sqlite_site.clock.now_ms(), config=config)

    assert end == (EndReason.IDLE, record[0].last_seen_at_ms + 600_000)
