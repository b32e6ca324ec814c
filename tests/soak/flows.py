"""More of the load: streams bounded by bytes, spilled, keyed and sticky; spin-offs that drop; pipelines.

Each item has a number in the book, as all work of load.py has, and is filed once. Beside that: what is promised an
order has it (whole streams, or each key), of a key each starts after the one before it, and what was dropped is what
its future says.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from procession import Failure, Pipeline, SpinOff, Stage, WorkerDied
from tests.soak.work import CANCELLED, right, work_of

if TYPE_CHECKING:
    from tests.soak.load import Load

Item = tuple[int, str]
"""A number in the book, and the path of its file."""
KEYS = 7


def key_of(item: Item) -> int:
    return item[0] % KEYS


# ------------------------------------------------------------------------------------------------------------- streams


class Pulled:
    """A source that notes what it gave."""

    def __init__(self, load: Load, count: int) -> None:
        self.numbers: list[int] = []
        self._load = load
        self._count = count

    def __iter__(self) -> Iterator[Item]:
        book = self._load.book
        for _ in range(self._count):
            if self._load.stop.is_set():
                return
            self.numbers.append(number := book.number())
            yield number, book.path

    async def __aiter__(self) -> AsyncIterator[Item]:
        for item in iter(self):
            await asyncio.sleep(0)
            yield item


def bounded(load: Load, rng: random.Random, who: str) -> None:
    """A stream on the shared pool, with all its words."""
    source = Pulled(load, rng.choice([20, 200, 1500]))
    words: dict[str, Any] = {
        "ordered": rng.random() < 0.6,
        "window": rng.choice([None, 8, 200]),
        "live": rng.random() < 0.3,
        "on_error": "return",
    }
    if rng.random() < 0.7:
        words |= {"buffer_bytes": rng.choice([1, 50_000, 3_000_000]), "spill": rng.random() < 0.6}
    keyed = rng.random() < 0.6
    if keyed:
        words |= {"key": key_of, "sticky": rng.random() < 0.5}
    judge = Judge(load, who, source.numbers, words["ordered"], keyed)
    load.book.counts["bounded streams"] += 1
    if rng.random() < 0.3:
        asyncio.run(taken(load, source if rng.random() < 0.5 else iter(source), words, judge))
    else:
        for answer in load.pool.imap(work_of, source, **words):
            judge.took(answer)
    judge.end()


async def taken(load: Load, source: Any, words: dict[str, Any], judge: Judge) -> None:
    async for answer in load.pool.aimap(work_of, source, **words):
        judge.took(answer)


class Judge:
    """Of a stream: each item comes out once, in the order that was promised."""

    def __init__(self, load: Load, who: str, numbers: list[int], ordered: bool, keyed: bool) -> None:
        self._book, self._who, self._numbers = load.book, who, numbers
        self._ordered, self._keyed = ordered, keyed
        self._handed = 0
        self._latest: dict[int, int] = {}

    def took(self, answer: Any) -> None:
        number = self._numbers[answer.index] if isinstance(answer, WorkerDied) else answer[0]  # type: ignore[index]
        if self._ordered and number != self._numbers[self._handed]:
            self._book.wrong.append(f"{self._who}: out of order at {self._handed}")
        if self._keyed and self._latest.get(number % KEYS, -1) > number:
            self._book.wrong.append(f"{self._who}: {number} is out of the order of its key")
        self._latest[number % KEYS] = number
        self._handed += 1
        self._book.file(self._who, number, answer)

    def end(self) -> None:
        if self._handed != len(self._numbers):
            self._book.wrong.append(
                f"{self._who}: {len(self._numbers)} items went into a stream and {self._handed} came out"
            )
        if self._keyed:
            self._book.in_turn(self._numbers, KEYS)


# ----------------------------------------------------------------------------------------------------------- spin-offs


def dropping(load: Load, rng: random.Random, who: str) -> None:
    """A camera: what comes is put, the oldest is dropped; what comes out is a part of it, in order."""
    book = load.book
    keyed = rng.random() < 0.5
    words: dict[str, Any] = {
        "workers": rng.choice([1, 3]),
        "maxsize": rng.choice([1, 8, 50]),
        "overflow": rng.choice(["drop_oldest", "drop_oldest", "drop_newest"]),
        "buffer_bytes": rng.choice([None, 1, 100_000]),
        "on_error": "return",
    }
    if keyed:
        words |= {"key": key_of, "sticky": rng.random() < 0.5, "ordered": rng.random() < 0.5}
    put: list[tuple[int, Future[Any]]] = []
    got: list[Any] = []
    book.counts["dropping spin-offs"] += 1
    with SpinOff(work_of, **words) as spin:
        for n in range(rng.choice([50, 500])):
            number = book.number()
            put.append((number, spin.put((number, book.path))))
            if n % 8 == 0:
                got += spin.ready()
            if rng.random() < 0.02:
                put[rng.randrange(len(put))][1].cancel()
            load.stop.wait(rng.choice([0, 0, 0.002]))
            book.alive()
            if load.stop.is_set():
                break
    got += spin
    stats = spin.stats()
    for number, future in put:
        book.file(who, number, CANCELLED if future.cancelled() else future.exception() or future.result())
    numbers = [answer[0] for answer in got if not isinstance(answer, WorkerDied)]
    if keyed and not words["ordered"]:
        in_order = all(mine == sorted(mine) for mine in ([n for n in numbers if n % KEYS == k] for k in range(KEYS)))
    else:
        in_order = numbers == sorted(numbers)
    if not in_order or len(set(numbers)) != len(numbers):
        book.wrong.append(f"{who}: what came out of a spin-off that drops is not in order, or came twice")
    if len(got) + stats.dropped + stats.cancelled != len(put):
        book.wrong.append(f"{who}: {len(put)} put, {len(got)} taken, {stats}")
    if keyed:
        book.in_turn([number for number, _ in put], KEYS)


# ----------------------------------------------------------------------------------------------------------- pipelines


def copies(value: tuple[int, bytes]) -> list[tuple[int, int, bytes]]:
    """None, one or two of it."""
    return [(value[0], n, value[1]) for n in range(value[0] % 3)]


def numbered(value: tuple[int, int, bytes]) -> tuple[int, int, bytes]:
    return value


def batched(values: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    return values


def key_of_copy(value: tuple[int, int, bytes]) -> int:
    return value[0] % KEYS


def pipes(load: Load, rng: random.Random, who: str) -> None:
    """Stages that make none or many, have keys, batch; the first runs once an item, the others again when they die."""
    book = load.book
    again: dict[str, Any] = {"retries": 100, "retry_on": WorkerDied}
    stages: list[Stage] = [
        Stage(work_of, workers=2, key=key_of if rng.random() < 0.3 else None),
        Stage(copies, many=True, workers=rng.choice([1, 2]), **again),
    ]
    if rng.random() < 0.5:
        keys: dict[str, Any] = {"key": key_of_copy, "sticky": rng.random() < 0.5} if rng.random() < 0.5 else {}
        stages.append(Stage(numbered, workers=2, backend=rng.choice(["processes", "threads"]), **again, **keys))
    if rng.random() < 0.6:
        stages.append(Stage(batched, batch=rng.choice([2, 8]), max_wait=rng.choice([None, 0.01]), **again))
    ordered = rng.random() < 0.7
    bytes_: int | None = rng.choice([None, 1, 500_000])
    pipe = Pipeline(
        *stages,
        ordered=ordered,
        window=rng.choice([None, 5, 50]),
        buffer_bytes=bytes_,
        widths=rng.choice([None, "auto"]),
    )
    source = Pulled(load, rng.choice([10, 100, 400]))
    failures: dict[int, Failure] = {}
    book.counts["pipelines"] += 1
    out: list[tuple[int, int, bytes]] = []

    def failed(failure: Failure) -> None:
        if failure.index in failures:
            book.wrong.append(f"{who}: item {failure.index} has failed twice")
        failures[failure.index] = failure

    for value in pipe.run(source, on_error=failed, live=rng.random() < 0.3):
        out.append(value)
        book.alive()
    judge_pipe(load, who, source.numbers, failures, out, ordered)


def judge_pipe(
    load: Load,
    who: str,
    numbers: list[int],
    failures: dict[int, Failure],
    out: list[tuple[int, int, bytes]],
    ordered: bool,
) -> None:
    book = load.book
    well = [number for index, number in enumerate(numbers) if index not in failures]
    expected = [(number, n) for number in well for n in range(number % 3)]
    found = [(number, n) for number, n, _ in out]
    if found != expected if ordered else sorted(found) != sorted(expected):
        book.wrong.append(f"{who}: a pipeline gave {len(found)} outputs and not {len(expected)}, or not in order")
    answers: dict[int, Any] = {number: (number, payload) for number, _, payload in out}
    for index, number in enumerate(numbers):
        if index in failures:
            book.file(who, number, failures[index].error)
        elif number % 3:
            book.file(who, number, answers.get(number))
        else:
            book.file_through(number)  # nothing is to be seen of it
    for number, _, payload in out:
        if not right(number, (number, payload)):
            book.wrong.append(f"{who}: a pipeline has changed {number}")


WAYS = (bounded, bounded, dropping, pipes)
