"""Who someone is, without sessions: passwords, their throttle, and users."""

from __future__ import annotations

from .passwords import PasswordHasher
from .service import AccountService, normalize_email
from .social import SocialAccounts
from .throttle import Throttle

__all__ = ["AccountService", "PasswordHasher", "SocialAccounts", "Throttle", "normalize_email"]
