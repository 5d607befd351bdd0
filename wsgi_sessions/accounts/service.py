"""Who someone is: signing up, checking and changing a password.

Must not know sessions or requests; an address is only something to count by.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

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
from ..records import Account, UserRecord
from ..sessions.tokens import new_id
from ..storage.store import Store
from .passwords import PasswordHasher
from .throttle import Throttle

__all__ = ["CREDENTIAL", "AccountService", "normalize_email"]

T = TypeVar("T")

CREDENTIAL = "credential"
"""The ``provider_id`` of an account that has a password."""

_MAX_LOOKS = 3
_MAX_NAME = 255
_MAX_IMAGE = 2048
_MAX_EMAIL = 254
"""RFC 5321, section 4.5.3.1.3, less the angle brackets; in any form, so that no work is done."""


class _PasswordMovedError(Exception):
    """The hash that a password was compared with is not the stored one any more."""


class AccountService:
    """Users and their passwords in one database."""

    def __init__(self, store: Store, config: SessionConfig, events: Events) -> None:
        self._store = store
        self._config = config
        self._events = events
        self._hasher = PasswordHasher(config.password)
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
        check_text("name", name, longest=_MAX_NAME)
        if image is not None:
            check_text("image", image, longest=_MAX_IMAGE)
        email = normalize_email(email)
        self._hasher.check_length(password)
        self._count_try(email, now_ms=now_ms, address=address)
        # Before anything is asked of the database, so that a known address takes as long.
        password_hash = self._hasher.hash(password)
        user = UserRecord(new_id(), email, False, name, image, now_ms, now_ms)
        account = Account(new_id(), user.id, CREDENTIAL, str(user.id), password_hash)
        user = self._store.insert_user(user, account)
        self._events.emit("user_created", user_id=user.id, address=address)
        return user

    def update_user(self, user_id: Any, *, now_ms: int, **changes: str | None) -> UserRecord:
        """Change a user's ``name`` or ``image`` and return the user as they are then.

        Raises ``InvalidValueError``, or ``LookupError`` for an unknown user.
        """
        for field, value in changes.items():
            if field == "name" and value is not None:
                check_text("name", value, longest=_MAX_NAME)
            elif field == "image":
                if value is not None:
                    check_text("image", value, longest=_MAX_IMAGE)
            else:
                raise InvalidValueError(f"{field} is {value!r}; only name and image can change")
        self._store.users.update(user_id, now_ms=now_ms, **changes)
        user = self._store.users.find(user_id)
        if user is None:
            raise LookupError(f"there is no user with the id {user_id!r}")
        self._events.emit("user_updated", user_id=user.id)
        return user

    def check_password(
        self,
        *,
        email: str,
        password: str,
        now_ms: int,
        address: str | None = None,
        and_then: Callable[[UserRecord], T],
    ) -> T:
        """Return what ``and_then`` makes of the user whom e-mail and password belong to.

        ``and_then`` runs in a transaction in which that is still so: who changes the password
        meanwhile ends the sessions of whoever knew the old one, this one too. Raises
        ``InvalidCredentialsError`` whichever of the two is wrong, after the same work;
        ``InvalidEmailError``, ``InvalidValueError``, ``TooManyTriesError``, and
        ``EmailNotVerifiedError`` where the configuration asks for a verified address.
        """
        email = normalize_email(email)
        self._hasher.check_text(password)
        self._count_try(email, now_ms=now_ms, address=address)
        for _ in range(_MAX_LOOKS):
            user, known_hash = self._match(email, password, now_ms=now_ms, address=address)
            if self._config.require_verified_email and not user.email_verified:
                self._report_failure(user, "email_not_verified", address)
                raise EmailNotVerifiedError("the e-mail address has to be verified first")
            try:
                return self._store.atomically(partial(self._go_on, user, known_hash, and_then))
            except _PasswordMovedError:
                continue
        raise InvalidCredentialsError("the password was changed again and again meanwhile")

    def _match(
        self, email: str, password: str, *, now_ms: int, address: str | None
    ) -> tuple[UserRecord, str]:
        """Return the user and the hash that is stored then, made anew if its parameters are old."""
        user, account = self._find_credential(email)
        password_hash = None if account is None else account.password_hash
        is_right = self._hasher.verify(password_hash, password)
        if user is None or password_hash is None or not is_right:
            self._report_failure(user, "wrong_password" if user else "unknown_user", address)
            raise InvalidCredentialsError("e-mail address and password do not belong together")
        if not self._hasher.needs_rehash(password_hash):
            return user, password_hash
        new_hash = self._hasher.hash(password)
        # Loses to a change of the password that came in between, as it should.
        is_set = self._store.accounts.set_password_hash(
            user.id, new_hash, expected_hash=password_hash, now_ms=now_ms
        )
        return user, new_hash if is_set else password_hash

    def _go_on(self, user: UserRecord, known_hash: str, and_then: Callable[[UserRecord], T]) -> T:
        # The application may have deleted the user, and left the account.
        is_there = self._store.users.lock(user.id)
        account = self._store.accounts.find_credential(user.id)
        if not is_there or account is None or account.password_hash != known_hash:
            raise _PasswordMovedError
        return and_then(user)

    def confirm_password(
        self, user_id: Any, *, password: str, now_ms: int, address: str | None = None
    ) -> UserRecord:
        """Return the user if this is their password.

        Raises ``InvalidPasswordError``, ``InvalidValueError`` or ``TooManyTriesError``.
        """
        user, _ = self._confirm(user_id, password, now_ms=now_ms, address=address)
        return user

    def change_password(
        self,
        user_id: Any,
        *,
        current_password: str,
        new_password: str,
        now_ms: int,
        address: str | None = None,
        and_then: Callable[[UserRecord], T],
    ) -> T:
        """Set a new password and return what ``and_then`` makes of the user.

        ``and_then`` runs in the transaction of the change, so both happen or neither. Raises
        what ``confirm_password`` does, ``PasswordTooShortError`` or ``PasswordTooLongError``.
        """
        self._hasher.check_length(new_password)
        user, current_hash = self._confirm(
            user_id, current_password, now_ms=now_ms, address=address
        )
        new_hash = self._hasher.hash(new_password)

        def set_hash_and_go_on() -> T:
            if not self._store.users.lock(user.id):
                raise InvalidPasswordError("the user was deleted meanwhile")
            is_set = self._store.accounts.set_password_hash(
                user.id, new_hash, expected_hash=current_hash, now_ms=now_ms
            )
            if not is_set:
                raise InvalidPasswordError("the password was changed by somebody else meanwhile")
            return and_then(user)

        result = self._store.atomically(set_hash_and_go_on)
        self._events.emit("password_changed", user_id=user.id, address=address)
        return result

    def _find_credential(self, email: str) -> tuple[UserRecord, Account] | tuple[None, None]:
        found = self._store.accounts.find_credential_by_email(email)
        # A collation may call é and e equal: each spelling would have tries of its own.
        if found is None or (found[0].email or "").lower() != email:
            return None, None
        return found

    def _confirm(
        self, user_id: Any, password: str, *, now_ms: int, address: str | None
    ) -> tuple[UserRecord, str]:
        self._hasher.check_text(password)
        user = self._store.users.find(user_id)
        # The same counter as at sign-in, or a thief of a session had tries of their own.
        self._count_try(_name_to_count_by(user_id, user), now_ms=now_ms, address=address)
        account = self._store.accounts.find_credential(user_id)
        password_hash = None if account is None else account.password_hash
        is_right = self._hasher.verify(password_hash, password)
        if user is None or password_hash is None or not is_right:
            self._report_failure(user, "wrong_password", address)
            raise InvalidPasswordError("the current password is another one")
        return user, password_hash

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
    """Return the name that a sign-in of this user is counted by."""
    if user is None or user.email is None:
        return str(user_id)
    try:
        return normalize_email(user.email)
    except InvalidEmailError:
        return user.email


def check_text(field: str, value: object, *, longest: int) -> None:
    """Raise ``InvalidValueError`` for what every database could not store as text."""
    if not isinstance(value, str):
        raise InvalidValueError(f"{field} is text, not {type(value).__name__}")
    if len(value) > longest:
        raise InvalidValueError(f"{field} has {len(value)} characters; at most {longest} are taken")
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
    if len(email) > _MAX_EMAIL:
        raise InvalidEmailError(
            f"this is not an e-mail address: it has {len(email)} characters; "
            f"at most {_MAX_EMAIL} are taken"
        )
    # Costly to import and only needed by those who use passwords.
    from email_validator import EmailNotValidError, validate_email

    try:
        # Its "test environment" takes the domain .test (RFC 6761), which nobody can own.
        found = validate_email(email, check_deliverability=False, test_environment=True)
    except (EmailNotValidError, UnicodeError) as error:
        raise InvalidEmailError(f"this is not an e-mail address: {error}") from None
    return found.normalized.lower()
