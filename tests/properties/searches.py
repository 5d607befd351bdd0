"""Every search: what holds over all states, what no longer holds, and what each rule is for.

``python -m tests.properties`` prints them. Each search says what is expected of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from wsgi_sessions.records import Outcome
from wsgi_sessions.sessions.policy import judge

from .feed import MUTATIONS as FEED_MUTATIONS
from .feed import FeedBounds, FeedWorld, S, T
from .honest import HonestWorld
from .honest_states import HonestBounds
from .lagging import LagBounds, SessionOnNodes, UserBounds, UserOnNodes
from .mutations import mutated_judge
from .relative import Bench, Row, Settings, is_what_was_judged
from .search import Found, search
from .step_ups import StepUpBounds, StepUpWorld, Way
from .thief import ThiefBounds, ThiefWorld


class Search(NamedTuple):
    """One search; its bounds tell of what: an honest browser (I1), a thief (I2), the feed (I6), a
    step-up, nodes that lag."""

    name: str
    bounds: HonestBounds | ThiefBounds | StepUpBounds | FeedBounds | LagBounds | UserBounds = (
        HonestBounds()
    )
    settings: Settings = Settings()
    mutation: str | None = None
    breaks: str | None = None
    """The invariant that does not hold, or None."""
    least_states: int = 1
    """So many there are, or the search has gone nowhere."""
    is_deep: bool = False
    """Whether it takes so long that CI has it with CI_FULL=1 alone."""
    must_see: frozenset[Outcome] = frozenset()

    def run(self) -> tuple[Found, frozenset[Outcome]]:
        """Search, and tell what was found and which outcomes there were on the way."""
        if isinstance(self.bounds, StepUpBounds):
            step_ups = StepUpWorld(self.bounds)
            return search(step_ups.start, step_ups.steps), frozenset()
        if isinstance(self.bounds, FeedBounds):
            feed = FeedWorld(self.bounds)
            return search(feed.start, feed.steps), frozenset()
        if isinstance(self.bounds, LagBounds):
            session = SessionOnNodes(self.bounds)
            return search(session.start, session.steps), frozenset()
        if isinstance(self.bounds, UserBounds):
            user = UserOnNodes(self.bounds)
            return search(user.start, user.steps), frozenset()
        bench = Bench(
            judge if self.mutation is None else mutated_judge(self.mutation), self.settings
        )
        if isinstance(self.bounds, HonestBounds):
            honest = HonestWorld(bench, self.bounds)
            found = search(honest.start, honest.steps)
        else:
            thief = ThiefWorld(bench, self.bounds)
            found = search(thief.start, thief.steps)
        return found, bench.outcomes


FINER = Settings(grace=3, interval=16, upload_grace=9)
"""Time in finer units, so that a round trip can last two of them, or clocks can differ."""
UPLOADS = Settings(upload_grace=12, interval=17)
"""An upload may last as long as is promised for these: less than 12 units by two graces."""
REFRESHED = Settings(update_age=11, expires_in=22)
"""The shortest lifetime that the settings' checks allow: every moment near an end is walked."""
CRASHING = REFRESHED._replace(expires_in=23)
IDLE = Settings(idle_timeout=5)
SHORT = Settings(remember=False, short_expires_in=22)
REJECTED = Settings(on_replay="reject")

_USUAL = frozenset({Outcome.CONFIRM, Outcome.CURRENT, Outcome.GRACE, Outcome.SETTLE})
_CRASH = _USUAL | {Outcome.CATCH_UP, Outcome.TAKE_OVER}
_LONG = _USUAL | {Outcome.LATE}
_THIEF = _CRASH | {Outcome.REPLAY}


def _honest(
    name: str,
    least_states: int,
    settings: Settings = Settings(),  # noqa: B008
    *,
    is_deep: bool = False,
    **bounds: object,
) -> Search:
    must_see = _USUAL
    if bounds.get("kills"):
        must_see |= _CRASH
    if bounds.get("upload"):
        must_see |= _LONG
    return Search(
        name,
        HonestBounds(**bounds),  # type: ignore[arg-type]
        settings,
        least_states=least_states,
        is_deep=is_deep,
        must_see=must_see,
    )


def _thief(
    name: str,
    least_states: int,
    settings: Settings = Settings(),  # noqa: B008
    *,
    is_deep: bool = False,
    **bounds: object,
) -> Search:
    return Search(
        name,
        ThiefBounds(**bounds),  # type: ignore[arg-type]
        settings,
        least_states=least_states,
        is_deep=is_deep,
        must_see=_THIEF | ({Outcome.LATE} if bounds.get("has_uploads") else frozenset()),
    )


RULES = (
    _honest("2 requests in flight", 500),
    _honest("3 in flight", 2_000, flights=3),
    _honest("4 in flight", 8_000, flights=4),
    _honest("5 in flight", 20_000, flights=5, is_deep=True),
    _honest("3 in flight, finer units", 6_000, FINER, flights=3, transit=2),
    _honest("3 in flight, clocks apart", 3_000, FINER, flights=3, skew=1),
    _honest("3 in flight, a lost write", 10_000, flights=3, fail_overs=1),
    _honest("a kill in each generation", 6_000, kills=1),
    _honest("kills, a jar a grace old on disk", 6_000, kills=1, flush=2),
    _honest("kills, 3 in flight", 40_000, kills=1, flights=3, is_deep=True),
    _honest("kills, finer units", 18_000, FINER, kills=1, transit=2, flush=3),
    _honest("kills, finer units, 3 in flight", 150_000, FINER, kills=1, transit=2, flush=3, flights=3, is_deep=True),
    _honest("kills, a lost write", 35_000, kills=1, fail_overs=1),
    _honest("kills, clocks apart, a lost write", 80_000, FINER, kills=1, skew=1, fail_overs=1, is_deep=True),
    _honest("uploads", 4_000, UPLOADS, upload=7),
    _honest("uploads, 3 in flight", 35_000, UPLOADS, upload=7, flights=3, is_deep=True),
    _honest("uploads, kills", 30_000, UPLOADS, upload=7, kills=1),
    _honest("uploads, kills, a lost write", 150_000, UPLOADS, upload=7, kills=1, fail_overs=1, is_deep=True),
    _honest("read and write apart", 2_000, is_stepped=True),
    _honest("read and write apart, 3 in flight", 25_000, is_stepped=True, flights=3, is_deep=True),
    _honest("read and write apart, kills", 30_000, is_stepped=True, kills=1),
    _honest("read and write apart, kills, a lost write", 200_000, is_stepped=True, kills=1, fail_overs=1, is_deep=True),
    _honest("read and write apart, revoked", 4_000, is_stepped=True, is_revoked=True),
    _honest("slow answers", 2_000, is_slow=True),
    _honest("slow answers, kills", 15_000, is_slow=True, kills=1),
    _honest("slow answers, finer units", 3_000, FINER, is_slow=True),
    _honest("slow answers, kills, 3 in flight", 150_000, is_slow=True, kills=1, flights=3, is_deep=True),
    _honest("streams that read late, kills", 10_000, has_streams=True, kills=1),
    _honest("reading only, kills", 6_000, has_readers=True, kills=1),
    _honest("rotation turned off", 8_000, stops_rotating=True, flights=3),
    _honest("refreshed", 8_000, REFRESHED, needs_cookie=False),
    _honest("refreshed more often than rotated", 3_000, REFRESHED._replace(update_age=5, expires_in=16), needs_cookie=False),
    _honest("refreshed less often than rotated", 12_000, REFRESHED._replace(update_age=20, expires_in=31), needs_cookie=False),
    _honest("refreshed, read and write apart", 25_000, REFRESHED, needs_cookie=False, is_stepped=True),
    _honest("refreshed, rotation turned off", 22_000, REFRESHED, needs_cookie=False, stops_rotating=True),
    _honest("refreshed, a lost write", 45_000, REFRESHED, needs_cookie=False, fail_overs=1, is_deep=True),
    _honest("refreshed, uploads", 50_000, UPLOADS._replace(update_age=17, expires_in=34), needs_cookie=False, upload=7, is_deep=True),
    _honest("refreshed, kills", 100_000, CRASHING, needs_cookie=False, kills=1, is_deep=True),
    _honest("an idle limit", 1_000, IDLE),
    _honest("an idle limit, uploads", 2_000, IDLE._replace(upload_grace=12, interval=17), upload=3),
    _honest("an idle limit, read and write apart", 10_000, IDLE, is_stepped=True),
    _honest("an idle limit, read and write apart, kills", 150_000, IDLE, is_stepped=True, kills=1, is_deep=True),
    _honest("not remembered", 6_000, SHORT),
    _honest("not remembered, kills", 80_000, SHORT, kills=1, is_deep=True),
    _thief("a thief", 4_000),
    _thief("a thief who keeps 4 tokens", 9_000, keeps=4),
    _thief("2 thefts", 8_000, thefts=2),
    _thief("3 thefts, slow answers", 80_000, thefts=3, is_slow=True, is_deep=True),
    _thief("a thief, slow answers", 10_000, is_slow=True),
    _thief("a thief, uploads", 6_000, UPLOADS, has_uploads=True),
    _thief("a thief, reading only", 3_500, has_readers=True),
    _thief("a thief, uploads, reading only, 3 kept", 10_000, UPLOADS, has_uploads=True, has_readers=True, keeps=3, is_deep=True),
    _thief("a thief, clocks apart", 8_000, FINER, skew=1),
    _thief("a thief, kills of the owner's browser", 30_000, is_killed=True, needs_cookie=False, most_visits=(2, 3)),
    _thief("a thief, a lost write", 18_000, fail_overs=1, needs_cookie=False),
    _thief("a thief, a lost write, 3 kept, 2 thefts", 50_000, fail_overs=1, keeps=3, thefts=2, is_deep=True),
    _thief("a thief, refused without ending", 4_000, REJECTED),
    Search("a step-up by a second cookie, 3 in flight", StepUpBounds(), least_states=2_500),
    Search("2 step-ups by second cookies, 2 in flight", StepUpBounds(flights=2, step_ups=2), least_states=2_000),
    Search("a step-up by a second cookie, a thief from before", StepUpBounds(flights=1, has_thief=True), least_states=2_000),
    Search("nodes that lag: one session, 2 in flight", LagBounds(), least_states=1_000),
    Search("nodes that lag: one session, 3 in flight", LagBounds(flights=3, last_generation=1, most_tries=4), least_states=5_000),
    Search("nodes that lag: 3 sign-ins, limit 1", UserBounds(), least_states=1_000),
    Search("nodes that lag: 4 sign-ins, limit 2", UserBounds(sign_ins=4, limit=2), least_states=10_000),
    Search("the feed", FeedBounds(), least_states=150_000),
    Search("the feed, all counted every second unit", FeedBounds(recount=2), least_states=100_000),
    Search("the feed, one row a reading", FeedBounds(limit=1), least_states=250_000),
    Search("the feed, buckets of two units", FeedBounds(bucket=2), least_states=350_000, is_deep=True),
    Search("the feed, buckets of two units, one row a reading", FeedBounds(bucket=2, limit=1), least_states=600_000, is_deep=True),
    Search("the feed, purged", FeedBounds(is_purged=True), least_states=450_000, is_deep=True),
    Search("the feed, a lost write", FeedBounds(fail_overs=1), least_states=600_000, is_deep=True),
    Search("the feed, everything before an instant", FeedBounds(margin=S + T), least_states=150_000),
)  # fmt: skip
"""What holds in every state."""

LIMITS = (
    Search("a window of two round trips", HonestBounds(flights=3), Settings(window=2), breaks="I1"),
    _honest("a window of two round trips and a unit", 2_000, Settings(window=3), flights=3),
    Search(
        "that window, kills: without the time that cookies are off the disk",
        HonestBounds(flights=3, kills=1),
        Settings(window=3),
        breaks="I1",
    ),
    _honest("a window of all three, kills", 35_000, Settings(window=4), flights=3, kills=1, is_deep=True),
    Search("cookies off the disk for two graces", HonestBounds(kills=1, flush=4), breaks="I1"),
    Search("two kills in a generation", HonestBounds(kills=2), breaks="I1"),
    _honest("round trip and clocks' difference together a grace", 7_000, FINER, flights=3, skew=2),
    Search(
        "round trip and clocks' difference together a grace, kills",
        HonestBounds(kills=1, skew=2),
        FINER,
        breaks="I1",
    ),
    Search(
        "long bodies as late as upload_grace less a round trip",
        HonestBounds(upload=7),
        UPLOADS._replace(upload_grace=8),
        breaks="I1",
    ),
    _honest("long bodies, the least upload_grace", 4_000, UPLOADS._replace(upload_grace=9), upload=7),
    Search(
        "that upload_grace, kills",
        HonestBounds(kills=1, upload=7),
        UPLOADS._replace(upload_grace=9),
        breaks="I1",
    ),
    Search(
        "an interval shorter than upload_grace",
        HonestBounds(upload=7),
        UPLOADS._replace(interval=10),
        breaks="I1",
    ),
    Search(
        "a lifetime too short for a window and a pause",
        HonestBounds(needs_cookie=False),
        REFRESHED._replace(expires_in=16),
        breaks="I1",
    ),
    Search(
        "an answer that sleeps with the machine", HonestBounds(sleeping=1), breaks="I1"
    ),
    Search(
        "slow answers under way for longer than a grace",
        HonestBounds(is_slow=True, transit=2),
        FINER,
        breaks="I1",
    ),
    Search(
        "rotation turned off and a kill in one generation",
        HonestBounds(stops_rotating=True, kills=1),
        breaks="I1",
    ),
    Search(
        "a thief who was first, refused without ending: he keeps the session",
        ThiefBounds(counts_refused=True),
        REJECTED,
        breaks="I2",
    ),
    Search("a thief who was first is out at the owner's second request", ThiefBounds(most_visits=(0, 1)), breaks="I2"),
)  # fmt: skip
"""Where the promises end: one step beyond, each breaks."""


def _left_out(
    mutation: str,
    breaks: str,
    bounds: HonestBounds | ThiefBounds,
    settings: Settings = Settings(),  # noqa: B008
) -> Search:
    return Search(mutation, bounds, settings, mutation, breaks)


def _lands_whatever_was_judged(row: Row, judged: Row) -> bool:
    return not row.is_over


def _lands_on_any_branch(row: Row, judged: Row) -> bool:
    return is_what_was_judged(row._replace(branch=judged.branch), judged)


def _lands_settled_or_not(row: Row, judged: Row) -> bool:
    return is_what_was_judged(row._replace(is_settled=judged.is_settled), judged)


def _lands_after_the_end(row: Row, judged: Row) -> bool:
    return is_what_was_judged(row._replace(is_over=False), judged)


def _step_up(name: str, way: Way, *, leaves_thief_fresh: bool = False) -> Search:
    if leaves_thief_fresh:
        bounds = StepUpBounds(way, flights=1, has_thief=True)
        return Search(f"{name}, a thief", bounds, breaks="a thief from before a step-up is fresh")
    return Search(name, StepUpBounds(way), breaks="I1")


_WHERE_SEEN: dict[str, FeedBounds] = {
    "the feed: a reading that was cut short counts": FeedBounds(limit=1),
    "the feed: a reading that was cut short counts for the next one": FeedBounds(limit=1),
    "the feed: the last row is not looked at": FeedBounds(fail_overs=1),
    "the feed: rows are purged once they are too old for a reader": FeedBounds(is_purged=True),
}


def _feed(mutation: str) -> Search:
    bounds = _WHERE_SEEN.get(mutation, FeedBounds())._replace(without=mutation)
    return Search(mutation, bounds, breaks="I6")


_THREE, _KILLS = HonestBounds(flights=3), HonestBounds(kills=1)
_QUIET = HonestBounds(needs_cookie=False)
_HOARDER = ThiefBounds()

ALTERNATIVES = (
    _left_out("no grace", "I1", _THREE),
    _left_out("a grace that does not end", "I2", _HOARDER),
    _left_out("no catch-up", "I1", _KILLS),
    _left_out("catch-ups without a bound", "I2", _HOARDER),
    _left_out("a take-over that is not noted", "I2", _HOARDER),
    _left_out("a take-over after the settling", "I2", _HOARDER),
    _left_out("a take-over that leaves confirmed_at", "I1", _KILLS),
    _left_out("a confirmation that leaves caught_up", "I1", _KILLS),
    _left_out("a confirmation that leaves is_settled", "I1", _THREE),
    _left_out("siblings are replays after the window", "I1", _THREE),
    _left_out("siblings take over always", "I2", _HOARDER),
    _left_out("the token that counts does not settle", "I2", _HOARDER),
    _left_out("one sibling takes over once, and nothing else settles", "I2", _HOARDER),
    _left_out("cookies before it is settled", "I1", _THREE, Settings(window=3)),
    _left_out("any token of the generation before", "I2", _HOARDER),
    _left_out("the one before is the stored one, settled or not", "I1", HonestBounds(fail_overs=1)),
    _left_out("long bodies settle", "I1", HonestBounds(upload=7), UPLOADS),
    _left_out("long bodies are no later than others", "I1", HonestBounds(upload=7), UPLOADS),
    _left_out("no pause before a rotation", "I1", _KILLS),
    _left_out("no offer before it is due", "I1", _KILLS),
    _left_out("a pause that does not end where nothing rotates", "I1", HonestBounds(needs_cookie=False, stops_rotating=True), REFRESHED),
    _left_out("no offer", "I2", _THREE),
    _left_out("siblings and late ones do not touch", "I1", HonestBounds(), IDLE),
    _left_out("no refresh", "I1", _QUIET, REFRESHED._replace(update_age=20, expires_in=31)),
    _left_out("a refresh with each request", "I4", _QUIET, REFRESHED),
    _left_out("a confirmation prolongs what is not remembered", "I3", HonestBounds(), SHORT),
    _left_out("an expiry that is not looked at", "I3", _QUIET, REFRESHED),
    _left_out("an end that is not looked at", "I3", HonestBounds(is_revoked=True)),
    _left_out("reading only writes", "I4", HonestBounds(has_readers=True)),
    Search("the same offer for all", ThiefBounds(offers_alike=True), breaks="I2"),
    Search("an offer where the settling was not written", ThiefBounds(offers_without_writing=True), breaks="I2"),
    Search("siblings taken for catch-ups by comparing times", HonestBounds(kills=1, skew=1, marks_by_time=True), FINER, breaks="I1"),
    Search("a cookie that was decided long ago is sent", HonestBounds(is_slow=True, outdated_after=20), breaks="I1"),
    Search("a replay that is only read ends the session", HonestBounds(has_streams=True, ends_for_readers=True), breaks="I1"),
    Search("no compare-and-set", HonestBounds(is_stepped=True, lands=_lands_whatever_was_judged), breaks="I4"),
    Search("no comparing of branches", HonestBounds(is_stepped=True, kills=1, lands=_lands_on_any_branch), breaks="I4"),
    Search("no comparing whether it is settled", HonestBounds(is_stepped=True, lands=_lands_settled_or_not), breaks="I4"),
    Search("a write that lands after the end", HonestBounds(is_stepped=True, is_revoked=True, lands=_lands_after_the_end), breaks="I3"),
    *map(_feed, FEED_MUTATIONS),
    Search("the feed: everything before an instant, without the longest transaction", FeedBounds(margin=S), breaks="I6"),
    Search("nodes that lag: a stale no is believed", LagBounds(reads_again=False), breaks="I1"),
    Search("nodes that lag: read again without waiting", LagBounds(waits_again=False), breaks="I1"),
    Search("nodes that lag: the user is only locked, the limit", UserBounds(writes_user=False, has_change=False), breaks="I5"),
    Search("nodes that lag: the user is only locked, the password", UserBounds(writes_user=False, limit=9), breaks="a session of the old password"),
    _step_up("a step-up rotates at once", "rotated"),
    _step_up("a step-up rotates at once", "rotated", leaves_thief_fresh=True),
    _step_up("a step-up makes a rotation due", "due"),
    _step_up("a step-up makes a rotation due", "due", leaves_thief_fresh=True),
    _step_up("a step-up brings a generation of its own", "jump"),
    _step_up("a step-up is marked in the token", "mark"),
)  # fmt: skip
"""Each rule left out or put otherwise, and what breaks without it."""


def all_searches() -> Iterator[Search]:
    """Give every search, those of the rules first."""
    yield from RULES
    yield from LIMITS
    yield from ALTERNATIVES
