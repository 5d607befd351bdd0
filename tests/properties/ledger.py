"""What has happened to each session, told by writes and answers alone, and what follows.

It does not use how ``judge`` decides. The promises I2 and I4 are checked against it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

from wsgi_sessions.records import Change, SessionRecord

SECOND = 1000
GRACE = 60 * SECOND
WINDOW = 3 * GRACE
UPLOAD_GRACE = 600 * SECOND
UPDATE_AGE = 86_400 * SECOND
SKEWS = (0, 12 * SECOND)


@dataclass(frozen=True)
class Story:
    """One session's token."""

    generation: int = 0
    confirmed_at_ms: int = 0
    window_from_ms: int = 0
    """When it was confirmed, or taken over."""
    settles: int = 0
    take_overs: int = 0
    confirms: tuple[int, ...] = ()
    refreshes: tuple[int, ...] = ()


@dataclass
class Theft:
    """A copied jar, and all that the thief was offered for it."""

    session_id: str
    generation: int
    """Of the copied token: what was stolen is worth something until a later one has settled."""
    is_worthless: bool = False
    loot: list[dict[str, str]] = field(default_factory=list)
    """Cookies by name, once for each jar that the thief had."""


class Ledger:
    """The stories of all sessions and thefts."""

    def __init__(self) -> None:
        self.thefts: list[Theft] = []
        self.last_write: tuple[SessionRecord, Change] | None = None
        self._stories: dict[str, Story] = {}
        self._before: Story = Story()

    def story(self, session_id: str) -> Story:
        return self._stories.get(session_id, Story())

    def note_landed(self, judged: SessionRecord, change: Change, *, now_ms: int) -> None:
        """Take note of a write, and check that it was one of those a window costs (I4)."""
        story = self._before = self.story(judged.id)
        self.last_write = (judged, change)
        changes_nothing = all(
            getattr(change, name) == getattr(judged, name)
            for name in (*_TOKEN_FIELDS, "expires_at_ms", "last_seen_at_ms")
        )
        assert not changes_nothing, "I4: a write changes nothing"
        if change.generation > judged.generation:
            story = replace(
                story,
                generation=change.generation,
                confirmed_at_ms=now_ms,
                window_from_ms=now_ms,
                settles=0,
                take_overs=0,
                confirms=(*story.confirms, now_ms),
            )
        elif change.is_settled and not judged.is_settled:
            story = replace(story, settles=story.settles + 1)
        elif change.branch != judged.branch:
            story = replace(story, take_overs=story.take_overs + 1, window_from_ms=now_ms)
        if change.expires_at_ms != judged.expires_at_ms:
            story = replace(story, refreshes=(*story.refreshes, now_ms))
        self._stories[judged.id] = story

    def note_lost(self, session_id: str) -> None:
        """Take note that the last write is lost: what went with it may be good for once."""
        assert self.last_write is not None
        judged, change = self.last_write
        self.last_write = None
        is_of_token = any(
            getattr(judged, name) != getattr(change, name)
            for name in _TOKEN_FIELDS
            if name != "confirmed_at_ms"
        )
        story = self._before
        self._stories[session_id] = replace(story, refreshes=(), confirms=())
        for theft in self.thefts:
            if theft.session_id == session_id and is_of_token:
                theft.is_worthless = False
                theft.generation = max(theft.generation, story.generation + 1)

    def note_owner(
        self, session_id: str, generation: int, *, started_at_ms: int, is_upload: bool
    ) -> None:
        """Take note of a request of the owner that the database let in."""
        story = self.story(session_id)
        wait_ms = UPLOAD_GRACE if is_upload else WINDOW
        is_after = started_at_ms >= story.window_from_ms + wait_ms + max(SKEWS)
        if not is_after or generation != story.generation:
            return
        for theft in self.thefts:
            if theft.session_id == session_id and theft.generation < generation:
                theft.is_worthless = True

    def check_writes(self) -> None:
        """Check that a refresh window costs one write of each kind (I4)."""
        for story in self._stories.values():
            assert story.settles <= 1, "I4: a generation is settled twice"
            assert story.take_overs <= 1, "I4: a generation is taken over twice"
            for instants in (story.refreshes, story.confirms):
                for earlier, later in pairwise(instants):
                    assert later - earlier >= UPDATE_AGE - GRACE - max(SKEWS), "I4: written twice"


_TOKEN_FIELDS = (
    "generation",
    "branch",
    "branch_before",
    "is_settled",
    "caught_up",
    "confirmed_at_ms",
)
