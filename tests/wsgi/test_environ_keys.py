"""What ``Exchange.show`` puts into the environ."""

from __future__ import annotations

import types
from typing import Any, cast

from wsgi_sessions.records import EndReason
from wsgi_sessions.transport.environ import ENVIRON_KEYS
from wsgi_sessions.wsgi.exchange import Exchange


def shown(session: Any = None, end_reason: EndReason | None = None) -> dict[str, Any]:
    manager = cast(Any, types.SimpleNamespace(parts=None))
    exchange = Exchange(manager, {})
    exchange.session, exchange.end_reason = session, end_reason
    exchange.show()
    assert exchange.environs[0]["wsgi_sessions.request"] is exchange.handle
    return exchange.environs[0]


def test_visitor_is_nobody() -> None:
    environ = shown(end_reason=EndReason.IDLE)

    assert environ["wsgi_sessions.session"] is None
    assert environ["wsgi_sessions.user"] is None
    assert environ["wsgi_sessions.end_reason"] is EndReason.IDLE


def test_session_brings_its_user() -> None:
    session = types.SimpleNamespace(user="Ada")
    environ = shown(session)

    assert environ["wsgi_sessions.session"] is session
    assert environ["wsgi_sessions.user"] == "Ada"


def test_every_key_that_is_described_is_set() -> None:
    assert set(shown()) == set(ENVIRON_KEYS)
