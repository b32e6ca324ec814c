"""Where procession deviates from the interpreter's own tests, and why (how to read this: README.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

from .model import PROCESS_STARTS, Case, Start


@dataclass(frozen=True)
class Deviation:
    """Tests that are expected to fail, and must.

    ``tests`` is a pattern for ``module.scenario.method``. ``lend`` asks for a second run of each, which
    must pass: the executor is lent the private attributes that the tests ask for (``loading.LENT``), so
    that all else they assert is still checked.
    """

    tests: str
    kind: Literal["by design", "internal"]
    reason: str
    starts: tuple[Start, ...] = PROCESS_STARTS
    lend: bool = False

    def covers(self, case: Case) -> bool:
        return case.start in self.starts and not case.lent and fnmatchcase(case.id, self.tests)


DEVIATIONS: tuple[Deviation, ...] = (
    Deviation(
        "test_process_pool.ProcessPoolExecutorTest.test_killed_child",
        "by design",
        "One dead worker costs the task it was running and not the pool, so a later submit works; the test wants "
        "it refused.",
    ),
    Deviation(
        "test_process_pool.ProcessPoolExecutorTest.test_python_finalization_error",
        "internal",
        "Makes every thread after a pool's first one fail to start, which is the stdlib's queue feeder; this pool "
        "feeds its workers from its one driver thread.",
    ),
    Deviation(
        "test_process_pool.ProcessPoolExecutorTest.test_saturation",
        "by design",
        "Its tasks are methods of a semaphore, which does not pickle: submit finds that out at once and fails the "
        "future, and no worker is started for what will never be sent; the test counts workers.",
        starts=("zygote", "forkserver", "spawn"),  # fork starts all its workers with the first submit
    ),
    Deviation(
        "test_shutdown.ProcessPoolShutdownTest.test_processes_terminate",
        "by design",
        "Its tasks are given a semaphore, which does not pickle: no worker is started for what will never be sent; the "
        "test counts workers.",
        starts=("zygote", "forkserver", "spawn"),  # fork starts all its workers with the first submit
    ),
    Deviation(
        "test_shutdown.ProcessPoolShutdownTest.test_del_shutdown",
        "internal",
        "Joins the feeder thread of _call_queue, a queue that this pool does not have.",
        lend=True,
    ),
    Deviation(
        "test_shutdown.ProcessPoolShutdownTest.test_shutdown_no_wait",
        "internal",
        "Joins the feeder thread of _call_queue, a queue that this pool does not have.",
        lend=True,
    ),
)


def deviation_of(case: Case, subject: str) -> Deviation | None:
    """The entry that covers a case; the stdlib's own classes deviate from nothing."""
    if subject == "stdlib":
        return None
    return next((entry for entry in DEVIATIONS if entry.covers(case)), None)


def with_lent(cases: Iterable[Case], subject: str) -> list[Case]:
    """The cases, and a lent run of each whose deviation asks for one."""
    every = []
    for case in cases:
        every.append(case)
        deviation = deviation_of(case, subject)
        if deviation is not None and deviation.lend:
            every.append(replace(case, lent=True))
    return every


def unused(cases: Iterable[Case]) -> list[str]:
    """What the list names and these cases do not have: a pattern and start that covers no test."""
    cases = list(cases)
    return [
        f"{entry.tests} ({start})"
        for entry in DEVIATIONS
        for start in entry.starts
        if not any(entry.covers(case) for case in cases if case.start == start)
    ]
