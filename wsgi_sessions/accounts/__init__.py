"""Who someone is, knowing no sessions: passwords, their throttle, and users.

Must not import anything above the store.
"""

from __future__ import annotations

from .passwords import PasswordHasher
from .service import AccountService, normalize_email
from .social import SocialAccounts
from .throttle import Throttle

__all__ = ["AccountService", "PasswordHasher", "SocialAccounts", "Throttle", "normalize_email"]
