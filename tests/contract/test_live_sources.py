"""What a source that does not wait relies on: put_many, flush, puts in an event loop; whoever runs the work."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from procession import Full, SpinOff, WorkerDied, spinoff_room
from procession.backends.base import Capabilities

from . import work
from .conftest import PATIENCE, Gate

WORDS: list[dict[str, Any]] = [{}, {"batch": 3}, {"rate": 1000.0}, {"ordered": False}, {"key": lambda x: x % 2}]


@pytest.fixture
def spins(spins: Any) -> Any:
    """The same, by functions of one item, with batches as without."""

    def make(fn: Any, **words: Any) -> SpinOff[Any]:
        spin: SpinOff[Any] = spins(partial(each, fn) if "batch" in words else fn, **words)
        return spin

    return make


@pytest.fixture
def side_by_side(backend: str) -> None:
    if backend == "inline":
        pytest.skip("an item runs in the thread that puts it")


def each(fn: Any, items: list[Any]) -> list[Any]:
    return [fn(x) for x in items]


def same(x: Any) -> Any:
    return x


def pass_first(gate: Gate, x: int) -> int:
    """Number 0 waits at the gate."""
    return int(work.pass_gate(*gate.paths, x)) if x == 0 else x


def fail_odd(x: int) -> int:
    if x % 2:
        raise ValueError(x)
    return x


# -------------------------------------------------------------------------------------------------------------- flush


@pytest.mark.parametrize("words", WORDS)
def test_flush_waits_for_all_that_was_put(spins: Any, words: dict[str, Any]) -> None:
    spin = spins(fail_odd, on_error="return", workers=2, **words)
    assert spin.flush(0), "there is nothing to wait for"
    for block in range(3):
        futures = spin.put_many(range(10 * block, 10 * block + 10))
        assert spin.flush(PATIENCE)
        assert all(future.done() for future in futures)
    spin.close()
    assert len(list(spin)) == 30
    assert spin.flush(0)


@pytest.mark.usefixtures("side_by_side")
@pytest.mark.parametrize("words", WORDS)
def test_flush_says_when_it_takes_too_long(spins: Any, gate: Gate, words: dict[str, Any]) -> None:
    spin = spins(partial(pass_first, gate), **words)
    futures = spin.put_many(range(5))
    if "batch" not in words:  # else it is this flush that lets it go
        gate.arrived()
    assert not spin.flush(0.05)
    gate.open()
    assert spin.flush(PATIENCE)
    assert [future.result(0) for future in futures] == list(range(5))


@pytest.mark.usefixtures("side_by_side")
@pytest.mark.parametrize("words", WORDS)
def test_flush_does_not_wait_for_what_was_dropped_or_cancelled(spins: Any, gate: Gate, words: dict[str, Any]) -> None:
    spin = spins(partial(pass_first, gate), maxsize=6, overflow="drop_oldest", **words)
    spin.put(0)
    futures = spin.put_many(range(1, 12))
    futures[-1].cancel()
    gate.open()
    assert spin.flush(PATIENCE)
    assert spin._core.flow.admitted == spin._core.flow.finished
    assert all(future.done() for future in futures)


def test_flush_by_many_threads(spins: Any) -> None:
    spin = spins(same, batch=50, workers=2)
    said: list[bool] = []

    def put_and_flush(first: int) -> None:
        futures = spin.put_many(range(first, first + 10))
        said.append(spin.flush(PATIENCE) and all(future.done() for future in futures))

    threads = [threading.Thread(target=put_and_flush, args=(100 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == [True] * 4
    assert len(spin.ready()) == 40


@pytest.mark.parametrize("words", WORDS)
def test_flush_over_a_death_and_its_further_run(
    spins: Any, words: dict[str, Any], capabilities: Capabilities, tmp_path: Path
) -> None:
    if not capabilities.can_kill:
        pytest.skip("its workers do not die")
    for retries in (0, 1):
        spin = spins(
            partial(work.die_once, str(tmp_path / f"died{retries}")), retries=retries, on_error="return", **words
        )
        futures = spin.put_many(range(6))
        assert spin.flush(PATIENCE)
        dead = [future for future in futures if isinstance(future.exception(0), WorkerDied)]
        assert bool(dead) == (not retries)
        assert len(spin.ready()) == 6


# ----------------------------------------------------------------------------------------------------------- put_many


@pytest.mark.usefixtures("side_by_side")
@pytest.mark.parametrize("words", WORDS)
def test_put_many_with_each_overflow(spins: Any, gate: Gate, words: dict[str, Any]) -> None:
    def filled(overflow: str) -> tuple[SpinOff[int], list[Future[int]]]:
        spin = spins(partial(pass_first, gate), maxsize=4, overflow=overflow, **words)
        futures = spin.put_many([0, 1, 2])
        gate.arrived()
        return spin, futures

    spin, before = filled("drop_newest")
    futures = spin.put_many(range(3, 9))
    kept = [future for future in (*before, *futures) if not future.cancelled()]
    assert len(futures) == 6
    assert not any(future.cancelled() for future in before), "the new ones are dropped"
    gate.open()
    spin.close()
    assert sorted(spin) == sorted(future.result(PATIENCE) for future in kept)

    spin, before = filled("drop_oldest")
    futures = spin.put_many(range(3, 9))
    assert len(futures) == 6
    assert not futures[-1].cancelled(), "the newest wins"
    gate.open()
    spin.close()
    assert max(spin) == 8

    spin, before = filled("raise")
    with pytest.raises(Full) as caught:
        spin.put_many(range(3, 9))
    gate.open()
    spin.close()
    assert len(caught.value.taken) >= 1
    assert sorted(spin) == [*range(3), *(future.result(PATIENCE) for future in caught.value.taken)]


@pytest.mark.parametrize("words", WORDS)
def test_put_many_waits_like_put(spins: Any, words: dict[str, Any]) -> None:
    spin = spins(same, maxsize=5, workers=2, **words)
    got: list[int] = []
    taker = threading.Thread(target=lambda: got.extend(spin))
    taker.start()
    spin._core.settling.sleep(lambda: spin._core.bell.sleepers)  # it takes
    assert len(spin.put_many(iter(range(60)))) == 60
    spin.close()
    taker.join()
    assert sorted(got) == list(range(60))


# ------------------------------------------------------------------------------------------------------ event loops


@pytest.mark.usefixtures("side_by_side")
@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "raise"])
@pytest.mark.parametrize("words", WORDS)
def test_put_never_blocks_the_loop(
    spins: Any, gate: Gate, words: dict[str, Any], overflow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("it would wait")

    async def main() -> None:
        spin = spins(partial(pass_first, gate), maxsize=4, overflow=overflow, **words)
        monkeypatch.setattr(spinoff_room, "await_room", refuse)
        for x in range(60):
            try:
                spin.put(x)
            except Full:
                assert overflow == "raise"
            await asyncio.sleep(0)
        if overflow != "raise":
            await spin.aput(60)
        gate.open()
        spin.close()
        assert await asyncio.to_thread(spin.join, PATIENCE)  # who comes to the gate late finds it there

    asyncio.run(main())


@pytest.mark.parametrize("words", WORDS)
def test_async_with(spins: Any, words: dict[str, Any]) -> None:
    async def main() -> None:
        async with spins(same, **words) as spin:
            for x in range(10):
                await spin.aput(x)
        assert sorted([x async for x in spin]) == list(range(10))
        with pytest.raises(LookupError):
            async with spins(same, **words) as spin:
                future = await spin.aput(1)
                raise LookupError
        assert future.done()
        with pytest.raises(RuntimeError, match="close"):
            await spin.aput(2)

    asyncio.run(main())


@pytest.mark.parametrize("words", WORDS)
def test_aput_waits_for_room_and_the_loop_goes_on(spins: Any, words: dict[str, Any]) -> None:
    async def main() -> list[int]:
        spin = spins(same, maxsize=3, **words)
        got: list[int] = []

        async def take() -> None:
            async for x in spin:
                got.append(x)

        taking = asyncio.create_task(take())
        for x in range(30):
            await spin.aput(x)
        spin.close()
        await taking
        return got

    assert sorted(asyncio.run(main())) == list(range(30))


# --------------------------------------------------------------------------------------------------- the program ends

PROGRAM = """
import sys
from procession import SpinOff

def append(x):
    with open(sys.argv[1], "a") as file:
        file.write(f"{x}\\n")

def append_all(items):
    return [append(x) for x in items]

if __name__ == "__main__":
    words = {"batch": 4} if sys.argv[3] == "batch" else {"rate": 200.0}
    spin = SpinOff(append_all if sys.argv[3] == "batch" else append, backend=sys.argv[2], **words)
    spin.put_many(range(10))
"""


@pytest.mark.usefixtures("another_program")
@pytest.mark.parametrize("words", ["batch", "rate"])
def test_what_was_put_runs_although_the_program_ends(tmp_path: Path, backend: str, words: str) -> None:
    path = tmp_path / "log"
    command = [sys.executable, "-c", PROGRAM, str(path), backend, words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_text().split() == [str(x) for x in range(10)]
