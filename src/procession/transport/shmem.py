"""A memfd in this process's memory, by the C library's own calls.

`mmap.mmap` would keep a descriptor of its own for each mapping (until 3.13), which a forked child would inherit and
nobody could close; and it cannot say "as long as somebody looks at these bytes". So: mmap(2) by ctypes, which is
imported when the first large thing travels, and ctypes arrays that look at the bytes.

Laws
1. A mapping is undone when nothing looks into it any more: whatever looks holds `_Mapped`, which unmaps when it goes.
   The memory itself goes with the last mapping and the last descriptor, in whatever process.
2. Pages are asked for (`back`) before they are touched, and a refusal is an OSError: never a SIGBUS in a memcpy.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_READ_WRITE = 3
_MAP_SHARED = 1
_MADV_REMOVE = 9
_MADV_HUGEPAGE = 14
_MADV_DONTDUMP = 16
_MADV_POPULATE_WRITE = 23
_TYPES = 256  # array types that are kept; ctypes forgets those that nobody keeps

_c: _Calls | None = None


class _Calls:
    """The calls, and the array types by size."""

    def __init__(self) -> None:
        import ctypes

        library = ctypes.CDLL(None, use_errno=True)
        pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        self.errno = ctypes.get_errno
        self.address_of: Any = ctypes.addressof
        self.mmap = library.mmap
        self.mmap.restype, self.mmap.argtypes = pointer, (pointer, size, number, number, number, ctypes.c_long)
        self.munmap = library.munmap
        self.munmap.argtypes = (pointer, size)
        self.madvise = library.madvise
        self.madvise.argtypes = (pointer, size, number)
        self._byte = ctypes.c_ubyte
        self._types: dict[int, Any] = {}

    def array_type(self, size: int) -> Any:
        kind = self._types.get(size)
        if kind is None:
            if len(self._types) >= _TYPES:
                self._types.clear()
            kind = self._types[size] = self._byte * size
        return kind


def _calls() -> _Calls:
    global _c
    if _c is None:
        _c = _Calls()
    return _c


class _Mapped:
    """The life of one mapping."""

    __slots__ = ("_munmap", "address", "size")

    def __init__(self, address: int, size: int, munmap: Any) -> None:
        self.address, self.size, self._munmap = address, size, munmap

    def __del__(self) -> None:
        self._munmap(self.address, self.size)


class Memory:
    """All of a memfd, mapped. Raises OSError, or ImportError where there is no ctypes."""

    __slots__ = ("_calls", "_fd", "_mapped", "bytes")

    def __init__(self, fd: int, size: int) -> None:
        calls = self._calls = _calls()
        address = calls.mmap(None, size, _READ_WRITE, _MAP_SHARED, fd, 0)
        if address is None or address == 2 ** (8 * 8) - 1:
            raise OSError(calls.errno(), "mmap")
        self._fd = fd
        self._mapped = _Mapped(address, size, calls.munmap)
        for advice in (_MADV_HUGEPAGE, _MADV_DONTDUMP):
            calls.madvise(address, size, advice)  # a wish; where the system does not grant it, nothing changes
        self.bytes = memoryview(self.exporter(0, size)).cast("B")

    def exporter(self, offset: int, size: int) -> Any:
        """An object with these bytes as its buffer. What looks at them, by whatever way, keeps it alive."""
        made = self._calls.array_type(size).from_address(self._mapped.address + offset)
        made.mapped = self._mapped
        return made

    def mapping(self) -> tuple[Any, int]:
        """What keeps the mapping, and its address."""
        return self._mapped, self._mapped.address

    def offset_of(self, address: int) -> int:
        """Where in the memfd an address of this process lies; it may be outside."""
        return address - self._mapped.address

    def back(self, offset: int, size: int) -> None:
        """Have memory for these bytes, and their pages mapped. Raises OSError when there is none."""
        os.posix_fallocate(self._fd, offset, size)
        self._calls.madvise(self._mapped.address + offset, size, _MADV_POPULATE_WRITE)  # since Linux 5.14; else later

    def give_back(self, offset: int, size: int) -> None:
        """Let the system have the memory of these bytes, in every process; they are zero when touched again."""
        self._calls.madvise(self._mapped.address + offset, size, _MADV_REMOVE)


__all__ = ["Memory"]
