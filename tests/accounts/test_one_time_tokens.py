"""Links in mails: a forgotten password, an address to verify, another address."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import peewee
import pytest

from tests.support import PASSWORD, in_parallel
from wsgi_sessions import (
    AccountNotLinkedError,
    EndReason,
    InvalidCredentialsError,
    InvalidEmailError,
    InvalidOneTimeTokenError,
    InvalidValueError,
    InvalidVerificationError,
    PasswordTooShortError,
    ResetPasswordDisabledError,
    TooManyTriesError,
    User,
    UserAlreadyExistsError,
    VerificationDisabledError,
)
from wsgi_sessions.accounts.one_time_tokens import OneTimeTokens, Purpose, _digest
from wsgi_sessions.records import NO_FACTS
from wsgi_sessions_testing import Bench, LocalIssuer, Mailbox

EMAIL, NEW_EMAIL, NEW_PASSWORD = "ada@example.org", "ada@example.net", "another horse"
SITE = "https://app.example.org"


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench(None, throttle=None, site_url=SITE) as bench:
        yield bench


def sign_up(bench: Bench, email: str = EMAIL) -> Any:
    return bench.manager.sign_up_email(name="Ada", email=email, password=PASSWORD)


def request_reset(bench: Bench, email: str = EMAIL) -> str:
    bench.manager.request_password_reset(email=email)
    token = bench.mailbox.last("reset-password").token
    assert token is not None
    return token


def request_change(bench: Bench, user_id: Any, new_email: str = NEW_EMAIL) -> str:
    bench.manager.change_email(user_id, new_email=new_email)
    token = bench.mailbox.last("change-email").token
    assert token is not None
    return token


def request_verification(bench: Bench, email: str = EMAIL) -> str:
    bench.manager.send_verification_email(email=email)
    token = bench.mailbox.last("verify-email").token
    assert token is not None
    return token


def names(bench: Bench) -> list[str]:
    return [event.name for event in bench.events]


class TestReset:
    def test_sets_the_password(self, bench: Bench) -> None:
        user = sign_up(bench).user

        returned = bench.manager.reset_password(
            token=request_reset(bench), new_password=NEW_PASSWORD
        )

        assert returned.id == user.id
        assert bench.manager.sign_in_email(email=EMAIL, password=NEW_PASSWORD).user.id == user.id
        with pytest.raises(InvalidCredentialsError):
            bench.manager.sign_in_email(email=EMAIL, password=PASSWORD)

    def test_ends_all_sessions_of_the_user_and_no_others(self, bench: Bench) -> None:
        mine = [sign_up(bench), bench.manager.sign_in_email(email=EMAIL, password=PASSWORD)]
        other = sign_up(bench, "bob@example.org")

        bench.manager.reset_password(token=request_reset(bench), new_password=NEW_PASSWORD)

        assert [bench.manager.is_live(made.session.id) for made in mine] == [False, False]
        assert bench.manager.is_live(other.session.id)
        ended = [event for event in bench.events if event.name == "session_ended"]
        assert {event.session_id for event in ended} == {made.session.id for made in mine}
        assert {event.reason for event in ended} == {EndReason.PASSWORD_CHANGED}

    @pytest.mark.parametrize("is_trusted", [False, True])
    def test_unlinks_the_provider_of_whoever_came_with_an_address_that_is_not_theirs(
        self, is_trusted: bool
    ) -> None:
        with LocalIssuer() as issuer:
            providers = [issuer.provider("corp", is_trusted=is_trusted)]
            with Bench(None, social_providers=providers) as bench:
                issuer.clock = bench.clock

                def come_by_provider() -> User:
                    token = issuer.id_token("sub-1", email=EMAIL, email_verified=True)
                    return bench.manager.sign_in_social(provider="corp", id_token=token).user

                user = come_by_provider()
                for password in (NEW_PASSWORD, PASSWORD):
                    token = request_reset(bench)
                    bench.manager.reset_password(token=token, new_password=password)
                signed_in = bench.manager.sign_in_email(email=EMAIL, password=PASSWORD).user

                assert (signed_in.id, signed_in.email_verified) == (user.id, True)
                if is_trusted:  # who had shown that the address is theirs
                    assert come_by_provider() == signed_in
                else:
                    with pytest.raises(AccountNotLinkedError):
                        come_by_provider()

    def test_unlinks_nobody_where_the_table_never_knows_what_is_verified(self) -> None:
        database = peewee.SqliteDatabase(":memory:")

        class Person(peewee.Model):
            email = peewee.CharField(unique=True)
            name = peewee.CharField()

        Person.bind(database)
        database.create_tables([Person])
        unknown = ("email_verified", "image", "created_at", "updated_at")
        with LocalIssuer() as issuer:
            settings: dict[str, Any] = {
                "user_model": Person,
                "user_attributes": dict.fromkeys(unknown),
                "social_providers": [issuer.provider("corp", is_trusted=True)],
            }
            with Bench(None, database=database, **settings) as bench:
                issuer.clock = bench.clock
                for _ in range(2):
                    token = issuer.id_token("sub-1", email=EMAIL, email_verified=True)
                    bench.manager.sign_in_social(provider="corp", id_token=token)
                    bench.manager.reset_password(
                        token=request_reset(bench), new_password=NEW_PASSWORD
                    )

    def test_verifies_the_address_and_tells_its_owner(self, bench: Bench) -> None:
        sign_up(bench)

        user = bench.manager.reset_password(token=request_reset(bench), new_password=NEW_PASSWORD)

        assert user.email_verified
        assert bench.manager.find_user(user.id) == user
        told = bench.mailbox.last("password-changed")
        assert (told.to, told.url, told.token) == (EMAIL, None, None)
        assert {"password_reset_requested", "password_changed", "email_verified"} <= set(
            names(bench)
        )

    def test_gives_a_password_to_who_had_none(self, bench: Bench) -> None:
        user = bench.manager.create_user(name="Ada", email=EMAIL)

        bench.manager.reset_password(token=request_reset(bench), new_password=NEW_PASSWORD)

        assert bench.manager.sign_in_email(email=EMAIL, password=NEW_PASSWORD).user.id == user.id

    def test_token_works_once(self, bench: Bench) -> None:
        sign_up(bench)
        token = request_reset(bench)
        bench.manager.reset_password(token=token, new_password=NEW_PASSWORD)

        with pytest.raises(InvalidOneTimeTokenError):
            bench.manager.reset_password(token=token, new_password="a third horse")

        assert names(bench)[-1] == "token_refused"
        bench.manager.sign_in_email(email=EMAIL, password=NEW_PASSWORD)

    def test_token_works_once_however_many_use_it_at_the_same_time(self, tmp_path: Any) -> None:
        database = f"sqlite:///{tmp_path / 'app.db'}"
        with Bench(None, database=database, throttle=None) as bench:
            sign_up(bench)
            token = request_reset(bench)

            def use(number: int) -> bool:
                try:
                    bench.manager.reset_password(token=token, new_password=f"{number} horses here")
                except InvalidOneTimeTokenError:
                    return False
                return True

            assert sorted(in_parallel(use, 4)) == [False, False, False, True]

    def test_refused_password_does_not_use_the_token_up(self, bench: Bench) -> None:
        sign_up(bench)
        token = request_reset(bench)
        with pytest.raises(PasswordTooShortError):
            bench.manager.reset_password(token=token, new_password="short")

        bench.manager.reset_password(token=token, new_password=NEW_PASSWORD)

    @pytest.mark.parametrize(("seconds", "is_good"), [(3599, True), (3600, False)])
    def test_token_is_good_for_an_hour(self, bench: Bench, seconds: int, is_good: bool) -> None:
        sign_up(bench)
        token = request_reset(bench)
        bench.clock.advance(seconds=seconds)
        if is_good:
            bench.manager.reset_password(token=token, new_password=NEW_PASSWORD)
            return
        with pytest.raises(InvalidOneTimeTokenError):
            bench.manager.reset_password(token=token, new_password=NEW_PASSWORD)

    def test_lifetime_is_a_setting(self) -> None:
        with Bench(None, reset_expires_in=60) as bench:
            sign_up(bench)
            token = request_reset(bench)
            bench.clock.advance(seconds=60)
            with pytest.raises(InvalidOneTimeTokenError):
                bench.manager.reset_password(token=token, new_password=NEW_PASSWORD)

    @pytest.mark.parametrize(
        "token", [None, "", "x", "\ud800", "A" * 43, "A" * 43 + "\n", "é" * 43]
    )
    def test_made_up_token_is_refused(self, bench: Bench, token: Any) -> None:
        sign_up(bench)
        with pytest.raises(InvalidOneTimeTokenError):
            bench.manager.reset_password(token=token, new_password=NEW_PASSWORD)

    @pytest.mark.parametrize("request_other", [request_verification, request_change])
    def test_token_of_another_purpose_is_refused(
        self, bench: Bench, request_other: Callable[..., str]
    ) -> None:
        user = sign_up(bench).user
        token = request_other(bench, *([user.id] if request_other is request_change else []))
        with pytest.raises(InvalidOneTimeTokenError):
            bench.manager.reset_password(token=token, new_password=NEW_PASSWORD)

    def test_token_is_bound_to_the_address(self, bench: Bench) -> None:
        user = sign_up(bench).user
        token = request_reset(bench)
        # As an application changes its own table.
        bench.manager.parts.store.users.update(
            user.id, email=NEW_EMAIL, now_ms=bench.clock.now_ms()
        )
        with pytest.raises(InvalidOneTimeTokenError):
            bench.manager.reset_password(token=token, new_password=NEW_PASSWORD)

    def test_older_links_work_until_one_is_used(self, bench: Bench) -> None:
        # Or a stranger who asks for links again and again would keep the owner's from working.
        sign_up(bench)
        first, second = request_reset(bench), request_reset(bench)

        bench.manager.reset_password(token=first, new_password=NEW_PASSWORD)

        with pytest.raises(InvalidOneTimeTokenError):
            bench.manager.reset_password(token=second, new_password=NEW_PASSWORD)

    def test_change_of_password_uses_links_up(self, bench: Bench) -> None:
        user = sign_up(bench).user
        token, change = request_reset(bench), request_change(bench, user.id)
        verification = request_verification(bench)

        bench.manager.change_password(user.id, current_password=PASSWORD, new_password=NEW_PASSWORD)

        with pytest.raises(InvalidOneTimeTokenError):
            bench.manager.reset_password(token=token, new_password=PASSWORD)
        with pytest.raises(InvalidVerificationError):
            bench.manager.verify_email(token=change)
        assert bench.manager.verify_email(token=verification).email_verified

    def test_deleted_users_token_is_refused(self, bench: Bench) -> None:
        user = sign_up(bench).user
        token = request_reset(bench)
        bench.manager.delete_user(user.id)
        with pytest.raises(InvalidOneTimeTokenError):
            bench.manager.reset_password(token=token, new_password=NEW_PASSWORD)

    def test_unknown_address_is_told_nothing_and_mailed_nothing(self, bench: Bench) -> None:
        bench.manager.request_password_reset(email="nobody@example.org")
        assert list(bench.mailbox) == []

    def test_the_database_keeps_no_token(self, bench: Bench) -> None:
        sign_up(bench)
        token = request_reset(bench)
        rows = list(bench.manager.parts.models.one_time_token.select().tuples())
        assert len(rows) == 1
        assert token not in str(rows)
        assert _digest(token) in str(rows)

    def test_is_throttled(self) -> None:
        with Bench(None, throttle={"mails_per_address": 2}) as bench:
            for _ in range(2):
                bench.manager.request_password_reset(email=EMAIL)
            with pytest.raises(TooManyTriesError):
                bench.manager.request_password_reset(email=EMAIL)
            # Not at the cost of the owner, who signs in.
            sign_up(bench)

    def test_presented_tokens_are_counted_by_network(self) -> None:
        facts = NO_FACTS._replace(address="192.0.2.1")
        with Bench(None, throttle={"sign_ups": 2}) as bench:
            for _ in range(2):
                with pytest.raises(InvalidOneTimeTokenError):
                    bench.manager.verify_email(token="x", facts=facts)
            with pytest.raises(TooManyTriesError):
                bench.manager.verify_email(token="x", facts=facts)
            with pytest.raises(TooManyTriesError):
                bench.manager.reset_password(token="x", new_password=NEW_PASSWORD, facts=facts)

    def test_link_leads_to_the_page_that_was_named(self, bench: Bench) -> None:
        sign_up(bench)
        for page, url in (
            (None, f"{SITE}/?token="),
            ("/new-password?lang=en", f"{SITE}/new-password?lang=en&token="),
            ("https://other.example/new#form", "https://other.example/new?token="),
        ):
            bench.manager.request_password_reset(email=EMAIL, redirect_to=page)
            mail = bench.mailbox.last("reset-password")
            assert mail.url is not None
            assert mail.url.startswith(f"{url}{mail.token}")

    def test_without_mail_is_refused(self) -> None:
        with Bench(None, on_send=None) as bench, pytest.raises(ResetPasswordDisabledError):
            bench.manager.request_password_reset(email=EMAIL)


class TestVerification:
    def test_verifies_the_address(self, bench: Bench) -> None:
        user = sign_up(bench).user

        verified = bench.manager.verify_email(token=request_verification(bench))

        assert verified.email_verified
        assert bench.manager.find_user(user.id) == verified
        assert names(bench)[-1] == "email_verified"

    def test_used_token_changes_nothing_and_is_no_error(self, bench: Bench) -> None:
        # A mail scanner follows a link before its reader does.
        user = sign_up(bench).user
        token = request_verification(bench)
        bench.manager.verify_email(token=token)
        bench.events.clear()

        again = bench.manager.verify_email(token=token)

        assert again == bench.manager.find_user(user.id)
        assert names(bench) == []

    def test_used_token_verifies_nothing_again(self, bench: Bench) -> None:
        user = sign_up(bench).user
        token = request_verification(bench)
        bench.manager.verify_email(token=token)
        bench.manager.parts.store.users.update(
            user.id, email_verified=False, now_ms=bench.clock.now_ms()
        )
        with pytest.raises(InvalidVerificationError):
            bench.manager.verify_email(token=token)

    @pytest.mark.parametrize("is_used", [False, True])
    def test_token_is_good_for_a_day(self, bench: Bench, is_used: bool) -> None:
        sign_up(bench)
        token = request_verification(bench)
        bench.clock.advance(hours=23, minutes=59)
        if is_used:
            bench.manager.verify_email(token=token)
        bench.clock.advance(minutes=1)
        with pytest.raises(InvalidVerificationError):
            bench.manager.verify_email(token=token)

    def test_token_is_bound_to_the_address(self, bench: Bench) -> None:
        user = sign_up(bench).user
        token = request_verification(bench)
        bench.manager.verify_email(token=request_change(bench, user.id))
        with pytest.raises(InvalidVerificationError):
            bench.manager.verify_email(token=token)

    def test_token_of_a_reset_is_refused(self, bench: Bench) -> None:
        sign_up(bench)
        with pytest.raises(InvalidVerificationError):
            bench.manager.verify_email(token=request_reset(bench))

    @pytest.mark.parametrize("email", [EMAIL, "nobody@example.org"])
    def test_verified_and_unknown_addresses_are_mailed_nothing(
        self, bench: Bench, email: str
    ) -> None:
        bench.manager.create_user(name="Ada", email=EMAIL, email_verified=True)
        bench.manager.send_verification_email(email=email)
        assert list(bench.mailbox) == []

    def test_link_verifies_and_leads_on(self, bench: Bench) -> None:
        sign_up(bench)
        bench.manager.send_verification_email(email=EMAIL, callback_url="/hello?a=b")
        mail = bench.mailbox.last("verify-email")
        assert mail.url == (
            f"{SITE}/api/auth/verify-email?token={mail.token}&callbackURL=%2Fhello%3Fa%3Db"
        )

    def test_link_leads_to_the_front_page_of_a_site_below_a_path(self) -> None:
        with Bench(None, site_url=f"{SITE}/shop") as bench:
            sign_up(bench)
            token = request_reset(bench)
            assert bench.mailbox.last().url == f"{SITE}/shop/?token={token}"
            request_verification(bench)
            assert (bench.mailbox.last().url or "").endswith("&callbackURL=%2Fshop%2F")

    def test_without_the_api_the_link_leads_to_the_applications_page(self) -> None:
        with Bench(None, site_url=f"{SITE}/shop", api_path=None) as bench:
            sign_up(bench)
            bench.manager.send_verification_email(email=EMAIL, callback_url="/shop/verify")
            mail = bench.mailbox.last()
            assert mail.url == f"{SITE}/shop/verify?token={mail.token}"

    def test_without_mail_is_refused(self) -> None:
        with Bench(None, on_send=None) as bench:
            user = sign_up(bench).user
            with pytest.raises(VerificationDisabledError):
                bench.manager.send_verification_email(email=EMAIL)
            with pytest.raises(VerificationDisabledError):
                bench.manager.change_email(user.id, new_email=NEW_EMAIL)

    def test_application_says_that_an_address_is_verified(self, bench: Bench) -> None:
        user = sign_up(bench).user

        marked = [bench.manager.mark_email_verified(user.id) for _ in range(2)]

        assert marked == [bench.manager.find_user(user.id)] * 2
        assert marked[0].email_verified
        assert names(bench).count("email_verified") == 1
        with pytest.raises(LookupError):
            bench.manager.mark_email_verified("nobody")


class TestChangeOfAddress:
    def test_changes_when_the_link_is_used_and_not_before(self, bench: Bench) -> None:
        made = sign_up(bench)
        token = request_change(bench, made.user.id)
        mail = bench.mailbox.last("change-email")
        before = bench.manager.find_user(made.user.id)
        assert before is not None

        changed = bench.manager.verify_email(token=token)

        assert (mail.to, before.email) == (NEW_EMAIL, EMAIL)
        assert (changed.email, changed.email_verified) == (NEW_EMAIL, True)
        assert bench.manager.find_user(made.user.id) == changed
        assert bench.manager.is_live(made.session.id)
        assert names(bench)[-1] == "email_changed"
        assert bench.mailbox.last("email-changed").to == EMAIL
        assert bench.manager.sign_in_email(email=NEW_EMAIL, password=PASSWORD).session is not None

    def test_taken_address_is_mailed_nothing_and_told_nothing(self, bench: Bench) -> None:
        user = sign_up(bench).user
        sign_up(bench, NEW_EMAIL)
        bench.manager.change_email(user.id, new_email=NEW_EMAIL)
        assert list(bench.mailbox) == []

    def test_address_that_is_taken_meanwhile_stays_its_owners(self, bench: Bench) -> None:
        user = sign_up(bench).user
        token = request_change(bench, user.id)
        other = sign_up(bench, NEW_EMAIL).user
        with pytest.raises(UserAlreadyExistsError):
            bench.manager.verify_email(token=token)
        assert bench.manager.find_user(email=NEW_EMAIL) == other
        assert bench.manager.find_user(user.id) == user

    def test_who_has_no_address_is_mailed_nothing(self) -> None:
        class Member(peewee.Model):
            email = peewee.CharField(unique=True, null=True)
            email_verified = peewee.BooleanField(default=False)
            name = peewee.CharField(null=True)

        database = peewee.SqliteDatabase(":memory:")
        with database.bind_ctx([Member]):
            database.create_tables([Member])
            user_id = Member.insert(name="Ada").execute()
            with Bench(None, database=database, user_model=Member, site_url=SITE) as bench:
                bench.manager.set_password(user_id, NEW_PASSWORD)
                bench.manager.verify_email(token=request_change(bench, user_id))
                assert [mail.to for mail in bench.mailbox] == [NEW_EMAIL]
                assert "mail_failed" not in names(bench)

    def test_used_token_is_no_error_where_no_model_says_what_is_verified(self) -> None:
        class Reader(peewee.Model):
            email = peewee.CharField(unique=True)
            name = peewee.CharField(null=True)

        database = peewee.SqliteDatabase(":memory:")
        with database.bind_ctx([Reader]):
            database.create_tables([Reader])
            with Bench(
                None,
                database=database,
                user_model=Reader,
                user_attributes={"email_verified": None},
                site_url=SITE,
            ) as bench:
                token = request_change(bench, sign_up(bench).user.id)
                bench.manager.verify_email(token=token)
                assert bench.manager.verify_email(token=token).email == NEW_EMAIL
                assert names(bench)[-1] == "email_changed"

    def test_newer_link_replaces_an_older_one(self, bench: Bench) -> None:
        # The first may have gone to a stranger, by a typing mistake.
        user = sign_up(bench).user
        first = request_change(bench, user.id, "adda@example.net")
        second = request_change(bench, user.id)
        with pytest.raises(InvalidVerificationError):
            bench.manager.verify_email(token=first)
        assert bench.manager.verify_email(token=second).email == NEW_EMAIL

    def test_links_to_the_old_address_work_no_more(self, bench: Bench) -> None:
        user = sign_up(bench).user
        reset = request_reset(bench)
        bench.manager.verify_email(token=request_change(bench, user.id))
        with pytest.raises(InvalidOneTimeTokenError):
            bench.manager.reset_password(token=reset, new_password=NEW_PASSWORD)

    def test_used_token_changes_nothing_and_is_no_error(self, bench: Bench) -> None:
        user = sign_up(bench).user
        token = request_change(bench, user.id)
        bench.manager.verify_email(token=token)
        assert bench.manager.verify_email(token=token).email == NEW_EMAIL
        assert len([mail for mail in bench.mailbox if mail.kind == "email-changed"]) == 1

    @pytest.mark.parametrize("purpose", ["verify-email", "change-email"])
    def test_link_that_two_follow_at_once_is_no_error(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, purpose: Purpose
    ) -> None:
        """Its reader and a mail scanner: both have found it unused."""
        user = sign_up(bench).user
        is_change = purpose == "change-email"
        token = request_change(bench, user.id) if is_change else request_verification(bench)
        unused = bench.manager.parts.tokens.find(token, purpose=purpose)
        first = bench.manager.verify_email(token=token)

        monkeypatch.setattr(OneTimeTokens, "find", lambda *_, **__: unused)

        assert bench.manager.verify_email(token=token) == first
        assert names(bench).count("email_changed" if is_change else "email_verified") == 1

    def test_used_token_brings_no_address_back(self, bench: Bench) -> None:
        user = sign_up(bench).user
        token = request_change(bench, user.id)
        bench.manager.verify_email(token=token)
        bench.manager.verify_email(token=request_change(bench, user.id, EMAIL))
        with pytest.raises(InvalidVerificationError):
            bench.manager.verify_email(token=token)
        assert bench.manager.find_user(email=EMAIL) is not None

    @pytest.mark.parametrize(
        ("new_email", "error", "said"),
        [
            ("ADA@example.org", InvalidValueError, "is your email address already; give another"),
            ("nothing", InvalidEmailError, "Invalid email"),
        ],
    )
    def test_own_address_and_what_is_none_are_refused(
        self, bench: Bench, new_email: str, error: type[Exception], said: str
    ) -> None:
        user = sign_up(bench).user
        with pytest.raises(error, match=said):
            bench.manager.change_email(user.id, new_email=new_email)


class TestForApplications:
    def test_user_is_found_by_id_or_address(self, bench: Bench) -> None:
        user = sign_up(bench).user
        assert bench.manager.find_user(user.id) == bench.manager.find_user(email="ADA@example.org")
        assert bench.manager.find_user("nobody") is bench.manager.find_user(email="b@example.org")
        for wrong in ({}, {"user_id": user.id, "email": EMAIL}):
            with pytest.raises(TypeError, match="one of them"):
                bench.manager.find_user(**wrong)

    def test_user_is_created_without_a_session(self, bench: Bench) -> None:
        user = bench.manager.create_user(
            name="Ada", email="Ada@example.org", password=PASSWORD, email_verified=True
        )

        assert (user.email, user.email_verified) == (EMAIL, True)
        assert bench.manager.list_sessions(user.id) == []
        assert bench.manager.sign_in_email(email=EMAIL, password=PASSWORD).user == user
        with pytest.raises(UserAlreadyExistsError):
            bench.manager.create_user(name="Eve", email=EMAIL)

    def test_user_is_created_with_a_hash_from_elsewhere(self, bench: Bench) -> None:
        password_hash = bench.manager.parts.accounts.hasher.hash(PASSWORD)
        bench.manager.create_user(name="Ada", email=EMAIL, password_hash=password_hash)
        assert bench.manager.sign_in_email(email=EMAIL, password=PASSWORD).session is not None
        with pytest.raises(TypeError, match="one of them"):
            bench.manager.create_user(
                name="Bob", email="b@example.org", password="x" * 9, password_hash=password_hash
            )

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"password_hash": b"$2b$12$x"}, "password_hash is text, not bytes"),
            ({"password_hash": "x" * 513}, "at most 512"),
            ({"password_hash": "a\0b"}, "no text"),
            ({"email_verified": "false"}, "email_verified is 'false'; give True or False"),
        ],
    )
    def test_what_no_import_may_bring_is_refused_at_once(
        self, bench: Bench, given: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(InvalidValueError, match=message):
            bench.manager.create_user(name="Ada", email=EMAIL, **given)
        assert bench.manager.find_user(email=EMAIL) is None

    def test_password_is_set_and_ends_what_the_one_before_opened(self, bench: Bench) -> None:
        made = sign_up(bench)
        token = request_reset(bench)

        bench.manager.set_password(made.user.id, NEW_PASSWORD)

        assert not bench.manager.is_live(made.session.id)
        bench.manager.sign_in_email(email=EMAIL, password=NEW_PASSWORD)
        assert bench.mailbox.last().kind == "password-changed"
        with pytest.raises(InvalidOneTimeTokenError):
            bench.manager.reset_password(token=token, new_password=PASSWORD)
        with pytest.raises(LookupError):
            bench.manager.set_password("nobody", NEW_PASSWORD)
        with pytest.raises(PasswordTooShortError):
            bench.manager.set_password(made.user.id, "short")

    def test_password_of_who_is_deleted_meanwhile_leaves_nothing(self) -> None:
        deleted: list[bool] = []

        def delete_user(_password: str) -> bool:
            if user is not None:
                deleted.append(bench.manager.delete_user(user.id))
            return False

        user = None
        with Bench(None, password={"is_compromised": delete_user}) as bench:
            user = bench.manager.create_user(name="Ada", email=EMAIL)
            with pytest.raises(LookupError):
                bench.manager.set_password(user.id, NEW_PASSWORD)
            assert deleted == [True]
            assert bench.manager.parts.store.accounts.find_credential(user.id) is None
            assert list(bench.mailbox) == []

    def test_change_of_password_is_told_to_the_owner(self, bench: Bench) -> None:
        user = sign_up(bench).user
        bench.manager.change_password(user.id, current_password=PASSWORD, new_password=NEW_PASSWORD)
        assert bench.mailbox.last().kind == "password-changed"


def test_mailboxes_are_chained(bench: Bench) -> None:
    second = Mailbox(bench.manager)
    sign_up(bench)
    request_reset(bench)
    assert list(second) == list(bench.mailbox)
