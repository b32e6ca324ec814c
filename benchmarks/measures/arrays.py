"""NumPy arrays there, back, and both, beside a copy of as many bytes."""

import importlib
import statistics
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

from benchmarks.cell import Cell, NotAvailable, Sample
from benchmarks.measures.base import WORKERS, Measure, Metric, opened, pids_of_all
from benchmarks.peers.base import Peer

MIB = 2**20
IN_TURN = 3
"""So many arrays take turns, so that none goes twice in a row."""

Call = Callable[[int], tuple[float, Any]]
"""Round number -> its seconds, and what came back."""


class Arrays(Measure):
    """One round trip of an array as argument (back comes a number), as result (there goes a number), and as both.

    What is sent is a new array each round, made before the clock; what a worker gives is one of three in turn that it
    has had from the start. The number of the round is written into every 64 kB of it, and must show in what arrives:
    neither an old copy nor one recognised by its identity will do. Rounds that are not counted come first: they warm
    the buffers that a library keeps, and in them the worker adds up all that it got. In a counted round the worker
    reads those numbers only; what came back is read, whole, after the clock: a library that maps memory is not charged
    for all of the reading. The program holds on to a result until it has the next one. The median of some rounds.

    memcpy, the control: numpy.copyto from such a new array into one of three that were written to before; twice for
    "both".
    """

    nbytes: ClassVar[int]
    rounds: ClassVar[tuple[int, int]]
    """At least and at most so many of each kind."""
    budget: ClassVar[float]
    """Seconds after which no further round of a kind begins, once there are enough."""
    metrics = (
        Metric("argument", "as argument", "ms"),
        Metric("result", "as result", "ms"),
        Metric("both", "as argument and result", "ms"),
    )
    repetitions = 2
    kinds = ("import",)

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        least, most = (max(2, n // 3) for n in self.rounds) if cell.quick else self.rounds
        work.prime_arrays((self.nbytes, IN_TURN, 0.0))
        with opened(peer):
            ways = self._copies(work) if self.name in peer.controls else self._trips(peer, work)
            values = {way: _median_millis(call, least, most, self.budget) for way, call in ways.items()}
        return Sample(values)

    def _trips(self, peer: Peer, work: ModuleType) -> dict[str, Call]:
        pids_of_all(peer, work, WORKERS, prime=(work.prime_arrays, (self.nbytes, IN_TURN, 0.05)))
        expected = self.nbytes // 8
        kept: list[Any] = [None]

        def timed(fn: Callable[[Any], Any], item: Any) -> tuple[float, Any]:
            began = time.perf_counter()
            kept[0] = peer.call(fn, item)
            return time.perf_counter() - began, kept[0]

        def argument(number: int) -> tuple[float, Any]:
            array = work.numbered(number).copy()
            whole = number < IN_TURN
            seconds, (length, total) = timed(work.total if whole else work.sampled, array)
            here = work.total(array) if whole else work.sampled(array)
            return seconds, _same((length, total), here)

        def result(number: int) -> tuple[float, Any]:
            seconds, array = timed(work.numbered, number)
            return seconds, _same(work.total(array), (expected, work.total_of(number, expected)))

        def both(number: int) -> tuple[float, Any]:
            seconds, array = timed(work.noop, work.numbered(number).copy())
            return seconds, _same(work.total(array), (expected, work.total_of(number, expected)))

        return {"argument": argument, "result": result, "both": both}

    def _copies(self, work: ModuleType) -> dict[str, Call]:
        numpy = importlib.import_module("numpy")
        targets = [numpy.ones(self.nbytes // 8) for _ in range(IN_TURN)]

        def copied(number: int, times: int) -> tuple[float, Any]:
            source, target = work.numbered(number).copy(), targets[number % IN_TURN]
            began = time.perf_counter()
            for _ in range(times):
                numpy.copyto(target, source)
            return time.perf_counter() - began, _same(work.total(target), work.total(source))

        once: Call = lambda number: copied(number, 1)  # noqa: E731
        return {"argument": once, "result": once, "both": lambda number: copied(number, 2)}


class ArrayLarge(Arrays):
    """Timed: one round trip that carries an array of 64 MB as argument, as result, or as both (see `Arrays`)."""

    name = "array_64mb"
    title = "64 MB numpy array"
    nbytes = 64_000_000
    rounds = (5, 15)
    budget = 0.5
    peers = ("ppe", "joblib", "memcpy", "procession-pure", "procession")


class ArraySmall(Arrays):
    """Timed: one round trip that carries an array of 1 MB as argument, as result, or as both (see `Arrays`)."""

    name = "array_1mb"
    title = "1 MB numpy array"
    nbytes = 1_000_000
    rounds = (30, 200)
    budget = 0.3
    peers = ("ppe", "joblib", "memcpy", "procession-pure", "procession")


class ArrayArena(Measure):
    """Timed: one round trip that carries an array which `procession.empty` has made, of 1, 64 and 512 MB.

    As argument: the program has made it, and writes another number into 16 places of it before each round; the worker
    reads those. As result: the worker has made it, and does so. Each has gone three times before. No part of the
    time may grow with the size, since nothing need be copied; what a page costs that is touched for the first time in
    a process is in it. The median of 20 rounds (quick: 5). Only for a library that has such arrays.
    """

    name = "array_arena"
    title = "array already in the arena"
    metrics = (
        *(Metric(f"argument_{size}", f"{size} MB as argument", "ms") for size in (1, 64, 512)),
        Metric("result_64", "64 MB as result", "ms"),
    )
    baseline = "procession-pure"
    repetitions = 2
    kinds = ("import",)

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        if not hasattr(peer.library(), "empty"):
            raise NotAvailable("this procession has no arrays in an arena: no procession.empty")
        rounds = 5 if cell.quick else 20
        values = {}
        with opened(peer):
            for size in (1, 64, 512):
                array = peer.library().empty((size * MIB // 8,), "float64")
                array[:] = 1.0
                values[f"argument_{size}"] = _median_millis(_sending(peer, work, array), rounds, rounds, 0.0)
                del array
            values["result_64"] = _median_millis(_getting(peer, work, 64 * MIB), rounds, rounds, 0.0)
        return Sample(values)


def _sending(peer: Peer, work: ModuleType, array: Any) -> Call:
    def call(number: int) -> tuple[float, Any]:
        work.mark(array, number)
        began = time.perf_counter()
        got = peer.call(work.marks, array)
        return time.perf_counter() - began, _same(got, work.marks(array))

    return call


def _getting(peer: Peer, work: ModuleType, nbytes: int) -> Call:
    def call(number: int) -> tuple[float, Any]:
        began = time.perf_counter()
        array = peer.call(work.from_arena, (nbytes, number))
        return time.perf_counter() - began, _same(work.marks(array), (nbytes // 8, float(number * work.PLACES)))

    return call


def _same(got: Any, expected: Any) -> Any:
    if got != expected:
        raise AssertionError(f"{got} arrived instead of {expected}")
    return got


def _median_millis(call: Call, least: int, most: int, budget: float) -> float:
    """Milliseconds; the first round of each array is not counted."""
    times: list[float] = []
    until = float("inf")
    for number in range(most + IN_TURN):
        if len(times) >= least and time.perf_counter() > until:
            break
        seconds, _ = call(number)
        if number >= IN_TURN:
            times.append(seconds)
        elif number == IN_TURN - 1:
            until = time.perf_counter() + budget
    return statistics.median(times) * 1e3
