"""Pools of processes, by both launchers, and what an arena has."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from procession import Pool
from procession.backends import arenas
from tests import warm

pytest.importorskip("numpy")
pytest.importorskip("ctypes")

MB = 1 << 20
MakePool = Callable[..., Pool]

kept_zygote = warm.keep()


@pytest.fixture(params=["zygote", "fork", "spawn", "forkserver"])
def method(request: pytest.FixtureRequest) -> Any:
    """How workers start."""
    return None if request.param == "zygote" else multiprocessing.get_context(request.param)


@pytest.fixture
def make_pool() -> Iterator[MakePool]:
    made: list[Pool] = []

    def make(max_workers: int = 1, **words: Any) -> Pool:
        pool = Pool(max_workers, **words)
        made.append(pool)
        return pool

    yield make
    for pool in made:
        pool.shutdown(wait=True, cancel_futures=True)


@pytest.fixture
def pool(make_pool: MakePool) -> Pool:
    return make_pool()


def sent() -> arenas.ProcessArena:
    """The arena of this process."""
    arena = arenas.process_arena()
    assert arena is not None
    return arena


def taken() -> int:
    """Blocks of the arena of this process that are in use."""
    arena = sent()
    with arena._lock:
        arena._collect(None)
        return len(arena.spans.taken)


def results(pool: Pool) -> list[Any]:
    """The segments of the pool's workers' results."""
    engine: Any = pool._engine
    return [channel._arena._worker for channel in engine._driver.channels.values()]


def memory_of(segment: Any) -> int:
    """Bytes of memory that the file has."""
    return os.fstat(segment.fd).st_blocks * 512
