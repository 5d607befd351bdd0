"""``Mailbox``: the mails that an application sends in a test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from wsgi_sessions.manager import SessionManager
from wsgi_sessions.records import MailKind
from wsgi_sessions.sessions.session import User


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail; ``url`` and ``token`` are None where it holds no link."""

    kind: MailKind
    user: User
    url: str | None = field(repr=False)
    token: str | None = field(repr=False)

    @property
    def to(self) -> str | None:
        """The address it goes to."""
        return self.user.email


class Mailbox:
    """Keeps each mail of a manager, and passes it on to the application's own ``on_send``.

    Reading it first waits until everything is sent.
    """

    def __init__(self, manager: SessionManager) -> None:
        self._mailer = manager.parts.mailer
        self._on_send = on_send = self._mailer.on_send
        self._mails: list[Mail] = []

        def keep(kind: MailKind, user: User, url: str | None, token: str | None) -> None:
            self._mails.append(Mail(kind, user, url, token))
            if on_send is not None:
                on_send(kind, user, url, token)

        # Without one of its own it refuses to mail, in a test as anywhere.
        if on_send is not None:
            self._mailer.on_send = keep

    def last(self, kind: MailKind | None = None) -> Mail:
        """Return the last mail, of a kind if one is given; ``AssertionError`` if there is none."""
        found = [mail for mail in self if kind in (None, mail.kind)]
        if found:
            return found[-1]
        if self._on_send is None:
            raise AssertionError("no mail was sent: the setting on_send is not given")
        kinds = ", ".join(mail.kind for mail in self) or "none at all"
        raise AssertionError(f"no mail of the kind {kind!r} was sent; there is {kinds}")

    def clear(self) -> None:
        self._mailer.flush()
        self._mails.clear()

    def __iter__(self) -> Iterator[Mail]:
        self._mailer.flush()
        return iter(tuple(self._mails))

    def __len__(self) -> int:
        self._mailer.flush()
        return len(self._mails)

    def __repr__(self) -> str:
        return f"<Mailbox with {len(self)} mails>"
