"""Worker processes come of age, or take too much memory."""

import os
import pickle
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from itertools import accumulate, count, repeat
from typing import Any

import pytest

from procession import MemoryLimit, Pool
from procession.core import events
from procession.core.pool import PoolCore
from procession.driver.recycling import Limits, Recycler
from procession.testing.model import Guess, ModelTask
from tests.failures import tasks
from tests.failures.kit import PATIENCE, Notes, tidied, wait_until
from tests.failures.recycled import (
    MIB,
    begin_and_end,
    keep,
    last_one_waits_for_the_next,
    number_and_pid,
    said,
    say_start,
    swell,
    swell_at_three,
    take_much,
    wait_for_the_next,
)

# ------------------------------------------------------------------------------------------------------------- by items


def test_the_next_worker_is_started_before_the_quota_is_used_up(notes: Notes) -> None:
    """Row: Workers are replaced. Who has a quota ends when his replacement is ready; this one would wait for it."""
    with Pool(1, initializer=say_start, initargs=(notes.path,), max_tasks_per_child=8) as pool:
        futures = [pool.submit(last_one_waits_for_the_next, notes.path, number) for number in range(21)]
        assert [future.result(60) for future in futures] == list(range(21))
    ran = said(notes.path, "task")
    assert [ran.count(pid) for pid in dict.fromkeys(ran)] == [8, 8, 5]


# --------------------------------------------------------------------------------------------------------------- by age


def test_who_is_too_old_is_replaced_between_two_tasks() -> None:
    """Row: Workers are replaced. By age: while work goes on, each outcome in its order, and none lost."""
    with Pool(1, max_age_per_child=0.05) as pool:
        pids: list[int] = []
        deadline = time.monotonic() + PATIENCE
        numbers = pool.imap(number_and_pid, count(), rate=2000)  # more items in the same time show no more
        for expected, (number, pid) in enumerate(numbers):
            assert number == expected
            pids.append(pid)
            if len(set(pids)) == 4:
                break
            assert time.monotonic() < deadline, "it was never replaced"
        numbers.close()
        assert pids == sorted(pids, key=list(dict.fromkeys(pids)).index), "one after another"
        assert pool.stats().died == 0


def test_what_runs_when_its_worker_comes_of_age_is_not_disturbed(notes: Notes) -> None:
    """Row: Workers are replaced. By age: what runs may take as long as it likes; only then its worker goes."""
    with Pool(1, initializer=say_start, initargs=(notes.path,), max_age_per_child=0.05) as pool:
        assert pool.submit(number_and_pid, 0).result(60)[0] == 0
        future = pool.submit(wait_for_the_next, notes.path)
        assert future.result(60) == said(notes.path, "start")[0]
        wait_until(lambda: pool.submit(os.getpid).result(60) != said(notes.path, "start")[0], "another worker")


def test_two_at_once_run_no_more_than_two(notes: Notes) -> None:
    """Row: Workers are replaced. No more tasks than `max_workers` run at any time, replacements or not."""

    def until_two_were_seen() -> Iterator[str]:
        """A hundred at least; on a crowded machine one may follow the other for long."""
        yield from repeat(notes.path, 100)
        until = time.monotonic() + PATIENCE
        while most_at_once(notes.lines()) < 2 and time.monotonic() < until:
            yield notes.path

    with Pool(2, max_age_per_child=0.02) as pool:
        done = len(list(pool.imap(begin_and_end, until_two_were_seen(), chunksize=1)))
    lines = notes.lines()
    assert lines.count("begin") == lines.count("end") == done
    assert most_at_once(lines) == 2


def most_at_once(lines: list[str]) -> int:
    return max(accumulate(1 if line == "begin" else -1 for line in lines))


# ------------------------------------------------------------------------------------------------------------ by memory


def test_who_takes_too_much_memory_is_replaced_between_two_tasks() -> None:
    """Row: Workers are replaced. By memory: a leak costs no task, and never comes to more than it may."""
    with Pool(1, max_memory_per_child=(64 * MIB, 1024 * MIB)) as pool:
        seen = {pool.submit(keep, 8 * MIB).result(60)}

        def another() -> bool:
            seen.add(pool.submit(keep, MIB // 2).result(60))
            return len(seen) == 3

        wait_until(another, "two replacements")
        assert pool.stats().died == 0
        assert pool.stats().failed == 0


def test_what_makes_its_worker_take_too_much_is_ended() -> None:
    """Row: A task takes too much memory. It fails with `MemoryLimit`, with where it was; the pool lives."""
    with Pool(1, max_memory_per_child=(48 * MIB, 64 * MIB)) as pool:
        before = pool.submit(os.getpid).result(60)
        futures = [pool.submit(swell), *(pool.submit(abs, -number) for number in range(50))]
        error = futures[0].exception(60)
        assert isinstance(error, MemoryLimit)
        assert isinstance(error, MemoryError)
        assert isinstance(error, BrokenProcessPool)
        assert error.limit == 64 * MIB
        assert error.pid == before
        assert error.peak_rss is not None
        assert error.peak_rss > 64 * MIB
        assert error.oom is False
        assert "in swell" in error.stack
        assert "the ceiling of 64 MiB that max_memory_per_child sets" in str(error)
        copied = pickle.loads(pickle.dumps(error))
        assert isinstance(copied, MemoryLimit)
        assert (copied.limit, str(copied)) == (error.limit, str(error))
        assert [future.result(60) for future in futures[1:]] == list(range(50))
        assert pool.submit(os.getpid).result(60) != before
        assert pool.stats().died == 1


def test_the_programs_that_it_started(notes: Notes) -> None:
    """Row: A task takes too much memory. Programs that it has started, and theirs, are told to end after it."""
    with Pool(1, max_memory_per_child=(48 * MIB, 64 * MIB)) as pool:
        error = pool.submit(tasks.swell_beside_a_program, notes.path).exception(60)
        assert isinstance(error, MemoryLimit)
        wait_until(lambda: tidied(notes), "they end")
        assert pool.submit(tasks.double, 3).result(60) == 6


def test_an_item_of_a_stream() -> None:
    """Row: A task takes too much memory. In a stream it is the one item; the others come, in their order."""
    with Pool(2, max_memory_per_child=(48 * MIB, 64 * MIB)) as pool:
        found = list(pool.imap(swell_at_three, range(9), on_error="return"))
        error = found[3]
        assert isinstance(error, MemoryLimit)
        assert error.index == 3
        assert found == [0, 1, 2, error, 4, 5, 6, 7, 8]


def test_it_may_run_again() -> None:
    """Row: A task takes too much memory. With retries it runs again, and the last error tells of each run."""
    with Pool(1, max_memory_per_child=(48 * MIB, 64 * MIB)) as pool:
        error = pool.options(retries=1).submit(swell).exception(60)
        assert isinstance(error, MemoryLimit)
        assert pool.stats().retries == 1
        assert any("MemoryLimit" in note for note in error.__notes__)
        assert pool.options(retries=1, retry_on=ValueError).submit(swell).exception(60) is not None
        assert pool.stats().retries == 1


def test_by_a_context_of_multiprocessing() -> None:
    """Row: A task takes too much memory. With an `mp_context` all the same."""
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    with Pool(1, context, max_memory_per_child=(64 * MIB, 96 * MIB)) as pool:
        assert isinstance(pool.submit(swell).exception(60), MemoryLimit)
        assert pool.submit(abs, -1).result(60) == 1


# ----------------------------------------------------------------------------------------------------- left in peace


class Driven:
    """A core with one idle worker, this very process, and a driver that only counts."""

    def __init__(self, *, worked: bool) -> None:
        self.core = PoolCore(1)
        self.pids = {0: os.getpid()}
        self.told: list[events.Event] = []
        self.core.step(events.Submitted([ModelTask(0, 1, Guess(1e9))]))
        self.core.step(events.WorkerReady(0))
        if worked:
            self.core.step(events.CallsDone(0, [None]))

    def step(self, event: events.Event) -> None:
        self.told.append(event)

    def look(self, wid: int) -> None:
        self.told.append(events.Looked(wid))


def test_an_idle_pool_is_left_in_peace() -> None:
    """Row: Workers are replaced. A worker that does nothing is looked at once more, and then nobody wakes for it."""
    driven = Driven(worked=True)
    recycler = Recycler(driven, Limits(None, 1 << 50, 1 << 51))
    recycler.born(0)
    assert recycler.wanted_at() is not None
    recycler.watch()
    assert driven.told == [events.Looked(0)]
    assert recycler.wanted_at() is None
    recycler.watch()
    assert driven.told == [events.Looked(0)]


def test_the_peak_is_no_less_than_what_was_seen() -> None:
    """Row: A task takes too much memory. The kernel's own peak may lag behind what it has shown; the most is told."""
    driven = Driven(worked=True)
    recycler = Recycler(driven, Limits(None, 1, 1 << 50))
    assert recycler.most(0, None) is None
    recycler.born(0)
    assert recycler.most(0, None) is None
    recycler.watch()
    seen = recycler.most(0, 1)
    assert seen is not None
    assert seen > 1
    assert recycler.most(0, None) == seen
    assert recycler.most(0, 1 << 60) == 1 << 60
    recycler.gone(0)
    assert recycler.most(0, 1) == 1


def test_a_limit_below_what_a_worker_starts_with_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Row: Workers are replaced. A limit that a worker exceeds before it has done anything: that is logged, once."""
    with Pool(2, max_memory_per_child=16 * MIB, setup=take_much) as pool:
        assert list(pool.imap(abs, range(-6, 0))) == [6, 5, 4, 3, 2, 1]
        wait_until(lambda: caplog.records, "the warning")
    assert [record.getMessage().split(" takes ")[0] for record in caplog.records] == ["a worker that has done nothing"]


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ({"max_memory_per_child": "1G"}, TypeError, "integer of bytes"),
        ({"max_memory_per_child": 1e9}, TypeError, "integer of bytes"),
        ({"max_memory_per_child": True}, TypeError, "integer of bytes"),
        ({"max_memory_per_child": (64 * MIB,)}, TypeError, "tuple of two"),
        ({"max_memory_per_child": (64 * MIB, None)}, TypeError, "NoneType"),
        ({"max_memory_per_child": -1}, ValueError, "at least 16,777,216 bytes"),
        ({"max_memory_per_child": 8 * MIB}, ValueError, "the interpreter of a worker takes by itself"),
        ({"max_memory_per_child": (64 * MIB, 32 * MIB)}, ValueError, "hard must be at least soft"),
        ({"max_age_per_child": 0}, ValueError, "greater than 0 seconds"),
        ({"max_age_per_child": -1.0}, ValueError, "greater than 0 seconds"),
        ({"max_age_per_child": float("nan")}, ValueError, "greater than 0 seconds"),
        ({"max_age_per_child": "1 h"}, TypeError, "number of seconds"),
        ({"max_age_per_child": True}, TypeError, "number of seconds"),
        ({"max_memory_per_child": 64 * MIB, "backend": "threads"}, TypeError, 'backend="processes"'),
        ({"max_age_per_child": 1, "backend": "inline"}, TypeError, 'backend="processes"'),
        ({"memory_limit": 64 * MIB}, TypeError, "use max_memory_per_child"),
    ],
)
def test_limits_that_make_no_sense_are_refused(words: dict[str, Any], error: type[Exception], said: str) -> None:
    """Row: Workers are replaced. Limits that no worker could keep, and other nonsense, are refused at the call."""
    with pytest.raises(error, match=said.replace("(", r"\(")):
        Pool(1, **words)


def test_no_fork_from_a_program_that_has_threads_by_then() -> None:
    """Row: Workers are replaced. Not with the `fork` context: a replacement would be forked beside running threads."""
    import multiprocessing

    with pytest.raises(ValueError, match="max_age_per_child is incompatible with the 'fork'"):
        Pool(1, multiprocessing.get_context("fork"), max_age_per_child=1)
