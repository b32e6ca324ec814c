"""Arrays and scalars of NumPy as results, which go without a pickle where there is the extension: they come back as a
pickle would bring them, and what lies in an arena is given back once, whoever has fetched it."""

from __future__ import annotations

import copyreg
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import FIRST_COMPLETED, wait
from typing import Any

import numpy as np
import pytest

import procession
from procession import Pool, SpinOff
from procession._native import native
from procession.backends.channel_fast import FastChannel
from tests.arena import work
from tests.arena.conftest import MakePool
from tests.failures.kit import seeded, wait_until

FAR = 70_000
"""Bytes: lies in an arena."""
PLAIN = "?bBhHiIlLefdgFD"
"""Dtypes that go without a pickle."""
LETTERS = PLAIN + "qQG"


def arrays() -> dict[str, Any]:
    """Whatever a task may return of NumPy, by what it is."""
    found: dict[str, Any] = {}
    for letter in LETTERS:
        for shape in ((), (0,), (3,), (2, 3), (0, 5), (FAR,), (2, 3, FAR // 6)):
            found[f"{letter}{shape}"] = (np.arange(np.prod(shape, dtype=int)) % 2).astype(letter).reshape(shape)
        found[f"scalar {letter}"] = np.dtype(letter).type(1)
    for size in (5, FAR):
        base = np.arange(2 * size, dtype=float)
        frozen = base.copy()
        frozen.flags.writeable = False
        found |= {
            f"every second of {size}": base[::2],
            f"backwards {size}": base[::-1],
            f"by columns {size}": np.asfortranarray(base.reshape(2, size)),
            f"transposed {size}": base.reshape(2, size).T,
            f"read-only {size}": frozen,
            f"a part of {size}": base[1:-1],
            f"the other byte order {size}": base.astype(">f8"),
            f"structured {size}": np.zeros(size, [("a", "i4"), ("b", "f8")]),
            f"texts {size}": np.full(size, "text"),
            f"times {size}": np.zeros(size, "datetime64[ms]"),
            f"objects {size}": np.array([None, "x"] * size, object),
            f"matrix {size}": np.asmatrix(base),
            f"masked {size}": np.ma.masked_less(base, 3.0),
            f"records {size}": np.rec.fromarrays([base, base]),
            f"with metadata {size}": np.zeros(size, np.dtype(float, metadata={"unit": "m"})),
            f"nine dimensions {size}": base.reshape((1,) * 8 + (2 * size,)),
            f"eight dimensions {size}": base.reshape((1,) * 7 + (2 * size,)),
            f"in a list {size}": [base, base],
        }
    return found | {
        "a time": np.datetime64("2026-11-28"),
        "a text": np.str_("text"),
        "a void": np.zeros(1, [("a", "i4")])[0],
        "nan": np.float64("nan"),
        "a float of ours": Fraction64(0.5),
    }


class Fraction64(np.float64):
    """A class of the user's own."""


MADE = arrays()


def made(name: str) -> Any:
    return MADE[name]


def facts(value: Any) -> Any:
    """All that can be told of it."""
    if isinstance(value, list):
        return [facts(each) for each in value]
    told: list[Any] = [type(value)]
    if isinstance(value, np.ndarray):
        told += [value.flags.writeable, value.flags.c_contiguous, value.flags.f_contiguous, value.flags.aligned]
    if isinstance(value, np.ndarray | np.generic):
        told += [value.shape, value.strides, value.dtype, value.dtype.num, value.dtype.metadata]
    by_value = value.dtype.hasobject or value.dtype.char in "gG"  # whose numbers have bytes that mean nothing
    return told + ([value.tolist()] if by_value else [np.asarray(value).tobytes()])


def test_it_comes_back_as_a_pickle_brings_it(pool: Pool) -> None:
    for name, value in MADE.items():
        expected = facts(pickle.loads(pickle.dumps(value, 5)))
        for _ in range(2):
            assert facts(pool.submit(made, name).result()) == expected, name
        assert facts(next(iter(pool.map(made, [name])))) == expected, name


@pytest.mark.skipif(native is None, reason="there is no extension, or it is not to be used")
def test_it_goes_without_a_pickle(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the plain ones, fetched by the caller and by the driver."""
    pool.submit(made, f"d({FAR},)").result()  # its memory is mapped

    def refuse(*_: Any) -> None:
        raise AssertionError("it was pickled")

    monkeypatch.setattr(FastChannel, "unpack", refuse)
    names = [name for name in MADE if name[0] in PLAIN and name[1] == "(" and MADE[name].size != 0]
    names += [f"scalar {letter}" for letter in PLAIN]
    assert len(names) == len(PLAIN) * 6
    for name in names:
        got = pool.submit(made, name).result()
        assert facts(got) == facts(MADE[name]), name
        assert (type(got.base).__name__ == "View") == (got.nbytes > 65535), name
    for name, got in zip(names, pool.map(made, names), strict=True):
        assert facts(got) == facts(MADE[name]), name
    for name in names:  # the dtype of what came out of a pickle is another object
        assert facts(pool.submit(work.echo, MADE[name]).result()) == facts(MADE[name]), name


def test_a_result_is_the_callers_own(pool: Pool) -> None:
    for name in ("d(3,)", f"d({FAR},)"):
        first, second = (pool.submit(made, name).result() for _ in range(2))
        first[:] = 7
        assert second.max() < 7
        assert pool.submit(made, name).result().max() < 7


def register(name: str) -> Any:
    copyreg.pickle(np.ndarray, lambda array: (str, (f"an array of {array.size}",)))
    return MADE[name]


def unregister() -> None:
    copyreg.dispatch_table.pop(np.ndarray, None)


def register_for_multiprocessing() -> None:
    from multiprocessing.reduction import ForkingPickler

    ForkingPickler.register(np.ndarray, lambda array: (str, (f"forked {array.size}",)))


def unregister_for_multiprocessing() -> None:
    from multiprocessing.reduction import ForkingPickler

    ForkingPickler._extra_reducers.pop(np.ndarray, None)  # type: ignore[attr-defined]  # not in typeshed


def test_who_registers_how_to_pickle_arrays_is_obeyed(pool: Pool) -> None:
    assert pool.submit(register, "d(3,)").result() == "an array of 3"
    assert pool.submit(made, f"d({FAR},)").result() == f"an array of {FAR}"
    pool.submit(unregister).result()
    pool.submit(register_for_multiprocessing).result()
    assert pool.submit(made, "d(3,)").result() == "forked 3"
    pool.submit(unregister_for_multiprocessing).result()
    assert pool.submit(made, "d(3,)").result().size == 3


ALONE = """
import sys
from procession import Pool
def ones(n):
    import numpy
    return numpy.ones(n)
def total(n):
    return ones(n).sum()
if __name__ == "__main__":
    with Pool(1) as pool:
        assert "numpy" not in sys.modules
        if sys.argv[1] == "without":
            sys.modules["numpy"] = None
            for task, n in ((ones, 3), (ones, 100_000), (total, 3)):
                error = pool.submit(task, n).exception()
                print(type(error).__mro__[1].__name__, "could not be rebuilt here" in str(error))
        else:
            future = pool.submit(ones if sys.argv[1] == "array" else total, int(sys.argv[2]))
            print(type(future.result()).__name__)
        print(pool.submit(abs, -1).result())
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("array", "3"), "ndarray"),
        (("array", "100000"), "ndarray"),
        (("scalar", "3"), "float64"),
        (("without",), None),
    ],
)
def test_a_program_that_has_not_imported_numpy(words: tuple[str, ...], said: str | None, tmp_path: Any) -> None:
    script = tmp_path / "alone.py"
    script.write_text(ALONE)
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert last == "1"
    assert lines == ([said] if said else ["RemoteError True"] * 3)


# --------------------------------------------------------------------------------------------------- given back once


def owed() -> dict[int, int]:
    """In a worker: blocks of its arena that were published, and how many views of each have not been given back."""
    from procession.worker import arena

    own = arena.here.own
    if own is None:
        return {}
    table = own.table(1)
    return {slot: count - table[slot] for slot, count in own._published.items() if count != table[slot]}


def test_each_block_is_given_back_once_whoever_fetched_it(make_pool: MakePool) -> None:
    chance = seeded()
    pool = make_pool()
    kept: list[Any] = []

    def by_result() -> None:
        kept.append(pool.submit(work.full, FAR // 8 + 1, 1.0).result())

    def by_wait() -> None:
        wait([pool.submit(work.full, FAR // 8 + 1, 1.0) for _ in range(chance.randrange(1, 4))], 60)

    def by_the_first_of_two() -> None:
        two = [pool.submit(work.full, FAR // 8 + 1, 1.0) for _ in range(2)]
        wait(two, 60, FIRST_COMPLETED)
        two[0].cancel()

    def by_a_callback() -> None:
        called = threading.Event()
        pool.submit(work.full, FAR // 8 + 1, 1.0).add_done_callback(lambda _: called.set())
        assert called.wait(60)

    def by_nobody() -> None:
        pool.submit(work.full, FAR // 8 + 1, 1.0)

    def by_result_in_time() -> None:
        future = pool.submit(work.full, FAR // 8 + 1, 1.0)
        try:
            future.result(timeout=chance.choice([0, 1e-5, 5e-5, 1e-4]))
        except TimeoutError:
            pass

    def by_two_threads() -> None:
        future = pool.submit(work.full, FAR // 8 + 1, 1.0)
        other = threading.Thread(target=future.result)
        other.start()
        future.result()
        other.join()

    def by_map() -> None:
        results = pool.map(work.full, [FAR // 8 + 1] * 5, [1.0] * 5)
        next(results)

    def by_imap() -> None:
        with pool.imap(work.full, [FAR // 8 + 1] * 5, [1.0] * 5) as results:
            next(results)

    def let_go() -> None:
        del kept[chance.randrange(len(kept) + 1) :]

    ways = [by_result, by_wait, by_the_first_of_two, by_a_callback, by_nobody, by_result_in_time, by_two_threads]
    for _ in range(600):
        chance.choice([*ways, by_map, by_imap, by_result, by_result, let_go])()
        assert all(array[0] == array[-1] == 1 for array in kept)
    kept.clear()
    wait_until(lambda: pool.submit(owed).result() == {}, "all is given back, and nothing twice")


def test_through_a_spin_off_each_block_is_given_back_once() -> None:
    with SpinOff(full_or_owed, maxsize=0) as spin:
        arrays: list[Any] = []
        for _ in range(200):
            spin.put(FAR // 8 + 1)
            arrays += spin.ready()
        while len(arrays) < 200:
            arrays.append(next(spin))
        assert all(array.sum() == FAR // 8 + 1 for array in arrays)
        arrays.clear()

        def owes() -> Any:
            spin.put(0)
            return next(spin)

        wait_until(lambda: owes() == {}, "all is given back, and nothing twice")


def full_or_owed(count: int) -> Any:
    return np.ones(count) if count else owed()


class Struck(Exception):
    """What the signal handler raises."""


def test_struck_by_signals_it_loses_no_block(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    pool = make_pool()
    pool.submit(work.full, FAR, 1.0).result()
    got = struck = 0

    def strike(_signum: int, _frame: Any) -> None:
        raise Struck

    previous = signal.signal(signal.SIGALRM, strike)
    try:
        for step in range(400):
            future = pool.submit(work.full, FAR // 8 + 1, float(step))
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-5 + step % 100 * 1e-6)
                array = future.result()
                signal.setitimer(signal.ITIMER_REAL, 0)
                got += 1
                assert array[0] == array[-1] == step
            except Struck:
                struck += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert future.result()[-1] == step
    except Struck:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert got + struck > 0
    array = future = None  # type: ignore[assignment]
    wait_until(lambda: pool.submit(owed).result() == {}, "all is given back, and nothing twice")


def test_what_lies_in_the_workers_arena_already_is_sent_as_it_lies(pool: Pool) -> None:
    assert pool.submit(lent_total, FAR).result() == FAR
    first = pool.submit(work.lend, FAR).result()
    assert first.shape == (FAR,)
    assert pool.submit(made, f"d({FAR},)").result().size == FAR
    assert procession.empty(3).size == 3


def lent_total(count: int) -> float:
    array = procession.zeros(count)
    array += 1
    return float(array.sum())
