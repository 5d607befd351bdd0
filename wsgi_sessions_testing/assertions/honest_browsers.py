"""Checks of honest browsers around a rotation, for ``assert_rotation_safe``: none is signed out."""

from __future__ import annotations

from wsgi_sessions.sessions.tokens import TokenSigner

from ..browser.browser import Browser
from ..fakes.network import HeldResponse
from .rotation_scenario import RotationScenario, is_given_cookie
from .sessions import assert_rotated
from .steps import plant_token

_MOMENT_MS = 1000
_CRASHES_AFTER_MS = 5000

_BEFORE = "the token before"
_SIBLING = "one of two parallel answers, and the other was kept and confirmed"
_CONFIRMED = "one of two parallel answers, which was confirmed, and the other was kept"


def check_honest_browsers(scenario: RotationScenario) -> None:
    """Run every check, each with a session of its own."""
    for keeps_last in (True, False):
        _check_parallel_answers(scenario, keeps_last=keeps_last)
    _check_crash(scenario, is_back_at_once=True)
    if scenario.may_be_away(scenario.window_ms + 2 * _CRASHES_AFTER_MS):
        _check_crash(scenario, is_back_at_once=False)
    _check_crash_between_answers(scenario)
    for token in (_BEFORE, _SIBLING, _CONFIRMED):
        _check_slow_upload(scenario, token)
    for is_window_over in (True, False):
        _check_slow_answer(scenario, is_window_over=is_window_over)
    _check_lost_write(scenario)
    _check_older_secret(scenario)


def _ask(scenario: RotationScenario, browser: Browser, what: str) -> None:
    """Send a request without the cached copy; the browser must be signed in."""
    manager = browser.manager
    browser.cookies.discard(manager.parts.cookies.cache_name(is_secure=browser._is_secure))
    seen = browser._with_handle("look", lambda handle: handle.session, network=browser.network)
    scenario.require(seen is not None, what)


def _be_offered(scenario: RotationScenario, browser: Browser, what: str) -> None:
    before = browser.session_token
    _ask(scenario, browser, what)
    assert_rotated(browser, before)


def _goes_on(scenario: RotationScenario, browser: Browser, confirmed_ms: int, what: str) -> None:
    """Use the session after the window, and let it rotate once more if it lasts as long."""
    token = browser.session_token
    for _ in range(2):
        _ask(scenario, browser, what)
    scenario.require(
        browser.session_token == token, f"{what}: it was given another token in between"
    )
    wait_ms = confirmed_ms + scenario.interval_ms - scenario.clock.now_ms()
    if scenario.lasts_unused(wait_ms + _MOMENT_MS):
        scenario.away(wait_ms)
        _ask(scenario, browser, what)
        scenario.require(
            browser.session_token != token,
            "the token was not rotated when it was due again after a rotation",
        )
        _ask(scenario, browser, what)


def _keep_first_of_two(scenario: RotationScenario, browser: Browser, what: str) -> HeldResponse:
    """Send two requests at once and deliver the first answer; return the other, under way."""
    network = browser.network
    with network.delaying_responses(2):
        _ask(scenario, browser, what)
        _ask(scenario, browser, what)
    first, last = network.held[-2:]
    network.deliver(first)
    return last


def _check_parallel_answers(scenario: RotationScenario, *, keeps_last: bool) -> None:
    what = "a browser with two parallel answers was signed out"
    browser = scenario.begin(
        f"of two parallel answers the {'last' if keeps_last else 'first'} is kept"
    )
    network, before = browser.network, browser.session_token
    last = _keep_first_of_two(scenario, browser, what)
    assert_rotated(browser, before)
    _ask(scenario, browser, what)
    confirmed_ms = scenario.clock.now_ms()
    if keeps_last:
        scenario.wait(scenario.grace_ms - 1)
        under_way = scenario.fork(browser, "a request under way")
        network.deliver(last)
        _ask(scenario, browser, what)
        scenario.wait(max(0, scenario.grace_ms - 2))
        _ask(scenario, under_way, what)
        scenario.require(not is_given_cookie(under_way), "a cookie repeats a token in its window")
    else:
        network.drop(browser.cookies)
    scenario.wait(confirmed_ms + scenario.window_ms - scenario.clock.now_ms())
    _goes_on(scenario, browser, confirmed_ms, what)


def _check_crash(scenario: RotationScenario, *, is_back_at_once: bool) -> None:
    when = "at once" if is_back_at_once else "after the window"
    what = "a browser that crashed after a rotation was signed out"
    browser = scenario.begin(f"the browser crashes after a rotation and is back {when}")
    before = browser.session_token
    _be_offered(scenario, browser, what)
    _ask(scenario, browser, what)
    crashed_after_ms = min(_CRASHES_AFTER_MS, scenario.unsaved_ms // 2)
    scenario.away(crashed_after_ms)
    browser.crash(scenario.unsaved_ms / 1000)
    scenario.require(browser.session_token == before, "the crash left the new token in the jar")
    if is_back_at_once:
        _ask(scenario, browser, what)
        scenario.wait(scenario.grace_ms - crashed_after_ms)
    else:
        scenario.away(scenario.window_ms)
    network = browser.network
    with network.losing_responses(1):
        _ask(scenario, browser, what)
    last = _keep_first_of_two(scenario, browser, what)
    assert_rotated(browser, before)
    _ask(scenario, browser, what)
    taken_over_ms = scenario.clock.now_ms()
    _ask(scenario, browser, what)
    scenario.wait(scenario.grace_ms - 1)
    network.deliver(last)
    scenario.wait(taken_over_ms + scenario.window_ms - scenario.clock.now_ms())
    _goes_on(scenario, browser, taken_over_ms, what)


def _check_crash_between_answers(scenario: RotationScenario) -> None:
    """The longest way for a browser to get from one of two answers to the other and back."""
    what = "a browser that crashed after the second of two answers was signed out"
    browser = scenario.begin("the browser crashes after the later of two parallel answers")
    network = browser.network
    last = _keep_first_of_two(scenario, browser, what)
    browser.cookies.save()
    first_token = browser.session_token
    _ask(scenario, browser, what)
    confirmed_ms = scenario.clock.now_ms()
    scenario.wait(scenario.grace_ms - 1)
    network.deliver(last)
    scenario.wait(scenario.unsaved_ms - 1)
    under_way = scenario.fork(browser, "a request under way")
    browser.crash(scenario.unsaved_ms / 1000)
    scenario.require(
        browser.session_token == first_token, "the crash left the later token in the jar"
    )
    scenario.wait(max(0, scenario.grace_ms - 1))
    _ask(scenario, under_way, what)
    scenario.wait(confirmed_ms + scenario.window_ms - scenario.clock.now_ms())
    _goes_on(scenario, browser, confirmed_ms, what)


def _check_slow_upload(scenario: RotationScenario, token: str) -> None:
    """An upload whose token is replaced meanwhile, or becomes the current one only then."""
    what = f"an upload that took less than upload_grace was signed out, with {token}"
    browser = scenario.begin(f"an upload takes long; it was made with {token}")
    network = browser.network
    others = () if token == _BEFORE else (_keep_first_of_two(scenario, browser, what),)

    def meanwhile() -> None:
        if token == _BEFORE:
            _be_offered(scenario, browser, what)
        if token == _SIBLING:
            network.deliver(*others)
        _ask(scenario, browser, what)
        confirmed_ms = scenario.clock.now_ms()
        if token == _CONFIRMED:
            network.deliver(*others)
        if token == _BEFORE and scenario.upload_ms > scenario.window_ms:
            scenario.wait(scenario.window_ms)
            _ask(scenario, browser, what)
        # Otherwise no request is sent: it is not known yet which token the browser kept.
        scenario.wait(confirmed_ms + scenario.upload_ms - 1 - scenario.clock.now_ms())

    with network.slow_uploads(meanwhile, 1):
        _ask(scenario, browser, what)
    scenario.require(not is_given_cookie(browser), "an upload with an old token was given a cookie")
    scenario.wait(scenario.window_ms)
    _ask(scenario, browser, "a browser was signed out by its own slow upload")


def _check_slow_answer(scenario: RotationScenario, *, is_window_over: bool) -> None:
    what = "a browser was signed out by a slow answer"
    when = "after the window" if is_window_over else "within the grace"
    browser = scenario.begin(f"an answer begins long after its request, {when}")
    confirmed_ms: list[int] = []

    def meanwhile() -> None:
        _be_offered(scenario, browser, what)
        _ask(scenario, browser, what)
        confirmed_ms.append(scenario.clock.now_ms())
        if is_window_over:
            scenario.wait(scenario.window_ms)
            _ask(scenario, browser, what)
        else:
            scenario.wait(scenario.grace_ms - 1)

    with browser.network.slow_answers(meanwhile, 1):
        _ask(scenario, browser, what)
    _ask(scenario, browser, what)
    scenario.wait(max(0, confirmed_ms[0] + scenario.window_ms - scenario.clock.now_ms()))
    _goes_on(scenario, browser, confirmed_ms[0], what)


def _check_lost_write(scenario: RotationScenario) -> None:
    """A rotation that could not be written as settled is not settled."""
    what = "a browser was signed out whose use could not be written down"
    browser = scenario.begin(
        "the database can't be written to when a rotation is to be settled",
        generation=1,
        is_settled=False,
    )
    with scenario.unwritable() as is_tried:
        if is_tried:
            _ask(scenario, browser, what)
            scenario.require(
                not is_given_cookie(browser), "a cookie was given out while nothing was settled"
            )
    _be_offered(scenario, browser, what)


def _check_older_secret(scenario: RotationScenario) -> None:
    """Until the rotation is settled, no token is sent again, not even under a newer secret."""
    secrets = scenario.config.secret
    if not isinstance(secrets, tuple) or len(secrets) < 2:
        return
    what = "a browser with a token under an older secret was signed out"
    browser = scenario.begin("the token is one under an older secret")
    _be_offered(scenario, browser, what)
    held = browser.manager.parts.signer.read(browser.session_token or "")
    assert held is not None, "it was just rotated"
    text = TokenSigner([str(secrets[-1])]).write(held.secret, held.generation, held.branch)
    plant_token(browser, text)
    _ask(scenario, browser, what)
    plant_token(browser, text)
    _ask(scenario, browser, what)
    scenario.require(not is_given_cookie(browser), "a token was sent again before it was settled")
