"""What one would write by hand with the standard library: the spin-off's opponent, and the map's control."""

import multiprocessing
import os
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.peers.base import Peer, Work

INDEX = struct.Struct("=I")


def _serve(fn: Work, inbox: Any, outbox: Any) -> None:
    """The worker of the hand-written spin-off: strictly one after the other, until the flag (None)."""
    while (item := inbox.get()) is not None:
        outbox.put(fn(item))


class HandwrittenPeer(Peer):
    """A process between two `multiprocessing.Queue`s; and two forks that take item numbers off one pipe."""

    name = "hand-written"
    title = "hand-written multiprocessing.Queue worker / forks at a pipe"
    package = "multiprocessing"
    measures = frozenset({"spinoff_small", "spinoff_large", "map_skewed", "map_mixed"})
    controls = frozenset({"map_skewed", "map_mixed"})

    workers = 0
    process: Any = None

    def open(self, workers: int) -> None:
        self.workers = workers

    def map(self, fn: Work, items: Sequence[Any], chunksize: int | None = None) -> list[Any]:
        """List scheduling one by one with next to no overhead: what this machine can reach at all.

        Nothing is sent back; the children inherit the items, and take their numbers from a pipe that was
        filled beforehand. The results are the items (as those of `burn` are) if every child ended well.
        """
        read_end, write_end = os.pipe()
        os.write(write_end, b"".join(map(INDEX.pack, range(len(items)))))
        os.close(write_end)
        children = [self._fork(fn, items, read_end) for _ in range(self.workers)]
        os.close(read_end)
        if any(os.waitpid(pid, 0)[1] for pid in children):
            raise RuntimeError("a child of the control failed")
        return list(items)

    def _fork(self, fn: Work, items: Sequence[Any], read_end: int) -> int:
        if pid := os.fork():
            return pid
        status = 1
        try:
            while index := os.read(read_end, INDEX.size):
                fn(items[INDEX.unpack(index)[0]])
            status = 0
        finally:
            os._exit(status)

    def open_spinoff(self, fn: Work) -> None:
        self.inbox: Any = multiprocessing.Queue()
        self.outbox: Any = multiprocessing.Queue()
        self.process = multiprocessing.Process(target=_serve, args=(fn, self.inbox, self.outbox))
        self.process.start()
        vars(self).update(put=self.inbox.put)

    def ready(self) -> list[Any]:
        # empty() then get(): cheaper than get_nowait() with its exception, and safe with one consumer.
        got: list[Any] = []
        outbox = self.outbox
        while not outbox.empty():
            got.append(outbox.get())
        return got

    def following(self) -> Iterator[Any]:
        while True:
            yield self.outbox.get()

    def close(self) -> None:
        if self.process is not None:
            self.inbox.put(None)
            self.process.join()
