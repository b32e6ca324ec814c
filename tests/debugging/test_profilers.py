"""Hooks of the interpreter in tasks: profile and trace functions, faulthandler, tracemalloc."""

import faulthandler
import os
import signal
import sys
import threading
import tracemalloc
from types import FrameType
from typing import Any

import pytest

from procession import Pool

seen: list[str] = []


def note(frame: FrameType, event: str, arg: object) -> None:
    if event == "call" and frame.f_code.co_name.startswith("task"):
        seen.append(frame.f_code.co_name)


def task_one() -> int:
    return 1


def told() -> list[str]:
    return seen


def test_a_profile_function_of_an_initializer_sees_the_tasks_of_its_worker() -> None:
    with Pool(1, initializer=sys.setprofile, initargs=(note,)) as pool:
        assert [pool.submit(task_one).result() for _ in range(3)] == [1, 1, 1]
        assert pool.submit(told).result() == ["task_one"] * 3


def test_a_profile_function_for_threads_sees_tasks_on_threads() -> None:
    seen.clear()
    threading.setprofile(note)
    try:
        with Pool(1, backend="threads") as pool:
            assert pool.submit(task_one).result() == 1
    finally:
        threading.setprofile(None)
    assert seen == ["task_one"]


def test_a_trace_function_of_an_initializer(capfd: pytest.CaptureFixture[str]) -> None:
    with Pool(1, initializer=sys.settrace, initargs=(note,)) as pool:
        pool.submit(task_one).result()
        assert pool.submit(told).result() == ["task_one"]


def signalled() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def test_a_faulthandler_of_ones_own(capfd: pytest.CaptureFixture[str]) -> None:
    def register() -> None:
        faulthandler.register(signal.SIGUSR1, file=2)

    with Pool(1, initializer=register) as pool:
        pool.submit(signalled).result()
    assert "in signalled" in capfd.readouterr().err


def test_tracemalloc_in_a_worker() -> None:
    def allocated() -> Any:
        kept = [bytes(1000) for _ in range(1000)]
        traces = tracemalloc.take_snapshot().statistics("filename")
        return sum(each.size for each in traces if each.traceback[0].filename == __file__), len(kept)

    with Pool(1, initializer=tracemalloc.start) as pool:
        size, count = pool.submit(allocated).result()
    assert size > 1000 * count
