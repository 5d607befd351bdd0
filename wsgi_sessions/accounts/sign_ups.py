"""Who may sign up: everybody, nobody, or whom the application lets."""

from __future__ import annotations

from ..config.settings import SessionConfig
from ..errors import EmailSignUpDisabledError, SignUpDisabledError, SignUpRefusedError


def check_sign_up(
    config: SessionConfig, *, email: str, name: str, provider: str | None = None
) -> None:
    """Refuse somebody new who may not sign up; ``provider`` is None for a password.

    Raises ``SignUpDisabledError``, or ``SignUpRefusedError`` with the application's words.
    """
    if not config.allow_sign_up:
        raise EmailSignUpDisabledError if provider is None else SignUpDisabledError
    if config.check_sign_up is None:
        return
    words = config.check_sign_up(email=email, name=name, provider=provider)
    if words is None:
        return
    if not isinstance(words, str):
        raise TypeError(
            f"check_sign_up returned {words!r}; it returns None, or why somebody may not sign up"
        )
    raise SignUpRefusedError(words)
