"""What ``import wsgi_sessions`` loads beyond its dependencies.

``python -m tests.hot_paths.importing`` imports it for valgrind to count; see ``instructions``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

IMPORT = "import"
DEPENDENCIES = ("peewee", "argon2")
"""What it imports of others."""
DRIVERS = ("psycopg", "psycopg2", "psycopg2cffi", "pymysql", "MySQLdb", "pysqlite3")
"""What Peewee imports if it is there."""

WITHOUT_DRIVERS = f"""
import sys
sys.modules.update(dict.fromkeys({DRIVERS!r}))
import {", ".join(DEPENDENCIES)}
"""
_SHOW_LOADED = f"""{WITHOUT_DRIVERS}
before = set(sys.modules)
import json, wsgi_sessions
json.dump(sorted(sys.modules.keys() - before), sys.stdout)
"""


def loaded_modules() -> list[str]:
    """Return the modules of this package, and others by the first part of their name."""
    done = subprocess.run(
        # Without what files of site-packages import at the start.
        [sys.executable, "-S", "-c", _SHOW_LOADED],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(
        {
            module if module.startswith("wsgi_sessions") else module.partition(".")[0]
            for module in json.loads(done.stdout)
            if not module.startswith("_")  # is of another one, and named otherwise in each Python
        }
    )


def main() -> None:
    from .callgrind import Callgrind

    callgrind = Callgrind()
    exec(WITHOUT_DRIVERS)
    callgrind.start()
    callgrind.zero()
    import wsgi_sessions  # noqa: F401

    callgrind.dump(IMPORT)
    callgrind.stop()


if __name__ == "__main__":
    main()
