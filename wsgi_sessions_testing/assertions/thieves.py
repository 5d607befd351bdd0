"""Stories of thieves on line, for ``assert_rotation_safe``: until when they may be let in.

Must not know the rules by which the product tells a thief: they are judged by who they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import product

from wsgi_sessions.records import PresentedToken

from ..browser.browser import Browser
from .rotation_setup import Stage
from .sessions import assert_signed_out
from .steps import session_seen_by_app

__all__ = ["play_thieves"]

STOLEN, OFFERED, CAUGHT_UP = "stolen", "offered", "caught up"


class _Duel:
    """A browser, its owner's, and a thief with a copy of its jar from before the rotation.

    The thief keeps every jar that he ever had. What is claimed: once a token of a later
    generation than the stolen one has been presented, the owner's first request after the
    window decides. If the owner is let in, nothing that the thief has is any good; else, where
    the thief asked first, the session has ended and both are out.
    """

    def __init__(self, stage: Stage, what: str, *, due_in_ms: int = 0) -> None:
        self.stage = stage
        self.owner = stage.begin(what, due_in_ms=due_in_ms)
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
        return self._since_ms + self.stage.window_ms

    def steal(self) -> None:
        """Copy the owner's jar as it is."""
        self._keep(self.owner)

    def owner_asks(self) -> None:
        """Have the owner ask; claim that they are let in, or that the thief was first."""
        if self.is_decided:
            return
        token = self._token_of(self.owner)
        if session_seen_by_app(self.owner) is None:
            self.stage.must(
                self._is_thief_first,
                "the browser was signed out while a thief asked, who had not asked after the "
                "window before it",
            )
            self._claim_that_both_are_out()
            return
        self._note(token)
        is_after_window = self._newest is not None and self._now_ms >= self.window_end_ms
        if is_after_window and token is not None and self._is_newest(token):
            self.is_decided = True
            self._claim_that_thief_is_out()

    def thief_asks(self, which: str) -> None:
        """Have the thief ask with what he stole, or was offered last, or given to catch up."""
        jar = self._choose(which)
        if jar is None or self.is_decided:
            return
        self._ask_as_thief(jar)

    def until(self, instant_ms: int, *, is_owner_there: bool = True) -> None:
        """Let time pass until an instant; who has to be in use meanwhile is whoever is there."""
        user = self.owner if is_owner_there else self._choose(OFFERED)
        self.stage.wait(max(0, instant_ms - self._now_ms), user=user)

    def _ask_as_thief(self, jar: Browser) -> bool:
        token, attempt = self._token_of(jar), self.stage.part_of(jar, "the thief")
        if session_seen_by_app(attempt) is None:
            return False
        takes_over = self._note(token)
        is_after_window = self._newest is not None and self._now_ms >= self.window_end_ms
        self._is_thief_first = self._is_thief_first or is_after_window or takes_over
        if dict(attempt.cookies) != dict(jar.cookies):
            self._keep(attempt)
        return True

    def _keep(self, jar: Browser) -> None:
        """Keep a copy of a jar; what it holds is sent for ever, whatever Max-Age says."""
        kept = self.stage.part_of(jar, "the thief")
        kept.cookies = jar.cookies.copy(ignores_max_age=True)
        self.loot.append(kept)

    def _note(self, token: PresentedToken | None) -> bool:
        """Note what a request that was let in presented; tell whether it began a window."""
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

    def _claim_that_thief_is_out(self) -> None:
        """Claim it of everything he has; the first that he really shows ends the session."""
        stage = self.stage
        what = "a thief is let in after the browser has asked, after the window"
        for jar in self.loot:
            stage.must(jar.session is None, what)
        for jar in self._promising():
            stage.must(not self._ask_as_thief(jar), what)
        if stage.config.on_replay == "revoke":
            assert_signed_out(self.owner, reason="replayed")

    def _claim_that_both_are_out(self) -> None:
        self.is_decided = True
        if self.stage.config.on_replay == "revoke":
            assert_signed_out(self.owner, reason="replayed")
            self.stage.away(self.stage.config.revocation_lag_ms)
            for jar in self._promising():
                is_in = self._ask_as_thief(jar)
                self.stage.must(not is_in, "a thief is let in by a session that has ended")

    def _promising(self) -> list[Browser]:
        """Return the jars that are really tried in the end: the last, and each with a copy."""
        name = self.stage.manager.cookies.cache_name(is_secure=self.owner._is_secure)
        return [jar for jar in self.loot if jar is self.loot[-1] or name in jar.cookies]

    def _token_of(self, browser: Browser) -> PresentedToken | None:
        return self.stage.manager.signer.read(browser.session_token or "")

    @property
    def _now_ms(self) -> int:
        return self.stage.clock.now_ms()


def play_thieves(stage: Stage) -> None:
    """Play every story; each sets the stage anew."""
    for confirms_first, catches_up, is_first_at_end in product(
        ("owner", "thief"), (None, "at once", "at the end"), ("owner", "thief")
    ):
        _play_owner_there(
            stage,
            confirms_first=confirms_first,
            catches_up=catches_up,
            is_first_at_end=is_first_at_end,
        )
    for comes_at_ms, has_caught_up, is_first_at_end in _returns(stage):
        _play_owner_away(
            stage,
            comes_at_ms=comes_at_ms,
            catches_up=has_caught_up,
            is_first_at_end=is_first_at_end,
        )
    _play_restless(stage)
    _play_copy_from_before(stage)
    _play_lost_before(stage)
    for which in (STOLEN, OFFERED):
        _play_endless_upload(stage, which)


def _play_owner_there(
    stage: Stage, *, confirms_first: str, catches_up: str | None, is_first_at_end: str
) -> None:
    """Both ask when the token is due, and are given a next one each."""
    duel = _Duel(
        stage,
        f"a thief asks whenever the owner does: first to confirm is the {confirms_first}, first "
        f"after the window the {is_first_at_end}"
        + ("" if catches_up is None else f"; the thief catches up {catches_up}"),
    )
    duel.steal()
    order = ("owner", "thief") if confirms_first == "owner" else ("thief", "owner")
    _both_ask(duel, order, STOLEN)
    _both_ask(duel, order, OFFERED)
    begun_ms = stage.clock.now_ms()
    duel.until(begun_ms + stage.grace_ms - 1)
    _both_ask(duel, order, OFFERED)
    if catches_up is not None:
        duel.until(begun_ms + stage.grace_ms)
        duel.thief_asks(STOLEN)
    if catches_up == "at once":
        duel.thief_asks(CAUGHT_UP)
    duel.until(begun_ms + stage.window_ms - 1)
    if catches_up == "at the end":
        duel.thief_asks(CAUGHT_UP)
    _both_ask(duel, order, OFFERED)
    _end(duel, is_first_at_end)


def _play_restless(stage: Stage) -> None:
    """The thief catches up before the end of every window, to put it off."""
    duel = _Duel(stage, "a thief catches up again and again")
    duel.steal()
    _both_ask(duel, ("owner", "thief"), STOLEN)
    _both_ask(duel, ("owner", "thief"), OFFERED)
    begun_ms = stage.clock.now_ms()
    for _ in range(2):
        duel.until(duel.window_end_ms - 1)
        duel.thief_asks(STOLEN)
        duel.thief_asks(CAUGHT_UP)
        duel.owner_asks()
    duel.until(begun_ms + 2 * stage.window_ms)
    duel.owner_asks()


def _returns(stage: Stage) -> Iterator[tuple[int, bool, str]]:
    """Go through when the owner comes back, whether the thief had caught up, who asks first."""
    for comes_at_ms in (0, stage.grace_ms - 1, stage.grace_ms, stage.window_ms - 1):
        yield comes_at_ms, False, "owner"
        yield comes_at_ms, False, "thief"
    for comes_at_ms in (stage.grace_ms, stage.window_ms):
        yield comes_at_ms, True, "owner"
    yield stage.window_ms, False, "owner"
    yield stage.window_ms, False, "thief"


def _play_owner_away(
    stage: Stage, *, comes_at_ms: int, catches_up: bool, is_first_at_end: str
) -> None:
    """The thief alone is there when the token is due; the owner comes back so much later."""
    duel = _Duel(
        stage,
        f"a thief confirms a rotation while the owner is away for {comes_at_ms / 1000:g} s"
        + (", and catches up" if catches_up else ""),
    )
    duel.steal()
    duel.thief_asks(STOLEN)
    duel.thief_asks(OFFERED)
    begun_ms = stage.clock.now_ms()
    if catches_up:
        duel.until(begun_ms + stage.grace_ms, is_owner_there=False)
        duel.thief_asks(STOLEN)
        duel.thief_asks(CAUGHT_UP)
    duel.until(begun_ms + comes_at_ms, is_owner_there=False)
    if comes_at_ms == stage.window_ms and is_first_at_end == "thief":
        duel.thief_asks(OFFERED)
    duel.owner_asks()
    if comes_at_ms < stage.grace_ms:
        duel.until(begun_ms + stage.grace_ms)
        duel.owner_asks()
    duel.owner_asks()
    duel.thief_asks(OFFERED)
    _end(duel, is_first_at_end)


def _end(duel: _Duel, is_first: str) -> None:
    """Come to just before and just after the end of the last window."""
    duel.until(duel.window_end_ms - 1)
    duel.thief_asks(OFFERED)
    duel.owner_asks()
    duel.until(duel.window_end_ms)
    if is_first == "thief":
        duel.thief_asks(OFFERED)
    duel.owner_asks()
    duel.stage.must(duel.has_rotated, "no token was rotated though it was due")
    duel.stage.must(
        duel.is_decided, "it is not decided after the window who has the session: both are let in"
    )


def _both_ask(duel: _Duel, order: tuple[str, str], which: str) -> None:
    for who in order:
        if who == "owner":
            duel.owner_asks()
        else:
            duel.thief_asks(which)


def _play_copy_from_before(stage: Stage) -> None:
    """The stolen jar holds a cached copy from shortly before the rotation."""
    if not stage.config.cookie_cache.enabled:
        return
    duel = _Duel(
        stage,
        "a thief has a cached copy from before the rotation",
        due_in_ms=stage.grace_ms + 1000,
    )
    duel.owner_asks()
    duel.steal()
    stage.wait(stage.grace_ms + 1000)
    duel.owner_asks()
    duel.owner_asks()
    _end(duel, "owner")


def _play_lost_before(stage: Stage) -> None:
    """What lost an earlier rotation comes back after the next: within the grace, after, late."""
    for generation, when_ms, has_long_body in product((0, 1), (0, stage.grace_ms), (False, True)):
        what = "two rotations before" if generation == 0 else "a sibling that lost the one before"
        owner = stage.begin(f"a thief has the token of {what}", generation=1)
        thief = stage.part_of(owner, "the thief")
        held = owner.session_token
        assert held is not None, "it was just given"
        stage.give(thief, stage.sibling_of(held, generation=generation))
        for _ in range(2):
            stage.must(session_seen_by_app(owner), "a browser was signed out by its own rotation")
        stage.wait(when_ms)
        is_in = _upload(thief) if has_long_body else session_seen_by_app(thief)
        stage.must(not is_in, f"a stolen token is taken: that of {what}")
        if stage.config.on_replay == "revoke":
            assert_signed_out(owner, reason="replayed")


def _upload(browser: Browser) -> bool:
    with browser.network.slow_uploads(timedelta(milliseconds=1), 1):
        seen = browser._with_handle("look", lambda h: h.session, network=browser.network)
    return seen is not None


def _play_endless_upload(stage: Stage, which: str) -> None:
    """Long bodies keep a thief in until ``upload_grace`` is over, and no longer."""
    duel = _Duel(stage, f"a thief sends long bodies, with a token that he has {which}")
    duel.steal()
    duel.thief_asks(STOLEN)
    duel.owner_asks()
    duel.owner_asks()
    begun_ms = stage.clock.now_ms()
    stage.wait(stage.window_ms)
    owner = duel.owner
    stage.must(session_seen_by_app(owner), "a browser was signed out by its own rotation")
    stage.wait(begun_ms + stage.upload_ms - 1 - stage.clock.now_ms())
    thief = stage.part_of(duel.loot[0 if which == STOLEN else -1], "the thief")
    is_in = _upload(thief)
    stage.must(not is_in, "a thief with a long body is let in after upload_grace")
    if stage.config.on_replay == "revoke":
        assert_signed_out(owner, reason="replayed")
