"""Reads the session that a request would have, without sending one: nothing changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsgi_sessions.manager import SessionManager
from wsgi_sessions.records import Decision
from wsgi_sessions.sessions.policy import judge
from wsgi_sessions.sessions.reading import ReadFrom
from wsgi_sessions.sessions.session import Session
from wsgi_sessions.sessions.validation import of_stored_branch
from wsgi_sessions.transport.cookies import Siblings, newest_of_each_session
from wsgi_sessions.transport.environ import read_facts

from ..fakes.instrumentation import unwatched


def read_session(manager: SessionManager, environ: Mapping[str, Any]) -> Session | None:
    """Return the live session of an environ by the product's own judgement, or None.

    ``SessionManager.get_session`` would mark an expired session as ended, and end a stolen one.
    """
    presented = manager.parts.cookies.read(
        environ.get("HTTP_COOKIE"), is_secure=is_secure_for(manager, environ)
    )
    for tokens in newest_of_each_session(presented.tokens):
        found = find_and_judge(manager, environ, tokens)
        if found is not None and found[1].is_accepted:
            return found[0]
    return None


def find_and_judge(
    manager: SessionManager, environ: Mapping[str, Any], tokens: Siblings
) -> tuple[Session, Decision] | None:
    """Find the session of tokens, and judge them as those of a request that only reads."""
    found = unwatched(manager.parts.store).sessions.find(tokens[0].session_id)
    if found is None:
        return None
    record, user = found
    parts, now_ms = manager.parts, manager.clock.now_ms()
    facts, is_secure = read_facts(environ, manager.config), is_secure_for(manager, environ)
    decision = judge(
        record,
        of_stored_branch(tokens, record),
        now_ms=now_ms,
        address=facts.address,
        config=manager.config,
        has_long_body=facts.has_long_body,
        allow_refresh=False,
        is_user_missing=user is None and record.user_id is not None,
    )
    step_ups = parts.cookies.read_step_ups(environ.get("HTTP_COOKIE"), is_secure=is_secure)
    here = ReadFrom(parts.reader, facts, step_ups)
    return parts.validator.to_session(record, user, now_ms=now_ms, here=here), decision


def is_secure_for(manager: SessionManager, environ: Mapping[str, Any]) -> bool:
    """Return whether cookies set in answer to a request carry ``Secure``."""
    is_https = read_facts(environ, manager.config).is_https
    return manager.parts.cookies.is_secure_for(is_https=is_https)
