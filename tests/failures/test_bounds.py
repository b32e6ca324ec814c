"""The consumer stops and the producer is endless: what is taken in stays bounded, in items."""

import itertools
import queue
import threading
import time
from pathlib import Path

import pytest

from procession import Full, Pool, SpinOff
from procession.stream_bounds import AUTO_MOST
from tests import warm
from tests.failures import tasks
from tests.failures.kit import Gate, Notes, run_program, wait_until

kept_zygote = warm.keep()

BACKENDS = ["processes", "threads"]


class Counted:
    """An endless source that counts what is pulled."""

    def __init__(self) -> None:
        self.pulled = 0
        self.closed = False

    def items(self):
        try:
            for n in itertools.count():
                self.pulled = n + 1
                yield n
        finally:
            self.closed = True

    def settled(self) -> int:
        """How many have been pulled once it stands still."""
        last = -1
        while last != self.pulled:
            last = self.pulled
            time.sleep(0.1)  # nothing announces that nothing more happens
        return last


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("window", [10, None])
def test_imap(backend: str, live: bool, window: int | None) -> None:
    """Row: The consumer stops, the producer is endless. imap pulls its window ahead and no item more; closing it
    closes the source."""
    source = Counted()
    with Pool(2, backend=backend) as pool:
        stream = pool.imap(tasks.double, source.items(), window=window, live=live)
        taken = [next(stream) for _ in range(5)]
        assert taken == [0, 2, 4, 6, 8]
        pulled = source.settled()
        print(f"window {window}: pulled {pulled}")
        assert pulled <= 5 + (window or AUTO_MOST)
        assert [next(stream) for _ in range(100)] == [2 * n for n in range(5, 105)]
        pulled = source.settled()
        assert pulled <= 105 + (window or AUTO_MOST)
        stream.close()
        wait_until(lambda: source.closed, "the end of the source")


@pytest.mark.parametrize("backend", BACKENDS)
def test_imap_behind_a_straggler(backend: str, notes: Notes, gate: Gate) -> None:
    """Row: The consumer stops, the producer is endless. Nor is the window left when the first item is slow."""
    source = Counted()
    with Pool(2, backend=backend) as pool:
        stream = pool.imap(held_first, ((n, notes.path, gate.path) for n in source.items()), window=20, live=True)
        notes.wait(1)
        assert source.settled() <= 20
        gate.open()
        assert [next(stream) for _ in range(50)] == list(range(50))
        stream.close()


def held_first(item: tuple[int, str, str]) -> int:
    n, path, gate = item
    return tasks.held(path, gate, n) if n == 0 else n


def test_map_with_buffersize() -> None:
    """Row: The consumer stops, the producer is endless. map(buffersize=) is bounded as in Python 3.14."""
    source = Counted()
    with Pool(2) as pool:
        results = pool.map(tasks.double, source.items(), buffersize=8)
        assert [next(results) for _ in range(10)] == [2 * n for n in range(10)]
        assert source.settled() <= 18
        results.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_submit_with_max_pending(backend: str, notes: Notes, gate: Gate) -> None:
    """Row: The consumer stops, the producer is endless. `max_pending` holds a producer that never stops to submit."""
    submitted = []
    with Pool(1, backend=backend, max_pending=5) as pool:

        def produce() -> None:
            for n in range(30):
                submitted.append(pool.submit(tasks.held, notes.path, gate.path, n))

        producer = threading.Thread(target=produce)
        producer.start()
        notes.wait(1)
        wait_until(lambda: len(submitted) >= 5, "five submitted")
        producer.join(0.2)
        assert len(submitted) == 5
        gate.open()
        producer.join(60)
        assert [future.result(60) for future in submitted] == list(range(30))


@pytest.mark.parametrize("backend", BACKENDS)
def test_spinoff_blocks_then_says_full(backend: str, notes: Notes, gate: Gate) -> None:
    """Row: The consumer stops, the producer is endless. A full spin-off blocks until `timeout`, then raises Full."""
    with SpinOff(held_pair, backend=backend, maxsize=4) as spin:
        for n in range(4):
            spin.put((notes.path, gate.path, n))
        with pytest.raises(Full) as caught:
            spin.put((notes.path, gate.path, 9), timeout=0.05)
        assert isinstance(caught.value, queue.Full)
        gate.open()
        assert [next(iter(spin)) for _ in range(4)] == [0, 1, 2, 3]
        spin.put((notes.path, gate.path, 4))
    assert list(spin) == [4]


def held_pair(item: tuple[str, str, int]) -> int:
    return tasks.held(*item)


def test_a_spinoff_that_nobody_reads_does_not_lock_itself_up() -> None:
    """Row: The consumer stops, the producer is endless. Full of results that nobody ever took: Full at once, with what
    to do; no silent deadlock."""
    with SpinOff(tasks.double, maxsize=10) as spin:
        with pytest.raises(Full, match="on_result"):
            for n in range(1000):
                spin.put(n)
        assert next(iter(spin)) == 0
    assert list(spin) == [2 * n for n in range(1, 10)]


def test_dropping() -> None:
    """Row: The consumer stops, the producer is endless. `drop_newest` never blocks, never raises, and counts."""
    with SpinOff(tasks.double, maxsize=10, overflow="drop_newest") as spin:
        futures = [spin.put(n) for n in range(1000)]
        dropped = [future for future in futures if future.cancelled()]
        assert len(dropped) == 990
        assert spin.stats().dropped == 990
    assert list(spin) == [2 * n for n in range(10)]


def test_fire_and_forget_accumulates_nothing() -> None:
    """Row: The consumer stops, the producer is endless. With `iterate=False` no result is kept."""
    with SpinOff(tasks.blob, iterate=False, maxsize=10) as spin:
        import gc

        from tests.failures.kit import resident_mib

        for _ in range(20):
            spin.put(1_000_000)
        spin.flush(60)
        gc.collect()
        before = resident_mib()
        for _ in range(200):
            spin.put(1_000_000)
        spin.flush(60)
        gc.collect()
        grown = resident_mib() - before
        print(f"grown by {grown:.1f} MiB after 200 results of 1 MB")
        assert grown < 50


SLOW_CONSUMER = """
import ctypes, gc, sys, threading
from pathlib import Path
from procession import Pool

def blob(size):
    return bytes(size)

def resident_mib():
    purge = getattr(ctypes.CDLL(None), "__sanitizer_purge_allocator", None)
    if purge is not None:
        purge()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

def settled(stream, least):
    seen, same, pause = None, 0, threading.Event()
    while same < 50 or seen.waiting < least:
        pause.wait(0.004)
        now = stream.stats()
        same = same + 1 if seen and now.waiting == seen.waiting and now.spilled == seen.spilled else 0
        seen = now
    return seen

words = {"spill": sys.argv[1] == "spill"}
with Pool(2) as pool:
    list(pool.imap(blob, [1_000_000] * 8, window=4))
    gc.collect()
    before = resident_mib()
    stream = pool.imap(blob, [1_000_000] * 300, window=200, buffer_bytes=20_000_000, live=True, **words)
    assert len(next(stream)) == 1_000_000
    stats = settled(stream, 140 if words["spill"] else 0)
    print(resident_mib() - before, stats.waiting, stats.buffered_bytes, stats.spilled)
    assert [len(each) for each in stream] == [1_000_000] * 299
    assert stream.stats().most_bytes <= 20_000_000
"""


@pytest.mark.parametrize("spill", [False, True])
def test_bytes(spill: bool, tmp_path: Path) -> None:
    """Row: The consumer stops, the producer is endless. `buffer_bytes=` bounds what waits for it in memory; with
    `spill=True` the work goes on all the same."""
    done = run_program(tmp_path, SLOW_CONSUMER, "spill" if spill else "wait")
    grown, waiting, held, spilled = map(float, done.split())
    print(f"{waiting:.0f} results of 1 MB wait, {spilled:.0f} of them in a file; grown by {grown:.1f} MiB")
    assert held <= 20_000_000
    assert grown < 60, "twenty results, and what the work takes; a hundred and fifty would be 143 MiB"
    assert waiting >= 140 if spill else waiting <= 20


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_is_waited_for(backend: str, notes: Notes, gate: Gate) -> None:
    """Row: The consumer stops, the producer is endless. Nor is it a secret which item holds up the rest."""
    with Pool(2, backend=backend) as pool:
        stream = pool.imap(held_first, ((n, notes.path, gate.path) for n in range(20)), window=20, live=True)
        notes.wait(1)
        wait_until(lambda: stream.stats().waiting == 19, "all others are done")
        seen = stream.stats()
        assert seen.head == 0
        wait_until(lambda: stream.stats().head_seconds > seen.head_seconds, "its time goes on")
        gate.open()
        assert list(stream) == list(range(20))
        assert stream.stats().head is None
    with SpinOff(held_pair, workers=2, backend=backend) as spin:
        gate.close()
        spin.put_many([(notes.path, gate.path, 0)])
        notes.wait(2)
        opened = Gate(notes.path)
        spin.put_many([(notes.path, opened.path, n) for n in range(1, 10)])
        wait_until(lambda: spin.stats().waiting == 9, "all others are done")
        assert spin.stats().head == 0
        gate.open()
    assert list(spin) == list(range(10))
    assert spin.stats().head is None
