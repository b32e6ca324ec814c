"""Loaded by the processes of a Dask cluster that we have started: each ends when the one that started it is gone.

Without it a scheduler whose program was killed would wait for ever. Linux (pidfd); elsewhere it looks every second.
"""

from __future__ import annotations

import os
import select
import threading
import time
from typing import Any


def dask_setup(service: Any) -> None:
    """Called by Dask, with the scheduler or the nanny or worker."""
    threading.Thread(target=_watch, args=(os.getppid(),), name="procession-lifeline", daemon=True).start()


def _watch(parent: int) -> None:
    try:
        fd = os.pidfd_open(parent)
    except (AttributeError, OSError):
        while os.getppid() == parent:
            time.sleep(1)
    else:
        if os.getppid() == parent:
            select.select([fd], [], [])
    os._exit(1)


__all__ = ["dask_setup"]
