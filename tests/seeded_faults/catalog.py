"""Faults of the product, each of one line: what tests of sessions have to find.

``hunt`` applies them to a copy of the package.
"""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """Replace ``old`` by ``new`` in a module, wherever it stands there.

    ``guard``, a module with an old and a new line of its own, stands for a second line that
    would stop the fault as well.
    """

    name: str
    module: str
    old: str
    new: str
    guard: tuple[str, str, str] | None = None


FAULTS = (
    Fault(
        "a session expires a moment late",
        "sessions/policy.py",
        "limits.append((EndReason.EXPIRED, record.expires_at_ms))",
        "limits.append((EndReason.EXPIRED, record.expires_at_ms + 1))",
    ),
    Fault(
        "a session expires a moment early",
        "sessions/policy.py",
        "limits.append((EndReason.EXPIRED, record.expires_at_ms))",
        "limits.append((EndReason.EXPIRED, record.expires_at_ms - 1))",
    ),
    Fault(
        "a refresh shortens a session",
        "sessions/policy.py",
        "max(expires_at_ms, _capped(now_ms + config.expires_in_ms, record, config))",
        "_capped(now_ms + config.update_age_ms, record, config)",
    ),
    Fault(
        "no refresh",
        "sessions/policy.py",
        "        and record.remember\n",
        "        and record.remember is None\n",
    ),
    Fault(
        "a refresh at every request",
        "sessions/policy.py",
        "return record.expires_at_ms - config.expires_in_ms + config.update_age_ms",
        "return record.expires_at_ms - config.expires_in_ms",
    ),
    Fault(
        "a session that is not remembered is refreshed",
        "sessions/policy.py",
        "        and record.remember\n",
        "        and True\n",
    ),
    Fault(
        "no rotation",
        "sessions/policy.py",
        "            offer = Offer(record.generation + 1)\n",
        "            offer = None\n",
    ),
    Fault(
        "rotation without confirmation",
        "sessions/policy.py",
        "generation=token.generation if confirms else record.generation,",
        "generation=token.generation if confirms else offer[0] if offer else record.generation,",
    ),
    Fault(
        "the previous token is good for ever",
        "sessions/policy.py",
        "        if may_catch_up:\n            return Outcome.CATCH_UP\n",
        "        return Outcome.GRACE\n",
    ),
    Fault(
        "the grace has no end",
        "sessions/policy.py",
        "if since_ms < config.rotation_grace_ms:",
        "if since_ms < config.expires_in_ms * 1000:",
    ),
    Fault(
        "no grace",
        "sessions/policy.py",
        "if since_ms < config.rotation_grace_ms:",
        "if since_ms < 0:",
    ),
    Fault(
        "the grace ends a moment late",
        "sessions/policy.py",
        "if since_ms < config.rotation_grace_ms:",
        "if since_ms <= config.rotation_grace_ms:",
    ),
    Fault(
        "the generation is not compared",
        "sessions/policy.py",
        "if token.generation == record.generation:",
        "if token.generation <= record.generation:",
    ),
    Fault(
        "a replay does not end the session",
        "sessions/policy.py",
        "return _over(Outcome.REPLAY, EndReason.REPLAYED)",
        "return Decision(Outcome.REPLAY, is_accepted=False)",
    ),
    Fault(
        "a later token does not confirm",
        "sessions/policy.py",
        "    confirms = outcome is Outcome.CONFIRM\n",
        "    confirms = False\n",
    ),
    Fault(
        "a revoked session is revived by a refresh",
        "storage/sessions.py",
        "self._columns.session.update(values).where(self._columns.is_judged)",
        "(session := self._columns.session).update({**values, session.ended_at: None, session.end_reason: None})"
        '.where(session.id == slot("id"))',
    ),
    Fault(
        "an end is written nowhere",
        "storage/session_ends.py",
        "            if self._runner.write(statement, **values) == 0:",
        "            if False:",
    ),
    Fault(
        "the feed is read once only",
        "sessions/revocation_feed.py",
        "is_within_lag = 0 <= now_ms - reading.begun.at_ms < self._lag_ms",
        "is_within_lag = True",
    ),
    Fault(
        "the feed is read too seldom",
        "sessions/revocation_feed.py",
        "0 <= now_ms - reading.begun.at_ms < self._lag_ms",
        "0 <= now_ms - reading.begun.at_ms < self._lag_ms * 5",
    ),
    Fault(
        "the feed misses what committed late",
        "sessions/known_revocations.py",
        "whole_ms, last = _bucket_of(now_ms - ages.read_ms), known.last",
        "whole_ms, last = known.complete_at_ms or _bucket_of(now_ms - ages.read_ms), known.last",
    ),
    Fault(
        "no row is written to the feed",
        "storage/session_ends.py",
        "            self._revocations.insert(session_id, now_ms=now_ms)\n            return True",
        "            return True",
    ),
    Fault(
        "the cache is not bound to its token",
        "sessions/cookie_cache.py",
        "if opened.token_digest != _digest(token_text):",
        "if opened.token_digest is None:",
    ),
    Fault(
        "the cache outlives its end",
        "sessions/cookie_cache.py",
        "now_ms < copy.ends_at_ms",
        "now_ms < copy.ends_at_ms + 86_400_000",
    ),
    Fault(
        "the cache outlives the session's expiry",
        "sessions/policy.py",
        "end_ms = min(now_ms + config.cookie_cache.max_age_ms, first_limit_ms(record, config=config))",
        "end_ms = now_ms + config.cookie_cache.max_age_ms",
        guard=(
            "sessions/cookie_cache.py",
            'min(payload["e"], first_limit_ms(session, config=self._config))',
            'payload["e"]',
        ),
    ),
    Fault(
        "the idle limit is not counted for cached requests",
        "sessions/policy.py",
        "        end_ms = min(end_ms, now_ms + config.idle_timeout_ms // 10)\n",
        "        end_ms += config.idle_timeout_ms\n",
    ),
    Fault(
        "the idle limit is not checked",
        "sessions/policy.py",
        "limits.append((EndReason.IDLE, record.last_seen_at_ms + config.idle_timeout_ms))",
        "limits.append((EndReason.IDLE, record.last_seen_at_ms + 9 * config.idle_timeout_ms))",
    ),
    Fault(
        "the absolute limit is pushed by use",
        "sessions/policy.py",
        "return record.authenticated_at_ms + config.absolute_timeout_ms",
        "return record.last_seen_at_ms + config.absolute_timeout_ms",
    ),
    Fault(
        "one session too many",
        "sessions/creation.py",
        "limit = multi.maximum_sessions if multi.enabled else 1",
        "limit = multi.maximum_sessions and multi.maximum_sessions + 1 if multi.enabled else 1",
    ),
    Fault(
        "the wrong session is evicted",
        "sessions/creation.py",
        "kept, evicted = live[: limit - 1], live[limit - 1 :]",
        "evicted, kept = live[: 1 - limit], live[1 - limit :]",
    ),
    Fault(
        "the limit is not atomic",
        "storage/store.py",
        "work = work if self._told is None else self._told.with_rows(work)\n"
        "        return self._runner.atomically(work, is_synchronised=is_synchronised)\n",
        "return work()\n",
    ),
    Fault(
        "a sign-in keeps the session that was there",
        "manager.py",
        "        def create() -> CreatedSession:\n",
        "        if Replaced.of(replaces).session_id:\n"
        "            session = self.parts.models.session\n"
        "            session.update({session.user_id: user.id}).where(session.id == Replaced.of(replaces).session_id).execute()\n"
        "            row, _ = self.parts.store.sessions.find(Replaced.of(replaces).session_id)\n"
        "            return SignIn(User(user), self.parts.validator.to_session(row, user, now_ms=row.created_at_ms), None)\n"
        "        def create() -> CreatedSession:\n",
    ),
    Fault(
        "a sign-in leaves the old session",
        "sessions/creation.py",
        "for session_id in (replaced.session_id, replaced.elsewhere_id):",
        "for session_id in (replaced.elsewhere_id,):",
    ),
    Fault(
        "a sign-out only clears the cookie",
        "user_manager.py",
        "return self.parts.ending.end(session_id, reason=EndReason.SIGNED_OUT, facts=facts)",
        "return session_id is not None",
    ),
    Fault(
        "the binding believes any proxy",
        "transport/client_address.py",
        "(address is not None and not _is_within(address, trusted_proxies))",
        "address is None",
    ),
    Fault(
        "the binding is not checked",
        "sessions/policy.py",
        'if config.ip_binding != "off" and is_bound_elsewhere',
        'if config.ip_binding == "nowhere" and is_bound_elsewhere',
    ),
    Fault(
        "an exact binding takes a neighbour",
        "sessions/places.py",
        'if config.ip_binding == "exact" or address is None:',
        "if address is None:",
    ),
    Fault(
        "a cookie without HttpOnly",
        "transport/cookies.py",
        "; HttpOnly; SameSite=",
        "; SameSite=",
    ),
    Fault(
        "a cookie without Secure",
        "transport/cookies.py",
        'attributes += "; Secure"',
        'attributes += ""',
    ),
    Fault(
        "a cookie without SameSite",
        "transport/cookies.py",
        'f"; HttpOnly; SameSite={same_site}"',
        '"; HttpOnly"',
    ),
    Fault(
        "Vary is missing",
        "transport/response_headers.py",
        '_VARIES = ("Vary", "Cookie")',
        '_VARIES = ("X-Varies", "Cookie")',
    ),
    Fault(
        "a personal answer may be cached by all",
        "transport/response_headers.py",
        '        answer.append(("Cache-Control", _for_this_browser(cache_control)))\n',
        "        pass\n",
    ),
    Fault(
        "session data is written over",
        "storage/sessions.py",
        "            merged = self._write_merged(session_id, operations, *known)\n",
        '            merged = self._write_merged(session_id, operations, "{}", known[1])\n',
    ),
    Fault(
        "parallel requests lose session data",
        "storage/sessions.py",
        'is_live_row & (session.data_version == slot("known_version"))',
        "is_live_row & (session.data_version >= 0)",
    ),
    Fault(
        "a change inside a value is not noticed",
        "sessions/data.py",
        "        if isinstance(value, (dict, list)):\n",
        "        if isinstance(value, set):\n",
    ),
    Fault(
        "an unsigned token is taken",
        "sessions/tokens.py",
        "        if key_position is None:\n            return None\n",
        "        if key_position is None:\n            key_position = 0\n",
    ),
    Fault(
        "a sign-in outlives the change of its password",
        "accounts/service.py",
        "if is_there and account is not None and account.password_hash == checked.password_hash:",
        "if is_there and account is not None:",
    ),
    Fault(
        "an answer that breaks off loses the cookie of a sign-in",
        "wsgi/middleware.py",
        "with_our_headers(headers, self.exchange.begin_without_app())",
        "with_our_headers(headers, [])",
    ),
    # The third 25, invented before anybody looked at what finds them; docs/explanation/seeded-faults.md has the rate.
    Fault(
        "a sign-in hands on another user's data",
        "sessions/creation.py",
        "return session.data if session.user_id is None or is_same_user else to.data",
        "return session.data",
    ),
    Fault(
        "a visitor costs a row without writing",
        "wsgi/request_data.py",
        "        if not operations:\n            return\n        if session is None",
        "        if not operations and self.unsaved is None:\n"
        "            return\n"
        "        if session is None",
    ),
    Fault(
        "a deleted user lives on in cached copies",
        "sessions/ending.py",
        "is_deleted, ended = self.store.delete_user(\n"
        "                user_id, now_ms=self.clock.now_ms(), skew_ms=self.config.rotation_grace_ms\n"
        "            )",
        "is_deleted, ended = self.store.users.delete(user_id), EndedSessions()",
    ),
    Fault(
        "a wrong password deletes the user",
        "wsgi/request.py",
        "user.id, password=password, facts=",
        "user.id, facts=",
    ),
    Fault(
        "a refresh makes a session fresh",
        "sessions/session.py",
        "proven_at_ms = self.record.authenticated_at_ms\n",
        "proven_at_ms = self.record.updated_at_ms\n",
    ),
    Fault(
        "a list has the longest unseen first",
        "storage/sessions.py",
        ".order_by(session.last_seen_at.desc()",
        ".order_by(session.last_seen_at.asc()",
    ),
    Fault(
        "sessions past a limit take up places",
        "sessions/creation.py",
        "(live if reason is None else past.setdefault(reason, [])).append(session.id)",
        "live.append(session.id)",
    ),
    Fault(
        "a copy of another version is taken",
        "sessions/cookie_cache.py",
        'payload["v"] != settings.version',
        'payload["v"] is None',
    ),
    Fault(
        "a sensitive call is content with a copy",
        "sessions/validation.py",
        "may_use_copy = self.config.cookie_cache.enabled and not options.authoritative",
        "may_use_copy = self.config.cookie_cache.enabled",
    ),
    Fault(
        "of several ends the feed is told one",
        "storage/revocations.py",
        "for batch in batches(session_ids):",
        "for batch in batches(session_ids[:1]):",
    ),
    Fault(
        "the feed forgets before the copies end",
        "sessions/known_revocations.py",
        "return self.copy_ms + self.late_ms",
        "return self.late_ms",
    ),
    Fault(
        "the purge counts from the sign-in",
        "storage/store.py",
        "session.expires_at: keep_ended_ms",
        "session.created_at: keep_ended_ms",
    ),
    Fault(
        "IPv6 networks are as long as IPv4's",
        "transport/client_address.py",
        "prefix = prefix_v4 if parsed.version == 4 else prefix_v6",
        "prefix = prefix_v4",
    ),
    Fault(
        "forwarded addresses are read from the left",
        "transport/client_address.py",
        "for part in reversed(parts)]",
        "for part in parts]",
    ),
    Fault(
        "a proxy's word of the scheme is not believed",
        "transport/client_address.py",
        "is_https = is_https if hop.is_https is None else hop.is_https",
        "is_https = bool(is_https)",
    ),
    Fault(
        "of two cookies of one name the first counts",
        "transport/cookies.py",
        "elif header.find(assignment, end) >= 0:",
        "elif not header:",
    ),
    Fault(
        "of several tokens only the first is tried",
        "sessions/validation.py",
        "for position, tokens in enumerate(sessions, start=1):",
        "for position, tokens in enumerate(sessions[:1], start=1):",
    ),
    Fault(
        "an older secret's token is not sent anew",
        "sessions/policy.py",
        "            or not token.is_signed_by_newest\n",
        "",
    ),
    Fault(
        "signing out elsewhere signs out here too",
        "sessions/ending.py",
        "return self.revoke_all_of(found.user_id, except_id=session_id, facts=facts)",
        "return self.revoke_all_of(found.user_id, except_id=None, facts=facts)",
    ),
    Fault(
        "anybody ends anybody's session by its id",
        "sessions/ending.py",
        "if found is None or not self.store.users.is_same(found.user_id, user_id):",
        "if found is None:",
    ),
    Fault(
        "a change of password remembers whoever asked not to be",
        "wsgi/request.py",
        "remember_me=self.session.is_remembered,",
        "remember_me=True,",
    ),
    Fault(
        "touches are too seldom for a short idle limit",
        "sessions/policy.py",
        "return min(config.touch_interval_ms, config.idle_timeout_ms // 10)",
        "return config.touch_interval_ms",
    ),
    Fault(
        "use does not push the idle limit",
        "sessions/policy.py",
        "(EndReason.IDLE, record.last_seen_at_ms + config.idle_timeout_ms)",
        "(EndReason.IDLE, record.updated_at_ms + config.idle_timeout_ms)",
    ),
    Fault(
        "the throttle never opens again",
        "accounts/throttle.py",
        "since_ms=now_ms - window_ms,",
        "since_ms=0,",
    ),
    Fault(
        "successes count as failures",
        "accounts/throttle.py",
        "            raise\n        take_back()\n",
        "            raise\n",
    ),
    Fault(
        "a device cookie is good for any account",
        "accounts/device_cookie.py",
        "signature = entry.of_browser if account is None else entry.of_account",
        "account, signature = None, entry.of_browser",
    ),
    Fault(
        "a network has no limit of its own",
        "accounts/throttle.py",
        "most = (config.network_tries, config.wide_network_tries)",
        "most = ()",
    ),
    # Of the second 25, whose text was not kept, four that nothing found then.
    Fault(
        "a stale session deletes its user",
        "wsgi/request.py",
        "if password is not None else self.require_fresh()",
        "if password is not None else self._user_of_database()",
    ),
    Fault(
        "a list shows sessions past a limit",
        "sessions/reading.py",
        "            if is_live(record, now_ms=now_ms, config=self.config)\n        ]",
        "        ]",
    ),
    Fault(
        "a sign-out leaves the cached copy",
        "transport/cookies.py",
        "return [named.clear(named.token_name), named.clear(named.cache_name)]",
        "return [named.clear(named.token_name), named.clear(named.token_name)]",
    ),
    Fault(
        "the absolute limit counts from the last change",
        "sessions/policy.py",
        "return record.authenticated_at_ms + config.absolute_timeout_ms",
        "return record.updated_at_ms + config.absolute_timeout_ms",
    ),
    # Of the rules by which a rotation holds: each was invented together with its rule.
    Fault(
        "a rotation is due a moment late",
        "sessions/policy.py",
        "else record.confirmed_at_ms + interval_ms",
        "else record.confirmed_at_ms + interval_ms + 1",
    ),
    Fault(
        "a session that is not remembered rotates as seldom as others",
        "sessions/policy.py",
        "config.rotation_interval_ms if record.remember else config.short_rotation_interval_ms",
        "config.rotation_interval_ms",
    ),
    Fault(
        "tokens rotate though they must not",
        "sessions/policy.py",
        "    if not config.rotate_tokens:\n",
        "    if config.rotate_tokens is None:\n",
    ),
    Fault(
        "generations further ahead are refused",
        "sessions/policy.py",
        "if token.generation > record.generation:",
        "if token.generation == record.generation + 1:",
    ),
    Fault(
        "all offers of a generation are the same",
        "wsgi/response_cookies.py",
        "branch = offer.branch or new_branch(is_catch_up=offer.is_catch_up)",
        "branch = offer.branch or token.branch",
    ),
    Fault(
        "no grace for siblings",
        "sessions/policy.py",
        "        if since_ms < window_ms:\n",
        "        if since_ms < 0:\n",
    ),
    Fault(
        "the window ends a moment early",
        "config/relations.py",
        '"rotation_window_ms", window_ms)',
        '"rotation_window_ms", window_ms - 1)',
    ),
    Fault(
        "the window ends a moment late",
        "config/relations.py",
        '"rotation_window_ms", window_ms)',
        '"rotation_window_ms", window_ms + 1)',
    ),
    Fault(
        "the token that counts does not settle itself",
        "sessions/policy.py",
        "if record.is_settled or since_ms < window_ms:\n",
        "if True:\n",
    ),
    Fault(
        "a settling does not change the stored branch",
        "sessions/policy.py",
        "branch=token.branch if confirms or takes_over or settles else record.branch",
        "branch=token.branch if confirms or takes_over else record.branch",
    ),
    Fault(
        "a settling does not touch",
        "sessions/policy.py",
        "last_seen_at_ms=max(now_ms, record.last_seen_at_ms),",
        "last_seen_at_ms=max(0 if settles else now_ms, record.last_seen_at_ms),",
    ),
    Fault(
        "a sibling is let in after another was settled",
        "sessions/policy.py",
        "return Outcome.REPLAY if record.is_settled else Outcome.SETTLE",
        "return Outcome.GRACE if record.is_settled else Outcome.SETTLE",
    ),
    Fault(
        "a settled generation is settled again",
        "sessions/policy.py",
        "return Outcome.REPLAY if record.is_settled else Outcome.SETTLE",
        "return Outcome.SETTLE",
    ),
    Fault(
        "a sibling that lost is good again after the next rotation",
        "sessions/policy.py",
        " and record.branch_before in (None, token.branch):",
        ":",
    ),
    Fault(
        "the next token is offered before the last is settled",
        "sessions/policy.py",
        "is_settled = settles or (outcome is Outcome.CURRENT and bool(record.is_settled))",
        "is_settled = settles or outcome is Outcome.CURRENT",
    ),
    Fault(
        "a copy is sealed before its token is settled",
        "sessions/validation.py",
        "may_be_copied=is_settled and offer is None and is_newest",
        "may_be_copied=offer is None and is_newest",
    ),
    Fault(
        "a copy is sealed beside an offer",
        "sessions/validation.py",
        "may_be_copied=is_settled and offer is None and is_newest",
        "may_be_copied=is_settled and is_newest",
        guard=(
            "wsgi/response_cookies.py",
            "        elif found.may_be_copied:",
            "        if found.may_be_copied:",
        ),
    ),
    Fault(
        "no pause before a rotation",
        "sessions/policy.py",
        "return has_passed(offered_from_ms - config.rotation_grace_ms, now_ms) and not has_passed(",
        "return has_passed(offered_from_ms, now_ms) and not has_passed(",
    ),
    Fault(
        "after the pause the token is repeated",
        "sessions/policy.py",
        "            offered_from_ms -= config.rotation_grace_ms\n",
        "            offered_from_ms -= 0\n",
    ),
    Fault(
        "a request in grace refreshes",
        "sessions/policy.py",
        "    may_repeat = confirms or (\n",
        "    may_repeat = outcome is not Outcome.CURRENT or (\n",
    ),
    Fault(
        "a request in grace does not touch",
        "sessions/policy.py",
        "touches = has_passed(record.last_seen_at_ms + touch_interval_ms(config), now_ms)",
        "touches = (confirms or is_settled) and has_passed("
        "record.last_seen_at_ms + touch_interval_ms(config), now_ms)",
    ),
    Fault(
        "an upload settles",
        "sessions/policy.py",
        "window_ms = config.upload_grace_ms if has_long_body else config.rotation_window_ms",
        "window_ms = config.rotation_window_ms",
    ),
    Fault(
        "an upload is never late",
        "sessions/policy.py",
        "if has_long_body and since_ms < config.upload_grace_ms:",
        "if has_long_body:",
    ),
    Fault(
        "an upload is given a catch-up",
        "sessions/policy.py",
        "if has_long_body and since_ms < config.upload_grace_ms:",
        "if has_long_body and since_ms < config.rotation_grace_ms:",
    ),
    Fault(
        "no body is long",
        "transport/environ.py",
        "(len(length) > 12 or int(length) > MAX_SHORT_BODY_BYTES)",
        "len(length) > 12",
    ),
    Fault(
        "no catch-up for a jar that went back",
        "sessions/policy.py",
        "        if may_catch_up:\n            return Outcome.CATCH_UP\n",
        "",
    ),
    Fault(
        "catch-ups without a bound",
        "sessions/policy.py",
        "may_catch_up = not (record.is_settled or record.caught_up)",
        "may_catch_up = not record.is_settled",
    ),
    Fault(
        "a catch-up in a generation that is settled",
        "sessions/policy.py",
        "may_catch_up = not (record.is_settled or record.caught_up)",
        "may_catch_up = not record.caught_up",
    ),
    Fault(
        "a catch-up bears no mark",
        "sessions/tokens.py",
        "drawn[0] | _FIRST_BIT if is_catch_up else",
        "drawn[0] & ~_FIRST_BIT if is_catch_up else",
    ),
    Fault(
        "every offer bears the mark of a catch-up",
        "sessions/tokens.py",
        "else drawn[0] & ~_FIRST_BIT",
        "else drawn[0] | _FIRST_BIT",
    ),
    Fault(
        "a catch-up is of the next generation",
        "sessions/policy.py",
        "offer = Offer(record.generation, is_catch_up=True)",
        "offer = Offer(record.generation + 1, is_catch_up=True)",
    ),
    Fault(
        "a take-over begins no window",
        "sessions/policy.py",
        "confirmed_at_ms=now_ms if confirms or takes_over else record.confirmed_at_ms,",
        "confirmed_at_ms=now_ms if confirms else record.confirmed_at_ms,",
    ),
    Fault(
        "a take-over is not counted",
        "sessions/policy.py",
        "caught_up=takes_over or (bool(record.caught_up) and not confirms),",
        "caught_up=bool(record.caught_up) and not confirms,",
    ),
    Fault(
        "a take-over is counted for ever",
        "sessions/policy.py",
        "caught_up=takes_over or (bool(record.caught_up) and not confirms),",
        "caught_up=takes_over or bool(record.caught_up),",
    ),
    Fault(
        "a cookie that was decided long ago is sent",
        "wsgi/response_cookies.py",
        "            self._lines = (_Line(header, self._good_until_ms(found.now_ms)),)\n",
        "            self._lines = (_Line(header),)\n",
    ),
    Fault(
        "a copy that was decided long ago is sent",
        "wsgi/response_cookies.py",
        "self._add(header, self._good_until_ms(copy.now_ms), self._clearing)",
        "self._add(header)",
    ),
    Fault(
        "a cookie lasts as long as what is left of its session",
        "sessions/policy.py",
        "return max(_capped(now_ms + config.expires_in_ms, record, config) - now_ms, 1000)",
        "return max(record.expires_at_ms - now_ms, 1000)",
    ),
    Fault(
        "the branch is not compared at a write",
        "storage/sessions.py",
        '_COMPARED = ("generation", "branch", "is_settled",',
        '_COMPARED = ("generation", "is_settled",',
    ),
    Fault(
        "whether it is settled is not compared at a write",
        "storage/sessions.py",
        '_COMPARED = ("generation", "branch", "is_settled",',
        '_COMPARED = ("generation", "branch",',
    ),
    Fault(
        "a settling that fails fails the request",
        "sessions/policy.py",
        "token.branch == record.branch if settles else not",
        "False if settles else not",
    ),
    Fault(
        "a confirmation that fails goes on",
        "sessions/policy.py",
        "else not (confirms or takes_over or refreshes)",
        "else not (takes_over or refreshes)",
    ),
    Fault(
        "an offer for a settling that failed",
        "sessions/validation.py",
        "offer = decision.offer if is_settled or not _settles(decision) else None",
        "offer = decision.offer",
    ),
    Fault(
        "who only reads settles and confirms",
        "sessions/policy.py",
        "    if not allow_refresh:\n        return _ACCEPTED_AS_IS[outcome]\n",
        "",
    ),
    Fault(
        "who only reads ends a session",
        "sessions/validation.py",
        "is_reader = not (options.allow_refresh or options.is_change)",
        "is_reader = False",
    ),
    Fault(
        "of two generations in a header the older counts",
        "transport/cookies.py",
        "or token.generation > known[0].generation:",
        "or token.generation < known[0].generation:",
    ),
    Fault(
        "of two siblings in a header the first counts",
        "sessions/validation.py",
        "if record is not None and first.branch != record.branch:",
        "if record is not None and not first.branch:",
    ),
    Fault(
        "a page of any origin may send changes",
        "api/guard.py",
        "if source and not is_trusted_origin(environ, source, config):",
        "if source and is_trusted_origin(environ, source, config) is None:",
    ),
    Fault(
        "answers can be embedded by any site",
        "transport/response_headers.py",
        '("Cross-Origin-Resource-Policy", "same-origin")',
        '("Cross-Origin-Resource-Policy", "cross-origin")',
    ),
    Fault(
        "an encrypted copy can be read",
        "sessions/cookie_cache.py",
        "urlsafe_b64encode(plain if keys.cipher is None else keys.cipher.encrypt(plain))",
        "urlsafe_b64encode(plain)",
    ),
    Fault(
        "a step-up begins another session",
        "wsgi/request.py",
        "        self._exchange.step_up(made)\n",
        "        self._exchange.sign_in(self.manager.sign_in(self.session.user_id, replaces=made.session_id))\n",
    ),
    Fault(
        "a step-up is noted in the session",
        "wsgi/request.py",
        "        self._exchange.step_up(made)\n",
        "        self.manager.database.execute_sql('UPDATE wsgi_sessions_session SET authenticated_at = ?', (made.at_ms,))\n",
    ),
    Fault(
        "a step-up is good beside another session",
        "sessions/step_up.py",
        'return ".".join((session_id, *parts)).encode()',
        'return ".".join(parts).encode()',
        ("sessions/step_up.py", 'f"{session_id} {name}"', 'f"{name}"'),
    ),
    Fault(
        "a step-up never ends",
        "sessions/session.py",
        "return any(self._is_within(within_ms, at_ms) for at_ms in step_ups)",
        "return any(step_ups)",
    ),
    Fault(
        "an old login at a provider is fresh",
        "sessions/session.py",
        "            proven_at_ms = min(proven_at_ms, told_ms)\n",
        "            pass\n",
    ),
    Fault(
        "a session is fresh elsewhere",
        "sessions/session.py",
        "self.config.fresh_elsewhere or not self.is_elsewhere",
        "True",
    ),
    Fault(
        "a touch keeps no place",
        "sessions/policy.py",
        "last_ip_address=used_from[0],",
        "last_ip_address=record.last_ip_address,",
    ),
    Fault(
        "a link of a mail works again and again",
        "storage/one_time_tokens.py",
        'is_good = token.used_at.is_null() & (token.expires_at > slot("now"))',
        'is_good = token.expires_at > slot("now")',
        guard=(
            "mail_manager.py",
            "if found is None or user is None or found.used_at_ms or is_over(found, now_ms=now_ms):",
            "if found is None or user is None or is_over(found, now_ms=now_ms):",
        ),
    ),
    Fault(
        "a link of a mail works for ever",
        "mail_manager.py",
        "if found is None or user is None or found.used_at_ms or is_over(found, now_ms=now_ms):",
        "if found is None or user is None or found.used_at_ms:",
        guard=(
            "storage/one_time_tokens.py",
            'is_good = token.used_at.is_null() & (token.expires_at > slot("now"))',
            "is_good = token.used_at.is_null() & (token.expires_at > 0)",
        ),
    ),
    Fault(
        "a reset of the password leaves the sessions",
        "user_manager.py",
        "return self.parts.ending.end_unreported(\n"
        "            user.id, reason=EndReason.PASSWORD_CHANGED, facts=facts\n"
        "        )",
        "return EndedSessions((), 0)",
    ),
    Fault(
        "a link that verifies an address resets a password",
        "storage/one_time_tokens.py",
        'return (self._token.digest == slot("digest")) & (self._token.purpose == slot("purpose"))',
        'return self._token.digest == slot("digest")',
        guard=(
            "storage/one_time_tokens.py",
            "if row is None or (row[0], row[1]) != (digest, purpose):",
            "if row is None or row[0] != digest:",
        ),
    ),
    Fault(
        "an ID token signs in again and again",
        "accounts/social.py",
        "if not self._store.one_time_tokens.insert(used):",
        "if self._store.one_time_tokens.insert(used) is None:",
    ),
    Fault(
        "a nonce of another browser is taken",
        "accounts/oidc/id_tokens.py",
        "        if not is_of_browser(said):\n",
        "        if not said:\n",
    ),
    Fault(
        "a logout token is taken for an ID token",
        "accounts/oidc/id_tokens.py",
        'if "events" in claims or "scp" in claims:',
        'if "scp" in claims:',
    ),
    Fault(
        "a logout token for somebody else ends sessions",
        "accounts/oidc/logout_tokens.py",
        "    check_audience(claims, provider, may_name_others=is_event)\n",
        "",
    ),
    Fault(
        "the provider's session is not known",
        "manager.py",
        "provider_sid=claims.sid,",
        "provider_sid=None,",
    ),
)
