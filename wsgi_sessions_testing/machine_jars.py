"""``JarRules``: jars with doubled, old and stolen cookies, new secrets, and ways through proxies.

Must not believe the product: what has to come of each request is worked out by the oracle.
"""

from __future__ import annotations

import ipaddress

from wsgi_sessions.tokens import TokenSigner

from .extras import from_extra
from .machine_ground import PLACES, MachineGround
from .staging import plant

with from_extra("testing", "Hypothesis", "SessionMachine"):
    from hypothesis import strategies as st
    from hypothesis.stateful import precondition, rule

__all__ = ["JarRules"]


class JarRules(MachineGround):
    """What becomes of a jar, and by which way it comes."""

    @rule(which=st.integers(0, 2))
    def restart(self, which: int) -> None:
        """A browser is closed and opened: it keeps the cookie of who is to be remembered."""
        browser = self.browsers[which]
        before, session = browser.session_token, self._reference(self._held(browser))
        browser.restart()
        if session is not None:
            kept = before if session.is_remembered else None
            assert browser.session_token == kept, self._told(
                "a session that was remembered lost its cookie"
                if session.is_remembered
                else "a session that was not remembered kept its cookie"
            )

    @rule(
        which=st.integers(0, 2),
        worker=st.integers(0, 1),
        behind=st.integers(1, 2),
        late=st.sampled_from([None, None, -1, 0, 1]),
    )
    def steal_before_rotation(self, which: int, worker: int, behind: int, late: int | None) -> None:
        """A jar stolen one or two generations ago is used, within the grace or about its end."""
        self._be_signed_in(which)
        thief = self.browsers[which].fork()
        for _ in range(behind):
            self._rotate(which, worker)
        if late is not None:
            self._advance(self.config.rotation_grace_ms + late)
        self._look(thief, worker)

    @rule(
        which=st.integers(0, 2),
        worker=st.integers(0, 1),
        is_older=st.booleans(),
        is_first=st.booleans(),
    )
    def double_a_cookie(self, which: int, worker: int, is_older: bool, is_first: bool) -> None:
        """Two cookies of one name: the other is rubbish, or an older token of the same session."""
        self._be_signed_in(which)
        browser = self._seat(which, worker)
        held = self._held(browser)
        name = browser.manager.cookies.token_name(is_secure=browser._is_secure)
        if held is None:
            return
        other = "rubbish"
        # A browser holds one cookie of such a name, so no older one stands beside it.
        if is_older and held.generation and not name.startswith("__Host-"):
            other = self.bench.factories.token_of(held.text, generation=held.generation - 1)
        texts = [other, held.text] if is_first else [held.text, other]
        line = "; ".join(f"{name}={text}" for text in texts)
        self._look(self.browsers[which], worker, headers={"Cookie": line})

    @rule(which=st.integers(0, 2), worker=st.integers(0, 1))
    def come_with_older_secret(self, which: int, worker: int) -> None:
        """A token that an older secret has signed, or one that is no secret of ours any more."""
        self._be_signed_in(which)
        browser = self._seat(which, worker)
        held = self._held(browser)
        if held is None:
            return
        secrets = list(self.config.secret)
        is_known = len(secrets) > 1
        secret = secrets[1] if is_known else "of-others" * 8
        jar = self.browsers[which] if is_known else self.browsers[which].fork()
        text = TokenSigner([secret]).write(held.secret, held.generation)
        cookies, is_secure = jar.manager.cookies, jar._is_secure
        session = self._reference(held)
        _, line = cookies.set_token(
            text, is_secure=is_secure, remember=session is None or session.is_remembered
        )
        plant(jar, cookies.token_name(is_secure=is_secure), line)
        jar.cookies.discard(cookies.cache_name(is_secure=is_secure))
        self._look(jar, worker, is_reissued=is_known)

    @precondition(lambda self: self.is_bound and self.config.trusted_proxies)
    @rule(
        which=st.integers(0, 2),
        worker=st.integers(0, 1),
        place=st.integers(0, len(PLACES) - 1),
        hops=st.integers(1, 2),
        lies=st.booleans(),
    )
    def come_through_proxy(
        self, which: int, worker: int, place: int, hops: int, lies: bool
    ) -> None:
        """A proxy that is believed adds where a request comes from to what that claims."""
        if any(ipaddress.ip_address(PLACES[place]) in one for one in self.config.trusted_proxies):
            return  # which would be one more proxy
        self._be_signed_in(which)
        network = self.config.trusted_proxies[0]
        proxies = [str(network[index % network.num_addresses]) for index in (1, 2)]
        session = self._reference(self._held(self.browsers[which]))
        told = [PLACES[place], *proxies[1:hops]]
        if lies and session is not None and session.bound_to is not None:
            told.insert(0, session.bound_to)
        jar = self.browsers[which].fork()
        jar.address = proxies[0]
        headers = {"X-Forwarded-For": ", ".join(told)}
        self._look(jar, worker, headers=headers, place=PLACES[place])
        self.browsers[which].cookies = jar.cookies
