"""Reading all live sessions batch by batch, on every engine."""

from __future__ import annotations

from tests.support import DAY, NOW, make_session
from wsgi_sessions.sessions.forecast import SeenSession
from wsgi_sessions.sessions.places import last_used_from
from wsgi_sessions.storage.session_scan import SessionScan

from .databases import Place


def scan(place: Place) -> SessionScan:
    return SessionScan(place.connections, place.models)


def test_batches_hold_every_live_session_once_and_no_other(place: Place) -> None:
    for number in range(7):
        place.store.sessions.insert(make_session(f"session-{number}"))
    place.store.sessions.insert(make_session("ended", ended_at_ms=NOW, end_reason="revoked"))
    place.store.sessions.insert(make_session("expired", expires_at_ms=NOW))

    batches = list(scan(place).read(now_ms=NOW, batch_rows=3))

    assert [[row[0] for row in batch] for batch in batches] == [
        ["session-0", "session-1", "session-2"],
        ["session-3", "session-4", "session-5"],
        ["session-6"],
    ]
    assert scan(place).count(now_ms=NOW) == 7


def test_a_row_is_what_a_forecast_needs(place: Place) -> None:
    records = [
        make_session("a", user_id="user-1", authenticated_at_ms=NOW - DAY),
        make_session("b", last_ip_address="198.51.100.1", last_user_agent="Safari"),
        make_session("c", last_user_agent="Safari"),
        make_session("d", ip_address=None, user_agent=None),
    ]
    for record in records:
        place.store.sessions.insert(record)

    [rows] = scan(place).read(now_ms=NOW)

    assert list(map(SeenSession._make, rows)) == [
        SeenSession(
            record.id,
            record.user_id,
            record.authenticated_at_ms,
            record.last_seen_at_ms,
            record.expires_at_ms,
            record.ip_address,
            last_used_from(record)[0],
        )
        for record in records
    ]


def test_an_empty_table_has_no_batch(place: Place) -> None:
    assert list(scan(place).read(now_ms=NOW)) == []
