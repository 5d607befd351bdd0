"""``Schedules``: parallel requests, one step at a time, in chosen or in all orders.

Without threads and without sleeping: each request pauses at its points (read, write, respond),
and the order says which one runs next. Needs ``greenlet``, which the extra ``testing`` brings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import nullcontext
from inspect import isgenerator
from math import factorial
from typing import TYPE_CHECKING, Any

from .bench import MEMORY, Bench
from .extras import from_extra
from .fakes.clock import FakeClock
from .fakes.databases import added_rows_removed
from .fakes.instrumentation import paused_by

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Request = Callable[[], Any]
Story = Callable[[Bench], Generator[Sequence[Request], list[Any], Any]]

MAX_ORDERS = 5000


class TooManySchedules(Exception):  # noqa: N818  says what is the matter
    """There are more orders than can be walked."""


class _ScheduledRequest:
    """One request, which runs from point to point."""

    def __init__(self, number: int, request: Request) -> None:
        with from_extra("testing", "greenlet", "the walk of schedules"):
            from greenlet import greenlet

        self.number = number
        self.result: Any = None
        self.error: BaseException | None = None
        self._request = request
        self._greenlet = greenlet(self._run)

    @property
    def is_done(self) -> bool:
        return bool(self._greenlet.dead)

    def step(self) -> None:
        """Run to the next point, or to the end."""
        with paused_by(self._pause):
            self._greenlet.switch()

    def kill(self) -> None:
        if self._greenlet and not self.is_done:
            self._greenlet.throw()

    def _pause(self, _point: str) -> None:
        parent = self._greenlet.parent
        assert parent is not None
        parent.switch()

    def _run(self) -> None:
        try:
            self.result = self._request()
        except Exception as error:
            self.error = error


class Schedules:
    """Runs requests in parallel, deterministically.

    They share one thread, and each has a context (``contextvars``) of its own; so a framework
    that keeps the request in a ``threading.local``, as Bottle does, mixes them up.

    >>> def app(environ, start_response):
    ...     start_response("200 OK", [("Content-Type", "text/plain")])
    ...     return [b"hello"]
    >>> def two_tabs_at_refresh_time(bench):
    ...     browser = bench.new_browser()
    ...     browser.sign_in("ada@example.org")
    ...     bench.clock.advance(days=1)
    ...     yield [lambda: browser.get("/a"), lambda: browser.get("/b")]
    ...     assert browser.session is not None
    >>> Schedules(app).walk(two_tabs_at_refresh_time) > 20
    True
    """

    def __init__(self, app: WSGIApplication, **options: Any) -> None:
        """Take the application, and what ``Bench`` takes for each run."""
        self._app = app
        self._options = options

    def run(self, *requests: Request, order: Sequence[int] = ()) -> list[Any]:
        """Run requests in parallel and return what each returned.

        ``order`` says which request takes the next step, by position; once it is used up, the
        first request that is not done runs. What a request raises is raised at the end.

        >>> def app(environ, start_response):
        ...     start_response("200 OK", [("Content-Type", "text/plain")])
        ...     return [b"hello"]
        >>> with Bench(app) as bench:
        ...     browser = bench.new_browser()
        ...     session = browser.sign_in("ada@example.org")
        ...     answers = Schedules(app).run(
        ...         lambda: browser.get("/a"), lambda: browser.get("/b"), order=[0, 1, 1, 0]
        ...     )
        >>> [answer.status_int for answer in answers]
        [200, 200]
        """
        for position in order:
            if isinstance(position, bool) or not 0 <= position < len(requests):
                raise ValueError(
                    f"order has {position!r}, but the {len(requests)} requests are numbered "
                    f"0 to {len(requests) - 1}"
                )
        return _run(requests, list(order), [])

    def walk(self, story: Story, *, at_most: int = MAX_ORDERS) -> int:
        """Run a story once for every order of its parallel part; return how many there were.

        ``story(bench)`` is a generator: it prepares a fresh ``Bench``, yields a list of requests
        to run in parallel, is sent what they returned, and checks. A ``clock`` that was given
        is set back before each run and at the end; of a ``database`` that was given, added rows
        are removed and changed ones stay changed. A failure names its order, which
        ``run(…, order=…)`` repeats. Raises ``TooManySchedules`` as soon as the first run shows
        that there are more than ``at_most`` orders.
        """
        prefix: list[int] | None = []
        count = 0
        clock: FakeClock | None = self._options.get("clock")
        start = None if clock is None else clock.now()
        while prefix is not None:
            choices: list[tuple[int, list[int]]] = []
            try:
                self._run_story(story, prefix, choices)
            except Exception as error:
                order = [chosen for chosen, _ in choices]
                raise AssertionError(f"{error}\nin the order {order}") from error
            finally:
                if clock is not None and start is not None:
                    clock.travel_to(start)
            count += 1
            prefix = _next_order(choices)
            if prefix is not None:
                _refuse_too_many(count, _count_orders(choices) if count == 1 else 0, at_most)
        return count

    def _run_story(
        self, story: Story, prefix: list[int], choices: list[tuple[int, list[int]]]
    ) -> None:
        is_shared = self._options.get("database") not in (None, MEMORY)
        with (
            Bench(self._app, **self._options) as bench,
            added_rows_removed(bench.manager) if is_shared else nullcontext(),
        ):
            begun = story(bench)
            requests = next(begun, None) if isgenerator(begun) else None
            if not isinstance(requests, (list, tuple)) or not all(map(callable, requests)):
                raise TypeError(
                    "a story yields its parallel requests: yield [lambda: browser.get('/'), …]"
                )
            results = _run(requests, prefix, choices)
            try:
                begun.send(results)
            except StopIteration:
                return
            raise TypeError("a story yields once; what comes after are its checks")


def _refuse_too_many(count: int, estimate: int, at_most: int) -> None:
    """Raise ``TooManySchedules`` if there are too many: more than ``count``, or an estimate."""
    if max(count + 1, estimate) > at_most:
        many = f"about {estimate}" if estimate else f"more than {at_most}"
        raise TooManySchedules(
            f"there are {many} orders, and at_most is {at_most}; run fewer requests in parallel, "
            f"or say how many you have time for: walk(story, at_most={2 * max(count, estimate)})"
        )


def _count_orders(choices: Sequence[tuple[int, list[int]]]) -> int:
    """Return how many orders there are if every request takes as many steps as in this one."""
    orders = factorial(len(choices))
    for step_count in Counter(chosen for chosen, _ in choices).values():
        orders //= factorial(step_count)
    return orders


def _run(
    requests: Sequence[Request], order: list[int], choices: list[tuple[int, list[int]]]
) -> list[Any]:
    scheduled = [_ScheduledRequest(number, request) for number, request in enumerate(requests)]
    try:
        for step in range(1_000_000):
            running = [request.number for request in scheduled if not request.is_done]
            if not running:
                break
            chosen = order[step] if step < len(order) else running[0]
            if chosen not in running:
                chosen = running[0]
            choices.append((chosen, running))
            scheduled[chosen].step()
    finally:
        for request in scheduled:
            request.kill()
    for request in scheduled:
        if request.error is not None:
            raise request.error
    return [request.result for request in scheduled]


def _next_order(choices: list[tuple[int, list[int]]]) -> list[int] | None:
    """Return the shortest beginning of an order that was not run yet, depth first."""
    for step in range(len(choices) - 1, -1, -1):
        chosen, running = choices[step]
        later = [number for number in running if number > chosen]
        if later:
            return [number for number, _ in choices[:step]] + [later[0]]
    return None
