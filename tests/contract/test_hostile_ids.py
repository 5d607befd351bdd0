"""Whatever a form or a JSON body gives as the id of a session, on every kind of database."""

from __future__ import annotations

from typing import Any

from wsgi_sessions import SessionManager
from wsgi_sessions_testing import CHEAP_PASSWORDS

from .databases import Place

IDS: list[Any] = [
    *["", "x", "\0" * 24, "\ud800" * 24, "ü" * 24, "a" * 100_000, "A" * 23 + "\n"],
    *[0, 1.5, True, None, [], {}, b"a" * 24, 10**400],
]


def test_what_is_no_id_of_a_session_ends_none(place: Place) -> None:
    manager = SessionManager(
        place.database,
        secret="a-secret-for-tests-of-32-characters",
        password=CHEAP_PASSWORDS,
        throttle=None,
    )
    manager.create_tables()
    made = manager.sign_up_email(name="Ada", email="ada@example.org", password="correct horse")
    assert made.session is not None
    for given in IDS:
        assert manager.revoke_session(given) is False, given
        assert manager.revoke_session(given, user_id=made.user.id) is False, given
        assert manager.revoke_other_sessions(given) == 0, given
        assert manager.sign_out(given) is False, given
    assert [one.id for one in manager.list_sessions(made.user.id)] == [made.session.id]
    manager.close()
