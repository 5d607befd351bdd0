"""Faults of the product, each of one line: what tests of sessions have to find.

Must not be applied to the package itself: ``hunt`` patches a copy.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FAULTS", "Fault"]


class Fault(NamedTuple):
    """Replace ``old`` by ``new`` in a room, wherever it stands there.

    ``guard``, a room with an old and a new line of its own, stands for a second line that
    would stop the fault as well.
    """

    name: str
    room: str
    old: str
    new: str
    guard: tuple[str, str, str] | None = None


FAULTS = (
    Fault(
        "a session expires a moment late",
        "policy.py",
        "if has_passed(record.expires_at_ms, now_ms):",
        "if has_passed(record.expires_at_ms + 1, now_ms):",
    ),
    Fault(
        "a session expires a moment early",
        "policy.py",
        "if has_passed(record.expires_at_ms, now_ms):",
        "if has_passed(record.expires_at_ms - 1, now_ms):",
    ),
    Fault(
        "a refresh shortens a session",
        "policy.py",
        "max(expires_at_ms, _capped(now_ms + config.expires_in_ms, record, config))",
        "_capped(now_ms + config.update_age_ms, record, config)",
    ),
    Fault(
        "no refresh",
        "policy.py",
        "        and record.remember\n",
        "        and record.remember is None\n",
    ),
    Fault(
        "a refresh at every request",
        "policy.py",
        "return record.expires_at_ms - config.expires_in_ms + config.update_age_ms",
        "return record.expires_at_ms - config.expires_in_ms",
    ),
    Fault(
        "a session that is not remembered is refreshed",
        "policy.py",
        "        and record.remember\n",
        "        and True\n",
    ),
    Fault(
        "no rotation",
        "policy.py",
        "            return record.generation + 1\n",
        "            return None\n",
    ),
    Fault(
        "rotation without confirmation",
        "policy.py",
        "generation=presented_generation if confirms else record.generation,",
        "generation=presented_generation if confirms else offer or record.generation,",
    ),
    Fault(
        "the previous token is good for ever",
        "policy.py",
        "if presented_generation == stored_generation:",
        "if presented_generation in (stored_generation, stored_generation - 1):",
    ),
    Fault(
        "the grace has no end",
        "policy.py",
        "record.confirmed_at_ms + config.rotation_grace_ms, now_ms\n    ):",
        "record.confirmed_at_ms + config.expires_in_ms * 1000, now_ms\n    ):",
    ),
    Fault(
        "no grace",
        "policy.py",
        "record.confirmed_at_ms + config.rotation_grace_ms, now_ms\n    ):",
        "record.confirmed_at_ms, now_ms\n    ):",
    ),
    Fault(
        "the grace ends a moment late",
        "policy.py",
        "record.confirmed_at_ms + config.rotation_grace_ms, now_ms\n    ):",
        "record.confirmed_at_ms + config.rotation_grace_ms + 1, now_ms\n    ):",
    ),
    Fault(
        "the generation is not compared",
        "policy.py",
        "if presented_generation == stored_generation:",
        "if presented_generation <= stored_generation:",
    ),
    Fault(
        "a replay does not end the session",
        "policy.py",
        "return _over(Outcome.REPLAY, EndReason.REPLAYED)",
        "return Decision(Outcome.REPLAY, is_accepted=False)",
    ),
    Fault(
        "a later token does not confirm",
        "policy.py",
        "    confirms = outcome is Outcome.CONFIRM\n",
        "    confirms = False\n",
    ),
    Fault(
        "a revoked session is revived by a refresh",
        "store.py",
        'session.expires_at: slot("new_expires_at_ms"),\n                }\n            ).where(is_judged)',
        'session.expires_at: slot("new_expires_at_ms"),\n'
        "                    session.ended_at: None,\n"
        "                    session.end_reason: None,\n                }\n"
        '            ).where(session.id == slot("id"))',
    ),
    Fault(
        "an end is written nowhere",
        "ending_store.py",
        "            if self._write(statement, values) == 0:",
        "            if self._write(self._feed, {'session_id': None, 'before': None, 'now': 0}) == 0:",
    ),
    Fault(
        "the feed is read once only",
        "revocations.py",
        "is_within_lag = 0 <= now_ms - reading.begun.at_ms < self._lag_ms",
        "is_within_lag = True",
    ),
    Fault(
        "the feed is read too seldom",
        "revocations.py",
        "0 <= now_ms - reading.begun.at_ms < self._lag_ms",
        "0 <= now_ms - reading.begun.at_ms < self._lag_ms * 5",
    ),
    Fault(
        "the feed misses what committed late",
        "revocations.py",
        "since_ms = begun.at_ms - self._age_ms",
        "since_ms = self._reading.begun.at_ms if self._reading else begun.at_ms - self._age_ms",
    ),
    Fault(
        "no row is written to the feed",
        "ending_store.py",
        "            if with_feed:\n",
        "            if not with_feed:\n",
    ),
    Fault(
        "the cache is not bound to its token",
        "cookie_cache.py",
        'payload["v"] != self._version or payload["t"] != _digest(token_text)',
        'payload["v"] != self._version',
    ),
    Fault(
        "the cache outlives its end",
        "cookie_cache.py",
        'if has_passed(payload["e"], now_ms):',
        'if has_passed(payload["e"] + 86_400_000, now_ms):',
    ),
    Fault(
        "the cache outlives the session's expiry",
        "policy.py",
        "end_ms = min(now_ms + config.cookie_cache.max_age_ms, record.expires_at_ms)",
        "end_ms = now_ms + config.cookie_cache.max_age_ms",
        guard=(
            "validation.py",
            "end_reason_at(copy.session, now_ms=now_ms, config=config) is None",
            "copy.session is not None",
        ),
    ),
    Fault(
        "the idle limit is not counted for cached requests",
        "policy.py",
        "        end_ms = min(end_ms, now_ms + config.idle_timeout_ms // 10)\n",
        "        end_ms += config.idle_timeout_ms\n",
    ),
    Fault(
        "the idle limit is not checked",
        "policy.py",
        "if idle_ms is not None and has_passed(record.last_seen_at_ms + idle_ms, now_ms):",
        "if idle_ms is not None and has_passed(record.last_seen_at_ms + 9 * idle_ms, now_ms):",
    ),
    Fault(
        "the absolute limit is pushed by use",
        "policy.py",
        "return record.authenticated_at_ms + config.absolute_timeout_ms",
        "return record.last_seen_at_ms + config.absolute_timeout_ms",
    ),
    Fault(
        "one session too many",
        "store.py",
        "is_full = len(live) >= maximum_sessions",
        "is_full = len(live) > maximum_sessions",
    ),
    Fault(
        "the wrong session is evicted",
        "store.py",
        "kept, over = live[: maximum_sessions - 1], live[maximum_sessions - 1 :]",
        "over, kept = live[: 1 - maximum_sessions], live[1 - maximum_sessions :]",
    ),
    Fault(
        "the limit is not atomic",
        "user_store.py",
        "        return self._connections.atomically(work)\n",
        "        return work()\n",
    ),
    Fault(
        "a sign-in keeps the session that was there",
        "manager.py",
        "        admitted = self.admission.begin(\n"
        "            user, remember_me=remember_me, facts=facts, replaces=replaces, "
        "also_ends=also_ends\n"
        "        )\n"
        "        return",
        "        if replaces:\n"
        "            session = self.models.session\n"
        "            session.update({session.user_id: user.id}).where(session.id == replaces).execute()\n"
        "            row, _ = self.store.find_session(replaces)\n"
        "            return SignIn(User(user), self.show(row, user, now_ms=row.created_at_ms), None)\n"
        "        admitted = self.admission.begin(\n"
        "            user, remember_me=remember_me, facts=facts, replaces=replaces, "
        "also_ends=also_ends\n"
        "        )\n"
        "        return",
    ),
    Fault(
        "a sign-in leaves the old session",
        "store.py",
        "            if replaces is not None and self.end_session(",
        "            if replaces is None and self.end_session(",
    ),
    Fault(
        "a sign-out only clears the cookie",
        "manager.py",
        "return self._end(session_id, reason=EndReason.SIGNED_OUT)",
        "return session_id is not None",
    ),
    Fault(
        "the binding believes any proxy",
        "addresses.py",
        "(address is not None and not _is_within(address, trusted_proxies))",
        "address is None",
    ),
    Fault(
        "the binding is not checked",
        "policy.py",
        'if config.ip_binding != "off" and is_bound_elsewhere',
        'if config.ip_binding == "nowhere" and is_bound_elsewhere',
    ),
    Fault(
        "an exact binding takes a neighbour",
        "policy.py",
        'if config.ip_binding == "exact" or address is None:',
        "if address is None:",
    ),
    Fault(
        "a cookie without HttpOnly",
        "cookies.py",
        "; HttpOnly; SameSite=",
        "; SameSite=",
    ),
    Fault(
        "a cookie without Secure",
        "cookies.py",
        'attributes += "; Secure"',
        'attributes += ""',
    ),
    Fault(
        "a cookie without SameSite",
        "cookies.py",
        'f"; HttpOnly; SameSite={same_site}"',
        '"; HttpOnly"',
    ),
    Fault(
        "Vary is missing",
        "response_headers.py",
        '        answer.append(("Vary", "Cookie"))\n',
        "        pass\n",
    ),
    Fault(
        "a personal answer may be cached by all",
        "response_headers.py",
        '        answer.append(("Cache-Control", _for_this_browser(cache_control)))\n',
        "        pass\n",
    ),
    Fault(
        "session data is written over",
        "store.py",
        "            merged = self._write_merged(session_id, operations, known)\n",
        '            merged = self._write_merged(session_id, operations, ("{}", known[1]))\n',
    ),
    Fault(
        "parallel requests lose session data",
        "store.py",
        'is_live_row & (session.data_version == slot("known_version"))',
        "is_live_row & (session.data_version >= 0)",
    ),
    Fault(
        "a change inside a value is not noticed",
        "session.py",
        "        if isinstance(value, (dict, list)):\n",
        "        if isinstance(value, set):\n",
    ),
    Fault(
        "an unsigned token is taken",
        "tokens.py",
        "        if key_position is None:\n            return None\n",
        "        if key_position is None:\n            key_position = 0\n",
    ),
    Fault(
        "a sign-in outlives the change of its password",
        "accounts/service.py",
        "if not is_there or account is None or account.password_hash != known_hash:",
        "if not is_there or account is None:",
    ),
    Fault(
        "an answer that breaks off loses the cookie of a sign-in",
        "middleware.py",
        "with_our_headers(headers, request.begin_without_app())",
        "with_our_headers(headers, [])",
    ),
)
