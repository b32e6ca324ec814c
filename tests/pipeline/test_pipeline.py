"""Pipelines on every backend: what comes out is what a program without any parallelism would give."""

from __future__ import annotations

import gc
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from procession import (
    Failure,
    PicklingError,
    Pipeline,
    PoisonTask,
    Stage,
    TaskTimeout,
    WorkerDied,
    WorkerStartError,
    pipeline_bounds,
)
from procession.pipeline_stats import PipelineStats
from tests.failures.kit import wait_until

from . import work

BACKENDS = ("inline", "threads", "processes")
PATIENCE = 60.0


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=("threads", "processes"))
def apart(request: pytest.FixtureRequest) -> str:
    """Backends whose tasks run while somebody else does something."""
    name: str = request.param
    return name


def flat(values: Any, fn: Callable[[Any], Any]) -> list[Any]:
    return [out for value in values for out in fn(value)]


# -- what comes out ----------------------------------------------------------------------------------------------------


def test_one_callable_is_a_pipeline() -> None:
    assert list(Pipeline(work.double).run(range(50))) == [2 * n for n in range(50)]
    assert list(Pipeline(lambda x: x + 1, work.double).run(range(5))) == [2, 4, 6, 8, 10]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("window", [None, 1, 3])
def test_stages_of_all_kinds(backend: str, ordered: bool, window: int | None) -> None:
    pipe = Pipeline(
        Stage(work.add, workers=3, backend=backend),
        Stage(work.spread, many=True, workers=2, backend=backend),
        Stage(work.doubles, batch=4, backend=backend),
        Stage(work.evens, many=True, key=lambda x: x % 4, workers=2, backend=backend),
        Stage(work.spreads, many=True, batch=3, backend=backend),
        ordered=ordered,
        window=window,
    )
    expected = flat(flat(map(work.add, range(120)), work.spread), lambda x: work.evens(2 * x))
    expected = flat(expected, work.spread)
    got = list(pipe.run(range(120)))
    assert got == expected if ordered else sorted(got) == sorted(expected)


def test_on_different_backends() -> None:
    pipe = Pipeline(
        Stage(work.add, backend="threads", workers=2),
        Stage(work.double, workers=2),
        Stage(work.add, backend="inline"),
    )
    assert list(pipe.run(range(100))) == [2 * (n + 1) + 1 for n in range(100)]


def test_nothing_in_nothing_out(backend: str) -> None:
    assert list(Pipeline(Stage(work.add, backend=backend)).run([])) == []
    assert list(Pipeline(Stage(lambda x: [], many=True, backend=backend)).run(range(30))) == []


def test_an_endless_source(backend: str) -> None:
    pipe = Pipeline(Stage(work.add, backend=backend, workers=2), Stage(work.double, backend=backend))
    with pipe.run(itertools.count()) as outputs:
        assert list(itertools.islice(outputs, 300)) == [2 * (n + 1) for n in range(300)]


def test_arrays_of_a_batch_are_taken_apart(apart: str) -> None:
    numpy = pytest.importorskip("numpy")

    def infer(batch: list[float]) -> Any:
        return numpy.array(batch) * 2

    got = list(Pipeline(Stage(infer, batch=5, backend=apart)).run([1.0, 2.0, 3.0]))
    assert got == [2.0, 4.0, 6.0]


def test_keys_keep_their_order_and_run_one_at_a_time(apart: str, tmp_path: Path) -> None:
    """Of each key the next begins when the one before has ended, and what is handed over keeps the order of the key."""
    path = str(tmp_path / "notes")

    def noted(x: int) -> int:
        work.note(path, f"begin {x}")
        time.sleep(0.0005 * (x % 3))
        work.note(path, f"end {x}")
        return x

    for ordered in (True, False):
        pipe = Pipeline(
            Stage(work.same, workers=3, backend=apart),
            Stage(noted, key=lambda x: x % 5, workers=4, backend=apart),
            ordered=ordered,
        )
        got = list(pipe.run(range(100)))
        assert sorted(got) == list(range(100))
        for key in range(5):
            of_key = [x for x in got if x % 5 == key]
            assert of_key == sorted(of_key)
            lines = [line.split() for line in Path(path).read_text().splitlines()]
            story = [(word, int(x)) for word, x in lines if int(x) % 5 == key]
            assert story == [(word, x) for x in range(key, 100, 5) for word in ("begin", "end")]
        Path(path).unlink()


def test_a_stage_of_one_worker_is_given_its_items_in_order(apart: str, tmp_path: Path) -> None:
    path = str(tmp_path / "notes")

    def unevenly(x: int) -> int:
        time.sleep(0.001 * (x % 4))
        return x

    pipe = Pipeline(Stage(unevenly, workers=4, backend=apart), Stage(partial(work.note, path), backend=apart))
    assert list(pipe.run(range(80))) == list(range(80))
    assert Path(path).read_text().split() == [str(n) for n in range(80)]


class Tally:
    """A setup: how often this worker has seen each key."""

    def __enter__(self) -> dict[int, int]:
        return {}

    def __exit__(self, *_about: object) -> None:
        pass


def tallied(seen: dict[int, int], x: int) -> tuple[int, int, object]:
    key = x % 7
    seen[key] = seen.get(key, 0) + 1
    return x, seen[key], (os.getpid(), threading.get_ident())


def test_sticky_keys_have_their_state_in_one_worker(apart: str) -> None:
    pipe = Pipeline(
        Stage(work.same, workers=2, backend=apart),
        Stage(tallied, key=lambda x: x % 7, sticky=True, workers=3, setup=Tally, backend=apart),
    )
    got = list(pipe.run(range(140)))
    assert [(x, nth) for x, nth, _ in got] == [(x, x // 7 + 1) for x in range(140)]
    for key in range(7):
        assert len({place for x, _, place in got if x % 7 == key}) == 1


# -- batches -----------------------------------------------------------------------------------------------------------


def test_batches_are_full_where_they_can_be(apart: str) -> None:
    got = list(Pipeline(Stage(work.sizes, batch=8, backend=apart), window=100).run(range(100)))
    assert [x for x, _ in got] == list(range(100))
    assert [size for _, size in got].count(8) >= 80
    assert max(size for _, size in got) == 8


def test_a_batch_that_is_not_full_goes_when_nothing_else_can_come(apart: str) -> None:
    """At the end of the input, and when the window is smaller than the batch."""
    assert list(Pipeline(Stage(work.sizes, batch=50, backend=apart)).run(range(7))) == [(n, 7) for n in range(7)]
    got = list(Pipeline(Stage(work.sizes, batch=50, backend=apart), window=4).run(range(12)))
    assert [x for x, _ in got] == list(range(12))
    assert max(size for _, size in got) <= 4


def test_max_wait(apart: str) -> None:
    """With a live source that pauses, what has come goes on."""
    go = threading.Event()

    def source() -> Iterator[int]:
        yield from range(3)
        assert go.wait(PATIENCE)
        yield 3

    with Pipeline(Stage(work.sizes, batch=10, max_wait=0.02, backend=apart)).run(source(), live=True) as outputs:
        got = [next(outputs) for _ in range(3)]
        assert [x for x, _ in got] == [0, 1, 2]
        go.set()
        assert [x for x, _ in outputs] == [3]


@pytest.mark.parametrize("wrong", [lambda batch: batch[:-1], lambda batch: [*batch, 1], lambda batch: []])
def test_a_batch_with_another_number_of_outputs(backend: str, wrong: Any) -> None:
    pipe = Pipeline(Stage(wrong, batch=3, backend=backend, name="model"))
    got = list(pipe.run(range(3), on_error="return"))
    assert [type(each) for each in got] == [ValueError] * 3
    assert "model was given a batch of 3 items and returned" in str(got[0])


def test_what_is_no_iterable_of_outputs(backend: str) -> None:
    for words in ({"many": True}, {"batch": 2}):
        pipe = Pipeline(Stage(lambda x: 5, backend=backend, **words))
        with pytest.raises(TypeError, match="must return an iterable of outputs, not int"):
            list(pipe.run([1, 2]))


def test_one_that_kills_its_worker_takes_no_others_of_its_batch_along(tmp_path: Path) -> None:
    """If there are retries: each runs again alone, and what comes out keeps its order."""
    path = str(tmp_path / "notes")

    def noted(batch: list[int]) -> list[int]:
        work.note(path, len(batch))
        return work.die_on_threes(batch)

    failures: list[Failure] = []
    pipe = Pipeline(work.same, Stage(noted, batch=8, workers=2, retries=2, name="model"), work.double, window=60)
    got = list(pipe.run(range(40), on_error=failures.append))
    assert got == [2 * x for x in range(40) if x % 10 != 3]
    assert [(f.index, f.args, f.stage, f.attempts) for f in failures] == [
        (x, (x,), "model", 3) for x in (3, 13, 23, 33)
    ]
    assert all(isinstance(f.error, PoisonTask) for f in failures)
    assert "run 2 of 3: WorkerDied" in "".join(failures[0].error.__notes__)
    sizes = Path(path).read_text().split()
    assert sizes.count("8") >= 4
    assert pipe.stats().stages[1].failed == 4


def test_without_retries_a_batch_dies_together() -> None:
    got = list(Pipeline(Stage(work.die_on_threes, batch=4), window=40).run(range(8), on_error="return"))
    assert [type(each) for each in got[:4]] == [WorkerDied] * 4
    assert "was given a batch of 4 items, of which this was one" in "".join(got[0].__notes__)
    assert got[4:] == [4, 5, 6, 7]


def test_a_batch_that_takes_too_long_is_tried_item_by_item() -> None:
    stage = Stage(work.hang_on_threes, batch=4, timeout=1.0, retries=1)
    got = list(Pipeline(stage, window=40).run(range(8), on_error="return"))
    assert isinstance(got[3], TaskTimeout)
    assert [*got[:3], *got[4:]] == [0, 1, 2, 4, 5, 6, 7]


def test_items_that_run_again_alone_take_tokens_and_wait_for_their_time(tmp_path: Path) -> None:
    path = str(tmp_path / "notes")

    def noted(batch: list[int]) -> list[list[int]]:
        work.note(path, f"{time.monotonic()} {len(batch)}")
        return [[x, x] for x in work.die_on_threes(batch)]

    began = time.monotonic()
    stage = Stage(noted, batch=4, many=True, workers=3, retries=1, rate=20.0, backoff=lambda tries: 0.2)
    got = list(Pipeline(stage, window=40).run(range(8), on_error="skip"))
    assert got == [x for x in range(8) for _ in range(2) if x != 3]
    starts = [line.split() for line in Path(path).read_text().splitlines()]
    assert sorted(size for _, size in starts) == ["1"] * 4 + ["4"] * 2
    times = sorted(float(at) - began for at, _ in starts)
    assert all(at >= number / 20 for number, at in enumerate(times))
    assert all(float(at) - began >= 0.2 for at, size in starts if size == "1")


def test_a_run_that_is_closed_while_items_are_to_run_again() -> None:
    stage = Stage(work.die_on_threes, batch=4, retries=3, backoff=lambda tries: 1e6)
    with Pipeline(stage, window=40).run(range(40)) as outputs:
        conductor = outputs._exit.conductor
        wait_until(lambda: conductor.journey.stations[0].again, "a batch that died")
        assert outputs.stats().stages[0].waiting >= 4
    assert list(outputs) == []
    conductor.thread.join(PATIENCE)
    assert not conductor.thread.is_alive()


# -- failures ----------------------------------------------------------------------------------------------------------


def failing(backend: str, **words: Any) -> Pipeline:
    return Pipeline(
        Stage(work.add, backend=backend, workers=2),
        Stage(work.fail_on_three, backend=backend, workers=2, name="the second"),
        Stage(work.double, backend=backend),
        **words,
    )


def test_the_four_forms_of_on_error(backend: str) -> None:
    pipe = failing(backend)
    outputs = pipe.run(range(40))
    assert [next(outputs), next(outputs)] == [2, 4]
    with pytest.raises(LookupError, match="no 3"):
        next(outputs)
    assert list(outputs) == []
    returned = list(pipe.run(range(20), on_error="return"))
    assert [str(each) for each in returned] == [f"no {n + 1}" if n % 10 == 2 else str(2 * (n + 1)) for n in range(20)]
    skipped = [2 * (n + 1) for n in range(20) if n % 10 != 2]
    assert list(pipe.run(range(20), on_error="skip")) == skipped
    failures: list[Failure] = []
    assert list(pipe.run(range(20), on_error=failures.append)) == skipped
    assert [(f.index, f.args, f.stage, f.attempts) for f in failures] == [
        (2, (3,), "the second", 1),
        (12, (13,), "the second", 1),
    ]


def test_siblings_go_on(backend: str) -> None:
    """Of the outputs of one item one fails: it alone."""
    pipe = Pipeline(Stage(lambda x: range(x, x + 5), many=True, backend=backend), failing(backend).stages[1])
    got = list(pipe.run([1, 11], on_error="return"))
    assert [str(each) for each in got] == ["1", "2", "no 3", "4", "5", "11", "12", "no 13", "14", "15"]


def test_a_generator_that_fails_in_the_middle(backend: str) -> None:
    def outputs(x: int) -> Iterator[int]:
        yield x
        raise LookupError(x)

    got = list(Pipeline(Stage(outputs, many=True, backend=backend)).run([1, 2], on_error="return"))
    assert [type(each) for each in got] == [LookupError, LookupError]


def test_keys_that_cannot_be(backend: str) -> None:
    """A key function that raises, or gives what cannot be hashed: that item fails, in its place."""

    def key(x: int) -> Any:
        if x == 2:
            raise LookupError("no key")
        return [] if x == 4 else x

    failures: list[Failure] = []
    pipe = Pipeline(Stage(work.same, key=key, backend=backend, workers=2, name="keyed"))
    assert list(pipe.run(range(6), on_error=failures.append)) == [0, 1, 3, 5]
    assert [(f.index, f.args, type(f.error), f.stage) for f in failures] == [
        (2, (2,), LookupError, "keyed"),
        (4, (4,), TypeError, "keyed"),
    ]


def test_what_cannot_be_pickled() -> None:
    pipe = Pipeline(Stage(lambda x: threading.Lock() if x == 1 else x, backend="threads"), Stage(work.same))
    got = list(pipe.run(range(3), on_error="return"))
    assert got[0] == 0
    assert isinstance(got[1], PicklingError)
    assert got[2] == 2


def test_the_source_fails(apart: str) -> None:
    def source() -> Iterator[int]:
        yield from range(5)
        raise LookupError("source")

    for live in (False, True):
        got = []
        with pytest.raises(LookupError, match="source"):
            for each in Pipeline(Stage(work.same, backend=apart)).run(source(), live=live):
                got.append(each)
        assert got == list(range(5))


def test_a_worker_dies() -> None:
    """It costs the item that it ran, in its place; the rest goes on."""
    pipe = Pipeline(Stage(work.add, workers=2), Stage(work.die_on_three, workers=2, name="deadly"))
    failures: list[Failure] = []
    got = list(pipe.run(range(30), on_error=failures.append))
    assert got == [n + 1 for n in range(30) if n % 10 != 2]
    assert [(f.index, type(f.error), f.stage) for f in failures] == [(n, WorkerDied, "deadly") for n in (2, 12, 22)]


def test_retries(tmp_path: Path) -> None:
    stage = Stage(partial(work.die_once, str(tmp_path)), workers=2, retries=2)
    assert list(Pipeline(Stage(work.same), stage, Stage(work.double)).run(range(40))) == [
        2 * (n + 1) for n in range(40)
    ]


def test_stop_iteration_of_a_task_is_not_taken_for_the_end(backend: str) -> None:
    outputs = Pipeline(Stage(lambda x: next(iter([x] * (x != 3))), backend=backend)).run(range(6))
    assert [next(outputs) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="a task raised StopIteration"):
        next(outputs)
    assert list(outputs) == []


@pytest.mark.parametrize("words", [{}, {"batch": 1}])
def test_timeouts(apart: str, words: dict[str, Any]) -> None:
    fn = (lambda batch: [work.hang_on_three(x) for x in batch]) if words else work.hang_on_three
    pipe = Pipeline(Stage(fn, workers=2, timeout=1.0, backend=apart, **words))
    if apart == "threads":
        release = threading.Event()
        pipe = Pipeline(Stage(lambda x: release.wait(PATIENCE) if x == 3 else x, workers=2, timeout=1.0, backend=apart))
    got = list(pipe.run(range(6), on_error="return"))
    if apart == "threads":
        release.set()
    assert [each if isinstance(each, int) else type(each) for each in got] == [0, 1, 2, TaskTimeout, 4, 5]


def test_a_setup_that_fails(apart: str) -> None:
    pipe = Pipeline(Stage(work.same, backend=apart), Stage(work.counted, setup=work.refuse_to_start, backend=apart))
    with pytest.raises(WorkerStartError, match="not today"):
        list(pipe.run(range(5)))


# -- bounds ------------------------------------------------------------------------------------------------------------


class Counted:
    """A source that counts what is pulled, and knows when it was closed."""

    def __init__(self, count: int | None = None) -> None:
        self.count = count
        self.pulled = 0
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[int]:
        try:
            for n in itertools.count() if self.count is None else range(self.count):
                self.pulled = n + 1
                yield n
        finally:
            self.closed.set()


@pytest.mark.parametrize("live", [False, True])
def test_the_window_bounds_what_is_pulled(backend: str, live: bool) -> None:
    source = Counted()
    pipe = Pipeline(Stage(lambda x: [x, x], many=True, backend=backend), Stage(work.same, backend=backend), window=6)
    outputs = pipe.run(iter(source), live=live)
    for n in range(20):
        assert [next(outputs), next(outputs)] == [n, n]
        assert source.pulled <= n + 1 + 6 + 1, "one of an item's outputs is not the item"
    outputs.close()
    assert source.closed.wait(PATIENCE)
    assert list(outputs) == []


def test_a_credit_comes_back_with_the_last_output(apart: str) -> None:
    """An item is inside until all that became of it was handed over."""
    source = Counted()
    pipe = Pipeline(Stage(lambda x: range(10), many=True, backend=apart), window=2)
    with pipe.run(iter(source), live=True) as outputs:
        assert [next(outputs) for _ in range(9)] == list(range(9))
        assert source.pulled <= 2
        assert next(outputs) == 9
        wait_until(lambda: source.pulled == 3, "the credit is used again")


@pytest.mark.parametrize("words", [{}, {"buffer_bytes": 1 << 20}])
@pytest.mark.parametrize("live", [False, True])
def test_a_slow_item_holds_up_nobody(apart: str, tmp_path: Path, live: bool, words: dict[str, Any]) -> None:
    """Item 0 takes long: an automatic window widens, and all others get done meanwhile, in all stages."""
    pipe = Pipeline(
        Stage(work.same, backend=apart),
        Stage(partial(work.wait_for, str(tmp_path)), workers=2, backend=apart, name="slow"),
        **words,
    )
    outputs = pipe.run(range(500), live=live)
    taken: list[int] = []
    taker = threading.Thread(target=lambda: taken.extend(outputs))
    taker.start()
    stats = wait_until(lambda: (now := pipe.stats()).stages[1].done >= 499 and now, "everything else is done")
    assert (stats.head, stats.head_stage, stats.waiting) == (0, "slow", 0)
    (tmp_path / "go").touch()
    taker.join(PATIENCE)
    assert taken == list(range(500))


def test_a_slow_item_and_bytes_that_are_full(apart: str, tmp_path: Path) -> None:
    """Nothing more may start: so no more is pulled for it either, and all goes on when there is room."""
    release, source = str(tmp_path), Counted(200)

    def slow(x: int) -> bytes:
        return work.blob(work.wait_for(release, x))

    pipe = Pipeline(Stage(slow, workers=2, backend=apart), buffer_bytes=100_000)
    outputs = pipe.run(iter(source))
    taken: list[int] = []
    taker = threading.Thread(target=lambda: taken.extend(map(work.number_of, outputs)))
    taker.start()
    stats = wait_until(
        lambda: (now := pipe.stats()).stages[0].done >= 8 and now.stages[0].out == 1 and now, "it is full"
    )
    assert stats.stages[0].done <= 12
    assert source.pulled <= 32
    (tmp_path / "go").touch()
    taker.join(PATIENCE)
    assert taken == list(range(200))


def test_bytes_are_bounded(apart: str) -> None:
    """A consumer that stops: what the first stage has made is bounded, and nothing is lost."""
    pipe = Pipeline(Stage(work.blob, workers=2, backend=apart), Stage(work.same, backend=apart), window=100,
                    buffer_bytes=100_000)  # fmt: skip
    with pipe.run(range(120), live=True) as outputs:
        first = next(outputs)
        seen: list[PipelineStats] = [pipe.stats()]
        pause = threading.Event()
        while len(seen) < 60 or seen[-50].waiting != seen[-1].waiting:
            pause.wait(0.002)
            seen.append(pipe.stats())
        assert 7 <= seen[-1].waiting <= 10
        assert seen[-1].pulled >= 90
        assert [work.number_of(each) for each in (first, *outputs)] == list(range(120))
        assert outputs._exit.conductor.keeper.most <= 110_000


def test_bytes_too_few_for_one(apart: str) -> None:
    pipe = Pipeline(Stage(work.blob, workers=2, backend=apart), Stage(work.same, backend=apart), buffer_bytes=1)
    assert [work.number_of(each) for each in pipe.run(range(30))] == list(range(30))


# -- ends --------------------------------------------------------------------------------------------------------------


def test_close_ends_what_runs(tmp_path: Path) -> None:
    """Processes are killed for it; what waits never starts."""
    notes = str(tmp_path / "notes")

    def noted(x: int) -> int:
        work.note(notes, os.getpid())
        if x == 0:
            threading.Event().wait(PATIENCE)
        return x

    outputs = Pipeline(Stage(noted)).run(range(10))
    wait_until(lambda: os.path.exists(notes) and Path(notes).read_text().endswith("\n"), "the first runs")
    began = time.monotonic()
    outputs.close()
    assert list(outputs) == []
    (pid,) = {int(line) for line in Path(notes).read_text().split()}
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "its worker is gone")
    print(f"gone after {time.monotonic() - began:.3f} s")
    assert len(Path(notes).read_text().split()) == 1


def test_dropped_without_being_iterated(apart: str) -> None:
    with pytest.warns(RuntimeWarning, match="never iterated"):
        Pipeline(Stage(work.same, backend=apart)).run(range(10))


def test_dropped_half_way(apart: str) -> None:
    source = Counted()
    outputs = Pipeline(Stage(work.same, backend=apart)).run(iter(source), live=True)
    assert next(outputs) == 0
    del outputs
    gc.collect()
    assert source.closed.wait(PATIENCE)


def test_with_keeps_its_workers(apart: str) -> None:
    with Pipeline(Stage(work.counted, setup=work.Counter, backend=apart)) as pipe:
        first = list(pipe.run("abc"))
        second = list(pipe.run("de"))
    assert [(x, seen) for x, seen, _ in first + second] == [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)]
    assert len({pid for _, _, pid in first + second}) == 1
    third = list(pipe.run("f"))
    assert [(x, seen) for x, seen, _ in third] == [("f", 1)], "outside the block, workers of its own"


def test_two_runs_at_once(apart: str) -> None:
    with Pipeline(Stage(work.add, workers=2, backend=apart), Stage(work.double, backend=apart)) as pipe:
        one, two = pipe.run(range(100)), pipe.run(range(100, 200))
        pairs = list(zip(one, two, strict=True))
    assert pairs == [(2 * (n + 1), 2 * (n + 101)) for n in range(100)]


def test_leaving_the_block_closes_what_runs(apart: str) -> None:
    source = Counted()
    with Pipeline(Stage(work.same, backend=apart)) as pipe:
        outputs = pipe.run(iter(source))
        assert next(outputs) == 0
    assert source.closed.wait(PATIENCE)
    assert list(outputs) == []


def test_several_takers(apart: str) -> None:
    outputs = Pipeline(Stage(work.add, workers=2, backend=apart), Stage(work.double, backend=apart)).run(range(400))
    got: list[list[int]] = [[], [], []]
    takers = [threading.Thread(target=each.extend, args=(outputs,)) for each in got]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join(PATIENCE)
    assert sorted(itertools.chain(*got)) == [2 * (n + 1) for n in range(400)]
    assert all(each == sorted(each) for each in got)


def test_a_forked_child_is_refused() -> None:
    outputs = Pipeline(Stage(work.same, backend="threads")).run(range(3))
    pid = os.fork()
    if pid == 0:
        try:
            next(outputs)
        except RuntimeError as error:
            os._exit(0 if "which forked" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert list(outputs) == [0, 1, 2]


# -- looking -----------------------------------------------------------------------------------------------------------


def test_the_bottleneck_is_named(apart: str) -> None:
    pipe = Pipeline(
        Stage(work.add, backend=apart, name="quick"),
        Stage(work.sleepily, backend=apart, name="slow"),
        Stage(work.double, backend=apart, name="quick too"),
        window=10,
    )
    outputs = list(pipe.run(range(40)))
    stats = pipe.stats()
    assert len(outputs) == 40
    assert stats.bottleneck == "slow"
    quick, slow, last = stats.stages
    assert slow.busy > 0.5
    assert quick.blocked_on_output > 0.3, "the window is full of what waits for the slow one"
    assert last.blocked_on_output + last.waiting_for_input > 0.3
    for stage in stats.stages:
        shares = (stage.busy, stage.waiting_for_input, stage.blocked_on_output, stage.held_back)
        assert sum(shares) == pytest.approx(1)
        assert (stage.came, stage.done, stage.outputs, stage.failed) == (40, 40, 40, 0)
        assert (stage.waiting, stage.out) == (0, 0)
    assert (stats.pulled, stats.returned, stats.taken, stats.waiting) == (40, 40, 40, 0)
    assert (stats.head, stats.head_stage) == (None, None)


def test_workers_move_to_the_bottleneck(apart: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With widths="auto" the slow stage has more of them in the end; what comes out is the same."""
    monkeypatch.setattr(pipeline_bounds, "LOOK_NS", 50_000_000)

    def source() -> Iterator[int]:
        for n in itertools.count():
            yield n
            if pipe._latest is not None and pipe.stats().stages[1].workers >= 3:
                return

    pipe = Pipeline(
        Stage(work.add, workers=4, backend=apart, name="quick"),
        Stage(work.slowly, workers=1, backend=apart, name="slow"),
        widths="auto",
    )
    got = list(pipe.run(source()))
    assert got == [n + 1 for n in range(len(got))]
    quick, slow = pipe.stats().stages
    assert slow.workers >= 3
    assert quick.workers + slow.workers <= max(5, os.cpu_count() or 1)


def test_progress(backend: str) -> None:
    told: list[tuple[int, int | None]] = []
    pipe = Pipeline(Stage(work.spread, many=True, backend=backend))
    list(pipe.run(range(10), progress=lambda done, total: told.append((done, total))))
    assert told[-1] == (10, 10)
    assert told == sorted(told)


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "error", "match"),
    [
        ({"workers": 0}, ValueError, "workers must be at least 1"),
        ({"workers": 1.5}, TypeError, "workers must be an integer"),
        ({"batch": 0}, ValueError, "batch must be at least 1"),
        ({"batch": 2, "max_wait": 0}, ValueError, "max_wait must be greater than 0"),
        ({"max_wait": 1}, ValueError, "it needs batch="),
        ({"batch": 2, "key": len}, ValueError, "key= or a batch="),
        ({"key": 3}, TypeError, "key must be callable"),
        ({"sticky": True}, ValueError, "sticky=True needs key="),
        ({"backend": "gpu"}, ValueError, "backend"),
        ({"max_workers": 3}, TypeError, "use workers"),
        ({"batch_size": 3}, TypeError, "use batch"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"setup": 3}, TypeError, "setup"),
        ({"name": 3}, TypeError, "name"),
    ],
)
def test_bad_words_of_a_stage(words: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Stage(work.same, **words)


@pytest.mark.parametrize(
    ("words", "error", "match"),
    [
        ({"window": 0}, ValueError, "window must be at least 1"),
        ({"buffer_bytes": "1M"}, TypeError, "buffer_bytes must be an integer"),
        ({"widths": "all"}, ValueError, 'widths must be "auto" or None'),
        ({"maxsize": 3}, TypeError, "use window"),
        ({"on_error": "skip"}, TypeError, r"run\(\)"),
    ],
)
def test_bad_words_of_a_pipeline(words: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Pipeline(work.same, **words)


def test_what_is_no_stage() -> None:
    with pytest.raises(TypeError, match="at least one stage"):
        Pipeline()
    with pytest.raises(TypeError, match="must be a Stage or a callable, not int"):
        Pipeline(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be callable"):
        Stage(3)  # type: ignore[arg-type]


def test_bad_words_of_a_run() -> None:
    pipe = Pipeline(work.same)
    with pytest.raises(TypeError, match="iterable"):
        pipe.run(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_error must be"):
        pipe.run([], on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="the same word of Pipeline"):
        pipe.run([], window=3)
    with pytest.raises(RuntimeError, match="there was none"):
        pipe.stats()
    with pipe, pytest.raises(RuntimeError, match="with block already"):
        pipe.__enter__()


def test_stop_iteration_of_a_stage_is_no_end() -> None:
    taken = []
    with pytest.raises(RuntimeError, match="a task raised StopIteration") as caught:
        for value in Pipeline(Stage(next, backend="threads")).run([iter("a"), iter(""), iter("b")]):
            taken.append(value)
    assert taken == ["a"]
    assert isinstance(caught.value.__cause__, StopIteration)
