"""The mailbox of a bench and of the plugin: what an application sends is kept, and passed on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.companion.apps import page_app
from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions_testing import TEST_SECRET, Bench, Mailbox, assert_reset_is_safe

EMAIL = "ada@example.org"


def wrapped(**settings: Any) -> SessionMiddleware:
    manager = SessionManager("sqlite:///:memory:", secret=TEST_SECRET, **settings)
    return SessionMiddleware(page_app, manager)


def ask(bench: Bench) -> None:
    bench.factories.find_or_make_user(EMAIL)
    bench.manager.request_password_reset(email=EMAIL)


def test_last_mail_of_a_kind_is_found() -> None:
    with Bench(page_app) as bench:
        ask(bench)
        bench.manager.send_verification_email(email=EMAIL)

        first, second = bench.mailbox.last("reset-password"), bench.mailbox.last("verify-email")

        assert (first.to, second.to, len(bench.mailbox)) == (EMAIL, EMAIL, 2)
        assert first.token is not None and first.token in (first.url or "")
        assert first.token not in repr(first)
        assert sorted(bench.mailbox, key=lambda mail: mail.kind) == [first, second]
        with pytest.raises(AssertionError, match="no mail of the kind 'change-email'"):
            bench.mailbox.last("change-email")


def test_mail_goes_on_to_the_applications_own_function() -> None:
    sent: list[Any] = []

    def send(*mail: Any) -> None:
        sent.append(mail)

    app = wrapped(on_send=send, site_url="https://app.example.org")
    with Bench(app) as bench:
        ask(bench)
        mail = bench.mailbox.last()
        assert sent == [(mail.kind, mail.user, mail.url, mail.token)]
        assert (mail.url or "").startswith("https://app.example.org/")


def test_application_that_sends_no_mail_sends_none_in_a_test() -> None:
    with Bench(wrapped()) as bench:
        with pytest.raises(Exception, match="isn't enabled"):
            ask(bench)
        with pytest.raises(AssertionError, match="on_send is not given"):
            bench.mailbox.last()


def test_mails_of_all_workers_are_kept_and_a_bench_is_emptied() -> None:
    with Bench(page_app) as bench:
        with bench.emptied_afterwards():
            ask(bench)
            (second,) = bench.workers(1)
            second.manager.request_password_reset(email=EMAIL)
            assert len(bench.mailbox) == 2
        assert len(bench.mailbox) == 0


def test_mailbox_of_a_manager_without_a_bench() -> None:
    manager = SessionManager(
        "sqlite:///:memory:",
        secret=TEST_SECRET,
        site_url="https://app.example.org",
        on_send=lambda *_: None,
    )
    mailbox = Mailbox(manager)
    manager.create_user(name="Ada", email=EMAIL)
    manager.request_password_reset(email=EMAIL)
    assert mailbox.last().to == EMAIL
    manager.close()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"reset_expires_in": 60},
        {"multi_session": {"maximum_sessions": 1, "on_limit": "reject"}},
    ],
    ids=str,
)
def test_true_product_resets_safely(settings: dict[str, Any]) -> None:
    assert_reset_is_safe(wrapped(**settings))
