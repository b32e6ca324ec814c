"""`SpinOff(batch=, max_wait=)`: items that run together, whoever runs the work."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from procession import Full, PoisonTask, SpinOff, TaskTimeout, WorkerDied, batching
from procession.backends import tasks
from procession.backends.base import Capabilities
from procession.types import Failure
from tests.failures.kit import wait_until

from . import work
from .conftest import PATIENCE, Gate


def double(items: list[int]) -> list[int]:
    return [2 * x for x in items]


def noted(path: str, items: list[Any]) -> list[Any]:
    """Writes down what came together."""
    work.note(path, " ".join(map(str, items)))
    return items


def at_gate(gate: Gate, path: str, items: list[Any]) -> list[Any]:
    work.note(path, " ".join(map(str, items)))
    work.pass_gate(*gate.paths)
    return items


def no_fives(items: list[int]) -> list[int]:
    if any(x % 5 == 0 for x in items):
        raise ValueError(f"a five among {items}")
    return items


def groups(path: str) -> list[list[str]]:
    return [line.split() for line in Path(path).read_text().splitlines()] if os.path.exists(path) else []


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "notes")


@pytest.fixture
def mortal(capabilities: Capabilities) -> None:
    """For tests in which workers die."""
    if not capabilities.can_kill:
        pytest.skip("its workers do not die")


# ------------------------------------------------------------------------------------------------------ when one goes


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("workers", [1, 3])
def test_each_item_has_its_result_in_its_place(spins: Any, workers: int, ordered: bool) -> None:
    spin = spins(double, workers=workers, batch=7, ordered=ordered)
    futures = spin.put_many(range(100))
    spin.close()
    got = list(spin)
    assert (got if ordered else sorted(got)) == [2 * x for x in range(100)]
    assert [future.result(PATIENCE) for future in futures] == [2 * x for x in range(100)]


def test_full_ones_go_and_the_rest_with_the_close(spins: Any, path: str) -> None:
    spin = spins(partial(noted, path), batch=4)
    futures = spin.put_many(range(10))
    assert [future.result(PATIENCE) for future in futures[:8]] == list(range(8))
    assert not futures[8].done()
    spin.close()
    assert list(spin) == list(range(10))
    assert groups(path) == [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"]]


def test_max_wait_lets_one_go_that_is_not_full(spins: Any, path: str) -> None:
    spin = spins(partial(noted, path), batch=100, max_wait=0.02)
    for x in range(3):
        assert spin.put(x).result(PATIENCE) == x
    assert groups(path) == [["0"], ["1"], ["2"]]


def test_without_max_wait_a_flush_lets_them_go_together(spins: Any, path: str) -> None:
    spin = spins(partial(noted, path), batch=100)
    futures = spin.put_many(range(3))
    assert spin.flush(PATIENCE)
    assert [future.result(0) for future in futures] == [0, 1, 2]
    spin.put(3)
    assert spin.flush(PATIENCE)
    assert groups(path) == [["0", "1", "2"], ["3"]]


def test_a_flush_is_for_what_was_put_before(spins: Any, path: str) -> None:
    spin = spins(partial(noted, path), batch=2)
    spin.put_many(range(3))
    assert spin.flush(PATIENCE)
    late = spin.put(3)
    spin.put(4)
    assert late.result(PATIENCE) == 3
    assert groups(path) == [["0", "1"], ["2"], ["3", "4"]]


def test_a_flush_that_waits_for_what_runs_makes_no_small_batches(
    spins: Any, gate: Gate, path: str, backend: str
) -> None:
    if backend == "inline":
        pytest.skip("there is one worker")
    spin = spins(partial(at_gate, gate, path), batch=2, workers=2)
    spin.put_many(range(2))
    gate.arrived()
    assert not spin.flush(0)
    spin.put(2)
    assert gate.nobody_arrives()
    spin.put(3)
    gate.arrived()
    gate.open(2)
    assert spin.flush(PATIENCE)
    assert groups(path) == [["0", "1"], ["2", "3"]]


def test_one_goes_when_nobody_can_put_more(spins: Any, path: str) -> None:
    spin = spins(partial(noted, path), batch=100, maxsize=3)
    futures = spin.put_many(range(3))
    assert [future.result(PATIENCE) for future in futures] == [0, 1, 2]
    with pytest.raises(Full, match="3 results wait and nobody takes them"):
        spin.put(3)
    assert spin.ready() == [0, 1, 2]
    assert groups(path) == [["0", "1", "2"]]


def test_what_waits_for_a_worker_becomes_full_meanwhile(spins: Any, gate: Gate, path: str) -> None:
    spin = spins(partial(at_gate, gate, path), batch=5, max_wait=0.001)
    first = spin.put(0)
    gate.arrived()
    spin.put_many(range(1, 8))
    gate.open(3)
    assert first.result(PATIENCE) == 0
    spin.close()
    assert list(spin) == list(range(8))
    assert groups(path) == [["0"], ["1", "2", "3", "4", "5"], ["6", "7"]]


def test_batches_on_all_workers_at_once(spins: Any, gate: Gate, path: str, backend: str) -> None:
    if backend == "inline":
        pytest.skip("there is one worker")
    spin = spins(partial(at_gate, gate, path), batch=2, workers=3)
    spin.put_many(range(8))
    gate.arrived(3)
    assert gate.nobody_arrives()
    gate.open(4)
    spin.close()
    assert list(spin) == list(range(8))


# ------------------------------------------------------------------------------------------------------- what one gives


def test_any_iterable_of_as_many_results(spins: Any) -> None:
    for fn in (tuple, iter, lambda items: (x for x in items), lambda items: map(abs, items)):
        with spins(fn, batch=3) as spin:
            spin.put_many(range(5))
        assert list(spin) == list(range(5))


class Exits:
    """An array of results that gives none."""

    __array__ = None

    def __iter__(self) -> Any:
        raise SystemExit("no results")


def test_results_that_cannot_be_taken_apart(spins: Any) -> None:
    with spins(lambda items: Exits(), batch=2) as spin:
        futures = spin.put_many(range(4))
    assert [type(future.exception(PATIENCE)) for future in futures] == [SystemExit] * 4


def test_an_array_of_results(spins: Any) -> None:
    numpy = pytest.importorskip("numpy")
    with spins(lambda items: numpy.array(items) * 2.0, batch=4) as spin:
        spin.put_many(range(6))
    assert [float(x) for x in spin] == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]


@pytest.mark.parametrize("ordered", [True, False])
def test_another_number_of_results_fails_each_item_and_says_so(spins: Any, ordered: bool) -> None:
    spin = spins(lambda items: items[1:], batch=4, ordered=ordered, on_error="return", name="detect")
    with spin:
        futures = spin.put_many(range(6))
    errors = [str(error) for error in spin]
    assert len(errors) == 6
    assert "detect was given a batch of 4 items and returned 3 outputs" in str(futures[0].exception())
    assert "detect was given a batch of 2 items and returned 1 outputs" in str(futures[5].exception())


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda items: None, "must return an iterable of outputs, not NoneType"),
        (lambda items: 7, "must return an iterable of outputs, not int"),
        (lambda items: "abcd"[: len(items)], "must return a list of outputs, one for each item, not str"),
        (lambda items: {x: x for x in items}, "must return a list of outputs, one for each item, not dict"),
        (lambda items: set(items), "must return a list of outputs, one for each item, not set"),
    ],
)
def test_what_is_no_list_of_results(spins: Any, wrong: Any, text: str) -> None:
    spin = spins(wrong, batch=4, on_error="return")
    with spin:
        futures = spin.put_many(range(4))
    assert all(isinstance(future.exception(), TypeError) for future in futures)
    assert text in str(futures[3].exception())


def test_on_error_of_each_kind(spins: Any) -> None:
    def got(on_error: Any) -> list[Any]:
        spin = spins(no_fives, batch=3, on_error=on_error)
        with spin:
            spin.put_many(range(1, 10))
        return list(spin)

    assert got("skip") == [1, 2, 3, 7, 8, 9]
    kinds = [x if isinstance(x, int) else type(x) for x in got("return")]
    assert kinds == [1, 2, 3, ValueError, ValueError, ValueError, 7, 8, 9]
    told: list[Failure] = []
    assert got(told.append) == [1, 2, 3, 7, 8, 9]
    assert [(each.index, each.args, each.attempts) for each in told] == [(3, (4,), 1), (4, (5,), 1), (5, (6,), 1)]
    spin = spins(no_fives, batch=3)
    with spin:
        spin.put_many(range(1, 10))
    assert [next(spin) for _ in range(3)] == [1, 2, 3]
    for _ in range(3):
        with pytest.raises(ValueError, match="a five among"):
            next(spin)
    assert list(spin) == [7, 8, 9]


def test_state_and_setup(spins: Any) -> None:
    with spins(lambda state, items: [(len(state), x) for x in items], batch=2, setup=lambda: "four") as spin:
        spin.put_many(range(3))
    assert list(spin) == [(4, 0), (4, 1), (4, 2)]


def test_what_cannot_be_sent_fails_alone(spins: Any, capabilities: Capabilities, path: str) -> None:
    if not capabilities.pickles:
        pytest.skip("nothing is sent")
    with spins(partial(noted, path), batch=3, on_error="return") as spin:
        spin.put_many([0, threading.Lock(), 1, 2])
    got = list(spin)
    assert [got[0], *got[2:]] == [0, 1, 2]
    assert "cannot be pickled" in str(got[1])
    assert groups(path) == [["0", "1", "2"]]


class Unbuildable:
    def __reduce__(self) -> Any:
        return _raise, ()


def _raise() -> None:
    raise LookupError("not here")


def test_what_cannot_be_rebuilt_fails_alone(spins: Any, capabilities: Capabilities, path: str) -> None:
    if not capabilities.pickles:
        pytest.skip("nothing is sent")
    with spins(partial(noted, path), batch=3, on_error="return") as spin:
        spin.put_many([0, Unbuildable(), 1, Unbuildable()])
    got = list(spin)
    assert got[0::2] == [0, 1]
    assert ["could not be rebuilt" in str(each) and "not here" in str(each) for each in got[1::2]] == [True, True]
    assert groups(path) == [["0", "1"]], "and one of which nothing can be rebuilt is not run"


def test_an_item_is_as_it_was_when_it_was_put(spins: Any, capabilities: Capabilities) -> None:
    """A camera's buffer is filled again while its last frame waits for others."""
    if not capabilities.pickles:
        pytest.skip("an object is handed over itself")
    frame = [0]
    spin = spins(lambda items: [x[0] for x in items], batch=3)
    for x in range(3):
        frame[0] = x
        spin.put(frame)
    spin.close()
    assert list(spin) == [0, 1, 2]


def test_large_items_and_results(spins: Any) -> None:
    numpy = pytest.importorskip("numpy")
    with spins(lambda items: [x + 1 for x in items], batch=3, workers=2) as spin:
        spin.put_many(numpy.full(200_000, x) for x in range(10))
    got = list(spin)
    assert [(int(each[0]), int(each.sum())) for each in got] == [(x + 1, (x + 1) * 200_000) for x in range(10)]


# -------------------------------------------------------------------------------------------- with the other words


def test_keys_one_item_of_each_in_a_batch_and_in_order(spins: Any, path: str) -> None:
    with spins(partial(noted, path), batch=8, max_wait=0.001, workers=2, key=lambda x: x % 3) as spin:
        spin.put_many(range(30))
    assert list(spin) == list(range(30))
    ran = [[int(x) for x in group] for group in groups(path)]
    assert all(len({x % 3 for x in group}) == len(group) for group in ran)
    for key in range(3):
        mine = [x for group in ran for x in group if x % 3 == key]
        assert mine == sorted(mine)


def test_keys_need_no_max_wait_to_come_to_an_end(spins: Any) -> None:
    spin = spins(double, batch=8, key=lambda x: 0)
    futures = spin.put_many(range(5))
    assert spin.flush(PATIENCE)
    assert all(future.done() for future in futures)
    spin.put_many(range(5, 9))
    spin.close()
    assert list(spin) == [2 * x for x in range(9)]


def test_drop_oldest_keeps_the_newest(spins: Any, gate: Gate, path: str) -> None:
    spin = spins(partial(at_gate, gate, path), batch=3, max_wait=0.001, maxsize=5, overflow="drop_oldest")
    spin.put(0)
    gate.arrived()
    futures = [spin.put(x) for x in range(1, 50)]
    gate.open(10)
    spin.close()
    assert list(spin) == [0, 46, 47, 48, 49]
    assert sum(future.cancelled() for future in futures) == spin.stats().dropped == 45
    assert groups(path) == [["0"], ["46", "47", "48"], ["49"]]


def test_other_overflows(spins: Any, gate: Gate, path: str) -> None:
    for overflow in ("raise", "drop_newest", "block"):
        spin = spins(partial(at_gate, gate, path), batch=2, maxsize=3, overflow=overflow)
        spin.put_many(range(3))
        gate.arrived()
        if overflow == "drop_newest":
            assert spin.put(3).cancelled()
        else:
            with pytest.raises(Full):
                spin.put(3, timeout=0.01)
        gate.open(2)
        spin.close()
        assert list(spin) == [0, 1, 2]
        gate.arrived()


@pytest.mark.parametrize("limit", [1, 200, 100_000])
def test_buffer_bytes(spins: Any, limit: int) -> None:
    spin = spins(lambda items: [bytes(100) for _ in items], batch=4, buffer_bytes=limit, workers=2)
    spin.put_many(range(40))
    spin.close()
    assert list(spin) == [bytes(100)] * 40


def test_futures_alone_and_on_result(spins: Any) -> None:
    spin = spins(double, batch=3, iterate=False)
    futures = spin.put_many(range(7))
    spin.close()
    assert [future.result(PATIENCE) for future in futures] == [2 * x for x in range(7)]
    got: list[int] = []
    with spins(double, batch=3, on_result=got.append) as spin:
        spin.put_many(range(7))
    assert got == [2 * x for x in range(7)]


def test_callbacks_of_each_future(spins: Any, backend: str) -> None:
    """They have run when `join` returns; that they had not was a matter of microseconds."""
    for _ in range(300 if backend == "inline" else 3):
        called: list[Any] = []
        spin = spins(double, batch=2)
        for x in range(4):
            spin.put(x).add_done_callback(lambda future, called=called: called.append(future.result()))
        spin.close()
        assert spin.join(PATIENCE)
        assert sorted(called) == [0, 2, 4, 6]


def test_in_coroutines(spins: Any) -> None:
    async def main() -> list[int]:
        async with spins(double, batch=4, max_wait=0.005) as spin:
            got = []
            for x in range(20):
                await spin.aput(x)
                got += spin.ready()
        return got + [x async for x in spin]

    assert asyncio.run(main()) == [2 * x for x in range(20)]


@pytest.mark.parametrize(
    ("words", "kind", "text"),
    [
        ({"batch": 0}, ValueError, "batch must be at least 1"),
        ({"batch": 2.0}, TypeError, "batch must be an integer"),
        ({"max_wait": 1}, ValueError, "it needs batch="),
        ({"batch": 2, "max_wait": -1}, ValueError, "max_wait must be greater than 0"),
        ({"batch": 2, "max_wait": "1"}, TypeError, "max_wait must be a number of seconds"),
        ({"batch": 2, "key": abs, "sticky": True}, ValueError, "runs on one worker"),
        ({"batch_size": 2}, TypeError, "use batch"),
        ({"batch_timeout": 2}, TypeError, "use max_wait"),
    ],
)
def test_words_that_make_no_sense(words: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        SpinOff(double, **words)


# --------------------------------------------------------------------------------------------------------- cancelling


def test_what_waits_is_taken_out_of_its_batch(spins: Any, path: str) -> None:
    spin = spins(partial(noted, path), batch=4)
    futures = spin.put_many(range(3))
    assert futures[1].cancel()
    spin.put_many([3, 4])
    spin.close()
    assert list(spin) == [0, 2, 3, 4]
    assert groups(path) == [["0", "2", "3", "4"]]
    assert futures[1].cancelled()
    assert spin.stats().cancelled == 1


def test_one_that_is_cancelled_while_its_batch_is_made(spins: Any, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others run all the same: they were told neither that, nor anything else."""
    gather = batching.Call.gather

    def gather_and_lose_one(call: Any, items: Any) -> Any:
        gone = gather(call, items)
        if len(call.items) == 3:
            assert call.items[0].cancel()
        return gone

    monkeypatch.setattr(batching.Call, "gather", gather_and_lose_one)
    spin = spins(partial(noted, path), batch=3)
    futures = spin.put_many(range(3))
    spin.close()
    assert [future.result(PATIENCE) for future in futures[1:]] == [1, 2]
    assert futures[0].cancelled()
    assert groups(path) == [["1", "2"]]


def test_one_whose_canceller_was_struck_before_he_told_anybody(spins: Any, path: str) -> None:
    spin = spins(partial(noted, path), batch=2)
    future = spin.put(0)
    future.add_done_callback(str)
    with tasks.LOCK:
        future.doom()
    spin.put(1)
    spin.close()
    assert list(spin) == [1]
    assert future.cancelled()


def test_a_cancel_that_was_struck_in_the_middle_is_finished(spins: Any, path: str) -> None:
    spin = spins(partial(noted, path), batch=4, key=lambda x: x % 2)
    futures = spin.put_many(range(3))
    spin._core.gate.cancel()  # as `spin.cancel()` does, before it cancels what waits
    spin.close()
    assert spin.join(PATIENCE)
    assert all(future.cancelled() for future in futures)
    assert groups(path) == []


def test_of_a_batch_that_runs_none_of_several_is_cancelled_alone(spins: Any, gate: Gate, path: str) -> None:
    spin = spins(partial(at_gate, gate, path), batch=2)
    futures = spin.put_many(range(2))
    gate.arrived()
    assert not futures[0].cancel()
    assert not futures[1].cancel()
    gate.open()
    assert [future.result(PATIENCE) for future in futures] == [0, 1]


@pytest.mark.usefixtures("mortal")
def test_one_that_runs_alone_is_cancelled_as_ever(spins: Any, gate: Gate, path: str) -> None:
    spin = spins(partial(at_gate, gate, path), batch=2, max_wait=0.001)
    only = spin.put(0)
    gate.arrived()
    assert only.cancel()
    later = spin.put(1)
    gate.arrived()
    gate.open()
    assert later.result(PATIENCE) == 1
    assert spin.stats().engine.workers == 1


def test_cancel_ends_what_waits_and_what_runs(spins: Any, gate: Gate, path: str, capabilities: Capabilities) -> None:
    spin = spins(partial(at_gate, gate, path), batch=2)
    futures = spin.put_many(range(7))
    gate.arrived()
    spin.cancel()
    if not capabilities.can_kill:
        gate.open()
    assert spin.join(PATIENCE)
    cancelled = [future.cancelled() for future in futures]
    assert cancelled[2:] == [True] * 5
    assert cancelled[:2] == [capabilities.can_kill] * 2
    assert groups(path) == [["0", "1"]]


def test_while_it_is_cancelled_no_other_batch_starts(mortal: None, spins: Any, gate: Gate, path: str) -> None:
    """The end of what runs makes room: nobody takes it before what waits has been cancelled, too."""
    spin = spins(partial(at_gate, gate, path), batch=2)
    futures = spin.put_many(range(7))
    gate.arrived()
    keeper = spin._core.gate
    keeper.cancel()  # the first half of `spin.cancel()`
    wait_until(lambda: futures[0].cancelled() and futures[1].cancelled(), "the end of what ran")
    keeper.poke()
    wait_until(lambda: not keeper._poked, "the thread that keeps the gate")
    assert [future.running() for future in futures] == [False] * 7
    spin.cancel()
    assert spin.join(PATIENCE)
    assert all(future.cancelled() for future in futures)
    assert groups(path) == [["0", "1"]]


def test_a_batch_that_was_chosen_when_it_is_cancelled_is_ended(
    mortal: None, spins: Any, gate: Gate, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever cancels could not see that call among those that are out."""
    spin = spins(partial(at_gate, gate, path), batch=2)
    keeper = spin._core.gate
    hand_over = keeper._hand_over

    def cancelled_before(chosen: list[Any]) -> None:
        keeper.cancel()
        hand_over(chosen)

    monkeypatch.setattr(keeper, "_hand_over", cancelled_before)
    futures = spin.put_many(range(2))
    wait_until(lambda: all(future.cancelled() for future in futures), "the end of the call")


def test_left_by_an_exception_nothing_more_starts(spins: Any, path: str) -> None:
    spin = spins(partial(noted, path), batch=4)
    with pytest.raises(LookupError):
        with spin:
            futures = spin.put_many(range(3))
            raise LookupError
    assert all(future.cancelled() for future in futures)
    assert groups(path) == []


def test_dropped_without_close_it_finishes(backend: str) -> None:
    spin: SpinOff[int] = SpinOff(double, batch=4, backend=backend)  # type: ignore[arg-type]
    futures = spin.put_many(range(10))
    del spin
    gc.collect()
    assert [future.result(PATIENCE) for future in futures] == [2 * x for x in range(10)]


# ----------------------------------------------------------------------------------------------------- retries, deaths


def fail_once(path: str, items: list[int]) -> list[int]:
    work.note(path, " ".join(map(str, items)))
    if len(groups(path)) == 1:
        raise ConnectionError("a bad moment")
    return items


def test_a_batch_that_raised_runs_again_as_it_was(spins: Any, path: str) -> None:
    with spins(partial(fail_once, path), batch=3, retries=1) as spin:
        spin.put_many(range(3))
    assert list(spin) == [0, 1, 2]
    assert groups(path) == [["0", "1", "2"]] * 2


def test_when_it_raises_at_every_try_each_item_has_the_error(spins: Any) -> None:
    told: list[Failure] = []
    with spins(no_fives, batch=3, retries=2, on_error=told.append) as spin:
        spin.put_many([4, 5, 6])
    assert list(spin) == []
    assert [(each.index, each.attempts) for each in told] == [(0, 3), (1, 3), (2, 3)]
    assert "run 2 of 3: ValueError" in "".join(told[0].error.__notes__)


def killed_by(path: str, poison: int, items: list[int]) -> list[int]:
    work.note(path, " ".join(map(str, items)))
    if poison in items:
        os.kill(os.getpid(), signal.SIGKILL)
    return items


@pytest.mark.usefixtures("mortal")
def test_without_retries_a_death_is_that_of_the_whole_batch(spins: Any, path: str) -> None:
    spin = spins(partial(killed_by, path, 1), batch=3, on_error="return")
    with spin:
        spin.put_many(range(7))
    got = list(spin)
    assert all(isinstance(each, WorkerDied) for each in got[:3])
    assert "was given a batch of 3 items, of which this was one" in "".join(got[0].__notes__)
    assert got[3:] == [3, 4, 5, 6]
    assert groups(path) == [["0", "1", "2"], ["3", "4", "5"], ["6"]]


@pytest.mark.usefixtures("mortal")
@pytest.mark.parametrize("retries", [1, 2])
def test_with_retries_the_poisonous_item_takes_no_others_along(spins: Any, path: str, retries: int) -> None:
    told: list[Failure] = []
    spin = spins(partial(killed_by, path, 1), batch=3, retries=retries, on_error=told.append)
    with spin:
        spin.put_many(range(6))
    assert list(spin) == [0, 2, 3, 4, 5]
    ((index, attempts, error),) = [(each.index, each.attempts, each.error) for each in told]
    assert (index, attempts) == (1, 1 + retries)
    assert isinstance(error, PoisonTask)
    ran = groups(path)
    assert ran[0] == ["0", "1", "2"]
    assert sorted(ran[1:]) == sorted([["0"], ["1"], ["2"], *([["1"]] * (retries - 1)), ["3", "4", "5"]])


def hang_on(path: str, poison: int, items: list[int]) -> list[int]:
    work.note(path, " ".join(map(str, items)))
    if poison in items:
        threading.Event().wait(PATIENCE)
    return items


@pytest.mark.usefixtures("mortal")
def test_a_timeout_is_that_of_a_batch_and_found_item_by_item(spins: Any, path: str) -> None:
    spin = spins(partial(hang_on, path, 2), batch=4, timeout=1.0, retries=1, on_error="return")
    with spin:
        spin.put_many(range(4))
    got = list(spin)
    assert [got[0], got[1], got[3]] == [0, 1, 3]
    assert isinstance(got[2], TaskTimeout)
    assert groups(path)[0] == ["0", "1", "2", "3"]
    assert sorted(groups(path)[1:]) == [["0"], ["1"], ["2"], ["3"]]


def test_an_item_that_waits_too_long_for_its_first_run(spins: Any, gate: Gate, path: str, backend: str) -> None:
    if backend == "inline":
        pytest.skip("nobody looks while something runs")
    spin = spins(partial(at_gate, gate, path), batch=1, queue_timeout=0.2)
    while True:
        first = spin.put(0)
        while not first.done() and not groups(path):
            time.sleep(0.001)
        if groups(path):
            break  # else its worker was not there in time
    second = spin.put(1)
    with pytest.raises(TaskTimeout, match="waited for") as caught:
        second.result(PATIENCE)
    assert caught.value.where == "queued"
    gate.open()
    assert first.result(PATIENCE) == 0
    assert groups(path) == [["0"]]
