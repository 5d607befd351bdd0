"""``JarRules``: jars with doubled cookies, tokens under other secrets, and requests by proxies."""

from __future__ import annotations

import ipaddress

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from wsgi_sessions.sessions.tokens import TokenSigner

from .checks import MachineChecks
from .rules import MOMENTS, PLACES, rule


class JarRules(MachineChecks):
    """What happens to a jar, and how its requests reach the app."""

    @rule()
    def restart(self, which: int) -> None:
        """A browser is closed and opened: it keeps the cookies of remembered sessions alone."""
        browser = self.browsers[which]
        before, session = self._text_in(browser), self._session_in(browser)
        browser.restart()
        if session is not None:
            kept = before if session.is_remembered else None
            assert self._text_in(browser) == kept, self._explain(
                "a session that was remembered lost its cookie"
                if session.is_remembered
                else "a session that was not remembered kept its cookie"
            )

    @rule(
        kind=st.sampled_from(["rubbish", "older", "sibling"]),
        moment=st.sampled_from(["now", "window", "due"]),
    )
    def double_a_cookie(
        self, which: int, worker: int, kind: str, is_first: bool, moment: str
    ) -> None:
        """Two cookies of one name: the other is rubbish, or another token of the session.

        A later generation counts more than an older one; of siblings the stored one counts.
        """
        self._be_signed_in(which)
        self._come_to(which, moment, worker)
        browser = self._browser_at(which, worker)
        held = self._held(browser)
        session = self._reference(held)
        name = self.token_name
        if held is None or session is None:
            return
        other = "rubbish"
        # A browser holds only one cookie with __Host- of a name.
        if kind != "rubbish" and (held.generation or kind == "sibling"):
            if name.startswith("__Host-"):
                return
            generation = held.generation - (kind == "older")
            other = self.bench.factories.token_of(held.text, generation=generation)
        texts = [other, held.text] if is_first else [held.text, other]
        counts = held
        if kind == "sibling" and is_first and session.tell().branch != held.branch:
            found = self.bench.manager.parts.signer.read(other)
            counts = held if found is None else found
        line = "; ".join(f"{name}={text}" for text in texts)
        jar = self.browsers[which] if counts is held else browser.fork()
        if counts is not held:
            self._note_theft(jar)
        self._look(jar, worker, headers={"Cookie": line}, held=counts, is_thief=counts is not held)

    @rule(moment=st.sampled_from(["now", "now", *MOMENTS]))
    def come_with_older_secret(self, which: int, worker: int, moment: str, off_by: int) -> None:
        """A token that was signed by an older secret, or by one that is not in the settings."""
        self._be_signed_in(which)
        self._come_to(which, moment, worker, off_by)
        browser = self._browser_at(which, worker)
        held = self._held(browser)
        if held is None:
            return
        secrets = list(self.config.secret)
        is_known = len(secrets) > 1
        secret = secrets[1] if is_known else "of-others" * 8
        jar = self.browsers[which] if is_known else self.browsers[which].fork()
        text = TokenSigner([secret]).write(held.secret, held.generation, held.branch)
        self._plant(jar, text)
        jar.cookies.discard(self.cache_name)
        self._look(jar, worker)

    @precondition(lambda self: self.is_bound and self.config.trusted_proxies)
    @rule(hops=st.integers(1, 2))
    def come_through_proxy(
        self, which: int, worker: int, place: int, hops: int, lies: bool
    ) -> None:
        """A trusted proxy adds the address of a request to the header that came with it."""
        if any(ipaddress.ip_address(PLACES[place]) in one for one in self.config.trusted_proxies):
            return  # it would count as one more proxy
        self._be_signed_in(which)
        network = self.config.trusted_proxies[0]
        proxies = [str(network[index % network.num_addresses]) for index in (1, 2)]
        session = self._session_in(self.browsers[which])
        hop_addresses = [PLACES[place], *proxies[1:hops]]
        if lies and session is not None and session.bound_to is not None:
            hop_addresses.insert(0, session.bound_to)
        jar = self.browsers[which].fork()
        jar.address = proxies[0]
        headers = {"X-Forwarded-For": ", ".join(hop_addresses)}
        self._look(jar, worker, headers=headers, place=PLACES[place])
        self.browsers[which].cookies = jar.cookies
