"""The parent's channel to one worker process: descriptors (ends.py), and what is said through them (heard.py).

Descriptors in the parent, per worker: those of `Ends`, and the arena of its results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from procession.backends.ends import Ends, widen
from procession.backends.heard import Heard, Hears, definition
from procession.core.task import Task
from procession.transport import frames, page
from procession.transport.codec import Codec


class Channel(Ends, Heard):
    """Everything that joins the parent to worker `wid`."""

    def __init__(self, wid: int, codec: Codec, hears: Hears) -> None:
        Heard.__init__(self, wid, codec, hears)
        arena = self._arena = None if codec.supply is None else codec.supply.open()
        try:
            Ends.__init__(self, hears.beside, () if arena is None else arena.files)
        except BaseException:
            if arena is not None:
                arena.close()
            raise
        self.begin_times()

    def close(self) -> None:
        """See `Ends`."""
        super().close()
        if self._arena is not None:
            self._arena.close()
        if self.written is not None:
            self.written.seal()
            self.written.close()

    # -- to the worker -------------------------------------------------------------------------------------------

    def send(self, number: int, tasks: Iterable[Task], tokens: int) -> bool:
        """Issue a lease: tokens first, then definitions the worker lacks, then the tasks. False: some data waits."""
        mark = number & 0xFF
        self.issue(bytes((mark,)) * tokens)
        out = self.lease_frames(mark, tasks)
        return self._writer.write(out[0] if len(out) == 1 else b"".join(out))

    def forget(self, entries: Iterable[int]) -> bool:
        """Functions that nobody can call any more."""
        gone = self.forgetting(entries)
        return self._writer.write(gone) if gone else True

    # -- from the worker -----------------------------------------------------------------------------------------

    def take(self, received: list[tuple[int, Any]]) -> None:
        """Tell what these frames say."""
        for kind, payload in received:
            self.tell(kind, payload)

    def drain(self) -> None:
        """Take all there is in the pipe, then what is in the page only."""
        self._reader.drain(self.tell)
        self.peek()

    def catch_up(self) -> bool:
        """Take all that the worker has published, wherever it lies, while it goes on; whether anything came.

        It may publish in the page, and send that through the pipe, between a look at the pipe and one at the page: then
        the page shows a later generation than the one that is expected, and the pipe is looked at again.
        """
        before = self._reader.received
        while True:
            self.drain()
            if not self.behind:
                return self._reader.received > before

    def drain_dead(self) -> None:
        """`drain`, for the last time: its worker is gone, and whatever it left whole counts."""
        self.drain()

    @property
    def behind(self) -> bool:
        """The worker is at a later lease than what was taken last: the pipe has what was published before."""
        return self.page.words[page.GENERATION] > self._generation + 1 and not self.ended

    def peek(self, found: Callable[[], object] | None = None) -> None:
        """Take the outcomes that are in the page and not yet in the pipe; `found` is called before they are told."""
        mode, packed = self.page.outcomes(self._generation + 1, self._peeked)
        if packed:
            if found is not None:
                found()
            self._show()
            behind = self._reader.sift(frames.YIELD, self.tell) if self._hears.streaming else []
            self._peeked += len(packed)
            self.hand_over(mode, [self.unpack(*each) for each in packed])
            for each in behind:
                self.tell(*each)

    def _show(self) -> None:
        """See `Heard`."""
        self.page.show_first(self._hears.show_output)


__all__ = ["Channel", "Hears", "definition", "widen"]
