"""Errors as joblib's users know them."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from procession.errors import PicklingError, WorkerDied


def terminated(error: WorkerDied) -> WorkerDied:
    """The same error, which is joblib's `TerminatedWorkerError` as well, where that can be."""
    try:
        kind: Any = type(error)
        made: WorkerDied = _both(kind)(*error.args)
    except (ImportError, TypeError):
        return error
    made.__dict__.update(error.__dict__)
    return made


@cache
def _both(kind: Any) -> Any:
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    def reduce(self: Any) -> Any:
        return terminated, (kind(*self.args),), self.__dict__

    return type(kind.__name__, (kind, TerminatedWorkerError), {"__module__": kind.__module__, "__reduce__": reduce})


_WHERE = re.compile(r"argument 0: list\[\d+\]\[([012])\](?:\[([^\]]+)\])?(.*)", re.DOTALL)


def unsent(error: PicklingError) -> PicklingError:
    """The same error, which names what cannot be pickled as the user does, not by its place in a batch."""
    found = _WHERE.match(str(error))
    if found is None:
        return error
    part, name, rest = found.groups()
    what = "the function" if part == "0" else "the arguments" if name is None else f"argument {name}"
    return PicklingError(f"Could not pickle the task to send to the workers: {what}{rest}")


__all__ = ["terminated", "unsent"]
