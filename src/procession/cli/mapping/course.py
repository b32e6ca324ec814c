"""One run: results are taken and written until the input ends, or something else ends it.

Laws
1. The main thread takes and writes; the thread of `Attending` drains and closes the stream, and no more.
2. Each item that was read is written, counted as failed, or left unrun: `Feed` knows which.
3. However it ends: the stream is closed, the workers are gone and the files are closed, in this order.
"""

from __future__ import annotations

import time
from argparse import Namespace
from concurrent.futures import CancelledError
from typing import Any

from procession.cli.mapping.attending import Attending, say
from procession.cli.mapping.crew import Crew
from procession.cli.mapping.failing import OUTPUT
from procession.cli.mapping.feeding import feed
from procession.cli.mapping.files import Files
from procession.cli.mapping.halting import Count
from procession.cli.mapping.inputs import InputError, Items
from procession.cli.mapping.inputs_base import Item
from procession.cli.mapping.outputs import NotWritable, OutputError
from procession.errors import JournalError, WorkerStartError
from procession.stream_taking import Taker, drain
from procession.types import Failure

FLUSH = 0.5
"""Seconds after which results go out, however quickly further ones come."""
OK, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130


class Ended(Exception):
    """The run ends here; what runs is ended, too. Its text is why, if that is to be said."""


class Course:
    """See the module."""

    def __init__(self, words: Namespace, crew: Crew, files: Files, items: Items, total: int | None) -> None:
        self._quiet: bool = words.quiet
        self._crew = crew
        self._files = files
        self._items = items
        self._feed = feed(items, total, words.limit, words.shuffle)
        self._count = Count(words.halt, self._feed.total)
        self._stream: Any = None
        self._workers: Any = None
        self._unrun = 0  # items that were withdrawn
        self._halted = False
        self._gone = False  # who read stdout
        self._why = ""  # it ended before its input did
        self._refused = False  # it has not begun
        self._flushed = 0.0

    def run(self) -> int:
        """All of it; returns the exit status. Raises TypeError and ValueError for words that Pool and Stage refuse."""
        with Attending(self._interrupt, self._kill, self._reader_gone, self._files.stdout) as self._attending:
            complete = False
            try:
                with self._crew.make() as self._workers:
                    complete = self._serve()
            finally:
                self._close(complete)
        status = self._status()
        if self._why and self._attending.killed is None:  # else it is what the kill has led to
            say(self._why)
        if not self._quiet:
            self._tell()
        return status

    # -- the main thread -------------------------------------------------------------------------------------------

    def _serve(self) -> bool:
        """Take and write all there is; returns whether that is all that was asked for."""
        try:
            self._stream = stream = self._crew.start(self._workers, self._feed, self._failed)
            if self._attending.interrupted:
                self._drain()
            self._take(Taker(stream))
            ended = self._attending.interrupted or self._attending.killed is not None or self._gone
            return not (ended or (self._halted and self._count.failed))
        except BrokenPipeError:
            self._gone = True
        except (Ended, InputError, OutputError) as error:
            self._why = str(error)
        except JournalError as error:
            self._why = in_words(error)
            self._refused = self._stream is None
        finally:
            if self._stream is not None:
                self._stream.close()
        self._attending.expire(self._status())
        return False

    def _take(self, taker: Taker) -> None:
        files, feed = self._files, self._feed
        write, timed = files.sink.write, files.joblog
        while True:
            try:
                value = taker.take(self._flush)
            except StopIteration:
                return
            item = feed.known(taker.place)
            start = took = 0.0
            if timed is not None:
                start, took, value = value
            try:
                write(item, value)
            except NotWritable as error:
                self._failed_at(item, error, 1, OUTPUT)
                continue
            if timed is not None:
                timed.succeeded(item, start, took)
            self._count.succeeded += 1
            self._look()
            if time.monotonic() - self._flushed > FLUSH:
                self._flush()

    def _flush(self) -> None:
        self._files.flush()
        self._flushed = time.monotonic()

    def _failed(self, failure: Failure) -> None:
        """The stream tells of an item that failed, at its place."""
        item = self._feed.known(failure.index)
        error = failure.error
        if isinstance(error, CancelledError):
            self._unrun += 1
        elif isinstance(error, WorkerStartError):
            raise Ended(f"no worker can start: {_reason(error)}")
        elif isinstance(error, JournalError):
            raise Ended(in_words(error))
        else:
            self._failed_at(item, error, failure.attempts, failure.stage)

    def _failed_at(self, item: Item, error: BaseException, tries: int, stage: str | None) -> None:
        try:
            self._files.failures.add(item, error, tries, stage)
        except OSError as full:
            raise OutputError(f"--failures {self._files.failures.place}: {full.strerror}") from None
        if self._files.joblog is not None:
            self._files.joblog.failed(item, error, time.time())
        self._count.failed += 1
        self._look()

    def _look(self) -> None:
        """Whether that was enough."""
        if not self._halted and self._count.reached():
            self._halted = True
            if self._count.halt is not None and self._count.halt.now:
                raise Ended
            self._drain()

    def _close(self, complete: bool) -> None:
        try:
            self._files.close(complete)
        except BrokenPipeError:
            self._gone = True
        except OutputError as error:
            self._why = self._why or str(error)
        except OSError as error:
            self._why = self._why or f"{error.filename or 'a file'}: {error.strerror}"

    # -- the thread that attends -----------------------------------------------------------------------------------

    def _interrupt(self) -> None:
        if not self._quiet:
            say("interrupted: what runs is finished and written, nothing new starts; Ctrl-C once more ends it at once")
        self._drain()

    def _kill(self, _status: int) -> None:
        self._feed.stop()
        if self._stream is not None:
            self._stream.close()
        kill = getattr(self._workers, "kill_workers", None)
        if kill is not None:
            kill()

    def _reader_gone(self) -> None:
        self._gone = True
        self._feed.stop()
        if self._stream is not None:
            self._stream.close()

    def _drain(self) -> None:
        """Any of the two threads."""
        self._feed.stop()
        if self._stream is not None:
            drain(self._stream)

    # -- the end -----------------------------------------------------------------------------------------------------

    def _status(self) -> int:
        if self._attending.killed is not None:
            return self._attending.killed
        if self._attending.interrupted:
            return INTERRUPTED
        if self._why:
            return REFUSED if self._refused else FAILED
        halt = self._count.halt
        if self._halted and halt is not None and halt.what == "success":
            return OK
        return FAILED if self._count.failed else OK

    def _tell(self) -> None:
        """What there is to say at the end, a line each; nothing if all is well."""
        count, left = self._count, self._unrun + self._feed.left
        if self._attending.killed is not None or self._attending.interrupted:
            rest = f"; {left} that had been read were not run to their end" if left else ""
            say(f"interrupted: {_done(count.done)}{rest}")
        elif self._halted:
            say(f"halted (--halt {count.halt}): {_done(count.done)}")
        if self._items.skipped:
            first = self._items.skipped_first[0]
            many = self._items.skipped
            told = (
                "1 line or row could not be read and was"
                if many == 1
                else f"{many} lines or rows could not be read and were"
            )
            say(f"{told} left out; the first: {first}")
        if count.failed:
            say(self._files.failures.summary(count.done))


def _done(count: int) -> str:
    return "1 item is done" if count == 1 else f"{count} items are done"


def _reason(error: BaseException) -> str:
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {cause}"


def in_words(error: JournalError) -> str:
    """What a journal says, with the words of the command line."""
    return str(error).replace("Journal(path, force=True)", "--journal-force").replace("item_id", "--id")


__all__ = ["Course"]
