"""A pool is an executor of asyncio as it is: `run_in_executor`, `wrap_future`, and what a cancel does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from procession import Pool
from procession.errors import WorkerDied
from tests import warm

kept_zygote = warm.keep()


def _wait_for(path: Path) -> None:
    (path / "runs").write_text(str(os.getpid()))
    while not (path / "go").exists():
        signal.sigtimedwait([], 0.01)


def _begun(path: Path) -> int:
    """The process in which it runs."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            return int((path / "runs").read_text())
        time.sleep(0.01)
    raise AssertionError("it has not begun")


@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_run_in_executor_and_wrap_future(backend: Any) -> None:
    async def program(pool: Pool) -> list[int]:
        loop = asyncio.get_running_loop()
        first = await asyncio.gather(*[loop.run_in_executor(pool, pow, number, 2) for number in range(20)])
        second = await asyncio.gather(*[asyncio.wrap_future(pool.submit(pow, number, 3)) for number in range(3)])
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(pool, divmod, 1, 0)
        return [*first, *second]

    with Pool(2, backend=backend) as pool:
        assert asyncio.run(program(pool)) == [*[number**2 for number in range(20)], 0, 1, 8]


def test_cancelling_what_awaits_ends_the_task(tmp_path: Path) -> None:
    async def program(pool: Pool) -> None:
        waiting = asyncio.ensure_future(asyncio.get_running_loop().run_in_executor(pool, _wait_for, tmp_path))
        pid = await asyncio.to_thread(_begun, tmp_path)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await asyncio.get_running_loop().run_in_executor(pool, pow, 2, 5) == 32
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    with Pool(1) as pool:
        asyncio.run(program(pool))


def test_a_time_limit_of_asyncio_frees_the_worker(tmp_path: Path) -> None:
    async def program(pool: Pool) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await asyncio.wrap_future(pool.submit(_wait_for, tmp_path))
        assert await asyncio.wrap_future(pool.submit(pow, 2, 5)) == 32

    with Pool(1) as pool:
        asyncio.run(program(pool))


def test_a_worker_that_dies_is_an_error_of_its_call() -> None:
    async def program(pool: Pool) -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(WorkerDied):
            await loop.run_in_executor(pool, signal.raise_signal, signal.SIGKILL)
        assert await loop.run_in_executor(pool, pow, 2, 5) == 32

    with Pool(1) as pool:
        asyncio.run(program(pool))


def test_the_default_executor_of_a_loop_must_be_the_standard_librarys() -> None:
    async def program(pool: Any) -> None:
        asyncio.get_running_loop().set_default_executor(pool)

    with Pool(1, backend="threads") as pool, pytest.raises(TypeError, match="ThreadPoolExecutor"):
        asyncio.run(program(pool))
