"""``SeededRandomness``: the same session ids and tokens in every run, for snapshot tests.

For tests alone: whoever knows the seed knows every secret.
"""

from __future__ import annotations

import random
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any

from wsgi_sessions.sessions import tokens

if TYPE_CHECKING:
    from typing_extensions import Self


class SeededRandomness:
    """Makes everything in ``wsgi_sessions`` draw from a seed, until the block ends.

    >>> from wsgi_sessions_testing import Bench
    >>> def id_of_a_sign_in():
    ...     with SeededRandomness(seed=1), Bench(None) as bench:
    ...         return bench.new_browser().sign_in("ada@example.org").id
    >>> id_of_a_sign_in() == id_of_a_sign_in()
    True
    """

    def __init__(self, seed: int | str = 0) -> None:
        self._random = random.Random(seed)
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        module: Any = tokens
        self._before.append(module.secrets)
        module.secrets = self
        return self

    def __exit__(self, *_: object) -> None:
        module: Any = tokens
        module.secrets = self._before.pop()

    def token_bytes(self, count: int) -> bytes:
        """Return that many bytes, as ``secrets.token_bytes`` does."""
        return self._random.randbytes(count)

    def token_urlsafe(self, count: int) -> str:
        """Return that many bytes as base64url without padding, as ``secrets`` does."""
        return urlsafe_b64encode(self.token_bytes(count)).rstrip(b"=").decode()
