"""From cookies to a session: the rules of sessions.md, through the whole stack."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import confirm_next
from wsgi_sessions import StoreUnavailableError
from wsgi_sessions.records import ReadOptions, RequestFacts
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing.bench import Bench
from wsgi_sessions_testing.browser.browser import Browser

from .visits import NOBODY, browser_header, is_in, opened, reason

# Expiry and limits


def test_a_session_ends_after_a_week_of_silence() -> None:
    bench, browser = opened()
    bench.clock.advance(days=7, milliseconds=-1)
    assert is_in(browser)


def test_a_session_ends_at_the_very_instant() -> None:
    bench, browser = opened()
    header = {"Cookie": f"__Host-session_token={browser.session_token}"}
    bench.clock.advance(days=7)
    assert bench.new_browser().get("/", headers=header).text == f"{NOBODY} expired"


def test_an_end_by_time_is_told_once_and_as_nothing_else() -> None:
    bench, browser = opened()
    header = {"Cookie": browser_header(browser)}
    bench.clock.advance(days=7)
    told = len(bench.events)

    for _ in range(2):
        bench.new_browser().get("/", headers=header)

    assert [event.name for event in bench.events[told:]] == ["session_ended"]


def test_a_session_in_use_lives_on() -> None:
    bench, browser = opened()
    for _ in range(30):
        bench.clock.advance(days=1)
        assert is_in(browser)


def test_a_refresh_sends_the_cookie_anew_without_rotation() -> None:
    bench, browser = opened(rotate_tokens=False)
    token = browser.session_token
    bench.clock.advance(days=6)
    assert is_in(browser)
    bench.clock.advance(days=6)
    assert is_in(browser)
    assert browser.session_token == token


def test_a_refresh_whose_cookie_is_lost_signs_nobody_out_without_rotation() -> None:
    bench, browser = opened(rotate_tokens=False)
    bench.clock.advance(days=6)
    with bench.network.losing_responses(1):
        browser.get("/")
    bench.clock.advance(hours=1)
    assert is_in(browser)
    bench.clock.advance(days=6)
    assert is_in(browser)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"rotate_tokens": False}, 24),
        ({"rotate_tokens": False, "touch_interval": 0}, 24),
        ({"rotate_tokens": False, "touch_interval": 10_800}, 8),
        ({"rotate_tokens": True}, 1),
        ({"rotation_interval": 30 * 86_400}, 24),
    ],
)
def test_a_token_is_sent_again_once_an_hour_at_most(
    settings: dict[str, Any], expected: int
) -> None:
    bench, browser = opened(**settings)
    bench.clock.advance(hours=23, minutes=55)
    assert browser.get("/").headers.getall("Set-Cookie") == []
    cookies = 0
    for _ in range(12 * 24):
        bench.clock.advance(minutes=5)
        cookies += len(browser.get("/").headers.getall("Set-Cookie"))
    assert cookies == expected


def test_a_short_lived_cookie_is_sent_again_before_it_dies() -> None:
    bench, browser = opened(rotate_tokens=False, expires_in=3600, update_age=1800)
    bench.clock.advance(minutes=40)
    with bench.network.losing_responses(1):
        browser.get("/")
    bench.clock.advance(minutes=16)
    browser.get("/")
    bench.clock.advance(minutes=30)
    assert is_in(browser)


def test_a_cookie_that_ends_with_the_browser_is_never_sent_again() -> None:
    bench, _ = opened(rotate_tokens=False, short_expires_in=3 * 86_400)
    browser = bench.new_browser()
    browser.sign_in("ada@example.org", remember_me=False)
    for _ in range(48):
        bench.clock.advance(hours=1)
        assert browser.get("/").headers.getall("Set-Cookie") == []


def test_the_absolute_limit_holds_whatever_the_use() -> None:
    bench, browser = opened(absolute_timeout=3 * 86_400)
    for _ in range(2):
        bench.clock.advance(days=1)
        assert is_in(browser)
    header = {"Cookie": browser_header(browser)}
    bench.clock.advance(days=1)
    assert not is_in(browser), "its cookie was to last no longer"
    assert bench.new_browser().get("/", headers=header).text == f"{NOBODY} absolute"


@pytest.mark.parametrize("cookie_cache", [False, True])
def test_the_idle_limit_spares_whoever_is_there(cookie_cache: bool) -> None:
    bench, browser = opened(idle_timeout=600, cookie_cache=cookie_cache)
    for _ in range(20):
        bench.clock.advance(seconds=470)
        assert is_in(browser)
    bench.clock.advance(seconds=600)
    assert reason(browser) == "idle"


def test_the_idle_limit_counts_from_what_was_last_seen() -> None:
    bench, browser = opened(idle_timeout=600)
    bench.clock.advance(seconds=200)
    assert is_in(browser)
    bench.clock.advance(seconds=500)
    assert is_in(browser)


# Cookies


def test_of_several_cookies_the_one_that_validates_is_taken() -> None:
    bench, browser = opened()
    token = browser.session_token
    header = {"Cookie": f"__Host-session_token=junk; __Host-session_token={token}"}
    assert not bench.new_browser().get("/", headers=header).text.startswith(NOBODY)


def test_a_forged_token_is_an_event() -> None:
    bench, browser = opened()
    token = browser.session_token or ""
    bench.events.clear()
    for value in (f"{token[:-4]}AAAA", "junk"):
        header = {"Cookie": f"__Host-session_token={value}"}
        bench.new_browser(address="203.0.113.66").get("/", headers=header)
    assert [(event.name, event.address, event.details) for event in bench.events] == [
        ("cookie_refused", "203.0.113.66", {"cookie": "token"})
    ] * 2


@pytest.mark.parametrize("is_changed", [True, False])
def test_a_changed_copy_is_an_event_and_one_that_is_over_is_none(is_changed: bool) -> None:
    bench, browser = opened(cookie_cache=True)
    header = browser.cookies.header_for("https://localhost/") or ""
    token, _, copy = header.partition("; __Host-session_data=")
    payload, _, signature = copy.partition(".")
    if is_changed:
        payload = payload.replace(payload[40:44], "AAAA")
    else:
        bench.clock.advance(minutes=10)
    bench.events.clear()
    changed = f"{token}; __Host-session_data={payload}.{signature}"
    assert not bench.new_browser().get("/", headers={"Cookie": changed}).text.startswith(NOBODY)
    told = [event.details for event in bench.events if event.name == "cookie_refused"]
    assert told == ([{"cookie": "copy"}] if is_changed else [])


def two_sessions(**settings: Any) -> tuple[Bench, Browser, Browser, str, list[Any]]:
    """Open a site whose cookies may be planted, with Eve, Ada and a header of both, Eve first."""
    bench, ada = opened(cookie={"path": "/app"}, **settings)
    eve = bench.new_browser()
    eve.sign_in("eve@example.org")
    told: list[Any] = []
    bench.manager.events.subscribe(
        lambda event: told.append(event) if event.name == "two_sessions_presented" else None
    )
    header = "; ".join(f"__Secure-session_token={b.session_token}" for b in (eve, ada))
    return bench, eve, ada, header, told


def test_two_live_sessions_in_one_request_are_an_event() -> None:
    bench, eve, ada, header, told = two_sessions()
    bench.clock.advance(days=1)
    assert eve.session is not None and ada.session is not None
    before = bench.manager.parts.store.sessions.find(ada.session.id)

    answer = bench.new_browser().get("/app", headers={"Cookie": header})

    assert answer.text.startswith(eve.session.id)
    assert [(event.session_id, event.details) for event in told] == [
        (eve.session.id, {"other_session_id": ada.session.id})
    ]
    assert bench.manager.parts.store.sessions.find(ada.session.id) == before, (
        "it was only looked at"
    )


@pytest.mark.parametrize("is_ended", [False, True])
def test_no_event_where_one_session_alone_lives(is_ended: bool) -> None:
    bench, eve, ada, header, told = two_sessions()
    assert eve.session is not None and ada.session is not None
    bench.manager.revoke_session(ada.session.id)
    if is_ended:
        bench.manager.revoke_session(eve.session.id)

    bench.new_browser().get("/app", headers={"Cookie": header})

    assert told == []


@pytest.mark.parametrize("is_ended_first", [False, True])
def test_a_session_refused_elsewhere_is_told_beside_one_that_ended(is_ended_first: bool) -> None:
    bench, ended, hidden, header, _ = two_sessions(ip_binding="exact")
    if not is_ended_first:
        ended, hidden = hidden, ended
    assert ended.session is not None and hidden.session is not None
    bench.manager.revoke_session(ended.session.id)
    options = ReadOptions(authoritative=True)
    presented = bench.manager.parts.cookies.read(header, is_secure=True)

    facts = RequestFacts("203.0.113.9", None, is_https=True, method="GET", path="/app")

    found = bench.manager.parts.validator.validate(presented, facts=lambda: facts, options=options)

    assert found.session is None
    assert (found.is_hidden, found.elsewhere_id) == (True, hidden.session.id)
    assert found.end_reason == "revoked"


@pytest.mark.parametrize(("first", "second"), [("eve", "ada"), ("ada", "eve")])
def test_why_a_session_has_ended_is_told_beside_one_that_is_gone(first: str, second: str) -> None:
    bench, eve, ada, header, _ = two_sessions()
    browsers = {"eve": eve, "ada": ada}
    gone, ended = browsers[first].session, browsers[second].session
    assert gone is not None and ended is not None
    bench.manager.revoke_session(ended.id)
    bench.manager.parts.models.session.delete_by_id(gone.id)

    answer = bench.new_browser().get("/app", headers={"Cookie": header})

    assert answer.text == f"{NOBODY} revoked"


def test_of_two_that_ended_the_first_is_told() -> None:
    bench, eve, ada, header, _ = two_sessions()
    assert eve.session is not None and ada.session is not None
    bench.manager.revoke_session(eve.session.id)
    bench.clock.advance(days=8)

    answer = bench.new_browser().get("/app", headers={"Cookie": header})

    assert answer.text == f"{NOBODY} revoked"


def test_two_sessions_are_never_decided_by_which_has_a_copy() -> None:
    bench, eve, ada, header, told = two_sessions(cookie_cache=True)
    assert eve.session is not None
    copies = {name: value for name, value in ada.cookies.items() if name.endswith("_data")}
    assert len(copies) == 1
    header += "".join(f"; {name}={value}" for name, value in copies.items())

    answer = bench.new_browser().get("/app", headers={"Cookie": header})

    assert answer.text.startswith(eve.session.id)
    assert len(told) == 1


def test_an_event_about_the_other_session_fails_no_request() -> None:
    bench, eve, ada, header, told = two_sessions()
    assert eve.session is not None and ada.session is not None
    other = ada.session.id
    store: Any = bench.manager.parts.store
    find = store.sessions.find

    def fail_for_the_other(session_id: str, **options: Any) -> Any:
        if session_id == other:
            raise StoreUnavailableError
        return find(session_id, **options)

    store.sessions.find = fail_for_the_other
    try:
        answer = bench.new_browser().get("/app", headers={"Cookie": header})
    finally:
        del store.sessions.find

    assert answer.text.startswith(eve.session.id)
    assert told == []


def test_a_dead_session_beside_a_live_one_does_no_harm() -> None:
    bench, browser = opened()
    other = bench.new_browser()
    dead = other.sign_in("bob@example.org")
    token = other.session_token
    bench.manager.revoke_session(dead.id)
    header = {"Cookie": f"__Host-session_token={token}; {browser_header(browser)}"}
    assert not bench.new_browser().get("/", headers=header).text.startswith(NOBODY)


# Addresses


@pytest.mark.parametrize(
    ("binding", "address", "is_taken"),
    [
        ("off", "203.0.113.9", True),
        ("subnet", "127.0.0.99", True),
        ("subnet", "203.0.113.9", False),
        ("exact", "127.0.0.1", True),
        ("exact", "127.0.0.99", False),
    ],
)
@pytest.mark.parametrize("cookie_cache", [False, True])
def test_a_session_can_be_bound_to_its_address(
    binding: str, address: str, is_taken: bool, cookie_cache: bool
) -> None:
    _, browser = opened(ip_binding=binding, cookie_cache=cookie_cache)
    browser.get("/")
    home, browser.address = browser.address, address
    assert is_in(browser) is is_taken
    browser.address = home
    assert is_in(browser)


def test_a_session_seen_elsewhere_can_be_revoked() -> None:
    bench, browser = opened(ip_binding="exact", on_ip_mismatch="revoke")
    browser.address = "203.0.113.9"
    assert reason(browser) == "ip_mismatch"
    assert "ip_mismatch" in [event.name for event in bench.events]
    browser.address = "127.0.0.1"
    assert not is_in(browser)


# What is gone or in flux


def test_a_session_whose_user_was_deleted_behind_our_back_ends() -> None:
    bench, browser = opened()
    database: Any = bench.manager.database
    database.execute_sql("DELETE FROM wsgi_sessions_user")
    assert reason(browser) == "user_deleted"


def test_a_session_that_is_not_in_the_database_is_nothing() -> None:
    bench, browser = opened()
    database: Any = bench.manager.database
    database.execute_sql("DELETE FROM wsgi_sessions_session")
    assert reason(browser) == "None"


def test_a_lost_race_is_judged_again() -> None:
    bench, browser = opened()
    bench.clock.advance(days=1)
    store = bench.manager.parts.store
    first = store.sessions.apply

    def loses_once(judged: Any, change: Any) -> bool:
        patch.undo()
        assert first(judged, change)
        return False

    patch = pytest.MonkeyPatch()
    patch.setattr(store.sessions, "apply", loses_once)
    assert is_in(browser)


def test_a_row_that_never_holds_still_is_a_database_in_trouble() -> None:
    bench, browser = opened()
    bench.clock.advance(days=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.manager.parts.store.sessions, "apply", lambda *_: False)
        assert browser.get("/").status_int == 503
    assert is_in(browser)


def test_a_change_that_the_app_s_transaction_does_not_see_is_no_trouble() -> None:
    bench, browser = opened()
    header = {"Cookie": browser_header(browser)}
    bench.clock.advance(days=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "is_within_app_transaction", True)
        patch.setattr(bench.manager.parts.store.sessions, "apply", lambda *_: False)
        patch.setattr(bench.manager.parts.store.session_ends, "end", lambda *_, **__: False)
        answer = browser.get("/")
        assert (answer.status_int, answer.text.startswith(NOBODY)) == (200, False)
        bench.clock.advance(days=7)
        late = bench.new_browser().get("/", headers=header)
        assert (late.status_int, late.text) == (200, f"{NOBODY} expired")


def test_what_a_request_does_is_written_within_the_app_s_transaction() -> None:
    bench, browser = opened()
    session = bench.manager.parts.models.session
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "is_within_app_transaction", True)
        confirm_next(browser, bench.clock)
        assert session.get().generation == 1
        header = {"Cookie": browser_header(browser)}
        bench.clock.advance(days=7)
        late = bench.new_browser().get("/", headers=header)
        assert late.text == f"{NOBODY} expired"
        assert session.get().end_reason == "expired"


def test_an_end_that_came_too_late_is_judged_again() -> None:
    bench, browser = opened()
    header = {"Cookie": browser_header(browser)}
    bench.clock.advance(days=7)
    store = bench.manager.parts.store
    end = store.session_ends.end

    def late(*args: Any, **kwargs: Any) -> bool:
        patch.undo()
        assert end(*args, **kwargs)
        return False

    patch = pytest.MonkeyPatch()
    patch.setattr(store.session_ends, "end", late)
    assert bench.new_browser().get("/", headers=header).text == f"{NOBODY} expired"
    names = [event.name for event in bench.events]
    assert "session_ended" not in names, "whoever has ended it has told so"


def test_a_session_that_was_refreshed_before_it_could_be_ended_lives_on() -> None:
    bench, browser = opened()
    header = {"Cookie": browser_header(browser)}
    bench.clock.advance(days=7)
    session = bench.manager.parts.models.session

    def too_late(*args: Any, **kwargs: Any) -> bool:
        patch.undo()
        session.update(expires_at=session.expires_at + 86_400_000).execute()
        return False

    patch = pytest.MonkeyPatch()
    patch.setattr(bench.manager.parts.store.session_ends, "end", too_late)
    answer = bench.new_browser().get("/", headers=header)

    assert not answer.text.startswith(NOBODY)


def test_a_reading_from_python_moves_nothing() -> None:
    bench, browser = opened()
    bench.clock.advance(days=1)
    before = bench.manager.parts.store.sessions.find(browser.session.id if browser.session else "")
    for source in (
        {"Cookie": browser_header(browser)},
        {"cookie": browser_header(browser)},
        {"HTTP_COOKIE": browser_header(browser), "wsgi.url_scheme": "https"},
    ):
        session = bench.manager.get_session(source)
        assert session is not None and session.user is not None
        assert session.user.email == "ada@example.org"
    assert before is not None
    assert bench.manager.parts.store.sessions.find(before[0].id) == before
    assert bench.manager.get_session({}) is None
    assert bench.manager.get_session({"Cookie": "__Host-session_token=junk"}) is None
