"""Why a browser has no session: the token that it held last, judged by the product's own rules.

Nothing changes: an end that no request has noticed yet is reported, and not written down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from wsgi_sessions.records import EndReason, Outcome, PresentedToken
from wsgi_sessions.transport.cookies import newest_of_each_session

from .session_reading import find_and_judge

if TYPE_CHECKING:
    from .cookie import Cookie
    from .sender import Sender

_REFUSED_AS = {Outcome.IP_MISMATCH: EndReason.IP_MISMATCH, Outcome.REPLAY: EndReason.REPLAYED}


class Standing(NamedTuple):
    """How the product would judge the token that a browser held last.

    ``is_known``: the session has a row. ``reason``: why it ended (``is_over``), or why the
    token is refused though the session goes on; None for a session that is live.
    """

    is_known: bool
    reason: EndReason | None = None
    is_over: bool = False


def tokens_held(browser: Sender) -> Iterator[PresentedToken]:
    """Yield the tokens of a browser's jar, then those that left it, the latest first."""
    yield from _tokens_in(browser, browser.cookies.find_all(browser._cookie_url))
    yield from _tokens_in(browser, reversed(browser.cookies.gone))


def _tokens_in(browser: Sender, cookies: Iterable[Cookie]) -> Iterator[PresentedToken]:
    session_cookies, read = browser.manager.parts.cookies, browser.manager.parts.signer.read
    names = {session_cookies.token_name(is_secure=is_secure) for is_secure in (True, False)}
    for cookie in cookies:
        token = read(cookie.value) if cookie.name in names else None
        if token is not None:
            yield token


def find_standing(browser: Sender) -> Standing | None:
    """Return how the browser's last session would be judged now; None if it had none."""
    in_jar = _tokens_in(browser, browser.cookies.find_all(browser._cookie_url))
    sent = newest_of_each_session(tuple(in_jar))
    tokens = sent[0] if sent else tuple(islice(tokens_held(browser), 1))
    if not tokens:
        return None
    found = find_and_judge(browser.manager, browser._environ(), tokens)
    if found is None:
        return Standing(is_known=False)
    _, decision = found
    return Standing(
        is_known=True,
        reason=decision.end_reason or _REFUSED_AS.get(decision.outcome),
        is_over=decision.must_end or decision.outcome is Outcome.ENDED,
    )


def why_signed_out(browser: Sender) -> str:
    """Return in words why a browser has no session."""
    standing = find_standing(browser)
    if standing is None:
        return "it has no session cookie"
    if not standing.is_known:
        return "its session is not in the database"
    if standing.reason is None:
        return "its session is live, but the jar has lost the cookie"
    if standing.is_over:
        return f"its session ended: {standing.reason}"
    return f"its token is refused: {standing.reason}"


def end_reason(text: str | EndReason) -> EndReason:
    """Return the end reason of this name; else raise a ``ValueError`` that lists them."""
    try:
        return EndReason(text)
    except ValueError:
        known = ", ".join(str(reason) for reason in EndReason)
        raise ValueError(f"{text!r} is no end reason; give one of {known}") from None
