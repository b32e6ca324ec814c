"""One budget of CPUs for all that runs inside each other: pools of tasks, and the threads of numeric libraries."""

import multiprocessing
import os
import sys
from typing import Any

import pytest

import procession
from procession import Pipeline, Pool, SpinOff, Stage, cpu, sharing
from procession.worker import share
from tests import warm

kept_zygote = warm.keep(alone=True)

CPUS = len(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may use eight CPUs, and whose user has said nothing of the threads of libraries."""
    for name in (sharing.ENVIRONMENT, *share.INNER):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cpu, "_affinity", lambda: (8, "eight"))
    monkeypatch.setattr(cpu, "_quota", lambda root: (None, "none"))


def told() -> tuple[str | None, set[str | None]]:
    """What a worker finds in its environment."""
    return os.environ.get(sharing.ENVIRONMENT), {os.environ.get(name) for name in share.INNER}


@pytest.mark.parametrize(("workers", "cpus"), [(1, "8"), (2, "4"), (3, "2"), (8, "1"), (20, "1")])
def test_a_worker_process_has_its_share(workers: int, cpus: str) -> None:
    with Pool(workers) as pool:
        assert pool.submit(told).result() == (cpus, {cpus})
    assert told() == (None, {None})  # nothing of it is seen here


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_by_multiprocessing(method: str) -> None:
    with Pool(2, mp_context=multiprocessing.get_context(method)) as pool:
        assert pool.submit(told).result() == ("4", {"4"})


def test_the_stages_of_a_pipeline_share() -> None:
    def stage(seen: list[Any]) -> list[Any]:
        return [*seen, told()[0]]

    assert list(Pipeline(Stage(stage, workers=3), stage).run([[]])) == [["2", "2"]]
    with SpinOff(stage) as spin:
        spin.put([])
    assert list(spin) == [["8"]]


def test_a_worker_thread_has_its_share() -> None:
    def widths() -> tuple[int, int]:
        with Pool(2, backend="threads") as inner:
            return procession.cpu_budget().cpus, inner.submit(procession.cpu_budget).result().cpus

    with Pool(2, backend="threads") as pool:
        assert pool.submit(widths).result() == (4, 2)
    assert procession.cpu_budget().cpus == 8


def test_a_process_of_a_worker_thread() -> None:
    """The pool is begun by whatever thread: what counts is the one that made it."""

    def inner() -> str | None:
        with Pool(2) as pool:
            return pool.submit(told).result()[0]

    with Pool(2, backend="threads") as pool:
        assert pool.submit(inner).result() == "2"
        assert Pool(2).submit(told).result()[0] == "4"


def test_nested_pools_have_the_remainder() -> None:
    """Half of what is left at each depth, down to one: on eight CPUs 8, 4, 2, 1, where each would have had eight."""

    def widths(depth: int) -> list[int]:
        with Pool(2) as pool:
            mine = procession.cpu_budget().cpus
            return [mine, *(pool.submit(widths, depth - 1).result() if depth else [])]

    with Pool(1) as pool:  # its worker knows nothing of the patches here; but of eight it has no more than there are
        assert pool.submit(widths, 3).result() == [max(1, min(8, CPUS) >> depth) for depth in range(4)]


def test_what_the_user_has_set_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    with Pool(4) as pool:
        assert pool.submit(os.getenv, "OMP_NUM_THREADS").result() == "5"
        assert pool.submit(os.getenv, "MKL_NUM_THREADS").result() == "2"


def test_what_an_outer_worker_was_given_is_not_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (sharing.ENVIRONMENT, *share.INNER):
        monkeypatch.setenv(name, "4")
    with Pool(2) as pool:
        assert pool.submit(told).result() == ("2", {"2"})


def test_a_subprocess_of_a_task_has_the_workers_share() -> None:
    def child() -> str:
        import subprocess

        program = "import procession; print(procession.cpu_budget().reasons[-2])"
        return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    with Pool(8) as pool:
        assert pool.submit(child).result() == "PROCESSION_CPUS=1\n"


# ------------------------------------------------------------------------------------------- threads of a real library


def blas() -> list[int]:
    """How many threads OpenBLAS uses here for a product of matrices."""
    import numpy
    from threadpoolctl import threadpool_info

    numpy.ones((64, 64)) @ numpy.ones((64, 64))
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


def nested(workers: int) -> list[int]:
    """The same, in a pool inside of a task."""
    with Pool(workers) as pool:
        return pool.submit(blas).result()


@pytest.mark.parametrize("workers", [1, 2])
def test_numpy_uses_the_share(workers: int) -> None:
    share = 8 // workers
    with Pool(workers) as pool:
        assert not pool.submit(looked).result()
        # OpenBLAS takes no more threads than there are CPUs, whatever the environment says.
        assert pool.submit(blas).result() == [min(share, CPUS)]
        assert pool.submit(nested, 8).result() == [1]


def looked() -> bool:
    """Whoever forked this worker has looked for such libraries."""
    return share._found is not None


@warm.afresh()
def test_numpy_that_is_there_already() -> None:
    """threadpoolctl tells it: the environment comes too late."""
    with Pool(8, preload=["numpy"]) as pool:
        assert pool.submit(blas).result() == [1]
        assert pool.submit(looked).result(), "the zygote has, for all its workers"
    with Pool(8, mp_context=multiprocessing.get_context("fork")) as pool:
        assert pool.submit(blas).result() == [1]


def test_what_the_user_has_set_is_obeyed_there_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    with Pool(8) as pool:
        assert pool.submit(blas).result() == [min(2, CPUS)]
    before = blas()
    with Pool(8, mp_context=multiprocessing.get_context("fork")) as pool:
        assert pool.submit(blas).result() == before


def test_without_threadpoolctl(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is limited, and nothing fails."""
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    with Pool(8, mp_context=multiprocessing.get_context("fork")) as pool:
        assert pool.submit(told).result() == ("1", {"1"})
