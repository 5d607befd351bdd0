"""``python -m tests.load.in_memory COMMAND``: runs a command with database servers in memory.

They are what the tests find at the usual ports otherwise, with the same settings. Their files, and
all temporary ones, lie in memory, where nobody waits for a disk.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .own_servers import own_server

MEMORY = Path("/dev/shm")
OPTIONS = {
    "postgres": ("-cfsync=on", "-cmax_connections=100", "-cshared_buffers=128MB"),
    "mariadb": (
        "--max-connections=151",
        "--innodb-buffer-pool-size=128M",
        "--character-set-server=utf8mb4",
        "--collation-server=utf8mb4_general_ci",
    ),
}
"""What Debian's servers have, where the tests' own have less."""


def main(command: list[str]) -> int:
    with ExitStack() as stack:
        urls = {}
        for kind, options in OPTIONS.items():
            server = stack.enter_context(own_server(kind, options=options, folder=MEMORY))
            server.renew_database()
            urls[f"WSGI_SESSIONS_TEST_{kind.upper()}"] = server.url()
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ws-", dir=MEMORY))
        # Servers that a test starts run as other accounts, and have temporary files, too.
        Path(folder).chmod(0o1777)
        environment = {**os.environ, **urls, "TMPDIR": folder}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
