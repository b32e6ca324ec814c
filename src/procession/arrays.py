"""NumPy arrays in shared memory: `empty`, `zeros` and `array_like`, whose sending copies nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from procession.backends import arenas
from procession.worker import arena as worker

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from procession.transport.arena import Arena

__all__ = ["array_like", "empty", "zeros"]


def empty(shape: int | tuple[int, ...], dtype: DTypeLike = float) -> NDArray[Any]:
    """An array of this shape and type, filled with whatever was there, in memory that the workers can see.

    Sent as an argument, in whole or as a contiguous slice, it travels as a reference, whatever its size. So does one
    that a task has made by this function and returns. **It is shared memory**: after it was sent, one side sees what
    the other writes, there is one copy of it however many tasks get it, and a further run of a task (`retries`) finds
    what the first has written. Its memory is used again when neither side has the array, or a view of it, any more.

    When the arena is full, or there is none (see docs/big-data.md), the array is an ordinary one, and is copied when
    it is sent. Raises ImportError without NumPy (the extra `procession[numpy]`), TypeError for arrays of objects.
    """
    np = _numpy()
    kind = np.dtype(dtype)
    if kind.hasobject:
        raise TypeError(f"an array of {kind} holds Python objects, which cannot lie in shared memory")
    dimensions = (shape,) if isinstance(shape, int) else tuple(shape)
    size = math.prod(dimensions) * kind.itemsize
    lender = _arena()
    view = None if lender is None or size <= 0 else lender.lend(size)
    if view is None:
        made: NDArray[Any] = np.empty(dimensions, kind)
    else:
        made = np.frombuffer(view, np.uint8).view(kind).reshape(dimensions)
    return made


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike = float) -> NDArray[Any]:
    """As `empty`, filled with zeros."""
    made = empty(shape, dtype)
    made.fill(0)
    return made


def array_like(array: ArrayLike) -> NDArray[Any]:
    """A copy of `array`, or of what NumPy makes an array of, in memory that the workers can see; see `empty`."""
    source = _numpy().asarray(array)
    made = empty(source.shape, source.dtype)
    made[...] = source
    return made


def _arena() -> Arena | None:
    """In a task the worker's, elsewhere the process's."""
    own = worker.here.arena()
    return arenas.process_arena() if own is None else own


def _numpy() -> Any:
    try:
        import numpy as np
    except ImportError as error:
        raise ImportError("this needs NumPy: pip install 'procession[numpy]'") from error
    return np
