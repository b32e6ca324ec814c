"""`pool.replay(failure)`: one failed item again, here: with its arguments, its random numbers, its state."""

import asyncio
import copy
import os
import pickle
import shutil
import subprocess
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from procession import (
    Captured,
    Failure,
    Pipeline,
    Pool,
    RemoteError,
    SpinOff,
    Stage,
    TaskTimeout,
    WorkerDied,
    np_rng,
    rng,
    state,
)
from tests import warm

kept_zygote = warm.keep()

SEED = 20261128
BACKENDS: tuple[Any, ...] = ("inline", "threads", "processes")


class Drawn(Exception):
    """Fails with what it has drawn, and where it ran."""


def fails_with_draws(n: int) -> None:
    raise Drawn(n, rng().random(), float(np_rng().random()))


def fails_here(*args: Any) -> None:
    raise Drawn(args, os.getpid(), threading.get_ident())


HERE = os.getpid()


def raised_by(replay: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as caught:
        replay()
    return caught.value


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def inline_pool() -> Iterator[Pool]:
    with Pool(backend="inline") as pool:
        yield pool


# -------------------------------------------------------------------------------------------------- the call, as it was


def test_it_runs_here_with_its_arguments(backend: Any) -> None:
    failures: list[Failure] = []
    with Pool(2, backend=backend) as pool:
        assert list(pool.imap(fails_here, range(3), "abc", on_error=failures.append)) == []
        error = raised_by(lambda: pool.replay(failures[1]))
    assert error.args == ((1, "b"), HERE, threading.get_ident())


def test_after_the_end_and_by_another_pool(backend: Any, inline_pool: Pool) -> None:
    failures: list[Failure] = []
    with Pool(2, backend=backend) as pool:
        list(pool.imap(fails_with_draws, range(4), on_error=failures.append, seed=SEED))
    for failure in failures:
        for replayer in (pool, pool.options(timeout=1), inline_pool):
            error = raised_by(lambda failure=failure, by=replayer: by.replay(failure))  # type: ignore[misc]
            assert type(error) is Drawn
            assert error.args == failure.error.args


@pytest.mark.parametrize("seed", [None, SEED])
def test_what_succeeds_now_gives_its_value(backend: Any, seed: int | None) -> None:
    failures: list[Failure] = []
    broken = [True]

    def halve(n: int) -> float:
        if n == 0 and broken:
            raise ValueError(n)
        return n / 2

    with Pool(2, backend=backend) as pool:
        assert list(pool.imap(halve, [0, 1], on_error=failures.append, seed=seed)) == [0.5]
        broken.clear()
        assert pool.replay(failures[0]) == 0.0


def test_every_stream(backend: Any, inline_pool: Pool) -> None:
    """Ordered or not, with chunks, keys, asynchronous sources, under a view's seed: each knows its place."""
    failures: list[Failure] = []

    async def numbers() -> AsyncIterator[int]:
        for n in range(5):
            yield n

    async def take(pool: Pool) -> None:
        async for _ in pool.aimap(fails_with_draws, numbers(), on_error=failures.append, seed=SEED):
            raise AssertionError
        async for _ in pool.options(seed=SEED).aimap(fails_with_draws, range(5), on_error=failures.append):
            raise AssertionError

    with Pool(2, backend=backend) as pool:
        words: dict[str, Any] = {"on_error": failures.append, "seed": SEED}
        list(pool.imap_unordered(fails_with_draws, range(5), **words))
        list(pool.imap(fails_with_draws, range(5), chunksize=3, **words))
        list(pool.imap(fails_with_draws, range(5), key=lambda n: n % 2, **words))
        list(pool.options(seed=SEED).imap(fails_with_draws, range(5), on_error=failures.append))
        asyncio.run(take(pool))
    assert len(failures) == 30
    assert len({failure.error.args for failure in failures}) == 5
    for failure in failures:
        assert raised_by(lambda failure=failure: inline_pool.replay(failure)).args == failure.error.args  # type: ignore[misc]


def test_what_never_was_sent_and_what_killed_its_worker(inline_pool: Pool) -> None:
    lock = threading.Lock()
    failures: list[Failure] = []

    def dies(item: Any) -> str:
        if item == "die" and os.getpid() != HERE:
            os._exit(3)
        if item == "hang" and os.getpid() != HERE:
            threading.Event().wait()
        return f"here: {type(item).__name__}"

    with Pool(2) as pool:
        view = pool.options(timeout=0.2)
        assert list(view.imap(dies, ["die", lock, "hang"], on_error=failures.append, chunksize=1)) == []
    assert [type(each.error).__mro__[0] for each in failures[::2]] == [WorkerDied, TaskTimeout]
    assert [inline_pool.replay(each) for each in failures] == ["here: str", "here: lock", "here: str"]


# ----------------------------------------------------------------------------------------------- SpinOffs and pipelines


@pytest.mark.parametrize("iterate", [True, False])
def test_of_a_spinoff(backend: Any, inline_pool: Pool, iterate: bool) -> None:
    failures: list[Failure] = []
    words: dict[str, Any] = {"workers": 2, "backend": backend, "seed": SEED, "iterate": iterate}
    with SpinOff(fails_with_draws, on_error=failures.append, **words) as spin:
        spin.put_many(range(6))
    if iterate:
        assert list(spin) == []
    assert sorted(each.args[0] for each in failures) == list(range(6))
    for failure in failures:
        assert raised_by(lambda failure=failure: inline_pool.replay(failure)).args == failure.error.args  # type: ignore[misc]


def test_places_count_what_was_dropped(inline_pool: Pool) -> None:
    """An item's place is not its index then; it draws what it drew."""
    failures: list[Failure] = []
    hold = threading.Event()

    def held(n: int) -> None:
        hold.wait(30)
        fails_with_draws(n)

    words: dict[str, Any] = {"backend": "threads", "seed": SEED, "maxsize": 2, "overflow": "drop_newest"}
    with SpinOff(held, on_error=failures.append, **words) as spin:
        spin.put_many(range(9))
        hold.set()
        assert spin.flush(30)
        assert spin.ready() == []
        spin.put(9)
    assert list(spin) == []
    assert [(failure.index, failure.args[0]) for failure in failures] == [(0, 0), (1, 1), (2, 9)]
    for failure in failures:
        assert raised_by(lambda failure=failure: inline_pool.replay(failure)).args == failure.error.args  # type: ignore[misc]


def test_of_a_batch_alone(backend: Any, inline_pool: Pool) -> None:
    """It has the state, and the list has one item."""
    failures: list[Failure] = []

    def squares(factor: int, items: list[int]) -> list[int]:
        if len(items) != 1:
            raise ValueError(items)
        return [factor * item * item for item in items]

    with SpinOff(squares, backend=backend, batch=3, setup=lambda: 10, on_error=failures.append) as spin:
        spin.put_many(range(3))
    assert list(spin) == []
    assert [inline_pool.replay(each) for each in failures] == [0, 10, 40]


def test_of_a_stage(backend: Any, inline_pool: Pool) -> None:
    """Behind one that makes many: by the place among all of them."""
    failures: list[Failure] = []

    def split(n: int) -> list[tuple[int, int]]:
        return [(n, k) for k in range(n)]

    def fails(part: tuple[int, int]) -> None:
        raise Drawn(part, rng().random())

    with Pipeline(Stage(split, backend=backend, many=True), Stage(fails, backend=backend, workers=2)) as pipe:
        for _ in range(2):
            assert list(pipe.run(range(4), on_error=failures.append, seed=SEED)) == []
    assert [each.stage for each in failures] == [failures[0].stage] * 12
    assert len({each.error.args[1] for each in failures}) == 6
    for failure in failures:
        assert raised_by(lambda failure=failure: inline_pool.replay(failure)).args == failure.error.args  # type: ignore[misc]


def test_what_makes_many_gives_its_list(inline_pool: Pool) -> None:
    failures: list[Failure] = []
    broken = [True]

    def parts(n: int) -> Iterator[int]:
        yield from range(n)
        if broken:
            raise ValueError(n)

    def more(items: list[int]) -> list[range]:
        if broken:
            raise ValueError(items)
        return [range(item) for item in items]

    for stage in (Stage(parts, backend="threads", many=True), Stage(more, backend="threads", many=True, batch=2)):
        assert list(Pipeline(stage).run([3], on_error=failures.append)) == []
    broken.clear()
    assert [inline_pool.replay(each) for each in failures] == [[0, 1, 2], [0, 1, 2]]


def test_a_batch_of_one_that_gives_two(inline_pool: Pool) -> None:
    failures: list[Failure] = []
    with SpinOff(
        lambda items: [*items, 0], backend="threads", batch=2, name="double", on_error=failures.append
    ) as spin:
        spin.put(1)
    list(spin)
    with pytest.raises(ValueError, match="double was given a batch of 1 item and returned 2 outputs"):
        inline_pool.replay(failures[0])


# ---------------------------------------------------------------------------------------------------- what surrounds it


def test_the_workers_initializer_and_setup(backend: Any, inline_pool: Pool) -> None:
    """Run for it, here, in the order in which a worker runs them, and left afterwards."""
    told: list[str] = []
    broken = [True]

    class Session:
        def __enter__(self) -> "Session":
            told.append("enter")
            return self

        def __exit__(self, *exc_info: object) -> None:
            told.append("leave")

    def task(n: int) -> int:
        told.append(f"task {n}")
        assert isinstance(state(), Session)
        if broken:
            raise ValueError(n)
        return n

    failures: list[Failure] = []
    with Pool(1, backend=backend, initializer=told.append, initargs=("initializer",), setup=Session) as pool:
        list(pool.imap(task, [7], on_error=failures.append))
    told.clear()
    assert type(raised_by(lambda: inline_pool.replay(failures[0]))) is ValueError
    assert told == ["initializer", "enter", "task 7", "leave"]
    broken.clear()
    assert inline_pool.replay(failures[0]) == 7
    with pytest.raises(RuntimeError, match="there is no state here"):
        state()


def test_the_context_variables_of_who_handed_it_over(inline_pool: Pool) -> None:
    """As they were then, whatever they are now; what it sets stays its own."""
    user: ContextVar[str] = ContextVar("user")
    failures: list[Failure] = []

    def who(*_args: Any) -> None:
        name = user.get()
        user.set("somebody else")
        raise Drawn(name)

    def batch(items: list[Any]) -> None:
        who()

    user.set("maker")
    spin = SpinOff(who, backend="threads", on_error=failures.append, iterate=False)
    batches = SpinOff(batch, backend="threads", on_error=failures.append, iterate=False, batch=2)
    for made, name in ((spin, "putter"), (batches, "putter")):
        user.set(name)
        with made:
            made.put(1)
    user.set("streamer")
    with Pool(1, backend="threads") as pool, Pipeline(Stage(who, backend="threads")) as pipe:
        streams = [pool.imap(who, [1], on_error=failures.append), pipe.run([1], on_error=failures.append)]
        user.set("taker")
        for stream in streams:
            assert list(stream) == []
    for failure, expected in zip(failures, ["putter", "maker", "streamer", "streamer"], strict=True):
        again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(failure))))
        assert raised_by(lambda again=again: inline_pool.replay(again)).args == (expected,)  # type: ignore[misc]
        assert raised_by(lambda failure=failure: inline_pool.replay(failure)).args == (expected,)  # type: ignore[misc]
        assert user.get() == "taker"


class Hard:
    """A state whose end is hard."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: object) -> None:
        raise OSError("the teardown")


def test_its_own_error_comes_out_whatever_the_teardown_does(inline_pool: Pool) -> None:
    failures: list[Failure] = []
    broken = [True]

    def task(n: int) -> int:
        return 1 // (n if broken else 1)

    pool = Pool(1, backend="threads", setup=Hard)
    list(pool.imap(task, [0], on_error=failures.append))
    pool.shutdown()
    error = raised_by(lambda: inline_pool.replay(failures[0]))
    assert type(error) is ZeroDivisionError
    assert error.__notes__ == ["and the teardown of its setup raised OSError: the teardown"]
    broken.clear()
    with pytest.raises(OSError, match="the teardown"):
        inline_pool.replay(failures[0])


def test_a_setup_that_fails_fails_here(inline_pool: Pool) -> None:
    def setup() -> None:
        raise LookupError("no model")

    failures: list[Failure] = []
    spin = SpinOff(abs, backend="threads", setup=setup, on_error=failures.append)
    spin.put(1)
    spin.close()
    assert list(spin) == []
    with pytest.raises(LookupError, match="no model"):
        inline_pool.replay(failures[0])


def test_the_traceback_is_its_own(inline_pool: Pool) -> None:
    """What a debugger stops at is the user's line: post mortem, and by breakpoint()."""
    failures: list[Failure] = []
    with Pool(1) as pool:
        list(pool.imap(fails_here, [1], on_error=failures.append, seed=SEED))
    error = raised_by(lambda: inline_pool.replay(failures[0]))
    last: TracebackType | None = error.__traceback__
    assert last is not None
    while last.tb_next is not None:
        last = last.tb_next
    assert last.tb_frame.f_code is fails_here.__code__
    assert last.tb_frame.f_locals["args"] == (1,)
    assert "raise Drawn(args, os.getpid(), threading.get_ident())" in "".join(traceback.format_exception(error))


def test_breakpoint_stops_in_it(inline_pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[int] = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: stopped.append(sys._getframe(1).f_locals["n"]))

    def task(n: int) -> None:
        if os.getpid() == HERE:
            breakpoint()  # noqa: T100
        raise ValueError(n)

    failures: list[Failure] = []
    with Pool(1) as pool:
        list(pool.imap(task, [5], on_error=failures.append))
    assert type(raised_by(lambda: inline_pool.replay(failures[0]))) is ValueError
    assert stopped == [5]


# -------------------------------------------------------------------------------------------------------------- pickled


def test_there_and_back(backend: Any, inline_pool: Pool) -> None:
    failures: list[Failure] = []
    with Pool(2, backend=backend, setup=dict) as pool:
        list(pool.imap(fails_with_draws, range(3), on_error=failures.append, seed=SEED))
    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(failures))))
    for failure in again:
        assert raised_by(lambda failure=failure: inline_pool.replay(failure)).args == failure.error.args


def test_a_repaired_module_and_a_function_by_value_in_another_program(tmp_path: Path) -> None:
    """The next day: what can be imported is what is there now; what cannot goes with the failure."""
    module = tmp_path / "day.py"
    variable = "from contextvars import ContextVar\nuser = ContextVar('user', default='nobody')\n"
    module.write_text(variable + "def work(n):\n    raise ValueError(n)\n")
    fail = """
import pickle, sys
import day
from procession import Pool, rng
failures = []
def drawn(n):
    return ("drawn", n, rng().random())
fails = [True]
def local(n):
    if fails: raise KeyError(drawn(n))
    return drawn(n)
day.user.set("yesterday's")
with Pool(1, setup=lambda: "the state") as pool:
    list(pool.imap(day.work, [1], on_error=failures.append))
    list(pool.imap(local, [10, 20], on_error=failures.append, seed=3))
pickle.dump(failures, open("failures", "wb"))
print([each.error.args for each in failures])
"""
    again = """
import pickle
from procession import Pool
failures = pickle.load(open("failures", "rb"))
found = []
with Pool(backend="inline") as pool:
    for failure in failures:
        try:
            found.append((pool.replay(failure),))
        except KeyError as error:
            found.append(error.args)
print(found)
"""

    def program(text: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return eval(done.stdout)

    first = program(fail)
    assert first[0] == (1,)
    module.write_text(variable + "def work(n):\n    return ('repaired', n, user.get())\n")
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
    assert program(again) == [(("repaired", 1, "yesterday's"),), *first[1:]]
    module.unlink()
    text = again.replace("except KeyError", "except RuntimeError").replace("error.args", "str(error)")
    text = text.replace("in failures", "in failures[:1]")
    assert "the function work of this failure cannot be loaded here (ModuleNotFoundError" in program(text)[0]


def test_errors_that_cannot_be_pickled_and_tracebacks(backend: Any) -> None:
    """The error is what it is after a way from a worker; the failure itself keeps its own."""

    def fails(n: int) -> None:
        print("said", n)
        raise ValueError(threading.Lock() if n else "plain")

    failures: list[Failure] = []
    with Pool(1, backend=backend) as pool:
        list(pool.options(capture=True).imap(fails, [0, 1], on_error=failures.append))
    for _ in range(2):
        plain, hard = pickle.loads(pickle.dumps(failures))
        assert (type(plain.error), plain.error.args) == (ValueError, ("plain",))
        assert isinstance(hard.error, RemoteError)
        assert isinstance(hard.error, ValueError)
        for failure, first, n in ((plain, failures[0], 0), (hard, failures[1], 1)):
            assert Captured.of(failure.error) == Captured.of(first.error) == Captured(None, f"said {n}\n", "")
            assert failure.error.__notes__ == first.error.__notes__ == [f"it had written to stdout:\n    said {n}"] or n
            assert 'raise ValueError(threading.Lock() if n else "plain")' in str(failure.error.__cause__)


def test_what_cannot_be_pickled_says_so_when_it_is_to_run(inline_pool: Pool) -> None:
    lock = threading.Lock()

    def guarded(n: int) -> None:
        with lock:
            raise ValueError(n)

    failures: list[Failure] = []
    with Pool(1, backend="threads") as pool:
        list(pool.imap(guarded, [4], on_error=failures.append))
    assert type(raised_by(lambda: inline_pool.replay(failures[0]))) is ValueError
    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(failures[0]))))
    assert (again.index, again.args, str(again.error)) == (0, (4,), "4")
    with pytest.raises(RuntimeError, match=r"guarded was pickled, and its function could not be: .*lock"):
        inline_pool.replay(again)


# ------------------------------------------------------------------------------------------------------------- refusals


def test_what_is_no_failure(inline_pool: Pool) -> None:
    future = inline_pool.submit(abs, -1)
    for wrong, kind, told in (
        (future, TypeError, "a future is none: when it is done it has let go of its function"),
        (ValueError("x"), TypeError, "which an on_error= callable gets, not ValueError"),
        (Failure(0, (1,), ValueError("x")), ValueError, "was made by hand"),
    ):
        with pytest.raises(kind, match=told):
            inline_pool.replay(wrong)  # type: ignore[arg-type]


def test_a_copy_is_replayed_as_it_is(inline_pool: Pool) -> None:
    """What could not be pickled needs not be; a deep one has arguments of its own."""
    failures: list[Failure] = []
    lock = threading.Lock()

    def fails(items: list[int]) -> None:
        with lock:
            raise ValueError(items)

    with Pool(1, backend="threads") as pool:
        list(pool.imap(fails, [[1]], on_error=failures.append))
    (failure,) = failures
    assert copy.copy(failure) is failure
    again = copy.deepcopy(failure)
    assert (again.index, again.args) == (failure.index, failure.args)
    assert again.args[0] is not failure.args[0]
    for each in (failure, again):
        assert type(raised_by(lambda each=each: inline_pool.replay(each))) is ValueError  # type: ignore[misc]


def test_the_record_is_what_it_was() -> None:
    """Five fields; what is behind them is neither shown nor compared."""
    failures: list[Failure] = []
    error = ValueError("no")

    def fails(n: int) -> None:
        raise error

    with Pool(1, backend="threads") as pool:
        list(pool.imap(fails, [1], on_error=failures.append))
    assert failures == [Failure(0, (1,), error)]
    assert repr(failures[0]) == "Failure(index=0, args=(1,), error=ValueError('no'), attempts=1, stage=None)"
    match failures[0]:
        case Failure(index, args, failed, attempts, stage):
            assert (index, args, failed, attempts, stage) == (0, (1,), error, 1, None)


def test_nothing_is_kept_where_nobody_can_ask() -> None:
    """Without an on_error callable a stream holds no function beside the engine's."""
    with Pool(1, backend="inline") as pool:
        with pool.imap(abs, [1], on_error="skip") as stream:
            assert stream._outlet.course.rerun is None
