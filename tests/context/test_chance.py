"""Random numbers by seed and place: equal over backends, widths, chunks, orders, retries and crashes."""

import itertools
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

import procession
from procession import Pipeline, Pool, SpinOff, Stage, np_rng, rng
from tests import warm

kept_zygote = warm.keep()

SEED = 20261128
COUNT = 24

Draw = tuple[int, float, int, float]


def draw(n: int) -> Draw:
    """What item n draws: twice of each kind, so that what is drawn first matters."""
    return n, rng().random(), rng().randrange(10**9), float(np_rng().random())


def expected(place: int, seed: int = SEED) -> Draw:
    """What is promised of it, without procession: NumPy's own tree, and a text for `random`."""
    mine = random.Random(f"procession {seed} {place}")
    theirs = numpy.random.default_rng(numpy.random.SeedSequence(seed).spawn(place + 1)[place])
    return place, mine.random(), mine.randrange(10**9), float(theirs.random())


EXPECTED = [expected(n) for n in range(COUNT)]


@pytest.fixture(params=[("inline", 1), ("threads", 1), ("threads", 3), ("processes", 1), ("processes", 3)], ids=str)
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    backend, workers = request.param
    with Pool(workers, backend=backend) as made:
        yield made


# -------------------------------------------------------------------------------------------- equal, however it is done


@pytest.mark.parametrize("chunksize", [None, 1, 7])
@pytest.mark.parametrize("ordered", [True, False])
def test_a_stream(pool: Pool, chunksize: int | None, ordered: bool) -> None:
    found = list(pool.imap(draw, range(COUNT), seed=SEED, chunksize=chunksize, ordered=ordered))
    assert sorted(found) == EXPECTED
    assert not ordered or found == EXPECTED


def test_every_way_in(pool: Pool) -> None:
    """Streams, maps, keys, several inputs, lambdas, calls one by one, generators as inputs, a rate."""
    seeded = pool.options(seed=SEED)
    assert list(seeded.map(draw, range(COUNT))) == EXPECTED
    assert list(seeded.map(draw, range(COUNT), buffersize=5)) == EXPECTED
    assert list(seeded.imap(draw, range(COUNT))) == EXPECTED
    assert list(pool.imap(draw, iter(range(COUNT)), seed=SEED, key=lambda n: n % 3)) == EXPECTED
    assert list(pool.imap(draw, range(COUNT), seed=SEED, key=lambda n: n % 3, sticky=True)) == EXPECTED
    assert list(pool.imap(lambda n, _: draw(n), range(COUNT), itertools.count(), seed=SEED)) == EXPECTED
    assert list(pool.imap(draw, range(COUNT), seed=SEED, window=3, live=True)) == EXPECTED
    assert list(pool.imap(draw, range(COUNT), seed=SEED, rate=5000)) == EXPECTED
    assert [each.result() for each in [seeded.submit(draw, n) for n in range(COUNT)]] == EXPECTED
    assert seeded.submit(draw, n=COUNT).result() == expected(COUNT)


@pytest.mark.parametrize(("backend", "workers"), [("inline", 1), ("threads", 3), ("processes", 1), ("processes", 3)])
def test_a_spinoff(backend: Any, workers: int) -> None:
    with SpinOff(draw, workers=workers, backend=backend, seed=SEED, maxsize=COUNT) as spin:
        for n in range(COUNT // 2):
            spin.put(n)
        spin.put_many(range(COUNT // 2, COUNT))
    assert list(spin) == EXPECTED


def test_what_is_dropped_has_drawn_nothing_of_the_others() -> None:
    hold = threading.Event()

    def held(n: int) -> Draw:
        hold.wait(30)
        return draw(n)

    with SpinOff(held, backend="threads", seed=SEED, maxsize=3, overflow="drop_newest") as spin:
        taken = [n for n, future in enumerate(spin.put_many(range(10))) if not future.cancelled()]
        hold.set()
    assert taken == [0, 1, 2]
    assert list(spin) == EXPECTED[:3]


def test_items_that_wait_for_room_keep_their_places() -> None:
    with SpinOff(draw, workers=2, seed=SEED, maxsize=2, on_result=(found := []).append) as spin:
        spin.put_many(range(COUNT))
    assert found == EXPECTED


# ----------------------------------------------------------------------------------------------- whatever happens to it


def test_further_runs_draw_the_same(pool: Pool) -> None:
    tries: dict[int, int] = {}

    def flaky(n: int) -> Draw:
        # In a process `tries` is that worker's own, so that an item may fail there once more.
        tries[n] = tries.get(n, 0) + 1
        if n % 5 == 0 and tries[n] == 1:
            rng().random(), np_rng().random()
            raise ValueError(n)
        return draw(n)

    found = list(pool.options(retries=9).imap(flaky, range(COUNT), seed=SEED))
    assert found == EXPECTED


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("chunksize", [None, 8])
def test_after_crashes(workers: int, chunksize: int | None, tmp_path: Path) -> None:
    """Seeded kills: each item in `dies` kills its worker at its first run, after it has drawn."""
    dies = random.Random(f"{SEED} {workers} {chunksize}").sample(range(COUNT), 4)
    folder = str(tmp_path)

    def mortal(n: int) -> Draw:
        drawn = draw(n)
        if n in dies:
            try:
                os.close(os.open(f"{folder}/{n}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return drawn

    with Pool(workers) as pool:
        assert list(pool.options(retries=3).imap(mortal, range(COUNT), seed=SEED, chunksize=chunksize)) == EXPECTED
        assert pool.stats().died == len(dies) == len(os.listdir(folder))


# ------------------------------------------------------------------------------------------------------------ pipelines


def split(n: int) -> list[tuple[int, int, float]]:
    """None, one or many, as it happens."""
    return [(n, k, rng().random()) for k in range(rng().randrange(4))]


def weigh(part: tuple[int, int, float]) -> tuple[int, int, float, float]:
    return (*part, rng().random())


def split_and_weighed(seed: int) -> list[tuple[int, int, float, float]]:
    """What a plain loop gives, by the text of seed and place."""
    found = []
    for n in range(COUNT):
        first = random.Random(f"procession {seed} {n} 0")
        for k in range(first.randrange(4)):
            found.append((n, k, first.random(), random.Random(f"procession {seed} {n} 1 {k}").random()))
    return found


@pytest.mark.parametrize("backends", [("inline", "inline"), ("threads", "processes"), ("processes", "processes")])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_pipeline(backends: tuple[Any, Any], workers: int) -> None:
    first, second = backends
    pipeline = Pipeline(
        Stage(split, workers=workers, backend=first, many=True), Stage(weigh, workers=workers, backend=second)
    )
    with pipeline:
        assert list(pipeline.run(range(COUNT), seed=SEED)) == split_and_weighed(SEED)
        assert list(pipeline.run(range(COUNT), seed=1)) == split_and_weighed(1)
        without = list(pipeline.run(range(COUNT)))
    assert without not in (split_and_weighed(SEED), split_and_weighed(1))


def test_a_batch_has_none() -> None:
    def batch(items: list[int]) -> list[float]:
        return [rng().random() for _ in items]

    with pytest.raises(RuntimeError, match="a batch has no random numbers of its own"):
        list(Pipeline(Stage(batch, backend="threads", batch=3)).run(range(10), seed=SEED))
    assert len(list(Pipeline(Stage(batch, backend="threads", batch=3)).run(range(10)))) == 10
    with pytest.raises(ValueError, match="seed= has no meaning with batch="):
        SpinOff(batch, batch=3, seed=SEED)


# ------------------------------------------------------------------------------------------------------ where and whose


def test_an_item_has_one_generator(pool: Pool) -> None:
    def same(_: int) -> tuple[bool, bool]:
        return rng() is rng(), np_rng() is np_rng()

    assert set(pool.imap(same, range(5), seed=SEED)) == {(True, True)}


def test_nested_calls_draw_their_own() -> None:
    """An inline pool inside of a task runs in the task's own thread; afterwards the task goes on where it was."""

    def outer(n: int) -> list[float]:
        with Pool(backend="inline") as inner:
            return [rng().random(), *(each[1] for each in inner.imap(draw, range(2), seed=7)), rng().random()]

    with Pool(backend="inline") as pool:
        (found,) = pool.imap(outer, [0], seed=SEED)
    mine = random.Random(f"procession {SEED} 0")
    assert found == [mine.random(), expected(0, 7)[1], expected(1, 7)[1], mine.random()]


def test_coroutines_of_a_task_draw_its_numbers() -> None:
    def runs(n: int) -> Draw:
        import asyncio

        async def inner() -> Draw:
            await asyncio.sleep(0)
            return draw(n)

        return asyncio.run(inner())

    with Pool(2) as pool:
        assert list(pool.imap(runs, range(5), seed=SEED)) == EXPECTED[:5]


def test_without_a_seed_there_is_chance(pool: Pool) -> None:
    found = [draw(0)[1:], *(each[1:] for each in pool.imap(draw, range(COUNT))), pool.submit(draw, 1).result()[1:]]
    assert len(set(found)) == len(found)


def test_after_a_seeded_item_there_is_chance_again() -> None:
    with Pool(1) as pool:
        assert pool.options(seed=SEED).submit(draw, 0).result() == EXPECTED[0]
        assert pool.submit(draw, 0).result() != EXPECTED[0]
        failing = pool.options(seed=SEED).submit(lambda: 1 / 0)
        assert isinstance(failing.exception(), ZeroDivisionError)
        assert pool.submit(draw, 0).result() != EXPECTED[0]


def test_a_forked_child_does_not_draw_what_its_parent_draws() -> None:
    def forks(_: int) -> bool:
        rng().random(), np_rng().random()
        read, write = os.pipe()
        if not (child := os.fork()):
            os.write(write, repr(draw(0)).encode())
            os._exit(0)
        os.waitpid(child, 0)
        return os.read(read, 1000).decode() != repr(draw(0))

    with Pool(1) as pool:
        assert pool.submit(forks, 0).result()


@warm.afresh()
def test_workers_that_preload_numpy_do_not_share_its_global_state() -> None:
    """Forks of one process begin with one state; ours begin anew."""

    def global_draw(barrier: int) -> tuple[float, float]:
        import numpy

        return float(numpy.random.random()), random.random()

    found = []
    for _ in range(2):
        with Pool(2, preload=["numpy.random", "random"], max_tasks_per_child=1) as pool:
            found += list(pool.map(global_draw, range(4), chunksize=1))
    assert len({first for first, _ in found}) == len({second for _, second in found}) == 8


def test_what_a_failure_tells_is_the_users() -> None:
    failures: list[procession.Failure] = []
    with Pool(1) as pool:
        list(pool.imap(lambda n, m: n // m, [5], [0], seed=SEED, on_error=failures.append))
        died = pool.options(seed=SEED).submit(os._exit, 3).exception()
        also = next(pool.imap(os._exit, [3], seed=SEED, on_error="return"))
    assert failures[0].args == (5, 0)
    assert isinstance(died, procession.WorkerDied)
    assert isinstance(also, procession.WorkerDied)
    assert "_exit(3)" in str(died)
    assert "_exit[0](3)" in str(also)


# ---------------------------------------------------------------------------------------------------------- wrong words


@pytest.mark.parametrize(
    "ask",
    [
        lambda pool, seed: pool.imap(draw, [], seed=seed),
        lambda pool, seed: pool.imap_unordered(draw, [], seed=seed),
        lambda pool, seed: pool.aimap(draw, [], seed=seed),
        lambda pool, seed: pool.options(seed=seed),
        lambda pool, seed: SpinOff(draw, backend="threads", seed=seed),
        lambda pool, seed: Pipeline(draw).run([], seed=seed),
        lambda pool, seed: Pipeline(draw).arun([], seed=seed),
    ],
)
def test_what_no_seed_is(ask: Callable[[Pool, Any], object]) -> None:
    with Pool(backend="inline") as pool:
        for wrong, error in [(-1, ValueError), ("7", TypeError), (1.5, TypeError), (True, TypeError)]:
            with pytest.raises(error, match="seed must be"):
                ask(pool, wrong)


def test_a_generator_has_no_place() -> None:
    with Pool(backend="inline") as pool, pytest.raises(ValueError, match="a view with a seed has no stream"):
        pool.options(seed=1).stream(range, 3)


def test_views_keep_the_seed_and_its_count() -> None:
    with Pool(backend="inline") as pool:
        seeded = pool.options(seed=SEED)
        again = seeded.options(timeout=30)
        assert [each.submit(draw, n).result() for n, each in enumerate([seeded, again, seeded])] == EXPECTED[:3]
        assert seeded.options(seed=7).submit(draw, 0).result() == expected(0, 7)


def test_large_seeds() -> None:
    with Pool(2) as pool:
        assert list(pool.imap(draw, range(3), seed=2**200)) == [expected(n, 2**200) for n in range(3)]


# ------------------------------------------------------------------------------------------------------ texts' hashes


def hashes() -> tuple[int, str | None, str]:
    """Of a text, here and in a program that this one starts."""
    import subprocess
    import sys

    theirs = subprocess.run([sys.executable, "-c", "print(hash('a text'))"], capture_output=True, text=True, check=True)
    return hash("a text"), os.environ.get("PYTHONHASHSEED"), theirs.stdout.strip()


@warm.afresh()
def test_all_workers_hash_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a later zygote, too; and what they start hashes as it would at home."""
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    found = []
    for _ in range(2):  # with the last pool its zygote ends
        with Pool(2) as pool:
            found += [pool.submit(hashes).result() for _ in range(2)]
    assert len({mine for mine, _, _ in found}) == 1
    assert {seed for _, seed, _ in found} == {None}
    assert len({theirs for _, _, theirs in found}) == len(found)


@warm.afresh()
def test_the_hash_seed_of_the_environment_is_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "77")
    with Pool(1) as pool:
        mine, seed, theirs = pool.submit(hashes).result()
    assert seed == "77"
    assert str(mine) == theirs
