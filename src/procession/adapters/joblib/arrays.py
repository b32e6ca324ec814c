"""What joblib's memmapping is here: a large array travels to each worker once, and a memmap as its file.

Laws
1. An array that is sent in many tasks of a call is copied once, into shared memory, and is read-only in the tasks. It
   stays there while the array lives and its call lasts; a task that has been submitted keeps what it needs.
2. A memmap of a file that is there arrives as a memmap of that file: what a task writes to it, all see.
3. An array that lies in shared memory already (`procession.empty`) is left as it is.
4. Only what joblib's calls send is treated so, and only in the thread that sends it.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

from procession.adapters.joblib.worker import remap
from procession.transport import handles, parts
from procession.transport.aside import LEAST

if TYPE_CHECKING:
    from procession.transport.pickler import Pickler

_sending = threading.local()


class Sharing:
    """The arrays of one call. Used as a context manager around what sends its tasks.

    pool: whose workers they are for. largest: an array of more bytes is shared; None: none is.
    """

    def __init__(self, pool: Any, largest: int | None) -> None:
        self._pool = pool
        self.largest = None if largest is None else max(largest, LEAST)
        self._shared: dict[int, tuple[weakref.ref[Any], Any]] = {}
        _teach()

    def __enter__(self) -> None:
        _sending.by = self

    def __exit__(self, *exc_info: object) -> None:
        _sending.by = None

    def clear(self) -> None:
        """The call has ended."""
        self._shared.clear()

    def handle(self, array: Any) -> Any:
        """What stands for this array."""
        key, shared = id(array), self._shared
        found = shared.get(key)
        if found is not None and found[0]() is array:
            return found[1]
        import numpy

        _sending.by = None  # what is pickled now is the array itself
        try:
            flags = array.flags
            whole = array if flags.c_contiguous or flags.f_contiguous else numpy.ascontiguousarray(array)
            handle = self._pool.share(whole)
        finally:
            _sending.by = self

        def gone(dead: Any) -> None:
            at = shared.get(key)
            if at is not None and at[0] is dead:
                del shared[key]

        shared[key] = weakref.ref(array, gone), handle
        return handle


def _teach() -> None:
    """Have the pickler ask us about arrays, once there is NumPy."""
    import sys

    numpy: Any = sys.modules.get("numpy")
    if hasattr(numpy, "memmap") and numpy.ndarray not in parts.RARE:
        parts.RARE[numpy.memmap] = _reduce
        parts.RARE[numpy.ndarray] = _reduce


def _reduce(pickler: Pickler, array: Any) -> Any:
    call: Sharing | None = getattr(_sending, "by", None)
    if call is not None and not array.dtype.hasobject:
        found = _mapped(array)
        if found is not None:
            return found
        if call.largest is not None and array.nbytes > call.largest and not _lent(pickler, array):
            return handles.reduce(pickler, call.handle(array))
    return pickler._other(type(array), array)


def _lent(pickler: Pickler, array: Any) -> bool:
    arena = pickler.aside.arena()
    if arena is None or not arena.exports:
        return False
    return arena.lent(_address(array), array.nbytes) is not None


# ---------------------------------------------------------------------------------------------------------- memmaps


def _mapped(array: Any) -> Any:
    """How an array that looks into a file travels; None: it does not, or others would not see the same there."""
    root = _root(array)
    if root is None or not array.size or root.mode == "c" or root.filename is None or not os.path.exists(root.filename):
        return None
    steps = [(count - 1) * stride for count, stride in zip(array.shape, array.strides, strict=True)]
    before = -sum(step for step in steps if step < 0)
    size = before + sum(step for step in steps if step > 0) + array.itemsize
    start = root.offset + _address(array) - _address(root) - before
    mode = "r" if root.mode == "r" or not array.flags.writeable else "r+"
    return remap, (str(root.filename), mode, start, size, before, array.dtype, array.shape, array.strides)


def _root(array: Any) -> Any:
    """The memmap that has opened the file that this shows, or None."""
    import mmap

    import numpy

    base = array.base
    while isinstance(base, numpy.ndarray):
        array, base = base, base.base
    return array if isinstance(base, mmap.mmap) and isinstance(array, numpy.memmap) else None


def _address(array: Any) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


__all__ = ["Sharing"]
