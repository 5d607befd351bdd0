"""Ends the sessions of which a provider says that they are over there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ..clock import Clock
from ..config.settings import SessionConfig
from ..errors import InvalidLogoutTokenError
from ..events import Events
from ..light_dataclasses import dataclass
from ..records import NO_FACTS, EndReason, OneTimeToken
from ..sessions.ending import SessionEnding
from ..storage.session_ends import EndedSessions
from ..storage.store import Store
from .social import SocialAccounts

if TYPE_CHECKING:
    from .oidc.logout_tokens import ProviderLogout

_REASON = EndReason.REVOKED


@dataclass(eq=False)
class ProviderLogouts:
    store: Store
    social: SocialAccounts
    ending: SessionEnding
    config: SessionConfig
    events: Events
    clock: Clock

    def end(self, provider_name: str, logout_token: str, *, address: str | None) -> int:
        """End what a logout token names; return how many sessions that were."""
        from .oidc.logout_tokens import verify_logout_token

        provider = self.social.find_provider(provider_name)
        now_ms, details = self.clock.now_ms(), {"provider": provider.name}
        try:
            logout = verify_logout_token(
                provider, logout_token, keys=self.social.keys_of(provider), now_ms=now_ms
            )
            if logout is None:
                return 0
            # First: a sign-in asks for it when its session can be found, so one of the two ends it.
            self.social.refuse_from_now_on(provider, logout, now_ms)
            work = partial(self._end_once, provider.name, logout, now_ms, address)
            user_id, all_ended = self.store.atomically(work, is_synchronised=True)
        except InvalidLogoutTokenError as error:
            refused = {**details, "cause": error.why}
            self.events.emit("backchannel_logout_refused", address=address, details=refused)
            raise
        for ended in all_ended:
            self.ending.report(ended.session_ids, user_id=user_id, reason=_REASON)
        count = sum(ended.number for ended in all_ended)
        self.events.emit(
            "backchannel_logout",
            user_id=user_id,
            address=address,
            details={**details, "session_count": count},
        )
        return count

    def _end_once(
        self, provider_name: str, logout: ProviderLogout, now_ms: int, address: str | None
    ) -> tuple[Any, list[EndedSessions]]:
        """Use the token up and end the sessions, all or nothing: so that it can be sent again."""
        from .oidc.signed_tokens import LEEWAY_MS

        token = OneTimeToken(logout.digest, "logout-token", None, None, now_ms, logout.ends_at_ms)
        if not self.store.one_time_tokens.insert(token):
            raise InvalidLogoutTokenError("replayed")
        ends, since_ms = self.store.session_ends, now_ms - self.config.rotation_grace_ms
        user, ended = None, []
        if logout.subject is not None:
            user = self.store.accounts.find_user(provider_name, logout.subject)
        if logout.sid is not None:
            by_sid = ends.end_by_sid(logout.sid, reason=_REASON, since_ms=since_ms, now_ms=now_ms)
            ended.append(by_sid)
        if user is not None:
            by_user = ends.end_begun_by(
                user.id,
                method=provider_name,
                # Where the token names a session, the user's others go on.
                is_without_sid=logout.sid is not None,
                begun_until_ms=logout.issued_at_ms + LEEWAY_MS,
                reason=_REASON,
                since_ms=since_ms,
                now_ms=now_ms,
            )
            ended.append(by_user)
        user_id = None if user is None else user.id
        audit, facts = self.ending.audit, NO_FACTS._replace(address=address)
        if audit is not None:
            for each in ended:
                audit.tell_ends(each, reason=_REASON, facts=facts, user_id=user_id)
            count = sum(each.number for each in ended)
            told = {"provider": provider_name, "session_count": count}
            audit.tell("backchannel_logout", facts=facts, user_id=user_id, details=told)
        return user_id, ended
