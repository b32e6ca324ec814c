"""joblib's Parallel on our workers: its semantics, and what it says when something goes wrong."""

from __future__ import annotations

import concurrent.futures.process
import importlib
import itertools
import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy
import pytest
from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

import procession
from procession import Pool, TaskTimeout, WorkerDied
from procession.adapters import joblib as ours
from procession.transport import aside
from tests import warm
from tests.adapters import joblib_tasks as tasks

kept_zygote = warm.keep("joblib", "tests.adapters.joblib_tasks")

square = delayed(tasks.square)
BIG = 50_000  # floats: 400 kB


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    ours.register()
    try:
        with joblib.parallel_config(backend="procession", n_jobs=2):
            yield
    finally:
        ours.shutdown()


def pids() -> set[int]:
    """Of the workers that stay between calls."""
    from procession.adapters.joblib import pools

    return {pid for kept in pools._shelf.kept for pid in kept.pool._processes}


# ------------------------------------------------------------------------------------------------------------ results


def test_the_results_in_order() -> None:
    assert Parallel()(square(i) for i in range(100)) == [i * i for i in range(100)]
    assert Parallel()(delayed(lambda a, b=1: a + b)(i, b=i) for i in range(3)) == [0, 2, 4]
    assert Parallel()([]) == []


def test_it_runs_in_workers_which_stay() -> None:
    first = set(Parallel()(delayed(tasks.pid)() for _ in range(8)))
    assert os.getpid() not in first
    assert first <= pids()
    before = pids()
    assert set(Parallel()(delayed(tasks.pid)() for _ in range(8))) <= before == pids()


def test_another_n_jobs_resizes_the_pool() -> None:
    Parallel(n_jobs=2)(square(i) for i in range(4))
    kept = pids()
    Parallel(n_jobs=3)(square(i) for i in range(4))
    assert kept < pids()
    assert len(pids()) == 3


def test_shutdown_ends_the_workers_and_the_next_call_has_new_ones() -> None:
    Parallel()(square(i) for i in range(4))
    before = pids()
    ours.shutdown()
    assert not pids()
    assert Parallel()(square(i) for i in range(4)) == [0, 1, 4, 9]
    assert not before & pids()


def test_one_job_is_the_caller_itself() -> None:
    assert Parallel(n_jobs=1)(delayed(tasks.pid)() for _ in range(2)) == [os.getpid()] * 2
    assert not pids()


def test_a_managed_parallel_is_called_again() -> None:
    with Parallel() as parallel:
        assert parallel(square(i) for i in range(3)) == [0, 1, 4]
        assert parallel(square(i) for i in range(3)) == [0, 1, 4]


def test_a_generator_hands_over_in_order(tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    found = Parallel(return_as="generator")([delayed(tasks.wait_for)(mark), delayed(tasks.touch)(mark), square(3)])
    assert list(found) == [mark, mark, 9]


def test_an_unordered_generator_hands_over_what_is_first(tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    found = Parallel(return_as="generator_unordered")([delayed(tasks.wait_for)(mark), square(3)])
    assert next(found) == 9
    Path(mark).touch()
    assert list(found) == [mark]


def test_two_generators_under_one_configuration() -> None:
    one = Parallel(return_as="generator")(square(i) for i in range(20))
    other = Parallel(return_as="generator")(square(-i) for i in range(20))
    assert list(zip(one, other, strict=True)) == [(i * i, i * i) for i in range(20)]


def test_a_generator_that_is_dropped_ends_its_own_tasks_only(tmp_path: Path) -> None:
    started, mark = str(tmp_path / "started"), str(tmp_path / "mark")
    with joblib.parallel_config(backend="procession", n_jobs=3):
        one = Parallel(return_as="generator")([square(1), delayed(tasks.begin_and_hang)(started)])
        other = Parallel(return_as="generator")([delayed(tasks.wait_for)(mark)])
        assert next(one) == 1
        hanging = int(Path(tasks.wait_for(started)).read_text())
        with pytest.warns(UserWarning, match="cancelled"):
            one.close()
        assert hanging not in pids()
        Path(mark).touch()
        assert list(other) == [mark]


def test_calls_from_several_threads() -> None:
    found: dict[int, list[int]] = {}

    def call(n_jobs: int) -> None:
        with joblib.parallel_config(backend="procession", n_jobs=n_jobs):
            found[n_jobs] = Parallel()(square(i) for i in range(50))

    threads = [threading.Thread(target=call, args=(n_jobs,)) for n_jobs in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n_jobs: [i * i for i in range(50)] for n_jobs in (2, 3)}


def test_pre_dispatch_bounds_what_is_taken_ahead(tmp_path: Path) -> None:
    mark, taken = str(tmp_path / "mark"), itertools.count()

    def source() -> Iterator[Any]:
        for _ in range(20):
            next(taken)
            yield delayed(tasks.wait_for)(mark)

    found = Parallel(return_as="generator", pre_dispatch=3, batch_size=1)(source())
    assert next(taken) == 3
    Path(mark).touch()
    assert list(found) == [mark] * 20


def test_small_tasks_are_sent_in_batches_and_others_alone() -> None:
    parallel = Parallel()
    parallel(square(i) for i in range(2000))
    assert parallel.n_dispatched_batches < 1000
    with joblib.parallel_config(backend="procession", retries=1):
        parallel = Parallel(n_jobs=2)
        parallel(square(i) for i in range(50))
        assert parallel.n_dispatched_batches == 50


def test_verbose_tells(capsys: pytest.CaptureFixture[str]) -> None:
    Parallel(verbose=10)(square(i) for i in range(4))
    told = capsys.readouterr().err
    assert "ProcessionBackend with 2 concurrent workers" in told
    assert "4 out of   4" in told


# ------------------------------------------------------------------------------------------------------------- n_jobs


def test_n_jobs_by_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    cpus = int(procession.cpu_budget())
    assert joblib.effective_n_jobs(-1) == cpus
    assert joblib.effective_n_jobs(-100) == 1
    assert joblib.effective_n_jobs(7) == 7
    monkeypatch.setenv("PROCESSION_CPUS", "1")
    assert joblib.effective_n_jobs(-1) == 1
    assert Parallel(n_jobs=-1)(delayed(tasks.pid)() for _ in range(2)) == [os.getpid()] * 2
    with pytest.raises(ValueError, match="n_jobs == 0"):
        Parallel(n_jobs=0)(square(i) for i in range(2))


def test_nested_calls_are_threads_and_then_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSION_CPUS", "2")
    (name, level, share, found, below), *_ = Parallel(n_jobs=2)(delayed(tasks.nested)(2) for _ in range(2))
    assert (name, level, found, below) == ("ThreadingBackend", 1, [0, 1, 4, 9], 2)
    assert share == 1  # of two CPUs, for each of two workers
    (name, _, _, found, _), *_ = Parallel(n_jobs=2)(delayed(tasks.nested)(None) for _ in range(2))
    assert (name, found) == ("SequentialBackend", [0, 1, 4, 9])


def test_a_task_may_ask_for_workers_of_its_own() -> None:
    assert Parallel()(delayed(tasks.nested_explicit)() for _ in range(2)) == [[0, 1, 4]] * 2


def test_inner_max_num_threads_holds_for_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("PROCESSION_CPUS", "2")
    read = delayed(tasks.environment)
    with joblib.parallel_config(backend="procession", n_jobs=2, inner_max_num_threads=5):
        assert set(Parallel()(read("OMP_NUM_THREADS") for _ in range(4))) == {"5"}
        before = pids()
    assert set(Parallel(n_jobs=2)(read("OMP_NUM_THREADS") for _ in range(4))) == {"1"}
    assert before == pids()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert set(Parallel(n_jobs=2)(read("OMP_NUM_THREADS") for _ in range(4))) == {"3"}


# ---------------------------------------------------------------------------------------------------------- what fails


def test_an_error_comes_with_the_workers_traceback() -> None:
    with pytest.raises(ValueError, match="no 3") as raised:
        Parallel()(delayed(tasks.fail_at)(i, 3) for i in range(10))
    assert "in fail_at" in "".join(traceback.format_exception(raised.value.__cause__))


def test_an_error_ends_what_runs_at_once(tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")

    def fail_when(mark: str) -> None:
        tasks.wait_for(mark)
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        Parallel()([delayed(tasks.begin_and_hang)(mark), delayed(fail_when)(mark), square(1), square(2)])
    assert int(Path(mark).read_text()) not in pids()
    assert Parallel()(square(i) for i in range(3)) == [0, 1, 4]


def test_an_error_of_the_source() -> None:
    def source() -> Iterator[Any]:
        yield square(1)
        yield square(2)
        raise LookupError("the source")

    for ahead in ("all", 1):
        with pytest.raises(LookupError, match="the source"):
            Parallel(pre_dispatch=ahead)(source())


def test_a_worker_that_dies_has_both_names() -> None:
    with pytest.raises(TerminatedWorkerError) as raised:
        Parallel()(delayed(tasks.die_at)(i, 2) for i in range(5))
    error = raised.value
    assert isinstance(error, WorkerDied)
    assert isinstance(error, concurrent.futures.process.BrokenProcessPool)
    assert error.signal == 9
    assert "die_at" in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert Parallel()(square(i) for i in range(3)) == [0, 1, 4]


def test_a_timeout_ends_the_call_and_what_runs(tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    with pytest.raises(joblib.parallel.TimeoutError):
        Parallel(timeout=0.3)(delayed(tasks.begin_and_hang)(each) for each in (mark, mark + "2"))
    assert Parallel(timeout=60)(square(i) for i in range(3)) == [0, 1, 4]


def test_an_interrupt_ends_the_call_and_what_runs(tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    with pytest.raises(KeyboardInterrupt):
        Parallel()([delayed(tasks.begin_and_hang)(mark), delayed(tasks.interrupt)(os.getpid(), mark)])
    assert int(Path(mark).read_text()) not in pids()
    assert Parallel()(square(i) for i in range(3)) == [0, 1, 4]


class Unsendable:
    def __reduce__(self) -> Any:
        raise TypeError("not me")


def test_what_cannot_be_sent_is_named() -> None:
    told = r"^Could not pickle the task to send to the workers: argument 1\[0\] is an? .*Unsendable"
    with pytest.raises(procession.PicklingError, match=told):
        Parallel()(delayed(tasks.fail_at)(i, [Unsendable()]) for i in range(3))
    with pytest.raises(pickle.PicklingError, match="argument 'at' is"):
        Parallel()(delayed(tasks.fail_at)(i, at=Unsendable()) for i in range(3))
    assert Parallel()(square(i) for i in range(3)) == [0, 1, 4]


def test_workers_that_cannot_start() -> None:
    def refuse() -> None:
        raise OSError("no model")

    with joblib.parallel_config(backend="procession", n_jobs=2, initializer=refuse):
        with pytest.raises(procession.WorkerStartError) as raised:
            Parallel()(square(i) for i in range(3))
    assert "no model" in repr(raised.value.__cause__)
    assert Parallel()(square(i) for i in range(3)) == [0, 1, 4]


# --------------------------------------------------------------------------------------------------------------- words


def test_an_initializer_has_workers_of_its_own() -> None:
    words: dict[str, Any] = {"initializer": tasks.get_ready, "initargs": (7,)}
    assert Parallel(n_jobs=2, **words)(delayed(tasks.ready)(i) for i in range(3)) == [[7]] * 3
    both = pids()
    with joblib.parallel_config(backend="procession", n_jobs=2, **words):
        assert Parallel()(delayed(tasks.ready)(i) for i in range(3)) == [[7]] * 3
    assert both == pids()
    assert Parallel()(delayed(tasks.ready)(i) for i in range(3)) == [[]] * 3


def test_policies(tmp_path: Path) -> None:
    with joblib.parallel_config(backend="procession", n_jobs=2, retries=1):
        assert Parallel()([delayed(tasks.die_once)(str(tmp_path / "died")), square(2)]) == ["lives", 4]
    with joblib.parallel_config(backend="procession", n_jobs=2, timeout=0.2, name="mine"):
        with pytest.raises(TaskTimeout, match="mine"):
            Parallel()([square(1), delayed(tasks.begin_and_hang)(str(tmp_path / "began"))])


def test_a_pool_of_the_user() -> None:
    with Pool(2) as pool, joblib.parallel_config(backend="procession", pool=pool):
        assert set(Parallel()(delayed(tasks.pid)() for _ in range(8))) <= set(pool._processes)
        assert joblib.effective_n_jobs(-1) == joblib.effective_n_jobs(9) == 2
        with pytest.raises(ValueError, match="no 3"):
            Parallel()(delayed(tasks.fail_at)(i, 3) for i in range(10))
        assert pool.submit(tasks.square, 3).result() == 9
    with joblib.parallel_config(backend="procession", pool=pool), pytest.raises(RuntimeError, match="shutdown"):
        Parallel()(square(i) for i in range(3))
    assert not pids()


def test_a_pool_of_threads_shares_memory() -> None:
    with Pool(2, backend="threads") as pool, joblib.parallel_config(backend="procession", pool=pool):
        found: list[int] = []
        Parallel(require="sharedmem")(delayed(found.append)(i) for i in range(5))
        assert sorted(found) == [0, 1, 2, 3, 4]
    with Pool(1, backend="inline") as pool, joblib.parallel_config(backend="procession", pool=pool):
        assert Parallel()(delayed(tasks.pid)() for _ in range(2)) == [os.getpid()] * 2


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [
        ({"max_workers": 3}, TypeError, "'max_workers'; use n_jobs"),
        ({"idle_worker_timeout": 3}, TypeError, "use procession.adapters.joblib.shutdown"),
        ({"maxtasksperchild": 3}, TypeError, "use max_tasks_per_child"),
        ({"colour": 3}, TypeError, "'colour'; there are initializer, "),
        ({"retries": -1}, ValueError, "retries"),
        ({"timeout": "soon"}, TypeError, "timeout"),
        ({"max_memory_per_child": 5}, ValueError, "max_memory_per_child"),
        ({"initializer": 5}, TypeError, "initializer"),
        ({"pool": 5}, TypeError, "pool must be a procession.Pool, not int"),
    ],
)
def test_wrong_words_are_refused_at_the_call(words: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        joblib.parallel_config(backend="procession", **words)
    with pytest.raises(error, match=told):
        ours.backend(**words)


def test_a_word_of_the_pool_beside_a_pool() -> None:
    with Pool(1) as pool, pytest.raises(TypeError, match="initializer is a word of the pool"):
        joblib.parallel_config(backend="procession", pool=pool, initializer=print)


# ------------------------------------------------------------------------------------------------------------- arrays


def test_a_large_array_is_copied_once_and_read_only() -> None:
    array = numpy.ones(BIG)
    before = aside.moved[0]
    assert (
        Parallel(batch_size=1, max_nbytes=1000)(delayed(tasks.writable)(array) for _ in range(20))
        == [(False, BIG)] * 20
    )
    assert array.nbytes <= aside.moved[0] - before < 2 * array.nbytes
    array[:] = 2  # the next call sees what it is then
    assert Parallel(max_nbytes=1000)(delayed(tasks.writable)(array) for _ in range(2)) == [(False, 2 * BIG)] * 2
    holes = numpy.ones((2 * BIG, 2))[::2, 0]
    assert Parallel(max_nbytes=1000)(delayed(tasks.writable)([holes][0]) for _ in range(2)) == [(False, BIG)] * 2


@pytest.mark.parametrize("words", [{"max_nbytes": None}, {"mmap_mode": None}, {"mmap_mode": "c"}, {}])
def test_a_copy_of_its_own_for_each_task(words: Any) -> None:
    array = numpy.ones(BIG)  # smaller than joblib's 1M, which is meant with {}
    words = {"max_nbytes": 1000, **words} if words else {}
    assert Parallel(**words)(delayed(tasks.writable)(array) for _ in range(3)) == [(True, BIG)] * 3


def test_an_array_in_shared_memory_is_shared_with_the_program() -> None:
    array = procession.zeros(BIG)
    Parallel(max_nbytes=1000)(delayed(tasks.fill)(array, i, i + 1) for i in range(4))
    assert list(array[:4]) == [1, 2, 3, 4]


def test_a_memmap_arrives_as_its_file(tmp_path: Path) -> None:
    file = numpy.memmap(tmp_path / "file", dtype=float, mode="w+", shape=(3, 4), offset=8)
    assert set(Parallel()(delayed(tasks.fill)(file[2], i, i + 1) for i in range(4))) == {"memmap"}
    assert file[2].tolist() == [1, 2, 3, 4]
    Parallel()([delayed(tasks.fill)(numpy.asarray(file)[::-1, ::-2][0], i, -i) for i in (0, 1)])
    assert file[2].tolist() == [1, -1, 3, 0]
    views = [file, file.T, file[::2, 1:], file[::-1, ::-2], file[1]]
    assert Parallel()(delayed(tasks.content)(view) for view in views) == [
        ("memmap", view.ravel().tolist(), True) for view in views
    ]
    read = numpy.memmap(tmp_path / "file", dtype=float, mode="r", shape=(3, 4), offset=8)
    assert Parallel()([delayed(tasks.content)(read)] * 2) == [("memmap", file.ravel().tolist(), False)] * 2


def test_a_memmap_that_others_could_not_see_is_copied(tmp_path: Path) -> None:
    private = numpy.memmap(tmp_path / "file", dtype=float, mode="w+", shape=(3,))
    private = numpy.memmap(tmp_path / "file", dtype=float, mode="c", shape=(3,))
    private[:] = 5
    gone = numpy.memmap(tmp_path / "gone", dtype=float, mode="w+", shape=(3,))
    gone[:] = 7
    (tmp_path / "gone").unlink()
    found = Parallel()(delayed(tasks.content)(array) for array in (private, gone))
    assert [values for _, values, _ in found] == [[5] * 3, [7] * 3]


def test_arrays_elsewhere_are_as_ever(tmp_path: Path) -> None:
    file = numpy.memmap(tmp_path / "file", dtype=float, mode="w+", shape=(3,))
    Parallel()(square(i) for i in range(2))
    with Pool(1) as pool:
        assert pool.submit(tasks.fill, file, 0, 5.0).result()
    assert file[0] == 0


# ---------------------------------------------------------------------------------------------------------- registering


def test_the_old_way_to_say_it() -> None:
    with joblib.parallel_backend("procession", n_jobs=2):
        assert os.getpid() not in Parallel()(delayed(tasks.pid)() for _ in range(3))
    assert Parallel(n_jobs=2, backend=ours.backend())(square(i) for i in range(3)) == [0, 1, 4]


def test_it_can_be_the_default() -> None:
    before = joblib.parallel.DEFAULT_BACKEND
    outer = joblib.parallel._backend.config
    try:
        ours.register(make_default=True)
        joblib.parallel._backend.config = joblib.parallel.default_parallel_config
        parallel = Parallel(n_jobs=2)
        assert parallel(square(i) for i in range(3)) == [0, 1, 4]
        assert type(parallel._backend).__name__ == "ProcessionBackend"
    finally:
        joblib.parallel._backend.config = outer
        joblib.parallel.DEFAULT_BACKEND = before


def test_without_joblib(monkeypatch: pytest.MonkeyPatch) -> None:
    library = importlib.import_module("procession.adapters.joblib.library")
    library.library.cache_clear()
    monkeypatch.setattr(joblib, "__version__", "1.3.2")
    with pytest.raises(ImportError, match=r"1\.4 or newer, not 1\.3\.2: pip install 'procession\[joblib\]'"):
        ours.register()
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(ImportError, match=r"needs joblib: pip install 'procession\[joblib\]'"):
        ours.register()


def test_a_program_ends_with_its_workers_warm() -> None:
    program = (
        "import joblib, operator, procession.adapters.joblib as ours; ours.register()\n"
        "print(joblib.Parallel(2, backend='procession')(joblib.delayed(operator.neg)(i) for i in range(3)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("[0, -1, -2]\n", "", 0)
