"""The one thread that writes a journal: what waits for it goes together into its next commit.

Laws
1. Jobs are committed in the order in which they were posted, and told of it in that order, on the writer's thread.
2. Nobody waits for a timer: what is posted while one commit is under way is the next one.
3. A job hears `then` only after the transaction that has it is committed; one that has nothing to write hears it in its
   turn. After a commit that failed it hears `lost`, and so does every later one; nothing is written any more.
4. `post` waits for nothing. What `then` and `lost` raise is logged, and ends nothing.
5. `close` lets go of file and lock when all that was posted before it is done. Later jobs hear `lost`.
6. At the end of the program those that nobody has closed are closed, behind all that was posted; that is waited for, at
   most `PATIENCE` seconds.

Races, step by step
* A job is posted while the writer falls asleep. It is appended, then the bell is looked at. Locked: it is rung. Not
  locked: somebody has rung, and the writer will take the bell and only then look at what was posted. Two that ring at
  once: the second finds it rung, which is no error.
* A signal handler raises in who posts, between the two: the writer looks by itself every second. In who closes: the
  end is posted before it is noted as such, so that it is posted again; a second one is no harm. Who waits for a ticket
  does it by a lock that a struck waiter may leave locked: so everybody looks again, too.
* A signal handler raises in the main thread while it starts the writer: it is started whole (`backends.unstruck`), and
  `started` says from before that on who is to let go of everything.
* A job is posted after the close. Jobs and the close are in one queue, and the thread goes on answering until it finds
  nothing behind the close; `ended` is set before that last look, and who posts then answers what it finds itself.

In a forked child the thread is not there, and nothing may touch SQLite: `mine` says so. The thread's frame holds the
connections, so that the child, where that frame is never left, does not close them.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from _thread import allocate_lock
from abc import ABC, abstractmethod
from collections import deque

from procession.backends.joinable import JoinableThread
from procession.backends.saying import say
from procession.backends.unstruck import unstruck
from procession.journal.refusals import again, refusal
from procession.journal.store import failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from procession.errors import JournalError
    from procession.journal.locking import Lock
    from procession.journal.store import Store

NOTHING, LAZILY, FULLY = 0, 1, 2
"""What a job asks of its commit: none; that a kill loses it not; that a power cut does not, either."""
LOOK_AGAIN = 1.0
"""Seconds after which the writer looks by itself, and so does who waits for it."""
PATIENCE = 10.0
"""Seconds that the end of the program waits for what is to be written."""
GROUP = 10_000
"""Jobs that one commit takes at most."""


_writers: weakref.WeakSet[Writer] = weakref.WeakSet()
_at_exit = False


class Job(ABC):
    """Something to be written."""

    __slots__ = ()

    @abstractmethod
    def prepare(self, run: int) -> int:
        """Make what is to be written in this run ready; returns NOTHING, LAZILY or FULLY. It must not raise."""

    @abstractmethod
    def write(self, store: Store) -> None:
        """Write it, inside of a transaction."""

    @abstractmethod
    def then(self) -> None:
        """It is committed."""

    @abstractmethod
    def lost(self, error: JournalError) -> None:
        """It is not, and will not be."""


class Writer:
    """See the module."""

    def __init__(self, store: Store, lock: Lock) -> None:
        self.store = store
        self.failed: JournalError | None = None
        self.reading = threading.Lock()
        """Held by who reads on the store's other connection."""
        self.ended = False
        self._lock = lock
        self._posted: deque[Job | _End] = deque()
        self._bell = allocate_lock()
        self._bell.acquire()
        self._closing = False
        self._pid = os.getpid()
        self.started = False
        """The thread has file and lock now, or will have them."""
        self._thread = JoinableThread(self._serve, "procession-journal")

    def start(self) -> None:
        """Have it write from now on. Raises RuntimeError when there can be no thread; it is not `started` then."""
        global _at_exit
        if not _at_exit:
            _at_exit = True
            atexit.register(_close_all)
        self.started = True
        _writers.add(self)
        try:
            unstruck(self._thread.start)
        except RuntimeError:
            self.started = False
            raise

    @property
    def mine(self) -> bool:
        """False in a forked child."""
        return self._pid == os.getpid()

    @property
    def here(self) -> bool:
        """The caller is the writer's thread."""
        return threading.current_thread() is self._thread

    def check(self) -> None:
        """Raise JournalError if nothing can be written or read here (any more)."""
        if not self.mine:
            raise refusal(self.store.path, "it belongs to the parent of this forked process, and cannot be used here")
        if self.failed is not None:
            raise again(self.failed)
        if self.ended:
            raise refusal(self.store.path, "it is closed")

    def post(self, job: Job) -> None:
        """Have it written. Any thread; in a forked child it hears `lost` at once."""
        if not self.mine:
            job.lost(refusal(self.store.path, "it belongs to the parent of this forked process"))
            return
        self._posted.append(job)
        self._ring()
        if self.ended:
            self._answer_the_late()

    def close(self, how: str, wait: bool) -> None:
        """See law 5. how: the run ended; the first call counts. wait: for all that, unless the writer calls."""
        if not self.mine:
            return
        if not self._closing:
            self._posted.append(_End(how))
            self._lock.ending = self._ended
            self._closing = True
        self._ring()
        if wait:
            self._ended()

    def _ended(self, timeout: float | None = None) -> bool:
        """Wait for its end; False for the thread itself."""
        if not self.here:
            self._thread.join(timeout)
        return not self.here

    def leave(self) -> None:
        """See law 6."""
        if self.mine and self.started:
            self.close("left open", wait=False)
            self._ended(PATIENCE)

    # -- the thread --------------------------------------------------------------------------------------------------

    def _ring(self) -> None:
        if self._bell.locked():
            try:
                self._bell.release()
            except RuntimeError:  # another was faster
                pass

    def _serve(self) -> None:
        held = self.store.connection, self.store.reader  # see the module: the last lines
        end = None
        while end is None:
            self._bell.acquire(timeout=LOOK_AGAIN)
            while self._posted and end is None:
                end = self._turn()
        self._let_go(end)
        del held

    def _turn(self) -> _End | None:
        """One group."""
        posted, end = self._posted, None
        jobs: list[Job] = []
        while posted and len(jobs) < GROUP:
            job = posted.popleft()
            if isinstance(job, _End):
                end = job
                break
            jobs.append(job)
        if jobs:
            self._commit(jobs)
        return end

    def _commit(self, jobs: list[Job]) -> None:
        if self.failed is None:
            self._try(jobs)
        for at, job in enumerate(jobs):
            jobs[at] = None  # type: ignore[call-overload]  # what it holds may be let go
            self._tell(job)

    def _try(self, jobs: list[Job]) -> None:
        store = self.store
        try:
            wants = [job.prepare(store.run) for job in jobs]
            most = max(wants)
            if most == NOTHING:
                return
            store.begin(full=most == FULLY)
            for job, want in zip(jobs, wants, strict=True):
                if want:
                    job.write(store)
            store.commit()
        except BaseException as error:
            store.rollback()
            self.failed = failure(store.path, error)

    def _tell(self, job: Job) -> None:
        try:
            if self.failed is None:
                job.then()
            else:
                job.lost(again(self.failed))
        except BaseException as error:
            _said("what was to hear of a commit to the journal %s has failed", self.store.path, error=error)

    def _let_go(self, end: _End) -> None:
        store = self.store
        if self.failed is None:
            try:
                store.end_run(end.how)
            except BaseException as error:
                store.rollback()
                say(logging.WARNING, "%s", failure(store.path, error))
        with self.reading:
            self.ended = True
            store.close()
        self._lock.release()
        self._answer_the_late()

    def _answer_the_late(self) -> None:
        while True:
            try:
                job = self._posted.popleft()
            except IndexError:
                return
            if not isinstance(job, _End):
                try:
                    job.lost(again(self.failed) if self.failed else refusal(self.store.path, "it is closed"))
                except BaseException as error:
                    _said("what was to hear that the journal %s is closed has failed", self.store.path, error=error)


class Ticket:
    """What somebody waits for who has posted something: that it is committed, or lost."""

    __slots__ = ("_callbacks", "_gate", "done", "error")

    def __init__(self) -> None:
        self.done = False
        self.error: JournalError | None = None
        """Why it is lost; None if it is not."""
        self._gate = allocate_lock()
        self._gate.acquire()
        self._callbacks: list[Callable[[], object]] = []

    def wait(self) -> None:
        """Until it is done; raises the JournalError, if it is lost."""
        while not self.done:
            if self._gate.acquire(timeout=LOOK_AGAIN):
                self._gate.release()
        if self.error is not None:
            raise again(self.error)

    def then(self, callback: Callable[[], object]) -> None:
        """Call it when this is done: on the writer's thread; or here and now, when it is done already."""
        self._callbacks.append(callback)
        if self.done:
            self._call()

    def settle(self, error: JournalError | None = None) -> None:
        """It is committed, or lost; once."""
        self.error = error
        self.done = True
        self._gate.release()
        self._call()

    def _call(self) -> None:
        while True:
            try:
                callback = self._callbacks.pop(0)
            except IndexError:
                return
            try:
                callback()
            except BaseException as error:
                _said("what was to hear of a commit to a journal has failed", error=error)


def _close_all() -> None:
    for writer in list(_writers):
        writer.leave()


def _said(text: str, *args: object, error: BaseException) -> None:
    say(logging.ERROR, text, *args, error=error)


class _End:
    """The last of what is posted."""

    def __init__(self, how: str) -> None:
        self.how = how


def reading(writer: Writer, read: Callable[[Store], Any]) -> Any:
    """What `read(store)` gives, one thread at a time. Raises JournalError."""
    from procession.journal.refusals import explained

    writer.check()
    with writer.reading:
        writer.check()
        try:
            return read(writer.store)
        except Exception as error:
            raise explained(writer.store.path, "reading it", error) from error
