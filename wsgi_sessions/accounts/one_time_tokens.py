"""Tokens that work once, as links in mails carry them: issued, found and used.

The database keeps a digest alone, with the purpose, the e-mail address of the moment and the end.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Literal
from urllib.parse import quote, unquote_plus, urlencode, urljoin, urlsplit, urlunsplit

from ..clock import has_passed
from ..config.settings import SessionConfig
from ..light_dataclasses import dataclass
from ..records import OneTimeToken, UserRecord
from ..sessions.tokens import new_secret
from ..storage.store import Store

Purpose = Literal["reset-password", "verify-email", "change-email"]

RESET: Purpose = "reset-password"
VERIFY: Purpose = "verify-email"
CHANGE: Purpose = "change-email"
_SHAPE = r"[A-Za-z0-9_-]{43}"
_BETWEEN_ADDRESSES = "\n"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token to be mailed, and the link that holds it."""

    token: str
    url: str


class OneTimeTokens:
    def __init__(self, store: Store, config: SessionConfig) -> None:
        self._store = store
        self._config = config

    def issue(
        self,
        purpose: Purpose,
        user: UserRecord | None,
        *,
        now_ms: int,
        new_email: str | None = None,
        page_url: str | None = None,
    ) -> IssuedToken:
        """Store a new token; without a user, with the same work, one that nobody can use.

        ``page_url`` is the page that the link leads to in the end; None: the site's front page.
        """
        token = new_secret()
        lifetime_ms = self._config.verification_expires_in_ms
        if purpose == RESET:
            lifetime_ms = self._config.reset_expires_in_ms
        addresses = [address_of(user), *([] if new_email is None else [new_email])]
        self._store.one_time_tokens.insert(
            OneTimeToken(
                _digest(token),
                purpose,
                None if user is None else user.id,
                _BETWEEN_ADDRESSES.join(addresses),
                now_ms,
                now_ms + lifetime_ms,
            )
        )
        front_page = f"{urlsplit(self._config.site_url or '').path}/"
        return IssuedToken(token, self._url(purpose, token, page_url or front_page))

    def find(self, token: object, *, purpose: Purpose) -> OneTimeToken | None:
        """Return what is known of a token, also of one that was used or is over."""
        # An application may hand on a field that the client has left out.
        if not isinstance(token, str) or re.fullmatch(_SHAPE, token) is None:
            return None
        found = self._store.one_time_tokens.find(_digest(token), purpose=purpose)
        return None if found is None or found.user_id is None else found

    def use(self, found: OneTimeToken, *, now_ms: int) -> bool:
        """Use a token that is good; tell whether this call did it."""
        return self._store.one_time_tokens.use(found.digest, purpose=found.purpose, now_ms=now_ms)

    def use_up(self, user_id: object, *, now_ms: int) -> None:
        """Use up the tokens that could take a user's account over.

        One that verifies an address could not, and is good for that address alone.
        """
        for purpose in (RESET, CHANGE):
            self._store.one_time_tokens.use_all_of(user_id, purpose=purpose, now_ms=now_ms)

    def _url(self, purpose: Purpose, token: str, page_url: str) -> str:
        site_url, api_path = self._config.site_url, self._config.api_path
        if purpose == RESET or api_path is None:
            return with_query(urljoin(f"{site_url}/", page_url), token=token)
        page = quote(page_url, safe="")
        return f"{site_url}{api_path}/verify-email?token={token}&callbackURL={page}"


def is_over(found: OneTimeToken, *, now_ms: int) -> bool:
    return has_passed(found.expires_at_ms, now_ms)


def addresses_of(found: OneTimeToken) -> list[str]:
    """Return the address that the user had, and the new one where it is to be changed."""
    return (found.value or "").split(_BETWEEN_ADDRESSES)


def address_of(user: UserRecord | None) -> str:
    return "" if user is None else (user.email or "").lower()


def with_query(url: str, **fields: str) -> str:
    """Return a URL with these fields in its query, and none beside them of the same names.

    >>> with_query("https://example.org/new?lang=en&token=other#form", token="abc")
    'https://example.org/new?lang=en&token=abc#form'
    """
    parts = urlsplit(url)
    given = filter(None, parts.query.split("&"))
    kept = [field for field in given if unquote_plus(field.partition("=")[0]) not in fields]
    return urlunsplit(parts._replace(query="&".join([*kept, urlencode(fields)])))


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
