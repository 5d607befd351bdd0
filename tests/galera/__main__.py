"""``python -m tests.galera [arguments of pytest]``: every test of MariaDB, on a Galera cluster.

It starts three nodes and HAProxy, and runs what tests a server of MariaDB with each connection at
the next node; ``suite.LEFT_OUT`` says what is left out, and why.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

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
        with subprocess.Popen(command, env=environment) as tests:
            while tests.poll() is None:
                time.sleep(0.5)
                for node in cluster.nodes:
                    if node.has_ended:
                        # MariaDB 10.11 crashes at times where tables come and go.
                        print(f"node {node.number} has ended, and is started:\n{node.log[-6000:]}")
                        cluster.rejoin(node)
            return tests.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
