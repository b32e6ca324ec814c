"""A raising signal at any instruction of next() or close() on a stream of a generator loses no value, and ends it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from procession.backends import tasks
from procession.backends.scripts import LocalScripts
from procession.core.flow import NOTHING
from procession.stream_generator import stream
from tests.flow.fakes import CommandEngine
from tests.flow.interrupts import Interrupter, at_every_point

ITEMS = 6


class Engine(CommandEngine, LocalScripts):
    """One that drives generators, at command."""

    takes_work = True

    def __init__(self) -> None:
        super().__init__()
        self.cancels: list[object] = []

    def cancel_group(self, group: object, kill: bool = False) -> None:
        self.cancels.append(group)  # one step, as a request to an engine is

    def run(self, *arguments: Any) -> None:
        while self.cancels:
            group = self.cancels.pop(0)
            self.receive()
            gone = [task for task, _ in self.waiting if task.group is group]
            self.waiting = [entry for entry in self.waiting if entry[0].group is not group]
            for task in gone:
                task.release()
            self.call_back(tasks.cancel_now(gone))
        super().run(*arguments)

    def call_back(self, watched: list[Any]) -> None:
        assert not watched


class Source:
    """What was asked of the generator."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.ended = 0

    def numbers(self) -> Iterator[int]:
        try:
            for n in range(ITEMS):
                self.asked.append(n)
                yield n
        finally:
            self.ended += 1


def test_next_interrupted_at_every_point() -> None:
    def scenario(interrupter: Interrupter) -> None:
        engine, source = Engine(), Source()
        made = stream(engine, source.numbers, (), {}, None, None)
        course = made._course
        got = []
        while True:
            engine.on_thread()
            try:
                value = interrupter.run(course.take)
            except KeyboardInterrupt:
                continue
            except StopIteration:
                break
            if value is NOTHING:  # where next() would sleep
                course.stirred()
            else:
                got.append(value)
            course.turns.check()
        made.close()
        assert got == source.asked == list(range(ITEMS)), "a value was lost, or came twice"
        assert source.ended == 1

    at_every_point(scenario, 60)


@pytest.mark.parametrize("taken", [1, 2, 4])
def test_close_interrupted_at_every_point(taken: int) -> None:
    def scenario(interrupter: Interrupter) -> None:
        engine, source = Engine(), Source()
        made = stream(engine, source.numbers, (), {}, None, None)
        made._touched = True
        for n in range(taken):
            engine.on_thread()
            while (value := made._course.take()) is NOTHING:
                engine.on_thread()
            assert value == n
        while True:
            try:
                interrupter.run(made.close)
                break
            except KeyboardInterrupt:
                engine.on_thread()
        engine.on_thread()
        assert list(made) == []
        assert made._course.turns.over
        assert source.ended == 1

    at_every_point(scenario, 10)
