"""A handler of logging that blocks: it holds no task up, no future, no callback, and no end for long."""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from procession import Pool, SpinOff, TaskTimeout
from procession.backends import saying
from procession.backends.saying import said, say
from tests.failures import tasks
from tests.failures.kit import Gate, Notes, wait_until
from tests.logs import all_said

BACKENDS = ["processes", "threads"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ends of pools give up on the handler soon."""
    monkeypatch.setattr(saying, "PATIENCE", 0.05)


@contextmanager
def blocked(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The main thread holds a handler's lock, as a KeyboardInterrupt leaves it that strikes in `Handler.acquire`."""
    all_said()
    caplog.handler.acquire()
    try:
        yield
    finally:
        caplog.handler.release()
    all_said()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_thread_is_given_up(notes: Notes, gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """Row: A log handler blocks. The driver of threads goes on."""
    with blocked(caplog), Pool(1, backend="threads") as pool:
        error = pool.options(timeout=0.2).submit(tasks.held, notes.path, gate.path).exception(60)
        assert isinstance(error, TaskTimeout)
        assert pool.submit(tasks.double, 2).result(60) == 4
        gate.open()
        wait_until(lambda: pool.stats().abandoned == 0, "the thread comes back")
        assert not caplog.records
    assert [line.split(":")[0] for line in lines(caplog)] == [
        "a thread has been given up",
        "a thread that had been given up has come to its end",
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_callbacks_that_raise(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """Row: A log handler blocks. Callbacks go on, whatever the one before has raised."""
    called = threading.Event()
    with blocked(caplog), Pool(1, backend=backend) as pool:
        future = pool.submit(tasks.double, 1)
        future.add_done_callback(lambda _: tasks.fail("a callback"))
        future.add_done_callback(lambda _: called.set())
        assert called.wait(60)
        assert pool.submit(tasks.double, 2).result(60) == 4
    assert len([line for line in lines(caplog) if "exception calling callback" in line]) == 1


class Setup:
    """Its end raises."""

    def __enter__(self) -> "Setup":
        return self

    def __exit__(self, *_about: object) -> None:
        raise LookupError("a teardown")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_teardown_that_raises(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """Row: A log handler blocks. The pool ends all the same, and the line comes when it can."""
    with blocked(caplog):
        with Pool(1, backend=backend, setup=Setup) as pool:
            assert pool.submit(tasks.double, 2).result(60) == 4
        assert not caplog.records
    (line,) = lines(caplog)
    assert "the teardown of worker" in line


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_initializer_that_raises(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """Row: A log handler blocks. A pool that breaks says so to every task."""
    with blocked(caplog), Pool(1, backend=backend, initializer=tasks.fail, initargs=("no",)) as pool:
        assert "no" in str(pool.submit(tasks.double, 2).exception(60))


def test_a_block_that_is_left_by_an_exception(notes: Notes, gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """Row: A log handler blocks. Who leaves a block is not kept in it."""
    with blocked(caplog):
        with pytest.raises(LookupError), Pool(1, backend="threads") as pool:
            futures = [pool.submit(tasks.held, notes.path, gate.path) for _ in range(10)]
            notes.wait(1)
            futures[-1].add_done_callback(lambda _: gate.open())  # it is cancelled
            raise LookupError
        gate.close()
        with pytest.raises(LookupError), SpinOff(partial(tasks.held, notes.path), backend="threads") as spin:
            puts = spin.put_many([gate.path] * 10)
            notes.wait(2)
            puts[-1].add_done_callback(lambda _: gate.open())
            raise LookupError
    assert [line.endswith("were cancelled") for line in lines(caplog)] == [True, True]


def test_what_a_spin_off_owes(caplog: pytest.LogCaptureFixture) -> None:
    """Row: A log handler blocks. A spin-off whose items and callbacks fail goes on, and ends."""
    heard: list[int] = []

    def on_result(value: int) -> None:
        heard.append(value)
        raise LookupError(value)

    with blocked(caplog):
        with SpinOff(tasks.double, backend="threads", on_result=on_result) as spin:
            spin.put_many([1, 2])
        with SpinOff(tasks.fail, backend="threads", iterate=False) as spin:
            spin.put_many("ab")
    assert heard == [2, 4]
    assert ["on_result" in line for line in lines(caplog)] == [True, True, False, False]
    assert [line.split(" on ")[1] for line in lines(caplog)[2:]] == ["item 0", "item 1"]


def test_lines_are_in_order_and_say_who_and_where(caplog: pytest.LogCaptureFixture) -> None:
    """Row: A log handler blocks. What is written late is written as if it had been written at once."""
    with blocked(caplog):
        for n in range(20):
            say(logging.WARNING, "line %d", n)
        try:
            raise LookupError("what was wrong")
        except LookupError as error:
            say(logging.ERROR, "an error", error=error, name="procession.tests")
    assert lines(caplog) == [*(f"line {n}" for n in range(20)), "an error"]
    first, last = caplog.records[0], caplog.records[-1]
    assert (first.threadName, first.thread) == (threading.main_thread().name, threading.main_thread().ident)
    assert (first.funcName, first.filename) == ("test_lines_are_in_order_and_say_who_and_where", "test_log_handlers.py")
    assert first.created <= last.created
    assert last.name == "procession.tests"
    assert last.exc_info is not None
    assert last.exc_info[0] is LookupError


def test_a_flood_is_dropped_and_counted(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row: A log handler blocks. What waits for it is bounded."""
    monkeypatch.setattr(saying, "MOST", 10)
    with blocked(caplog):
        for n in range(100):
            say(logging.WARNING, "line %d", n)
    found = lines(caplog)
    (count,) = [int(line.split()[0]) for line in found if "log lines were dropped" in line]
    assert 10 <= len(found) - 1 <= 11
    assert len(found) - 1 + count == 100


def test_what_nobody_wants_is_not_made(caplog: pytest.LogCaptureFixture) -> None:
    """Row: A log handler blocks. Levels count when the line is written."""
    caplog.set_level(logging.ERROR, "procession")
    say(logging.WARNING, "unwanted")
    say(logging.ERROR, "wanted")
    all_said()
    assert lines(caplog) == ["wanted"]


def test_a_filter_that_raises(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    """Row: A log handler blocks. A filter that raises ends nothing: it is told on stderr, the next line is written."""
    logger = logging.getLogger("procession.tests.filtered")
    logger.addFilter(lambda record: tasks.fail("a filter"))
    say(logging.ERROR, "one", name=logger.name)
    say(logging.ERROR, "two")
    all_said()
    assert lines(caplog) == ["two"]
    assert "a filter" in capsys.readouterr().err


def test_a_forked_child_says_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """Row: A log handler blocks. A child that is forked meanwhile begins with no lines, and can say some."""
    with blocked(caplog):
        say(logging.ERROR, "the parent's")
        pid = os.fork()
        if pid == 0:
            caplog.handler.createLock()
            caplog.handler.records.clear()
            say(logging.ERROR, "the child's")
            fine = said() and [record.getMessage() for record in caplog.handler.records] == ["the child's"]
            os._exit(0 if fine else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert lines(caplog) == ["the parent's"]


def test_a_handler_that_blocks_hangs_no_task_that_logs() -> None:
    """Row: A log handler blocks. What there is no room for is dropped and counted, and the count is told."""
    logger, hold = logging.getLogger("tests.flood"), threading.Event()
    text, count = "x" * 3000, 3000  # nine megabytes; four wait here, and one or less in the pipe
    handled: list[str] = []
    told: list[int] = []

    class Blocking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            hold.wait(60)
            handled.append(record.getMessage())

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if isinstance(record.args, tuple) and "were dropped" in record.msg:
                told.append(record.args[0])  # type: ignore[arg-type]

    def flood() -> int:
        for _ in range(count):
            logging.getLogger("tests.flood").warning("%s", text)
        return 7

    blocking, counting = Blocking(), Told()
    logger.addHandler(blocking)
    logging.getLogger("procession").addHandler(counting)
    logger.propagate = False
    try:
        with Pool(2) as pool:
            assert [future.result(60) for future in [pool.submit(flood) for _ in range(2)]] == [7, 7]
            assert not handled
            hold.set()
            # What each worker has dropped is told with its next record.
            while len(told) < 2:
                pool.submit(logging.getLogger("tests.flood").warning, "after").result(60)
            wait_until(lambda: handled.count(text) + sum(told) == 2 * count, "all are handled, or counted")
    finally:
        hold.set()
        logger.removeHandler(blocking)
        logging.getLogger("procession").removeHandler(counting)
        logger.propagate = True
