"""A page of memory that a worker shares with its parent: outcomes of a chunk's items, safe from the worker's death.

Layout (little words of 8 bytes, then bytes):

    word 0      generation: counts the batches of outcomes that this page has held
    word 1      count: outcomes of this generation that are complete
    word 2      what they are outcomes of (a mode of `frames`)
    word 3      which item has been asked to end by itself: its generation and its place in it, see `place`
    word 4      the worker has printed or noted something since the parent looked last
    word 5      the worker is to write down when it runs each item (timesheet.py)
    words 6..   for each outcome: its kind (2 bits), its end in the data area (18 bits), and if it is a small integer,
                which takes nothing there, its value (44 bits)
    then        the data area

Behind the page, which is mapped, the same file has the worker's time sheet (timesheet.py), and behind that it takes
what faulthandler writes in the worker: the Python stacks when it crashes, or when it is told to show them. The worker
writes where the file's offset stands, which both sides share.

The worker writes an outcome's bytes, then its end, then the count: whatever instruction it is killed at, the outcomes
below the count are whole. A batch ends when the worker sends all of it through the pipe; only then, and after the frame
is written, does the next generation begin: a batch is in the page, or in the pipe, or in both, never in neither.

The parent reads a page while the worker writes (to hand over what a long item holds back): it takes the generation,
the count and the bytes, and then looks whether the generation is still the same. That a store is seen in the order in
which it was made holds on x86-64 by the processor's rules; elsewhere it rests on what the interpreter does between two
stores. After a death nothing is concurrent.
"""

from __future__ import annotations

import mmap
import os

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable

SLOTS = 4096
PAGE_SIZE = 1 << 18
TIMES_AT = PAGE_SIZE
TIMES_SIZE = (1 << 20) + 4096
STACKS_AT = TIMES_AT + TIMES_SIZE
GENERATION, COUNT, MODE, ASKED, SPOKE, TIMED, ENDS = range(7)  # words; ENDS is the first of many
DATA_AT = 8 * (ENDS + SLOTS)
CAPACITY = PAGE_SIZE - DATA_AT
MOST_STACKS = 1 << 18
"""Bytes of what is written behind the page that are ever looked at."""

MARSHALLED = 0
VALUE = 1
ERROR = 2
INTEGER = 3

VALUE_SHIFT = 20
END_MASK = (1 << VALUE_SHIFT - 2) - 1
LEAST, MOST = -1 << 43, (1 << 43) - 1
"""The integers that a word holds."""


def create() -> int:
    """A new page; returns its descriptor. It has no name: there is nothing that could stay."""
    fd = os.memfd_create("procession-page", os.MFD_CLOEXEC)
    rewind(fd)
    return fd


def rewind(fd: int) -> None:
    """What is written behind the page from now on is all there is."""
    os.ftruncate(fd, STACKS_AT)
    os.lseek(fd, STACKS_AT, os.SEEK_SET)


def stacks(fd: int) -> str:
    """What has been written behind the page."""
    size = min(os.fstat(fd).st_size - STACKS_AT, MOST_STACKS)
    return os.pread(fd, size, STACKS_AT).decode("utf-8", "replace") if size > 0 else ""


class OutcomePage:
    """Either side's view of a page."""

    __slots__ = ("_mmap", "_whole", "data", "sent", "showing", "words")

    def __init__(self, fd: int) -> None:
        self.showing = False  # parent: what was spoken of is being shown
        self.sent = True  # worker: this generation has gone through the pipe
        self._mmap = mmap.mmap(fd, PAGE_SIZE)
        self._whole = memoryview(self._mmap)
        self.words = self._whole[:DATA_AT].cast("q")
        self.data = self._whole[DATA_AT:]

    def begin(self, mode: int) -> int:
        """Worker: the next generation, empty; returns its number.

        One that ended without an outcome, because its items were taken back, was never sent and is used again: the
        parent looks for the one after the last that it was sent.
        """
        words = self.words
        words[COUNT] = 0
        words[MODE] = mode
        if self.sent:
            self.sent = False
            words[GENERATION] += 1
        return words[GENERATION]

    def place(self) -> int:
        """The item that the worker is at, or comes to next: one number, never the same for two."""
        return self.words[GENERATION] << 16 | self.words[COUNT] + 1

    def ask(self) -> None:
        """Parent: let the item that the worker is at know that it is to end."""
        self.words[ASKED] = self.place()

    def asked(self) -> bool:
        """Worker: is the item that it is at to end?"""
        return self.words[ASKED] == self.place()

    def speak(self) -> None:
        """Worker: something was printed, or noted, and lies in its pipe; before the outcome of what did."""
        self.words[SPOKE] = 1

    def spoke(self) -> bool:
        """Parent, before it tells outcomes: is there something to be shown first? From here on it is said anew."""
        words = self.words
        if not words[SPOKE]:
            return False
        words[SPOKE] = 0
        return True

    def show_first(self, show: Callable[[], object]) -> None:
        """Parent: `show()`, if the worker has spoken. Who looks for outcomes by himself waits for that: `showing`."""
        self.showing = True
        try:
            if self.spoke():
                show()
        finally:
            self.showing = False

    def time(self, on: bool) -> None:
        """Parent: let the worker write down when it runs each item, or not."""
        self.words[TIMED] = on

    def upcoming(self) -> int:
        """Parent, while the worker idles: the generation of its next batch. One that is empty will be used again."""
        generation = self.words[GENERATION]
        return generation if generation and not self.words[COUNT] else generation + 1

    def outcomes(self, generation: int, skip: int) -> tuple[int, list[tuple[int, bytes | int]]]:
        """Parent: the mode and the complete outcomes of this generation after the first `skip`: kinds, and their bytes
        or the integer itself.

        None of them when it is another generation's time.
        """
        words = self.words
        if words[GENERATION] != generation:
            return 0, []
        found: list[tuple[int, bytes | int]] = []
        for index in range(skip, words[COUNT]):
            start = words[ENDS + index - 1] >> 2 & END_MASK if index else 0
            word = words[ENDS + index]
            if word & 3 == INTEGER:
                found.append((INTEGER, word >> VALUE_SHIFT))
            else:
                found.append((word & 3, bytes(self.data[start : word >> 2])))
        mode = words[MODE]
        return (mode, found) if words[GENERATION] == generation else (0, [])

    def close(self) -> None:
        """Give the memory back."""
        self.words.release()
        self.data.release()
        self._whole.release()
        try:
            self._mmap.close()
        except BufferError:
            pass  # a caller is just reading an outcome: the collector does it
