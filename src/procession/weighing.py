"""What a result weighs: about how many bytes of memory are let go when it is.

An estimate, for bounds (`buffer_bytes=`). Exact for bytes, text, NumPy arrays and what else tells its bytes itself;
for lists, dicts and objects what they hold is added up; of a long list or tuple, some are weighed for all. What an
extension keeps outside of Python's sight weighs nothing here.

Laws
1. It raises nothing, and calls no method of a user's class but `__sizeof__`.
2. It looks at `MOST` objects at most. What is shared within one result counts once; classes, modules and functions,
   which are nobody's own, do not count.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType, TracebackType
from typing import Any

MOST = 10_000
"""Objects that are looked at."""
SAMPLE = 500
"""Of a longer list or tuple so many are weighed, evenly spread, for all."""
FAILURE = 1024
"""What an exception counts for, with its traceback."""

_PLAIN = (int, float, bool, type(None), bytes, str, bytearray)
_NOT_OWN = (type, ModuleType, FunctionType, BuiltinFunctionType, CodeType, FrameType, TracebackType)


def _nbytes(value: Any) -> int:
    return int(value.nbytes)


def _frame(value: Any) -> int:
    used = value.memory_usage(index=True)
    return int(used if isinstance(used, int) else used.sum())


def _image(value: Any) -> int:
    return int(value.width * value.height * len(value.getbands()))


_TELLS: dict[tuple[str, str], Callable[[Any], int]] = {
    ("numpy", "ndarray"): _nbytes,
    ("numpy", "generic"): _nbytes,
    ("torch", "Tensor"): lambda value: int(value.numel() * value.element_size()),
    ("pyarrow", "_Tabular"): _nbytes,
    ("pyarrow", "Array"): _nbytes,
    ("pyarrow", "ChunkedArray"): _nbytes,
    ("pyarrow", "Buffer"): lambda value: int(value.size),
    ("pandas", "DataFrame"): _frame,
    ("pandas", "Series"): _frame,
    ("pandas", "Index"): _nbytes,
    ("polars", "DataFrame"): lambda value: int(value.estimated_size()),
    ("polars", "Series"): lambda value: int(value.estimated_size()),
    ("xarray", "Dataset"): _nbytes,
    ("xarray", "DataArray"): _nbytes,
    ("PIL", "Image"): _image,
    ("procession", "Sealed"): lambda value: int(value.weight),
}
"""Those that tell their bytes themselves: package and class, by which a subclass is known, too."""


def weigh(value: Any) -> int:
    """About how many bytes `value` takes."""
    kind = type(value)
    return sys.getsizeof(value) if kind in _PLAIN else _Scale().weigh(value)


class _Scale:
    """One weighing."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._left = MOST

    def weigh(self, value: Any) -> int:
        """See `weigh`."""
        total = 0
        todo = [value]
        while todo and self._left > 0:
            each = todo.pop()
            if issubclass(type(each), _NOT_OWN) or id(each) in self._seen:
                continue
            self._seen.add(id(each))
            self._left -= 1
            own = _told(each)
            if own is not None:
                total += own
                continue
            total += _sizeof(each)
            if type(each) in (list, tuple) and len(each) > SAMPLE:
                total += self._sampled(each)
            elif gc.is_tracked(each):
                todo += gc.get_referents(each)
            elif type(each) is tuple:  # not tracked: what it holds cannot be in a cycle
                todo += each
            elif type(each) is dict:
                todo += [*each, *each.values()]
        return total

    def _sampled(self, items: list[Any] | tuple[Any, ...]) -> int:
        sample = items[:: len(items) // SAMPLE]
        weight = 0
        for each in sample:
            weight += self.weigh(each)
        return weight * len(items) // len(sample)


def _told(value: Any) -> int | None:
    """What it says itself."""
    for kind in type(value).__mro__:
        tells = _TELLS.get((kind.__module__.partition(".")[0], kind.__name__))
        if tells is not None:
            try:
                return tells(value)
            except Exception:
                return None
    if issubclass(type(value), BaseException):
        return FAILURE
    if type(value) is memoryview:
        return value.nbytes
    return None


def _sizeof(value: Any) -> int:
    try:
        return sys.getsizeof(value)
    except Exception:
        return 64
