"""gunicorn's settings, for several workers that are read as one."""

import os
import shutil
from pathlib import Path
from typing import Any

bind = "127.0.0.1:8000"
workers = 2
worker_class = "gthread"
threads = 8

_folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
# What workers of an earlier run have counted; before the application is loaded.
shutil.rmtree(_folder, ignore_errors=True)
_folder.mkdir(parents=True)


def child_exit(_server: Any, worker: Any) -> None:
    """Have the gauges of a worker that is gone count no more."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)
