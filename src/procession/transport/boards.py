"""Boards: texts in memory that a program shares with its workers, written anew when they change, read when one looks.

    bytes 0..7   version: so many times was it written
    then         two slots of `room` bytes: 4 bytes of length, and the text

Version v is in slot v & 1, and is written whole before the version says so. A reader that is overtaken while it reads
sees that by the version, and reads again. The file has no name; there is one for all pools of a program:

    bytes 0..7   the version of the filters that even a worker must know of that has not imported warnings
    then         FILTERS, then LEVELS
"""

from __future__ import annotations

import mmap
import os
from struct import Struct

_WORD, _LENGTH = Struct("<Q"), Struct("<I")


class Board:
    """Where one of them is, and how long its text may be."""

    def __init__(self, at: int, room: int) -> None:
        self.at, self.most = at, room - _LENGTH.size
        self._room = room
        self.end = at + _WORD.size + 2 * room

    def write(self, memory: mmap.mmap, version: int, text: bytes) -> None:
        """Parent: from now on this is the text."""
        at = self.at + _WORD.size + (version & 1) * self._room
        memory[at : at + _LENGTH.size + len(text)] = _LENGTH.pack(len(text)) + text
        memory[self.at : self.at + _WORD.size] = _WORD.pack(version)

    def read(self, memory: mmap.mmap) -> tuple[int, bytes]:
        """Worker: version and text."""
        while True:
            (version,) = _WORD.unpack_from(memory, self.at)
            at = self.at + _WORD.size + (version & 1) * self._room
            (length,) = _LENGTH.unpack_from(memory, at)
            text = memory[at + _LENGTH.size : at + _LENGTH.size + min(length, self.most)]
            if _WORD.unpack_from(memory, self.at)[0] == version:
                return version, text

    def version(self, memory: mmap.mmap) -> memoryview:
        """Worker: its item 0 is the version, now."""
        return memoryview(memory)[self.at : self.at + _WORD.size].cast("Q")


FILTERS = Board(_WORD.size, 1 << 16)
LEVELS = Board(FILTERS.end, 1 << 18)
_SIZE = LEVELS.end


def create() -> int:
    """New boards, empty; returns their descriptor."""
    fd = os.memfd_create("procession-boards", os.MFD_CLOEXEC)
    os.ftruncate(fd, _SIZE)
    return fd


def memory_of(fd: int) -> mmap.mmap:
    """The parent's view."""
    return mmap.mmap(fd, _SIZE)


def view_of(fd: int) -> mmap.mmap:
    """A worker's."""
    return mmap.mmap(fd, _SIZE, prot=mmap.PROT_READ)


def versions(memory: mmap.mmap) -> tuple[int, int]:
    """Those of the two boards."""
    return _WORD.unpack_from(memory, FILTERS.at)[0], _WORD.unpack_from(memory, LEVELS.at)[0]


def text_of(memory: mmap.mmap) -> bytes:
    """All that stands there, for `copy`; may be called while it is written."""
    return b"".join((memory[: _WORD.size], *(_one(memory, board) for board in (FILTERS, LEVELS))))


def _one(memory: mmap.mmap, board: Board) -> bytes:
    version, text = board.read(memory)
    return _WORD.pack(version) + _LENGTH.pack(len(text)) + text


def copy(text: bytes, memory: mmap.mmap) -> None:
    """Write on these boards what stands on others; what workers must know at once is said last."""
    at = _WORD.size
    for board in (FILTERS, LEVELS):
        (version,) = _WORD.unpack_from(text, at)
        (length,) = _LENGTH.unpack_from(text, at + _WORD.size)
        at += _WORD.size + _LENGTH.size
        if version:
            board.write(memory, version, text[at : at + length])
        at += length
    memory[: _WORD.size] = text[: _WORD.size]


def urge(memory: mmap.mmap, version: int) -> None:
    """Parent: every worker must look at this version of the filters."""
    memory[: _WORD.size] = _WORD.pack(version)


__all__ = ["FILTERS", "LEVELS", "Board", "copy", "create", "memory_of", "text_of", "urge", "versions", "view_of"]
