"""The fast lane's channel: one worker's rings in place of its token pipe and its page (`_native/README.md`).

The pipes stay, for what is rare or large: READY and the like, frames that do not fit a ring, and the bell that wakes a
driver who sleeps on descriptors.

Order. What is in the pipe and what is in the ring are two streams; four rules put them together:

* until READY has come, the pipe is looked at again after the ring, and what was in the pipe is told first: so
  READY comes before all outcomes;
* a bell is answered by wishing for the next one, and only then by looking at the ring: none is missed;
* what was printed is shown before the outcomes that were published after it: the ring says that something was;
* an outcome that was too large for the ring is whole in the pipe when its place in the ring is published;
* so is what a generator has yielded when the outcome of its turn is: where there are generators, the pipe is read to
  its end after the ring, and told first. If that was a bell, too, the ring is looked at once more, and so on.

Descriptors in the parent, per worker: the task pipe's and the result pipe's, the page (for stacks), the arena of its
results, and the launcher's pidfd.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from procession._native import native
from procession.backends import forksafe
from procession.backends.channel import Channel, definition
from procession.core.task import Task
from procession.transport import frames
from procession.transport.remote import load_error
from procession.types import Raised

_RING = -1  # in place of a frame's kind: what the ring had
_END = -1  # in place of a mode: leases were left behind
_IN_THE_PIPE = (-2,)
_ARRAY = -1  # in place of a kind: what `native` may make, see `_array`


class FastChannel(Channel):
    """Everything that joins the parent to worker `wid`, by way of shared memory."""

    def share(self, opened: list[int]) -> int:
        """See `Channel`."""
        fd = forksafe.adopt(lambda: os.memfd_create("procession-ring", os.MFD_CLOEXEC))
        opened.append(fd)
        self.ring = native.ParentRing(fd, self.wid, self.known)
        self.ring.wants(True)
        if self._codec.keeps:
            self.ring.keeps = True
        self.tally: Any = None  # of leases, if the worker was ever lent: see driver/lane_fast.py
        self.merges = False  # leases of the calls of a lent worker are told together
        self._bells = 0  # read so far
        self._piped: deque[Any] = deque()
        self._frames: list[tuple[int, Any]] = []  # what else the pipe had, not yet told
        self._late: deque[tuple[int, bytes]] = deque()  # frames for which there was no room
        self._is_ready = False
        return fd

    def close_child_ends(self) -> None:
        """See `Channel`."""
        super().close_child_ends()
        forksafe.close(self.child.tokens)

    def close_shared(self) -> None:
        """See `Channel`."""
        self.ring.close()

    # -- to the worker -------------------------------------------------------------------------------------------

    def send(self, number: int, tasks: Iterable[Task], tokens: int) -> bool:
        """See `Channel`."""
        self._send_late()
        return self._pipe(self.ring.send(tasks, tokens, definition))

    def forget(self, entries: Iterable[int]) -> bool:
        """See `Channel`."""
        gone = [entry for entry in entries if entry in self.known]
        if not gone:
            return True
        self.known.difference_update(gone)
        return self._send_frame(frames.FORGET, b"".join(map(frames.ENTRY_ID.pack, gone)))

    def stop(self) -> bool:
        """See `Channel`."""
        return self._send_frame(frames.STOP, b"")

    def _send_frame(self, kind: int, payload: bytes) -> bool:
        self._late.append((kind, payload))
        return self._send_late()

    def _send_late(self) -> bool:
        done = True
        while self._late:
            sent = self.ring.frame(*self._late[0])
            if sent is False:
                break  # the ring is full of leases: there is more to be heard of this worker, and then room
            self._late.popleft()
            done = self._pipe(sent)
        return done

    def _pipe(self, records: bytes | None) -> bool:
        """What is too large for the ring, and has its place there."""
        return records is None or self._writer.write(frames.frame(frames.PIPED, records))

    def withdraw(self) -> int:
        """See `Channel`."""
        count: int = self.ring.withdraw()
        return count

    def ask(self) -> None:
        """See `Channel`."""
        self.ring.ask()

    def time(self, on: bool) -> None:
        """See `Channel`."""
        self.ring.time(on)

    # -- from the worker -----------------------------------------------------------------------------------------

    def read(self) -> list[tuple[int, Any]]:
        """See `Channel`: what is in the ring, and one read of the pipe."""
        self._read_pipe()
        happened = self._read_ring()
        while not self._is_ready or (happened and self._hears.streaming):
            bells, before = self._bells, len(happened)
            self._read_pipe_to_its_end()
            if bells == self._bells:
                break
            happened += self._read_ring()  # for a bell that was read meanwhile; nobody will ring it again
            if before == len(happened):
                break
        if self._late:
            self._send_late()  # what was heard may have made room
        received, self._frames = self._frames, []
        return received + [(_RING, each) for each in happened]

    def _read_pipe(self) -> None:
        for kind, payload in super().read():
            if kind == frames.PIPED:
                self._piped.append(payload)
            elif kind == frames.BELL:
                self._bells += 1
                self.ring.wants(not self.ring.hot)
            else:
                self._is_ready = self._is_ready or kind == frames.READY
                self._frames.append((kind, payload))

    def _read_pipe_to_its_end(self) -> None:
        """All that was there when this began."""
        before = -1
        while before != self._reader.received:
            before = self._reader.received
            self._read_pipe()

    def _read_ring(self) -> list[tuple[Any, ...]]:
        happened: list[tuple[Any, ...]] = []
        while True:
            happened += self.ring.take(self.merges)
            if self.ring.will_show():
                self._hears.show_output()
                self.ring.showing = False
            if not happened or happened[-1] != _IN_THE_PIPE:
                return happened
            happened[-1] = self._unpiped()

    def _unpiped(self) -> tuple[int, list[Any], bool]:
        """An outcome that came through the pipe: all of it is there."""
        while not self._piped:
            before = self._reader.received
            self._read_pipe()
            if not self._piped and self._reader.received == before:
                raise AssertionError("an outcome is not in the pipe though its place is published")
        mode, outcome = native.unpiped(bytes(self._piped.popleft()))
        return mode, [outcome], True

    def tell(self, kind: int, payload: Any) -> None:
        """See `Channel`."""
        if kind != _RING:
            super().tell(kind, payload)
        elif payload[0] == _END:
            self._hears.leases_ended(self.wid, *payload[1:])
        else:
            mode, outcomes, packed = payload
            if packed:
                outcomes = [self.unpack(*each) if type(each) is native.Packed else each for each in outcomes]
            self.hand_over(mode, outcomes)

    def unpack(self, kind: int, data: Any) -> Any:
        """See `Channel`."""
        if kind != _ARRAY:
            return super().unpack(kind, data)
        if self._codec.keeps:
            from procession.transport.sealed import array_told

            sealed = self.seal(array_told(data, 0 if self._arena is None else self._arena.lender.key))
            if sealed is not None:
                return sealed
        try:
            return self._array(data)
        except BaseException as error:
            return Raised(load_error("a result could not be rebuilt here", error))

    def _array(self, data: bytes) -> Any:
        """An array that was not made yet: its memory is not mapped, NumPy is not imported, or there was no memory."""
        import numpy  # noqa: F401  # as the loading of a pickle would: the worker had it

        if self._arena is not None:
            self.ring.results(*self._arena.mapping())
        made = self.ring.array(data)
        if made is None:
            raise MemoryError
        return made

    def drain(self) -> None:
        """See `Channel`."""
        while True:
            before = self._reader.received, self.ring.taken
            self.take(self.read())
            if before == (self._reader.received, self.ring.taken):
                return

    def drain_dead(self) -> None:
        """See `Channel`: it may have died between the pipe and the ring."""
        self.drain()
        while self._piped:
            self.tell(_RING, self._unpiped())

    def catch_up(self) -> bool:
        """See `Channel`."""
        before = self._reader.received, self.ring.taken
        self.drain()
        return before != (self._reader.received, self.ring.taken)

    @property
    def behind(self) -> bool:
        """See `Channel`: the ring has all there is."""
        return False

    def peek(self, found: Callable[[], object] | None = None) -> None:
        """See `Channel`."""
        received = self.read()
        if found is not None:
            found()
        self.take(received)


def channel_class() -> type[Channel]:
    """What joins a parent to its workers here."""
    return Channel if native is None else FastChannel


__all__ = ["FastChannel", "channel_class"]
