"""What holds a secret is not written down.

Must not know what the secret is.
"""

from __future__ import annotations

from typing import NoReturn

__all__ = ["refuse_to_pickle"]


def refuse_to_pickle(self: object) -> NoReturn:
    """Stand in a class as ``__reduce__``: pickles end up in caches, queues and crash reports.

    Raises ``TypeError``.
    """
    raise TypeError(
        f"{type(self).__name__} holds a secret, so it can't be pickled; hand on what it was "
        "made from, or the id of a session"
    )
