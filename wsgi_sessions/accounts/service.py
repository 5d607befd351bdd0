"""Users and their passwords: sign-up, checks and changes. Sessions are no part of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING, Any

from ..config.settings import SessionConfig
from ..errors import (
    EmailNotVerifiedError,
    InvalidCredentialsError,
    InvalidEmailError,
    InvalidPasswordError,
    InvalidValueError,
)
from ..events import Events
from ..light_dataclasses import dataclass
from ..records import NO_FACTS, UNSET, Account, RequestFacts, Unset, UserRecord
from ..sessions.tokens import new_id
from ..storage.accounts import CREDENTIAL
from ..storage.store import Store
from .password_rules import PasswordRules
from .passwords import PasswordHasher
from .profile import check_image, check_name
from .sign_ups import check_sign_up
from .throttle import Throttle

if TYPE_CHECKING:
    from ..sessions.audit_trail import AuditTrail

MAX_PASSWORD_CHECKS = 3
"""How often a sign-in checks a password that others change meanwhile."""
MAX_EMAIL_LENGTH = 254
"""RFC 5321, section 4.5.3.1.3, less the angle brackets; in any form, so that no work is done."""
_NOT_VERIFIED = "email_not_verified"
_Credential = tuple[UserRecord, Account] | tuple[None, None]


@dataclass(frozen=True, slots=True)
class CheckedPassword:
    """A user, and the stored hash that their password was compared with."""

    user: UserRecord
    password_hash: str = field(repr=False)


class AccountService:
    def __init__(
        self,
        store: Store,
        config: SessionConfig,
        events: Events,
        throttle: Throttle,
        *,
        audit: AuditTrail | None = None,
    ) -> None:
        self._store = store
        self._audit = audit
        self._config = config
        self._events = events
        self._throttle = throttle
        self.hasher = PasswordHasher(config.password, patience_ms=config.database_patience_ms)
        self.rules = PasswordRules(config, self.hasher, events)

    def start_sign_up(self, user: UserRecord, password: str, *, address: str | None = None) -> str:
        """Count a sign-up, ask whether it may be, and return the hash of the password.

        Before the database is asked, so that a known address takes as long as an unknown one.
        Raises ``TooManyTriesError``, what ``check_sign_up`` does, or ``PasswordRules.check_new``.
        """
        is_mailed = self._config.require_verified_email or not self._config.auto_sign_in
        account = str(user.email) if is_mailed else None
        self._throttle.count("sign-up", address=address, account=account, now_ms=user.created_at_ms)
        check_sign_up(self._config, email=str(user.email), name=str(user.name))
        return self.hash_new_password(user, password)

    def insert_user(
        self, user: UserRecord, password_hash: str | None, *, address: str | None = None
    ) -> UserRecord:
        """Store a new user, with a password unless it is None; return them as they are stored.

        Raises ``UserAlreadyExistsError``.
        """
        account = None if password_hash is None else credential_of(user, password_hash)
        tell = None if self._audit is None else partial(self._audit.tell_new_user, address=address)
        user = self._store.insert_user(user, account, tell=tell)
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
            check_name(name)
        if image is not UNSET and image is not None:
            check_image(image)
        self._store.users.update(user_id, name=name, image=image, now_ms=now_ms)
        user = self._store.users.find(user_id, anew=True)
        if user is None:
            raise LookupError(f"there is no user with the id {user_id!r}")
        self._events.emit("user_updated", user_id=user.id)
        return user

    @contextmanager
    def signing_in(
        self, *, email: str, password: str, facts: RequestFacts, now_ms: int
    ) -> Iterator[str]:
        """Give the e-mail address in its normal form, and count the try if the block fails.

        Raises ``InvalidEmailError``, ``InvalidValueError`` or ``TooManyTriesError``.
        """
        email = normalize_email(email)
        self.hasher.check_text(password)
        with self._throttle.counting_failures(email, facts=facts, now_ms=now_ms):
            yield email

    def check_password(
        self, *, email: str, password: str, now_ms: int, facts: RequestFacts = NO_FACTS
    ) -> CheckedPassword:
        """Return the user whom a normal e-mail address and a password belong to.

        A hash that is not made as ours are is replaced. Raises ``InvalidCredentialsError``
        whichever of the two is wrong, after the same work, ``ServerBusyError``, and
        ``EmailNotVerifiedError`` where the configuration asks for a verified address.
        """
        found = self._find_credential(email)
        checked = self._check_credential(found, password, now_ms=now_ms)
        if isinstance(checked, str) and self._store.is_lagging:
            # It may have been changed, or the address verified, a moment ago.
            again = self._find_credential(email, anew=True)
            if again != found:
                found, checked = again, self._check_credential(again, password, now_ms=now_ms)
        if isinstance(checked, CheckedPassword):
            return checked
        self._report_failure(found[0], checked, facts)
        raise EmailNotVerifiedError if checked == _NOT_VERIFIED else InvalidCredentialsError

    def _check_credential(
        self, found: _Credential, password: str, *, now_ms: int
    ) -> CheckedPassword | str:
        """Return the user whose password this is, or why nobody is let in."""
        user, account = found
        password_hash = self._verify(account, password, now_ms=now_ms)
        if user is None or password_hash is None:
            return "wrong_password" if user else "unknown_user"
        if self._config.require_verified_email and not user.email_verified:
            return _NOT_VERIFIED
        return CheckedPassword(user, password_hash)

    def is_unchanged(self, checked: CheckedPassword) -> bool:
        """Lock the user and return whether the password still is the checked one.

        Called in the transaction in which a session begins: whoever changes the password then
        waits for it, and ends that session too.
        """
        # The application may have deleted the user, and left the account.
        is_there = self._store.users.lock(checked.user.id)
        account = self._store.accounts.find_credential(checked.user.id)
        if is_there and account is not None and account.password_hash == checked.password_hash:
            return True
        self._store.require_synchronised()
        return False

    def confirm_password(
        self, user_id: Any, *, password: str, now_ms: int, facts: RequestFacts = NO_FACTS
    ) -> CheckedPassword:
        """Return the user if this is their password.

        Raises ``InvalidPasswordError``, ``InvalidValueError``, ``TooManyTriesError`` or
        ``ServerBusyError``.
        """
        self.hasher.check_text(password)
        user = self._store.users.find(user_id)
        name = name_to_count_by(user_id, user)
        with self._throttle.counting_failures(name, facts=facts, now_ms=now_ms):
            account = self._store.accounts.find_credential(user_id)
            password_hash = self._verify(account, password, now_ms=now_ms)
            if password_hash is None and self._store.is_lagging:
                again = self._store.accounts.find_credential(user_id, anew=True)
                if again != account:
                    password_hash = self._verify(again, password, now_ms=now_ms)
            if user is None or password_hash is None:
                self._report_failure(user, "wrong_password", facts)
                raise InvalidPasswordError
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

    def hash_new_password(self, user: UserRecord, password: str) -> str:
        """Return the hash of a password that a user is about to get, if it may be one.

        Raises what ``PasswordRules.check_new`` does, or ``ServerBusyError``.
        """
        self.rules.check_new(password, email=user.email, name=user.name)
        return self.hasher.hash(password)

    def _verify(self, account: Account | None, password: str, *, now_ms: int) -> str | None:
        """Return the stored hash if this is its password; without one after the same work.

        A hash that is not made as ours are is replaced first.
        """
        stored = None if account is None else account.password_hash
        verdict = self.hasher.verify(stored, password)
        if account is not None and verdict.unusable is not None:
            self._events.emit(
                "password_hash_unusable",
                user_id=account.user_id,
                details={"cause": verdict.unusable},
            )
        if not verdict.matches or account is None:
            return None
        # Not replaced if the password was changed meanwhile, as it should be.
        is_replaced = verdict.new_hash is not None and self._store.accounts.set_password_hash(
            account.user_id, verdict.new_hash, expected_hash=stored, now_ms=now_ms
        )
        return verdict.new_hash if is_replaced else stored

    def _find_credential(self, email: str, *, anew: bool = False) -> _Credential:
        found = self._store.accounts.find_credential_by_email(email, anew=anew)
        # A collation may call é and e equal: each spelling would have tries of its own.
        if found is None or (found[0].email or "").lower() != email:
            return None, None
        return found

    def _report_failure(self, user: UserRecord | None, cause: str, facts: RequestFacts) -> None:
        self._events.emit(
            "sign_in_failed",
            user_id=None if user is None else user.id,
            address=facts.address,
            user_agent=facts.user_agent,
            details={"cause": cause},
        )


def name_to_count_by(user_id: Any, user: UserRecord | None) -> str:
    """Return the name under which the throttle counts for a user: as at sign-in, if possible."""
    if user is None or user.email is None:
        return str(user_id)
    try:
        return normalize_email(user.email)
    except InvalidEmailError:
        return user.email


def new_user(
    *, name: str, email: str, image: str | None, email_verified: bool = False, now_ms: int
) -> UserRecord:
    """Return a user who is not stored yet.

    Raises ``InvalidValueError`` or ``InvalidEmailError``.
    """
    check_name(name)
    if image is not None:
        check_image(image)
    return UserRecord(new_id(), normalize_email(email), email_verified, name, image, now_ms, now_ms)


def credential_of(user: UserRecord, password_hash: str) -> Account:
    """Return the account that holds a user's password."""
    return Account(new_id(), user.id, CREDENTIAL, str(user.id), password_hash)


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
        raise InvalidEmailError(f"{len(email)} characters; at most {MAX_EMAIL_LENGTH} are taken")
    # Costly to import and only needed by those who use passwords.
    from email_validator import EmailNotValidError, validate_email

    try:
        # Its "test environment" takes the domain .test (RFC 6761), which nobody can own.
        found = validate_email(email, check_deliverability=False, test_environment=True)
    except (EmailNotValidError, UnicodeError) as error:
        raise InvalidEmailError(str(error)) from None
    return found.normalized.lower()
