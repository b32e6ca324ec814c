"""One pool for the whole process."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procession import Pool, shared_pool
from procession.options import Backend
from procession.pool_shared import _shelf
from tests.failures import tasks
from tests.failures.kit import Gate, Notes, run_program, wait_until

BACKENDS: tuple[Backend, ...] = ("processes", "threads", "inline")


@pytest.fixture(autouse=True)
def emptied() -> Iterator[None]:
    """Nothing of it outlives a test."""
    yield
    for pool in _shelf.pools.values():
        pool.shutdown()
    _shelf.pools.clear()


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_the_same_for_all_and_with_closes_nothing(backend: Backend) -> None:
    """Row: The pool of the process. Whoever asks gets the same; leaving a with block, however, leaves it as it is."""
    with shared_pool(2, backend=backend) as pool:
        assert isinstance(pool, Pool)
        assert pool.submit(abs, -1).result(60) == 1
    assert pool.submit(abs, -2).result(60) == 2
    with pytest.raises(KeyboardInterrupt), shared_pool(backend=backend) as same:
        assert same is pool
        raise KeyboardInterrupt
    assert list(pool.map(abs, [-1, -2])) == [1, 2]
    assert "shared_pool" in repr(pool)


def test_it_is_warm() -> None:
    """Row: The pool of the process. Its workers are started before there is work."""
    pool = shared_pool(2)
    wait_until(lambda: pool.stats().idle == 2, "two workers that idle")
    assert pool.stats().done == 0


def test_each_backend_has_one() -> None:
    """Row: The pool of the process. Each backend has its own."""
    assert shared_pool(1) is not shared_pool(1, backend="threads")


@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_it_is_resized(backend: Backend, gate: Gate, notes: Notes, tmp_path: Path) -> None:
    """Row: The pool of the process. It is resized by who asks; what runs is not disturbed, and nothing is lost."""
    pool = shared_pool(3, backend=backend)
    held = [pool.submit(tasks.held, notes.path, gate.path, number) for number in range(3)]
    notes.wait(3)
    assert shared_pool(1, backend=backend) is pool
    assert pool.stats().max_workers == 1
    later = [pool.submit(abs, -number) for number in range(100)]
    gate.open()
    assert [future.result(60) for future in held] == [0, 1, 2]
    assert [future.result(60) for future in later] == list(range(100))
    wait_until(lambda: pool.stats().workers == 1, "one worker")
    assert shared_pool(backend=backend).stats().max_workers == 1
    shared_pool(4, backend=backend)
    meet = [pool.submit(tasks.barrier, str(tmp_path / "barrier"), 4) for _ in range(4)]
    assert all(future.result(60) for future in meet)


def test_who_finds_it_shut_down_or_broken_gets_another() -> None:
    """Row: The pool of the process. After a shutdown, or when its workers cannot start, there is a new one."""
    first = shared_pool(1)
    first.submit(abs, -1).result(60)
    first.shutdown()
    second = shared_pool(1)
    assert second is not first
    assert second.submit(abs, -1).result(60) == 1
    second.kill_workers()
    assert shared_pool(1).submit(abs, -3).result(60) == 3


def test_many_threads_that_ask_at_once_get_one() -> None:
    """Row: The pool of the process. Threads that ask for it at the same moment get the same one."""
    together = threading.Barrier(16)
    found: list[Pool] = []

    def ask() -> None:
        together.wait(60)
        found.append(shared_pool(2))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 16
    assert len(set(map(id, found))) == 1


def test_a_forked_child_has_one_of_its_own(tmp_path: Path) -> None:
    """Row: The pool of the process. A forked child does not touch its parent's, and gets its own."""
    out = run_program(
        tmp_path,
        """
        import os, warnings
        from procession import shared_pool

        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: a fork beside threads
        mine = shared_pool(1)
        assert mine.submit(abs, -1).result(60) == 1
        pid = os.fork()
        if pid == 0:
            theirs = shared_pool(1)
            assert theirs is not mine
            assert theirs.submit(abs, -2).result(60) == 2
            theirs.shutdown()
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert shared_pool() is mine
        assert mine.submit(abs, -3).result(60) == 3
        print("through")
        """,
    )
    assert out == "through\n"


def test_it_ends_with_the_interpreter(tmp_path: Path) -> None:
    """Row: The pool of the process. At the end of the interpreter its work is finished, and nothing is left of it."""
    out = run_program(
        tmp_path,
        """
        import time
        from procession import shared_pool

        def late(number):
            time.sleep(0.05)
            print("did", number, flush=True)

        with shared_pool(1) as pool:
            for number in range(3):
                pool.submit(late, number)
        print("left", flush=True)
        """,
    )
    assert out.splitlines() == ["left", "did 0", "did 1", "did 2"]


@pytest.mark.parametrize(
    ("words", "error"),
    [({"max_workers": 0}, ValueError), ({"max_workers": "2"}, TypeError), ({"backend": "gpu"}, ValueError)],
)
def test_nonsense_is_refused(words: dict[str, Any], error: type[Exception]) -> None:
    """Row: The pool of the process. Its words are checked as a Pool's."""
    with pytest.raises(error):
        shared_pool(**words)
    assert not _shelf.pools
