"""Hands mails to the application's ``on_send``, a moment after the answer, in threads of its own.

An answer must not take longer where somebody has the address that was given: a mail that is not
sent takes the same way as one that is. Where no thread would run, a mail is sent at once.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from functools import partial
from typing import TYPE_CHECKING

from ..clock import monotonic_ms
from ..config.settings import OnSend
from ..events import Events
from ..fork_safety import notice_fork, renew_locks_in_child
from ..records import MailKind, UserRecord
from ..sessions.session import User

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

logger = logging.getLogger("wsgi_sessions")

_THREADS = 4
_DELAY_MS = 100
"""Until then the answer is on its way, which the work of a mail would hold up."""


class Mailer:
    def __init__(self, on_send: OnSend | None, events: Events) -> None:
        self.on_send = on_send
        self._events = events
        if on_send is not None and not _threads_run():
            from ..log_fields import log_fields

            logger.warning(
                "uWSGI runs no threads here, so on_send is called within the request, and how long "
                "an answer takes tells who has an account; set enable-threads = true in uWSGI",
                extra=log_fields("setting_note"),
            )
        self.renew_locks()
        renew_locks_in_child(self)

    def renew_locks(self) -> None:
        """Leave the threads to the parent: a forked child has none of them."""
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._is_flushed = threading.Event()

    @property
    def can_send(self) -> bool:
        return self.on_send is not None

    def send(
        self,
        kind: MailKind,
        user: UserRecord | None,
        *,
        url: str | None = None,
        token: str | None = None,
    ) -> None:
        """Have a mail sent to a user's address; for None to nobody, with the same work.

        A user of the application's own model may have no address.
        """
        if self.on_send is None:
            return
        user = user if user is not None and user.email else None
        send = None if user is None else partial(self.on_send, kind, User(user), url, token)
        if not _threads_run():
            self._send(kind, user, send)
            return
        notice_fork()
        with self._lock:
            if self._threads is None:
                # Most processes that import this send no mail.
                from concurrent.futures import ThreadPoolExecutor

                self._threads = ThreadPoolExecutor(_THREADS, "wsgi-sessions-mail")
                self._is_flushed = threading.Event()
            due_ms = monotonic_ms() + _DELAY_MS
            self._threads.submit(self._send_when_due, kind, user, send, due_ms, self._is_flushed)

    def flush(self) -> None:
        """Send what waits, now, and return when all is sent."""
        notice_fork()
        with self._lock:
            threads, self._threads = self._threads, None
            self._is_flushed.set()
        if threads is not None:
            threads.shutdown()

    def _send_when_due(
        self,
        kind: MailKind,
        user: UserRecord | None,
        send: partial[object] | None,
        due_ms: int,
        is_flushed: threading.Event,
    ) -> None:
        is_flushed.wait(max(0, due_ms - monotonic_ms()) / 1000)
        self._send(kind, user, send)

    def _send(self, kind: MailKind, user: UserRecord | None, send: partial[object] | None) -> None:
        if user is None or send is None:
            return
        try:
            send()
        except BaseException as error:  # a time limit of gevent's is no Exception
            name = type(error).__name__
            # Not the exception's own text, which may hold the address or the link.
            frames = "".join(traceback.format_tb(error.__traceback__))
            details = {"kind": kind, "error": name}
            from ..log_fields import log_fields

            logger.error(
                "on_send raised %s for a mail of the kind %s:\n%s",
                name,
                kind,
                frames,
                extra=log_fields("on_send_failed", user_id=user.id, details=details),
            )
            self._events.emit("mail_failed", user_id=user.id, details=details)
            if not isinstance(error, Exception):
                raise


def _threads_run() -> bool:
    """Return whether a thread runs while no request does.

    It does not in uWSGI before 2.0.27 without ``enable-threads``, and a mail that waits at the end
    of such a process is lost.
    """
    # Only uWSGI itself has this module.
    return bool(getattr(sys.modules.get("uwsgi"), "has_threads", True))


def print_mail(kind: MailKind, user: User, url: str | None, _token: str | None) -> None:
    """Print a mail in place of sending it: an ``on_send`` for development alone."""
    link = "" if url is None else f" {url}"
    sys.stdout.write(f"Mail to {user.email}: {kind}{link}\n")
    sys.stdout.flush()
