"""How a token rotates, through the whole stack: browsers, a thief, and a database in trouble."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import BEYOND_THE_WINDOW, confirm_next, rotate
from wsgi_sessions import StoreUnavailableError
from wsgi_sessions.records import Change, ReadOptions, RequestFacts, SessionRecord
from wsgi_sessions_testing.bench import Bench
from wsgi_sessions_testing.browser.browser import Browser
from wsgi_sessions_testing.fakes.managers import running_with

NEW, OLD = "n0123456789abcdef" * 2, "o0123456789abcdef" * 2
NOBODY = "nobody"
LONG_BODY = b"x" * 65_537
TOKEN, COPY = "__Host-session_token", "__Host-session_data"


def app(environ: Any, start_response: Any) -> list[bytes]:
    user, reason = environ["wsgi_sessions.user"], environ["wsgi_sessions.end_reason"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{NOBODY} {reason}".encode() if user is None else user.email.encode()]


class Site:
    """A bench with Ada signed in, and what is stored of her session."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.clock, self.manager = bench, bench.clock, bench.manager
        self.ada = bench.new_browser()
        self.session_id = self.ada.sign_in("ada@example.org").id

    @property
    def stored(self) -> SessionRecord:
        found = self.manager.parts.store.sessions.find(self.session_id)
        assert found is not None
        return found[0]

    @property
    def replays(self) -> int:
        return [event.name for event in self.bench.events].count("session_replayed")

    def ask(self, *texts: str | None, name: str = TOKEN) -> tuple[str, list[str]]:
        """Send tokens in one Cookie header; return what the app saw and which cookies came."""
        header = "; ".join(f"{name}={text}" for text in texts)
        answer = self.bench.new_browser().get("/", headers={"Cookie": header})
        return answer.text, names_of(answer)

    def is_stored(self, browser: Browser) -> bool:
        """Tell whether a browser has the very token that counts."""
        token = self.manager.parts.signer.read(browser.session_token or "")
        assert token is not None
        stored = self.stored
        return (token.generation, token.branch) == (stored.generation, stored.branch)


def names_of(answer: Any) -> list[str]:
    return [line.partition("=")[0] for line in answer.headers.getall("Set-Cookie")]


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with Bench(app, **getattr(request, "param", {})) as bench:
        yield Site(bench)


def is_in(browser: Browser) -> bool:
    return browser.get("/").text == "ada@example.org"


def upload(browser: Browser) -> Any:
    return browser.post("/", LONG_BODY)


def reason(browser: Browser) -> str:
    return str(browser.get("/").text.removeprefix(f"{NOBODY} "))


def split_in_two(site: Site) -> tuple[Browser, Browser]:
    """Return two browsers with a sibling each, neither of them the one that was confirmed."""
    site.clock.advance(days=1)
    three = [site.ada.fork() for _ in range(3)]
    for browser in three:
        browser.get("/")
    for browser in three:
        assert is_in(browser)
    return three[1], three[2]


# Offer and confirm


def test_token_rotates_once_a_day(site: Site) -> None:
    before = site.ada.session_token
    site.clock.advance(days=1, milliseconds=-1)
    site.ada.get("/")
    assert site.ada.session_token == before
    site.clock.advance(milliseconds=1)
    site.ada.get("/")
    assert site.ada.session_token not in (before, None)


@pytest.mark.parametrize("site", [{"rotation_interval": 3600}], indirect=True)
def test_token_rotates_as_often_as_told_and_is_refreshed_once_a_day(site: Site) -> None:
    for _ in range(2 * 24 * 12):
        site.clock.advance(minutes=5)
        assert is_in(site.ada)
    names = [event.name for event in site.bench.events]
    # Each interval counts from the confirmation, which here comes five minutes after the offer.
    assert names.count("session_rotated") == 48 * 60 // 65
    assert names.count("session_refreshed") == 2


def test_lost_offer_is_made_again(site: Site) -> None:
    site.clock.advance(days=1)
    with site.bench.network.losing_responses(1):
        site.ada.get("/")
    before = site.ada.session_token
    assert is_in(site.ada)
    assert site.ada.session_token != before


def test_no_two_offers_are_alike_and_whichever_was_kept_is_good(site: Site) -> None:
    site.clock.advance(days=1)
    tabs = [site.ada.fork() for _ in range(3)]
    for tab in tabs:
        tab.get("/")
    assert len({tab.session_token for tab in tabs}) == 3
    for tab in tabs:
        assert is_in(tab)
    site.clock.advance(**BEYOND_THE_WINDOW)
    assert is_in(tabs[2])
    site.clock.advance(hours=1)
    assert is_in(tabs[2])
    assert site.replays == 0


def test_later_token_heals_a_lost_confirm(site: Site) -> None:
    confirm_next(site.ada, site.clock)
    database: Any = site.manager.database
    database.execute_sql("UPDATE wsgi_sessions_session SET generation = 0")
    assert is_in(site.ada)
    assert site.stored.generation == 1


@pytest.mark.parametrize("site", [{"secret": OLD}], indirect=True)
def test_token_under_an_older_secret_is_sent_anew_at_once_with_its_branch(site: Site) -> None:
    before = site.ada.session_token
    with running_with(site.manager, config=site.manager.config.replace(secret=[NEW, OLD])):
        assert is_in(site.ada)
        after = site.ada.session_token
        assert after != before
        assert site.is_stored(site.ada)
    with running_with(site.manager, config=site.manager.config.replace(secret=[NEW])):
        assert is_in(site.ada)


@pytest.mark.parametrize("site", [{"secret": OLD}], indirect=True)
def test_token_under_an_older_secret_that_is_not_settled_is_sent_anew_when_it_is(
    site: Site,
) -> None:
    confirm_next(site.ada, site.clock)
    before = site.ada.session_token
    with running_with(site.manager, config=site.manager.config.replace(secret=[NEW, OLD])):
        site.clock.advance(minutes=2)
        assert is_in(site.ada)
        assert site.ada.session_token == before
        site.clock.advance(minutes=1)
        assert is_in(site.ada)
        assert site.ada.session_token != before
        assert site.is_stored(site.ada)


@pytest.mark.parametrize("site", [{"secret": OLD}], indirect=True)
def test_token_under_an_older_secret_shortly_before_a_rotation_gets_the_next_generation(
    site: Site,
) -> None:
    site.clock.advance(days=1, seconds=-30)
    with running_with(site.manager, config=site.manager.config.replace(secret=[NEW, OLD])):
        site.ada.get("/")
        site.ada.get("/")
        assert site.stored.generation == 1


@pytest.mark.parametrize("site", [{"secret": OLD}], indirect=True)
def test_token_under_a_removed_secret_is_nothing(site: Site) -> None:
    with running_with(site.manager, config=site.manager.config.replace(secret=NEW)):
        assert not is_in(site.ada)


def test_turning_rotation_off_signs_nobody_out(site: Site) -> None:
    """What was offered goes on: it is confirmed, settled, and refreshed from then on."""
    site.clock.advance(days=1)
    site.ada.get("/")
    with running_with(site.manager, config=site.manager.config.replace(rotate_tokens=False)):
        for _ in range(30):
            assert is_in(site.ada)
            site.clock.advance(days=1)
        assert (site.stored.generation, site.stored.is_settled) == (1, True)
        token = site.ada.session_token
        site.clock.advance(days=5)
        assert is_in(site.ada)
        assert site.ada.session_token == token


# A browser whose jar went back to what was on disk


def test_browser_that_crashed_comes_back_at_once_and_catches_up(site: Site) -> None:
    crashed = site.ada.fork()
    confirm_next(site.ada, site.clock)
    site.clock.advance(seconds=5)
    assert crashed.get("/").headers.getall("Set-Cookie") == [], "in grace"
    site.clock.advance(seconds=55)
    for _ in range(5):
        assert is_in(crashed)
        site.clock.advance(minutes=1)
    assert site.is_stored(crashed)
    assert (site.stored.caught_up, site.stored.is_settled) == (True, True)
    for _ in range(3):
        rotate(crashed, site.clock)
    assert is_in(crashed)
    assert site.replays == 0


def test_browser_that_crashed_comes_back_hours_later_and_catches_up(site: Site) -> None:
    crashed = site.ada.fork()
    confirm_next(site.ada, site.clock)
    site.clock.advance(hours=9)
    assert is_in(crashed)
    assert not site.is_stored(crashed), "it is offered another sibling of what counts"
    assert is_in(crashed)
    assert site.is_stored(crashed)
    assert site.stored.generation == 1


def test_jar_goes_back_once_in_a_generation(site: Site) -> None:
    crashed, again = site.ada.fork(), site.ada.fork()
    confirm_next(site.ada, site.clock)
    site.clock.advance(minutes=1)
    assert is_in(crashed) and is_in(crashed)
    site.clock.advance(minutes=1)
    assert reason(again) == "replayed"
    assert reason(crashed) == "replayed"


def test_jar_goes_back_after_a_settled_token_and_is_a_second_holders(site: Site) -> None:
    """Cookies are on the disk long before a window is over."""
    crashed = site.ada.fork()
    rotate(site.ada, site.clock)
    assert reason(crashed) == "replayed"


# Slow uploads


def test_upload_may_take_ten_minutes(site: Site) -> None:
    sent_before = site.ada.fork()
    rotate(site.ada, site.clock)
    site.clock.advance(minutes=7, milliseconds=-1)
    answer = upload(sent_before)
    assert (answer.text, names_of(answer)) == ("ada@example.org", [])
    site.clock.advance(milliseconds=1)
    assert upload(sent_before).text == f"{NOBODY} replayed"


def test_upload_settles_nothing_before_ten_minutes(site: Site) -> None:
    uploading, other = split_in_two(site)
    site.clock.advance(minutes=10, milliseconds=-1)
    assert upload(uploading).text == upload(other).text == "ada@example.org"
    assert not site.stored.is_settled
    site.clock.advance(milliseconds=1)
    assert upload(uploading).text == "ada@example.org"
    assert site.stored.is_settled and site.is_stored(uploading)


@pytest.mark.parametrize("site", [{"idle_timeout": 300}], indirect=True)
def test_uploads_alone_keep_a_browser_from_being_idle(site: Site) -> None:
    """Each is late, and touches all the same."""
    for _ in range(24 * 15):
        site.clock.advance(minutes=4)
        assert is_in(site.ada)
    uploading = site.ada.fork()
    site.ada.get("/")
    site.ada.get("/")
    assert site.stored.generation == 1
    for _ in range(2):
        site.clock.advance(minutes=4, seconds=50)
        assert upload(uploading).text == "ada@example.org"
    site.clock.advance(minutes=4)
    assert is_in(site.ada)


@pytest.mark.parametrize("site", [{"idle_timeout": 60, "touch_interval": 1}], indirect=True)
def test_siblings_alone_keep_a_browser_from_being_idle(site: Site) -> None:
    for _ in range(24 * 72 - 1):
        site.clock.advance(seconds=50)
        assert is_in(site.ada)
    site.clock.advance(seconds=50)
    tabs = [site.ada.fork(), site.ada.fork()]
    for tab in (*tabs, *tabs):
        assert is_in(tab)
    sibling = tabs[1]
    assert site.stored.generation == 1 and not site.is_stored(sibling)
    for _ in range(10):
        site.clock.advance(seconds=50)
        assert is_in(sibling)


# A thief


def test_token_before_is_taken_during_the_grace(site: Site) -> None:
    straggler = site.ada.fork()
    confirm_next(site.ada, site.clock)
    site.clock.advance(seconds=59)
    assert is_in(straggler)
    assert is_in(site.ada)


def test_old_copy_of_a_thief_ends_the_session(site: Site) -> None:
    thief = site.ada.fork()
    rotate(site.ada, site.clock)
    assert reason(thief) == "replayed"
    assert reason(site.ada) == "replayed"
    assert site.replays == 1


@pytest.mark.parametrize("site", [{"on_replay": "reject"}], indirect=True)
def test_old_copy_of_a_thief_can_be_refused_alone(site: Site) -> None:
    thief = site.ada.fork()
    rotate(site.ada, site.clock)
    assert not is_in(thief)
    assert is_in(site.ada)


def rotated_together(site: Site, *, is_owner_first: bool) -> list[Browser]:
    """Return owner and thief, in the order in which they ask, after a rotation and its window."""
    thief = site.ada.fork()
    both = [site.ada, thief] if is_owner_first else [thief, site.ada]
    site.clock.advance(days=1)
    for _ in range(2):
        for browser in both:
            assert is_in(browser)
    site.clock.advance(**BEYOND_THE_WINDOW)
    return both


@pytest.mark.parametrize("is_owner_first", [True, False])
def test_thief_who_asks_at_each_rotation_is_out_after_the_next_window(
    site: Site, is_owner_first: bool
) -> None:
    """Whoever comes second after the window ends the session, and both are out."""
    both = rotated_together(site, is_owner_first=is_owner_first)
    assert is_in(both[0])
    assert reason(both[1]) == "replayed"
    assert [is_in(browser) for browser in both] == [False, False]
    assert site.replays == 1


@pytest.mark.parametrize("site", [{"on_replay": "reject"}], indirect=True)
@pytest.mark.parametrize("is_owner_first", [True, False])
def test_where_a_replay_is_only_refused_whoever_is_first_keeps_the_session(
    site: Site, is_owner_first: bool
) -> None:
    both = rotated_together(site, is_owner_first=is_owner_first)
    assert [is_in(browser) for browser in both] == [True, False]
    rotate(both[0], site.clock)
    assert [is_in(browser) for browser in both] == [True, False]


def test_thief_who_catches_up_is_out_after_one_more_window(site: Site) -> None:
    thief = site.ada.fork()
    confirm_next(site.ada, site.clock)
    site.clock.advance(minutes=2, seconds=59)
    assert is_in(thief) and is_in(thief)
    assert site.is_stored(thief)
    site.clock.advance(minutes=2, seconds=59)
    assert is_in(site.ada), "overtaken, and within the window of the take-over"
    site.clock.advance(seconds=1)
    assert is_in(site.ada)
    assert site.is_stored(site.ada)
    assert reason(thief) == "replayed"


def test_thief_who_kept_a_sibling_that_lost_is_found_out_within_the_grace(site: Site) -> None:
    """The token before is known by its branch."""
    owner, thief = split_in_two(site)
    site.clock.advance(**BEYOND_THE_WINDOW)
    assert is_in(owner)
    confirm_next(owner, site.clock)
    assert reason(thief) == "replayed"


def test_thief_who_asked_ahead_of_an_owner_on_holiday_is_told_by_the_owners_return(
    site: Site,
) -> None:
    owner, thief = site.ada, site.ada.fork()
    for _ in range(3):
        rotate(thief, site.clock)
    assert reason(owner) == "replayed"
    assert not is_in(thief)


# Several tokens of one session in a Cookie header


@pytest.mark.parametrize("name", [TOKEN, "__Secure-session_token"])
@pytest.mark.parametrize("is_old_first", [False, True])
def test_highest_generation_is_judged_and_the_others_are_ignored(
    name: str, is_old_first: bool
) -> None:
    path = "/" if name == TOKEN else "/app"
    with Bench(app, cookie={"path": path}) as bench:
        site = Site(bench)
        old = site.ada.session_token
        rotate(site.ada, site.clock, path=path)
        texts = [old, site.ada.session_token]

        assert site.ask(*(texts if is_old_first else texts[::-1]), name=name)[0] != NOBODY
        assert site.ask(*texts, *[old] * 9, name=name) == ("ada@example.org", [])
        assert (site.replays, site.stored.ended_at_ms) == (0, None)


@pytest.mark.parametrize("name", [TOKEN, "__Secure-session_token"])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_of_equal_generations_the_stored_branch_is_judged(name: str, position: int) -> None:
    path = "/" if name == TOKEN else "/app"
    with Bench(app, cookie={"path": path}) as bench:
        site = Site(bench)
        own = site.ada.session_token
        assert own is not None
        others = [site.bench.factories.token_of(own, generation=0) for _ in range(2)]
        texts = [*others[:position], own, *others[position:]]
        site.clock.advance(**BEYOND_THE_WINDOW)

        assert site.ask(*texts, name=name) == ("ada@example.org", [])
        assert site.ask(*others, name=name) == (f"{NOBODY} replayed", [])


@pytest.mark.parametrize("is_reversed", [False, True])
def test_of_siblings_that_are_not_stored_the_first_settles(site: Site, is_reversed: bool) -> None:
    two = list(split_in_two(site))[:: -1 if is_reversed else 1]
    site.clock.advance(**BEYOND_THE_WINDOW)

    assert site.ask(*[browser.session_token for browser in two])[0] == "ada@example.org"

    assert (site.is_stored(two[0]), site.stored.is_settled) == (True, True)
    assert site.ask(*[browser.session_token for browser in two[::-1]])[0] == "ada@example.org"


# Reading only


def test_reading_only_does_nothing_whatever_is_presented(site: Site) -> None:
    """It neither offers, confirms, settles, catches up, takes over nor touches."""
    crashed = site.ada.fork()
    site.clock.advance(days=1)
    offered = site.ada.fork()
    offered.get("/")
    siblings = [offered, site.ada.fork()]
    siblings[1].get("/")
    caught_up = crashed.fork()

    def reads(browser: Browser) -> bool:
        before = site.stored
        header = {"Cookie": f"{TOKEN}={browser.session_token}"}
        answer = site.bench.new_browser().get(
            "/api/auth/get-session?disableRefresh=true&disableCookieCache=true", headers=header
        )
        assert names_of(answer) == []
        assert site.manager.get_session(header, authoritative=True) is not None
        assert site.stored == before
        return answer.json["session"] is not None

    assert reads(crashed), "to be offered the next"
    assert reads(offered), "to confirm"
    assert is_in(offered)
    site.clock.advance(minutes=2)
    assert reads(siblings[1]), "in the window"
    assert reads(crashed), "to catch up"
    assert is_in(caught_up)
    assert reads(caught_up), "to take over"
    site.clock.advance(minutes=10)
    assert reads(offered), "to settle"
    assert reads(siblings[1]), "to settle on"


def test_replay_that_only_reads_is_refused_and_ends_nothing(site: Site) -> None:
    header = {"Cookie": f"{TOKEN}={site.ada.session_token}"}
    rotate(site.ada, site.clock)

    answer = site.bench.new_browser().get(
        "/api/auth/get-session?disableRefresh=true", headers=header
    )

    assert answer.json is None
    assert site.manager.get_session(header) is None
    assert (site.replays, is_in(site.ada)) == (0, True)


@pytest.mark.parametrize("is_change", [False, True])
def test_replay_ends_the_session_where_one_is_about_to_be_changed(
    site: Site, is_change: bool
) -> None:
    """A reader may be late and ends nothing; whoever signs in or out is no reader."""
    header = f"{TOKEN}={site.ada.session_token}"
    rotate(site.ada, site.clock)
    presented = site.manager.parts.cookies.read(header, is_secure=True)
    options = ReadOptions(allow_refresh=False, is_change=is_change)
    facts = RequestFacts("127.0.0.1", None, is_https=True, method="GET", path="/")

    found = site.manager.parts.validator.validate(presented, facts=lambda: facts, options=options)

    assert found.session is None
    assert site.manager.is_live(site.session_id) is not is_change


# A database in trouble, and others who are faster


def away(*_: Any, **__: Any) -> Any:
    raise StoreUnavailableError("away")


CACHED = {"cookie_cache": True}


@pytest.mark.parametrize("site", [{}, CACHED], indirect=True)
def test_settle_that_can_not_be_written_fails_no_request(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on as unsettled, with neither offer nor copy; the next one settles."""
    confirm_next(site.ada, site.clock)
    site.ada.cookies.discard(COPY)
    site.clock.advance(days=1)
    with monkeypatch.context() as patch:
        patch.setattr(site.manager.parts.store.sessions, "apply", away)
        answer = site.ada.get("/")
    assert (answer.text, names_of(answer)) == ("ada@example.org", [])
    assert not site.stored.is_settled

    assert names_of(site.ada.get("/")) == [TOKEN]
    assert site.stored.is_settled


@pytest.mark.parametrize("site", [CACHED], indirect=True)
def test_settle_that_can_not_be_written_seals_no_copy(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_next(site.ada, site.clock)
    site.clock.advance(**BEYOND_THE_WINDOW)
    with monkeypatch.context() as patch:
        patch.setattr(site.manager.parts.store.sessions, "apply", away)
        assert names_of(site.ada.get("/")) == []
    assert names_of(site.ada.get("/")) == [TOKEN], "as the refresh was no earlier than the confirm"
    assert names_of(site.ada.get("/")) == [COPY]


def test_settle_on_a_sibling_that_can_not_be_written_fails_the_request(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    sibling, _ = split_in_two(site)
    site.clock.advance(**BEYOND_THE_WINDOW)
    with monkeypatch.context() as patch:
        patch.setattr(site.manager.parts.store.sessions, "apply", away)
        answer = sibling.get("/")
        assert (answer.status_int, names_of(answer)) == (503, [])
    assert not site.stored.is_settled

    assert is_in(sibling)
    assert site.stored.is_settled


@pytest.mark.parametrize("what", ["confirm", "take-over"])
def test_confirm_or_take_over_that_can_not_be_written_fails_the_request(
    site: Site, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    browser = site.ada
    if what == "take-over":
        browser = site.ada.fork()
        confirm_next(site.ada, site.clock)
        site.clock.advance(minutes=1)
    else:
        site.clock.advance(days=1)
    assert is_in(browser)
    before = site.stored
    with monkeypatch.context() as patch:
        patch.setattr(site.manager.parts.store.sessions, "apply", away)
        assert browser.get("/").status_int == 503
    assert site.stored == before

    assert is_in(browser)
    assert site.is_stored(browser)


def test_touch_that_fails_fails_nothing_and_a_refresh_does(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.clock.advance(minutes=5)
    with monkeypatch.context() as patch:
        patch.setattr(site.manager.parts.store.sessions, "apply", away)
        assert is_in(site.ada)
        site.clock.advance(days=1)
        assert site.ada.get("/").status_int == 503


class Rival:
    """Another request that is faster, once: it has written before ours does."""

    def __init__(self, site: Site, browser: Browser) -> None:
        self._write = site.manager.parts.store.sessions.apply
        self._browser = browser
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(site.manager.parts.store.sessions, "apply", self.write)

    def write(self, judged: SessionRecord, change: Change) -> bool:
        self._patch.undo()
        assert is_in(self._browser)
        return self._write(judged, change)


def test_sibling_that_loses_to_another_ends_the_session(site: Site) -> None:
    first, second = split_in_two(site)
    site.clock.advance(**BEYOND_THE_WINDOW)
    Rival(site, first)

    assert reason(second) == "replayed"

    assert site.stored.is_settled
    assert site.replays == 1


def test_own_token_that_loses_to_a_sibling_ends_the_session(site: Site) -> None:
    site.clock.advance(days=1)
    own, sibling = site.ada.fork(), site.ada.fork()
    for browser in (own, sibling, own, sibling):
        assert is_in(browser)
    assert site.is_stored(own)
    site.clock.advance(**BEYOND_THE_WINDOW)
    Rival(site, sibling)

    assert reason(own) == "replayed"


def test_settle_that_loses_to_the_same_one_goes_on_as_settled(site: Site) -> None:
    confirm_next(site.ada, site.clock)
    site.clock.advance(days=1)
    tab = site.ada.fork()
    Rival(site, tab)

    assert names_of(site.ada.get("/")) == [TOKEN], "judged again, it is offered the next"
    assert site.stored.is_settled


def test_catch_up_that_loses_to_another_is_within_its_window(site: Site) -> None:
    crashed, tab = site.ada.fork(), site.ada.fork()
    confirm_next(site.ada, site.clock)
    site.clock.advance(minutes=2)
    assert is_in(crashed) and is_in(tab)
    Rival(site, tab)

    assert is_in(crashed)
    assert site.is_stored(tab)
    site.clock.advance(**BEYOND_THE_WINDOW)
    assert is_in(crashed)
    assert site.is_stored(crashed)


def test_confirm_that_loses_to_a_sibling_is_within_its_window(site: Site) -> None:
    site.clock.advance(days=1)
    two = [site.ada.fork(), site.ada.fork()]
    for browser in two:
        assert is_in(browser)
    Rival(site, two[1])

    assert is_in(two[0])
    assert site.is_stored(two[1])
    assert [event.name for event in site.bench.events].count("session_rotated") == 1


# Sessions that are short, or end with the browser


@pytest.mark.parametrize(
    ("site", "absence", "rotations"),
    [
        ({"expires_in": 600, "update_age": 60}, 239_000, 25),
        ({"expires_in": 300, "update_age": 60}, 239_000, 0),
        (
            {"expires_in": 8, "update_age": 1, "rotation_interval": 6, "rotation_grace": 1},
            999,
            14,
        ),
    ],
    indirect=["site"],
)
def test_short_session_in_use_lives_on(site: Site, absence: int, rotations: int) -> None:
    """Nothing is refreshed within the window, nor in the pause before a rotation."""
    for _ in range(100):
        site.clock.advance(milliseconds=absence)
        assert is_in(site.ada)
    assert site.stored.generation == rotations


def test_session_that_ends_with_the_browser_is_rotated_and_not_prolonged(site: Site) -> None:
    browser = site.bench.new_browser()
    browser.sign_in("ada@example.org", remember_me=False)
    lines: list[str] = []
    for _ in range(24 * 12 - 1):
        site.clock.advance(minutes=5)
        answer = browser.get("/")
        assert answer.text == "ada@example.org"
        lines += answer.headers.getall("Set-Cookie")
    site.clock.advance(minutes=5)
    assert reason(browser) == "expired"
    assert len(lines) == 1, "twelve hours in"
    assert not any("Max-Age" in line or "Expires" in line for line in lines)


@pytest.mark.parametrize("site", [{"absolute_timeout": 3 * 86_400}], indirect=True)
def test_cookie_lasts_no_longer_than_the_absolute_limit(site: Site) -> None:
    lines: list[str] = []
    site.clock.advance(hours=12)
    for _ in range(50):
        site.clock.advance(hours=1)
        lines += site.ada.get("/").headers.getall("Set-Cookie")
    assert [line.split("; ")[1] for line in lines] == ["Max-Age=172800", "Max-Age=82800"]
