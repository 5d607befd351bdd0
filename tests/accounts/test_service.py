"""What ``accounts/service.py`` promises: who is let in, and what is told to those who are not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support import new_clock
from wsgi_sessions.accounts.service import (
    MAX_PASSWORD_CHECKS,
    AccountService,
    CheckedPassword,
    new_user,
    normalize_email,
)
from wsgi_sessions.config.parts import PasswordConfig, ThrottleConfig
from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.errors import (
    EmailNotVerifiedError,
    InvalidCredentialsError,
    InvalidEmailError,
    InvalidPasswordError,
    InvalidValueError,
    PasswordTooLongError,
    PasswordTooShortError,
    RefusedError,
    TooManyTriesError,
    UserAlreadyExistsError,
)
from wsgi_sessions.events import Events, SessionEvent
from wsgi_sessions.manager import SessionManager
from wsgi_sessions.records import NO_FACTS, Account, UserRecord
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing import CHEAP_PASSWORDS

from .fakes import FakeStore, count_work, make_config, make_throttle
from .foreign_hashes import HASHES
from .foreign_hashes import PASSWORD as IMPORTED

NOW = 1_700_000_000_000
EMAIL, PASSWORD = "ada@example.org", "correct horse"


class Desk:
    """An account service with its store and what it reported."""

    def __init__(self, config: SessionConfig | None = None, store: FakeStore | None = None) -> None:
        self.store = store or FakeStore()
        self.told: list[SessionEvent] = []
        self.events = Events(new_clock())
        self.events.subscribe(self.told.append)
        config = config or make_config()
        throttle = make_throttle(self.store, config, self.events)
        self.service = AccountService(cast(Store, self.store), config, self.events, throttle)

    def sign_up(self, **changes: Any) -> UserRecord:
        given = {"name": "Ada", "email": EMAIL, "password": PASSWORD, "now_ms": NOW}
        fields: dict[str, Any] = {"image": None, **given, **changes}
        password, address = fields.pop("password"), fields.pop("address", None)
        user = new_user(**fields)
        password_hash = self.service.start_sign_up(user, password, address=address)
        return self.service.insert_user(user, password_hash, address=address)

    def check(self, email: Any = EMAIL, password: Any = PASSWORD, **more: Any) -> UserRecord:
        and_then = more.pop("and_then", lambda user: user)

        def begin(checked: CheckedPassword) -> UserRecord | None:
            user: UserRecord | None = None
            if self.service.is_unchanged(checked):
                user = and_then(checked.user)
            return user

        facts = NO_FACTS._replace(**more)
        with self.service.signing_in(
            email=email, password=password, facts=facts, now_ms=NOW
        ) as normal_email:
            for _ in range(MAX_PASSWORD_CHECKS):
                checked = self.service.check_password(
                    email=normal_email, password=password, now_ms=NOW, facts=facts
                )
                user = self.store.atomically(partial(begin, checked))
                if user is not None:
                    return user
            raise InvalidCredentialsError

    def change(
        self,
        user_id: str,
        *,
        current_password: Any = PASSWORD,
        new_password: Any = "another horse",
        and_then: Callable[[UserRecord], UserRecord] = lambda user: user,
        **more: Any,
    ) -> UserRecord:
        checked = self.service.confirm_password(
            user_id, password=current_password, now_ms=NOW, **more
        )
        user = checked.user
        self.service.rules.check_new(new_password, email=user.email, name=user.name)
        new_hash = self.service.hasher.hash(new_password)

        def set_password() -> UserRecord:
            self.service.set_password(checked, new_hash, now_ms=NOW)
            return and_then(checked.user)

        user = self.store.atomically(set_password)
        self.events.emit("password_changed", user_id=user.id)
        return user

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.told]


@pytest.fixture
def desk() -> Desk:
    return Desk()


# Signing up


def test_who_signed_up_is_known_by_e_mail_and_password(desk: Desk) -> None:
    made = desk.sign_up(image="https://example.org/ada.png")
    assert desk.check() == made
    assert (made.name, made.email, made.image) == ("Ada", EMAIL, "https://example.org/ada.png")
    assert not made.email_verified
    assert made.created_at_ms == made.updated_at_ms == NOW


def test_e_mail_is_stored_in_lower_case_and_found_in_any(desk: Desk) -> None:
    assert desk.sign_up(email="Ada@Example.ORG").email == "ada@example.org"
    assert desk.check(email="ADA@example.org").email == "ada@example.org"


def test_second_sign_up_with_an_e_mail_is_refused_in_any_case(desk: Desk) -> None:
    desk.sign_up()
    with pytest.raises(UserAlreadyExistsError):
        desk.sign_up(email=EMAIL.upper())
    assert len(desk.store.users) == 1


def test_taken_e_mail_costs_the_same_work_as_a_free_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = count_work(monkeypatch)
    desk.sign_up()
    for_free = list(work.done)
    work.clear()
    with pytest.raises(UserAlreadyExistsError):
        desk.sign_up()
    assert work.done == for_free
    assert len(for_free) == 1


def test_password_is_stored_as_an_argon2id_hash_alone(desk: Desk) -> None:
    user = desk.sign_up()
    account = desk.store.accounts[user.id]
    assert account.password_hash is not None
    assert account.password_hash.startswith("$argon2id$")
    assert PASSWORD not in account.password_hash
    assert (account.provider_id, account.account_id) == ("credential", user.id)


def test_sign_up_is_reported_without_the_e_mail(desk: Desk) -> None:
    user = desk.sign_up(address="192.0.2.1")
    (event,) = desk.told
    assert (event.name, event.user_id, event.address) == ("user_created", user.id, "192.0.2.1")
    assert EMAIL not in repr(event)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"password": "short"}, PasswordTooShortError),
        ({"password": "x" * 129}, PasswordTooLongError),
        ({"password": 12345678}, InvalidValueError),
        ({"password": "half a pair \ud800"}, InvalidValueError),
        ({"email": "nobody"}, InvalidEmailError),
        ({"email": 5}, InvalidValueError),
        ({"email": None}, InvalidValueError),
        ({"name": None}, InvalidValueError),
        ({"name": "n" * 256}, InvalidValueError),
        ({"name": "a\0b"}, InvalidValueError),
        ({"name": "\udc00"}, InvalidValueError),
        ({"image": 7}, InvalidValueError),
        ({"image": "https://example.org/" + "x" * 2029}, InvalidValueError),
        ({"image": "data:image/png;base64,AAAA"}, InvalidValueError),
        ({"name": "Ada\u2028"}, InvalidValueError),
    ],
)
def test_unusable_values_make_no_user_and_cost_no_hash(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    error: type[RefusedError],
) -> None:
    work = count_work(monkeypatch)
    with pytest.raises(error):
        desk.sign_up(**changes)
    assert desk.store.users == {}
    assert work.done == []


# E-mail addresses


@pytest.mark.parametrize(
    "text",
    [
        *["", " ", "@", "ada", "ada@", "@example.org", "ada@localhost", "ada@exa mple.org"],
        *["ada@@example.org", "ada@example..org", "a\0da@example.org", "ada@example.org\r\nBcc: x"],
        *["Ada <ada@example.org>", "ada@[127.0.0.1]", "\ud800@example.org", "x" * 250 + "@a.de"],
    ],
)
def test_what_is_no_e_mail_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidEmailError):
        normalize_email(text)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("Ada.Lovelace+tag@Example.org", "ada.lovelace+tag@example.org"),
        ("ada@xn--mller-kva.de", "ada@müller.de"),
        ("ADE\u0301LE@example.org", "adéle@example.org"),
        ("ada@example.test", "ada@example.test"),
    ],
)
def test_e_mail_addresses_are_brought_into_one_form(text: str, stored: str) -> None:
    assert normalize_email(text) == stored


@settings(deadline=None)
@given(st.one_of(st.text(), st.emails(), st.tuples(st.text(), st.text()).map("@".join)))
@example("\ud800@\udfff.org")
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        stored = normalize_email(text)
    except InvalidEmailError:
        return
    assert stored == stored.lower()
    assert stored.encode()


# Checking a password


def test_wrong_password_and_unknown_e_mail_are_answered_alike(desk: Desk) -> None:
    desk.sign_up()
    with pytest.raises(InvalidCredentialsError) as wrong:
        desk.check(password="wrong horse")
    with pytest.raises(InvalidCredentialsError) as unknown:
        desk.check(email="nobody@example.org")
    assert str(wrong.value) == str(unknown.value)


def test_unknown_e_mail_costs_the_work_of_a_wrong_password(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.sign_up()
    work = count_work(monkeypatch)
    with pytest.raises(InvalidCredentialsError):
        desk.check(password="wrong horse")
    for_wrong = list(work.done)
    work.clear()
    with pytest.raises(InvalidCredentialsError):
        desk.check(email="nobody@example.org")
    assert work.done == for_wrong
    assert len(for_wrong) == 1


def test_user_without_a_password_is_let_in_with_none(desk: Desk) -> None:
    user = desk.sign_up()
    desk.store.accounts[user.id] = desk.store.accounts[user.id]._replace(password_hash=None)
    for password in (PASSWORD, "", "None"):
        with pytest.raises(InvalidCredentialsError):
            desk.check(password=password)


@pytest.mark.parametrize("password", [None, 1, b"correct horse", [PASSWORD], "\udfff"])
def test_password_that_is_no_text_is_a_refused_value(desk: Desk, password: Any) -> None:
    desk.sign_up()
    with pytest.raises(InvalidValueError):
        desk.check(password=password)


def test_failed_sign_in_is_reported_without_e_mail_or_password(desk: Desk) -> None:
    user = desk.sign_up()
    for email, password in ((EMAIL, "wrong horse"), ("nobody@example.org", PASSWORD)):
        with pytest.raises(InvalidCredentialsError):
            desk.check(email=email, password=password, address="192.0.2.1")
    _, wrong, unknown = desk.told
    assert (wrong.name, wrong.user_id, wrong.address) == ("sign_in_failed", user.id, "192.0.2.1")
    assert (unknown.name, unknown.user_id) == ("sign_in_failed", None)
    for event in (wrong, unknown):
        assert "horse" not in repr(event)
        assert "@" not in repr(event)


def test_hash_is_renewed_at_sign_in_when_parameters_changed() -> None:
    before = Desk()
    user = before.sign_up()
    old_hash = before.store.accounts[user.id].password_hash
    dearer = PasswordConfig(time_cost=2, memory_cost_kib=8, parallelism=1)
    after = Desk(make_config(password=dearer), before.store)
    after.check()
    new_hash = after.store.accounts[user.id].password_hash
    assert new_hash is not None
    assert new_hash != old_hash
    assert "t=2" in new_hash
    after.check()
    assert after.store.accounts[user.id].password_hash == new_hash


def test_wrong_password_renews_no_hash() -> None:
    before = Desk()
    user = before.sign_up()
    old_hash = before.store.accounts[user.id].password_hash
    dearer = PasswordConfig(time_cost=2, memory_cost_kib=8, parallelism=1)
    after = Desk(make_config(password=dearer), before.store)
    with pytest.raises(InvalidCredentialsError):
        after.check(password="wrong horse")
    assert after.store.accounts[user.id].password_hash == old_hash


def once(desk: Desk, act: Callable[[], object]) -> None:
    """Have something happen right before the next write of a password."""

    def act_once() -> None:
        desk.store.accounts.before_password_is_set = lambda: None
        act()

    desk.store.accounts.before_password_is_set = act_once


def test_renewed_hash_loses_to_a_password_changed_meanwhile() -> None:
    before = Desk()
    user = before.sign_up()
    dearer = PasswordConfig(time_cost=2, memory_cost_kib=8, parallelism=1)
    after = Desk(make_config(password=dearer), before.store)
    once(after, lambda: before.change(user.id))

    with pytest.raises(InvalidCredentialsError):
        after.check()

    assert before.check(password="another horse") == user


def test_two_sign_ins_that_renew_the_hash_both_go_on() -> None:
    before = Desk()
    user = before.sign_up()
    dearer = PasswordConfig(time_cost=2, memory_cost_kib=8, parallelism=1)
    first, second = (Desk(make_config(password=dearer), before.store) for _ in range(2))
    once(first, second.check)

    assert first.check() == user


def test_sign_in_under_way_loses_to_a_password_changed_meanwhile(desk: Desk) -> None:
    user = desk.sign_up()
    begun: list[UserRecord] = []
    once(desk, lambda: desk.change(user.id))

    with pytest.raises(InvalidCredentialsError):
        desk.check(and_then=begun.append)

    assert begun == []


def test_sign_in_gives_up_when_the_password_never_stands_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manager = SessionManager(
        "sqlite:///:memory:", secret="s0123456789abcdef" * 2, password=CHEAP_PASSWORDS
    )
    user = manager.sign_up_email(name="Ada", email=EMAIL, password=PASSWORD).user
    accounts, live = manager.parts.accounts, manager.list_sessions(user.id)
    is_unchanged = accounts.is_unchanged

    def hash_anew(checked: CheckedPassword) -> bool:
        manager.parts.store.accounts.set_password_hash(
            user.id,
            accounts.hasher.hash(PASSWORD),
            expected_hash=checked.password_hash,
            now_ms=NOW,
        )
        return is_unchanged(checked)

    monkeypatch.setattr(accounts, "is_unchanged", hash_anew)
    with pytest.raises(InvalidCredentialsError):
        manager.sign_in_email(email=EMAIL, password=PASSWORD)

    assert len(manager.list_sessions(user.id)) == len(live)


def test_unverified_e_mail_waits_where_it_must_be_verified() -> None:
    desk = Desk(make_config(require_verified_email=True))
    user = desk.sign_up()
    with pytest.raises(EmailNotVerifiedError):
        desk.check()
    desk.store.users[user.id] = user._replace(email_verified=True)
    assert desk.check().id == user.id


def test_that_an_e_mail_is_unverified_is_told_to_its_owner_alone() -> None:
    desk = Desk(make_config(require_verified_email=True))
    desk.sign_up()
    with pytest.raises(InvalidCredentialsError):
        desk.check(password="wrong horse")


def test_e_mail_that_only_a_collation_calls_equal_is_unknown(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = desk.sign_up(email="adele@example.org")

    def find_any_spelling(_: str, **__: bool) -> tuple[UserRecord, Account] | None:
        return user, desk.store.accounts[user.id]

    monkeypatch.setattr(desk.store.accounts, "find_credential_by_email", find_any_spelling)
    assert desk.check(email="Adele@example.org") == user
    with pytest.raises(InvalidCredentialsError):
        desk.check(email="ad\u00e9le@example.org")


def test_user_table_may_give_the_key_itself(desk: Desk) -> None:
    insert = desk.store.insert_user

    def insert_numbered(user: UserRecord, account: Account, *, tell: None) -> UserRecord:
        return insert(user._replace(id=17), account._replace(user_id=17), tell=tell)

    desk.store.insert_user = insert_numbered  # type: ignore[method-assign]
    assert desk.sign_up().id == 17
    assert desk.told[0].user_id == 17


# Throttling


def test_eleventh_failure_is_throttled_before_any_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(make_config(throttle=ThrottleConfig()))
    work = count_work(monkeypatch)
    for _ in range(10):
        with pytest.raises(InvalidCredentialsError):
            desk.check(address="192.0.2.1")
    work.clear()
    with pytest.raises(TooManyTriesError):
        desk.check(address="192.0.2.1")
    assert work.done == []
    assert desk.names[-1] == "throttled"


def test_tries_for_one_account_count_in_any_spelling() -> None:
    desk = Desk(make_config(throttle=ThrottleConfig()))
    for number in range(10):
        with pytest.raises(InvalidCredentialsError):
            desk.check(email=EMAIL.upper() if number % 2 else EMAIL)
    with pytest.raises(TooManyTriesError):
        desk.check(email="Ada@Example.Org")


def test_sign_in_and_password_change_share_their_tries() -> None:
    desk = Desk(make_config(throttle=ThrottleConfig()))
    user = desk.sign_up()
    for _ in range(10):
        with pytest.raises(InvalidPasswordError):
            desk.change(user.id, current_password="wrong horse")
    with pytest.raises(TooManyTriesError):
        desk.check()


def test_address_stored_as_it_was_typed_shares_the_tries_too() -> None:
    desk = Desk(make_config(throttle=ThrottleConfig()))
    user = desk.sign_up()
    desk.store.users[user.id] = user._replace(email="Ada@Example.org")
    for _ in range(10):
        with pytest.raises(InvalidPasswordError):
            desk.change(user.id, current_password="wrong horse")
    with pytest.raises(TooManyTriesError):
        desk.check()


def test_address_that_is_none_any_more_has_tries_of_its_own() -> None:
    desk = Desk(make_config(throttle=ThrottleConfig(tries=1)))
    user = desk.sign_up(address="192.0.2.1")
    desk.store.users[user.id] = user._replace(email="ada at example")
    with pytest.raises(InvalidPasswordError):
        desk.change(user.id, current_password="wrong horse")
    with pytest.raises(TooManyTriesError):
        desk.change(user.id)


# Changing and confirming


def test_changed_password_replaces_the_old_one(desk: Desk) -> None:
    user = desk.sign_up()
    assert desk.change(user.id).id == user.id
    assert desk.check(password="another horse").id == user.id
    with pytest.raises(InvalidCredentialsError):
        desk.check()
    assert "password_changed" in desk.names


def test_wrong_current_password_changes_nothing(desk: Desk) -> None:
    user = desk.sign_up()
    with pytest.raises(InvalidPasswordError):
        desk.change(user.id, current_password="wrong horse")
    assert desk.check().id == user.id
    assert "password_changed" not in desk.names


def test_new_password_is_judged_for_its_owner_alone_and_before_it_is_hashed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = desk.sign_up()
    work = count_work(monkeypatch)
    with pytest.raises(PasswordTooShortError):
        desk.change(user.id, new_password="short")
    with pytest.raises(InvalidPasswordError):
        desk.change(user.id, current_password="wrong horse", new_password="short")
    assert [kind for kind, _ in work.done] == ["verify", "verify"]


def test_of_two_changes_at_once_one_wins(desk: Desk) -> None:
    user = desk.sign_up()

    def change_meanwhile() -> None:
        desk.store.accounts.before_password_is_set = lambda: None
        desk.change(user.id, new_password="quicker horse")

    desk.store.accounts.before_password_is_set = change_meanwhile
    with pytest.raises(InvalidPasswordError):
        desk.change(user.id)
    assert desk.check(password="quicker horse").id == user.id


def test_change_is_undone_when_what_follows_fails(desk: Desk) -> None:
    user = desk.sign_up()

    def fail(_: UserRecord) -> UserRecord:
        raise LookupError("no session could be made")

    with pytest.raises(LookupError):
        desk.change(user.id, and_then=fail)
    assert desk.check().id == user.id
    assert "password_changed" not in desk.names


def test_password_of_a_user_is_confirmed(desk: Desk) -> None:
    user = desk.sign_up()
    assert desk.service.confirm_password(user.id, password=PASSWORD, now_ms=NOW).user == user
    with pytest.raises(InvalidPasswordError):
        desk.service.confirm_password(user.id, password="wrong horse", now_ms=NOW)


def test_password_of_nobody_is_not_confirmed(desk: Desk) -> None:
    with pytest.raises(InvalidPasswordError):
        desk.service.confirm_password("nobody", password=PASSWORD, now_ms=NOW)


def test_no_refusal_shows_a_password(desk: Desk) -> None:
    user = desk.sign_up()
    secret = "hunter2hunter2"
    tries: list[Callable[[], object]] = [
        lambda: desk.check(password=secret),
        lambda: desk.sign_up(password=secret + "\ud800"),
        lambda: desk.sign_up(password=secret * 20),
        lambda: desk.change(user.id, current_password=secret),
        lambda: desk.service.confirm_password(user.id, password=secret, now_ms=NOW),
    ]
    for attempt in tries:
        with pytest.raises(RefusedError) as caught:
            attempt()
        assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_only_name_and_image_of_somebody_can_be_updated() -> None:
    manager = SessionManager(
        "sqlite:///:memory:", secret="s0123456789abcdef" * 2, password=CHEAP_PASSWORDS
    )
    user = manager.sign_up_email(name="Ada", email="a@example.org", password="correct horse").user
    changed = manager.update_user(user.id, name="Ada L.", image="https://example.org/a.png")
    assert (changed.name, changed.image) == ("Ada L.", "https://example.org/a.png")
    changed = manager.update_user(user.id, name="Ada King")
    assert (changed.name, changed.image) == ("Ada King", "https://example.org/a.png"), (
        "what is not given stays"
    )
    changed = manager.update_user(user.id, image=None)
    assert (changed.name, changed.image) == ("Ada King", None)
    wrong: dict[str, Any]
    for wrong in ({"email": "b@example.org"}, {"id": "x"}):
        with pytest.raises(TypeError):
            manager.update_user(user.id, **wrong)
    wrong = {"name": None}
    with pytest.raises(InvalidValueError, match="name is text, not NoneType"):
        manager.update_user(user.id, **wrong)
    with pytest.raises(LookupError, match="no user with the id 'nobody'"):
        manager.update_user("nobody", name="Eve")


@pytest.mark.parametrize("length", [129, 60_000])
def test_a_password_that_is_too_long_is_a_wrong_one_for_everybody(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()
    desk.sign_up()
    work = count_work(monkeypatch)
    said = set()
    for email in (EMAIL, "nobody@example.org"):
        with pytest.raises(InvalidCredentialsError) as caught:
            desk.check(email=email, password="x" * length)
        said.add(str(caught.value))
    assert len(said) == 1
    assert work.done == []


def test_a_current_password_that_is_too_long_is_a_wrong_one() -> None:
    desk = Desk()
    user = desk.sign_up()
    with pytest.raises(InvalidPasswordError):
        desk.service.confirm_password(user.id, password="x" * 129, now_ms=NOW)


@pytest.mark.parametrize(
    "email",
    ["a" * 243 + "@example.org", "a" + "\u0301\u0316" * 30_000 + "@example.org", "@" * 70_000],
)
def test_a_long_address_is_refused_before_it_is_looked_at(
    email: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []
    monkeypatch.setattr("email_validator.validate_email", lambda it, **_: looked_at.append(it))
    with pytest.raises(InvalidEmailError) as caught:
        normalize_email(email)
    assert "at most 254 are taken" in caught.value.detail
    assert looked_at == []


def test_the_longest_address_is_taken() -> None:
    email = f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 57}.org"
    assert len(email) == 254
    assert normalize_email(email) == email


# Hashes that others have made


def import_hash(desk: Desk, password_hash: str) -> UserRecord:
    user = desk.sign_up()
    account = desk.store.accounts[user.id]
    desk.store.accounts[user.id] = account._replace(password_hash=password_hash)
    return user


def is_ours(desk: Desk, user: UserRecord) -> bool:
    stored = desk.store.accounts[user.id].password_hash
    return stored is not None and stored.startswith("$argon2id$v=19$m=8,t=1,p=1$")


@pytest.mark.parametrize("format_", ["better auth", "django bcrypt_sha256", "passlib scrypt"])
def test_an_imported_hash_signs_in_once_and_is_replaced(desk: Desk, format_: str) -> None:
    user = import_hash(desk, HASHES[format_])
    with pytest.raises(InvalidCredentialsError):
        desk.check(password="wrong horse")
    assert not is_ours(desk, user)
    assert desk.check(password=IMPORTED).id == user.id
    assert is_ours(desk, user)
    assert desk.check(password=IMPORTED).id == user.id


def test_an_imported_hash_is_replaced_when_a_password_is_confirmed(desk: Desk) -> None:
    user = import_hash(desk, HASHES["werkzeug pbkdf2"])
    checked = desk.service.confirm_password(user.id, password=IMPORTED, now_ms=NOW)
    assert is_ours(desk, user)
    assert checked.password_hash == desk.store.accounts[user.id].password_hash


def test_an_imported_hash_can_be_changed(desk: Desk) -> None:
    user = import_hash(desk, HASHES["werkzeug pbkdf2"])
    desk.change(user.id, current_password=IMPORTED)
    assert desk.check(password="another horse").id == user.id


def test_two_first_sign_ins_at_once_both_succeed(desk: Desk) -> None:
    user = import_hash(desk, HASHES["werkzeug pbkdf2"])

    def sign_in_meanwhile() -> None:
        desk.store.accounts.before_password_is_set = lambda: None
        desk.check(password=IMPORTED)

    desk.store.accounts.before_password_is_set = sign_in_meanwhile
    assert desk.check(password=IMPORTED).id == user.id


def test_a_hash_that_cannot_be_compared_is_an_event_and_looks_like_a_wrong_password(
    desk: Desk,
) -> None:
    user = import_hash(desk, f"pbkdf2_sha256$99999999$salt${'a' * 43}=")
    with pytest.raises(InvalidCredentialsError):
        desk.check(password=IMPORTED)
    with pytest.raises(InvalidPasswordError):
        desk.service.confirm_password(user.id, password=IMPORTED, now_ms=NOW)
    told = [event for event in desk.told if event.name == "password_hash_unusable"]
    assert [(event.user_id, event.details) for event in told] == [
        (user.id, {"cause": "too_costly"})
    ] * 2
    assert desk.names.count("sign_in_failed") == 2
