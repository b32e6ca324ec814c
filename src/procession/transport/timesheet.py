"""The sheet on which a worker writes when it ran each item, while somebody wants to know (`tapping`).

It lies in the file of the worker's page, behind what is mapped of that for outcomes (`page.py`), and takes no memory
before it is written on. Layout, in little words:

    word 0       items that are written down, ever (8 bytes); then nothing, up to HEAD bytes
    then         SLOTS entries of 32 bytes, used in a circle, item number modulo SLOTS:
                 started, ended (8 bytes each, ns of CLOCK_MONOTONIC), and of 4 bytes each: load, dump (ns), out (bytes;
                 what is larger than the most that 4 bytes hold counts as that), number (modulo 2**32)

Laws
1. An item has the number of its outcome: so many outcomes has this worker published before it. The parent counts the
   same when it hears them. So nobody needs to say which item an entry is of.
2. The worker writes `started` and the number before it runs an item, with `ended` 0; the rest, and then word 0, before
   it publishes the outcome. Whoever has the outcome finds the entry whole; of an item that killed its worker the start
   is there.
3. The worker never waits. What the parent has not read in time is written over: a number that is not the one asked for
   says so, and so does word 0, read once more behind the copy.
4. It may become all zero at any time. The worker keeps its own count, so word 0 is right again with the next item; of
   an item that was just being run its number is missing, or its start, and so nothing is known of it.
"""

from __future__ import annotations

import mmap
from array import array

from procession.transport import aside
from procession.transport.page import TIMES_AT, TIMES_SIZE

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

HEAD = 4096
ENTRY = 32
SLOTS = (TIMES_SIZE - HEAD) // ENTRY
MOST = 0xFFFFFFFF


class Columns:
    """What some items in a row have left on the sheet; all zero: nothing is known of that one."""

    __slots__ = ("dump", "ended", "load", "out", "started")

    def __init__(self, raw: bytes, first: int) -> None:
        long, short = array("q", raw), array("I", raw)
        numbers = short[7::8]
        self.started, self.ended = long[0::4], long[1::4]
        self.load, self.dump, self.out = short[4::8], short[5::8], short[6::8]
        if 0 in self.started or list(numbers) != [(first + i) & MOST for i in range(len(numbers))]:
            for i, number in enumerate(numbers):
                if number != (first + i) & MOST or not self.started[i]:
                    self.started[i] = self.ended[i] = self.load[i] = self.dump[i] = self.out[i] = 0


class TimeSheet:
    """Either side's view."""

    def __init__(self, fd: int) -> None:
        self.memory = mmap.mmap(fd, TIMES_SIZE, offset=TIMES_AT)

    def columns(self, first: int, count: int) -> Columns:
        """Parent: of `count` items from number `first` on."""
        kept = min(count, SLOTS)
        missing = count - kept
        raw = self._copy(first + missing, kept)
        written = int.from_bytes(self.memory[:8], "little")
        gone = min(max(0, written + 1 - SLOTS - first), count)  # one more is just being written
        raw = bytes(missing * ENTRY) + raw
        return Columns(bytes(gone * ENTRY) + raw[gone * ENTRY :], first)

    def _copy(self, first: int, count: int) -> bytes:
        at = first % SLOTS
        fits = min(count, SLOTS - at)
        begin = HEAD + at * ENTRY
        raw = self.memory[begin : begin + fits * ENTRY]
        return raw + self.memory[HEAD : HEAD + (count - fits) * ENTRY]

    def clear(self) -> None:
        """Parent: give its memory back, where the system can do that (Linux); law 4."""
        if (remove := getattr(mmap, "MADV_REMOVE", None)) is not None:
            self.memory.madvise(remove)

    def close(self) -> None:
        """Give the mapping back."""
        try:
            self.memory.close()
        except BufferError:
            pass  # somebody looks: the collector does it


class Pen:
    """A worker's hand, where items are run in Python: `began`, then `ended`, perhaps `dumped`."""

    __slots__ = ("_long", "_moved", "_short", "at", "number", "sheet")

    def __init__(self, sheet: TimeSheet, number: int) -> None:
        self.sheet = sheet
        whole = memoryview(sheet.memory)
        self._long, self._short = whole.cast("q"), whole.cast("I")
        self.number = number
        self.at = 0  # of the entry, in bytes
        self._moved = 0

    def began(self, now: int) -> None:
        """The next item is run."""
        self.at = at = HEAD + self.number % SLOTS * ENTRY
        long, short = self._long, self._short
        short[(at >> 2) + 7] = 0 if self.number & MOST else MOST
        long[at >> 3], long[(at >> 3) + 1] = now, 0
        short[(at >> 2) + 4] = short[(at >> 2) + 5] = short[(at >> 2) + 6] = 0
        short[(at >> 2) + 7] = self.number & MOST

    def reads(self, decode: Callable[[Any], Any], body: Any, clock: Callable[[], int]) -> Any:
        """Its arguments, and how long it takes to decode them."""
        began = clock()
        call = decode(body)
        self._short[(self.at >> 2) + 4] = min(clock() - began, MOST)
        return call

    def ended(self, now: int) -> None:
        """It has been run."""
        self._moved = aside.moved[0]
        self._long[(self.at >> 3) + 1] = now
        self.number += 1
        self._long[0] = self.number

    def dumped(self, now: int, out: int) -> None:
        """The outcome of that item, which was not plain, has been encoded just now, as so many bytes."""
        long, short, at = self._long, self._short, self.at
        short[(at >> 2) + 5] = min(max(0, now - long[(at >> 3) + 1]), MOST)
        long[(at >> 3) + 1] = now
        short[(at >> 2) + 6] = min(out + aside.moved[0] - self._moved, MOST)

    def close(self) -> None:
        """Nothing more is written down."""
        self._long.release()
        self._short.release()
        self.sheet.close()


__all__ = ["SLOTS", "Columns", "Pen", "TimeSheet"]
