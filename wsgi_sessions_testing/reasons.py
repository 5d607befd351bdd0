"""Why a browser has no session: the token that it held last, judged by the product's own rules.

Must not change anything: an end that no request has met yet is told, and not written down.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from wsgi_sessions.environ import read_facts
from wsgi_sessions.policy import judge
from wsgi_sessions.records import EndReason, Outcome, PresentedToken

from .seam import unwatched

if TYPE_CHECKING:
    from .browser import Browser

__all__ = ["Standing", "end_reason", "find_standing", "tokens_held", "why_out"]

_REFUSED_AS = {
    Outcome.IP_MISMATCH: EndReason.IP_MISMATCH,
    Outcome.REPLAY: EndReason.REPLAYED,
}


class Standing(NamedTuple):
    """What the product would say to the token that a browser held last.

    ``is_known``: the session has a row. ``reason``: why it ended, or why the token is refused
    though it has not (``is_over`` is False then); None for a session that is live.
    """

    is_known: bool
    reason: EndReason | None = None
    is_over: bool = False


def tokens_held(browser: Browser) -> Iterator[PresentedToken]:
    """Go through the tokens of a browser's jar, then those that left it, the latest first."""
    cookies, read = browser.manager.cookies, browser.manager.signer.read
    names = {cookies.token_name(is_secure=is_secure) for is_secure in (True, False)}
    jar = browser.cookies
    for cookie in (*jar.find_all(browser._cookie_url), *reversed(jar.gone)):
        token = read(cookie.value) if cookie.name in names else None
        if token is not None:
            yield token


def find_standing(browser: Browser) -> Standing | None:
    """Return how the browser's last session stands at this instant; None if it had none."""
    token = next(tokens_held(browser), None)
    if token is None:
        return None
    manager = browser.manager
    found = unwatched(manager.store).find_session(token.session_id)
    if found is None:
        return Standing(is_known=False)
    record, user = found
    decision = judge(
        record,
        token.generation,
        now_ms=manager.clock.now_ms(),
        address=read_facts(browser._look(), manager.config).address,
        config=manager.config,
        allow_refresh=False,
        is_user_missing=user is None and record.user_id is not None,
    )
    return Standing(
        is_known=True,
        reason=decision.end_reason or _REFUSED_AS.get(decision.outcome),
        is_over=decision.must_end or decision.outcome is Outcome.ENDED,
    )


def why_out(browser: Browser) -> str:
    """Tell in words why a browser has no session."""
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
    """Return the reason of a name; raises ``ValueError`` that lists them."""
    try:
        return EndReason(text)
    except ValueError:
        known = ", ".join(str(reason) for reason in EndReason)
        raise ValueError(f"{text!r} is no end reason; give one of {known}") from None
