"""Who may sign up, and a sign-up that does not tell who is here."""

from __future__ import annotations

from typing import Any

import peewee
import pytest

from tests.api.client import EMAIL, Client, make_manager
from tests.support import PASSWORD, new_clock
from wsgi_sessions import (
    EmailSignUpDisabledError,
    InvalidCredentialsError,
    SignUpRefusedError,
    ThrottleConfig,
)
from wsgi_sessions_testing import Bench, FakeClock, LocalIssuer, Mailbox

NAME: dict[str, Any] = {"name": "Ada", "email": EMAIL, "password": PASSWORD}
QUIET: list[dict[str, Any]] = [{"require_verified_email": True}, {"auto_sign_in": False}]


@pytest.fixture
def clock() -> FakeClock:
    return new_clock()


def enter(client: Client, issuer: LocalIssuer) -> Any:
    token = issuer.id_token("ada-1", email=EMAIL, email_verified=True)
    return client.post("/sign-in/social", {"provider": "corp", "idToken": {"token": token}})


class TestWhoMaySignUp:
    def test_nobody_new_may_where_sign_ups_are_closed(
        self, issuer: LocalIssuer, clock: FakeClock
    ) -> None:
        providers = [issuer.provider("corp", is_trusted=True)]
        client = Client(make_manager(clock, allow_sign_up=False, social_providers=providers))
        signed_up, entered = client.sign_up(), enter(client, issuer)
        assert (signed_up.status, signed_up.code) == (403, "EMAIL_PASSWORD_SIGN_UP_DISABLED")
        assert (entered.status, entered.code) == (403, "SIGN_UP_DISABLED")
        assert client.manager.find_user(email=EMAIL) is None

        # Whom the application made may come, by either way.
        client.manager.create_user(**NAME, email_verified=True)
        assert client.sign_in(password=PASSWORD).status == 200
        assert enter(client, issuer).status == 200

    def test_application_refuses_in_its_words(self, issuer: LocalIssuer, clock: FakeClock) -> None:
        asked: list[Any] = []

        def members_only(**who: Any) -> str | None:
            asked.append(who)
            return None if who["email"].endswith("@example.net") else "Only members may sign up."

        providers = [issuer.provider("corp", is_trusted=True)]
        client = Client(make_manager(clock, check_sign_up=members_only, social_providers=providers))
        for answer in (client.sign_up(), enter(client, issuer)):
            assert (answer.status, answer.code) == (403, "SIGN_UP_REFUSED")
            assert answer.json["message"] == "Only members may sign up."
        assert client.sign_up(email="ada@example.net").status == 200
        assert client.manager.find_user(email=EMAIL) is None
        assert asked[0] == {"email": EMAIL, "name": "Ada", "provider": None}
        assert asked[1]["provider"] == "corp"
        client.manager.create_user(**NAME)

    @pytest.mark.parametrize("returned", [False, True, 0])
    def test_what_is_no_text_lets_nobody_in(self, returned: Any) -> None:
        with (
            Bench(None, check_sign_up=lambda **_: returned) as bench,
            pytest.raises(TypeError, match="check_sign_up returned"),
        ):
            bench.manager.sign_up_email(**NAME)

    def test_is_asked_before_anything_is_looked_up(self) -> None:
        with Bench(None) as bench:
            bench.manager.create_user(**NAME)
            for settings, error in (
                ({"allow_sign_up": False}, EmailSignUpDisabledError),
                ({"check_sign_up": lambda **_: "No."}, SignUpRefusedError),
            ):
                with (
                    Bench(None, database=bench.manager.database, **settings) as other,
                    pytest.raises(error),
                ):
                    other.manager.sign_up_email(**NAME)

    def test_every_sign_up_counts_in_a_network(self, issuer: LocalIssuer, clock: FakeClock) -> None:
        providers = [issuer.provider("corp", is_trusted=True)]
        limits = ThrottleConfig(sign_ups=2)
        client = Client(make_manager(clock, throttle=limits, social_providers=providers))
        assert client.sign_up(email="bob@example.org").status == 200
        assert enter(client, issuer).status == 200
        assert client.sign_up(email="eve@example.org").status == 429
        somebody_new = issuer.id_token("eve-1", email="eve@example.org", email_verified=True)
        body = {"provider": "corp", "idToken": {"token": somebody_new}}
        assert client.post("/sign-in/social", body).status == 429
        assert enter(client, issuer).status == 200, "is known by now"


@pytest.mark.parametrize("settings", QUIET, ids=lambda settings: next(iter(settings)))
class TestAnswersAlike:
    def test_taken_address_is_answered_as_a_free_one(self, settings: dict[str, Any]) -> None:
        client = Client(make_manager(**settings))
        mailbox = Mailbox(client.manager)
        free, taken = client.sign_up(), client.sign_up(name="Eve", password="a thief's horse")

        def shape(answer: Any) -> Any:
            user = {name: type(value) for name, value in answer.json["user"].items()}
            return answer.status, answer.json["token"], user, len(answer.json["user"]["id"])

        assert shape(free) == shape(taken)
        assert free.json["user"]["id"] != taken.json["user"]["id"]
        assert (taken.json["user"]["name"], taken.json["user"]["email"]) == ("Eve", EMAIL)
        assert {name for name, _ in free.headers} == {name for name, _ in taken.headers}
        assert mailbox.last("sign-up-attempt").user.name == "Ada"

    def test_owner_keeps_their_password(self, settings: dict[str, Any]) -> None:
        with Bench(None, **settings) as bench:
            owner = bench.manager.create_user(**NAME, email_verified=True)
            made = bench.manager.sign_up_email(name="Eve", email=EMAIL, password="a thief's horse")
            assert (made.session, made.user.id == owner.id) == (None, False)
            assert bench.manager.find_user(made.user.id) is None
            assert bench.manager.sign_in_email(email=EMAIL, password=PASSWORD).user == owner
            with pytest.raises(InvalidCredentialsError):
                bench.manager.sign_in_email(email=EMAIL, password="a thief's horse")
            assert "sign_up_attempt" in [event.name for event in bench.events]

    def test_no_stranger_fills_the_owner_s_mailbox(self, settings: dict[str, Any]) -> None:
        with Bench(None, throttle=ThrottleConfig(), **settings) as bench:
            bench.manager.create_user(**NAME)
            for email in (EMAIL, "nobody@example.org"):
                answers = []
                for number in range(5):
                    client = Client(bench.manager, address=f"192.0.{number}.1")
                    answers.append(client.sign_up(email=email).status)
                assert answers == [200] * 3 + [429] * 2
            told = [
                str(mail.user.email) for mail in bench.mailbox if mail.kind == "sign-up-attempt"
            ]
            assert sorted(told) == [EMAIL] * 3 + ["nobody@example.org"] * 2

    def test_name_that_has_no_room_tells_nothing(self, settings: dict[str, Any]) -> None:
        class Guest(peewee.Model):
            email = peewee.CharField(unique=True)
            email_verified = peewee.BooleanField(default=False)
            name = peewee.CharField(max_length=20)

        database = peewee.SqliteDatabase(":memory:")
        with database.bind_ctx([Guest]):
            database.create_tables([Guest])
            with Bench(None, database=database, user_model=Guest, **settings) as bench:
                client = Client(bench.manager)
                bench.manager.create_user(**NAME)
                free, taken = (
                    client.sign_up(name="A" * 21, email=email)
                    for email in ("free@example.org", EMAIL)
                )
                assert (free.status, free.code) == (400, "VALIDATION_ERROR")
                assert free == taken

    def test_id_tells_nothing_where_the_database_counts(self, settings: dict[str, Any]) -> None:
        class Member(peewee.Model):
            email = peewee.CharField(unique=True)
            email_verified = peewee.BooleanField(default=False)
            name = peewee.CharField(null=True)

        database = peewee.SqliteDatabase(":memory:")
        with database.bind_ctx([Member]):
            database.create_tables([Member])
            with Bench(None, database=database, user_model=Member, **settings) as bench:
                client = Client(bench.manager)
                ids = [client.sign_up().json["user"]["id"] for _ in range(2)]
                assert [len(user_id) for user_id in ids] == [24, 24]
                assert Member.select().count() == 1


def test_address_to_verify_is_mailed_a_link_that_lets_them_in() -> None:
    client = Client(make_manager(require_verified_email=True))
    mailbox = Mailbox(client.manager)
    client.sign_up(callbackURL="/welcome")
    assert client.sign_in().code == "EMAIL_NOT_VERIFIED"
    assert client.sign_in(password="wrong horse").code == "INVALID_EMAIL_OR_PASSWORD"

    mail = mailbox.last("verify-email")
    query = (mail.url or "").partition("?")[2]
    answer = client.get("/verify-email", query=query)

    assert (answer.status, answer.header("Location")) == (302, "/welcome")
    assert client.sign_in().status == 200


def test_sign_up_that_is_to_be_verified_takes_no_page_elsewhere() -> None:
    client = Client(make_manager(require_verified_email=True), origin=None)
    answer = client.send(
        "POST",
        "/sign-up/email",
        payload=b'{"name":"A","email":"a@example.org","password":"correct horse",'
        b'"callbackURL":"http://evil.test/"}',
        HTTP_HOST="evil.test",
    )
    assert (answer.status, answer.code) == (403, "INVALID_CALLBACK_URL")
