"""The worker's loop on the fast lane: records out of the ring, run in C.

Laws 4 and 5 are kept there: `_native/worker.c`.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter_ns

from procession._native import lacking, native
from procession.transport import aside, frames
from procession.worker import arena, asked, boot, home, notes, resting, stdio
from procession.worker.loop import Worker, serve_by

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from procession.transport.timesheet import TimeSheet
    from procession.worker.functions import FunctionTable


def serve(files: boot.WorkerFiles, config: dict[str, Any]) -> None:
    """See `loop.serve`. Raises ImportError where the extension, which the parent has, is not to be had."""
    if native is None:
        raise ImportError(f"the program has loaded procession's extension, and its worker cannot: {lacking}")
    serve_by(FastWorker, files, config)


class FastWorker(Worker):
    """A worker whose `tokens` are its rings."""

    def __init__(self, files: boot.WorkerFiles, table: FunctionTable) -> None:
        super().__init__(files, table)
        self._frames: deque[tuple[int, Any]] = deque()  # read, and their places in the ring not yet come to
        self._watched = -1 if boot.armed else files.tasks  # where nothing else tells that the parent is gone

    def share(self, files: boot.WorkerFiles) -> None:
        """See `Worker`."""
        self._page = files.page
        self._sheet: TimeSheet | None = None  # what it writes on, once somebody has wanted to know
        self.ring = native.WorkerRing(files.tokens, self._write, resting.asked, resting.rest, self._wanted)
        asked.answer_for_process(self.ring.asked)
        notes.place = self.ring.place
        stdio.spoken = notes.sent = self.ring.speak

    def _wanted(self) -> None:
        """Somebody wants to know when items are run: the ring is given the sheet to write on."""
        from procession.transport.timesheet import TimeSheet

        try:
            self._sheet = sheet = TimeSheet(self._page)
        except OSError:
            return  # no memory to be mapped: nobody is told
        self.ring.times(sheet.memory)

    def _write(self, kind: int, payload: bytes) -> None:
        frames.write_all(self.results, frames.frame(kind, payload))

    def run(self) -> None:
        """Until STOP, or until the parent is gone."""
        ring, watched = self.ring, self._watched
        group, frame, news, watch = native.GROUP, native.FRAME, home.news, home.watch
        while True:
            if not ring.pending():
                stdio.flush()
                arena.pause(ring.hears)
            told = ring.wait(watched)
            if told is None:
                return
            if told[0] == group:
                if news[watch[0]] != watch[1]:
                    home.hear()
                self.group(told[1], told[2])
            elif told[0] == frame:
                if told[1] == frames.STOP:
                    return
                self.obey(told[1], told[2])
            else:
                ring.load(self._piped())

    def group(self, entry: int, mode: int) -> None:
        """Run items of one function, as far as they are this worker's."""
        plain, encoded = self.hands(entry)
        table = self.table
        encode_result = table.encode_result if self._sheet is None else self._encode_timed
        self.ring.run(plain, encoded, encode_result, table.encode_error, arena.here.place, arena.lends)

    def hands(self, entry: int) -> tuple[Callable[..., Any], Callable[[bytes], Any]]:
        """What is called with plain arguments, and what with a body that is yet to be decoded."""
        table = self.table
        if not entry:
            return self.call_encoded, self.call_encoded
        try:
            fn = self.function(entry)
        except BaseException as failure:
            error = failure

            def fail(*_args: Any) -> Any:
                raise error

            return fail, fail

        def call(body: bytes) -> Any:
            args, kwargs = table.decode(body)
            return fn(*args, **kwargs)

        if self._sheet is None:
            return fn, call
        ring = self.ring

        def timed(body: bytes) -> Any:
            began = perf_counter_ns()
            args, kwargs = table.decode(body)
            ring.loaded = perf_counter_ns() - began
            return fn(*args, **kwargs)

        return fn, timed

    def _encode_timed(self, value: Any) -> bytes:
        """`encode_result`, after which the ring knows how much went aside."""
        before = aside.moved[0]
        data = self.table.encode_result(value)
        self.ring.aside = aside.moved[0] - before
        return data

    def _piped(self) -> bytes:
        """The records that are in the pipe, all of them, since their place in the ring was published."""
        while not self._frames:
            self._frames.extend(self.reader.read())
            if self.reader.ended and not self._frames:
                raise BrokenPipeError("the parent is gone")
        return bytes(self._frames.popleft()[1])


__all__ = ["FastWorker", "serve"]
