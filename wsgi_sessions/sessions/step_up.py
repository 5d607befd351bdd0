"""Step-ups: who was signed in has proven again who they are, as the ``session_fresh`` cookie says.

The session and its token stay as they are: every answer that replaced the token would meet
those that are under way, and sign honest browsers out.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from dataclasses import field
from hashlib import sha256

from ..config.settings import SessionConfig
from ..light_dataclasses import dataclass
from ..records import RequestFacts, refuse_to_pickle
from .places import Place, place_of
from .signing import KeyRing

_DIGEST_BYTES = 9
_TEXT = r"v1\.([0-9]{1,15})\.([A-Za-z0-9_-]{12})\.([A-Za-z0-9_-]{12})\.([A-Za-z0-9_-]{32})"


@dataclass(frozen=True, slots=True)
class StepUp:
    """When somebody proved again who they are, and what their browser is to show for it.

    ``token`` gives nothing without the session's own, so give it to that browser alone.
    """

    session_id: str
    at_ms: int
    token: str = field(repr=False)

    __reduce__ = refuse_to_pickle


class StepUpSigner:
    """Writes and reads ``v1.<instant>.<network>.<browser>.<signature>``.

    The signature is over the session's id, too, so the text is void beside any other session.
    Network and browser are digests: where it was made it is good, and not elsewhere.
    """

    def __init__(self, config: SessionConfig) -> None:
        self._config = config
        self._ring = KeyRing(config.secret, "step-up v1")

    def write(self, session_id: str, *, at_ms: int, facts: RequestFacts) -> StepUp:
        network, browser = place_of(facts, config=self._config)
        parts = (str(at_ms), _digest(session_id, network), _digest(session_id, browser))
        text = ".".join(("v1", *parts, self._ring.sign_as_text(_signed(session_id, *parts))))
        return StepUp(session_id, at_ms, text)

    def read(
        self, texts: Iterable[str], *, session_id: str, facts: RequestFacts | None
    ) -> Iterator[int]:
        """Yield the instants of the step-ups in a session that count where a request comes from.

        ``facts`` is None where nothing tells that. Any texts may be given.
        """
        for text in texts:
            match = re.fullmatch(_TEXT, text)
            if match is None:
                continue
            *parts, signature = match.groups()
            if not self._ring.has_signed(_signed(session_id, *parts), signature):
                continue
            home = Place(*(_known(session_id, digest) for digest in parts[1:]))
            if self._is_good_at(session_id, home, facts):
                yield int(parts[0])

    def _is_good_at(self, session_id: str, home: Place, facts: RequestFacts | None) -> bool:
        if facts is None or self._config.fresh_elsewhere:
            return True
        here = place_of(facts, config=self._config)
        return not Place(*(_digest(session_id, name) for name in here)).is_elsewhere_than(home)


def _signed(session_id: str, *parts: str) -> bytes:
    return ".".join((session_id, *parts)).encode()


def _digest(session_id: str, name: str) -> str:
    """Return a digest of a network or browser, another one in every session."""
    digest = sha256(f"{session_id} {name}".encode("utf-8", "replace")).digest()
    return urlsafe_b64encode(digest[:_DIGEST_BYTES]).decode()


def _known(session_id: str, digest: str) -> str:
    """Return the digest, or "" if it is that of what is not known."""
    return "" if digest == _digest(session_id, "") else digest
