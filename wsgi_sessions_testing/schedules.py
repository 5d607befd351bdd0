"""``Schedules``: parallel requests, one step at a time, in chosen or in all orders.

Must not use threads or sleep: each request stops at its points (read, write, respond), and
whoever is chosen goes on. Needs the package ``greenlet``, which the extra ``testing`` brings.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from inspect import isgenerator
from typing import TYPE_CHECKING, Any

from . import seam
from .bench import Bench

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["Schedules", "TooManySchedules"]

Request = Callable[[], Any]
Story = Callable[[Bench], Generator[Sequence[Request], list[Any], Any]]

MOST_ORDERS = 5000


class TooManySchedules(Exception):  # noqa: N818  says what is the matter
    """There are more orders than can be walked."""


class _Flight:
    """One request on its way."""

    def __init__(self, number: int, request: Request) -> None:
        from greenlet import greenlet

        self.number = number
        self.points: list[str] = []
        self.result: Any = None
        self.error: BaseException | None = None
        self._request = request
        self._greenlet = greenlet(self._run)

    @property
    def is_over(self) -> bool:
        return bool(self._greenlet.dead)

    def go_on(self) -> None:
        """Run to the next point, or to the end."""
        seam._stop.append(self._stop)
        try:
            self._greenlet.switch()
        finally:
            seam._stop.pop()

    def kill(self) -> None:
        if self._greenlet and not self.is_over:
            self._greenlet.throw()

    def _stop(self, point: str) -> None:
        self.points.append(point)
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

        ``order`` says who takes the next step, by position, for as long as it lasts; then the
        first that is not done goes on. What a request raises is raised at the end.

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

    def walk(self, story: Story, *, at_most: int = MOST_ORDERS) -> int:
        """Play a story once for every order of its parallel part; return how many there were.

        ``story(bench)`` is a generator: it sets the scene on a fresh ``Bench``, yields a list
        of requests to run in parallel, is sent what they returned, and checks. A failure names
        its order, which ``run(…, order=…)`` repeats. Raises ``TooManySchedules`` after
        ``at_most`` orders.
        """
        prefix: list[int] | None = []
        count = 0
        while prefix is not None:
            if count >= at_most:
                raise TooManySchedules(
                    f"more than {at_most} orders; run fewer requests in parallel, or say how "
                    f"many you have time for: walk(story, at_most={at_most * 10})"
                )
            choices: list[tuple[int, list[int]]] = []
            try:
                self._play(story, prefix, choices)
            except Exception as error:
                order = [chosen for chosen, _ in choices]
                raise AssertionError(f"{error}\nin the order {order}") from error
            count += 1
            prefix = _next_order(choices)
        return count

    def _play(self, story: Story, prefix: list[int], choices: list[tuple[int, list[int]]]) -> None:
        with Bench(self._app, **self._options) as bench:
            scene = story(bench)
            requests = next(scene, None) if isgenerator(scene) else None
            if not isinstance(requests, (list, tuple)) or not all(map(callable, requests)):
                raise TypeError(
                    "a story yields its parallel requests: yield [lambda: browser.get('/'), …]"
                )
            results = _run(requests, prefix, choices)
            try:
                scene.send(results)
            except StopIteration:
                return
            raise TypeError("a story yields once; what comes after are its checks")


def _run(
    requests: Sequence[Request], order: list[int], choices: list[tuple[int, list[int]]]
) -> list[Any]:
    flights = [_Flight(number, request) for number, request in enumerate(requests)]
    try:
        for step in range(1_000_000):
            going = [flight.number for flight in flights if not flight.is_over]
            if not going:
                break
            chosen = order[step] if step < len(order) else going[0]
            if chosen not in going:
                chosen = going[0]
            choices.append((chosen, going))
            flights[chosen].go_on()
    finally:
        for flight in flights:
            flight.kill()
    for flight in flights:
        if flight.error is not None:
            raise flight.error
    return [flight.result for flight in flights]


def _next_order(choices: list[tuple[int, list[int]]]) -> list[int] | None:
    """Return the shortest beginning of an order that was not walked yet, depth first."""
    for step in range(len(choices) - 1, -1, -1):
        chosen, going = choices[step]
        later = [number for number in going if number > chosen]
        if later:
            return [number for number, _ in choices[:step]] + [later[0]]
    return None
