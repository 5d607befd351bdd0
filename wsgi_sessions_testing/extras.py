"""Imports what an optional extra brings, or says which command installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def from_extra(extra: str, package: str, user: str) -> Iterator[None]:
    """Import in the block what an extra brings; without it, say how to install it.

    Raises ``ModuleNotFoundError`` with that command in place of any ``ImportError``. ``user`` is
    what needs the package, ``package`` its name in the index.

    >>> with from_extra("testing", "antigravity-pro", "the flight"):
    ...     import antigravity_pro
    Traceback (most recent call last):
    ...
    ModuleNotFoundError: the flight needs antigravity-pro, which can't be imported (No module \
named 'antigravity_pro'); install it with: pip install "wsgi-sessions[testing]"
    """
    try:
        yield
    except ImportError as error:
        extras = "testing" if extra == "testing" else f"testing,{extra}"
        raise ModuleNotFoundError(
            f"{user} needs {package}, which can't be imported ({error}); install it with: "
            f'pip install "wsgi-sessions[{extras}]"',
            name=error.name,
        ) from None
