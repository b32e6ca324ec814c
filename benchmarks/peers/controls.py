"""What the machine itself can do, without a library: the lower limits that some figures are compared with."""

import os
from collections.abc import Sequence
from typing import Any

from benchmarks.peers.base import Peer, Work


class RawPipePeer(Peer):
    """Two processes and two pipes: a byte goes, a byte comes back, with blocking reads and writes and nothing else."""

    name = "raw-pipe"
    title = "one byte through os.pipe and back (control)"
    package = "os"
    measures = frozenset({"roundtrip", "roundtrip_busy"})
    controls = measures

    def open(self, workers: int) -> None:
        theirs, self.outward = os.pipe()
        self.inward, back = os.pipe()
        self.child = os.fork()
        if not self.child:
            os.close(self.outward)
            os.close(self.inward)
            try:
                while byte := os.read(theirs, 1):
                    os.write(back, byte)
            finally:
                os._exit(0)
        os.close(theirs)
        os.close(back)

    def call(self, fn: Work, item: Any) -> Any:
        """The item does not travel; it is the answer if the byte came back."""
        os.write(self.outward, b"x")
        if os.read(self.inward, 1) != b"x":
            raise RuntimeError("the other process is gone")
        return item

    def close(self) -> None:
        os.close(self.outward)
        os.waitpid(self.child, 0)
        os.close(self.inward)


class ForksPeer(Peer):
    """So many forks that share the items out beforehand: work without any dispatch at all."""

    name = "forks"
    title = "forks with a fixed share each (control)"
    package = "os"
    measures = frozenset({"scaling"})
    controls = measures
    workers = 0

    def open(self, workers: int) -> None:
        self.workers = workers

    def map(self, fn: Work, items: Sequence[Any], chunksize: int | None = None) -> list[Any]:
        """Nothing is sent back; the results are the items (as those of `burn` are) if every child ended well."""
        children = [self._fork(fn, items[share :: self.workers]) for share in range(self.workers)]
        if any(os.waitpid(pid, 0)[1] for pid in children):
            raise RuntimeError("a child of the control failed")
        return list(items)

    def _fork(self, fn: Work, items: Sequence[Any]) -> int:
        if pid := os.fork():
            return pid
        status = 1
        try:
            for item in items:
                fn(item)
            status = 0
        finally:
            os._exit(status)


class MemcpyPeer(Peer):
    """A copy within this process, into memory that has been written to before. What it copies is up to the measure."""

    name = "memcpy"
    title = "numpy.copyto into warm memory (control)"
    package = "numpy"
    distribution = "numpy"
    measures = frozenset({"array_64mb", "array_1mb"})
    controls = measures

    def open(self, workers: int) -> None:
        """There is nobody else."""
