"""Seeded chaos: workers and the zygote are killed at random under load, and every promise is counted.

    python -m tests.soak.chaos --minutes 5 --seed 1

Workers are stopped and go on, and are replaced by number, age and memory; tasks hang, crash and take much memory under
timeouts, ceilings and retries; cancels come in storms, also of what runs; in the main thread a timer raises; pools are
asked for dumps, and traced; streams are bounded by bytes, spill and have keys; spin-offs drop; pipelines have many
stages.

Checked: each task starts at most once, or as often as its retries allow; no more of the harmless tasks fail
(WorkerDied) than kills were made; everything else has the right answer, in order where order was promised, and has
started in the order of its key; what is said to be cancelled is; nothing hangs; the pool has all its workers again at
the end; threads, descriptors, processes and memory are then what they were. Exit code 1 on a breach.

The seed decides what is done in which order by each thread; the kernel decides how they interleave.
"""

import argparse
import faulthandler
import gc
import os
import random
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.failures import tasks
from tests.soak.load import PATIENCE, Book, Load, strikes

MARK = "PROCESSION_CHAOS"
MEMORY_MIB = 150.0
"""Growth that is allowed between the first quarter of a run and its end: results of 1 MB are in flight."""


# ------------------------------------------------------------------------------------------------------- the killer


class Family:
    """The processes that we have made, by a mark in the environment of whatever was exec'ed here, forks included."""

    def __init__(self) -> None:
        self.token = f"{MARK}={uuid.uuid4().hex}"
        os.environ[MARK] = self.token.partition("=")[2]

    def living(self) -> dict[int, int]:
        """pid -> parent of all that are no zombies."""
        found = {}
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != os.getpid():
                try:
                    with open(f"/proc/{name}/environ", "rb") as file:
                        ours = self.token.encode() in file.read()
                    with open(f"/proc/{name}/stat") as file:
                        words = file.read().rpartition(")")[2].split()
                except OSError:
                    continue
                if ours and words[0] not in "ZX":
                    found[int(name)] = int(words[1])
        return found


@dataclass
class Killer:
    """Kills at random instants: a worker mostly, the zygote now and then, sometimes several at once.

    A zygote that has no worker yet is killed in one round of four only: three starts that fail in a row break a pool,
    and a crowded machine takes seconds for one.
    """

    family: Family
    rng: random.Random
    kills: int = 0
    zygotes: int = 0
    stops: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    pause: float = 0.15

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, name="killer")

    def _run(self) -> None:
        while not self.stop.wait(self.rng.expovariate(1 / self.pause)):
            living = self.family.living()
            workers = sorted(pid for pid, parent in living.items() if parent != os.getpid())
            zygotes = sorted(pid for pid, parent in living.items() if parent == os.getpid())
            dice = self.rng.random()
            if dice < 0.06 and zygotes:
                self.zygotes += 1
                parents = set(living.values())
                self._kill([pid for pid in zygotes if pid in parents or self.zygotes % 4 == 1])
            elif dice < 0.2 and workers:
                self._stop(self.rng.choice(workers))
            elif workers:
                count = 1 if dice < 0.9 else min(3, len(workers))
                self._kill(self.rng.sample(workers, count))

    def _stop(self, pid: int) -> None:
        """For a moment, or for longer than a timeout."""
        try:
            os.kill(pid, signal.SIGSTOP)
            self.stops += 1
            self.stop.wait(self.rng.choice([0.01, 0.1, 1.0]))
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def _kill(self, pids: list[int]) -> None:
        for pid in pids:
            try:
                self.kills += 1  # before: a death is never seen before it is counted
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                self.kills -= 1


# --------------------------------------------------------------------------------------------------------- resources


@dataclass(frozen=True)
class Resources:
    """What there is now."""

    threads: int
    descriptors: int
    processes: int
    segments: int
    mib: float

    @staticmethod
    def now(family: Family) -> "Resources":
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        return Resources(
            threads=len(os.listdir("/proc/self/task")),
            descriptors=len(os.listdir("/proc/self/fd")),
            processes=len(family.living()),
            segments=len(os.listdir("/dev/shm")),
            mib=pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20),
        )

    def __str__(self) -> str:
        return (
            f"threads {self.threads}, descriptors {self.descriptors}, processes {self.processes}, "
            f"segments {self.segments}, RSS {self.mib:.0f} MiB"
        )

    def more_than(self, before: "Resources") -> Iterator[str]:
        for word in ("threads", "descriptors", "processes", "segments"):
            if getattr(self, word) > getattr(before, word):
                yield f"{word}: {getattr(before, word)} before, {getattr(self, word)} at the end"


# -------------------------------------------------------------------------------------------------------------- the run


class Chaos:
    """One run."""

    def __init__(self, seed: int, seconds: float, workers: int = 3, out: Callable[[str], object] = print) -> None:
        self.seed = seed
        self.seconds = seconds
        self.workers = workers
        self.out = out
        self.breaches: list[str] = []
        self.hung = False

    def run(self) -> bool:
        """True when nothing was breached."""
        self.out(f"chaos for {self.seconds:.0f} s, seed {self.seed}, Python {sys.version.split()[0]}")
        with tempfile.TemporaryDirectory() as folder:
            self._run(Path(folder))
        for breach in self.breaches[:50]:
            self.out(f"BREACH: {breach}")
        self.out(f"{'BREACHED' if self.breaches else 'ok'}: {len(self.breaches)} breaches, seed {self.seed}")
        return not self.breaches

    def _run(self, folder: Path) -> None:
        family = Family()
        book = Book(str(folder / "starts"))
        before = Resources.now(family)
        load = Load(book, self.seed, self.workers)
        killer = Killer(family, random.Random(f"{self.seed}/killer"))
        load.start()
        killer.thread.start()
        try:
            with strikes():
                early = self._watch(book, load, family)
        finally:  # else its threads would keep the program for ever
            killer.stop.set()
            killer.thread.join()
            finished = load.finish()
        if not finished:
            self._hangs("threads do not end: " + ", ".join(t.name for t in load.threads if t.is_alive()))
            return
        self.breaches += load.broken
        self._full_again(load, folder)
        load.pool = None  # type: ignore[assignment]
        del load
        after = self._settled(family, before)
        self.breaches += after.more_than(before)
        bookkeeping = 3 * len(book.answers) / (1 << 20)
        if after.mib - early.mib > MEMORY_MIB + bookkeeping:
            self.breaches.append(f"memory: {early.mib:.0f} MiB early in the run, {after.mib:.0f} MiB at the end")
        self.breaches += book.breaches()
        self._account(book, killer)
        self.out(f"before: {before}")
        self.out(f"after:  {after} (early in the run {early.mib:.0f} MiB)")

    def _watch(self, book: Book, load: Load, family: Family) -> Resources:
        """Until the time is over or something hangs; returns what there was after a quarter."""
        began = time.monotonic()
        rng = load.rng("strike")
        early = None
        while (now := time.monotonic()) < began + self.seconds:
            if early is None and now > began + self.seconds / 4:
                early = Resources.now(family)
            if now - book.moved > PATIENCE / 2:
                self._hangs(f"no answer for {now - book.moved:.0f} s")
                break
            if load.broken:
                break
            load.strike(rng, "strike")
        return early or Resources.now(family)

    def _hangs(self, what: str) -> None:
        self.hung = True
        self.breaches.append(f"HANG: {what}")
        faulthandler.dump_traceback(all_threads=True)

    def _full_again(self, load: Load, folder: Path) -> None:
        """As many tasks as there are workers run at once."""
        futures = [load.pool.submit(tasks.barrier, str(folder / "barrier"), self.workers) for _ in range(self.workers)]
        try:
            if [future.result(PATIENCE) for future in futures] != [True] * self.workers:
                self.breaches.append(f"the pool has not its {self.workers} workers again")
        except BaseException as error:
            self.breaches.append(f"the pool at the end: {type(error).__name__}: {error}")

    def _settled(self, family: Family, before: Resources) -> Resources:
        """What is left when dropped pools have had time to go."""
        deadline = time.monotonic() + 20
        while True:
            gc.collect()
            now = Resources.now(family)
            if time.monotonic() > deadline or not list(now.more_than(before)):
                return now
            time.sleep(0.05)

    def _account(self, book: Book, killer: Killer) -> None:
        counts = book.counts
        if counts["died"] > killer.kills:
            self.breaches.append(f"{counts['died']} tasks died of {killer.kills} kills")
        words = ", ".join(f"{counts[word]} {word}" for word in ("tasks", "started", "died", "cancelled"))
        self.out(f"{words}; {counts['pools']} pools, {counts['spin-offs']} spin-offs, {counts['dumps']} dumps")
        words = ("timeouts", "timeouts of who had not hung", "crashes", "ceilings", "strikes")
        self.out(", ".join(f"{counts[word]} {word}" for word in words))
        words = ("bounded streams", "dropping spin-offs", "spin-offs of batches", "pipelines")
        self.out(", ".join(f"{counts[word]} {word}" for word in words))
        words = ("generators", "generators that died", "traces", "traced runs", "observers", "observed runs")
        self.out(", ".join(f"{counts[word]} {word}" for word in words))
        self.out(f"{killer.kills} kills, of which {killer.zygotes} rounds hit the zygote; {killer.stops} stops")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None, help="default: a random one, which is printed")
    parser.add_argument("--workers", type=int, default=3, help="of the shared pool")
    words: Any = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(1 << 32) if words.seed is None else words.seed
    chaos = Chaos(seed, words.minutes * 60, words.workers, lambda text: print(text, flush=True))
    good = chaos.run()
    if chaos.hung:
        os._exit(1)  # what hangs would keep the interpreter from ending
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
