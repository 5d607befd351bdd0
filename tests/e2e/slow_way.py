"""A way to a server on which long bodies stick half-way, as on a phone in a train."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

_PASSED_BEFORE_STICKING = 32_768
PATIENCE_SECONDS = 120


class SlowWay:
    """Passes on what comes to ``port``; of ``POST /upload/NAME`` the first 32 KiB, then waits."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._lock = threading.Lock()
        self._may_go_on: dict[str, threading.Event] = {}
        self._sockets: list[socket.socket] = []
        self.stuck: list[str] = []
        """The names of the uploads that have come half-way."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def let_go_on(self, name: str) -> None:
        """Let the rest of an upload through."""
        self._go_on_event(name).set()

    def close(self) -> None:
        # shutdown wakes the threads that wait in accept and recv.
        with self._lock:
            for one in (self._listener, *self._sockets):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def _go_on_event(self, name: str) -> threading.Event:
        with self._lock:
            return self._may_go_on.setdefault(name, threading.Event())

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target_port))
            with self._lock:
                self._sockets += (near, far)
            threading.Thread(target=self._pass_up, args=(near, far), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(far, near), daemon=True).start()

    def _pass_up(self, near: socket.socket, far: socket.socket) -> None:
        """Pass requests on. A client waits for an answer before its next request (RFC 9112)."""
        name, passed = "", 0
        with suppress(OSError):
            while data := near.recv(8192):
                if data.startswith((b"GET /", b"POST /")):
                    method, path, *_ = data.split(b" ", 2)
                    is_upload = method == b"POST" and path.startswith(b"/upload/")
                    name, passed = path.decode().rpartition("/")[2] if is_upload else "", 0
                passed += len(data)
                if name and passed > _PASSED_BEFORE_STICKING:
                    self.stuck.append(name)
                    self._go_on_event(name).wait(PATIENCE_SECONDS)
                    name = ""
                far.sendall(data)
        with suppress(OSError):
            far.shutdown(socket.SHUT_WR)

    @staticmethod
    def _pass_on(far: socket.socket, near: socket.socket) -> None:
        with suppress(OSError):
            while data := far.recv(8192):
                near.sendall(data)
            near.shutdown(socket.SHUT_WR)
