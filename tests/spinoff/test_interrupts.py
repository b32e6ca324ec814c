"""A raising signal at any instruction of put, ready and next leaves the SpinOff whole."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from procession.spinoff import SpinOff
from tests.flow.interrupts import Interrupter, at_every_point


class Counted:
    """Doubles, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.ran: list[int] = []

    def __call__(self, x: int) -> int:
        self.ran.append(x)
        return 2 * x


def stubborn(interrupter: Interrupter, operation: Callable[[], Any]) -> Any:
    """Until it has been done; what an interrupted one has taken must not be lost."""
    while True:
        try:
            return interrupter.run(operation)
        except KeyboardInterrupt:
            pass


@pytest.mark.parametrize(
    "words", [{}, {"ordered": False}, {"key": lambda x: x % 2}, {"key": lambda x: 0, "maxsize": 9}]
)
def test_put_interrupted_at_every_point(engines: list[Any], words: dict[str, Any]) -> None:
    def scenario(interrupter: Interrupter) -> None:
        fn = Counted()
        spin = SpinOff(fn, **words)
        sure: set[int] = set()
        futures: list[Future[int]] = []
        for x in range(3):
            try:
                futures.append(interrupter.run(lambda x=x: spin.put(x)))
                sure.add(x)
            except KeyboardInterrupt:
                pass
        engines[-1].on_thread()
        spin.close()
        engines[-1].on_thread()
        got = list(spin)
        assert sorted(fn.ran) == sorted(set(fn.ran)), "an item ran twice"
        assert got == sorted(got)
        assert sorted(2 * x for x in fn.ran) == got
        assert sure <= set(fn.ran), "an item that was put was lost"
        assert all(future.done() for future in futures)
        assert engines[-1].shutdowns

    at_every_point(scenario, 25)


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"ordered": False},
        {"key": lambda x: x % 2},
        {"key": lambda x: x % 2, "sticky": True},
        {"buffer_bytes": 60},
        {"buffer_bytes": 30, "key": lambda x: x % 2},
    ],
)
@pytest.mark.parametrize("take", ["ready", "next"])
def test_taking_interrupted_at_every_point(engines: list[Any], words: dict[str, Any], take: str) -> None:
    def scenario(interrupter: Interrupter) -> None:
        spin = SpinOff(Counted(), **words)
        spin.put_many(range(4))
        engines[-1].on_thread()
        spin.close()
        got: list[int] = []
        while len(got) < 4:
            engines[-1].on_thread()
            if take == "ready":
                got.extend(stubborn(interrupter, spin.ready))
            else:
                got.append(stubborn(interrupter, lambda: next(spin)))
            spin._core.flow.check()
        assert sorted(got) == [0, 2, 4, 6]
        assert list(spin) == []

    at_every_point(scenario, 10)


def test_cancelling_interrupted_at_every_point(engines: list[Any]) -> None:
    def scenario(interrupter: Interrupter) -> None:
        spin = SpinOff(Counted(), key=lambda x: 0)
        futures = spin.put_many(range(4))
        stubborn(interrupter, futures[1].cancel)
        assert futures[1].cancelled()
        spin._core.look_again()
        engines[-1].on_thread()
        spin.close()
        assert list(spin) == [0, 4, 6]

    at_every_point(scenario, 10)


def test_dropping_interrupted_at_every_point(engines: list[Any]) -> None:
    def scenario(interrupter: Interrupter) -> None:
        spin = SpinOff(Counted(), maxsize=2, overflow="drop_oldest")
        spin.put_many(range(2))
        try:
            interrupter.run(lambda: spin.put(2))
        except KeyboardInterrupt:
            pass
        spin._core.look_again()
        spin._core.flow.check()
        engines[-1].on_thread()
        spin.close()
        got = list(spin)
        assert got in ([2, 4], [0, 2], [2])

    at_every_point(scenario, 25)


# ---------------------------------------------------------------------------------------- a real storm


@pytest.mark.parametrize("rounds", [2, pytest.param(80, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
@pytest.mark.parametrize("words", ["", "key", "sticky", "unordered", "bytes", "batch", "rate"])
def test_a_storm_of_raising_signals_loses_nothing(words: str, rounds: int) -> None:
    """In a process of its own: the storm strikes whatever runs in the main thread, a test runner too."""
    command = [sys.executable, "-m", "tests.spinoff.storm", str(rounds), words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20 + 25 * rounds, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0, "nothing was struck"


@pytest.mark.parametrize("name", ["ready", "__next__", "__anext__"])
def test_results_are_handed_over_by_python_alone(name: str) -> None:
    """The interpreter looks for signals when a function of C returns to it: results would be lost with its value."""
    assert inspect.isfunction(vars(SpinOff)[name])


@pytest.mark.parametrize("take", ["ready", "next"])
@pytest.mark.parametrize("words", [{}, {"ordered": False}, {"buffer_bytes": 5000}, {"on_error": "skip"}])
def test_taking_interrupted_where_an_item_failed(engines: list[Any], words: dict[str, Any], take: str) -> None:
    """What is before the failure is returned, or still there; so is the failure, and what is behind it."""

    def invert(x: int) -> float:
        return 6 / x

    def scenario(interrupter: Interrupter) -> None:
        spin = SpinOff(invert, **words)
        spin.put_many([1, 2, 0, 3])
        engines[-1].on_thread()
        spin.close()
        got: list[Any] = []
        for _ in range(9):
            engines[-1].on_thread()
            try:
                if take == "ready":
                    got.extend(stubborn(interrupter, spin.ready))
                else:
                    got.append(stubborn(interrupter, lambda: next(spin)))
            except ZeroDivisionError:
                got.append("failed")
            except StopIteration:
                break
        assert got == [6, 3, *([] if "on_error" in words else ["failed"]), 2]
        assert list(spin) == []

    at_every_point(scenario, 10)
