"""Looks at the session a request would have, without being a request.

Must not change anything: what a request would refresh, confirm or end stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsgi_sessions.manager import SessionManager
from wsgi_sessions.records import Decision, SessionRecord, UserRecord
from wsgi_sessions.sessions.policy import judge
from wsgi_sessions.sessions.session import Session
from wsgi_sessions.sessions.validation import of_stored_branch
from wsgi_sessions.transport.cookies import Siblings, newest_of_each_session
from wsgi_sessions.transport.environ import read_facts

from ..fakes.instrumentation import unwatched

__all__ = ["is_secure_for", "judge_reading", "peek_at_session"]


def peek_at_session(manager: SessionManager, environ: Mapping[str, Any]) -> Session | None:
    """Return the live session of an environ by the product's own judgement, or None.

    ``SessionManager.get_session`` would mark an expired session as ended, and end a stolen one.
    """
    presented = manager.cookies.read(
        environ.get("HTTP_COOKIE"), is_secure=is_secure_for(manager, environ)
    )
    for tokens in newest_of_each_session(presented.tokens):
        found = unwatched(manager.store).sessions.find(tokens[0].session_id)
        if found is None:
            continue
        if judge_reading(manager, environ, tokens, found).is_accepted:
            return manager.to_session(*found, now_ms=manager.clock.now_ms())
    return None


def judge_reading(
    manager: SessionManager,
    environ: Mapping[str, Any],
    tokens: Siblings,
    found: tuple[SessionRecord, UserRecord | None],
) -> Decision:
    """Judge the tokens of a stored session as those of a request that only reads."""
    facts = read_facts(environ, manager.config)
    record, user = found
    return judge(
        record,
        of_stored_branch(tokens, record),
        now_ms=manager.clock.now_ms(),
        address=facts.address,
        config=manager.config,
        has_long_body=facts.has_long_body,
        allow_refresh=False,
        is_user_missing=user is None and record.user_id is not None,
    )


def is_secure_for(manager: SessionManager, environ: Mapping[str, Any]) -> bool:
    """Tell whether cookies set in answer to a request carry ``Secure``."""
    is_https = read_facts(environ, manager.config).is_https
    return manager.cookies.is_secure_for(is_https=is_https)
