"""The backends, a factory of pools on each, and a gate that tasks of any backend wait at."""

import os
import select
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from procession import Pool, SpinOff, engines
from procession.backends.base import Capabilities
from procession.testing.near import NearCluster
from tests import warm
from tests.clusters.engines import running

NEAR = "near"
"""Workers as on a cluster, whose agents are in this process (`procession.testing.near`)."""
BACKENDS: tuple[Any, ...] = (
    *("inline", "threads", "processes"),
    pytest.param(NEAR, marks=pytest.mark.e2e),  # `make clusters`, as the two below
    pytest.param("ray", marks=pytest.mark.e2e),
    pytest.param("dask", marks=pytest.mark.e2e),
)
PATIENCE = 60.0
"""Seconds after which a wait is a failure; never how long a test takes."""

MakePool = Callable[..., Pool]

kept_zygote = warm.keep()


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name: str = request.param
    if name in (NEAR, "ray", "dask") and not request.node.nodeid.startswith("tests/contract/"):
        pytest.skip("on clusters the contract suite is run; what is looked at here has no times there, say")
    if name != NEAR:
        yield name
        return
    near = NearCluster()
    monkeypatch.setattr(engines, "connect", lambda backend, address: near)
    yield "ray"
    near.join()


@pytest.fixture(scope="session", autouse=True)
def clusters(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with running.wanted(request.session.items, tmp_path_factory):
        yield


@pytest.fixture
def another_program(request: pytest.FixtureRequest) -> None:
    """For tests in which another program makes a pool on this backend."""
    if request.node.callspec.params["backend"] == NEAR:
        pytest.skip("its agents are in this process, and nobody else's")


@pytest.fixture
def last() -> Iterator[ExitStack]:
    """What is to be closed when the pools are gone."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def make_pool(backend: str, last: ExitStack) -> Iterator[MakePool]:
    """Pools on this backend, with 2 workers unless said otherwise, shut down after the test if they are not yet."""
    made: list[Pool] = []

    def make(max_workers: int = 2, **words: Any) -> Pool:
        pool = Pool(max_workers, backend=backend, **words)  # type: ignore[arg-type]
        made.append(pool)
        return pool

    yield make
    for pool in made:
        pool.shutdown(wait=True, cancel_futures=True)


@pytest.fixture
def pool(make_pool: MakePool) -> Pool:
    return make_pool()


@pytest.fixture
def spins(backend: str) -> Iterator[Any]:
    """Makes SpinOffs on this backend, which are cancelled after the test if they are not closed."""
    made: list[SpinOff[Any]] = []

    def make(fn: Any, **words: Any) -> SpinOff[Any]:
        spin: SpinOff[Any] = SpinOff(fn, backend=backend, **words)
        made.append(spin)
        return spin

    yield make
    for spin in made:
        spin.cancel()
        assert spin.join(PATIENCE)


@pytest.fixture
def capabilities(make_pool: MakePool) -> Capabilities:
    found: Capabilities = make_pool()._engine.capabilities
    return found


@pytest.fixture
def side_by_side(capabilities: Capabilities) -> None:
    """For tests that need tasks to run while the caller does something else."""
    if capabilities.in_caller:
        pytest.skip("tasks run in the caller: submit returns when the task is done")


class Gate:
    """Tasks (`work.pass_gate`) say that they have arrived, and wait for a ticket."""

    def __init__(self, folder: Path) -> None:
        self.paths = tuple(str(folder / name) for name in ("arrivals", "tickets"))
        for path in self.paths:
            os.mkfifo(path)
        # For reading and writing: then nobody's open waits, and there is never an end of file.
        self._arrivals, self._tickets = (os.open(path, os.O_RDWR | os.O_CLOEXEC) for path in self.paths)

    def arrived(self, count: int = 1) -> None:
        """Wait until so many tasks (more) run."""
        while count:
            ready, _, _ = select.select([self._arrivals], [], [], PATIENCE)
            assert ready, f"{count} tasks did not start"
            count -= len(os.read(self._arrivals, count))

    def nobody_arrives(self) -> bool:
        """Nobody has arrived up to now who was not waited for."""
        ready, _, _ = select.select([self._arrivals], [], [], 0)
        return not ready

    def open(self, count: int = 1) -> None:
        """Let so many through."""
        os.write(self._tickets, b"." * count)

    def close(self) -> None:
        os.close(self._arrivals)
        os.close(self._tickets)


@pytest.fixture
def gate(tmp_path: Path, last: ExitStack) -> Iterator[Gate]:
    made = Gate(tmp_path)
    last.callback(made.close)
    yield made
    made.open(1000)  # whoever is still there
