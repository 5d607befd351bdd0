"""The cookies of one response, collected until its headers go out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..accounts.oidc.nonces import LIFETIME_MS
from ..light_dataclasses import dataclass
from ..parts import Parts
from ..records import SessionRecord, UserRecord
from ..sessions.policy import cached_copy_end_ms, cookie_lifetime_ms
from ..sessions.step_up import StepUp
from ..sessions.tokens import new_branch
from ..sessions.validation import Validation
from ..transport.cookies import PresentedCookies
from ..transport.response_headers import HeaderLines


class _Copy(NamedTuple):
    """What a cached copy is sealed from, and the token that it stands beside."""

    record: SessionRecord
    user: UserRecord | None
    token_text: str
    now_ms: int


class _Line(NamedTuple):
    """A header to send; after ``good_until_ms`` the other one, if any, takes its place."""

    header: tuple[str, str]
    good_until_ms: int | None = None
    instead: tuple[str, str] | None = None

    def header_at(self, now_ms: int) -> tuple[str, str] | None:
        is_good = self.good_until_ms is None or now_ms < self.good_until_ms
        return self.header if is_good else self.instead


@dataclass(slots=True, eq=False, repr=False)
class ResponseCookies:
    """``Set-Cookie`` lines for one browser; a later one takes the place of what it undoes.

    What was decided when the request was judged has a date: the answer may start minutes later,
    when the browser holds a later token, and would put its jar back.
    """

    parts: Parts
    is_secure: bool
    _lines: tuple[_Line, ...] = ()
    step_ups: tuple[str, ...] = ()
    _copied_token: str | None = None
    _is_outdated: bool = False

    @property
    def has_dated_lines(self) -> bool:
        """Whether what is to be sent hangs on when the answer starts."""
        return any(line.good_until_ms is not None for line in self._lines)

    def lines_now(self) -> HeaderLines:
        now_ms = self.parts.clock.now_ms()
        headers = [line.header_at(now_ms) for line in self._lines]
        return [header for header in headers if header is not None]

    def are_set_in(self, lines: HeaderLines) -> bool:
        """Return whether headers of the application set the cookie of a token already."""
        start = f"{self.parts.cookies.token_name(is_secure=self.is_secure)}="
        return any(
            name.lower() == "set-cookie" and value.startswith(start) for name, value in lines
        )

    def add_validated(self, found: Validation, presented: PresentedCookies) -> None:
        """Add the token that was offered, or a cached copy where one is missing or outdated."""
        record, token, offer = found.session, found.token, found.offer
        if record is None or token is None:
            return
        if offer is not None:
            branch = offer.branch or new_branch(is_catch_up=offer.is_catch_up)
            text = self.parts.signer.write(token.secret, offer.generation, branch)
            header = self._token_header(record, text, now_ms=found.now_ms)
            self._lines = (_Line(header, self._good_until_ms(found.now_ms)),)
        elif found.may_be_copied:
            self._copied_token = token.text
            copy = _Copy(record, found.user, token.text, found.now_ms)
            if self._has_cache and not self._is_there(presented, copy):
                self._add_copy(copy)
                if not self._lines and self._is_outdated:
                    self._add(self._clearing)

    def add_session(self, record: SessionRecord, user: UserRecord | None, token_text: str) -> None:
        """Add the first token of a session that has just begun, and its copy."""
        header = self._token_header(record, token_text, now_ms=record.created_at_ms)
        self._lines = (_Line(header),)
        self._copied_token = token_text
        if user is not None and self._has_cache:
            copy = _Copy(record, user, token_text, record.created_at_ms)
            self._add_copy(copy, is_of_act=True)

    def add_device(self, header: tuple[str, str]) -> None:
        """Add the cookie by which this browser is known again."""
        self._add(header)

    def add_nonce_key(self, text: str) -> None:
        """Add the cookie to which the nonces of this browser are bound."""
        self._add(
            self.parts.cookies.set_nonce_key(
                text, is_secure=self.is_secure, max_age_s=LIFETIME_MS // 1000
            )
        )

    def replace_copy(self, record: SessionRecord, user: UserRecord) -> None:
        """Replace the browser's copy, or clear it where its token is about to change."""
        if not self._has_cache:
            return
        self._lines = kept = self._lines_without(
            self.parts.cookies.cache_name(is_secure=self.is_secure)
        )
        if self._copied_token is not None:
            self._add_copy(_Copy(record, user, self._copied_token, self.parts.clock.now_ms()))
        if self._lines == kept:
            self._add(self._clearing)

    def add_step_up(self, step_up: StepUp, *, shown: Iterable[int] = ()) -> None:
        """Add the cookie of a step-up, unless a later one is shown; the token is left alone.

        By a provider, whose login may have been before the last password.
        """
        cookies, config = self.parts.cookies, self.parts.config
        now_ms = self.parts.clock.now_ms()
        if any(step_up.at_ms < at_ms <= now_ms for at_ms in shown):
            return
        left_ms = step_up.at_ms + config.fresh_age_ms - now_ms
        header = cookies.set_step_up(
            step_up.token, is_secure=self.is_secure, max_age_s=-(-left_ms // 1000)
        )
        self._lines = self._lines_without(header[1].partition("=")[0])
        self._add(header)
        self.step_ups = (step_up.token,)

    def add_clearing(self, cookie_header: str | None) -> None:
        cookies = self.parts.cookies
        cleared = cookies.clear(is_secure=self.is_secure)
        if cookies.read_step_ups(cookie_header, is_secure=self.is_secure):
            cleared.append(cookies.clear_step_up(is_secure=self.is_secure))
        if site_data := self.parts.config.clear_site_data:
            cleared.append(("Clear-Site-Data", ", ".join(f'"{kind}"' for kind in site_data)))
        self._lines = tuple([_Line(header) for header in cleared])
        self.step_ups = ()

    def _lines_without(self, name: str) -> tuple[_Line, ...]:
        return tuple([one for one in self._lines if not one.header[1].startswith(f"{name}=")])

    @property
    def _has_cache(self) -> bool:
        return self.parts.config.cookie_cache.enabled

    def _is_there(self, presented: PresentedCookies, copy: _Copy) -> bool:
        if not presented.cached_texts:
            return False
        reading = self.parts.feed.current()
        if reading is None:
            return True  # as far as anybody can tell now
        copies = self.parts.validator.copies.open_for(
            [copy.token_text], presented, reading=reading, now_ms=copy.now_ms
        )
        if not copies or reading.is_revoked(copies[0].session.id, copies[0].issued_at_ms):
            return False
        found = copies[0]
        self._is_outdated = _shown(found.session, found.user) != _shown(copy.record, copy.user)
        return not self._is_outdated

    def _add(self, *line: Any) -> None:
        self._lines = (*self._lines, _Line(*line))

    @property
    def _clearing(self) -> tuple[str, str]:
        return self.parts.cookies.clear_cached_copy(is_secure=self.is_secure)

    def _good_until_ms(self, decided_at_ms: int) -> int:
        return decided_at_ms + self.parts.config.rotation_grace_ms

    def _add_copy(self, copy: _Copy, *, is_of_act: bool = False) -> None:
        parts, record = self.parts, copy.record
        ends_at_ms = cached_copy_end_ms(record, now_ms=copy.now_ms, config=parts.config)
        if ends_at_ms <= copy.now_ms:
            return
        reading = parts.feed.for_sealing()
        if reading is None or reading.is_revoked(record.id, copy.now_ms):
            return
        text = parts.cache.seal(
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
        header = parts.cookies.set_cached_copy(text, is_secure=self.is_secure, max_age_s=max_age_s)
        if header is None:
            parts.events.emit_once("cookie_cache_too_large", session_id=record.id)
        elif is_of_act:
            self._add(header)
        else:
            # The browser's own copy may be outdated, and none at all is always right.
            self._add(header, self._good_until_ms(copy.now_ms), self._clearing)

    def _token_header(self, record: SessionRecord, text: str, *, now_ms: int) -> tuple[str, str]:
        parts = self.parts
        lifetime_ms = cookie_lifetime_ms(record, now_ms=now_ms, config=parts.config)
        max_age_s = None if lifetime_ms is None else -(-lifetime_ms // 1000)
        return parts.cookies.set_token(text, is_secure=self.is_secure, max_age_s=max_age_s)


def _shown(record: SessionRecord, user: UserRecord | None) -> tuple[Any, ...]:
    """Return what readers see of a session; when it was last seen may be older in a copy."""
    shown = record._replace(last_seen_at_ms=0, data="", data_version=0)
    return (*shown, user)
