"""A store in a dict, and argon2 with its work counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

import argon2
import pytest

from wsgi_sessions.accounts.device_cookie import DeviceCookies
from wsgi_sessions.accounts.throttle import Throttle
from wsgi_sessions.config.parts import PasswordConfig, ThrottleConfig
from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.errors import UserAlreadyExistsError
from wsgi_sessions.events import Events
from wsgi_sessions.records import Account, UserRecord
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing.settings import send_nowhere

T = TypeVar("T")

CHEAP = PasswordConfig(time_cost=1, memory_cost_kib=8, parallelism=1)
_SECRET = "a-secret-for-tests-of-32-characters"


def make_config(
    *,
    password: PasswordConfig = CHEAP,
    throttle: ThrottleConfig | None = None,
    require_verified_email: bool = False,
) -> SessionConfig:
    """Return a config whose argon2 is as cheap as it goes."""
    return SessionConfig(
        secret=_SECRET,
        password=password,
        throttle=throttle,
        require_verified_email=require_verified_email,
        site_url="https://app.example.org",
        on_send=send_nowhere,
    )


def make_throttle(store: FakeStore, config: SessionConfig, events: Events) -> Throttle:
    devices = DeviceCookies(config.secret, lifetime_ms=ThrottleConfig().device_lifetime_ms)
    return Throttle(cast(Store, store), config, events, devices)


class FakeUsers(dict[str, UserRecord]):
    """Users by their ids."""

    def find(self, user_id: str) -> UserRecord | None:
        return self.get(user_id)

    def lock(self, user_id: str) -> bool:
        return user_id in self


class FakeAccounts(dict[str, Account]):
    """The account of each user, by the user's id."""

    def __init__(self, users: FakeUsers) -> None:
        self.users = users
        self.before_password_is_set: Callable[[], None] = lambda: None

    def find_credential(self, user_id: str, *, anew: bool = False) -> Account | None:
        return self.get(user_id)

    def find_credential_by_email(
        self, email: str, *, anew: bool = False
    ) -> tuple[UserRecord, Account] | None:
        for user in self.users.values():
            if user.email == email and user.id in self:
                return user, self[user.id]
        return None

    def set_password_hash(
        self, user_id: str, password_hash: str, *, expected_hash: str | None, now_ms: int
    ) -> bool:
        self.before_password_is_set()
        if self[user_id].password_hash != expected_hash:
            return False
        self[user_id] = self[user_id]._replace(password_hash=password_hash)
        return True


class FakeAttempts:
    """The attempts that were noted, as the store keeps them."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, int]] = []
        self.call_count = 0

    def insert(self, attempt_id: str, keys: Sequence[str], *, now_ms: int) -> None:
        self.call_count += 1
        self.rows += [(attempt_id, key, now_ms) for key in keys]

    def delete(self, attempt_id: str) -> None:
        self.call_count += 1
        self.rows = [row for row in self.rows if row[0] != attempt_id]

    def count(
        self, keys: Sequence[str], *, since_ms: int, until_ms: int
    ) -> dict[str, tuple[int, int]]:
        self.call_count += 1
        found: dict[str, tuple[int, int]] = {}
        for _, key, at_ms in self.rows:
            if key in keys and since_ms < at_ms <= until_ms:
                count, first_ms = found.get(key, (0, at_ms))
                found[key] = (count + 1, min(first_ms, at_ms))
        return found


class FakeStore:
    """Users, accounts and attempts in memory."""

    is_within_app_transaction = False
    is_lagging = False

    def __init__(self) -> None:
        self.users = FakeUsers()
        self.accounts = FakeAccounts(self.users)
        self.attempts = FakeAttempts()

    def insert_user(self, user: UserRecord, account: Account, *, tell: None) -> UserRecord:
        if any(known.email == user.email for known in self.users.values()):
            raise UserAlreadyExistsError
        self.users[user.id] = user
        self.accounts[user.id] = account
        return user

    def require_synchronised(self) -> None:
        """Nothing is late here."""

    def atomically(self, work: Callable[[], T], *, is_synchronised: bool = False) -> T:
        self.accounts.before_password_is_set()
        before = [(part, dict(part)) for part in (self.users, self.accounts)]
        try:
            return work()
        except BaseException:
            for part, rows in before:
                part.clear()
                part.update(rows)  # type: ignore[arg-type]
            raise


@dataclass
class Work:
    """How much argon2 was asked to do, as the parameters of each computation."""

    done: list[tuple[str, str]] = field(default_factory=list)

    def clear(self) -> None:
        self.done.clear()


def count_work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """Note every argon2 computation from here on: what kind, and with which parameters."""
    work = Work()
    real_hash, real_verify = argon2.PasswordHasher.hash, argon2.PasswordHasher.verify

    def parameters_of(encoded: str | bytes) -> str:
        text = encoded.decode() if isinstance(encoded, bytes) else encoded
        salt, digest = text.rsplit("$", 2)[1:]
        return f"{text.rsplit('$', 2)[0]} {len(salt)} {len(digest)}"

    def noted_hash(hasher: argon2.PasswordHasher, password: bytes) -> str:
        encoded = real_hash(hasher, password)
        work.done.append(("hash", parameters_of(encoded)))
        return encoded

    def noted_verify(hasher: argon2.PasswordHasher, encoded: str, password: bytes) -> bool:
        work.done.append(("verify", parameters_of(encoded)))
        return real_verify(hasher, encoded, password)

    monkeypatch.setattr(argon2.PasswordHasher, "hash", noted_hash)
    monkeypatch.setattr(argon2.PasswordHasher, "verify", noted_verify)
    return work
