"""Logging and warnings of tasks, as if these ran at home."""

import logging
import multiprocessing
import os
import signal
import sys
import textwrap
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from procession import Pool, SpinOff, WorkerDied
from procession.backends.saying import said
from procession.transport.filters import FRESH
from tests import warm
from tests.failures.kit import wait_until

kept_zygote = warm.keep()

LOG = logging.getLogger("tests.context")


class Kept(logging.Handler):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def texts(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def kept() -> Iterator[Kept]:
    """What the logger of these tests is given, from INFO on, and nobody above it."""
    handler = Kept()
    before = LOG.level, LOG.propagate
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    yield handler
    LOG.removeHandler(handler)
    LOG.level, LOG.propagate = before
    LOG.setLevel(before[0])


@pytest.fixture(params=["zygote", "fork", "spawn", "forkserver"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    context = None if request.param == "zygote" else multiprocessing.get_context(request.param)
    with Pool(2, mp_context=context) as made:
        yield made


def log(*messages: Any) -> None:
    for message in messages:
        LOG.info("%s", message)


# ---------------------------------------------------------------------------------------- they are there, and are whole


def test_records_are_handled_here_before_the_result_is_there(pool: Pool, kept: Kept) -> None:
    for n in range(5):
        pool.submit(log, n, "again").result()
        assert kept.texts == [f"{each}" for n in range(n + 1) for each in (n, "again")]
    assert list(pool.map(log, range(5, 25), chunksize=3)) == [None] * 20
    assert sorted(map(int, kept.texts[10:])) == list(range(5, 25))


def test_a_caller_waits_for_a_record_that_is_just_being_handled(pool: Pool, kept: Kept) -> None:
    """One who calls alone looks for the result himself (driver/lane.py)."""
    returned, early = threading.Event(), []

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            early.append(returned.wait(0.03))

    for _ in range(10):
        pool.submit(log).result()
    slow = Slow()
    LOG.addHandler(slow)
    try:
        for n in range(4):
            returned.clear()
            pool.submit(log, n).result()
            returned.set()
    finally:
        LOG.removeHandler(slow)
    assert not any(early)


def test_what_a_record_says(pool: Pool, kept: Kept) -> None:
    def task() -> tuple[int, float]:
        began = time.time()
        LOG.warning("%d of %s", 3, "seven", extra={"plain": 1.5, "thing": Path("/tmp")})
        return os.getpid(), began

    pid, began = pool.submit(task).result()
    (record,) = kept.records
    assert (record.name, record.levelname, record.getMessage()) == (LOG.name, "WARNING", "3 of seven")
    assert (record.msg, record.args) == ("%d of %s", (3, "seven"))
    assert record.process == pid != os.getpid()
    assert began <= record.created <= time.time()
    now = logging.makeLogRecord({})
    assert (
        0
        <= now.relativeCreated - record.relativeCreated
        == pytest.approx((now.created - record.created) * 1000, abs=50)
    )
    assert record.funcName == "task"
    assert Path(record.pathname) == Path(__file__)
    about: Any = record
    assert about.processName == about.procession_worker
    assert about.procession_task.startswith(f"{about.procession_worker}/")
    assert (about.plain, about.thing) == (1.5, Path("/tmp"))


def test_tasks_are_told_apart(kept: Kept) -> None:
    with Pool(2) as pool:
        list(pool.map(lambda n: log(n, n), range(40), chunksize=4))
    by_task: dict[str, list[str]] = defaultdict(list)
    for record in kept.records:
        by_task[record.procession_task].append(record.getMessage())  # type: ignore[attr-defined]
    assert sorted(map(int, (texts[0] for texts in by_task.values()))) == list(range(40))
    assert all(len(texts) == 2 and texts[0] == texts[1] for texts in by_task.values())


def test_a_task_is_one_though_what_lies_behind_it_is_taken_back(kept: Kept, tmp_path: Path) -> None:
    """Another worker idles while this one waits in the middle of its task, and runs the rest of its lease."""
    gate = tmp_path / "gate"

    def task(n: int) -> int:
        log(n)
        while n == 0 and not gate.exists():
            time.sleep(0.01)
        log(n)
        return n

    with Pool(2) as pool:
        results = pool.imap(task, range(8), chunksize=4, ordered=False)
        others = [next(results) for _ in range(7)]
        gate.touch()
        assert sorted([*others, *results]) == list(range(8))
    names = defaultdict(set)
    for record in kept.records:
        names[record.getMessage()].add(record.procession_task)  # type: ignore[attr-defined]
    assert all(len(each) == 1 for each in names.values()), names
    assert len(set.union(*names.values())) == 8


def test_an_exception_travels_with_its_traceback(kept: Kept) -> None:
    def task() -> None:
        try:
            {}["missing"]
        except KeyError:
            LOG.exception("no luck", stack_info=True)

    with Pool(1) as pool:
        pool.submit(task).result()
    (record,) = kept.records
    text = logging.Formatter().format(record)
    assert "KeyError: 'missing'" in text
    assert "in task" in text
    assert "Stack (most recent call last)" in text
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError
    assert str(record.exc_info[1]) == "'missing'"


class Odd:
    def __repr__(self) -> str:
        return "<odd>"

    def __reduce__(self) -> Any:
        raise TypeError("not to be sent")


def test_what_is_odd_is_told_by_its_text(kept: Kept) -> None:
    def task() -> None:
        LOG.info("%s and %r", Odd(), [1])
        LOG.info(Odd())
        LOG.info({"a": 1})
        LOG.info("%(name)s", {"name": "by name"})
        LOG.info("extra", extra={"odd": Odd()})
        try:
            raise type("Local", (Exception,), {"__reduce__": Odd.__reduce__})("why")
        except Exception:
            LOG.exception("raised")

    with Pool(1) as pool:
        pool.submit(task).result()
    assert kept.texts == ["<odd> and [1]", "<odd>", "{'a': 1}", "by name", "extra", "raised"]
    assert kept.records[4].odd == "<odd>"  # type: ignore[attr-defined]
    assert "Local: why" in logging.Formatter().format(kept.records[5])


def test_arguments_are_those_of_that_moment(kept: Kept) -> None:
    def task() -> None:
        seen = [1]
        LOG.info("%s", seen)
        seen.append(2)

    with Pool(1) as pool:
        pool.submit(task).result()
    assert kept.texts == ["[1]"]


def test_a_message_that_does_not_fit_its_arguments_costs_nothing_else(
    kept: Kept, capfd: pytest.CaptureFixture[str]
) -> None:
    def task() -> int:
        LOG.info("%d", [])
        LOG.info("after")
        return 7

    with Pool(1) as pool:
        assert pool.submit(task).result() == 7
    assert kept.texts == ["after"]
    assert "TypeError" in capfd.readouterr().err


def test_long_messages(kept: Kept) -> None:
    sizes = [0, 10, 4_000, 4_096, 5_000, 70_000, 900_000]
    with Pool(2) as pool:
        list(pool.map(lambda size: LOG.info("x" * size), sizes))
        pool.submit(lambda: LOG.info("x" * 2_000_000)).result()  # of this there is only the count
        pool.submit(lambda: LOG.info("y")).result()
    assert sorted(map(len, kept.texts)) == sorted([*sizes, 1])


# ------------------------------------------------------------------------------------------------------ who asks for it


def enabled(*names: str) -> list[bool]:
    return [logging.getLogger(name).isEnabledFor(level) for name in names for level in (10, 20, 30, 40)]


def test_levels_are_the_parents(pool: Pool, kept: Kept) -> None:
    """As they are at that moment, whatever is set, and whoever asks: a worker that is there, and one that is not."""
    names = ["tests.context", "tests.context.below", "tests.elsewhere", "root"]
    other = logging.getLogger("tests.elsewhere")

    def same() -> None:
        assert pool.submit(enabled, *names).result() == enabled(*names)

    try:
        same()
        LOG.setLevel(logging.DEBUG)
        same()
        other.setLevel(logging.CRITICAL)
        same()
        logging.disable(logging.INFO)
        same()
        logging.disable(logging.NOTSET)
        same()
        other.setLevel(logging.NOTSET)
        same()
        LOG.setLevel(logging.ERROR)
        assert [each.result() for each in [pool.submit(enabled, *names) for _ in range(9)]] == [enabled(*names)] * 9
    finally:
        logging.disable(logging.NOTSET)
        other.setLevel(logging.NOTSET)


def test_levels_change_in_the_middle_of_a_task(kept: Kept, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    os.mkfifo(begun)

    def task(path: str) -> list[bool]:
        before = LOG.isEnabledFor(logging.DEBUG)
        with open(path, "w") as gate:
            gate.write("here")
        with open(path) as gate:
            gate.read()
        return [before, LOG.isEnabledFor(logging.DEBUG)]

    with Pool(1) as pool:
        future = pool.submit(task, str(begun))
        assert begun.read_text() == "here"
        LOG.setLevel(logging.DEBUG)
        begun.write_text("set")
        assert future.result() == [False, True]


def test_nothing_is_done_for_a_record_that_nobody_wants(kept: Kept) -> None:
    def task() -> list[str]:
        asked = []

        class Costly:
            def __str__(self) -> str:
                asked.append("")
                return ""

        LOG.debug("%s", Costly())
        LOG.info("%s", Costly())
        return asked

    with Pool(1) as pool:
        assert pool.submit(task).result() == [""]
    assert len(kept.records) == 1


def test_what_a_worker_sets_itself_stays(kept: Kept) -> None:
    def loud() -> None:
        logging.getLogger("tests.context.loud").setLevel(logging.DEBUG)

    def task() -> None:
        logging.getLogger("tests.context.loud").debug("heard")
        LOG.debug("not heard")

    with Pool(1, initializer=loud) as pool:
        pool.submit(task).result()
        LOG.setLevel(logging.WARNING)
        pool.submit(task).result()
    assert kept.texts == ["heard", "heard"]


def test_no_pool_no_trace() -> None:
    """What stands in the place of a dictionary of logging's is there with the first pool, and goes with the last."""
    root: Any = logging.root
    with Pool(1) as pool, Pool(1) as other:
        pool.submit(abs, 1).result()
        other.submit(abs, 1).result()
        assert type(root._cache) is not dict
    assert type(root._cache) is dict


def test_a_forked_child_tells_no_levels(kept: Kept) -> None:
    with Pool(1) as pool:
        before = pool.submit(enabled, LOG.name).result()
        if not (child := os.fork()):
            LOG.setLevel(logging.DEBUG)
            os._exit(0)
        os.waitpid(child, 0)
        assert pool.submit(enabled, LOG.name).result() == before


@warm.afresh()
def test_a_worker_that_logs_nothing_loads_nothing() -> None:
    def loaded() -> list[str]:
        return [name for name in ("logging", "procession.worker.logs") if name in sys.modules]

    with warnings.catch_warnings(), Pool(1) as pool:
        warnings.filters[:] = FRESH  # type: ignore[index]  # pytest's are such that a worker must know
        assert pool.submit(loaded).result() == []


# ---------------------------------------------------------------------------------------- handlers are not called twice

MODULE = """
import logging
handler = logging.FileHandler({path!r})
logging.getLogger("tests.context").addHandler(handler)
logging.getLogger("tests.context.{name}").setLevel(logging.DEBUG)

def task(n):
    logging.getLogger("tests.context").info("%d", n)
"""


def test_handlers_that_a_module_adds_are_called_here_alone(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.txt"
    (tmp_path / "module_with_handlers.py").write_text(MODULE.format(path=str(path), name="x"))
    monkeypatch.syspath_prepend(str(tmp_path))
    import module_with_handlers  # type: ignore[import-not-found]

    try:
        with Pool(2) as pool:
            list(pool.map(module_with_handlers.task, range(10), chunksize=1))
    finally:
        LOG.removeHandler(module_with_handlers.handler)
        module_with_handlers.handler.close()
    assert sorted(map(int, path.read_text().split())) == sorted(map(int, kept.texts)) == list(range(10))


def test_handlers_that_an_initializer_adds_have_the_records() -> None:
    """The recipe of the documentation: a QueueHandler in each worker, a queue to this process."""
    queue = multiprocessing.Queue()

    def begin(queue: Any) -> None:
        logging.getLogger().addHandler(QueueHandler(queue))
        logging.getLogger().setLevel(logging.INFO)

    here = Kept()
    logging.getLogger().addHandler(here)
    try:
        with Pool(1, initializer=begin, initargs=(queue,)) as pool:
            pool.submit(lambda: logging.getLogger("tests.recipe").info("once")).result()
        assert queue.get(timeout=30).getMessage() == "once"
        assert queue.empty()
        assert "once" not in here.texts
    finally:
        logging.getLogger().removeHandler(here)
        queue.close()
        queue.join_thread()


def test_basic_config_in_an_initializer(kept: Kept, capfd: pytest.CaptureFixture[str]) -> None:
    LOG.propagate = True
    with Pool(1, initializer=logging.basicConfig, initargs=()) as pool:
        pool.submit(lambda: LOG.warning("printed there")).result()
    assert capfd.readouterr().err == "WARNING:tests.context:printed there\n"
    assert kept.texts == []


def test_a_task_that_looks_at_its_own_records(kept: Kept) -> None:
    def task() -> tuple[list[str], list[str]]:
        import unittest

        with unittest.TestCase().assertLogs("tests.context", "INFO") as seen:
            LOG.info("caught")
        mine = Kept()
        LOG.addHandler(mine)
        LOG.info("seen by both")
        LOG.removeHandler(mine)
        LOG.info("sent")
        return seen.output, mine.texts

    with Pool(1) as pool:
        assert pool.submit(task).result() == (["INFO:tests.context:caught"], ["seen by both"])
    assert kept.texts == ["seen by both", "sent"]


def test_a_null_handler_is_none(kept: Kept) -> None:
    def task() -> None:
        LOG.addHandler(logging.NullHandler())
        LOG.info("heard")

    with Pool(1) as pool:
        pool.submit(task).result()
    assert kept.texts == ["heard"]


def test_filters_and_switches_are_the_parents(kept: Kept) -> None:
    def drop_odd(record: logging.LogRecord) -> bool:
        return record.args != (1,)

    kept.addFilter(drop_odd)
    with Pool(1) as pool:
        pool.submit(lambda: [LOG.info("%d", n) for n in range(3)]).result()
        LOG.disabled = True
        pool.submit(log, 9).result()
        LOG.disabled = False
    assert kept.texts == ["0", "2"]


def test_without_any_handler_warnings_are_on_stderr(tmp_path: Path) -> None:
    """As logging has it at home, once."""
    import subprocess

    program = """
    import logging
    from procession import Pool
    with Pool(2) as pool:
        pool.submit(lambda: logging.getLogger("a.b").warning("look")).result()
        pool.submit(lambda: logging.getLogger("a.b").info("not this")).result()
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "look\n")


# --------------------------------------------------------------------------------------------------- many, and too many


def flood(task: int, count: int) -> int:
    for n in range(count):
        LOG.log((10, 20, 30)[n % 3], "%d %d", task, n)
    return task


def check_flood(workers: int, tasks: int, count: int, kept: Kept) -> None:
    """Each task's records from INFO on, in order, and none of DEBUG."""
    with Pool(workers) as pool:
        assert list(pool.map(flood, range(tasks), [count] * tasks, chunksize=1)) == list(range(tasks))
    seen: dict[int, list[int]] = defaultdict(list)
    for record in kept.records:
        task, n = record.args  # type: ignore[misc]
        seen[task].append(n)  # type: ignore[index, arg-type]
    wanted = [n for n in range(count) if n % 3]
    assert seen == dict.fromkeys(range(tasks), wanted)


def test_eight_workers_keep_order_and_levels(kept: Kept) -> None:
    check_flood(8, 16, 600, kept)


def test_the_end_waits_for_handlers_that_get_on(kept: Kept) -> None:
    """Each of these records is a note of its own, and its handler slower than what the end waits for a blocked one."""
    slow = logging.Handler()
    slow.emit = lambda record: time.sleep(0.5)  # type: ignore[method-assign]
    LOG.addHandler(slow)
    try:
        with Pool(1) as pool:
            pool.submit(log, *[f"{n}{'x' * 300_000}" for n in range(9)]).result()
    finally:
        LOG.removeHandler(slow)
    assert [text[0] for text in kept.texts] == list("012345678")


@pytest.mark.soak
def test_a_hundred_thousand_records(kept: Kept) -> None:
    check_flood(8, 100, 1500, kept)
    assert len(kept.records) == 100_000


# ---------------------------------------------------------------------------------------------- whoever it is that logs


def test_threads_of_a_task_and_what_it_forks(kept: Kept) -> None:
    def task() -> None:
        threads = [threading.Thread(target=log, args=("x" * 9000, n), name=f"mine-{n}") for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if not (child := os.fork()):
            log("forked")
            os._exit(0)
        os.waitpid(child, 0)

    with Pool(1) as pool:
        pool.submit(task).result()
        assert sorted(kept.texts) == ["0", "1", "2", "3", "forked", *["x" * 9000] * 4]
    assert {record.threadName for record in kept.records} >= {f"mine-{n}" for n in range(4)}


def test_a_signal_handler_in_the_middle_of_records(kept: Kept) -> None:
    def task() -> int:
        rung = 0

        def ring(*_: object) -> None:
            nonlocal rung
            rung += 1
            log(f"rung {'y' * 5000}")

        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        for _ in range(300):
            log("x" * 9000)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return rung

    with Pool(1) as pool:
        rung = pool.submit(task).result()
    assert rung > 0
    assert kept.texts.count("x" * 9000) == 300
    assert kept.texts.count(f"rung {'y' * 5000}") == rung


def test_a_worker_that_dies_has_said_it_first(kept: Kept) -> None:
    def task(n: int) -> None:
        log(f"last words {n}")
        os.kill(os.getpid(), signal.SIGKILL)

    with Pool(1) as pool:
        for n in range(3):
            with pytest.raises(WorkerDied):
                pool.submit(task, n).result()
            assert kept.texts == [f"last words {each}" for each in range(n + 1)]


def test_initializers_and_setups_log(kept: Kept) -> None:
    with Pool(1, initializer=log, initargs=("begun",), setup=lambda: log("set up")) as pool:
        pool.submit(log, "task").result()
    assert kept.texts == ["begun", "set up", "task"]


def test_pools_inside_of_tasks(kept: Kept) -> None:
    def outer() -> str:
        with Pool(1) as inner:
            inner.submit(log, "from below").result()
        log("from between")
        return "done"

    with Pool(1) as pool:
        assert pool.submit(outer).result() == "done"
    assert kept.texts == ["from below", "from between"]


def test_a_spinoff_and_a_generator(kept: Kept) -> None:
    def numbers() -> Iterator[int]:
        for n in range(3):
            log(f"yields {n}")
            yield n

    with SpinOff(log) as spin:
        spin.put("put")
    with Pool(1) as pool:
        assert list(pool.stream(numbers)) == [0, 1, 2]
    assert kept.texts == ["put", "yields 0", "yields 1", "yields 2"]


def test_a_handler_that_submits(kept: Kept) -> None:
    """It runs on no thread that the pool needs."""
    results: SimpleQueue[int] = SimpleQueue()

    class Submitting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            results.put(pool.submit(abs, -3).result(30))

    submitting = Submitting()
    LOG.addHandler(submitting)
    try:
        with Pool(1) as pool:
            pool.submit(log, "one").result()
            assert results.get(timeout=30) == 3
    finally:
        LOG.removeHandler(submitting)


# ------------------------------------------------------------------------------------------------------------- warnings


class OwnWarning(UserWarning):
    """Of a module that workers can import."""


def warn(category: type[Warning] = UserWarning, text: str = "careful") -> None:
    warnings.warn(text, category, stacklevel=1)


def warned(pool: Pool, category: type[Warning]) -> None:
    pool.submit(warn, category).result()
    wait_until(said, "it is told")  # a result waits a tenth of a second for that, which a busy machine may take


def test_warnings_are_warned_here(pool: Pool) -> None:
    for category in (UserWarning, RuntimeWarning, OwnWarning):
        with pytest.warns(category, match="careful") as seen:
            warned(pool, category)
        (warning,) = [each for each in seen if str(each.message) == "careful"]  # 3.12 warns of forks, too
        assert (Path(warning.filename), warning.category) == (Path(__file__), category)


def test_one_place_warns_once() -> None:
    with Pool(3) as pool, warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        list(pool.map(lambda _: warn(), range(30), chunksize=1))
    assert len(seen) == 1


def test_a_category_of_the_task() -> None:
    def task() -> None:
        category = type("Local", (RuntimeWarning,), {"__reduce_ex__": Odd.__reduce__})
        warnings.warn("local", category, stacklevel=1)

    with Pool(1) as pool, pytest.warns(RuntimeWarning, match="local"):
        pool.submit(task).result()


def test_a_task_that_looks_at_its_own_warnings() -> None:
    def task() -> list[str]:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            warn()
        return [str(each.message) for each in seen]

    with Pool(1) as pool, warnings.catch_warnings(record=True) as here:
        assert pool.submit(task).result() == ["careful"]
    assert not here
