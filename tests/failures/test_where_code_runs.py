"""Which process and which thread each piece of a user's code runs in, and what an exception there does.

docs/where-code-runs.md has one table; each row names its test here.
"""

import logging
import os
import threading
from concurrent.futures.process import BrokenProcessPool
from contextvars import Context, ContextVar
from typing import Any, NamedTuple

import pytest

from procession import Failure, Pool, SpinOff, WorkerStartError, state
from tests import warm
from tests.failures import tasks
from tests.failures.kit import Gate, Notes, wait_until

kept_zygote = warm.keep()


class Place(NamedTuple):
    pid: int
    main: bool
    name: str
    ident: int


def here(*_: object) -> Place:
    me = threading.current_thread()
    return Place(os.getpid(), me is threading.main_thread(), me.name, threading.get_ident())


def in_worker(place: Place) -> bool:
    """In the main thread, and so the only one, of another process."""
    return place.pid != os.getpid() and place.main


def in_caller(place: Place) -> bool:
    return (place.pid, place.ident) == (os.getpid(), threading.get_ident())


def in_own_thread(place: Place) -> bool:
    """Of this process, and neither the caller's thread nor its main one."""
    return place.pid == os.getpid() and place.ident != threading.get_ident() and not place.main


# --------------------------------------------------------------------------------------- things that say where they are


class Traveller:
    """Notes where it is made, pickled and rebuilt."""

    def __init__(self) -> None:
        self.made = here()

    def __reduce__(self) -> Any:
        return arrived, (self.made, here())


class Arrived:
    """What became of a Traveller. As a result, it notes where it is pickled and rebuilt as well."""

    def __init__(self, made: Place, pickled: Place, rebuilt: Place) -> None:
        self.made, self.pickled, self.rebuilt = made, pickled, rebuilt
        self.back: Place | None = None

    def __reduce__(self) -> Any:
        return came_back, (self.made, self.pickled, self.rebuilt, here())


def arrived(made: Place, pickled: Place) -> Arrived:
    return Arrived(made, pickled, here())


def came_back(made: Place, pickled: Place, rebuilt: Place, sent: Place) -> Any:
    it = Arrived(made, pickled, rebuilt)
    it.back = sent
    it.home = here()  # type: ignore[attr-defined]
    return it


class FailsToPickle:
    def __init__(self, kind: type[BaseException] = ValueError) -> None:
        self.kind = kind

    def __reduce__(self) -> Any:
        raise self.kind("will not be pickled")


# ------------------------------------------------------------------------------------------------------ the task itself


def test_the_task() -> None:
    """The function: in the worker's main thread, which is its only one; on threads, in a thread of the pool."""
    with Pool(1) as pool:
        assert in_worker(pool.submit(here).result(60))
        assert pool.submit(threading.active_count).result(60) == 1
    with Pool(1, backend="threads") as pool:
        assert in_own_thread(pool.submit(here).result(60))
    with Pool(backend="inline") as pool:
        assert in_caller(pool.submit(here).result(60))


def test_arguments() -> None:
    """Arguments: `__init__` and pickling in the caller's thread, inside submit; rebuilding in the worker."""
    with Pool(1) as pool:
        it = pool.submit(tasks.same, Traveller()).result(60)
        assert in_caller(it.made)
        assert in_caller(it.pickled)
        assert in_worker(it.rebuilt)
        assert isinstance(pool.submit(tasks.same, FailsToPickle()).exception(60), Exception)
        assert isinstance(pool.submit(tasks.same, tasks.FailsToLoad()).exception(60), BrokenProcessPool)
        assert pool.submit(tasks.double, 1).result(60) == 2


def test_later_mutation_is_not_seen(notes: Notes, gate: Gate) -> None:
    """Arguments are frozen inside submit: what is changed afterwards, the task does not see."""
    with Pool(1) as pool:
        pool.submit(tasks.held, notes.path, gate.path)
        notes.wait(1)
        seen = [1, 2]
        future = pool.submit(tasks.same, seen)
        seen.append(3)
        gate.open()
        assert future.result(60) == [1, 2]


def test_results() -> None:
    """Results: pickled in the worker, rebuilt on the pool's reader thread in the parent; errors fail that task."""
    with Pool(1) as pool:
        it = pool.submit(tasks.same, Traveller()).result(60)
        assert in_worker(it.back)
        assert in_own_thread(it.home)
        assert isinstance(pool.submit(tasks.give_unloadable).exception(60), BrokenProcessPool)
        assert pool.submit(tasks.double, 1).result(60) == 2


def test_a_result_whose_rebuilding_takes_long_holds_only_its_pool(gate: Gate) -> None:
    """A result's `__setstate__` runs on that one thread: a slow one delays this pool's other results, no other pool."""
    with Pool(1) as slow, Pool(1) as other:
        stuck = slow.submit(SlowToRebuild, gate.path)
        assert other.submit(tasks.double, 1).result(60) == 2
        gate.open()
        assert stuck.result(60) is None


class SlowToRebuild:
    def __init__(self, gate: str) -> None:
        self.gate = gate

    def __reduce__(self) -> Any:
        return tasks.await_file, (self.gate,)


def test_functions_by_value() -> None:
    """A by-value function: pickled in the caller's thread, rebuilt in the worker when it is first needed there."""
    carried = Traveller()

    def closure() -> Any:
        return carried

    bad = tasks.FailsToLoad()

    def broken() -> Any:
        return bad

    with Pool(1) as pool:
        it = pool.submit(closure).result(60)
        assert in_caller(it.pickled)
        assert in_worker(it.rebuilt)
        for _ in range(2):
            assert isinstance(pool.submit(broken).exception(60), BrokenProcessPool)
        assert pool.submit(tasks.double, 1).result(60) == 2


def test_context_variables(caplog: pytest.LogCaptureFixture) -> None:
    """What they hold: pickled in the caller's thread, by the call; rebuilt in the worker; else left out, told once."""
    carried: ContextVar[Any] = ContextVar("carried")
    broken: ContextVar[Any] = ContextVar("broken")
    refused: ContextVar[Any] = ContextVar("refused")

    def look(*_: object) -> tuple[Any, Any, Any]:
        return carried.get(), broken.get("left out"), refused.get("left out")

    def call() -> None:
        carried.set(Traveller())
        broken.set(tasks.FailsToLoad())
        refused.set(threading.Lock())
        with Pool(1) as pool:
            for it, *others in (pool.submit(look).result(60), *pool.imap(look, range(2))):
                assert in_caller(it.pickled)
                assert in_worker(it.rebuilt)
                assert others == ["left out"] * 2

    Context().run(call)
    told = sorted(each.getMessage() for each in caplog.records if each.name == "procession")
    assert [each.split("'")[1] for each in told] == ["broken", "refused"]


# --------------------------------------------------------------------------------------------------- sources of streams


def test_the_source() -> None:
    """The source of imap: pulled in the taker's thread (the first window in the call); `live=True`: a thread of its
    own. What it raises comes out behind the items before it."""
    seen: list[Place] = []

    def source(n: int) -> Any:
        for i in range(n):
            seen.append(here())
            yield i
        raise LookupError("the source is over")

    with Pool(1) as pool:
        stream = pool.imap(tasks.double, source(40), window=4)
        assert seen
        got = []
        with pytest.raises(LookupError):
            for value in stream:
                got.append(value)
        assert got == [2 * n for n in range(40)]
        assert all(map(in_caller, seen))
        seen.clear()
        got = []
        with pytest.raises(LookupError):
            for value in pool.imap(tasks.double, source(40), window=4, live=True):
                got.append(value)
        assert got == [2 * n for n in range(40)]
        assert all(map(in_own_thread, seen))
        assert len({place.ident for place in seen}) == 1


def test_the_source_of_map() -> None:
    """The inputs of map: all in the call; what they raise comes out of the call, as with the stdlib."""
    with Pool(1) as pool:
        with pytest.raises(LookupError):
            pool.map(tasks.double, raising_source())
        assert pool.submit(tasks.double, 1).result(60) == 2


def raising_source() -> Any:
    yield 1
    raise LookupError("the source is over")


def test_key() -> None:
    """`key=`: where the source is pulled, and where `put` is called. Its error is the item's; in `put` it raises."""
    seen: list[Place] = []

    def key(item: int) -> int:
        seen.append(here())
        if item == 5:
            raise LookupError("no key")
        return item % 2

    with Pool(2) as pool:
        got = list(pool.imap(tasks.double, range(10), key=key, on_error="return"))
        assert isinstance(got[5], LookupError)
        assert [v for i, v in enumerate(got) if i != 5] == [2 * n for n in range(10) if n != 5]
        assert all(map(in_caller, seen))
        seen.clear()
        list(pool.imap(tasks.double, range(4), key=key, live=True))
        assert all(map(in_own_thread, seen))
    seen.clear()
    with SpinOff(tasks.double, workers=2, key=key) as spin:
        spin.put(1)
        with pytest.raises(LookupError):
            spin.put(5)
        assert all(map(in_caller, seen))
    assert list(spin) == [2]


def test_on_error() -> None:
    """An `on_error` callable: in the thread that takes, at the item's place; what it raises comes out there, and the
    next `next()` goes on."""
    seen: list[Place] = []

    def on_error(failure: Failure) -> None:
        seen.append(here())
        if failure.index == 3:
            raise LookupError("on_error itself")

    with Pool(1) as pool:
        stream = pool.imap(tasks.fail_if, range(6), [1, 1, 1, 3, 1, 1], on_error=on_error)
        got = [next(stream), next(stream)]
        with pytest.raises(LookupError):
            next(stream)
        got += list(stream)
    assert got == [0, 4, 8, 10]
    assert len(seen) == 2
    assert all(map(in_caller, seen))


def test_progress(caplog: pytest.LogCaptureFixture) -> None:
    """A `progress=` callable: in the thread that takes, or ends the stream. What it raises is logged, once."""
    seen: list[tuple[int, int | None, Place]] = []

    def progress(done: int, total: int | None) -> None:
        seen.append((done, total, here()))

    def raises(done: int, total: int | None) -> None:
        seen.append((done, total, here()))
        raise LookupError("progress itself")

    with Pool(1) as pool:
        assert list(pool.imap(tasks.double, list(range(10)), progress=progress)) == [2 * n for n in range(10)]
        assert seen[-1][:2] == (10, 10)
        first = len(seen)
        assert list(pool.imap(tasks.double, list(range(10)), progress=raises)) == [2 * n for n in range(10)]
    assert len(seen) == first + 1
    assert all(in_caller(place) for _, _, place in seen)
    wait_until(lambda: any(each.exc_info for each in caplog.records), "the log line")
    assert [str(each.exc_info[1]) for each in caplog.records if each.exc_info] == ["progress itself"]


# ---------------------------------------------------------------------------------------------- callbacks and on_result


@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_callbacks(backend: str, notes: Notes, gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """Done-callbacks: one thread of the pool, the same for all; of a future that is done already, the caller's. What
    they raise is logged; shutdown waits for them."""
    seen: list[Place] = []
    pool = Pool(2, backend=backend)
    futures = [pool.submit(tasks.held, notes.path, gate.path) for _ in range(2)]
    for future in futures:
        future.add_done_callback(lambda f: seen.append(here()))
        future.add_done_callback(raise_lookup)
    gate.open()
    pool.shutdown()
    assert len(seen) == 2
    assert all(map(in_own_thread, seen))
    assert len({place.ident for place in seen}) == 1
    assert sum("exception calling callback" in record.getMessage() for record in caplog.records) == 2
    seen.clear()
    futures[0].add_done_callback(lambda f: seen.append(here()))
    assert all(map(in_caller, seen))
    assert len(seen) == 1


def raise_lookup(_: object) -> None:
    raise LookupError("from a callback")


def test_callbacks_of_what_is_cancelled(notes: Notes, gate: Gate) -> None:
    """Done-callbacks of a future that `cancel()` cancels: in the thread that cancels, as with the stdlib, or in the
    pool's."""
    seen: list[Place] = []
    with Pool(1) as pool:
        pool.submit(tasks.held, notes.path, gate.path)
        notes.wait(1)
        future = pool.submit(tasks.double, 1)
        future.add_done_callback(lambda f: seen.append(here()))
        assert future.cancel()
        wait_until(lambda: seen, "the callback")
        gate.open()
    assert in_caller(seen[0]) or in_own_thread(seen[0])


def test_on_result(caplog: pytest.LogCaptureFixture) -> None:
    """`on_result`: one thread of the spin-off, in order. What it raises is logged, and the next result comes."""
    seen: list[tuple[int, Place]] = []

    def on_result(value: int) -> None:
        seen.append((value, here()))
        if value == 4:
            raise LookupError("on_result itself")

    with SpinOff(tasks.double, workers=2, on_result=on_result) as spin:
        for n in range(6):
            spin.put(n)
    assert [value for value, _ in seen] == [0, 2, 4, 6, 8, 10]
    assert all(in_own_thread(place) for _, place in seen)
    assert len({place.ident for _, place in seen}) == 1
    assert any(record.exc_info and record.exc_info[0] is LookupError for record in caplog.records)


def test_on_error_of_a_spinoff_that_is_not_iterated() -> None:
    """A spin-off's `on_error` callable with `on_result`: on that same thread; iterated: in the thread that takes."""
    seen: list[Place] = []
    got: list[Place] = []
    with SpinOff(
        fail_at_two, on_result=lambda v: got.append(here()), on_error=lambda failure: seen.append(here())
    ) as spin:
        for n in range(4):
            spin.put(n)
    assert len(seen) == 1
    assert {place.ident for place in got} == {seen[0].ident}
    assert in_own_thread(seen[0])
    seen.clear()
    with SpinOff(fail_at_two, on_error=lambda failure: seen.append(here())) as spin:
        for n in range(4):
            spin.put(n)
    assert list(spin) == [0, 2, 6]
    assert len(seen) == 1
    assert in_caller(seen[0])


def fail_at_two(n: int) -> int:
    return tasks.fail_if(n, 2)


# ----------------------------------------------------------------------------------------- initializer, setup, teardown


class Setup:
    """A setup whose state says where it was made, and whose teardown notes where it ends."""

    def __init__(self, path: str, fails: str = "") -> None:
        self.path, self.fails = path, fails

    def __call__(self) -> "Setup":
        return self

    def __enter__(self) -> Place:
        if self.fails == "setup":
            raise LookupError("setup itself")
        return here()

    def __exit__(self, *exc: object) -> None:
        place = here()
        tasks.note(self.path, f"{place.pid} {place.main}")
        if self.fails == "teardown":
            raise LookupError("teardown itself")


def initialize(path: str) -> None:
    place = here()
    tasks.note(path, f"{place.pid} {place.main}")


@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_initializer_setup_teardown(backend: str, notes: Notes) -> None:
    """`initializer`, `setup` and teardown: once a worker, in the thread that will run its tasks."""
    with Pool(1, backend=backend, initializer=initialize, initargs=(notes.path,), setup=Setup(notes.path)) as pool:
        made = pool.submit(state).result(60)
        task = pool.submit(here).result(60)
        assert (made.pid, made.ident) == (task.pid, task.ident)
        assert in_worker(made) if backend == "processes" else in_own_thread(made)
    assert notes.lines() == [f"{made.pid} {made.main}"] * 2


@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_what_they_raise(backend: str, notes: Notes, caplog: pytest.LogCaptureFixture) -> None:
    """`initializer` and `setup`: an exception breaks the pool (WorkerStartError, with it as cause)."""
    for words in ({"initializer": tasks.fail}, {"setup": Setup(notes.path, "setup")}):
        with Pool(1, backend=backend, **words) as pool:
            error = pool.submit(tasks.double, 1).exception(60)
            assert isinstance(error, WorkerStartError)
            assert isinstance(error.__cause__, ValueError | LookupError)


@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_what_a_teardown_raises(backend: str, notes: Notes, caplog: pytest.LogCaptureFixture) -> None:
    """Teardown: in a Pool an exception is logged; in a SpinOff it comes out of join and of leaving the block."""
    with caplog.at_level(logging.ERROR, "procession"):
        with Pool(1, backend=backend, setup=Setup(notes.path, "teardown")) as pool:
            assert pool.submit(tasks.double, 1).result(60) == 2
    assert any("teardown" in record.getMessage() for record in caplog.records)
    with pytest.raises(LookupError, match="teardown itself"):
        with SpinOff(second, backend=backend, setup=Setup(notes.path, "teardown")) as spin:
            spin.put(7)
    assert list(spin) == [7]


def second(_state: object, item: int) -> int:
    return item
