"""`buffer_bytes=` and `spill=`: how many bytes of results wait for their turn, whoever runs the work, and what comes
out nevertheless: everything, in its place."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from procession import Full, Pool, SpinOff
from procession.backends.base import Capabilities
from procession.streams import StreamStats
from tests.failures.kit import wait_until
from tests.logs import all_said

from . import work
from .conftest import PATIENCE, Gate, MakePool

KIB = 1 << 10
SIZE = 10 * KIB
ROOM = 8 * (SIZE + 100)  # for eight results


def blob(n: int) -> bytes:
    """A result of some size that says which it is."""
    return n.to_bytes(4, "big") * (SIZE // 4)


def blobs(count: int) -> list[bytes]:
    return [blob(n) for n in range(count)]


def held_blob(paths: tuple[str, str], n: int) -> bytes:
    """The first one waits at the gate."""
    if n == 0:
        work.pass_gate(*paths)
    return blob(n)


def still(look: Callable[[], StreamStats]) -> StreamStats:
    """The numbers, once a hundred looks in a row have found the same."""
    seen, same = look(), 0
    pause = threading.Event()
    while same < 100:
        pause.wait(0.002)
        now = look()
        same = (
            same + 1
            if (now.unfinished, now.waiting, getattr(now, "spilled", 0))
            == (
                seen.unfinished,
                seen.waiting,
                getattr(seen, "spilled", 0),
            )
            else 0
        )
        seen = now
    return seen


@pytest.mark.usefixtures("side_by_side")
@pytest.mark.parametrize("live", [False, True])
def test_at_the_bound_new_work_waits(pool: Pool, gate: Gate, live: bool) -> None:
    """The head of the line takes long: what is done behind it fills the bound, and the stats say who is waited for."""
    results = pool.imap(partial(held_blob, gate.paths), range(100), window=50, buffer_bytes=ROOM, live=live)
    gate.arrived()
    stats = wait_until(lambda: (now := results.stats()).waiting >= 7 and now, "the bound is reached")
    stats = still(results.stats)
    assert stats.waiting == 7, "room is kept for the result of the one that runs"
    assert stats.head == 0
    assert stats.head_seconds > 0
    assert stats.buffered_bytes is not None
    assert 7 * SIZE <= stats.buffered_bytes <= ROOM
    assert stats.unfinished == stats.pulled - 7
    gate.open()
    assert list(results) == blobs(100)
    end = results.stats()
    assert (end.taken, end.buffered_bytes, end.unfinished, end.head) == (100, 0, 0, None)
    assert end.most_bytes is not None
    assert end.most_bytes <= ROOM


@pytest.mark.usefixtures("side_by_side")
def test_spilled_results_make_room(pool: Pool, gate: Gate) -> None:
    """With spill=True all the rest gets done while the first one takes long."""
    results = pool.imap(
        partial(held_blob, gate.paths), range(100), window=100, buffer_bytes=ROOM, spill=True, live=True
    )
    gate.arrived()
    wait_until(lambda: results.stats().waiting == 99, "everything but the first is done")
    wait_until(lambda: results.stats().spilled >= 99 - 8, "what has no room is in the file")
    stats = still(results.stats)
    assert stats.buffered_bytes is not None
    assert stats.buffered_bytes <= ROOM
    gate.open()
    assert list(results) == blobs(100)
    assert results.stats().spilled == 0


@pytest.mark.usefixtures("side_by_side")
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("spill", [True, False])
def test_a_consumer_that_stops(pool: Pool, ordered: bool, spill: bool) -> None:
    """Nobody takes anything for a while: the results that wait are bounded, in memory."""
    results = pool.imap(blob, range(200), window=100, ordered=ordered, buffer_bytes=ROOM, spill=spill)
    first = next(results)

    def is_full() -> bool:
        stats = results.stats()
        return stats.waiting == stats.pulled - 1 and stats.spilled > 50 if spill else stats.waiting == 8

    wait_until(is_full, "the bound is reached")
    stats = still(results.stats)
    assert stats.waiting == (stats.pulled - 1 if spill else 8)
    assert stats.buffered_bytes is not None
    assert stats.buffered_bytes <= ROOM
    assert sorted([first, *results]) == sorted(blobs(200))
    assert results.stats().most_bytes <= ROOM  # type: ignore[operator]


@pytest.mark.parametrize("spill", [True, False])
@pytest.mark.parametrize("ordered", [True, False])
def test_results_heavier_than_the_bound_come_one_by_one(pool: Pool, ordered: bool, spill: bool) -> None:
    results = pool.imap(blob, range(40), ordered=ordered, buffer_bytes=1, spill=spill)
    got = list(results)
    assert got == blobs(40) if ordered else sorted(got) == blobs(40)


@pytest.mark.parametrize("spill", [True, False])
def test_sizes_that_change(pool: Pool, spill: bool) -> None:
    """Small ones, then large ones, then small ones: nothing stands still, and the order is kept."""
    sizes = [10] * 200 + [50_000] * 20 + [10] * 200 + [0, 200_000] * 10
    results = pool.imap(bytes, sizes, buffer_bytes=ROOM, spill=spill)
    assert [len(each) for each in results] == sizes


@pytest.mark.parametrize("spill", [True, False])
@pytest.mark.parametrize("ordered", [True, False])
def test_with_keys(pool: Pool, ordered: bool, spill: bool) -> None:
    """The item that the order waits for starts, though others of other keys were there before it."""
    results = pool.imap(blob, range(60), key=lambda n: n % 7, ordered=ordered, buffer_bytes=3 * SIZE, spill=spill)
    got = list(results)
    assert sorted(got) == blobs(60)
    if ordered:
        assert got == blobs(60)
    else:
        numbers = [int.from_bytes(each[:4], "big") for each in got]
        for key in range(7):
            of_key = [n for n in numbers if n % 7 == key]
            assert of_key == sorted(of_key)


def failing_blob(n: int) -> bytes:
    if n % 5 == 2:
        raise LookupError(n)
    return blob(n)


@pytest.mark.parametrize("spill", [True, False])
def test_failures_keep_their_places(pool: Pool, spill: bool) -> None:
    got = list(pool.imap(failing_blob, range(50), buffer_bytes=ROOM, spill=spill, on_error="return"))
    assert [str(each) if isinstance(each, LookupError) else each for each in got] == [
        str(n) if n % 5 == 2 else blob(n) for n in range(50)
    ]
    with pytest.raises(LookupError, match="2"):
        list(pool.imap(failing_blob, range(50), buffer_bytes=ROOM, spill=spill))


def die_now_and_then(path: str, n: int) -> bytes:
    """Each seventh one kills its worker at its first try."""
    if n % 7 == 3 and not os.path.exists(f"{path}-{n}"):
        work.note(f"{path}-{n}", "died")
        os._exit(3)
    return blob(n)


def test_workers_that_die(pool: Pool, capabilities: Capabilities, tmp_path: Any) -> None:
    """A further run takes its place in the order, and no room is lost by it."""
    if not capabilities.owns_workers or capabilities.in_caller or not capabilities.pickles:
        pytest.skip("there is no worker that could die")
    careful = pool.options(retries=2)
    function = partial(die_now_and_then, str(tmp_path / "died"))
    for spill in (False, True):
        results = careful.imap(function, range(40), window=30, buffer_bytes=ROOM, spill=spill)
        assert list(results) == blobs(40)
        for path in tmp_path.iterdir():
            path.unlink()


@pytest.mark.usefixtures("side_by_side")
def test_a_stream_that_is_closed_lets_its_files_go(pool: Pool, gate: Gate) -> None:
    """The fixture that looks for what stays behind would see them."""
    results = pool.imap(partial(held_blob, gate.paths), range(80), window=80, buffer_bytes=ROOM, spill=True, live=True)
    gate.arrived()
    wait_until(lambda: results.stats().spilled >= 60, "results in files")
    assert spill_files()
    gate.open()
    results.close()
    wait_until(lambda: not spill_files(), "the end of the files")
    with pytest.raises(StopIteration):
        next(results)


def spill_files() -> list[str]:
    """Open files that have no name any more, of ours."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        if "/procession-" in target and target.endswith("(deleted)"):
            found.append(target)
    return found


@pytest.mark.usefixtures("side_by_side")
def test_a_full_disk(pool: Pool, gate: Gate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is lost: what cannot be written stays, new work waits, and that is said once."""
    calls = []

    def pwrite(fd: int, data: memoryview, at: int) -> int:
        calls.append(at)
        if len(calls) > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data[: len(data) // 2 + 1], at)  # a write may be short

    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", pwrite)
    results = pool.imap(partial(held_blob, gate.paths), range(80), window=80, buffer_bytes=ROOM, spill=True, live=True)
    gate.arrived()
    wait_until(lambda: len(calls) > 5, "the disk is full")
    stats = still(results.stats)
    assert stats.buffered_bytes is not None
    assert stats.buffered_bytes <= ROOM
    gate.open()
    assert list(results) == blobs(80)
    all_said()
    assert len([each for each in caplog.records if "cannot be spilled" in each.getMessage()]) == 1


class Tied:
    """Cannot be pickled."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.lock = threading.Lock()
        self.blob = blob(n)


def test_what_cannot_be_pickled_stays_in_memory(make_pool: MakePool, capabilities: Capabilities) -> None:
    if capabilities.pickles:
        pytest.skip("every result has been pickled here")
    pool = make_pool(2)
    assert [each.n for each in pool.imap(Tied, range(60), buffer_bytes=ROOM, spill=True)] == list(range(60))


def test_what_is_made_by_value(pool: Pool) -> None:
    """Results of a class that has no module to be found in."""

    class Local:
        def __init__(self, n: int) -> None:
            self.n = n
            self.blob = bytes(SIZE)

    results = pool.imap(Local, range(60), window=60, buffer_bytes=ROOM, spill=True)
    got = list(results)
    assert [each.n for each in got] == list(range(60))
    assert all(type(each) is Local for each in got)


def test_aimap(pool: Pool) -> None:
    async def main(spill: bool) -> list[bytes]:
        stream = pool.aimap(blob, range(60), window=40, buffer_bytes=ROOM, spill=spill)
        found = [each async for each in stream]
        assert stream.stats().most_bytes <= max(ROOM, 41 * (SIZE + 100) if in_caller else 0)  # type: ignore[attr-defined]
        return found

    in_caller = pool._engine.capabilities.in_caller
    assert asyncio.run(main(False)) == blobs(60)
    assert asyncio.run(main(True)) == blobs(60)


# -- automatic windows -------------------------------------------------------------------------------------------------


def held_small(paths: tuple[str, str], n: int) -> int:
    if n == 0:
        work.pass_gate(*paths)
    return n


@pytest.mark.usefixtures("side_by_side")
def test_an_automatic_window_widens_behind_a_straggler(pool: Pool, gate: Gate) -> None:
    """While its results are light: the workers have something to do as long as the head of the line takes."""
    results = pool.imap(partial(held_small, gate.paths), range(3000), live=True)
    gate.arrived()
    wait_until(lambda: results.stats().waiting == 2999, "everything but the first is done")
    assert results.stats().head == 0
    gate.open()
    assert list(results) == list(range(3000))


def held_heavy(paths: tuple[str, str], n: int) -> bytes:
    if n == 0:
        work.pass_gate(*paths)
    return bytes(4 << 20)


@pytest.mark.usefixtures("side_by_side")
def test_an_automatic_window_does_not_widen_for_heavy_results(pool: Pool, gate: Gate) -> None:
    """64 MiB of them may wait: 16 of 4 MiB, as many as the window holds at least."""
    results = pool.imap(partial(held_heavy, gate.paths), range(60), live=True)
    gate.arrived()
    wait_until(lambda: results.stats().waiting >= 14, "the window is full")
    assert still(results.stats).waiting <= 20
    gate.open()
    assert sum(map(len, results)) == 60 * (4 << 20)


# -- spin-offs ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def make_spin(backend: str) -> Iterator[Callable[..., SpinOff[Any]]]:
    made: list[SpinOff[Any]] = []

    def make(fn: Callable[..., Any], **words: Any) -> SpinOff[Any]:
        made.append(SpinOff(fn, backend=backend, workers=2, **words))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for spin in made:
        spin.cancel()
        spin.join()


MakeSpin = Callable[..., SpinOff[Any]]


@pytest.mark.usefixtures("side_by_side")
def test_a_put_does_not_wait_for_bytes(make_spin: MakeSpin, gate: Gate) -> None:
    """It is what starts that waits; the window alone bounds what is taken in."""
    spin = make_spin(partial(held_blob, gate.paths), maxsize=100, buffer_bytes=ROOM)
    spin.put_many(range(100))
    gate.arrived()
    wait_until(lambda: spin.stats().waiting >= 7, "the bound is reached")
    stats = spin.stats()
    assert (stats.head, stats.put) == (0, 100)
    assert stats.waiting == 7
    assert stats.buffered_bytes is not None
    assert stats.buffered_bytes <= ROOM
    gate.open()
    spin.close()
    assert list(spin) == blobs(100)
    assert spin.stats().buffered_bytes == 0


@pytest.mark.parametrize("ordered", [True, False])
def test_ready_makes_room(make_spin: MakeSpin, ordered: bool) -> None:
    spin = make_spin(failing_blob, maxsize=200, buffer_bytes=ROOM, on_error="return", ordered=ordered)
    spin.put_many(range(100))
    spin.close()
    got: list[Any] = []
    pause = threading.Event()
    while len(got) < 100:
        got += spin.ready()
        stats = spin.stats()
        assert stats.buffered_bytes is not None
        assert stats.buffered_bytes <= ROOM + SIZE
        pause.wait(0.001)
    failed = [int(str(each)) for each in got if isinstance(each, LookupError)]
    assert sorted(failed) == [n for n in range(100) if n % 5 == 2]
    values = [each for each in got if not isinstance(each, LookupError)]
    expected = [blob(n) for n in range(100) if n % 5 != 2]
    assert values == expected if ordered else sorted(values) == expected


def test_raised_at_their_places(make_spin: MakeSpin) -> None:
    spin = make_spin(failing_blob, maxsize=200, buffer_bytes=ROOM)
    spin.put_many(range(30))
    spin.close()
    got: list[Any] = []
    pause = threading.Event()
    while len(got) < 30:
        try:
            got += spin.ready()
        except LookupError as error:
            got.append(str(error))
        pause.wait(0.001)
    assert got == [str(n) if n % 5 == 2 else blob(n) for n in range(30)]
    assert spin.stats().buffered_bytes == 0


def blob_but_two(n: int) -> bytes:
    if n == 2:
        raise LookupError(n)
    return blob(n)


@pytest.mark.usefixtures("side_by_side")
def test_what_waits_behind_a_failure_weighs_on(make_spin: MakeSpin) -> None:
    """`ready()` returns what is before the failure; the rest is put back, and goes on filling the bound."""
    spin = make_spin(blob_but_two, maxsize=200, buffer_bytes=ROOM)
    spin.put_many(range(100))
    wait_until(lambda: spin.stats().waiting >= 7 and spin.stats().failed, "the bound is reached")
    got: list[bytes] = []
    wait_until(lambda: got.extend(spin.ready()) or len(got) == 2, "those before the failure")
    assert got == blobs(2)
    stats = still(spin.stats)  # type: ignore[arg-type]
    assert stats.waiting <= 9, "eight results, and the failure"
    assert stats.buffered_bytes is not None
    assert stats.buffered_bytes >= (stats.waiting - 1) * SIZE


def test_on_result_makes_room(make_spin: MakeSpin) -> None:
    got: list[bytes] = []
    spin = make_spin(blob, maxsize=200, buffer_bytes=2 * SIZE, on_result=got.append)
    spin.put_many(range(100))
    spin.close()
    spin.join()
    assert got == blobs(100)


@pytest.mark.usefixtures("side_by_side")
def test_what_is_dropped_makes_room(make_spin: MakeSpin, gate: Gate) -> None:
    """The newest wins: with a full window and a full buffer, a put drops what is oldest, and never waits."""
    spin = make_spin(partial(held_blob, gate.paths), maxsize=10, buffer_bytes=ROOM, overflow="drop_oldest")
    futures = [spin.put(n) for n in range(10)]
    gate.arrived()
    wait_until(lambda: spin.stats().waiting >= 7, "the bound is reached")
    futures += [spin.put(n) for n in range(10, 40)]
    gate.open()
    spin.close()
    got = [int.from_bytes(each[:4], "big") for each in spin]
    assert got == sorted(got)
    assert got[-1] == 39
    kept = [n for n, future in enumerate(futures) if not future.cancelled()]
    assert set(got) <= set(kept)
    assert len(got) + spin.stats().dropped + spin.stats().cancelled == 40


def test_where_nothing_waits_there_is_no_bound(make_spin: MakeSpin) -> None:
    spin = make_spin(blob, iterate=False, maxsize=200, buffer_bytes=1)
    futures = spin.put_many(range(50))
    assert [future.result(PATIENCE) for future in futures] == blobs(50)
    assert spin.stats().buffered_bytes is None


def test_the_end_needs_no_taker(make_spin: MakeSpin) -> None:
    """Who leaves the block waits for everything, and takes nothing: no bound may keep what was put from starting."""
    with make_spin(blob, maxsize=200, buffer_bytes=ROOM) as spin:
        spin.put_many(range(100))
    assert spin.stats().waiting == 100
    assert list(spin) == blobs(100)


def test_a_flush_needs_no_taker(make_spin: MakeSpin, capabilities: Capabilities) -> None:
    """And when it is over, the bound holds again."""
    spin = make_spin(blob, maxsize=200, buffer_bytes=ROOM)
    spin.put_many(range(50))
    assert spin.flush(PATIENCE)
    assert spin.stats().waiting == 50
    spin.put_many(range(50, 100))
    assert capabilities.in_caller or spin.stats().unfinished == 50
    spin.close()
    assert list(spin) == blobs(100)


@pytest.mark.usefixtures("side_by_side")
def test_a_join_that_gives_up_leaves_the_bound(make_spin: MakeSpin, gate: Gate) -> None:
    spin = make_spin(partial(held_blob, gate.paths), maxsize=200, buffer_bytes=ROOM)
    spin.put_many(range(50))
    gate.arrived()
    spin.close()
    assert not spin.join(0.01)
    gate.open()
    next(spin)
    assert spin._core.ledger is not None
    assert not spin._core.ledger.lifted
    assert list(spin) == blobs(50)[1:]


@pytest.mark.usefixtures("side_by_side")
def test_a_dropped_spin_off_finishes(backend: str, tmp_path: Path) -> None:
    """Nobody can take what it gives: what was put runs all the same."""
    notes = tmp_path / "notes"
    spin = SpinOff(partial(noted_blob, str(notes)), backend=backend, buffer_bytes=1)  # type: ignore[arg-type]
    futures = [spin.put(n) for n in range(20)]
    del spin
    assert [future.result(PATIENCE) for future in futures] == blobs(20)
    assert len(notes.read_text().split()) == 20


def noted_blob(path: str, n: int) -> bytes:
    work.note(path, str(n))
    return blob(n)


@pytest.mark.usefixtures("side_by_side")
@pytest.mark.parametrize("ordered", [True, False])
def test_a_put_that_would_wait_for_ever(make_spin: MakeSpin, ordered: bool) -> None:
    """Results that nobody takes fill the bound of bytes, and what waits for that room fills the rest."""
    spin = make_spin(blob, maxsize=20, buffer_bytes=ROOM, ordered=ordered)
    spin.put_many(range(20))
    with pytest.raises(Full, match="nobody takes them"):
        spin.put(20)
    assert 0 < len(spin.ready()) < 20
    spin.put(20)


def test_a_put_goes_on_when_somebody_takes(make_spin: MakeSpin) -> None:
    spin = make_spin(blob, maxsize=20, buffer_bytes=ROOM)
    got: list[bytes] = []
    taker = threading.Thread(target=lambda: got.extend(spin))
    taker.start()
    spin.put_many(range(200))
    spin.close()
    taker.join(PATIENCE)
    assert got == blobs(200)


@pytest.mark.usefixtures("side_by_side")
def test_cancelled_ones_do_not_hold_up_on_result(make_spin: MakeSpin, gate: Gate) -> None:
    """One that is cancelled while it waits for the room of its result, next in the line: the one behind it starts."""
    got: list[bytes] = []
    told = threading.Semaphore(0)

    def take(result: bytes) -> None:
        got.append(result)
        told.release()

    spin = make_spin(partial(held_blob, gate.paths), buffer_bytes=1, on_result=take)
    futures = spin.put_many(range(4))
    gate.arrived()
    assert futures[2].cancel()
    gate.open()
    for _ in range(3):
        assert told.acquire(timeout=PATIENCE)
    assert got == [blob(0), blob(1), blob(3)]


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1, "1MB", 2.5, True])
def test_what_is_no_number_of_bytes(pool: Pool, backend: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="buffer_bytes must be"):
        pool.imap(blob, [1], buffer_bytes=value)
    with pytest.raises((TypeError, ValueError), match="buffer_bytes must be"):
        SpinOff(blob, backend=backend, buffer_bytes=value)  # type: ignore[arg-type]


def test_spill_needs_a_bound(pool: Pool) -> None:
    with pytest.raises(ValueError, match="needs buffer_bytes="):
        pool.imap(blob, [1], spill=True)
