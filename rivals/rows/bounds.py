"""Memory that must stay bounded, and tasks that must run at once."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from rivals import work
from rivals.peers.base import Peer, Wish
from rivals.rows.base import PATIENCE, Row, count, plural
from rivals.scene import Scene
from rivals.verdict import Facts, Verdict

ENOUGH = 100_000
BOUND = 10_000
LIMIT = 300 * 2**20
LEAK_MB = 60
TASKS = 24


class Endless(Row):
    """The laziest map that the library has reads an endless generator; the consumer takes 10 results and stalls for
    2 seconds. Good is that no more than 10,000 items are ever pulled. 100,000 items end the probe: without a bound."""

    name = "endless"
    title = "endless input, a consumer that stalls"
    closes = False
    minds_leftovers = False

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        pulled = 0

        def numbers() -> Iterator[int]:
            nonlocal pulled
            while True:
                pulled += 1
                if pulled % 1000 == 0:
                    scene.note(pulled=pulled)
                if pulled == ENOUGH:
                    scene.leave()
                yield pulled

        results = peer.stream(work.double, numbers())
        for taken in range(1, 11):
            next(results)
            scene.note(taken=taken)
        time.sleep(2)
        scene.note(pulled=pulled)
        scene.leave()

    def judge(self, facts: Facts) -> Verdict:
        pulled, first = facts["pulled"], "" if facts.get("taken") else ", no result until its end"
        if pulled >= ENOUGH:
            return Verdict(f"pulls without bound{first}", "bad")
        return Verdict(f"{pulled:,} items pulled", "good" if pulled <= BOUND else "bad")

    def judge_hang(self, facts: Facts) -> Verdict:
        return Verdict(f"no result; {facts.get('pulled', 0):,} items pulled when the time was up", "bad")


class Barrier(Row):
    """4 workers; 200 cheap tasks, and right behind them 4 that wait for each other; then 4 such items of a map. Good
    is that all of them meet: no task waits behind a running one while a worker idles."""

    name = "barrier"
    title = "4 tasks that wait for each other on 4 workers"
    limit = 40.0

    def wish(self, scene: Scene) -> Wish:
        return Wish(workers=4)

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        for place in ("cheap", "tasks", "items"):
            Path(scene.path(place)).mkdir()
        cheap = [(scene.path("cheap"), n, 0, 0.0) for n in range(200)]
        meeting = [(scene.path("tasks"), n, 4, 4.0) for n in range(4)]
        made = peer.deliveries(work.meet, cheap + meeting, PATIENCE)
        scene.note(tasks=sum(bool(each.value) for each in made[-4:]))
        count(scene, made)
        scene.note(items=sum(peer.map(work.meet_in, [(scene.path("items"), n) for n in range(4)])))

    def judge(self, facts: Facts) -> Verdict:
        tasks, items = facts.get("tasks"), facts.get("items")
        if facts.get("pending"):
            return Verdict(f"{plural(facts['pending'], 'task')} without an end", "bad")
        if tasks == items == 4:
            return Verdict("all meet", "good")
        missed = [what for what, met in (("tasks", tasks), ("items of a map", items)) if met != 4]
        return Verdict(f"{' and '.join(missed)} do not meet", "partial" if len(missed) == 1 else "bad")


class Recycling(Row):
    """24 tasks that leak 60 MB each on 2 workers, whose memory is limited to 300 MB where that can be said. (loky and
    joblib have a bound of their own, 300 MB above a worker's start.) Good is that all 24 have results, that leaking
    workers were replaced, and that none of them held more than 600 MB."""

    name = "memory"
    title = "workers that leak memory"
    limit = 40.0

    def wish(self, scene: Scene) -> Wish:
        return Wish(max_memory=LIMIT)

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        made = peer.deliveries(work.leak, [(n, LEAK_MB) for n in range(TASKS)], 25)
        count(scene, made)
        held = [each.value for each in made if each.ok]
        scene.note(workers=len({pid for pid, _ in held}), peak=max((megabytes for _, megabytes in held), default=0))

    def judge(self, facts: Facts) -> Verdict:
        text = f"{facts['ok']} of {TASKS} ok, {facts['workers']} workers, at most {facts['peak']} MB"
        if facts["pending"] or facts["ok"] < TASKS:
            return Verdict(text, "bad")
        replaced = facts["workers"] > 2
        return Verdict(text, "good" if replaced and facts["peak"] <= 600 else "partial" if replaced else "bad")
