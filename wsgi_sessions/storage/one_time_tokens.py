"""Tokens that work once: kept as digests, each for one purpose, used by compare-and-set."""

from __future__ import annotations

from typing import Any

from ..light_dataclasses import dataclass
from ..records import OneTimeToken
from .driver_errors import IntegrityConflict
from .statements import Runner, compiled_once, slot
from .user_columns import UserColumns


@dataclass(eq=False)
class OneTimeTokenStore:
    _runner: Runner
    _token: Any
    _columns: UserColumns

    def insert(self, token: OneTimeToken) -> bool:
        """Add a token; return False, and change nothing, if its digest is there already."""
        values = dict(token._asdict(), user_id=self._columns.to_key(token.user_id))
        try:
            self._runner.atomically(lambda: self._runner.write(self._insert, **values))
        except IntegrityConflict:
            return False
        return True

    @compiled_once
    def _insert(self) -> Any:
        return self._token.insert({field: slot(name) for name, field in self._fields.items()})

    def insert_or_renew(self, token: OneTimeToken) -> None:
        """Add a token; of two with one digest the instants of the later one are kept."""
        if not self.insert(token):
            values = token._asdict()
            named = ("digest", "purpose", "created_at_ms", "expires_at_ms")
            self._runner.write(self._renew, **{name: values[name] for name in named})

    @compiled_once
    def _renew(self) -> Any:
        token = self._token
        names = ("created_at_ms", "expires_at_ms")
        instants = {self._fields[name]: slot(name) for name in names}
        is_earlier = token.created_at < slot("created_at_ms")
        return token.update(instants).where(self._is_named & is_earlier)

    def find(self, digest: str, *, purpose: str) -> OneTimeToken | None:
        """Return a token of a purpose, also one that was used or has expired."""
        row = self._runner.read_row(self._find, digest=digest, purpose=purpose)
        # Some collations pass over spaces at the end.
        if row is None or (row[0], row[1]) != (digest, purpose):
            return None
        token = OneTimeToken._make(row)
        return token._replace(user_id=self._columns.from_key(token.user_id))

    @compiled_once
    def _find(self) -> Any:
        return self._token.select(*self._fields.values()).where(self._is_named)

    def use(self, digest: str, *, purpose: str, now_ms: int) -> bool:
        """Use a token that is neither used nor expired; tell whether this call did it."""
        if self._runner.write(self._use, digest=digest, purpose=purpose, now=now_ms) > 0:
            return True
        self._runner.connections.require_synchronised()
        return False

    @compiled_once
    def _use(self) -> Any:
        token = self._token
        is_good = token.used_at.is_null() & (token.expires_at > slot("now"))
        return token.update({token.used_at: slot("now")}).where(self._is_named & is_good)

    def use_all_of(self, user_id: Any, *, purpose: str, now_ms: int) -> int:
        """Use up a user's tokens of a purpose, so that none works any more; return how many."""
        wanted = self._columns.key_or_null(user_id)
        return self._runner.write(self._use_all_of, user_id=wanted, purpose=purpose, now=now_ms)

    @compiled_once
    def _use_all_of(self) -> Any:
        token = self._token
        is_theirs = self._columns.is_of_user(token.user_id) & (token.purpose == slot("purpose"))
        unused = is_theirs & token.used_at.is_null()
        return token.update({token.used_at: slot("now")}).where(unused)

    def delete_all_of(self, user_id: Any) -> None:
        self._runner.write(self._delete_all_of, user_id=self._columns.key_or_null(user_id))

    @compiled_once
    def _delete_all_of(self) -> Any:
        return self._token.delete().where(self._columns.is_of_user(self._token.user_id))

    @property
    def _fields(self) -> dict[str, Any]:
        names = OneTimeToken._fields
        return {name: getattr(self._token, name.removesuffix("_ms")) for name in names}

    @property
    def _is_named(self) -> Any:
        return (self._token.digest == slot("digest")) & (self._token.purpose == slot("purpose"))
