"""The session cookies: parsed from a Cookie header, and rendered as Set-Cookie here alone.

Only our own names are looked for, so a broken foreign cookie does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..config.settings import SessionConfig
from ..light_dataclasses import dataclass
from ..memo import Memo
from ..records import PresentedToken

if TYPE_CHECKING:
    from ..sessions.tokens import TokenSigner

Siblings = tuple[PresentedToken, ...]
"""Tokens of one session and generation, as one request presents them; mostly one."""

_MAX_CANDIDATES = 4
_MAX_HEADER_CHARACTERS = 65_536
"""How much is read of a header that holds one of our names more than once."""

_MAX_KNOWN_HEADERS = 1024
_MAX_KNOWN_CHARACTERS = 4096
"""Of each manager in each process; they take 1 MB, and 5 MB at most."""

_MAX_COOKIE_BYTES = 4096
"""Browsers may ignore a cookie whose name and value are longer (RFC 6265bis, section 5.6)."""


@dataclass(eq=False, slots=True)
class PresentedCookies:
    """What a request presents: texts that may be tokens, and texts that may be cached copies.

    At most four of each, every one once; under a ``__Host-`` name those of one session and
    generation alone. A token's signature is checked when ``tokens`` is first read: a good cached
    copy makes that unnecessary, as it is bound to its token.
    """

    token_texts: Sequence[str]
    cached_texts: Sequence[str]
    _signer: TokenSigner
    _tokens: Siblings | None = None

    @property
    def tokens(self) -> Siblings:
        """The tokens that we signed, in the order of the header."""
        if self._tokens is None:
            read = self._signer.read
            self._tokens = tuple(filter(None, map(read, self.token_texts)))
        return self._tokens

    def __repr__(self) -> str:
        return f"PresentedCookies(<{len(self.token_texts)}>, cached=<{len(self.cached_texts)}>)"


class SessionCookies:
    """Reads and renders the two cookies of one configuration.

    A request over https is answered with the prefixed names and only those are read, so a
    cookie planted over plain http, or by a sub-domain, is not even looked at (RFC 6265bis,
    section 4.1.3). Over http the names carry no prefix.
    """

    def __init__(self, config: SessionConfig, signer: TokenSigner) -> None:
        self._config = config
        self._signer = signer
        self._nothing = PresentedCookies((), (), signer)
        self._named = {flag: _NamedCookies(config, is_secure=flag) for flag in (True, False)}

    def is_secure_for(self, *, is_https: bool) -> bool:
        wanted = self._config.cookie.secure
        return is_https if wanted == "auto" else bool(wanted)

    def token_name(self, *, is_secure: bool) -> str:
        return self._named[is_secure].token_name

    def cache_name(self, *, is_secure: bool) -> str:
        return self._named[is_secure].cache_name

    def step_up_name(self, *, is_secure: bool) -> str:
        return self._named[is_secure].fresh_name

    def read(self, header: str | None, *, is_secure: bool) -> PresentedCookies:
        """Find our cookies in a Cookie header, which is separated at ``;`` alone.

        A comma or a quote is part of a value (RFC 6265bis, section 5.6): a sub-domain may plant
        ``p=a,__Host-session_token=…`` or ``p="a``, and neither adds a cookie nor hides ours.
        """
        if not header:
            return self._nothing
        named = self._named[is_secure]
        known = named.known.get(header)
        if known is not None:
            return known
        presented = self._read(header, named)
        if len(header) <= _MAX_KNOWN_CHARACTERS:
            named.known.keep(header, presented)
        return presented

    def _read(self, header: str, named: _NamedCookies) -> PresentedCookies:
        if named.token_name not in header:
            return self._nothing
        # Nearly every header: each name once, without quotes or other oddities.
        token_text = _find_sole(header, named.token_assignment)
        if token_text is not None:
            if not self._config.cookie_cache.enabled or named.cache_name not in header:
                return PresentedCookies((token_text,), (), self._signer)
            cached_text = _find_sole(header, named.cache_assignment)
            if cached_text is not None:
                return PresentedCookies((token_text,), (cached_text,), self._signer)
        return self._read_in_full(header, named)

    def _read_in_full(self, header: str, named: _NamedCookies) -> PresentedCookies:
        texts: dict[str, dict[str, None]] = {named.token_name: {}, named.cache_name: {}}
        for name, value in named.pattern.findall(header[:_MAX_HEADER_CHARACTERS]):
            if text := _unquoted(value.rstrip(" \t")):
                texts[name][text] = None
        token_texts = self._choose_tokens(list(texts[named.token_name]), named)
        if not token_texts:
            return self._nothing
        cached_texts = list(texts[named.cache_name])
        chosen = cached_texts[-1:] if named.is_host_bound else cached_texts[:_MAX_CANDIDATES]
        return PresentedCookies(token_texts, chosen, self._signer)

    def _choose_tokens(self, texts: list[str], named: _NamedCookies) -> list[str]:
        """Return the texts to try; where there are too many, those that we signed.

        A browser holds one ``__Host-`` cookie, so another of that name was put there by other
        means, or is left from before ``cookie.partitioned`` was changed. The session of the last
        one is taken: browsers send first what has a longer path or was set earlier (RFC 6265,
        section 5.4), so the cookie of a sign-in comes after older ones. Of one session the latest
        generation counts, wherever it stands: an earlier one may be a replay. All siblings are
        returned, because only the database says which of them counts.
        """
        if len(texts) <= (1 if named.is_host_bound else _MAX_CANDIDATES):
            return texts
        signed = [token for text in texts if (token := self._signer.read(text)) is not None]
        if named.is_host_bound and signed:
            last = signed[-1].session_id
            of_the_last = tuple([token for token in signed if token.session_id == last])
            signed = list(newest_of_each_session(of_the_last)[0])
        return [token.text for token in signed[:_MAX_CANDIDATES]]

    def read_devices(self, header: str | None, *, is_secure: bool) -> tuple[str, ...]:
        """Return the values of the device cookie; under a ``__Host-`` name the last one alone."""
        named = self._named[is_secure]
        return named.find(named.device_name, header)

    def read_nonce_keys(self, header: str | None, *, is_secure: bool) -> tuple[str, ...]:
        """Return the values of the cookie that binds nonces to a browser, as those of devices."""
        named = self._named[is_secure]
        return named.find(named.nonce_name, header)

    def set_nonce_key(self, text: str, *, is_secure: bool, max_age_s: int) -> tuple[str, str]:
        named = self._named[is_secure]
        return named.set(named.nonce_name, text, max_age_s)

    def set_device(self, text: str, *, is_secure: bool, max_age_s: int | None) -> tuple[str, str]:
        """Render the header that makes the browser known; it stays when the others are cleared."""
        named = self._named[is_secure]
        return named.set(named.device_name, text, max_age_s)

    def set_token(self, text: str, *, is_secure: bool, max_age_s: int | None) -> tuple[str, str]:
        """Render the header that gives the browser a session token."""
        named = self._named[is_secure]
        return named.set(named.token_name, text, max_age_s)

    def set_cached_copy(
        self, text: str, *, is_secure: bool, max_age_s: int | None
    ) -> tuple[str, str] | None:
        """Render the header that gives the browser a cached copy; None if it is too large."""
        named = self._named[is_secure]
        header = named.set(named.cache_name, text, max_age_s)
        return None if len(header[1]) > _MAX_COOKIE_BYTES else header

    def read_step_ups(self, header: str | None, *, is_secure: bool) -> tuple[str, ...]:
        """Return the values of the cookie of a step-up, likewise."""
        named = self._named[is_secure]
        return named.find(named.fresh_name, header)

    def set_step_up(self, text: str, *, is_secure: bool, max_age_s: int) -> tuple[str, str]:
        """Render the header that gives the browser a step-up."""
        named = self._named[is_secure]
        return named.set(named.fresh_name, text, max_age_s)

    def clear(self, *, is_secure: bool) -> list[tuple[str, str]]:
        """Render the headers that remove token and copy, with the attributes they were set with."""
        named = self._named[is_secure]
        return [named.clear(named.token_name), named.clear(named.cache_name)]

    def clear_cached_copy(self, *, is_secure: bool) -> tuple[str, str]:
        return self.clear(is_secure=is_secure)[1]

    def clear_step_up(self, *, is_secure: bool) -> tuple[str, str]:
        named = self._named[is_secure]
        return named.clear(named.fresh_name)


def newest_of_each_session(tokens: tuple[PresentedToken, ...]) -> tuple[Siblings, ...]:
    """Return the tokens by session, of each session those of the latest generation alone.

    A browser can hold an older one under another path or domain; that is no replay.
    """
    if len(tokens) < 2:
        return (tokens,) if tokens else ()
    newest: dict[str, Siblings] = {}
    for token in tokens:
        known = newest.get(token.session_id, ())
        if not known or token.generation > known[0].generation:
            newest[token.session_id] = (token,)
        elif token.generation == known[0].generation:
            newest[token.session_id] = (*known, token)
    return tuple(newest.values())


def _find_sole(header: str, assignment: str) -> str | None:
    """Return the value after ``name=`` if it stands there once, unquoted; None if in doubt."""
    start = header.find(assignment)
    if start < 0 or (start > 0 and header[start - 2 : start] != "; "):
        return None
    start += len(assignment)
    end = header.find(";", start)
    if end < 0:
        end = len(header)
    elif header.find(assignment, end) >= 0:
        return None
    text = header[start:end]
    return text if text and text.strip() == text and '"' not in text else None


def _unquoted(value: str) -> str:
    """Remove the quotes that some programs put around a value (RFC 6265, section 4.1.1)."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


class _NamedCookies:
    def __init__(self, config: SessionConfig, *, is_secure: bool) -> None:
        cookie = config.cookie
        self.is_host_bound = is_secure and cookie.path == "/" and cookie.domain is None
        prefix = ""
        if is_secure:
            prefix = "__Host-" if self.is_host_bound else "__Secure-"
        self.token_name = prefix + cookie.name
        self.cache_name = prefix + cookie.cache_name
        self.token_assignment, self.cache_assignment = f"{self.token_name}=", f"{self.cache_name}="
        self.fresh_name = prefix + cookie.fresh_name
        names = "|".join(re.escape(name) for name in (self.token_name, self.cache_name))
        self.device_name = prefix + cookie.device_name
        self.nonce_name = prefix + cookie.nonce_name
        # Spaces and tabs alone: for browsers other white space is part of a name, and they do
        # not protect the prefix of such a name.
        self.pattern = re.compile(rf"(?:^|;)[ \t]*({names})[ \t]*=[ \t]*([^;]*)")
        attributes = f"; Path={cookie.path}"
        if cookie.domain is not None:
            attributes += f"; Domain={cookie.domain}"
        if is_secure:
            attributes += "; Secure"
        # Browsers refuse SameSite=None and Partitioned of a cookie that is not Secure.
        same_site = cookie.same_site if is_secure or cookie.same_site != "None" else "Lax"
        attributes += f"; HttpOnly; SameSite={same_site}"
        if cookie.partitioned and is_secure:
            attributes += "; Partitioned"
        # Chromium drops other cookies first where there are too many; no standard has this.
        attributes += "; Priority=High"
        self.attributes = attributes
        self.known: Memo[str, PresentedCookies] = Memo(_MAX_KNOWN_HEADERS)
        """What was read from headers: a browser sends the same one with many requests."""

    def find(self, name: str, header: str | None) -> tuple[str, ...]:
        """Return the values of a cookie; under a ``__Host-`` name the last one alone."""
        if not header or name not in header:
            return ()
        pattern = rf"(?:^|;)[ \t]*{re.escape(name)}[ \t]*=[ \t]*([^;]*)"
        found = re.findall(pattern, header[:_MAX_HEADER_CHARACTERS])
        texts = [_unquoted(value.rstrip(" \t")) for value in found]
        return tuple(texts[-1:] if self.is_host_bound else texts[:_MAX_CANDIDATES])

    def set(self, name: str, text: str, max_age_s: int | None) -> tuple[str, str]:
        """Render a cookie; without a Max-Age it ends with the browser."""
        max_age = "" if max_age_s is None else f"; Max-Age={max_age_s}"
        return ("Set-Cookie", f"{name}={text}{max_age}{self.attributes}")

    def clear(self, name: str) -> tuple[str, str]:
        past = f"Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0{self.attributes}"
        return ("Set-Cookie", f"{name}=; {past}")
