"""Both ends of a worker's rings in one process: what a parent sends is run here, and what comes of it is taken."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from procession._native import native
from procession.backends.tasks import CallFuture, ChunkTask
from procession.core.policy import Profile

VALUE, ERROR = 1, 2


def nowhere(_raw: memoryview) -> None:
    """There is no arena for large arrays."""


class Function:
    """What the parent's end needs of a function's entry."""

    def __init__(self, id: int = 1) -> None:
        self.id = id
        self.name = "f"
        self.profile = Profile()


class Run:
    """What it needs of a run of items."""

    rules = None
    cancelled = False

    def __init__(self, function: Function, whole: bool) -> None:
        self.function = function
        self.whole = whole


class Ends:
    """A parent's and a worker's end, and the two pipes between them, which are lists here."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("test-ring")
        self.known: set[int] = set()
        self.parent = native.ParentRing(self.fd, 7, self.known)
        self.results: list[tuple[int, bytes]] = []
        self.resting = bytearray(1)
        self.rested = self.asked = 0
        self.sheet: bytearray | None = None
        self.worker = native.WorkerRing(
            self.fd, lambda kind, data: self.results.append((kind, data)), self.resting, self.rest, self.wanted
        )
        self.tasks: deque[bytes] = deque()
        self.defined: list[Any] = []
        self.place: Callable[[memoryview], int | None] = nowhere

    def wanted(self) -> None:
        """The worker asks for the sheet on which it is to write when it runs what."""
        self.asked += 1
        if self.sheet is not None:
            self.worker.times(self.sheet)

    def rest(self) -> None:
        self.rested += 1
        self.resting[0] = 0

    def close(self) -> None:
        self.parent.close()
        os.close(self.fd)

    def __enter__(self) -> Ends:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- the parent ----------------------------------------------------------------------------------------------

    def define(self, function: Function) -> bytes:
        self.defined.append(function)
        return b"definition"

    def send(self, tasks: Sequence[Any]) -> object:
        sent = self.parent.send(tasks, sum(task.size for task in tasks), self.define)
        if isinstance(sent, bytes):
            self.tasks.append(sent)
        return sent

    def taken(self, merged: bool = False) -> list[tuple[Any, ...]]:
        """What `take` tells, with what came through the pipe in its place, and times left out."""
        told: list[tuple[Any, ...]] = []
        while True:
            told += self.parent.take(merged)
            if not told or told[-1] != (-2,):
                return [each[:3] if each[0] == -1 else each for each in told]
            kind, data = self.results.pop(0)
            while kind == 22:  # a bell that was rung before
                kind, data = self.results.pop(0)
            assert kind == 23
            mode, outcome = native.unpiped(data)
            told[-1] = (mode, [outcome], True)

    # -- the worker ----------------------------------------------------------------------------------------------

    def records(self) -> Iterator[tuple[Any, ...]]:
        """What the worker is told, as long as there is something."""
        while self.worker.pending():
            told = self.worker.wait(-1)
            if told[0] == native.PIPED:
                self.worker.load(self.tasks.popleft())
            else:
                yield told

    def serve(self, *hands: Callable[..., Any]) -> None:
        """Run all there is."""
        for told in self.records():
            if told[0] == native.GROUP:
                self.run(*hands)

    def run(
        self,
        plain: Callable[..., Any],
        encoded: Callable[[bytes], Any] = bytes.upper,
        encode_result: Callable[[Any], bytes] = lambda value: repr(value).encode(),
        encode_error: Callable[[BaseException], bytes] = lambda error: repr(error).encode(),
    ) -> None:
        self.worker.run(plain, encoded, encode_result, encode_error, self.place, bytearray(1))


def calls(function: Function, *bodies: Any) -> list[CallFuture[Any]]:
    return [CallFuture(function, body) for body in bodies]


def chunk(function: Function, items: list[Any], whole: bool = True) -> ChunkTask:
    return ChunkTask(Run(function, whole), 0, items, 0, len(items))
