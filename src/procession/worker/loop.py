"""What a worker does from its first frame to its last.

The promises kept here (laws 4 and 5):

1. One token is read before each item. No token, or one of another lease, means that the rest of this lease was taken
   back by the parent. A foreign token belongs to a later lease, whose frame is on its way: it is kept until then.
2. The outcome of item k is where the parent will find it, in the pipe or in the page, before the token of item k+1 is
   read. So a death at any instant costs the one item whose token was read and whose outcome is not there.
3. Each lease that is left behind, run or not, is reported by LEASE_END: its number may then be used again.
"""

from __future__ import annotations

import functools
import os
import sys
from _contextvars import Context, copy_context
from _pickle import dumps
from marshal import dumps as marshal_dumps
from time import perf_counter_ns

from procession.transport import frames, page
from procession.transport.aside import LEAST
from procession.worker import arena, asked, boot, home, notes, resting, share, state, stdio
from procession.worker.functions import FunctionTable

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from procession.transport.timesheet import Pen

PLAIN = frozenset({int, float, bool, type(None), str, bytes})
TEXTS = (str, bytes)

serving: Worker | None = None
"""The worker that this process is."""


def serve(files: boot.WorkerFiles, config: dict[str, Any]) -> None:
    """Run the initializer and the setup, then leases until told to stop, then the teardown.

    `config`: "start": (initializer, initargs, setup), or "start_pickled": the same three as arguments that the codec
    encoded; "own_main": this process has the parent's `__main__`; "cpus": so many may it use.
    """
    serve_by(Worker, files, config)


def serve_by(kind: type[Worker], files: boot.WorkerFiles, config: dict[str, Any]) -> None:
    """`serve`, with such a loop."""
    if copy_context():  # of whoever happened to fork this: what a task is to see is carried
        return Context().run(serve_by, kind, files, config)
    main = sys.modules["__main__"].__dict__ if config.get("own_main") else None
    if "cpus" in config:
        share.take(config["cpus"])
    home.begin(files)
    global serving
    turns: Any = sys.modules.get("procession.worker.turns")
    if turns is not None:
        turns.inherit()
    serving = worker = kind(files, FunctionTable(main))
    try:
        worker.start(config)
    except BaseException as error:
        frames.write_all(files.results, frames.frame(frames.START_FAILED, worker.table.encode_error(error)))
        return
    frames.write_all(files.results, frames.frame(frames.READY, frames.PID.pack(os.getpid())))
    try:
        worker.run()
    except BrokenPipeError:
        return  # the parent has let go of this worker, and reads nothing any more
    try:
        turns = sys.modules.get("procession.worker.turns")
        if turns is not None:
            turns.end_all()
        state.teardown()
    except BaseException as error:
        frames.write_all(files.results, frames.frame(frames.TEARDOWN_FAILED, worker.table.encode_error(error)))


def prepare(initializer: Callable[..., object] | None, initargs: tuple[Any, ...], setup: Any) -> None:
    """Initializer, then setup. Raises what they raise, logged as the stdlib logs it."""
    try:
        if initializer is not None:
            initializer(*initargs)
        if setup is not None:
            state.enter_setup(setup)
    except BaseException:
        import logging

        logging.getLogger("concurrent.futures").critical("Exception in initializer:", exc_info=True)
        raise


class Worker:
    """The loop and what it needs at hand."""

    def __init__(self, files: boot.WorkerFiles, table: FunctionTable) -> None:
        self.table = table
        self.results = files.results
        self.tasks = files.tasks
        self.reader = frames.FrameReader(files.tasks)
        self.with_state: set[int] = set()
        arena.here.begin(files)
        self.share(files)

    def share(self, files: boot.WorkerFiles) -> None:
        """Take what says who owns which item, and what keeps outcomes."""
        self.tokens = files.tokens
        self._page_fd = files.page
        self.page = page.OutcomePage(files.page)
        self.published = 0  # outcomes, ever, up to the present batch
        self.pen: Pen | None = None  # somebody wants to know when items are run
        asked.answer_for_process(self.page.asked)
        notes.place = self.page.place
        stdio.spoken = notes.sent = self.page.speak
        self.held: bytes | None = None  # a token read for a lease that has not come yet

    def start(self, config: dict[str, Any]) -> None:
        """Initializer, then setup. Raises what they raise."""
        if "start_pickled" in config:
            start = self.table.decode(config["start_pickled"])[0]
        elif "start" in config:
            start = config["start"]
        else:
            return
        for each in (start[0], start[2]):
            if callable(each):
                self.table.watch(each)  # what it sets in its globals is for the tasks to see
        prepare(*start)

    def run(self) -> None:
        """Until STOP, or until the parent is gone."""
        while not self.reader.ended:
            stdio.flush()
            arena.pause(self.hears)
            for kind, payload in self.reader.read():
                if kind == frames.LEASE:
                    self.lease(payload)
                elif kind == frames.STOP:
                    return
                else:
                    self.obey(kind, payload)
                del payload

    def hears(self, seconds: float) -> bool:
        """Wait so long for something from the parent; whether there is."""
        import select

        poll = select.poll()
        poll.register(self.tasks, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def obey(self, kind: int, payload: Any) -> None:
        """What a frame says of functions."""
        if kind == frames.DEFINE:
            self.define(payload)
        elif kind == frames.FORGET:
            for (entry,) in frames.ENTRY_ID.iter_unpack(payload):
                self.table.forget(entry)
                self.with_state.discard(entry)

    def define(self, payload: Any) -> None:
        """A function by its number; a first byte says whether it takes the worker's state."""
        (entry,) = frames.ENTRY_ID.unpack_from(payload)
        if payload[frames.ENTRY_ID.size]:
            self.with_state.add(entry)
        self.table.define(entry, bytes(payload[frames.ENTRY_ID.size + 1 :]))

    def function(self, entry: int) -> Callable[..., Any]:
        """The function of this number, ready to be called. Raises LoadFailed."""
        fn: Callable[..., Any] = self.table.get(entry)
        return functools.partial(fn, state.state()) if entry in self.with_state else fn

    def watched(self) -> Pen | None:
        """What writes down when the items of the next batch are run, if somebody wants to know."""
        wanted = self.page.words[page.TIMED]
        if wanted and self.pen is None:
            from procession.transport.timesheet import Pen, TimeSheet

            try:
                self.pen = Pen(TimeSheet(self._page_fd), 0)
            except OSError:
                return None  # no memory to be mapped: nobody is told
        if not wanted or self.pen is None:
            return None
        self.pen.number = self.published
        return self.pen

    def call_encoded(self, body: bytes) -> Any:
        """A call that carries its function."""
        fn, args, kwargs = self.table.decode_call(body)
        return fn(*args, **kwargs)

    def lease(self, payload: Any) -> None:
        """Run what the tokens allow of one lease."""
        if home.news[home.watch[0]] != home.watch[1]:
            home.hear()
        mark = bytes(payload[:1])
        groups = self.table.loads(memoryview(payload)[1:])
        del payload
        groups.reverse()
        began = perf_counter_ns()
        items = 0
        out = b""
        while groups:
            if out:
                frames.write_all(self.results, out)
            batch = Batch(self, groups.pop())
            ran = batch.run(mark)
            items += ran
            self.published += ran
            out = batch.remaining()
            if batch.withdrawn:
                break
        tally = frames.LEASE_TALLY.pack(items, perf_counter_ns() - began)
        frames.write_all(self.results, out + frames.frame(frames.LEASE_END, tally))


class Batch:
    """Items of one function, run one by one; their outcomes travel together.

    Each outcome goes into the page as soon as it is there: that is where it survives this process. Plain values are
    kept as they are beside that, for one joint pickle at the end, which costs the parent a fraction of many.
    """

    def __init__(self, worker: Worker, group: tuple[int, list[Any] | range, int]) -> None:
        self.worker = worker
        self.entry, bodies, self.mode = group
        self.bodies = bodies if isinstance(bodies, list) else list(bodies)  # a range
        self.outcomes: list[Any] = []
        self.packed = False
        self.end = 0  # of the data in the page
        self.pen = worker.watched()
        self.generation = worker.page.begin(self.mode)
        self.withdrawn = False

    def run(self, mark: bytes) -> int:
        """Run items while there are tokens; returns how many.

        Every step here is paid for each no-op of a map, so it is all in one place: the token, the call, and for a
        small integer what `store` does for others. The order of the stores is the promise.
        """
        worker, invoke, items = self.worker, self.invoker(), 0
        read, tokens, words, outcomes = os.read, worker.tokens, worker.page.words, self.outcomes
        token, worker.held = worker.held, None
        bodies = self.bodies
        bodies.reverse()  # popped, not iterated: arguments are freed as soon as their item is done
        count, tail, asked_to_rest, fresh = 0, page.INTEGER, resting.asked, copy_context().copy
        while bodies:
            if asked_to_rest[0]:
                resting.rest()
            try:
                token = token or read(tokens, 1)
            except BlockingIOError:
                self.withdrawn = True
                break
            if token != mark:
                worker.held, self.withdrawn = token, True
                break
            token = None
            try:
                value = fresh().run(invoke, bodies.pop())
                if boot.forked:
                    raise SystemExit(0)
                if type(value) is int and count < page.SLOTS and page.LEAST <= value <= page.MOST:
                    outcomes.append(value)
                    words[count + page.ENDS] = value << page.VALUE_SHIFT | tail
                    count += 1
                    words[page.COUNT] = count
                else:
                    if type(value) in PLAIN and not (isinstance(value, TEXTS) and len(value) >= LEAST):
                        outcomes.append(value)
                        self.store(page.MARSHALLED, marshal_dumps(value))
                    else:
                        self.publish(page.VALUE, worker.table.encode_result(value))
                    count, tail = len(outcomes), self.end << 2 | page.INTEGER
                del value
            except BaseException as error:
                if boot.forked:  # a process that the task forked came back from it: the page is the worker's alone
                    raise SystemExit(0) from None
                self.publish(page.ERROR, worker.table.encode_error(error))
                count, tail = len(outcomes), self.end << 2 | page.INTEGER
            items += 1
        return items

    def invoker(self) -> Callable[[Any], Any]:
        """What turns a body into a value; with a pen it is written down when."""
        invoke, pen = self._invoker(), self.pen
        if pen is None:
            return invoke

        def timed(body: Any) -> Any:
            pen.began(perf_counter_ns())
            try:
                return invoke(body)
            finally:
                if not boot.forked:
                    pen.ended(perf_counter_ns())

        return timed

    def _invoker(self) -> Callable[[Any], Any]:
        table = self.worker.table
        if not self.entry:
            return self.worker.call_encoded
        try:
            fn = self.worker.function(self.entry)
        except BaseException as failure:
            error = failure

            def fail(_body: Any) -> Any:
                raise error

            return fail
        if self.mode == frames.WHOLE_ITEMS:
            return fn

        pen = self.pen

        def invoke(body: Any) -> Any:
            if type(body) is tuple:
                return fn(*body)
            args, kwargs = table.decode(body) if pen is None else pen.reads(table.decode, body, perf_counter_ns)
            return fn(*args, **kwargs)

        return invoke

    def publish(self, kind: int, data: bytes) -> None:
        """Keep an outcome for the frame, and put it into the page."""
        self.packed = True
        self.outcomes.append((kind, data))
        self.store(kind, data)

    def store(self, kind: int, data: bytes) -> None:
        """Into the page: the bytes, their end, the count. What does not fit goes through the pipe, with all before."""
        if self.pen is not None:
            self.pen.dumped(perf_counter_ns(), len(data))
        start, count = self.end, len(self.outcomes)
        self.end = end = start + len(data)
        if end > page.CAPACITY or count > page.SLOTS:
            self.overflow()
            return
        shared = self.worker.page
        shared.data[start:end] = data
        shared.words[count + page.ENDS - 1] = end << 2 | kind
        shared.words[page.COUNT] = count

    def overflow(self) -> None:
        """The page is full: send what there is and begin its next generation."""
        frames.write_all(self.worker.results, self.remaining())
        self.generation = self.worker.page.begin(self.mode)
        self.end = 0

    def remaining(self) -> bytes:
        """The frame of the outcomes that have not gone through the pipe; the page's generation ends with it."""
        outcomes = self.outcomes
        if not outcomes:
            return b""
        kind = frames.PACKED_OUTCOMES if self.packed else frames.OUTCOMES
        head = frames.OUTCOMES_HEAD.pack(self.generation, self.mode)
        out = frames.frame(kind, head + dumps(outcomes, 5))
        outcomes.clear()
        self.packed = False
        self.worker.page.sent = True
        return out
