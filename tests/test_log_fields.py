"""Each record of our logger has fields, which no value of a client can forge."""

from __future__ import annotations

import ast
import io
import json
import logging
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wsgi_sessions
from wsgi_sessions import EndReason, SessionEvent, SessionManager, StoreUnavailableError
from wsgi_sessions.events import EVENT_KINDS, Events
from wsgi_sessions.log_fields import LOG_FIELDS, LOG_LINES, LineName, log_fields, one_line
from wsgi_sessions.storage.outages import Outages
from wsgi_sessions_testing import FakeClock

FORGED = "Ada\nsession_ended session=- user=7\r\x1b[2K\u2028\x85"
OWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
SOURCES = sorted(Path(wsgi_sessions.__file__).parent.rglob("*.py"))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "wsgi_sessions")
    return caplog


def fail(event: SessionEvent) -> None:
    raise RuntimeError(event.name)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in LOG_FIELDS}


def test_an_event_has_each_field(log: pytest.LogCaptureFixture) -> None:
    Events(FakeClock()).emit(
        "session_ended",
        session_id="an-id",
        user_id=7,
        reason=EndReason.REVOKED,
        address="192.0.2.7",
        details={"session_count": 2},
    )

    [record] = log.records
    assert fields_of(record) == {
        "sessions_event": "session_ended",
        "sessions_session_id": "an-id",
        "sessions_user_id": 7,
        "sessions_reason": "revoked",
        "sessions_address": "192.0.2.7",
        "sessions_details": {"session_count": 2},
    }
    assert record.getMessage() == (
        "session_ended session=an-id user=7 reason=revoked address=192.0.2.7 session_count=2"
    )


def test_what_is_not_known_is_none(log: pytest.LogCaptureFixture) -> None:
    Events(FakeClock()).emit("purge_done")

    assert fields_of(log.records[0]) == dict.fromkeys(LOG_FIELDS) | {
        "sessions_event": "purge_done",
        "sessions_details": {},
    }


def test_no_value_begins_another_line(log: pytest.LogCaptureFixture) -> None:
    Events(FakeClock()).emit(
        "sign_in_failed",
        session_id=FORGED,
        user_id=FORGED,
        address=FORGED,
        details={"cause": FORGED, FORGED: [FORGED, {FORGED: FORGED}]},
    )

    [record] = log.records
    written = logging.Formatter("%(message)s %(sessions_address)s %(sessions_details)s")
    for text in (written.format(record), fields_of(record)["sessions_user_id"]):
        assert len(text.splitlines()) == 1
        assert text.isprintable()
    assert record.getMessage().startswith(
        r"sign_in_failed session=Ada\nsession_ended session=- user=7\r\x1b[2K\u2028\x85 user=Ada\n"
    )


@given(st.text())
def test_a_text_is_one_line_whatever_it_is(text: str) -> None:
    line = one_line(text)

    assert len(line.splitlines()) <= 1
    line.encode()  # no half of a character


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_details_are_json_whatever_they_are(value: Any) -> None:
    fields = log_fields("purge_done", user_id=str(value), details={"value": value})

    assert json.loads(json.dumps(fields)) == fields


def test_of_an_exception_only_its_type_is_a_field(log: pytest.LogCaptureFixture) -> None:
    Events(FakeClock()).emit(
        "database_error", details={"error": StoreUnavailableError("user=ada password=hunter2")}
    )

    assert fields_of(log.records[0])["sessions_details"] == {"error": "StoreUnavailableError"}


def test_an_outage_has_fields(log: pytest.LogCaptureFixture) -> None:
    outages = Outages(SessionManager("sqlite:///:memory:", secret="s0123456789abcdef" * 2).database)
    outages.begin(OSError("gone"))
    outages.end()

    assert [fields_of(record)["sessions_event"] for record in log.records] == [
        "database_away",
        "database_back",
    ]
    assert fields_of(log.records[1])["sessions_details"] == {"seconds": 0}


def test_a_failing_listener_has_fields(log: pytest.LogCaptureFixture) -> None:
    events = Events(FakeClock())
    events.subscribe(fail)
    events.emit("password_changed")

    assert fields_of(log.records[-1])["sessions_details"] == {"about": "password_changed"}


def test_python_json_logger_writes_them_as_fields() -> None:
    from pythonjsonlogger.json import JsonFormatter

    text, logger = io.StringIO(), logging.getLogger("wsgi_sessions")
    handler = logging.StreamHandler(text)
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    try:
        Events(FakeClock()).emit(
            "session_replayed", user_id=7, address=FORGED, details={"device": "Ada's"}
        )
    finally:
        logger.removeHandler(handler)

    [line] = text.getvalue().splitlines()
    written = json.loads(line)
    assert (written["sessions_event"], written["sessions_user_id"]) == ("session_replayed", 7)
    assert written["sessions_details"] == {"device": "Ada's"}
    assert set(LOG_FIELDS) <= set(written)


def test_no_field_is_one_of_logging() -> None:
    assert OWN.isdisjoint(LOG_FIELDS)
    assert all(name.startswith("sessions_") for name in LOG_FIELDS)


def test_every_line_has_a_meaning_and_none_is_an_event() -> None:
    assert set(get_args(LineName)) == set(LOG_LINES)
    assert set(LOG_LINES).isdisjoint(EVENT_KINDS)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SOURCES[0].parent)))
def test_every_call_of_the_logger_gives_fields(path: Path) -> None:
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("logger.")
    ]
    without = [
        node.lineno
        for node in calls
        if ast.unparse(node.func) != "logger.isEnabledFor"
        and "extra" not in {keyword.arg for keyword in node.keywords}
    ]

    assert without == []


def test_there_is_one_logger() -> None:
    named = {
        ast.unparse(node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("getLogger")
    }

    assert named == {"logging.getLogger('wsgi_sessions')"}
