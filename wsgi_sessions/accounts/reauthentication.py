"""Has the user of a live session prove again who they are: a step-up."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from ..clock import Clock, has_passed
from ..config.settings import SessionConfig
from ..errors import NotSignedInError, SessionNotFreshError
from ..events import Events
from ..light_dataclasses import dataclass
from ..records import Authentication, RequestFacts
from ..sessions.reading import SessionReader
from ..sessions.step_up import StepUp, StepUpSigner
from .service import AccountService
from .social import SocialAccounts

if TYPE_CHECKING:
    from ..sessions.audit_trail import AuditTrail


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A password, an ID token of a provider, or the application's word that it has a proof.

    ``TypeError`` unless it is one of the three.
    """

    password: str | None = field(default=None, repr=False)
    provider: str | None = None
    id_token: str | None = field(default=None, repr=False)
    nonce: str | None = None
    access_token: str | None = field(default=None, repr=False)
    method: str | None = None

    def __post_init__(self) -> None:
        is_one = [self.password, self.id_token, self.method].count(None) == 2
        if not is_one or (self.id_token is None) != (self.provider is None):
            raise TypeError("give one of password, id_token (with provider) and method")


@dataclass(eq=False)
class Reauthentication:
    reader: SessionReader
    accounts: AccountService
    social: SocialAccounts
    signer: StepUpSigner
    events: Events
    clock: Clock
    config: SessionConfig
    audit: AuditTrail | None = None

    def step_up(self, session_id: str, proof: Proof, *, facts: RequestFacts) -> StepUp:
        """Check the proof of a session's user; return what their browser is to show for it."""
        session, now_ms = self.reader.find_live(session_id), self.clock.now_ms()
        if session is None or session.user is None:
            raise NotSignedInError("the session is not live, or has no user")
        user_id = session.user.id
        method, at_ms = self._check(user_id, proof, now_ms=now_ms, facts=facts)
        if has_passed(at_ms + self.config.fresh_age_ms, now_ms):
            raise SessionNotFreshError(max_age_seconds=self.config.fresh_age_ms // 1000)
        if self.audit is not None:
            self.audit.tell(
                "reauthenticated",
                facts=facts,
                session_id=session_id,
                user_id=user_id,
                details={"method": method},
            )
        self.events.emit(
            "reauthenticated",
            session_id=session_id,
            user_id=user_id,
            address=facts.address,
            details={"method": method},
        )
        return self.signer.write(session_id, at_ms=at_ms, facts=facts)

    def _check(
        self, user_id: Any, proof: Proof, *, now_ms: int, facts: RequestFacts
    ) -> tuple[str | None, int]:
        """Check a proof; return its method, and when the user gave it."""
        if proof.password is not None:
            self.accounts.confirm_password(
                user_id, password=proof.password, now_ms=now_ms, facts=facts
            )
            return "password", now_ms
        if proof.id_token is not None and proof.provider is not None:
            claims = self.social.confirm_user(
                user_id,
                proof.provider,
                proof.id_token,
                nonce=proof.nonce,
                access_token=proof.access_token,
                now_ms=now_ms,
                facts=facts,
            )
            return proof.provider, min(now_ms, claims.proven_at_ms)
        return Authentication.by_application(proof.method).method, now_ms
