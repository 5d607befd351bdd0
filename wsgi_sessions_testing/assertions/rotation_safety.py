"""``assert_rotation_safe``: stories of honest browsers around a rotation; then the thieves'.

Must not look where a user or an attacker could not: cookies, answers, and what the product
says of a session.
"""

from __future__ import annotations

from typing import NoReturn

from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.sessions.policy import absolute_end_ms
from wsgi_sessions.sessions.session import Session
from wsgi_sessions.sessions.tokens import TokenSigner

from ..browser.browser import Browser
from ..fakes.network import HeldResponse
from .rotation_setup import (
    WINDOW_IN_GRACES,
    Stage,
    is_given_cookie,
    rotation_interval_ms,
    time_left_ms,
)
from .sessions import assert_rotated, assert_signed_in, assert_signed_out
from .steps import fail, fake_clock, page_for, session_seen_by_app, visit, wait_in_use
from .thieves import play_thieves

__all__ = ["assert_rotation_safe"]

_MOMENT_MS = 1000
_CRASHES_AFTER_MS = 5000

_BEFORE = "the token before"
_SIBLING = "one of two parallel answers, and the other was kept and confirmed"
_CONFIRMED = "one of two parallel answers, which was confirmed, and the other was kept"


def assert_rotation_safe(
    browser: Browser, *, page: str | None = None, thief_may_stay: bool = False
) -> None:
    """Assert that rotation signs no honest browser out, and that no thief outlasts it.

    The browser's own session is played first: an offer that is lost, a request that was under
    way, and a stolen jar that comes back after it all. Then, each with a session of its own
    whose token is just due: parallel answers, either of which is kept; a crash up to 30 seconds
    after an answer; uploads and answers that take minutes; a database that can't be written to;
    and thieves on line, who keep every cookie that they are given and ask just before and just
    after the browser at each turn: none is let in once the browser has asked after the
    rotation's window, and until then the browser is signed in.

    The browser's session has ended afterwards, by the thief's replay. ``page`` is one that
    session cookies are sent to; of the app nothing else is opened.
    ``thief_may_stay``: what ``on_replay="reject"`` needs, by which whoever is first after the
    window keeps the session; then it is only asserted that the two are not both let in.
    Fails with words where the settings, or how long the session lives, leave nothing to show.
    """
    page = page_for(browser, page)
    session = _settle(browser, page, thief_may_stay=thief_may_stay)
    _play_own_session(browser, page, session)
    stage = Stage(browser, session)
    for keeps_last in (True, False):
        _play_parallel_answers(stage, keeps_last=keeps_last)
    _play_crash(stage, is_back_at_once=True)
    if stage.may_be_away(stage.window_ms + 2 * _CRASHES_AFTER_MS):
        _play_crash(stage, is_back_at_once=False)
    _play_crash_between_answers(stage)
    for token in (_BEFORE, _SIBLING, _CONFIRMED):
        _play_slow_upload(stage, token)
    for is_window_over in (True, False):
        _play_slow_answer(stage, is_window_over=is_window_over)
    _play_lost_write(stage)
    _play_older_secret(stage)
    play_thieves(stage)
    stage.clear()


# Whether there is anything to show


def _settle(browser: Browser, page: str, *, thief_may_stay: bool) -> Session:
    """Bring the browser's session to where it waits for its next rotation; return it."""
    clock, config = fake_clock(browser.clock), browser.manager.config
    session = browser.session
    if session is None:
        fail("the browser was not signed in before", browser)
    _check_settings(browser, session, config, thief_may_stay=thief_may_stay)
    interval_ms = rotation_interval_ms(session, config) or 0
    for _ in range(3):
        held = browser.manager.signer.read(browser.session_token or "")
        due_ms = session.record.confirmed_at_ms + interval_ms
        is_known = held is not None and held.generation == session.generation
        if is_known and session.record.is_settled and due_ms > clock.now_ms():
            break
        # An offer is due, or waits to be confirmed or settled: let that be over first.
        visit(browser, page)
        visit(browser, page)
        window_ms = WINDOW_IN_GRACES * config.rotation_grace_ms
        wait_in_use(browser, window_ms, lambda: browser.get(page))
        session = session_seen_by_app(browser)
        if session is None:
            fail("the browser was signed out by its own rotation", browser)
    else:
        fail("the browser's token is still not settled after three windows in use", browser)
    return session


def _check_settings(
    browser: Browser, session: Session, config: SessionConfig, *, thief_may_stay: bool
) -> None:
    def refuse(what: str) -> NoReturn:
        fail(what, browser)

    if not config.rotate_tokens:
        why = config.rotation_notes[0] if config.rotation_notes else "rotate_tokens is off"
        remedy = (
            "" if config.rotation_notes else "; write @pytest.mark.sessions(rotate_tokens=True)"
        )
        refuse(f"there is no rotation to be safe: {why}{remedy}")
    if rotation_interval_ms(session, config) is None:
        refuse(
            "there is no rotation to be safe: the session is not remembered, and "
            f"short_expires_in ({config.short_expires_in}) leaves no time to rotate its token; "
            "sign in with remember_me=True, or write @pytest.mark.sessions(short_expires_in=…), "
            "a longer one"
        )
    window_ms = WINDOW_IN_GRACES * config.rotation_grace_ms
    needed_ms = max(config.upload_grace_ms, 2 * window_ms) + _MOMENT_MS
    left_ms = time_left_ms(session, config)
    if left_ms <= needed_ms:
        names = "absolute_timeout, or a lower rotation_interval"
        if not session.is_remembered:
            names = "short_expires_in"
        elif config.absolute_timeout_ms is None:
            names = "expires_in"
        refuse(
            f"the session ends {max(left_ms, 0) / 1000:g} s after its token is due for rotation, "
            f"and it takes {needed_ms / 1000:g} s to see who keeps it (two windows, or "
            f"upload_grace); write @pytest.mark.sessions(…) with a longer {names}"
        )
    if config.on_replay == "reject" and not thief_may_stay:
        refuse(
            'on_replay is "reject", so a thief who is the first to ask after the window keeps the '
            'session, and can\'t be shown to be out; write @pytest.mark.sessions(on_replay="revoke"'
            "), or assert_rotation_safe(browser, thief_may_stay=True) for the rest"
        )


# The browser's own session


def _play_own_session(browser: Browser, page: str, session: Session) -> None:
    clock, config = fake_clock(browser.clock), browser.manager.config
    grace_ms, window_ms = config.rotation_grace_ms, WINDOW_IN_GRACES * config.rotation_grace_ms

    def visit_in_vain() -> None:
        with browser.network.losing_responses(1):
            browser.get(page)

    due_ms = session.record.confirmed_at_ms + (rotation_interval_ms(session, config) or 0)
    ends_ms = absolute_end_ms(session.record, config=config)
    if not session.is_remembered:
        ends_ms = min(session.record.expires_at_ms, ends_ms or session.record.expires_at_ms)
    if ends_ms is not None and due_ms + window_ms >= ends_ms:
        fail("the browser's session ends before its next rotation is over; sign in anew", browser)
    before = browser.session_token

    def visit_on_the_way() -> None:
        # What needs a cookie is offered the next token from one grace before it is due.
        if clock.now_ms() < due_ms - grace_ms:
            browser.get(page)
        else:
            visit_in_vain()

    wait_in_use(browser, due_ms - clock.now_ms(), visit_on_the_way)
    thief = browser.fork()
    visit_in_vain()
    if browser.session_token != before:
        fail("a lost response changed the browser's token", browser)
    under_way = browser.fork()
    visit(browser, page)
    assert_rotated(browser, before)
    visit(browser, page)
    assert_signed_in(browser)
    confirmed_ms = clock.now_ms()
    for wait_ms in (0, grace_ms - 1):
        wait_in_use(browser, wait_ms, lambda: browser.get(page))
        if session_seen_by_app(under_way) is None:
            fail("a request under way while the token was confirmed was signed out", under_way)
        if is_given_cookie(under_way):
            fail("a request in grace was given a cookie, or a copy, for its old token", under_way)
    left_ms = confirmed_ms + window_ms - clock.now_ms()
    wait_in_use(browser, left_ms, lambda: browser.get(page))
    visit(browser, page)
    if browser.session is None or session_seen_by_app(browser) is None:
        fail("the browser was signed out by its own rotation", browser)
    if session_seen_by_app(thief) is not None:
        fail("a stolen token is still taken after the window", thief)
    if config.on_replay == "revoke":
        assert_signed_out(browser, reason="replayed")


# Honest browsers


def _ask(stage: Stage, browser: Browser, what: str) -> None:
    """Have a browser ask, past its cached copy; it must be signed in."""
    manager = browser.manager
    browser.cookies.discard(manager.cookies.cache_name(is_secure=browser._is_secure))
    seen = browser._with_handle("look", lambda handle: handle.session, network=browser.network)
    stage.must(seen is not None, what)


def _be_offered(stage: Stage, player: Browser, what: str) -> None:
    before = player.session_token
    _ask(stage, player, what)
    assert_rotated(player, before)


def _goes_on(stage: Stage, player: Browser, confirmed_ms: int, what: str) -> None:
    """Use the session after the window, and have it rotate once more if it lives as long."""
    token = player.session_token
    for _ in range(2):
        _ask(stage, player, what)
    stage.must(player.session_token == token, f"{what}: it was given another token in between")
    wait_ms = confirmed_ms + stage.interval_ms - stage.clock.now_ms()
    if stage.lasts_unused(wait_ms + _MOMENT_MS):
        stage.away(wait_ms)
        _ask(stage, player, what)
        stage.must(
            player.session_token != token,
            "the token was not rotated when it was due again after a rotation",
        )
        _ask(stage, player, what)


def _keep_first_of_two(stage: Stage, player: Browser, what: str) -> HeldResponse:
    """Have a browser ask twice at once and be given one answer; return the other, under way."""
    network = player.network
    with network.delaying_responses(2):
        _ask(stage, player, what)
        _ask(stage, player, what)
    first, last = network.held[-2:]
    network.deliver(first)
    return last


def _play_parallel_answers(stage: Stage, *, keeps_last: bool) -> None:
    what = "a browser with two parallel answers was signed out"
    player = stage.begin(f"of two parallel answers the {'last' if keeps_last else 'first'} is kept")
    network, before = player.network, player.session_token
    last = _keep_first_of_two(stage, player, what)
    assert_rotated(player, before)
    _ask(stage, player, what)
    confirmed_ms = stage.clock.now_ms()
    if keeps_last:
        stage.wait(stage.grace_ms - 1)
        under_way = stage.part_of(player, "a request under way")
        network.deliver(last)
        _ask(stage, player, what)
        stage.wait(max(0, stage.grace_ms - 2))
        _ask(stage, under_way, what)
        stage.must(not is_given_cookie(under_way), "a cookie repeats a token in its window")
    else:
        network.drop(player.cookies)
    stage.wait(confirmed_ms + stage.window_ms - stage.clock.now_ms())
    _goes_on(stage, player, confirmed_ms, what)


def _play_crash(stage: Stage, *, is_back_at_once: bool) -> None:
    when = "at once" if is_back_at_once else "after the window"
    what = "a browser that crashed after a rotation was signed out"
    player = stage.begin(f"the browser crashes after a rotation and is back {when}")
    before = player.session_token
    _be_offered(stage, player, what)
    _ask(stage, player, what)
    crashed_after_ms = min(_CRASHES_AFTER_MS, stage.unsaved_ms // 2)
    stage.away(crashed_after_ms)
    player.crash(stage.unsaved_ms / 1000)
    stage.must(player.session_token == before, "the crash left the new token in the jar")
    if is_back_at_once:
        _ask(stage, player, what)
        stage.wait(stage.grace_ms - crashed_after_ms)
    else:
        stage.away(stage.window_ms)
    network = player.network
    with network.losing_responses(1):
        _ask(stage, player, what)
    last = _keep_first_of_two(stage, player, what)
    assert_rotated(player, before)
    _ask(stage, player, what)
    taken_over_ms = stage.clock.now_ms()
    _ask(stage, player, what)
    stage.wait(stage.grace_ms - 1)
    network.deliver(last)
    stage.wait(taken_over_ms + stage.window_ms - stage.clock.now_ms())
    _goes_on(stage, player, taken_over_ms, what)


def _play_crash_between_answers(stage: Stage) -> None:
    """The longest that it takes until it is decided which answer a browser kept."""
    what = "a browser that crashed after the second of two answers was signed out"
    player = stage.begin("the browser crashes after the later of two parallel answers")
    network = player.network
    last = _keep_first_of_two(stage, player, what)
    player.cookies.save()
    first_token = player.session_token
    _ask(stage, player, what)
    confirmed_ms = stage.clock.now_ms()
    stage.wait(stage.grace_ms - 1)
    network.deliver(last)
    stage.wait(stage.unsaved_ms - 1)
    under_way = stage.part_of(player, "a request under way")
    player.crash(stage.unsaved_ms / 1000)
    stage.must(player.session_token == first_token, "the crash left the later token in the jar")
    stage.wait(max(0, stage.grace_ms - 1))
    _ask(stage, under_way, what)
    stage.wait(confirmed_ms + stage.window_ms - stage.clock.now_ms())
    _goes_on(stage, player, confirmed_ms, what)


def _play_slow_upload(stage: Stage, token: str) -> None:
    """An upload with a token that counts no more, or did not when the upload was made."""
    what = f"an upload that took less than upload_grace was signed out, with {token}"
    player = stage.begin(f"an upload takes long; it was made with {token}")
    network = player.network
    others = () if token == _BEFORE else (_keep_first_of_two(stage, player, what),)

    def meanwhile() -> None:
        if token == _BEFORE:
            _be_offered(stage, player, what)
        if token == _SIBLING:
            network.deliver(*others)
        _ask(stage, player, what)
        confirmed_ms = stage.clock.now_ms()
        if token == _CONFIRMED:
            network.deliver(*others)
        if token == _BEFORE and stage.upload_ms > stage.window_ms:
            stage.wait(stage.window_ms)
            _ask(stage, player, what)
        # In the other stories nobody asks: what the browser kept is not known yet.
        stage.wait(confirmed_ms + stage.upload_ms - 1 - stage.clock.now_ms())

    with network.slow_uploads(meanwhile, 1):
        _ask(stage, player, what)
    stage.must(not is_given_cookie(player), "an upload with an old token was given a cookie")
    stage.wait(stage.window_ms)
    _ask(stage, player, "a browser was signed out by its own slow upload")


def _play_slow_answer(stage: Stage, *, is_window_over: bool) -> None:
    what = "a browser was signed out by a slow answer"
    when = "after the window" if is_window_over else "within the grace"
    player = stage.begin(f"an answer begins long after its request, {when}")
    confirmed_ms: list[int] = []

    def meanwhile() -> None:
        _be_offered(stage, player, what)
        _ask(stage, player, what)
        confirmed_ms.append(stage.clock.now_ms())
        if is_window_over:
            stage.wait(stage.window_ms)
            _ask(stage, player, what)
        else:
            stage.wait(stage.grace_ms - 1)

    with player.network.slow_answers(meanwhile, 1):
        _ask(stage, player, what)
    _ask(stage, player, what)
    stage.wait(max(0, confirmed_ms[0] + stage.window_ms - stage.clock.now_ms()))
    _goes_on(stage, player, confirmed_ms[0], what)


def _play_lost_write(stage: Stage) -> None:
    """What was to be settled, and could not be written down, is not settled."""
    what = "a browser was signed out whose use could not be written down"
    player = stage.begin(
        "the database can't be written to when a rotation is to be settled",
        generation=1,
        is_settled=False,
    )
    with stage.unwritable() as is_tried:
        if is_tried:
            _ask(stage, player, what)
            stage.must(
                not is_given_cookie(player), "a cookie was given out while nothing was settled"
            )
    _be_offered(stage, player, what)


def _play_older_secret(stage: Stage) -> None:
    """Until it is settled, no token is sent again, under a newer secret say."""
    secrets = stage.config.secret
    if not isinstance(secrets, tuple) or len(secrets) < 2:
        return
    what = "a browser with a token under an older secret was signed out"
    player = stage.begin("the token is one under an older secret")
    _be_offered(stage, player, what)
    held = player.manager.signer.read(player.session_token or "")
    assert held is not None, "it was just rotated"
    text = TokenSigner([str(secrets[-1])]).write(held.secret, held.generation, held.branch)
    stage.give(player, text)
    _ask(stage, player, what)
    stage.give(player, text)
    _ask(stage, player, what)
    stage.must(not is_given_cookie(player), "a token was sent again before it was settled")
