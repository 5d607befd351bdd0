"""The outbox of one response: cookies that wait until the headers go out.

Must not end or begin a session: it only renders what has happened to one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .cookies import PresentedCookies
from .manager import SessionManager
from .policy import cached_copy_end_ms
from .records import SessionRecord, UserRecord
from .response_headers import HeaderLines
from .validation import Validation

__all__ = ["Outbox"]


class _Copy(NamedTuple):
    """What a cached copy is sealed from, and the token that it stands beside."""

    record: SessionRecord
    user: UserRecord | None
    token_text: str
    now_ms: int


class Outbox:
    """``Set-Cookie`` lines for one browser; a later posting takes the place of what it undoes."""

    __slots__ = ("_copied_token", "_is_outdated", "_is_secure", "_manager", "lines")

    def __init__(self, manager: SessionManager, *, is_secure: bool) -> None:
        self.lines: HeaderLines = []
        self._manager = manager
        self._is_secure = is_secure
        self._copied_token: str | None = None
        self._is_outdated = False

    def copy(self) -> Outbox:
        """Return an outbox with the same cookies, to be posted to apart from this one."""
        twin = Outbox(self._manager, is_secure=self._is_secure)
        twin.lines, twin._copied_token = list(self.lines), self._copied_token
        return twin

    def post_after_validation(self, found: Validation, presented: PresentedCookies) -> None:
        """Post the token that was offered, or a cached copy where one is missing or outdated."""
        record, token = found.session, found.token
        if record is None or token is None:
            return
        if found.offer is not None:
            text = self._manager.signer.write(token.secret, found.offer)
            self.lines = [self._token_line(record, text)]
        elif found.may_be_copied:
            self._copied_token = token.text
            copy = _Copy(record, found.user, token.text, found.now_ms)
            if self._has_cache and not self._is_there(presented, copy):
                self._post(copy)
                if not self.lines and self._is_outdated:
                    self._post_clearing()

    def post_session(self, record: SessionRecord, user: UserRecord | None, token_text: str) -> None:
        """Post the first token of a session that has just begun, and its copy."""
        self.lines = [self._token_line(record, token_text)]
        self._copied_token = token_text
        if user is not None and self._has_cache:
            self._post(_Copy(record, user, token_text, record.created_at_ms))

    def post_copy_anew(self, record: SessionRecord, user: UserRecord) -> None:
        """Have the browser's copy replaced, or dropped where its token is about to change."""
        if not self._has_cache:
            return
        name = self._manager.cookies.cache_name(is_secure=self._is_secure)
        self.lines = [line for line in self.lines if not line[1].startswith(f"{name}=")]
        kept = len(self.lines)
        if self._copied_token is not None:
            self._post(_Copy(record, user, self._copied_token, self._manager.clock.now_ms()))
        if len(self.lines) == kept:
            self._post_clearing()

    def post_leaving(self) -> None:
        """Post that both cookies go."""
        self.lines = self._manager.cookies.clear(is_secure=self._is_secure)

    @property
    def _has_cache(self) -> bool:
        return self._manager.config.cookie_cache.enabled

    def _is_there(self, presented: PresentedCookies, copy: _Copy) -> bool:
        if not presented.cached_texts:
            return False
        reading = self._manager.feed.current()
        if reading is None:
            return True  # as far as anybody can tell now
        found = self._manager.validator.find_good_copy(
            presented, copy.token_text, reading=reading, now_ms=copy.now_ms
        )
        if found is None or reading.is_revoked(found.session.id, found.issued_at_ms):
            return False
        self._is_outdated = _shown(found.session, found.user) != _shown(copy.record, copy.user)
        return not self._is_outdated

    def _post_clearing(self) -> None:
        self.lines.append(self._manager.cookies.clear_cached_copy(is_secure=self._is_secure))

    def _post(self, copy: _Copy) -> None:
        manager, record = self._manager, copy.record
        ends_at_ms = cached_copy_end_ms(record, now_ms=copy.now_ms, config=manager.config)
        if ends_at_ms <= copy.now_ms:
            return
        reading = manager.feed.for_sealing()
        if reading is None or reading.is_revoked(record.id, copy.now_ms):
            return
        text = manager.cache.seal(
            record,
            copy.user,
            database_secret=reading.database_secret,
            token_text=copy.token_text,
            issued_at_ms=copy.now_ms,
            ends_at_ms=ends_at_ms,
        )
        if text is None:
            return
        max_age_s = -((copy.now_ms - ends_at_ms) // 1000) if record.remember else None
        line = manager.cookies.set_cached_copy(text, is_secure=self._is_secure, max_age_s=max_age_s)
        if line is None:
            manager.report_copy_too_large(record.id)
        else:
            self.lines.append(line)

    def _token_line(self, record: SessionRecord, text: str) -> tuple[str, str]:
        return self._manager.cookies.set_token(
            text, is_secure=self._is_secure, remember=bool(record.remember)
        )

    def __repr__(self) -> str:
        return f"Outbox(<{len(self.lines)} cookies>)"


def _shown(record: SessionRecord, user: UserRecord | None) -> tuple[Any, ...]:
    """Return what readers see of a session; when it was last seen may be older in a copy."""
    shown = record._replace(last_seen_at_ms=0, data="", data_version=0)
    return (*shown, user)
