"""Workers that die, and what that costs."""

import os
import re
import signal
import threading
from pathlib import Path
from types import ModuleType

from rivals import work
from rivals.peers.base import Peer, Policy, Wish
from rivals.rows.base import PATIENCE, Process, Row, count, delivered, look_alive, note_error, plural, wait_until
from rivals.scene import Scene
from rivals.verdict import Facts, Verdict

LONG = 15.0
"""A cluster tries for some seconds before it gives a worker up."""


class WorkerKilled(Row):
    """100 tasks of 20 ms on 2 workers; the worker that runs task 50 is killed with SIGKILL, once, as the kernel's OOM
    killer does it. Good is 99 results or more, and a pool that takes work. A library that runs the lost task again
    without being asked has 100, and has run its side effects twice: the cell says so."""

    name = "kill"
    title = "SIGKILL of one worker in 100 tasks"

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        path = scene.path("victim")

        def strike() -> None:
            if wait_until(lambda: work.marks(path), 20):
                os.kill(int(work.marks(path)[0][0]), signal.SIGKILL)

        threading.Thread(target=strike, daemon=True).start()
        made = peer.deliveries(work.killed_once, [(path, n, 50) for n in range(100)], PATIENCE + 4)
        count(scene, made)
        scene.note(runs=len(work.marks(path)))
        note_error(scene, made)
        look_alive(peer, scene)

    def judge(self, facts: Facts) -> Verdict:
        return delivered(facts, 100)

    def judge_hang(self, facts: Facts) -> Verdict:
        return self.judge(facts)


class TaskExits(Row):
    """One task of 20 calls `os._exit(97)`. Good is 19 results and a pool that takes work; the cell says whether the
    error has the exit code."""

    name = "exit"
    title = "`os._exit` in a task"
    fn = staticmethod(work.exit_at)

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        path = scene.path("victim")
        made = peer.deliveries(self.fn, [(path, n, 10) for n in range(20)], PATIENCE)
        count(scene, made)
        scene.note(runs=len(work.marks(path)))
        note_error(scene, made)
        look_alive(peer, scene)

    def judge(self, facts: Facts) -> Verdict:
        verdict = delivered(facts, 20)
        told = re.search(rf"\b{work.EXIT_CODE}\b", facts.get("error_text", ""))
        return Verdict(verdict.text + ("; says the exit code" if told else ""), verdict.grade)

    def judge_hang(self, facts: Facts) -> Verdict:
        return self.judge(facts)


class TaskCrashes(TaskExits):
    """One task of 20 crashes in C with SIGSEGV, one call below the task's function. Good is 19 results, a pool that
    takes work, and an error with the stack of the crash; an error with the signal's name alone, or with neither, is
    partial."""

    name = "segv"
    title = "SIGSEGV in a task"
    fn = staticmethod(work.crash_at)

    def judge(self, facts: Facts) -> Verdict:
        verdict = delivered(facts, 20)
        if "dereference_null" in facts.get("error_whole", ""):
            return Verdict(f"{verdict.text}; says where", verdict.grade)
        if re.search(r"SIGSEGV|signal 11|-11\b", facts.get("error_text", "")):
            return verdict.but("says the signal, not where", "partial")
        return verdict.but("says neither signal nor where", "partial")


class IdleKilled(Row):
    """The pool has worked and is idle; one worker is killed with SIGKILL; a second later 10 tasks are handed in. Good
    is that all of them run: no task was running, so none may be lost."""

    name = "idle-kill"
    title = "a worker is killed while idle"

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        made = peer.deliveries(work.pid_after, [(0.1,) for _ in range(6)], PATIENCE)
        pids = sorted({each.value for each in made if each.ok})
        os.kill(pids[0], signal.SIGKILL)
        threading.Event().wait(1)
        made = peer.deliveries(work.double, [(n,) for n in range(10)], PATIENCE)
        count(scene, made)
        note_error(scene, made)
        look_alive(peer, scene)

    def judge(self, facts: Facts) -> Verdict:
        return delivered(facts, 10, lost=0)

    def judge_hang(self, facts: Facts) -> Verdict:
        return self.judge(facts)


class Retried(Row):
    """22 tasks with two retries each: one kills its worker the first time it runs, one kills it every time. Good is
    that the first succeeds, the second fails after exactly three runs, everything else is delivered, and the pool
    lives. "No such feature" where deaths cannot be retried a chosen number of times."""

    name = "retries"
    title = "retries: one unlucky task, one poison task"

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        path = scene.path("victims")
        rows = [(path, n, 5, 10) for n in range(22)]
        made = peer.deliveries(work.die_at_first, rows, PATIENCE + 4, Policy(retries=2))
        count(scene, made)
        runs = [int(word) for _, word in work.marks(path)]
        scene.note(flaky_ok=made[5].ok, flaky_runs=runs.count(5), poison_runs=runs.count(10))
        note_error(scene, [made[10]])
        look_alive(peer, scene)

    def judge(self, facts: Facts) -> Verdict:
        verdict = delivered(facts, 22)
        verdict = Verdict(f"{verdict.text}; poison ran {facts['poison_runs']} times", verdict.grade)
        if not facts["flaky_ok"]:
            return verdict.but("the unlucky one failed", "partial")
        return verdict if facts["poison_runs"] == 3 else verdict.but("not 3", "partial")


class Initializer(Row):
    """The function that is to run at each worker's start raises; 4 tasks are handed in. Good is that the tasks fail at
    once with the reason, after a few starts; a pool that starts workers again and again, or waits for ever, is bad."""

    name = "init-raises"
    title = "an initializer that raises"
    initialize = staticmethod(work.initializer_that_raises)
    told = "the model is not there"
    judges_errors = True
    limit = 28.0

    def wish(self, scene: Scene) -> Wish:
        return Wish(initializer=(self.initialize, (scene.path("starts"),)))

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        made = peer.deliveries(work.double, [(n,) for n in range(4)], LONG)
        count(scene, made)
        note_error(scene, made)

    def attend(self, process: Process) -> Facts:
        facts = super().attend(process)
        return {**facts, "starts": len(work.marks(Path(process.folder) / "starts"))}

    def judge(self, facts: Facts) -> Verdict:
        starts = plural(facts["starts"], "start")
        if facts["starts"] == 0:
            return Verdict("never ran", "bad")
        if facts.get("error"):  # it came out of making the pool, or of submit
            return self._told(facts["error"], facts, starts)
        if facts.get("pending"):
            return Verdict(f"no answer in {LONG:g} s, {starts}", "bad")
        if facts.get("ok"):
            return Verdict(f"ignored: {facts['ok']} of 4 ran, {starts}", "bad")
        return self._told(facts.get("error_whole", ""), facts, starts)

    def _told(self, error: str, facts: Facts, starts: str) -> Verdict:
        if facts["starts"] > 20:
            return Verdict(f"fails after {starts}", "partial")
        if self.told in error:
            return Verdict(f"fails with the reason, {starts}", "good")
        return Verdict(f"fails without the reason, {starts}", "partial")

    def judge_hang(self, facts: Facts) -> Verdict:
        return Verdict(f"hangs, {plural(facts['starts'], 'start')}", "bad")


class DeadlyInitializer(Initializer):
    """The same with an initializer that ends its process with `os._exit(97)`: good is that the tasks fail, and that
    the pool gives up after a few starts."""

    name = "init-kills"
    title = "an initializer that kills its worker"
    initialize = staticmethod(work.initializer_that_kills)
    told = ""

    def _told(self, error: str, facts: Facts, starts: str) -> Verdict:
        verdict = super()._told(error, facts, starts)
        return Verdict(verdict.text.replace("with the reason, ", "after "), verdict.grade)
