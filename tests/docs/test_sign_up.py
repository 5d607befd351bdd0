"""The code of ``docs/how-to/sign-up.md`` runs as it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import PASSWORD
from wsgi_sessions import RefusedError, SignUpRefusedError
from wsgi_sessions_testing import Bench

from .pages import python_of

INVITE, CHECK = python_of("docs/how-to/sign-up.md")
MAILING: Any = {"site_url": "https://app.example.org", "on_send": lambda *_: None}


def test_who_is_invited_sets_a_password_by_the_link() -> None:
    names: dict[str, Any] = {}
    exec(INVITE, names)
    with Bench(None, allow_sign_up=False, **MAILING) as bench:
        names["invite"](bench.manager, name="Ada", email="ada@example.org")
        mail = bench.mailbox.last("reset-password")
        assert mail.url == f"https://app.example.org/welcome?token={mail.token}"
        bench.manager.reset_password(token=str(mail.token), new_password=PASSWORD)
        made = bench.manager.sign_in_email(email="ada@example.org", password=PASSWORD)
        assert made.user.email_verified


def test_some_may_sign_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"SECRET": "for the tests of this page alone"}
    exec(CHECK, names)
    config = names["manager"].config
    names["manager"].close()
    with Bench(None, config=config) as bench:
        for email in ("Ada@example.org", "bob@example.com"):
            bench.manager.sign_up_email(name="Ada", email=email, password=PASSWORD)
        with pytest.raises(SignUpRefusedError, match="Ask a member to invite you"):
            bench.manager.sign_up_email(name="Eve", email="eve@example.org", password=PASSWORD)


def test_a_refusal_of_the_applications_own_is_passed_on() -> None:
    class MembersOnlyError(RefusedError):
        code = "MEMBERS_ONLY"
        message = "Only members."

    def check_sign_up(**_: Any) -> None:
        raise MembersOnlyError

    with Bench(None, check_sign_up=check_sign_up) as bench:
        answer = bench.new_browser().post_json(
            "/api/auth/sign-up/email",
            {"name": "Ada", "email": "ada@example.org", "password": PASSWORD},
        )
        assert (answer.status_int, answer.json["code"]) == (400, "MEMBERS_ONLY")
