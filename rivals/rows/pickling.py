"""What must travel and cannot, and what travels by value or not at all."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from rivals import work
from rivals.peers.base import Delivery, Peer, Wish
from rivals.rows.base import PATIENCE, Process, Row, count, delivered, look_alive, note_error, said
from rivals.scene import Scene
from rivals.verdict import Facts, Verdict

VICTIM = 5


class OddException(Row):
    """One task of 10 raises an exception that pickles and cannot be rebuilt: its constructor takes other arguments than
    its `args`. Good is 9 results, a pool that takes work, and an error that has the message."""

    name = "odd-exception"
    title = "an exception that cannot be rebuilt"
    told = "status 404"

    def deliveries(self, peer: Peer) -> list[Delivery]:
        """The tasks of the row."""
        return peer.deliveries(work.raise_odd, [(n, VICTIM) for n in range(10)], PATIENCE)

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        made = self.deliveries(peer)
        count(scene, made)
        note_error(scene, made)
        look_alive(peer, scene)

    def judge(self, facts: Facts) -> Verdict:
        verdict = delivered(facts, 10)
        if facts.get("errors") and self.told not in facts.get("error_whole", ""):
            return verdict.but("the message is lost", "partial")
        return verdict

    def judge_hang(self, facts: Facts) -> Verdict:
        return self.judge(facts)


class OddResult(OddException):
    """One task of 10 returns an object that cannot be pickled: it has a lock in a dict in an attribute. Good is 9
    results and a pool that takes work; the cell says so where the error names the attribute at fault."""

    name = "odd-result"
    title = "a result that cannot be pickled"
    told = "guards"

    def deliveries(self, peer: Peer) -> list[Delivery]:
        return peer.deliveries(work.return_odd, [(n, VICTIM) for n in range(10)], PATIENCE)

    def judge(self, facts: Facts) -> Verdict:
        verdict = delivered(facts, 10)
        named = self.told in facts.get("error_text", "")
        return Verdict(verdict.text + ("; names the attribute" if named else ""), verdict.grade)


class OddArgument(OddResult):
    """One task of 10 is given such an object as argument. Good is 9 results and a pool that takes work."""

    name = "odd-argument"
    title = "an argument that cannot be pickled"

    def deliveries(self, peer: Peer) -> list[Delivery]:
        things: list[Any] = list(range(10))
        things[VICTIM] = work.Guarded()
        return peer.deliveries(work.ignore, list(enumerate(things)), PATIENCE)


class OwnFunctions(Row):
    """A script has its workers run a function of its own, a lambda, a closure, and one that takes and returns an
    instance of the script's own class. Good is that all four work, and that `isinstance` holds for what comes back."""

    name = "own-functions"
    title = "functions of `__main__`, lambdas, closures"
    script = "own_functions"

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        if home is None:
            raise TypeError("this row is of a script with functions of its own")
        point = home.Point(1)
        forms: dict[str, tuple[Any, Any, Callable[[Any], bool]]] = {
            "function": (home.function, 1, lambda value: value == 2),
            "class": (home.moved, point, lambda value: isinstance(value, home.Point) and value.x == 2),
            "lambda": (home.anonymous, 1, lambda value: value == 2),
            "closure": (home.closure(1), 1, lambda value: value == 2),
        }
        for form, (fn, argument, good) in forms.items():
            scene.note(at=form)
            made = peer.deliveries(fn, [(argument,)], PATIENCE)[0]
            works = dict(scene.facts.get("works", {}))
            works[form] = "works" if made.ok and good(made.value) else "hangs" if made.pending else said(made.error)
            scene.note(works=works)

    def judge(self, facts: Facts) -> Verdict:
        works = facts.get("works", {})
        hang = [form for form, how in works.items() if how == "hangs"]
        fail = [form for form, how in works.items() if how not in ("works", "hangs")]
        if not hang and not fail:
            return Verdict("all work", "good")
        parts = [f"no {', '.join(fail)}"] if fail else []
        parts += [f"{', '.join(hang)} hang{'s' if len(hang) == 1 else ''}"] if hang else []
        return Verdict("; ".join(parts), "bad" if hang or len(fail) == 4 else "partial")

    def judge_hang(self, facts: Facts) -> Verdict:
        return Verdict(f"hangs ({facts.get('at', 'at once')})", "bad")


class NoGuard(Row):
    """A script without `if __name__ == "__main__"` makes a pool, and has it run a function of the script. Workers are
    not forks of the program here: where that is a choice, it is "spawn", since a fork of a program with threads may
    deadlock and is no longer the default from Python 3.14 on. Good is that the script works and ran once; an error
    that ends it is partial; one that starts processes for ever is bad."""

    name = "no-guard"
    title = "a script without a main guard"
    script = "no_guard"
    limit = 15.0

    def wish(self, scene: Scene) -> Wish:
        return Wish(spawned=True)

    def attend(self, process: Process) -> Facts:
        facts = super().attend(process)
        return {**facts, "runs": len(work.marks(process.folder / "runs"))}

    def judge(self, facts: Facts) -> Verdict:
        if facts["hung"]:
            return self.judge_hang(facts)
        runs = facts["runs"]
        if facts.get("results") == [0, 2, 4, 6]:
            return Verdict("works", "good") if runs == 1 else Verdict(f"works, script ran {runs} times", "partial")
        return Verdict(f"ends with an error, script ran {runs} times", "partial")

    def judge_hang(self, facts: Facts) -> Verdict:
        if facts["runs"] > 8:
            return Verdict("starts workers for ever", "bad")
        return Verdict(f"hangs, script ran {facts['runs']} times", "bad")
