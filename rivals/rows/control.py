"""Time limits and cancelling: what can be done about a task that has been handed in."""

import time
from pathlib import Path
from types import ModuleType

from rivals import work
from rivals.peers.base import Peer, Policy, Wish
from rivals.rows.base import PATIENCE, Row, count, delivered, look_alive, note_error, wait_until
from rivals.scene import Scene
from rivals.verdict import Facts, Verdict

MANY = 10_000


class HungTask(Row):
    """20 tasks with a limit of 1 s each, one of which never ends. Good is 19 results, an error for the one within 4 s
    that says in its text where it hung, and both workers there afterwards (two tasks that wait for each other meet).
    Without the place it is partial. "No such feature" where the library has no time limit of a task."""

    name = "timeout"
    title = "a hung task and a timeout of 1 s"

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        made = peer.deliveries(work.hang_at, [(n, 3) for n in range(20)], PATIENCE, Policy(timeout=1.0))
        count(scene, made)
        note_error(scene, made)
        scene.note(fired=made[3].error is not None, after=made[3].after)
        look_alive(peer, scene)
        folder = Path(scene.path("meeting"))
        folder.mkdir()
        rows = [(str(folder), n, 2, 4.0) for n in range(2)]
        met = peer.deliveries(work.meet, rows, PATIENCE)
        scene.note(met=all(each.ok and each.value for each in met))

    def judge(self, facts: Facts) -> Verdict:
        verdict = delivered(facts, 20)
        if not facts.get("fired"):
            return Verdict("the limit has no effect", "bad")
        if facts["after"] > 4:
            verdict = verdict.but(f"only after {facts['after']:.0f} s", "partial")
        if facts.get("alive") == "lives" and not facts.get("met"):
            verdict = verdict.but("the worker is not replaced", "partial")
        if "wait_for_what_never_comes" in facts.get("error_whole", ""):
            return Verdict(f"{verdict.text}; says where", verdict.grade)
        return verdict.but("does not say where", "partial")

    def judge_hang(self, facts: Facts) -> Verdict:
        return self.judge(facts) if "fired" in facts else Verdict("hangs", "bad")


class CancelRunning(Row):
    """A task that leaves a trace every 50 ms is cancelled while it runs, in the strongest way that the library has.
    Good is that the traces end within 2 s, and that the pool takes work. A `cancel()` that says False is truthful, and
    no help."""

    name = "cancel-running"
    title = "cancel of a running task"
    minds_leftovers = False

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        path = scene.path("ticks")
        handle = peer.submit(work.tick, path)
        if not wait_until(lambda: len(work.marks(path)) >= 3, PATIENCE):
            raise RuntimeError("the task did not start")
        began = time.monotonic()
        scene.note(says=peer.cancel_running(handle))
        scene.note(stopped=_ends(path, 2.0), seconds_to_cancel=time.monotonic() - began)
        # What cannot be stopped would hold the pool's end up for a minute, which is not the question here.
        if not scene.facts["stopped"]:
            scene.leave()
        look_alive(peer, scene)

    def judge(self, facts: Facts) -> Verdict:
        if not facts["stopped"]:
            return Verdict("says True, and it runs on" if facts["says"] else "no: False", "bad")
        text = {"lives": "stopped, pool lives", "dead": "stopped, pool dead", "hangs": "stopped, pool stuck"}
        return Verdict(text[facts["alive"]], "good" if facts["alive"] == "lives" else "bad")


def _ends(path: str, seconds: float) -> bool:
    """Whether the traces stop: none for half a second, within `seconds`."""
    deadline = time.monotonic() + seconds
    seen, since = -1, time.monotonic()
    while time.monotonic() < deadline + 0.5:
        now = len(work.marks(path))
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > 0.5:
            return True
        time.sleep(0.02)
    return False


class CancelQueued(Row):
    """Both workers are busy; 10,000 tasks wait; each is cancelled. Good is that all but the few that are already on
    their way say True, in less than a second, and that none of those ran in the end. The bound of a queue is raised
    where the library has one."""

    name = "cancel-queued"
    title = "cancel of 10,000 queued tasks"
    limit = 90.0

    def wish(self, scene: Scene) -> Wish:
        return Wish(backlog=2 * MANY)

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        started = scene.path("started")
        blockers = [peer.submit(work.hold, scene.path("blocked"), scene.path("go")) for _ in range(2)]
        wait_until(lambda: len(work.marks(scene.path("blocked"))) == 2, PATIENCE)
        handles = [peer.submit(work.marked, started, n, 0) for n in range(MANY)]
        scene.note(handed_in=MANY)
        began = time.monotonic()
        said = [peer.cancel(handle) for handle in handles]
        scene.note(seconds_to_cancel=time.monotonic() - began, said=sum(said))
        Path(scene.path("go")).touch()
        for each in blockers:
            peer.take(each, PATIENCE)
        look_alive(peer, scene)
        ran = {int(word) for _, word in work.marks(started)}
        scene.note(lied=sum(n in ran for n, true in enumerate(said) if true), ran=len(ran))

    def judge(self, facts: Facts) -> Verdict:
        seconds = facts["seconds_to_cancel"]
        text = f"{facts['said']:,} in {seconds:.2g} s"
        if facts["lied"]:
            return Verdict(f"{text}, {facts['lied']} of them ran", "bad")
        if facts["alive"] != "lives":
            return Verdict(f"{text}, pool {'stuck' if facts['alive'] == 'hangs' else 'dead'}", "bad")
        return Verdict(f"{text}, none ran", "good" if seconds < 1 and facts["said"] > 0.99 * MANY else "partial")

    def judge_hang(self, facts: Facts) -> Verdict:
        return Verdict("hangs while tasks are handed in" if "handed_in" not in facts else "hangs", "bad")
