"""Who somebody is by the word of a social provider: their user, found, linked or made.

An e-mail address counts only if it was verified; tokens are verified in ``oidc``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import errors
from ..clock import Clock
from ..config.providers import SocialProvider
from ..config.settings import SessionConfig
from ..events import Events
from ..records import NO_FACTS, Account, OneTimeToken, RequestFacts, UserRecord
from ..sessions.tokens import new_id
from ..storage.store import Store
from .oidc.nonces import Nonces
from .service import normalize_email
from .sign_ups import check_sign_up
from .throttle import Throttle

if TYPE_CHECKING:
    from ..sessions.audit_trail import AuditTrail

    # Imported where they are used, as most applications have no provider.
    from .oidc.id_tokens import IdentityClaims
    from .oidc.logout_tokens import ProviderLogout
    from .oidc.provider_keys import KeyStore

_ENDED_SID = "ended-sid"
_ENDED_SUBJECT = "ended-sub"


class SocialAccounts:
    def __init__(
        self,
        store: Store,
        config: SessionConfig,
        events: Events,
        throttle: Throttle,
        clock: Clock,
        *,
        audit: AuditTrail | None = None,
    ) -> None:
        self._store = store
        self._audit = audit
        self._config = config
        self._events = events
        self._throttle = throttle
        self._nonces = Nonces(config.secret)
        self._providers = {provider.name: provider for provider in config.social_providers}
        self._keys: dict[str, KeyStore] = {}
        for provider in config.social_providers:
            from .oidc.provider_keys import KeyStore

            self._keys[provider.name] = KeyStore(provider, clock, events)

    def find_provider(self, name: str) -> SocialProvider:
        provider = self._providers.get(name) if isinstance(name, str) else None
        if provider is None:
            raise errors.ProviderNotFoundError
        return provider

    def keys_of(self, provider: SocialProvider) -> KeyStore:
        return self._keys[provider.name]

    def make_nonce(
        self, provider_name: str, browser_keys: Sequence[str], now_ms: int
    ) -> tuple[str, str]:
        """Return a browser's key and a nonce for its next ID token of a provider."""
        provider = self.find_provider(provider_name)
        return self._nonces.make(provider.name, browser_keys, now_ms=now_ms)

    def verify(
        self,
        provider_name: str,
        id_token: str,
        *,
        nonce: str | None,
        access_token: str | None,
        now_ms: int,
        facts: RequestFacts,
    ) -> IdentityClaims:
        """Return what a provider's ID token says, if it is valid, and use it up."""
        from .oidc.id_tokens import verify_id_token

        provider = self.find_provider(provider_name)
        # Whose token it is nobody knows before it is verified.
        with self._throttle.counting_failures(None, facts=facts, now_ms=now_ms):
            try:
                claims = verify_id_token(
                    provider,
                    id_token,
                    keys=self._keys[provider.name],
                    nonce=nonce,
                    access_token=access_token,
                    now_ms=now_ms,
                    is_of_browser=lambda said: self._nonces.is_of_browser(
                        said, provider.name, facts.nonce_keys, now_ms=now_ms
                    ),
                )
                self._use_up(claims, now_ms)
                if self.is_over(provider.name, claims):
                    raise errors.InvalidIdTokenError("ended")
            except errors.InvalidIdTokenError as error:
                self._report_failure(provider, f"id_token_{error.why}", facts.address)
                raise
        return claims

    def _use_up(self, claims: IdentityClaims, now_ms: int) -> None:
        """Refuse a token that was used before (OpenID Connect Core, section 16.11)."""
        used = OneTimeToken(claims.digest, "id-token", None, None, now_ms, claims.ends_at_ms)
        if not self._store.one_time_tokens.insert(used):
            raise errors.InvalidIdTokenError("replayed")

    def refuse_from_now_on(
        self, provider: SocialProvider, logout: ProviderLogout, now_ms: int
    ) -> None:
        """Refuse the ID tokens of a session at the provider, as it is over there.

        Where all of a user's are, those that the provider issued up to then.
        """
        from .oidc.signed_tokens import LEEWAY_MS, digest_of

        at_ms = now_ms if logout.sid is not None else logout.issued_at_ms
        digest, purpose = logout.sid, _ENDED_SID
        if digest is None:
            digest, purpose = digest_of(provider, "sub", str(logout.subject)), _ENDED_SUBJECT
        ends_at_ms = at_ms + provider.max_age_ms + 2 * LEEWAY_MS
        ended = OneTimeToken(digest, purpose, None, None, at_ms, ends_at_ms)
        self._store.one_time_tokens.insert_or_renew(ended)

    def is_over(self, provider_name: str, claims: IdentityClaims) -> bool:
        """Return whether the provider has ended what a token is of since it was issued.

        Asked once more when a session has begun: a logout that comes later finds and ends that.
        """
        from .oidc.signed_tokens import digest_of

        find = self._store.one_time_tokens.find
        if claims.sid is not None and find(claims.sid, purpose=_ENDED_SID):
            return True
        digest = digest_of(self.find_provider(provider_name), "sub", claims.subject)
        ended = find(digest, purpose=_ENDED_SUBJECT)
        return ended is not None and claims.issued_at_ms <= ended.created_at_ms

    def confirm_user(
        self,
        user_id: Any,
        provider_name: str,
        id_token: str,
        *,
        nonce: str | None,
        access_token: str | None,
        now_ms: int,
        facts: RequestFacts,
    ) -> IdentityClaims:
        """Return what an ID token says, if its account is linked to this user.

        Raises what ``verify`` does, and ``AccountNotLinkedError``.
        """
        claims = self.verify(
            provider_name,
            id_token,
            nonce=nonce,
            access_token=access_token,
            now_ms=now_ms,
            facts=facts,
        )
        user = self._store.accounts.find_user(provider_name, claims.subject)
        if user is None or user.id != user_id:
            self._report_failure(
                self.find_provider(provider_name), "account_not_linked", facts.address
            )
            raise errors.AccountNotLinkedError
        return claims

    def find_or_make_user(
        self,
        provider_name: str,
        claims: IdentityClaims,
        *,
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
            raise errors.AccountNotLinkedError
        account = Account(new_id(), user.id, provider.name, claims.subject, None)
        if self._link(account, now_ms=now_ms, address=address):
            self._events.emit(
                "account_linked",
                user_id=user.id,
                address=address,
                details={"provider": provider.name},
            )
        return self._store.accounts.find_user(provider.name, claims.subject)

    def _link(self, account: Account, *, now_ms: int, address: str | None) -> bool:
        def link() -> bool:
            is_linked = self._store.accounts.link(account, now_ms=now_ms)
            if is_linked and self._audit is not None:
                self._audit.tell(
                    "account_linked",
                    facts=NO_FACTS._replace(address=address),
                    user_id=account.user_id,
                    details={"provider": account.provider_id},
                )
            return is_linked

        if self._audit is None:
            return link()
        return self._store.atomically(link, is_synchronised=True)

    def _make_user(
        self,
        provider: SocialProvider,
        claims: IdentityClaims,
        name: str | None,
        *,
        now_ms: int,
        address: str | None,
    ) -> UserRecord:
        from .oidc.id_tokens import clean_name

        email = self._email_of(provider, claims, address)
        user = UserRecord(
            new_id(),
            email,
            # Not on the word of just any issuer: the address's owner, whom a trusted one sends
            # later, would be linked into the account of whoever got here first.
            claims.is_email_verified and provider.is_trusted,
            claims.name or clean_name(name) or email.partition("@")[0],
            claims.image,
            now_ms,
            now_ms,
        )
        # Before there is a row: whoever is refused must not keep the address from its owner.
        self._require_verified(provider, user, address)
        self._throttle.count("sign-up", address=address, now_ms=now_ms)
        check_sign_up(self._config, email=email, name=str(user.name), provider=provider.name)
        account = Account(new_id(), user.id, provider.name, claims.subject, None)
        try:
            audit, tell = self._audit, None
            if audit is not None:
                tell = partial(audit.tell_new_user, address=address, provider=provider.name)
            user = self._store.insert_user(user, account, tell=tell)
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
            raise errors.EmailNotVerifiedError

    def _email_of(
        self, provider: SocialProvider, claims: IdentityClaims, address: str | None
    ) -> str:
        try:
            if claims.email is None:
                raise errors.InvalidEmailError
            return normalize_email(claims.email)
        except errors.InvalidEmailError:
            self._report_failure(provider, "no_email", address)
            raise errors.EmailMissingError from None

    def _report_failure(self, provider: SocialProvider, cause: str, address: str | None) -> None:
        self._events.emit(
            "sign_in_failed", address=address, details={"cause": cause, "provider": provider.name}
        )
