"""``python -m tests.galera [arguments of pytest]``: every test of MariaDB, on a Galera cluster.

It starts three nodes and HAProxy, and runs what tests a server of MariaDB with each connection at
the next node; ``suite.LEFT_OUT`` says what is left out, and why.
"""

from __future__ import annotations

import os
import subprocess
import sys

from .cluster import running_cluster


def main(arguments: list[str]) -> int:
    """Run the tests, and return pytest's exit code."""
    with running_cluster() as cluster:
        environment = {
            **os.environ,
            "WSGI_SESSIONS_TEST_MARIADB": cluster.url("test"),
            "WSGI_SESSIONS_TEST_MARIADB_NODES": " ".join(
                node.url("test") for node in cluster.nodes
            ),
        }
        command = [sys.executable, "-m", "pytest", "-p", "tests.galera.suite", *arguments]
        code = subprocess.run(command, env=environment, check=False).returncode
        for node in cluster.nodes:
            if node.has_ended:
                print(f"node {node.number} has ended by itself:\n{node.log[-4000:]}")
                code = code or 1
        return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
