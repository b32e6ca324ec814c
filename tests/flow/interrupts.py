"""Ctrl-C at every instruction where the interpreter looks for signals, one after another, without a clock.

CPython looks for signals when a Python function is entered, when a call of a C function has returned, and at the end of
a loop's body. The first two are where a profile function is called, and one that raises does there what a raising
signal handler does. So an operation can be repeated with an interrupt at its first such point, its second, and so on.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from procession.core.flow import NOTHING

POINTS = ("call", "c_return")


class Interrupter:
    """Interrupts what it runs at one chosen point inside procession."""

    def __init__(self, at: int, kind: type[BaseException] = KeyboardInterrupt) -> None:
        self.left = at
        self.kind = kind
        self.struck = ""

    def run(self, operation: Callable[[], Any]) -> Any:
        """`operation()`; raises `kind` at the chosen point, if it comes so far."""
        if self.struck:
            return operation()
        sys.setprofile(self._look)
        try:
            return operation()
        finally:
            sys.setprofile(None)

    def _look(self, frame: FrameType, event: str, arg: Any) -> None:
        if event not in POINTS or "procession" not in frame.f_code.co_filename or "/tests/" in frame.f_code.co_filename:
            return
        if self.left == 0:
            sys.setprofile(None)
            self.struck = f"{event} in {frame.f_code.co_qualname}:{frame.f_lineno}"
            raise self.kind(self.struck)
        self.left -= 1


def taken(
    interrupter: Interrupter,
    take: Callable[[], Any],
    wait: Callable[[], object],
    before: Callable[[], object] = bool,
) -> list[Any]:
    """All that `take` gives, whatever is struck, an arithmetic failure by its name.

    `wait`: where it gives NOTHING. `before`: before each time.
    """
    got: list[Any] = []
    while True:
        before()
        try:
            got.append(interrupter.run(take))
        except KeyboardInterrupt:
            continue
        except StopIteration:
            return got
        except ArithmeticError as error:
            got.append(type(error).__name__)
            error.__traceback__ = None  # which has the stream, by this frame: a cycle, since its task's frames have it
            continue
        if got[-1] is NOTHING:
            got.pop()
            wait()


def at_every_point(scenario: Callable[[Interrupter], None], least: int, points: Iterable[int] = range(100_000)) -> None:
    """Run `scenario` with an interrupt at each point in turn, until it runs through; `least` points, to be sure.

    points: others than all of them, where a scenario takes long.
    """
    gc.collect()  # what other tests have left in cycles is not to meet its end, and an interrupt, here
    for at in points:
        interrupter = Interrupter(at)
        try:
            scenario(interrupter)
        except BaseException as error:
            error.add_note(f"interrupted at point {at}: {interrupter.struck or 'not at all'}")
            raise
        if not interrupter.struck:
            assert at >= least, f"only {at} points were tried"
            return
