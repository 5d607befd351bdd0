"""``MailManager``: the use cases that send mails, and those of the links in them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from .accounts.one_time_tokens import CHANGE, RESET, VERIFY, address_of, addresses_of, is_over
from .accounts.service import credential_of, normalize_email
from .clock import lasting
from .errors import (
    InvalidOneTimeTokenError,
    InvalidValueError,
    InvalidVerificationError,
    ResetPasswordDisabledError,
    UserAlreadyExistsError,
    VerificationDisabledError,
)
from .events import EventName
from .records import NO_FACTS, OneTimeToken, RequestFacts, UserRecord
from .sessions.session import User
from .storage.session_ends import EndedSessions
from .user_manager import UserManager

_EVEN_MS = 20
"""A request for a mail takes so long at least: there is no hash to hide whether a row was found."""


class MailManager(UserManager):
    """What a ``SessionManager`` can do by mail; make one of those."""

    def request_password_reset(
        self, *, email: str, redirect_to: str | None = None, facts: RequestFacts = NO_FACTS
    ) -> None:
        """Mail a link with which a password can be set to whoever has an e-mail address.

        The link leads to ``redirect_to`` with ``?token=…``; that is not checked, so let no client
        choose it. Nothing tells whether anybody has the address. Raises ``InvalidEmailError``,
        ``TooManyTriesError``, or ``ResetPasswordDisabledError`` without ``on_send``.
        """
        if not self.parts.mailer.can_send:
            raise ResetPasswordDisabledError
        now_ms, email = self.parts.clock.now_ms(), normalize_email(email)
        self.parts.throttle.count(RESET, address=facts.address, account=email, now_ms=now_ms)
        with lasting(_EVEN_MS):
            user = self.parts.store.users.find_by_email(email)
            issued = self.parts.tokens.issue(RESET, user, now_ms=now_ms, page_url=redirect_to)
            self.parts.mailer.send(RESET, user, url=issued.url, token=issued.token)
        user_id = None if user is None else user.id
        self.events.emit("password_reset_requested", user_id=user_id, address=facts.address)

    def reset_password(
        self, *, token: str, new_password: str, facts: RequestFacts = NO_FACTS
    ) -> User:
        """Set a password by the token of a mailed link, end all the user's sessions; return them.

        Their address is verified by that, and their other links work no more. If it was not
        before, providers by which somebody has come are unlinked: it may have been somebody else,
        who made the user with this address. Raises
        ``InvalidOneTimeTokenError``, ``TooManyTriesError``, ``PasswordTooShortError`` and its
        like; a password that is refused does not use the token up.
        """
        now_ms = self.parts.clock.now_ms()
        self.parts.throttle.count("token", address=facts.address, now_ms=now_ms)
        found = self.parts.tokens.find(token, purpose=RESET)
        user = None if found is None else self._owner_of(found)
        if found is None or user is None or found.used_at_ms or is_over(found, now_ms=now_ms):
            raise self._refuse_token(RESET, InvalidOneTimeTokenError(), facts)
        password_hash = self.parts.accounts.hash_new_password(user, new_password)

        def reset() -> EndedSessions | None:
            self.parts.store.users.lock(user.id)
            # Looked at again: another use, or a change of address, may have been faster.
            if self._owner_of(found) is None or not self.parts.tokens.use(found, now_ms=now_ms):
                return None
            return self._replace_password(user, password_hash, email_verified=True, facts=facts)

        ended = self.parts.store.atomically(reset, is_synchronised=True)
        if ended is None:
            raise self._refuse_token(RESET, InvalidOneTimeTokenError(), facts)
        if not user.email_verified:
            self.events.emit("email_verified", user_id=user.id, address=facts.address)
        self._report_new_password(user, ended, address=facts.address)
        return User(user._replace(email_verified=True, updated_at_ms=now_ms))

    def send_verification_email(
        self, *, email: str, callback_url: str | None = None, facts: RequestFacts = NO_FACTS
    ) -> None:
        """Mail a link that verifies an e-mail address to whoever has it, unless it is verified.

        The link leads on to ``callback_url``. Nothing tells whether anybody has the address.
        Raises ``InvalidEmailError``, ``TooManyTriesError``, or ``VerificationDisabledError``
        without ``on_send``.
        """
        self._require_mail()
        now_ms, email = self.parts.clock.now_ms(), normalize_email(email)
        self.parts.throttle.count(VERIFY, address=facts.address, account=email, now_ms=now_ms)
        with lasting(_EVEN_MS):
            user = self.parts.store.users.find_by_email(email)
            self._mail_verification(
                None if user is None or user.email_verified else user, callback_url, now_ms=now_ms
            )

    def change_email(
        self,
        user_id: Any,
        *,
        new_email: str,
        callback_url: str | None = None,
        facts: RequestFacts = NO_FACTS,
    ) -> None:
        """Mail a link to a new e-mail address, with which it becomes the user's.

        Nothing tells whether somebody else has it. A link that was sent so before works no more.
        Raises ``LookupError`` for an unknown user, ``InvalidEmailError``, ``InvalidValueError``
        for the address that they have, ``TooManyTriesError``, or ``VerificationDisabledError``
        without ``on_send``.
        """
        self._require_mail()
        user, now_ms = self._existing_user(user_id), self.parts.clock.now_ms()
        new_email = normalize_email(new_email)
        if new_email == address_of(user):
            raise InvalidValueError("this is your email address already; give another one")
        self.parts.throttle.count(CHANGE, address=facts.address, account=new_email, now_ms=now_ms)
        with lasting(_EVEN_MS):
            is_taken = bool(self.parts.store.users.list_by_email(new_email))
            # Whoever got a link by a typing mistake must not keep it.
            self.parts.store.atomically(
                lambda: self.parts.store.one_time_tokens.use_all_of(
                    user.id, purpose=CHANGE, now_ms=now_ms
                ),
                is_synchronised=True,
            )
            receiver = None if is_taken else user._replace(email=new_email)
            issued = self.parts.tokens.issue(
                CHANGE,
                None if is_taken else user,
                now_ms=now_ms,
                new_email=new_email,
                page_url=callback_url,
            )
            self.parts.mailer.send(CHANGE, receiver, url=issued.url, token=issued.token)

    def verify_email(self, *, token: str, facts: RequestFacts = NO_FACTS) -> User:
        """Verify the e-mail address that a link was mailed to, or change to it; return the user.

        A used token of an address that is still theirs, and verified, changes nothing and is no
        error: a mail scanner may have followed the link first. Raises
        ``InvalidVerificationError``, ``TooManyTriesError``, or ``UserAlreadyExistsError`` when
        somebody else has the new address by now.
        """
        now_ms = self.parts.clock.now_ms()
        self.parts.throttle.count("token", address=facts.address, now_ms=now_ms)
        tokens = self.parts.tokens
        found = tokens.find(token, purpose=VERIFY) or tokens.find(token, purpose=CHANGE)
        if found is None or is_over(found, now_ms=now_ms):
            raise self._refuse_token(VERIFY, InvalidVerificationError(), facts)
        before = self.parts.store.atomically(
            lambda: self._verify_address(found, now_ms=now_ms, facts=facts), is_synchronised=True
        )
        if before is None:
            raise self._refuse_token(VERIFY, InvalidVerificationError(), facts)
        *_, email = addresses_of(found)
        if email != address_of(before):
            self.events.emit("email_changed", user_id=before.id, address=facts.address)
            self.parts.mailer.send("email-changed", before)
        elif before.email_verified or found.purpose == CHANGE:
            return User(before)
        else:
            self.events.emit("email_verified", user_id=before.id, address=facts.address)
        return User(before._replace(email=email, email_verified=True, updated_at_ms=now_ms))

    def _verify_address(
        self, found: OneTimeToken, *, now_ms: int, facts: RequestFacts
    ) -> UserRecord | None:
        """Do what a link is for, within a transaction; return the user as they were before."""
        store = self.parts.store
        store.users.lock(found.user_id)
        user = store.users.find(found.user_id)
        if user is None:
            return None
        *_, wanted = addresses = addresses_of(found)
        # The application's own model may not say whether an address is verified.
        if address_of(user) == wanted and (user.email_verified or found.purpose == CHANGE):
            # Done already, perhaps at this moment, by who follows the same link.
            self.parts.tokens.use(found, now_ms=now_ms)
            return user
        if address_of(user) != addresses[0] or not self.parts.tokens.use(found, now_ms=now_ms):
            return None
        if found.purpose == CHANGE:
            store.change_email(user.id, wanted, now_ms=now_ms)
            self.parts.tokens.use_up(user.id, now_ms=now_ms)
        elif not user.email_verified:
            store.users.update(user.id, email_verified=True, now_ms=now_ms)
        else:
            return user
        if self.parts.audit is not None:
            name: EventName = "email_changed" if found.purpose == CHANGE else "email_verified"
            self.parts.audit.tell(name, facts=facts, user_id=user.id)
        return user

    def _sign_up_only(
        self, new: UserRecord, password_hash: str, callback_url: str | None, facts: RequestFacts
    ) -> UserRecord:
        """Store a user who is not signed in yet; nothing tells whether the address was taken."""
        now_ms, must_verify = new.created_at_ms, self.config.require_verified_email
        owner = self.parts.store.users.find_by_email(str(new.email), anew=True)
        if owner is None:
            # Somebody else may be faster, or several may have the address.
            with suppress(UserAlreadyExistsError):
                user = self.parts.accounts.insert_user(new, password_hash, address=facts.address)
                if must_verify:
                    self._mail_verification(user, callback_url, now_ms=now_ms)
                else:
                    self.parts.mailer.send("sign-up-attempt", None)  # the same work
                return user

        user_id = None if owner is None else owner.id

        def insert_nobody() -> None:
            self.parts.store.insert_nobody(new, credential_of(new, password_hash))
            if self.parts.audit is not None:
                self.parts.audit.tell("sign_up_attempt", facts=facts, user_id=user_id)

        # The same work, for the link and the row of the event too.
        if self.parts.audit is None:
            insert_nobody()
        else:
            self.parts.store.atomically(insert_nobody)
        if must_verify:
            self.parts.tokens.issue(VERIFY, None, now_ms=now_ms)
        self.events.emit("sign_up_attempt", user_id=user_id, address=facts.address)
        self.parts.mailer.send("sign-up-attempt", owner)
        return new

    def _mail_verification(
        self, user: UserRecord | None, callback_url: str | None, *, now_ms: int
    ) -> None:
        issued = self.parts.tokens.issue(VERIFY, user, now_ms=now_ms, page_url=callback_url)
        self.parts.mailer.send(VERIFY, user, url=issued.url, token=issued.token)

    def _owner_of(self, found: OneTimeToken) -> UserRecord | None:
        """Return the user of a token, if they still have the address that it was mailed to."""
        users, address = self.parts.store.users, addresses_of(found)[0]
        user = users.find(found.user_id)
        if address_of(user) != address and self.parts.store.is_lagging:
            # They may have got it a moment ago.
            user = users.find(found.user_id, anew=True)
        return user if user is not None and address_of(user) == address else None

    def _refuse_token(
        self, purpose: str, error: InvalidOneTimeTokenError, facts: RequestFacts
    ) -> InvalidOneTimeTokenError:
        self.events.emit("token_refused", address=facts.address, details={"purpose": purpose})
        return error

    def _require_mail(self) -> None:
        if not self.parts.mailer.can_send:
            raise VerificationDisabledError
