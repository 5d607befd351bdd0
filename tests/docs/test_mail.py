"""The page about mails: its function sends every kind of mail there is."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.support import make_user
from wsgi_sessions import User
from wsgi_sessions.records import MailKind

from .pages import python_of

[SENDING] = python_of("docs/how-to/mail.md")


def test_every_kind_of_mail_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sent: list[EmailMessage] = []

    class Relay:
        def __init__(self, host: str, *, timeout: int) -> None:
            assert (host, timeout) == ("localhost", 10)

        def __enter__(self) -> Relay:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def send_message(self, mail: EmailMessage) -> None:
            sent.append(mail)

    monkeypatch.setattr(smtplib, "SMTP", Relay)
    monkeypatch.chdir(tmp_path)
    page: dict[str, Any] = {}
    exec(SENDING, page)
    for kind in get_args(MailKind):
        page["send"](kind, User(make_user()), "https://app.example.org/x", "token")
    page["manager"].close()

    assert set(page["TEXTS"]) == set(get_args(MailKind))
    assert [mail["To"] for mail in sent] == ["ada@example.org"] * len(sent)
    assert "https://app.example.org/x" in sent[0].get_content()
