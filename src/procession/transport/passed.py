"""In a worker: what another worker has made and the parent has passed on without opening it (sealed.py).

The block lies in an arena that this worker was not given: it is mapped when it is first needed, by its name under the
parent's descriptors in /proc, where whoever runs as the same user finds it (Linux). Who does not, for what reason ever,
raises OutOfReach, and the parent opens the result and sends it by its own arena.

Laws
1. **What is mapped is what was meant**: the file is looked at before it is opened, and has the key that was told. The
   parent keeps its descriptor as long as the task may have to look there; when that was cancelled meanwhile, the number
   may be another file's, which is not touched.
2. **No descriptor is kept**: a task that forks, or starts a program, hands none on.
3. **A mapping is kept as long as its arena is in use** (lending.py, law 4), for its pages are warm; after that as long
   as something looks into it. What is not in use any more is found before another one is mapped, and when the worker
   idles.
"""

from __future__ import annotations

import os

from procession.transport import aside
from procession.transport.arena import Inlet, Segment
from procession.transport.remote import OutOfReach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_O_PATH = getattr(os, "O_PATH", 0)


def passed(about: tuple[int, int, str, int], private: bool, stream: Any, places: Any, parts: Any) -> Any:
    """What was sealed; called by a pickle. `about`: the key of the parent's arena; the key, the place and the home of
    the arena in which it lies."""
    return aside.load(_inlet(*about), private, stream, places, parts)


def _inlet(parents: int, key: int, where: str, home: int) -> Inlet:
    found = aside.lenders.get(key)
    if found is not None:
        return found[0]
    purge()
    try:
        below = aside.inlet_of(parents)
        segment = _reached(key, where)
    except (KeyError, OSError, ImportError) as error:
        raise OutOfReach(f"{where}: {type(error).__name__}: {error}") from error
    inlet = below.beside(segment)
    aside.lenders[key] = inlet, below, home
    return inlet


def _reached(key: int, where: str) -> Segment:
    """The arena there, mapped. Raises OSError."""
    if not _O_PATH:
        raise OSError(f"no way to look at {where} without opening it")
    seen = os.open(where, _O_PATH | os.O_CLOEXEC)
    try:
        if os.fstat(seen).st_ino != key:
            raise OSError(f"{where} is something else by now")
        fd = os.open(f"/proc/self/fd/{seen}", os.O_RDWR | os.O_CLOEXEC)
    finally:
        os.close(seen)
    try:
        segment = Segment(fd)
        assert segment.memory is not None
        segment.fd = -1
    finally:
        os.close(fd)
    return segment


def purge() -> None:
    """Let go of arenas that are not in use any more; what looks into one keeps its mapping."""
    for key, (_, below, home) in list(aside.lenders.items()):
        if below.words(home) != key:
            del aside.lenders[key]


# ------------------------------------------------------------------------------------ arrays that came without a pickle


def array(letter: str, shape: tuple[int, ...], data: bytes, is_scalar: bool) -> Any:
    """One of NumPy's own, with memory of its own; or a scalar."""
    made = array_in(letter, shape, data)
    return made[()] if is_scalar else made.copy()


def array_in(letter: str, shape: tuple[int, ...], memory: Any) -> Any:
    """One that lies in this memory."""
    import numpy

    return numpy.ndarray(shape, letter, memory)


__all__ = ["array", "array_in", "passed", "purge"]
