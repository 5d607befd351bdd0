"""nginx with a configuration of a test's own, in front of what the test serves."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .service import PATIENCE_SECONDS


@contextmanager
def nginx_serving(folder: Path, port: int, servers: str) -> Iterator[None]:
    """Run nginx with these ``server`` blocks, of which one listens on a port of 127.0.0.1."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed; run: apt-get install nginx-light")
    (folder / "nginx.conf").write_text(_config(folder, servers))
    process = subprocess.Popen(
        [nginx, "-c", f"{folder}/nginx.conf", "-e", "stderr"],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        if process.poll() is not None:
            assert process.stderr is not None
            raise AssertionError(process.stderr.read().decode())
        yield
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_SECONDS)


def _config(folder: Path, servers: str) -> str:
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Run as root it would become another user, who can't enter the test's folder.
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""{user} daemon off; pid {folder}/nginx.pid; error_log stderr; events {{}}
http {{
    access_log off;
    {places}
    {servers}
}}
"""
