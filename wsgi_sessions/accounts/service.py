"""Users and their passwords: sign-up, checks and changes. Sessions are no part of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..config.settings import SessionConfig
from ..errors import (
    EmailNotVerifiedError,
    InvalidCredentialsError,
    InvalidEmailError,
    InvalidPasswordError,
    InvalidValueError,
    TooManyTriesError,
)
from ..events import Events
from ..records import UNSET, Account, Unset, UserRecord
from ..sessions.tokens import new_id
from ..storage.accounts import CREDENTIAL
from ..storage.store import Store
from .passwords import PasswordHasher
from .throttle import Throttle

MAX_PASSWORD_CHECKS = 3
"""How often a sign-in checks a password that others change meanwhile."""
MAX_NAME_LENGTH = 255
MAX_IMAGE_LENGTH = 2048
MAX_EMAIL_LENGTH = 254
"""RFC 5321, section 4.5.3.1.3, less the angle brackets; in any form, so that no work is done."""


@dataclass(frozen=True, slots=True)
class CheckedPassword:
    """A user, and the stored hash that their password was compared with."""

    user: UserRecord
    password_hash: str = field(repr=False)


class AccountService:
    def __init__(self, store: Store, config: SessionConfig, events: Events) -> None:
        self._store = store
        self._config = config
        self._events = events
        self.hasher = PasswordHasher(config.password)
        self._throttle = Throttle(
            store, config.throttle, clock_difference_ms=config.clock_difference_ms
        )

    def sign_up(
        self,
        *,
        name: str,
        email: str,
        password: str,
        image: str | None = None,
        now_ms: int,
        address: str | None = None,
    ) -> UserRecord:
        """Make a user with a password.

        Raises ``InvalidValueError``, ``InvalidEmailError``, ``PasswordTooShortError``,
        ``PasswordTooLongError``, ``TooManyTriesError`` or ``UserAlreadyExistsError``.
        """
        check_text("name", name, max_length=MAX_NAME_LENGTH)
        if image is not None:
            check_text("image", image, max_length=MAX_IMAGE_LENGTH)
        email = normalize_email(email)
        self.hasher.check_length(password)
        self._count_try(email, now_ms=now_ms, address=address)
        # Before the database is asked, so that a known address takes as long as an unknown one.
        password_hash = self.hasher.hash(password)
        user = UserRecord(new_id(), email, False, name, image, now_ms, now_ms)
        account = Account(new_id(), user.id, CREDENTIAL, str(user.id), password_hash)
        user = self._store.insert_user(user, account)
        self._events.emit("user_created", user_id=user.id, address=address)
        return user

    def update_user(
        self,
        user_id: Any,
        *,
        name: str | Unset = UNSET,
        image: str | Unset | None = UNSET,
        now_ms: int,
    ) -> UserRecord:
        """Change a user's ``name`` or ``image`` and return the user as they are then.

        Raises ``InvalidValueError``, or ``LookupError`` for an unknown user.
        """
        if name is not UNSET:
            check_text("name", name, max_length=MAX_NAME_LENGTH)
        if image is not UNSET and image is not None:
            check_text("image", image, max_length=MAX_IMAGE_LENGTH)
        self._store.users.update(user_id, name=name, image=image, now_ms=now_ms)
        user = self._store.users.find(user_id)
        if user is None:
            raise LookupError(f"there is no user with the id {user_id!r}")
        self._events.emit("user_updated", user_id=user.id)
        return user

    def start_check(
        self, *, email: str, password: str, now_ms: int, address: str | None = None
    ) -> str:
        """Count a try to sign in, and return the e-mail address in its normal form.

        Raises ``InvalidEmailError``, ``InvalidValueError`` or ``TooManyTriesError``.
        """
        email = normalize_email(email)
        self.hasher.check_text(password)
        self._count_try(email, now_ms=now_ms, address=address)
        return email

    def check_password(
        self, *, email: str, password: str, now_ms: int, address: str | None = None
    ) -> CheckedPassword:
        """Return the user whom a normal e-mail address and a password belong to.

        A hash with old parameters is replaced. Raises ``InvalidCredentialsError`` whichever of
        the two is wrong, after the same work, ``ServerBusyError``, and ``EmailNotVerifiedError``
        where the configuration asks for a verified address.
        """
        user, account = self._find_credential(email)
        password_hash = self._verify(account, password)
        if user is None or password_hash is None:
            self._report_failure(user, "wrong_password" if user else "unknown_user", address)
            raise InvalidCredentialsError("e-mail address and password do not belong together")
        if self.hasher.needs_rehash(password_hash):
            new_hash = self.hasher.hash(password)
            # Fails if the password was changed meanwhile, as it should.
            if self._store.accounts.set_password_hash(
                user.id, new_hash, expected_hash=password_hash, now_ms=now_ms
            ):
                password_hash = new_hash
        if self._config.require_verified_email and not user.email_verified:
            self._report_failure(user, "email_not_verified", address)
            raise EmailNotVerifiedError("the e-mail address has to be verified first")
        return CheckedPassword(user, password_hash)

    def is_unchanged(self, checked: CheckedPassword) -> bool:
        """Lock the user and return whether the password still is the checked one.

        Called in the transaction in which a session begins: whoever changes the password then
        waits for it, and ends that session too.
        """
        # The application may have deleted the user, and left the account.
        is_there = self._store.users.lock(checked.user.id)
        account = self._store.accounts.find_credential(checked.user.id)
        return is_there and account is not None and account.password_hash == checked.password_hash

    def confirm_password(
        self, user_id: Any, *, password: str, now_ms: int, address: str | None = None
    ) -> CheckedPassword:
        """Return the user if this is their password.

        Raises ``InvalidPasswordError``, ``InvalidValueError``, ``TooManyTriesError`` or
        ``ServerBusyError``.
        """
        self.hasher.check_text(password)
        user = self._store.users.find(user_id)
        # The same counter as at sign-in, or a stolen session would give more tries.
        self._count_try(_name_to_count_by(user_id, user), now_ms=now_ms, address=address)
        password_hash = self._verify(self._store.accounts.find_credential(user_id), password)
        if user is None or password_hash is None:
            self._report_failure(user, "wrong_password", address)
            raise InvalidPasswordError("the current password is another one")
        return CheckedPassword(user, password_hash)

    def set_password(self, checked: CheckedPassword, new_hash: str, *, now_ms: int) -> None:
        """Lock the user and replace a checked password; called in a transaction.

        Raises ``InvalidPasswordError`` if it was changed, or the user deleted, meanwhile.
        """
        if not self._store.users.lock(checked.user.id):
            raise InvalidPasswordError("the user was deleted meanwhile")
        if not self._store.accounts.set_password_hash(
            checked.user.id, new_hash, expected_hash=checked.password_hash, now_ms=now_ms
        ):
            raise InvalidPasswordError("the password was changed by somebody else meanwhile")

    def _verify(self, account: Account | None, password: str) -> str | None:
        """Return the stored hash if this is its password; without one after the same work."""
        password_hash = None if account is None else account.password_hash
        return password_hash if self.hasher.verify(password_hash, password) else None

    def _find_credential(self, email: str) -> tuple[UserRecord, Account] | tuple[None, None]:
        found = self._store.accounts.find_credential_by_email(email)
        # A collation may call é and e equal: each spelling would have tries of its own.
        if found is None or (found[0].email or "").lower() != email:
            return None, None
        return found

    def _count_try(self, account: str, *, now_ms: int, address: str | None) -> None:
        try:
            self._throttle.check(address, account, now_ms=now_ms)
        except TooManyTriesError as error:
            self._events.emit(
                "throttled",
                address=address,
                details={"retry_after_seconds": error.retry_after_seconds},
            )
            raise

    def _report_failure(self, user: UserRecord | None, cause: str, address: str | None) -> None:
        self._events.emit(
            "sign_in_failed",
            user_id=None if user is None else user.id,
            address=address,
            details={"cause": cause},
        )


def _name_to_count_by(user_id: Any, user: UserRecord | None) -> str:
    if user is None or user.email is None:
        return str(user_id)
    try:
        return normalize_email(user.email)
    except InvalidEmailError:
        return user.email


def check_text(field: str, value: object, *, max_length: int) -> None:
    """Raise ``InvalidValueError`` for what every database could not store as text."""
    if not isinstance(value, str):
        raise InvalidValueError(f"{field} is text, not {type(value).__name__}")
    if len(value) > max_length:
        raise InvalidValueError(
            f"{field} has {len(value)} characters; at most {max_length} are taken"
        )
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidValueError(f"{field} holds a character that is no text (NUL or a surrogate)")


def normalize_email(email: object) -> str:
    """Return the form in which an e-mail address is stored and looked up.

    Unicode is normalised, the domain in its readable form, everything in lower case. Raises
    ``InvalidEmailError``, or ``InvalidValueError`` for what is not text.

    >>> normalize_email("Ada@Example.ORG")
    'ada@example.org'
    """
    if not isinstance(email, str):
        raise InvalidValueError(f"email is text, not {type(email).__name__}")
    if len(email) > MAX_EMAIL_LENGTH:
        raise InvalidEmailError(
            f"this is not an e-mail address: it has {len(email)} characters; "
            f"at most {MAX_EMAIL_LENGTH} are taken"
        )
    # Costly to import and only needed by those who use passwords.
    from email_validator import EmailNotValidError, validate_email

    try:
        # Its "test environment" takes the domain .test (RFC 6761), which nobody can own.
        found = validate_email(email, check_deliverability=False, test_environment=True)
    except (EmailNotValidError, UnicodeError) as error:
        raise InvalidEmailError(f"this is not an e-mail address: {error}") from None
    return found.normalized.lower()
