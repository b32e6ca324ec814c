"""Live sources: batches whose function errs or whose item kills, a put_many that is cut short, workers that restart."""

import os
import signal
from functools import partial

import pytest

from procession import Full, PoisonTask, SpinOff, WorkerDied, spinoff
from procession import pool as pools
from tests import warm
from tests.failures import tasks
from tests.failures.kit import Gate, Notes, seeded, wait_until

kept_zygote = warm.keep()

# ----------------------------------------------------------------------------------------- what a batch's function does


@pytest.mark.parametrize("backend", ["processes", "threads", "inline"])
@pytest.mark.parametrize("count", [0, 3, 5])
def test_another_number_of_results(backend: str, count: int) -> None:
    """Row: A batch's function returns too few results. Each item of that batch fails, and says how many there were."""
    with SpinOff(partial(tasks.so_many, count), batch=4, on_error="return", backend=backend) as spin:
        futures = spin.put_many(range(8))
        spin.put_many([8, 9])
    got = list(spin)
    assert len(got) == 10
    assert all(isinstance(each, ValueError) for each in got)
    assert f"was given a batch of 4 items and returned {count} outputs" in str(futures[0].exception())
    assert f"was given a batch of 2 items and returned {count} outputs" in str(got[9])


def test_it_is_not_run_again(notes: Notes) -> None:
    """Row: A batch's function returns too few results. It has run to its end: retries are for what failed."""
    with SpinOff(partial(tasks.note_and_lose_one, notes.path), batch=4, retries=3, on_error="skip") as spin:
        spin.put_many(range(4))
    assert list(spin) == []
    assert notes.lines() == ["0 1 2 3"]


# ------------------------------------------------------------------------------------------------- one item that kills


@pytest.mark.parametrize("ordered", [True, False])
def test_a_batch_dies_together(notes: Notes, ordered: bool) -> None:
    """Row: One item of a batch kills its worker. Without retries all of that batch fail, each run once; others run."""
    kill_at_6 = partial(tasks.die_together, notes.path, 6)
    with SpinOff(kill_at_6, batch=4, on_error="return", ordered=ordered, workers=2) as spin:
        futures = spin.put_many(range(20))
    got = list(spin)
    errors = [future.exception() for future in futures[4:8]]
    assert all(isinstance(error, WorkerDied) for error in errors)
    assert "a batch of 4 items, of which this was one" in "".join(errors[0].__notes__)  # type: ignore[union-attr]
    fine = [x for x in range(20) if not 4 <= x < 8]
    alive = [x for x in got if isinstance(x, int)]
    assert alive == fine if ordered else sorted(alive) == fine
    assert len(got) == 20
    started = [int(x) for line in notes.lines() for x in line.split()]
    assert sorted(started) == list(range(20))


@pytest.mark.parametrize("words", [{}, {"workers": 3}, {"ordered": False}, {"key": tasks.third}])
def test_the_others_are_saved(notes: Notes, words: dict) -> None:
    """Row: One item of a batch kills its worker. With retries each of that batch is tried again alone."""
    poisonous = {5, 6, 17}
    fn = partial(tasks.die_together, notes.path, poisonous)
    with SpinOff(fn, batch=4, max_wait=0.01, retries=1, on_error="return", **words) as spin:
        futures = spin.put_many(range(24))
    got = list(spin)
    for x, future in enumerate(futures):
        if x in poisonous:
            assert isinstance(future.exception(), PoisonTask)
        else:
            assert future.result() == x
    assert len(got) == 24
    if words.get("ordered", True):
        assert [x for x in got if isinstance(x, int)] == [x for x in range(24) if x not in poisonous]
    runs = [[int(x) for x in line.split()] for line in notes.lines()]
    assert all(sum(x in run for run in runs) <= 2 for x in range(24)), "with one retry nothing runs three times"


def test_a_storm_of_deaths() -> None:
    """Row: One item of a batch kills its worker. Whatever dies when: one outcome an item, in its place."""
    chance = seeded()
    for _ in range(3):
        poisonous = {x for x in range(120) if chance.random() < 0.06}
        retries, batch = chance.choice([1, 2]), chance.choice([2, 5, 16])
        fn = partial(tasks.die_together, os.devnull, poisonous)
        with SpinOff(fn, batch=batch, max_wait=0.002, workers=2, retries=retries, on_error="return") as spin:
            spin.put_many(range(120))
        got = list(spin)
        assert [isinstance(each, WorkerDied) for each in got] == [x in poisonous for x in range(120)]
        assert [x for x in got if isinstance(x, int)] == [x for x in range(120) if x not in poisonous]


# ---------------------------------------------------------------------------------------------- put_many is cut short


@pytest.mark.parametrize("backend", ["processes", "threads", "inline"])
@pytest.mark.parametrize("words", [{}, {"batch": 2}, {"rate": 1000.0}])
def test_full_says_what_was_taken(backend: str, words: dict) -> None:
    """Row: put_many is cut short. What was put before stays put, and `Full` has their futures."""
    fn = tasks.same
    spin = SpinOff(fn, maxsize=3, overflow="raise", backend=backend, **words)
    with pytest.raises(Full, match="3 items are taken in") as caught:
        spin.put_many(range(5))
    assert "of the items of this put_many 3 were put before" in caught.value.__notes__
    assert [future.result(60) for future in caught.value.taken] == [0, 1, 2]
    spin.close()
    assert list(spin) == [0, 1, 2]
    assert spin.join(60)


@pytest.mark.parametrize("backend", ["processes", "threads", "inline"])
def test_an_error_of_the_items_or_of_key(backend: str) -> None:
    """Row: put_many is cut short. By what gives the items, or the key of one: what was put before runs at once."""

    def numbers():
        yield from range(3)
        raise LookupError("no more")

    with SpinOff(tasks.same, backend=backend) as spin:
        with pytest.raises(LookupError) as caught:
            spin.put_many(numbers())
        assert "of the items of this put_many 3 were put before" in caught.value.__notes__
        assert [next(spin) for _ in range(3)] == [0, 1, 2]
    with SpinOff(tasks.same, backend=backend, key=lambda x: 1 // x) as spin:
        with pytest.raises(ZeroDivisionError):
            spin.put_many([2, 1, 0, 3])
        assert [next(spin) for _ in range(2)] == [2, 1]


# ------------------------------------------------------------------------------------------------- workers that restart

WORDS = [
    {},
    {"batch": 3, "max_wait": 0.001},
    {"rate": 500.0},
    {"key": tasks.third},
    {"key": tasks.third, "sticky": True},
    {"ordered": False},
    {"buffer_bytes": 1000},
]


def recycle(monkeypatch: pytest.MonkeyPatch, **limits) -> None:
    """SpinOffs have no words for it, their engines do."""

    def make_engine(backend, workers, config):
        return pools.make_engine(backend, workers, config, **limits)

    monkeypatch.setattr(spinoff, "_make_engine", make_engine)


def each_or_one(words: dict, fn, *args):
    return partial(tasks.each, fn, *args) if "batch" in words else partial(fn, *args)


@pytest.mark.parametrize("words", WORDS)
def test_killed_while_many_wait(words: dict, notes: Notes, gate: Gate) -> None:
    """Row: A worker restarts while items wait. What was accepted runs, once, but for what ran with the dead one."""
    fn = each_or_one(words, tasks.pid_and_wait, notes.path, gate.path)
    with SpinOff(fn, on_error="return", **words) as spin:
        futures = spin.put_many(range(30))
        (pid,) = notes.pids(1)
        os.kill(pid, signal.SIGKILL)
        gate.open()
    got = list(spin)
    assert len(got) == 30
    died = [x for x, future in enumerate(futures) if isinstance(future.exception(), WorkerDied)]
    assert 1 <= len(died) <= words.get("batch", 1)
    assert [futures[x].result() for x in range(30) if x not in died] == [x for x in range(30) if x not in died]
    alive = [x for x in got if isinstance(x, int)]
    assert alive == [x for x in range(30) if x not in died] or words.get("ordered") is False


@pytest.mark.parametrize("words", WORDS)
def test_killed_again_while_it_restarts(words: dict, notes: Notes, gate: Gate) -> None:
    """Row: A worker restarts while items wait. Its successor dies in its setup, the next one does the work."""
    fn = each_or_one(words, tasks.same)
    setup = partial(tasks.note_pid_and_wait_for_second, notes.path, gate.path)
    with SpinOff(partial(tasks.without_state, fn), setup=setup, on_error="return", **words) as spin:
        futures = spin.put_many(range(20))
        for number in (1, 2):
            pid = notes.pids(number)[number - 1]
            os.kill(pid, signal.SIGKILL)
        gate.open()
    assert list(spin) == list(range(20)) or words.get("ordered") is False
    assert [future.result() for future in futures] == list(range(20))
    assert len(notes.lines()) == 3


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("most", [1, 2])
def test_recycled_while_many_wait(words: dict, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row: A worker restarts while items wait. Recycled after so many tasks, it costs none."""
    recycle(monkeypatch, max_tasks_per_child=most)
    fn = each_or_one(words, tasks.with_pid)
    with SpinOff(fn, **words) as spin:
        spin.put_many(range(12))
    got = list(spin)
    assert sorted(x for x, _ in got) == list(range(12))
    assert [x for x, _ in got] == list(range(12)) or words.get("ordered") is False
    assert len({pid for _, pid in got}) >= 2


@pytest.mark.parametrize("words", WORDS[:3])
def test_recycled_for_its_memory(words: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row: A worker restarts while items wait. Too heavy, it is replaced between two tasks, and costs none."""
    recycle(monkeypatch, max_memory_per_child=(16 << 20, 1 << 40))
    fn = each_or_one(words, tasks.grow_and_say)
    got: list = []
    with SpinOff(fn, maxsize=0, **words) as spin:
        count = 0

        def replaced() -> bool:
            nonlocal count
            spin.put(count)
            count += 1
            got.extend(spin.ready())
            return len({pid for _, pid in got}) > 1

        wait_until(replaced, "another worker")
    got += spin
    assert [x for x, _ in got] == list(range(count))


def test_put_goes_on_while_it_restarts(notes: Notes) -> None:
    """Row: A worker restarts while items wait. Whoever puts meanwhile notices nothing, in an event loop neither."""
    import asyncio

    async def main() -> list:
        async with SpinOff(partial(tasks.die_now_and_then, notes.path), on_error="return", maxsize=0) as spin:
            for x in range(60):
                spin.put(x)
                await asyncio.sleep(0)
        return [x async for x in spin]

    got = asyncio.run(main())
    assert [isinstance(each, WorkerDied) for each in got] == [x % 10 == 9 for x in range(60)]
    assert [x for x in got if isinstance(x, int)] == [x for x in range(60) if x % 10 != 9]
    assert [int(line) for line in notes.lines()] == list(range(60)), "each started once, in order"
