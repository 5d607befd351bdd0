"""What applications can name: the calls of the handle, and the types of every public signature."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from typing import Any

import peewee

import wsgi_sessions
from wsgi_sessions import Session, SessionManager, SessionRequest, SignIn, User

HANDLE = {
    *["session", "user", "end_reason", "facts", "manager", "outer"],
    *["is_database_away", "is_from_database", "is_secure"],
    *["sign_up_email", "sign_in_email", "sign_in_social", "sign_in", "sign_out"],
    *["start_anonymous_session", "save_data", "require_user", "require_fresh", "reauthenticate"],
    *["list_sessions", "revoke_session", "revoke_other_sessions", "revoke_all_sessions"],
    *["update_user", "change_password", "delete_user"],
    *["reset_password", "verify_email", "change_email", "make_nonce"],
}


def public_calls() -> Iterator[tuple[str, Any]]:
    for kind in (SessionManager, SessionRequest, Session, SignIn, User):
        for name, member in vars(kind).items():
            member = getattr(member, "fget", member)
            if not name.startswith("_") and inspect.isfunction(member):
                yield f"{kind.__name__}.{name}", member


def classes_in(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and not typing.get_args(annotation):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from classes_in(argument)


def test_the_handle_has_what_applications_call_and_nothing_of_the_middleware() -> None:
    assert {name for name in dir(SessionRequest) if not name.startswith("_")} == HANDLE


def test_handle_and_manager_sign_in_alike() -> None:
    browser_alone = {"facts", "replaces"}
    for name in ("sign_up_email", "sign_in_email", "sign_in_social", "sign_in"):
        of_manager = inspect.signature(getattr(SessionManager, name))
        of_handle = inspect.signature(getattr(SessionRequest, name))
        assert set(of_handle.parameters) == set(of_manager.parameters) - browser_alone
        assert of_handle.return_annotation == of_manager.return_annotation == "SignIn"


def test_types_of_public_signatures_are_exported() -> None:
    found = dict(public_calls())
    assert "SessionManager.sign_in" in found
    unexported = {
        f"{name}: {kind.__name__}"
        for name, call in found.items()
        for kind in classes_in_signature(call)
        if kind.__module__.startswith("wsgi_sessions")
        and getattr(wsgi_sessions, kind.__name__, None) is not kind
    }
    assert unexported == set()


def classes_in_signature(call: Any) -> Iterator[type]:
    for annotation in typing.get_type_hints(
        call, localns={**vars(wsgi_sessions), "peewee": peewee}
    ).values():
        yield from classes_in(annotation)
