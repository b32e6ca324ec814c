"""The load under which workers are killed: threads that hand work over in every way and judge each answer.

Each task has a number of its own and notes its start in an O_APPEND file; each answer is filed under that number. What
the two books must have in common is checked at the end (`Book.breaches`).
"""

import itertools
import os
import random
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from typing import Any

from procession import MemoryLimit, Pool, SpinOff, TaskTimeout, WorkerDied
from tests.soak import flows, live, traces
from tests.soak.work import (
    BALLOONS,
    CANCELLED,
    CRASHES,
    DIED,
    HANGS,
    LATE,
    LIMITS,
    RIGHT,
    THROUGH,
    UNKNOWN,
    right,
    risky,
    work,
    work_of,
)


class Struck(BaseException):
    """Raised by a signal handler."""


def raise_struck(_signum: int, _frame: object) -> None:
    raise Struck


@contextmanager
def strikes() -> Iterator[None]:
    """SIGPROF raises. A strike within a finalizer, or the callback of a weak reference, reaches nobody; who hears of
    such exceptions (pytest) keeps them, and with them the frames of all callers, a pool and all."""
    hear, before = sys.unraisablehook, signal.signal(signal.SIGPROF, raise_struck)

    def hear_others(told: Any) -> None:
        if told.exc_type is not Struck:
            hear(told)

    sys.unraisablehook = hear_others
    try:
        yield
    finally:
        signal.signal(signal.SIGPROF, before)
        sys.unraisablehook = hear


PATIENCE = 60.0
"""Seconds without any answer after which something hangs."""


# ------------------------------------------------------------------------------------------------------- the books


class Book:
    """Every task's number and what became of it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.numbers = itertools.count()
        self.answers = bytearray(1 << 16)
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()
        self.moved = time.monotonic()
        self.runs: dict[int, int] = {}  # of risky tasks: so often each may be started
        self._turns: list[tuple[list[int], int]] = []
        self._lock = threading.Lock()
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))

    def number(self) -> int:
        number = next(self.numbers)
        if number >= len(self.answers):
            with self._lock:
                while number >= len(self.answers):
                    self.answers.extend(bytes(len(self.answers)))
        return number

    def file(self, who: str, number: int, answer: Any) -> None:
        """`answer`: a value, an exception, or CANCELLED."""
        self.moved = time.monotonic()
        if self.answers[number]:
            self.wrong.append(f"{who}: task {number} was answered twice")
        if answer is CANCELLED:
            self.answers[number] = CANCELLED
            self.counts["cancelled"] += 1
        elif isinstance(answer, MemoryLimit):
            self.wrong.append(f"{who}: task {number} takes little memory, and died of {answer}")
        elif isinstance(answer, WorkerDied):
            self.answers[number] = DIED
            if answer.signal not in (None, signal.SIGKILL):  # nobody sends another
                self.wrong.append(f"{who}: the worker of task {number} died of {answer}")
            with self._lock:
                self.counts["died"] += 1
        elif right(number, answer):
            self.answers[number] = RIGHT
        else:
            self.wrong.append(f"{who}: task {number} was answered by {str(answer)[:200]!r}")

    def file_through(self, number: int) -> None:
        """Of an item that gives nothing, by intention."""
        self.answers[number] = THROUGH

    def alive(self) -> None:
        """Something has moved."""
        self.moved = time.monotonic()

    def in_turn(self, numbers: list[int], keys: int) -> None:
        """Of those with the same rest, each started after the one before it; looked at in the end."""
        self._turns.append((numbers, keys))

    def file_risky(self, who: str, number: int, answer: Any) -> None:
        """Of a task that may have hung or crashed by itself, and may have run several times."""
        kind = number * 2654435761 % 97
        if isinstance(answer, TaskTimeout):
            self.moved = time.monotonic()
            self.answers[number] = LATE
            self.counts["timeouts"] += 1
            self.counts["timeouts of who had not hung"] += kind not in HANGS + BALLOONS
        elif kind in BALLOONS and isinstance(answer, MemoryLimit):
            self.moved = time.monotonic()
            self.answers[number] = DIED
            self.counts["ceilings"] += 1
        elif kind in CRASHES and isinstance(answer, WorkerDied):
            self.moved = time.monotonic()
            self.answers[number] = DIED
            self.counts["crashes"] += 1
        elif kind in HANGS or kind in CRASHES:
            if not isinstance(answer, WorkerDied):
                self.wrong.append(f"{who}: task {number}, which cannot end, was answered by {str(answer)[:200]!r}")
            self.answers[number] = DIED
        else:
            self.file(who, number, answer)

    def breaches(self) -> Iterator[str]:
        """What may not be, over all tasks."""
        yield from self.wrong[:20]
        starts = bytearray(len(self.answers))
        turns = {number for numbers, _ in self._turns for number in numbers}
        places: dict[int, int] = {}
        with open(self.path) as file:
            for place, line in enumerate(file):
                number = int(line.split()[0])
                starts[number] = min(starts[number] + 1, 255)
                if number in turns:
                    places.setdefault(number, place)
        for numbers, keys in self._turns:
            for key in range(keys):
                mine = [places[number] for number in numbers if number % keys == key and number in places]
                if mine != sorted(mine):
                    yield f"of {numbers[0]}..{numbers[-1]}, those of key {key} did not start in order"
        total = next(self.numbers)
        self.counts["tasks"] = total
        self.counts["started"] = sum(1 for n in range(total) if starts[n])
        for number in range(total):
            answer, started = self.answers[number], starts[number]
            if started > self.runs.get(number, 1):
                yield f"task {number} was started {started} times"
            if answer in (RIGHT, THROUGH) and not started:
                yield f"task {number} was answered and never started"
            if not answer:
                yield f"task {number} has no answer (started {started} times)"


# ------------------------------------------------------------------------------------------------------ the threads


class Load:
    """Threads that work until `stop`; a shared pool, which is replaced now and then."""

    def __init__(self, book: Book, seed: object, workers: int) -> None:
        self.book = book
        self.seed = seed
        self.workers = workers
        self.stop = threading.Event()
        self.broken: list[str] = []
        self.pool = self.new_pool(self.rng("first pool"))
        ways = [self.submit, self.submit, self.cancel, self.imap, self.map, self.spin_one, self.spin_many, self.recycle]
        ways += [self.risk, self.storm, self.look]
        named = [(way.__name__, way) for way in ways] + [
            (way.__name__, partial(way, self)) for way in (*flows.WAYS, *live.WAYS, *traces.WAYS)
        ]
        self.threads = [
            threading.Thread(target=self._run, args=(way, f"{name}-{n}"), name=f"{name}-{n}")
            for n, (name, way) in enumerate(named)
        ]

    def rng(self, who: str) -> random.Random:
        return random.Random(f"{self.seed}/{who}")

    def new_pool(self, rng: random.Random) -> Pool:
        self.book.counts["pools"] += 1
        auto = rng.random() < 0.4
        return Pool(
            "auto" if auto else self.workers,
            max_workers_cap=2 * self.workers if auto else None,
            max_tasks_per_child=rng.choice([None, None, 50, 500]),
            max_age_per_child=rng.choice([None, None, 0.3]),
            max_memory_per_child=rng.choice([None, LIMITS]),
        )

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def finish(self) -> bool:
        """Stop, and wait for the last answers; False when a thread hangs."""
        self.stop.set()
        deadline = time.monotonic() + PATIENCE
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self.threads)

    def _run(self, way: Callable[[random.Random, str], None], who: str) -> None:
        rng = self.rng(who)
        try:
            while not self.stop.is_set():
                way(rng, who)
                if rng.random() < 0.1:
                    self.stop.wait(rng.uniform(0, 0.3))  # so that workers are idle at times
        except BaseException as error:
            self.broken.append(f"{who} ended by {type(error).__name__}: {error}")
            import traceback

            traceback.print_exc()

    def _settle(self, who: str, futures: deque[tuple[int, Future[Any]]], most: int) -> None:
        while len(futures) > most:
            number, future = futures.popleft()
            try:
                answer: Any = future.result(PATIENCE)
            except BaseException as error:
                answer = error
            self.book.file(who, number, answer)

    def submit(self, rng: random.Random, who: str) -> None:
        """A burst on the shared pool."""
        pool, book = self.pool, self.book
        futures: deque[tuple[int, Future[Any]]] = deque()
        for _ in range(rng.choice([1, 10, 100, 1000])):
            number = book.number()
            futures.append((number, pool.submit(work, number, book.path)))
            self._settle(who, futures, 300)
        self._settle(who, futures, 0)

    def cancel(self, rng: random.Random, who: str) -> None:
        """A burst, of which some is cancelled at once, some a little later."""
        pool, book = self.pool, self.book
        waiting: deque[tuple[int, Future[Any]]] = deque()
        burst = [(number := book.number(), pool.submit(work, number, book.path)) for _ in range(rng.randrange(100))]
        for number, future in rng.sample(burst, len(burst) // 2):
            if future.cancel():
                book.file(who, number, CANCELLED)
        waiting.extend((number, future) for number, future in burst if not future.cancelled())
        self._settle(who, waiting, 0)

    def risk(self, rng: random.Random, who: str) -> None:
        """A burst under timeouts, some with further runs, of tasks of which some hang and some crash."""
        book, retries = self.book, rng.choice([0, 0, 2])
        view = self.pool.options(timeout=rng.choice([0.3, 0.6]), retries=retries, grace=rng.choice([0, 0, 0.05]))
        burst: list[tuple[int, Future[Any]]] = []
        for _ in range(rng.choice([5, 50])):
            number = book.number()
            book.runs[number] = 1 + retries
            burst.append((number, view.submit(risky, number, book.path)))
        for number, future in burst:
            try:
                answer: Any = future.result(PATIENCE)
            except BaseException as error:
                answer = error
            book.file_risky(who, number, answer)

    def strike(self, rng: random.Random, who: str) -> None:
        """In the main thread: a call, and a timer whose handler raises somewhere in it, once at most."""
        pool, book, number = self.pool, self.book, self.book.number()
        made: list[Future[Any]] = []
        try:
            try:
                signal.setitimer(signal.ITIMER_PROF, 10 ** rng.uniform(-5, -2.3))
                made.append(pool.submit(work, number, book.path))
                made[0].result(PATIENCE)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
        except Struck:
            book.counts["strikes"] += 1
        except BaseException:
            pass  # it is looked at again
        if made:
            self._settle(who, deque([(number, made[0])]), 0)
        else:
            book.answers[number] = UNKNOWN  # struck in the submit: it was handed over, or it was not

    def storm(self, rng: random.Random, who: str) -> None:
        """Several threads cancel the same tasks, running ones among them: whoever is told True, it is cancelled."""
        pool, book = self.pool, self.book
        burst = [(number := book.number(), pool.submit(work, number, book.path)) for _ in range(rng.randrange(60))]
        said: list[list[bool]] = []
        orders = [rng.sample(range(len(burst)), len(burst)) for _ in range(3)]

        def cancel(order: list[int]) -> None:
            answers = [False] * len(burst)
            for at in order:
                answers[at] = burst[at][1].cancel()
            said.append(answers)

        threads = [threading.Thread(target=cancel, args=(order,)) for order in orders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for at, (number, future) in enumerate(burst):
            if any(answers[at] for answers in said):
                book.file(who, number, CANCELLED)
                if not future.cancelled():
                    book.wrong.append(f"{who}: task {number} was said to be cancelled, and is not")
            else:
                self._settle(who, deque([(number, future)]), 0)

    def imap(self, rng: random.Random, who: str) -> None:
        """A stream on the shared pool; in order, or each once."""
        pool, book = self.pool, self.book
        pulled: list[int] = []

        def source() -> Iterator[int]:
            for _ in range(rng.choice([10, 300, 3000])):
                if self.stop.is_set():
                    return
                pulled.append(number := book.number())
                yield number

        ordered, live = rng.random() < 0.7, rng.random() < 0.3
        words: dict[str, Any] = {"window": rng.choice([None, 8, 200]), "chunksize": rng.choice([None, None, 1, 25])}
        stream = pool.imap(work, source(), repeat(book.path), on_error="return", ordered=ordered, live=live, **words)
        handed = 0
        for answer in stream:
            if isinstance(answer, WorkerDied):
                number = pulled[answer.index]  # type: ignore[index]
            else:
                number = answer[0]
            if ordered and number != pulled[handed]:
                book.wrong.append(f"{who}: out of order at {handed}")
            book.file(who, number, answer)
            handed += 1
        if handed != len(pulled):
            book.wrong.append(f"{who}: {len(pulled)} items went into a stream and {handed} came out")

    def map(self, rng: random.Random, who: str) -> None:
        """The stdlib's map: right up to the first failure, then that."""
        pool, book = self.pool, self.book
        numbers = [book.number() for _ in range(rng.choice([10, 200, 1000]))]
        results = pool.map(work, numbers, repeat(book.path), chunksize=rng.choice([None, None, 1, 50]))
        done = 0
        try:
            for number, answer in zip(numbers, results, strict=True):
                book.file(who, number, answer)
                done += 1
        except WorkerDied as error:
            book.file(who, numbers[done], error)
            for number in numbers[done + 1 :]:
                book.answers[number] = UNKNOWN  # cancelled, or run and not handed over

    def spin_one(self, rng: random.Random, who: str) -> None:
        self._spin(rng, who, 1)

    def spin_many(self, rng: random.Random, who: str) -> None:
        self._spin(rng, who, rng.choice([2, 3]))

    def _spin(self, rng: random.Random, who: str, workers: int) -> None:
        """A spin-off: put, take what is ready, then the rest; strictly in order."""
        book, numbers = self.book, deque[int]()

        def take(answers: Any) -> None:
            for answer in answers:
                book.file(who, numbers.popleft(), answer)

        self.book.counts["spin-offs"] += 1
        with SpinOff(work_of, workers=workers, on_error="return", maxsize=5000) as spin:
            for n in range(rng.choice([50, 1000, 4000])):
                numbers.append(number := book.number())
                spin.put((number, book.path))
                if n % 16 == 0:
                    take(spin.ready())
                if n % 64 == 63:
                    self.stop.wait(0.002)
                if self.stop.is_set():
                    break
        take(spin)
        if numbers:
            book.wrong.append(f"{who}: {len(numbers)} items of a spin-off were not handed over")

    def recycle(self, rng: random.Random, who: str) -> None:
        """Replace the shared pool; the old one is dropped, and ends when its last user lets it go."""
        if not self.stop.wait(rng.uniform(0.5, 5)):
            self.pool = self.new_pool(rng)

    def look(self, rng: random.Random, who: str) -> None:
        """Have the pool show what it is at; whether anybody dies of that, `Book.file` sees."""
        pool = self.pool
        self.book.counts["dumps"] += 1
        began = time.monotonic()
        text = pool.dump()
        took = time.monotonic() - began
        if not text.startswith("pool of processes, ") or took > PATIENCE / 2:
            self.book.wrong.append(f"{who}: after {took:.1f} s, a dump that begins with {text[:60]!r}")
        self.stop.wait(rng.uniform(0, 0.1))
