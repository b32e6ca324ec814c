"""How a program ends, and what is left of it."""

import gc
import threading
import time
from types import ModuleType
from typing import Any

import psutil

from rivals import work
from rivals.peers.base import Peer
from rivals.rows.base import Process, Row, plural, wait_until
from rivals.scene import Scene
from rivals.verdict import Facts, Verdict

HELPERS = ("resource_tracker", "forkserver")
"""What the standard library keeps until the interpreter's end, by design."""


class InterruptAsleep(Row):
    """Ctrl-C (SIGINT to the foreground process group) while a program waits in its `with` block for 4 tasks that sleep.
    Good is that the first one ends the program within a second, and that nothing is left of it a second later. If the
    program has not ended after 6 s, it is pressed again, three times in all."""

    name = "interrupt-asleep"
    title = "Ctrl-C, tasks asleep"
    fn = staticmethod(work.sleep_long)
    minds_leftovers = False
    judges_errors = True  # an error on its way out is one way to end
    patience = 6.0
    settling = 1.0

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        with peer.block():
            peer.run_all(self.fn, [(scene.path("started"),) for _ in range(4)])

    def attend(self, process: Process) -> Facts:
        started = process.folder / "started"
        if not wait_until(lambda: len(work.marks(started)) >= 2 or process.ended(0), 25):
            return {"hung": True, "presses": 0}
        if process.ended(0.3):  # by itself: an error, which it has noted
            return {"hung": False}
        began = time.monotonic()
        for press in (1, 2, 3):
            process.interrupt()
            if process.ended(self.patience):
                took = time.monotonic() - began
                left = _left_after(process, self.settling)
                return {"hung": False, "presses": press, "took": took, "left_after_1s": left}
        return {"hung": True, "presses": 3}

    def judge(self, facts: Facts) -> Verdict:
        if facts["hung"]:
            return self.judge_hang(facts)
        text = f"ended after {facts['took']:.1f} s"
        if facts["presses"] > 1:
            text = f"{facts['presses']} needed, {text}"
        verdict = Verdict(text, "good" if facts["took"] <= 1 else "partial" if facts["presses"] == 1 else "bad")
        if left := len(facts["left_after_1s"]):
            return verdict.but(plural(left, "orphan"), "bad")
        return verdict

    def judge_hang(self, facts: Facts) -> Verdict:
        if not facts["presses"]:
            return Verdict("hangs before tasks start", "bad")
        return Verdict("3 presses, and it does not end", "bad")


class InterruptSpinning(InterruptAsleep):
    """The same while the tasks are in C and hold the GIL of their workers, where no handler of a worker can run."""

    name = "interrupt-spinning"
    title = "Ctrl-C, tasks in C with the GIL"
    fn = staticmethod(work.spin_long)


class ExceptionInBody(Row):
    """20 tasks of half a second wait or run on 2 workers when the body of the program's `with` block raises. Good is
    that the exception is out within 2 s; to run all 20 first (5 s) before anybody hears of it is partial, never to
    come out is bad."""

    name = "with-body"
    title = "an exception in the `with` body"
    closes = False
    lacking = "partial"

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        path = scene.path("started")
        began = 0.0
        try:
            with peer.block():
                handles = [peer.submit(work.marked, path, n, 0.5) for n in range(20)]
                wait_until(lambda: work.marks(path), 8)
                began = time.monotonic()
                raise LookupError("the body's own")
        except LookupError:
            scene.note(took=time.monotonic() - began, handed_in=len(handles))

    def attend(self, process: Process) -> Facts:
        facts = super().attend(process)
        return {**facts, "ran": len(work.marks(process.folder / "started"))}

    def judge(self, facts: Facts) -> Verdict:
        text = f"out after {facts['took']:.1f} s, {facts['ran']} of 20 were started"
        return Verdict(text, "good" if facts["took"] <= 2 else "partial")


class ParentKilled(Row):
    """The program is killed with SIGKILL while one worker sleeps and one is in C with the GIL, each with 16 MB of
    arguments. Good is that no process and nothing in /dev/shm is left after a second; processes that are gone within 5
    s are partial."""

    name = "parent-killed"
    title = "the program is killed with SIGKILL"
    minds_leftovers = False

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        path, payload = scene.path("started"), _payload()
        peer.run_all(work.sleep_or_spin, [(path, n, payload) for n in range(2)])

    def attend(self, process: Process) -> Facts:
        started = process.folder / "started"
        if not wait_until(lambda: len(work.marks(started)) >= 2 or process.ended(0), 25):
            return {"hung": True}
        if process.ended(0.5):  # by itself: an error, which it has noted
            return {"hung": False}
        process.kill()
        process.ended(5)
        after_1s = _left_after(process, 1.0)
        after_5s = _left_after(process, 4.0) if after_1s else []
        return {"hung": False, "left_after_1s": after_1s, "left_after_5s": after_5s}

    def judge(self, facts: Facts) -> Verdict:
        soon, late = len(facts["left_after_1s"]), len(facts["left_after_5s"])
        if late:
            verdict = Verdict(plural(late, "orphan"), "bad")
        elif soon:
            verdict = Verdict(f"{plural(soon, 'orphan')} for a moment, none after 5 s", "partial")
        else:
            verdict = Verdict("nothing left after 1 s", "good")
        if segments := facts.get("left_shm"):
            verdict = verdict.but(f"{len(segments)} in /dev/shm ({facts['left_shm_mb']:.0f} MB)", "bad")
        return verdict


def _payload() -> Any:
    """16 MB; an array where there is numpy, since some libraries treat arrays in a way of their own."""
    try:
        import numpy
    except ImportError:
        return bytes(16_000_000)
    return numpy.ones(2_000_000)


def _left_after(process: Process, seconds: float) -> list[str]:
    """What is left of it in the end; returns as soon as that is nothing."""
    wait_until(lambda: not process.left(), seconds)
    return process.left()


class Dropped(Row):
    """20 tasks of 50 ms are handed in, then the program drops every reference to the pool and its handles without
    closing it, and lives on for 4 s. Good is that all 20 ran, as with the standard library's executors, and that no
    process and no thread of the pool is left while the program lives. (What multiprocessing itself keeps until the
    interpreter ends, its resource tracker and its fork server, does not count.)"""

    name = "dropped"
    title = "a pool is dropped without being closed"
    closes = False
    lacking = "partial"

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        path = scene.path("started")
        handles = [peer.submit(work.marked, path, n, 0.05) for n in range(20)]
        handles.clear()
        peer.__dict__.clear()
        gc.collect()
        wait_until(lambda: len(work.marks(path)) == 20 and not self._kept(), 4)
        scene.note(ran=len(work.marks(path)), kept=self._kept(), threads=self._threads())

    @staticmethod
    def _threads() -> list[str]:
        return [each.name for each in threading.enumerate() if each is not threading.main_thread()]

    @staticmethod
    def _kept() -> list[str]:
        kept = []
        for each in psutil.Process().children(recursive=True):
            try:
                words = " ".join(each.cmdline())
            except psutil.Error:
                continue
            if not any(helper in words for helper in HELPERS):
                kept.append(words)
        return kept

    def judge(self, facts: Facts) -> Verdict:
        verdict = Verdict(f"{facts['ran']} of 20 ran", "good" if facts["ran"] == 20 else "bad")
        if kept := len(facts["kept"]):
            verdict = verdict.but(f"keeps {plural(kept, 'process')}", "partial")
        if not kept and (threads := len(facts["threads"])):
            verdict = verdict.but(f"keeps {plural(threads, 'thread')}", "partial")
        return verdict
