"""Who somebody is by the word of a social provider: their user, found, linked or made.

An e-mail address counts only if it was verified; tokens are verified in ``oidc``.
"""

from __future__ import annotations

from .. import errors
from ..clock import Clock
from ..config.providers import SocialProvider
from ..config.settings import SessionConfig
from ..events import Events
from ..records import Account, UserRecord
from ..sessions.tokens import new_id
from ..storage.store import Store
from .oidc.id_tokens import IdentityClaims, clean_text, verify_id_token
from .oidc.provider_keys import KeyStore
from .service import normalize_email


class SocialAccounts:
    def __init__(self, store: Store, config: SessionConfig, events: Events, clock: Clock) -> None:
        self._store = store
        self._config = config
        self._events = events
        self._providers = {provider.name: provider for provider in config.social_providers}
        self._keys = {
            provider.name: KeyStore(provider, clock, events) for provider in config.social_providers
        }

    def find_provider(self, name: str) -> SocialProvider:
        provider = self._providers.get(name) if isinstance(name, str) else None
        if provider is None:
            raise errors.ProviderNotFoundError("there is no such provider here")
        return provider

    def find_or_make_user(
        self,
        provider_name: str,
        id_token: str,
        *,
        nonce: str | None,
        access_token: str | None,
        name: str | None,
        now_ms: int,
        address: str | None,
    ) -> UserRecord:
        """Return the user whom an ID token is about.

        By the provider's own id for them; else, for a trusted provider, by an e-mail address
        that both sides have verified; else somebody new. Raises what
        ``SessionManager.sign_in_social`` does.
        """
        provider = self.find_provider(provider_name)
        try:
            claims = verify_id_token(
                provider,
                id_token,
                keys=self._keys[provider.name],
                nonce=nonce,
                access_token=access_token,
                now_ms=now_ms,
            )
        except errors.InvalidIdTokenError as error:
            self._report_failure(provider, f"id_token_{error.why}", address)
            raise
        user = self._find_user(provider, claims, now_ms=now_ms, address=address)
        if user is None:
            user = self._make_user(provider, claims, name, now_ms=now_ms, address=address)
        self._require_verified(provider, user, address)
        return user

    def _find_user(
        self, provider: SocialProvider, claims: IdentityClaims, *, now_ms: int, address: str | None
    ) -> UserRecord | None:
        """Return who signed in like this before, or who may do so from now on."""
        user = self._store.accounts.find_user(provider.name, claims.subject)
        if user is not None:
            return user
        email = self._email_of(provider, claims, address)
        user = self._store.users.find_by_email(email)
        if user is None:
            return None
        # Both: whoever signed up first with an address that is not theirs would share the
        # account with its owner from the owner's first sign-in on.
        is_same_person = claims.is_email_verified and user.email_verified
        if not (provider.is_trusted and is_same_person):
            # A second request of the same sign-in may have made the user between these reads.
            user = self._store.accounts.find_user(provider.name, claims.subject)
            if user is not None:
                return user
            self._report_failure(provider, "account_not_linked", address)
            raise errors.AccountNotLinkedError(
                "somebody with this e-mail address signs in another way; sign in that way"
            )
        account = Account(new_id(), user.id, provider.name, claims.subject, None)
        if self._store.accounts.link(account, now_ms=now_ms):
            self._events.emit(
                "account_linked",
                user_id=user.id,
                address=address,
                details={"provider": provider.name},
            )
        return self._store.accounts.find_user(provider.name, claims.subject)

    def _make_user(
        self,
        provider: SocialProvider,
        claims: IdentityClaims,
        name: str | None,
        *,
        now_ms: int,
        address: str | None,
    ) -> UserRecord:
        email = self._email_of(provider, claims, address)
        user = UserRecord(
            new_id(),
            email,
            # Not on the word of just any issuer: the address's owner, whom a trusted one sends
            # later, would be linked into the account of whoever got here first.
            claims.is_email_verified and provider.is_trusted,
            claims.name or clean_text(name) or email.partition("@")[0],
            claims.image,
            now_ms,
            now_ms,
        )
        # Before there is a row: whoever is refused must not keep the address from its owner.
        self._require_verified(provider, user, address)
        account = Account(new_id(), user.id, provider.name, claims.subject, None)
        try:
            user = self._store.insert_user(user, account)
        except errors.UserAlreadyExistsError:
            # A second request of the same sign-in was faster.
            found = self._find_user(provider, claims, now_ms=now_ms, address=address)
            if found is None:
                raise
            return found
        self._events.emit(
            "user_created", user_id=user.id, address=address, details={"provider": provider.name}
        )
        return user

    def _require_verified(
        self, provider: SocialProvider, user: UserRecord, address: str | None
    ) -> None:
        if self._config.require_verified_email and not user.email_verified:
            self._report_failure(provider, "email_not_verified", address)
            raise errors.EmailNotVerifiedError("the e-mail address has to be verified first")

    def _email_of(
        self, provider: SocialProvider, claims: IdentityClaims, address: str | None
    ) -> str:
        try:
            if claims.email is None:
                raise errors.InvalidEmailError("there is none")
            return normalize_email(claims.email)
        except errors.InvalidEmailError:
            self._report_failure(provider, "no_email", address)
            raise errors.EmailMissingError(
                f"{provider.name} gave no e-mail address; let it share one and sign in again"
            ) from None

    def _report_failure(self, provider: SocialProvider, cause: str, address: str | None) -> None:
        self._events.emit(
            "sign_in_failed", address=address, details={"cause": cause, "provider": provider.name}
        )
