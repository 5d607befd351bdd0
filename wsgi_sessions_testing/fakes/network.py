"""``Network``: loses, delays and repeats what travels between a browser and the app."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from webob import Response  # type: ignore[import-untyped, unused-ignore]

from wsgi_sessions.clock import Clock

from .clock import fake_clock

Meanwhile = Callable[[], object] | timedelta | float
"""What happens while something is slow: a call, or so much time (a number is seconds) passes."""


class Fate(Enum):
    """What becomes of one request and its response."""

    ARRIVES = "arrives"
    LOST = "lost"
    """The app has answered; the browser never gets the answer."""
    DELAYED = "delayed"
    """The browser takes the cookies when ``Network.deliver`` says so."""
    REPEATED = "repeated"
    """The browser takes the cookies at once, and once more at ``Network.deliver``."""
    SENT_TWICE = "sent twice"
    """The app gets the request twice; the browser gets the second answer alone."""
    UPLOADED_SLOWLY = "uploaded slowly"
    """The app gets the request, which has a long body, long after the browser has made it."""
    ANSWERED_SLOWLY = "answered slowly"
    """The app begins its answer long after it was asked."""


class LostResponse(Response):  # type: ignore[misc, unused-ignore]  # WebOb may be untyped
    """What a browser's call returns when the response never came: ``status_int`` is 0, no body.

    ``unseen`` is the app's answer, for the test to read.
    """

    def __init__(self, unseen: Response) -> None:
        super().__init__(status="0 Lost", body=b"", content_type=None)
        self.headers.clear()
        self.unseen = unseen


@dataclass(frozen=True, slots=True)
class HeldResponse:
    """A response whose cookies have not arrived yet; ``about`` says which one it is."""

    about: str
    take: Callable[[], None]
    owner: object = None


@dataclass(slots=True)
class _Rule:
    fate: Fate
    asked: int | None
    meanwhile: Meanwhile | None = None
    met: int = 0
    is_under_way: bool = False

    @property
    def is_used_up(self) -> bool:
        return self.asked is not None and self.met >= self.asked


class Trouble:
    """What happens to one request: its ``fate``, and what happens while it is slow."""

    def __init__(self, rule: _Rule | None = None) -> None:
        self.fate = Fate.ARRIVES if rule is None else rule.fate
        self.has_waited = False
        self._rule = rule

    def wait(self, clock: Clock) -> None:
        """Do what happens meanwhile, once; its requests are not slowed by the same block."""
        rule = self._rule
        if self.has_waited or rule is None or rule.meanwhile is None:
            return
        self.has_waited = True
        rule.is_under_way = True
        try:
            if callable(rule.meanwhile):
                rule.meanwhile()
            elif isinstance(rule.meanwhile, timedelta):
                fake_clock(clock).advance(rule.meanwhile)
            else:
                fake_clock(clock).advance(seconds=rule.meanwhile)
        finally:
            rule.is_under_way = False


class Network:
    """Loses, delays or repeats the next requests and responses of the browsers on it.

    Each method is a ``with`` block for the next ``count`` requests made in it, or for all of
    them without a count. Signing in, signing out and revoking are requests like others. Of
    nested blocks the inner one comes first. A block with no request, or fewer than ``count``,
    raises ``AssertionError``, because the test then shows nothing.
    """

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._held: list[HeldResponse] = []

    @contextmanager
    def losing_responses(self, count: int | None = None) -> Iterator[None]:
        """Have requests reach the app and their responses vanish: see ``LostResponse``."""
        with self._trouble(Fate.LOST, count):
            yield

    @contextmanager
    def delaying_responses(self, count: int | None = None) -> Iterator[None]:
        """Have the browser take a response's cookies only at ``deliver()``.

        The response itself is returned at once, so that the test can look at it.
        """
        with self._trouble(Fate.DELAYED, count):
            yield

    @contextmanager
    def repeating_responses(self, count: int | None = None) -> Iterator[None]:
        """Have the browser take a response's cookies at once and again at ``deliver()``."""
        with self._trouble(Fate.REPEATED, count):
            yield

    @contextmanager
    def repeating_requests(self, count: int | None = None) -> Iterator[None]:
        """Have the app get the same request twice; the browser gets the second answer alone."""
        with self._trouble(Fate.SENT_TWICE, count):
            yield

    @contextmanager
    def slow_uploads(self, meanwhile: Meanwhile, count: int | None = None) -> Iterator[None]:
        """Have requests reach the app long after they were made, as their bodies take so long.

        A request takes its cookies, then ``meanwhile()`` is called, which may move the clock
        and have the same browser send other requests; then the app gets it. A number (seconds)
        or a ``timedelta`` moves the clock alone. A body must be longer than 65,536 bytes
        (``ValueError``); a request without one is given a body of zeros.
        """
        with self._trouble(Fate.UPLOADED_SLOWLY, count, meanwhile):
            yield

    @contextmanager
    def slow_answers(self, meanwhile: Meanwhile, count: int | None = None) -> Iterator[None]:
        """Have the app answer requests long after it was asked.

        The session has been looked up and the app called; before its ``start_response`` reaches
        ``SessionMiddleware``, ``meanwhile()`` is called, or time passes: see ``slow_uploads``.
        """
        with self._trouble(Fate.ANSWERED_SLOWLY, count, meanwhile):
            yield

    @property
    def held(self) -> tuple[HeldResponse, ...]:
        """The responses on their way, the earliest first."""
        return tuple(self._held)

    def deliver(self, *held: HeldResponse, newest_first: bool = False) -> int:
        """Let responses arrive now: those given, in that order, else all; return how many."""
        arriving = held or (self.held[::-1] if newest_first else self.held)
        for response in arriving:
            if response not in self._held:
                raise LookupError(f"{response.about} is not on its way; see network.held")
            self._held.remove(response)
            response.take()
        return len(arriving)

    def next_trouble(self) -> Trouble:
        """Return what happens to the request about to be sent; a browser asks once for each."""
        for rule in reversed(self._rules):
            if not rule.is_used_up and not rule.is_under_way:
                rule.met += 1
                return Trouble(rule)
        return Trouble()

    def hold(self, about: str, take: Callable[[], None], *, owner: object = None) -> None:
        """Keep a response until ``deliver()``, or until ``drop`` of its owner."""
        self._held.append(HeldResponse(about, take, owner))

    def drop(self, owner: object) -> int:
        """Lose the responses on their way to an owner; return how many."""
        count_before = len(self._held)
        self._held = [response for response in self._held if response.owner is not owner]
        return count_before - len(self._held)

    @contextmanager
    def _trouble(
        self, fate: Fate, count: int | None, meanwhile: Meanwhile | None = None
    ) -> Iterator[None]:
        if meanwhile is not None:
            _check_meanwhile(meanwhile)
        if count is not None and (isinstance(count, bool) or count < 1):
            raise ValueError(f"{count!r} is no number of responses; give 1 or more, or nothing")
        rule = _Rule(fate, count, meanwhile)
        self._rules.append(rule)
        try:
            yield
        finally:
            # By identity: two blocks may ask for the same.
            self._rules = [known for known in self._rules if known is not rule]
        if rule.asked is None and not rule.met:
            raise AssertionError(
                f"what comes was to be {fate.value}, but no request was made within the block, "
                "so the test shows nothing"
            )
        if rule.asked is not None and not rule.is_used_up:
            raise AssertionError(
                f"{rule.asked} were to be {fate.value}, but only {rule.met} "
                "requests were made within the block"
            )

    def __repr__(self) -> str:
        return f"<Network with {len(self._held)} responses on their way>"


def _check_meanwhile(meanwhile: Meanwhile) -> None:
    if callable(meanwhile):
        return
    if isinstance(meanwhile, bool) or not isinstance(meanwhile, (int, float, timedelta)):
        raise TypeError(
            f"meanwhile is {meanwhile!r}; give what happens meanwhile, such as "
            "lambda: browser.get('/'), or how long it takes: seconds or a timedelta"
        )
    seconds = meanwhile.total_seconds() if isinstance(meanwhile, timedelta) else meanwhile
    if seconds <= 0:
        raise ValueError(f"meanwhile is {meanwhile!r}, which is not slow; give more than 0")
