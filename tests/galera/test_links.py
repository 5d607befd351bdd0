"""Mailed links, users and the throttle's counts that are used on different nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import peewee
import pytest

from tests.support import IS_FULL, in_parallel
from wsgi_sessions import SessionManager
from wsgi_sessions.errors import (
    InvalidCredentialsError,
    InvalidOneTimeTokenError,
    InvalidVerificationError,
    TooManyTriesError,
)
from wsgi_sessions.records import NO_FACTS

from .cluster import Cluster
from .conftest import MakeManager

ADA, NEW_ADDRESS = "ada@example.org", "lovelace@example.org"
PASSWORD, NEW_PASSWORD = "correct horse", "battery staple"
ROUNDS = 20 if IS_FULL else 3

Use = Callable[[SessionManager, str], object]

USES: dict[str, Use] = {
    "reset-password": lambda manager, token: manager.reset_password(
        token=token, new_password=NEW_PASSWORD
    ),
    "change-email": lambda manager, token: manager.verify_email(token=token),
    "verify-email": lambda manager, token: manager.verify_email(token=token),
}


class Site:
    """A manager at each node, and the links that they have mailed."""

    def __init__(self, make_manager: MakeManager, cluster: Cluster, **settings: Any) -> None:
        self.mails: list[tuple[str, str | None]] = []
        self.managers = [
            make_manager(node.number, site_url="http://localhost", on_send=self._note, **settings)
            for node in cluster.nodes
        ]
        # Each has looked at the tables, for which it waits until it knows them all.
        for manager in self.managers:
            manager.create_tables()

    def _note(self, kind: str, user: Any, url: str | None, token: str | None) -> None:
        self.mails.append((kind, token))

    def ask(self, kind: str, manager: SessionManager, user_id: Any, *, email: str = ADA) -> str:
        """Have a link mailed, and return its token."""
        if kind == "reset-password":
            manager.request_password_reset(email=email)
        elif kind == "change-email":
            manager.change_email(user_id, new_email=NEW_ADDRESS)
        else:
            manager.send_verification_email(email=ADA)
        manager.parts.mailer.flush()
        token = next(token for mailed, token in reversed(self.mails) if mailed == kind)
        assert token is not None
        return token


@pytest.fixture
def site(make_manager: MakeManager, cluster: Cluster) -> Site:
    return Site(make_manager, cluster)


@pytest.mark.parametrize("kind", USES)
def test_a_link_works_at_once_on_another_node_and_once_for_all(site: Site, kind: str) -> None:
    for number in range(ROUNDS):
        here, there, third = site.managers[number % 3 :] + site.managers[: number % 3]
        user_id = here.create_user(name="Ada", email=ADA, password=PASSWORD).id
        token = site.ask(kind, there, user_id)

        USES[kind](third, token)

        if kind == "reset-password":
            with pytest.raises(InvalidOneTimeTokenError):
                USES[kind](here, token)
        else:
            USES[kind](here, token)  # somebody followed it again, and nothing changed
        user = there.find_user(user_id)
        assert user is not None
        here.delete_user(user_id)


@pytest.mark.parametrize("kind", USES)
def test_of_uses_on_every_node_at_once_one_counts(site: Site, kind: str, cluster: Cluster) -> None:
    events = {"reset-password": "password_changed", "change-email": "email_changed"}
    name = events.get(kind, "email_verified")
    seen: list[str] = []
    for manager in site.managers:
        manager.events.subscribe(lambda event: seen.append(event.name))
    for _ in range(ROUNDS):
        seen.clear()
        user_id = site.managers[0].create_user(name="Ada", email=ADA, password=PASSWORD).id
        token = site.ask(kind, site.managers[0], user_id)
        cluster.wait_until_same()

        def use(number: int, token: str = token) -> str:
            try:
                USES[kind](site.managers[number % 3], token)
            except (InvalidOneTimeTokenError, InvalidVerificationError):
                return "refused"
            return "taken"

        results = Counter(in_parallel(use, 6))

        assert seen.count(name) == 1
        if kind == "reset-password":
            assert results == {"taken": 1, "refused": 5}
        else:
            assert results == {"taken": 6}, "whoever follows it meanwhile is told that it is done"
        site.managers[0].delete_user(user_id)


def test_the_link_before_works_no_more_though_it_was_asked_for_on_another_node(
    site: Site, cluster: Cluster
) -> None:
    here, there, third = site.managers
    user_id = here.create_user(name="Ada", email=ADA).id
    here.create_user(name="Bob", email="bob@example.org")
    cluster.wait_until_same()

    with cluster.nodes[1].behind(cluster.nodes[0]):
        first = site.ask("change-email", here, user_id)
        # Bob has it, so the search for it waits for nothing.
        there.change_email(user_id, new_email="bob@example.org")

    with pytest.raises(InvalidVerificationError):
        third.verify_email(token=first)


class Member(peewee.Model):
    """A user model whose key needs no look at how it is spelled, unlike a text."""

    email = peewee.CharField(unique=True)
    name = peewee.CharField()
    email_verified = peewee.BooleanField(default=False)

    class Meta:
        table_name = "member"


def test_a_user_is_changed_on_a_node_that_has_not_got_them_yet(
    make_manager: MakeManager, cluster: Cluster, database: str
) -> None:
    cluster.nodes[0].query(
        f"CREATE TABLE {database}.member (id INT AUTO_INCREMENT PRIMARY KEY, "
        "email VARCHAR(255) UNIQUE, name VARCHAR(255), email_verified BOOL)"
    )
    site = Site(make_manager, cluster, user_model=Member)
    here, there, third = site.managers

    with cluster.nodes[1].behind(cluster.nodes[0]):
        user_id = here.create_user(name="Ada", email=ADA).id
        assert there.update_user(user_id, name="Countess").name == "Countess"

    with cluster.nodes[2].behind(cluster.nodes[1]):
        there.update_user(user_id, name="Ada")
        assert third.mark_email_verified(user_id).email_verified

    cluster.wait_until_same()
    user = here.find_user(user_id)
    assert user is not None
    assert (user.name, user.email_verified) == ("Ada", True)


def test_a_password_is_reset_on_a_node_that_does_not_know_the_address_yet(
    site: Site, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readings of one request can go to different nodes: the link is known, its address not."""
    here, there, _ = site.managers
    user_id = here.create_user(name="Ada", email=ADA).id
    cluster.wait_until_same()
    monkeypatch.setattr(there.parts.tokens, "find", here.parts.tokens.find)

    with cluster.nodes[1].behind(cluster.nodes[0]):
        here.verify_email(token=site.ask("change-email", here, user_id))
        token = site.ask("reset-password", here, user_id, email=NEW_ADDRESS)
        there.reset_password(token=token, new_password=NEW_PASSWORD)

    assert here.sign_in_email(email=NEW_ADDRESS, password=NEW_PASSWORD).session


@pytest.mark.parametrize("email", [ADA, "nobody@example.org"])
def test_the_time_of_a_refusal_tells_nobody_who_has_an_account(
    site: Site, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, email: str
) -> None:
    manager = site.managers[0]
    manager.create_user(name="Ada", email=ADA, password=PASSWORD)
    sent: list[str] = []
    connections = manager.parts.connections
    send = connections._send

    def noted(connection: Any, sql: str, *given: Any) -> Any:
        sent.append(sql.partition(" FROM ")[0])
        return send(connection, sql, *given)

    monkeypatch.setattr(connections, "_send", noted)

    with pytest.raises(InvalidCredentialsError):
        manager.sign_in_email(email=email, password="wrong horse")

    once, again = sent
    assert again.endswith(once) and "wsrep_sync_wait" in again


def test_all_sessions_that_began_on_another_node_are_ended(site: Site, cluster: Cluster) -> None:
    for number in range(ROUNDS):
        here, there, third = site.managers[number % 3 :] + site.managers[: number % 3]
        made = here.sign_up_email(name="Ada", email=ADA, password=PASSWORD)
        assert made.session is not None

        there.revoke_everything()

        cluster.wait_until_same()
        assert not third.is_live(made.session.id)
        third.delete_user(made.user.id)


def test_the_throttle_counts_on_all_nodes_and_fails_for_nobody(
    make_manager: MakeManager, cluster: Cluster
) -> None:
    limit = 5
    throttle = {"tries": limit, "network_tries": 1000, "account_tries": 1000}
    site = Site(make_manager, cluster, throttle=throttle)
    site.managers[0].create_user(name="Ada", email=ADA, password=PASSWORD)
    cluster.wait_until_same()
    facts = NO_FACTS._replace(address="192.0.2.1")

    def guess(number: int) -> str:
        manager = site.managers[number % 3]
        try:
            manager.sign_in_email(email=ADA, password="wrong horse", facts=facts)
        except (InvalidCredentialsError, TooManyTriesError) as error:
            manager.purge()
            return type(error).__name__
        return "signed in"

    results = Counter(in_parallel(guess, 24))
    cluster.wait_until_same()
    results += Counter(guess(number) for number in range(limit + 1))

    assert results["signed in"] == 0
    assert results.total() == 24 + limit + 1
    with pytest.raises(TooManyTriesError):
        site.managers[0].sign_in_email(email=ADA, password=PASSWORD, facts=facts)
