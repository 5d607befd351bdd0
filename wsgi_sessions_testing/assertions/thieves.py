"""Checks of thieves around a rotation, for ``assert_rotation_safe``: until when they are let in.

A request is judged by who sends it, and not by the rules by which the product finds a thief.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import product

from wsgi_sessions.records import PresentedToken

from ..browser.browser import Browser
from .rotation_scenario import RotationScenario
from .sessions import assert_signed_out
from .steps import plant_token, session_seen_by_app

STOLEN, OFFERED, CAUGHT_UP = "stolen", "offered", "caught up"
"""What the thief presents: see ``_ThiefScenario.thief_asks``."""
SIGNED_OUT = "a browser was signed out by its own rotation"


class _ThiefScenario:
    """An owner's browser, and a thief with a copy of its jar from before the rotation.

    The thief keeps every jar that he ever had. Once a token of a later generation than the
    stolen one has been presented, the owner's first request after the window decides: if the
    owner is let in, nothing that the thief has is accepted any more; else the thief was first,
    the session has ended, and both are out.
    """

    def __init__(self, scenario: RotationScenario, what: str, *, due_in_ms: int = 0) -> None:
        self.scenario = scenario
        self.owner = scenario.begin(what, due_in_ms=due_in_ms)
        self.loot: list[Browser] = []
        self._newest: PresentedToken | None = None
        self._stolen_generation = 0
        self._since_ms = 0
        self._is_taken_over = False
        self._is_thief_first = False
        self.is_decided = False

    @property
    def has_rotated(self) -> bool:
        """Whether a token was presented and let in that is later than the stolen one."""
        return self._newest is not None

    @property
    def window_end_ms(self) -> int:
        """When the last window is over, if a rotation was confirmed."""
        return self._since_ms + self.scenario.window_ms

    def steal(self) -> None:
        """Copy the owner's jar as it is."""
        self._keep(self.owner)

    def owner_asks(self) -> None:
        """Send a request of the owner; it must be let in, unless the thief was first."""
        if self.is_decided:
            return
        token = self._token_of(self.owner)
        if session_seen_by_app(self.owner) is None:
            self.scenario.require(
                self._is_thief_first,
                "the browser was signed out while a thief asked, who had not asked after the "
                "window before it",
            )
            self._check_that_both_are_out()
            return
        self._note(token)
        is_after_window = self._newest is not None and self._now_ms >= self.window_end_ms
        if is_after_window and token is not None and self._is_newest(token):
            self.is_decided = True
            self._check_that_thief_is_out()

    def thief_asks(self, which: str) -> None:
        """Send a request of the thief with what was stolen, offered last, or a catch-up."""
        jar = self._choose(which)
        if jar is None or self.is_decided:
            return
        self._ask_as_thief(jar)

    def until(self, instant_ms: int, *, is_owner_there: bool = True) -> None:
        """Let time pass until an instant; the session is used by the owner, or by the thief."""
        user = self.owner if is_owner_there else self._choose(OFFERED)
        self.scenario.wait(max(0, instant_ms - self._now_ms), user=user)

    def _ask_as_thief(self, jar: Browser) -> bool:
        token, attempt = self._token_of(jar), self.scenario.fork(jar, "the thief")
        if session_seen_by_app(attempt) is None:
            return False
        takes_over = self._note(token)
        is_after_window = self._newest is not None and self._now_ms >= self.window_end_ms
        self._is_thief_first = self._is_thief_first or is_after_window or takes_over
        if dict(attempt.cookies) != dict(jar.cookies):
            self._keep(attempt)
        return True

    def _keep(self, jar: Browser) -> None:
        """Keep a copy of a jar; its cookies are sent for ever, whatever their Max-Age."""
        kept = self.scenario.fork(jar, "the thief")
        kept.cookies = jar.cookies.copy(ignores_max_age=True)
        self.loot.append(kept)

    def _note(self, token: PresentedToken | None) -> bool:
        """Note what an accepted request presented; return whether it began a window by catch-up."""
        if token is None or token.generation <= self._stolen_generation:
            return False
        if self._newest is None or token.generation > self._newest.generation:
            self._newest, self._since_ms, self._is_taken_over = token, self._now_ms, False
            return False
        if token.is_catch_up and not self._is_taken_over:
            self._newest, self._since_ms, self._is_taken_over = token, self._now_ms, True
            return True
        return False

    def _is_newest(self, token: PresentedToken) -> bool:
        return self._newest is not None and token.generation == self._newest.generation

    def _choose(self, which: str) -> Browser | None:
        if which == STOLEN:
            return self.loot[0]
        for jar in reversed(self.loot):
            token = self._token_of(jar)
            if token is None or token.generation == self._stolen_generation:
                continue
            if token.is_catch_up == (which == CAUGHT_UP):
                return jar
        return None

    def _check_that_thief_is_out(self) -> None:
        """Check everything that the thief has; the first token that is sent ends the session."""
        scenario = self.scenario
        what = "a thief is let in after the browser has asked, after the window"
        for jar in self.loot:
            scenario.require(jar.session is None, what)
        for jar in self._tried_jars():
            scenario.require(not self._ask_as_thief(jar), what)
        if scenario.config.on_replay == "revoke":
            assert_signed_out(self.owner, reason="replayed")

    def _check_that_both_are_out(self) -> None:
        self.is_decided = True
        if self.scenario.config.on_replay == "revoke":
            assert_signed_out(self.owner, reason="replayed")
            self.scenario.away(self.scenario.config.revocation_lag_ms)
            for jar in self._tried_jars():
                is_in = self._ask_as_thief(jar)
                self.scenario.require(not is_in, "a thief is let in by a session that has ended")

    def _tried_jars(self) -> list[Browser]:
        """Return the jars that are tried with requests: the last, and those with a cached copy."""
        name = self.scenario.manager.parts.cookies.cache_name(is_secure=self.owner._is_secure)
        return [jar for jar in self.loot if jar is self.loot[-1] or name in jar.cookies]

    def _token_of(self, browser: Browser) -> PresentedToken | None:
        return self.scenario.manager.parts.signer.read(browser.session_token or "")

    @property
    def _now_ms(self) -> int:
        return self.scenario.clock.now_ms()


def check_thieves(scenario: RotationScenario) -> None:
    """Run every check, each with a session of its own."""
    for confirms_first, catches_up, is_first_at_end in product(
        ("owner", "thief"), (None, "at once", "at the end"), ("owner", "thief")
    ):
        _check_owner_there(
            scenario,
            confirms_first=confirms_first,
            catches_up=catches_up,
            is_first_at_end=is_first_at_end,
        )
    for comes_at_ms, has_caught_up, is_first_at_end in _returns(scenario):
        _check_owner_away(
            scenario,
            comes_at_ms=comes_at_ms,
            catches_up=has_caught_up,
            is_first_at_end=is_first_at_end,
        )
    _check_repeated_catch_ups(scenario)
    _check_copy_from_before(scenario)
    _check_lost_before(scenario)
    for which in (STOLEN, OFFERED):
        _check_endless_upload(scenario, which)


def _check_owner_there(
    scenario: RotationScenario, *, confirms_first: str, catches_up: str | None, is_first_at_end: str
) -> None:
    """Both send requests when the token is due, and each is offered a next one."""
    theft = _ThiefScenario(
        scenario,
        f"a thief asks whenever the owner does: first to confirm is the {confirms_first}, first "
        f"after the window the {is_first_at_end}"
        + ("" if catches_up is None else f"; the thief catches up {catches_up}"),
    )
    theft.steal()
    order = ("owner", "thief") if confirms_first == "owner" else ("thief", "owner")
    _both_ask(theft, order, STOLEN)
    _both_ask(theft, order, OFFERED)
    begun_ms = scenario.clock.now_ms()
    theft.until(begun_ms + scenario.grace_ms - 1)
    _both_ask(theft, order, OFFERED)
    if catches_up is not None:
        theft.until(begun_ms + scenario.grace_ms)
        theft.thief_asks(STOLEN)
    if catches_up == "at once":
        theft.thief_asks(CAUGHT_UP)
    theft.until(begun_ms + scenario.window_ms - 1)
    if catches_up == "at the end":
        theft.thief_asks(CAUGHT_UP)
    _both_ask(theft, order, OFFERED)
    _end(theft, is_first_at_end)


def _check_repeated_catch_ups(scenario: RotationScenario) -> None:
    """The thief catches up before the end of every window, to make it last longer."""
    theft = _ThiefScenario(scenario, "a thief catches up again and again")
    theft.steal()
    _both_ask(theft, ("owner", "thief"), STOLEN)
    _both_ask(theft, ("owner", "thief"), OFFERED)
    begun_ms = scenario.clock.now_ms()
    for _ in range(2):
        theft.until(theft.window_end_ms - 1)
        theft.thief_asks(STOLEN)
        theft.thief_asks(CAUGHT_UP)
        theft.owner_asks()
    theft.until(begun_ms + 2 * scenario.window_ms)
    theft.owner_asks()


def _returns(scenario: RotationScenario) -> Iterator[tuple[int, bool, str]]:
    """Yield when the owner comes back, whether the thief had caught up, and who is first then."""
    for comes_at_ms in (0, scenario.grace_ms - 1, scenario.grace_ms, scenario.window_ms - 1):
        yield comes_at_ms, False, "owner"
        yield comes_at_ms, False, "thief"
    for comes_at_ms in (scenario.grace_ms, scenario.window_ms):
        yield comes_at_ms, True, "owner"
    yield scenario.window_ms, False, "owner"
    yield scenario.window_ms, False, "thief"


def _check_owner_away(
    scenario: RotationScenario, *, comes_at_ms: int, catches_up: bool, is_first_at_end: str
) -> None:
    """The thief alone is there when the token is due; the owner comes back so much later."""
    theft = _ThiefScenario(
        scenario,
        f"a thief confirms a rotation while the owner is away for {comes_at_ms / 1000:g} s"
        + (", and catches up" if catches_up else ""),
    )
    theft.steal()
    theft.thief_asks(STOLEN)
    theft.thief_asks(OFFERED)
    begun_ms = scenario.clock.now_ms()
    if catches_up:
        theft.until(begun_ms + scenario.grace_ms, is_owner_there=False)
        theft.thief_asks(STOLEN)
        theft.thief_asks(CAUGHT_UP)
    theft.until(begun_ms + comes_at_ms, is_owner_there=False)
    if comes_at_ms == scenario.window_ms and is_first_at_end == "thief":
        theft.thief_asks(OFFERED)
    theft.owner_asks()
    if comes_at_ms < scenario.grace_ms:
        theft.until(begun_ms + scenario.grace_ms)
        theft.owner_asks()
    theft.owner_asks()
    theft.thief_asks(OFFERED)
    _end(theft, is_first_at_end)


def _end(theft: _ThiefScenario, is_first: str) -> None:
    """Send requests just before and just after the end of the last window."""
    theft.until(theft.window_end_ms - 1)
    theft.thief_asks(OFFERED)
    theft.owner_asks()
    theft.until(theft.window_end_ms)
    if is_first == "thief":
        theft.thief_asks(OFFERED)
    theft.owner_asks()
    theft.scenario.require(theft.has_rotated, "no token was rotated though it was due")
    theft.scenario.require(
        theft.is_decided, "it is not decided after the window who has the session: both are let in"
    )


def _both_ask(theft: _ThiefScenario, order: tuple[str, str], which: str) -> None:
    for who in order:
        if who == "owner":
            theft.owner_asks()
        else:
            theft.thief_asks(which)


def _check_copy_from_before(scenario: RotationScenario) -> None:
    """The stolen jar holds a cached copy from shortly before the rotation."""
    if not scenario.config.cookie_cache.enabled:
        return
    theft = _ThiefScenario(
        scenario,
        "a thief has a cached copy from before the rotation",
        due_in_ms=scenario.grace_ms + 1000,
    )
    theft.owner_asks()
    theft.steal()
    scenario.wait(scenario.grace_ms + 1000)
    theft.owner_asks()
    theft.owner_asks()
    _end(theft, "owner")


def _check_lost_before(scenario: RotationScenario) -> None:
    """A token that an earlier rotation left behind comes back after the next one."""
    for generation, when_ms, has_long_body in product(
        (0, 1), (0, scenario.grace_ms), (False, True)
    ):
        what = "two rotations before" if generation == 0 else "a sibling that lost the one before"
        owner = scenario.begin(f"a thief has the token of {what}", generation=1)
        thief = scenario.fork(owner, "the thief")
        held = owner.session_token
        assert held is not None, "it was just given"
        plant_token(thief, scenario.sibling_of(held, generation=generation))
        for _ in range(2):
            scenario.require(session_seen_by_app(owner), SIGNED_OUT)
        scenario.wait(when_ms)
        is_in = _upload(thief) if has_long_body else session_seen_by_app(thief)
        scenario.require(not is_in, f"a stolen token is taken: that of {what}")
        if scenario.config.on_replay == "revoke":
            assert_signed_out(owner, reason="replayed")


def _upload(browser: Browser) -> bool:
    with browser.network.slow_uploads(timedelta(milliseconds=1), 1):
        seen = browser._with_handle("look", lambda h: h.session, network=browser.network)
    return seen is not None


def _check_endless_upload(scenario: RotationScenario, which: str) -> None:
    """Long bodies let a thief in until ``upload_grace`` is over, and no longer."""
    theft = _ThiefScenario(scenario, f"a thief sends long bodies, with a token that he has {which}")
    theft.steal()
    theft.thief_asks(STOLEN)
    theft.owner_asks()
    theft.owner_asks()
    begun_ms = scenario.clock.now_ms()
    scenario.wait(scenario.window_ms)
    owner = theft.owner
    scenario.require(session_seen_by_app(owner), SIGNED_OUT)
    scenario.wait(begun_ms + scenario.upload_ms - 1 - scenario.clock.now_ms())
    thief = scenario.fork(theft.loot[0 if which == STOLEN else -1], "the thief")
    is_in = _upload(thief)
    scenario.require(not is_in, "a thief with a long body is let in after upload_grace")
    if scenario.config.on_replay == "revoke":
        assert_signed_out(owner, reason="replayed")
