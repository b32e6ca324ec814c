"""How many workers a pool has that finds out by itself (`max_workers="auto"`): a hill climbed by what was measured.

Laws
1. There are never fewer than `start`, the CPUs, nor more than `cap`.
2. It grows only while items wait, all workers run something, and what they run waits for something else than a CPU: it
   takes less than all of the CPUs, and does not stand in line for one. Both are measured, not guessed from how long
   items take.
3. It grows towards the number that would take the CPUs whole, going by what each of those there takes; at most to twice
   as many at a time, to no more than there are items for, and not beyond what memory has room for.
4. A growth is a trial. When enough items have ended before and after it to tell, it must have brought a fifth of what
   it would bring at best: twice the workers, 1.2 times the items in a second. Else it is taken back, and a smaller one
   tried after a time, which doubles with each such failure: what they wait for is a lock, a disk, a server that gives
   no more. Items too long to have ended prove nothing; then the growth stands.
5. It shrinks when those there stand in line for the CPUs: to as many as would have them without a line, at least half.
   What runs is not disturbed: who is too many leaves after its item. Soon after a growth that counts as its failure.
6. Between changes there is time to see what came of the last one, and nothing changes for a gain of less than a
   quarter. What is measured fades in a second or so: neither one long item nor one short pause decides.
7. Threads of one interpreter have a line of their own, for its lock, which is not to be seen from outside. When they
   want one CPU together, it may be that: nothing grows then, and some are taken back to see whether the others take as
   much without them. If not, they come back, for a time that doubles.
   Where the system does not say who stands in line for a CPU, the same is done when all of the CPUs are taken.
8. When no item has waited for a while, workers that were not needed in that time are given back.
9. Where nothing can be measured nothing changes.
10. What could not be started is not asked for again at once, but after a time, which doubles.

A pure function of what it is told (`events.Measured`), like the rest of the core, of which it is a part.
"""

from __future__ import annotations

from math import ceil

from procession.core import events
from procession.core.phase import ENOUGH, RECENT_NS, Hold, Lately, Phase
from procession.core.rules import SECOND

TICK_NS = SECOND // 10
"""So often it is measured while something runs."""
SETTLE_NS = 2 * TICK_NS
"""From one change to the next, at least."""
MARGIN = 1.25
"""A change is for a gain of more than this."""
TAKEN = 0.9
"""Of the CPUs: above that there is nothing left to be had."""
WAITS = 0.15
"""The least part of their time that workers wait for something else than a CPU, for more of them to be worth trying."""
COMPUTES = 0.9
"""The part of the time not in line that those are on a CPU who do nothing but compute."""
IN_LINE = 0.08
"""The least part of their time that they stand in line for a CPU, for some to be taken back."""
SOON_NS = 2 * SECOND
"""What is taken back so soon after a growth was too much, and is not tried again at once."""
LEAST_ITEM_NS = 200_000
"""Of shorter items the parent has its hands full: what workers wait for is the next one."""
WORTH = 0.2
"""The part of what it would bring at best that a growth must bring."""
PATIENCE_NS = SECOND // 2
"""If it takes no longer to learn how fast items end, a growth waits for that, and the next one for its judgement."""
OTHER = 0.3
"""Wanting a CPU for so much more of their time, or less, workers run something else, which has not failed yet."""
LOCK = (0.8, 1.15)
"""CPUs that threads want together which wait for the interpreter's lock: who has it is on a CPU, or in line for one."""
PROBE_NS = 4 * TICK_NS
SAME = 0.93
"""Taking so much of what they took before, or more, those that were taken back are not missed."""
CALM_NS = 10 * SECOND
"""When nothing has waited for so long, what was not used is given back."""


class AutoWidth:
    """See the module. `next` is told what was measured, and answers how many workers there are to be.

    Args:
        start: the CPUs; the least, and the first.
        cap: the most.
        locked: those workers are threads of one interpreter, which lets one of them run at a time.
    """

    def __init__(self, start: int, cap: int, *, locked: bool = False) -> None:
        self.cpus = start
        self.start = self.width = min(start, cap)
        self.cap = cap
        self.locked = locked
        self.why = f"as many as there are CPUs ({start})" if start < cap else f"max_workers_cap is {cap}"
        self._now = self._changed = self._grew = 0
        self.again = False  # what could not be started is to be tried again
        self.lately = Lately()
        self._phase = Phase(self.width)
        self._before: Phase | None = None  # the trial that is on: what was before it
        self._probed: Phase | None = None  # the same, of a probe
        self._ceiling, self._then, self._hold = cap, 0.0, Hold()
        self._step = cap  # so many more at a time, at most
        self._probe_hold = Hold()
        self._start_hold: Hold | None = None  # since so many could not be started
        self._blind = True  # nobody has been seen in line yet: perhaps the system does not say
        self._calm_since: int | None = None
        self._most = 0  # that ran at once since then

    def next(self, seen: events.Measured, allowed: int, narrowed: bool = False) -> int:
        """How many there are to be now.

        `allowed`: so many may be, which is less than `width` after threads were given up; and where that many could not
        be started, which is `narrowed`.
        """
        passed = seen.now - self._now if self._now else 0
        self._now, self.again = seen.now, False
        if not self._changed:
            self._changed = seen.now - TICK_NS  # the first time: what ran before has been seen for a tick
        self.lately.add(passed, seen.run_ns, seen.cpu_ns, seen.queued_ns)
        self._blind = self._blind and not seen.queued_ns
        if passed >= RECENT_NS and not seen.run_ns:
            self._phase = Phase(self.width)  # it has rested since, and may do something else now
        if not seen.waiting:
            return self._relax(seen)
        self._calm_since = None
        if seen.running == allowed and seen.run_ns and passed and not narrowed:
            unseen = max(1.0, seen.running * passed / seen.run_ns)  # of some who run it is not known yet what they take
            self._phase.add(passed, seen.done, round(seen.cpu_ns * unseen), round(seen.queued_ns * unseen))
        if seen.running < allowed or not seen.run_ns:
            return self.width
        if narrowed:
            return self._shrunk() or self._held_narrow(allowed)
        self._start_hold = None
        return self._judged() or self._probe() or self._shrunk() or self._grown(seen) or self.width

    # -- each answers 0 when it has nothing to say -------------------------------------------------------------------

    def _judged(self) -> int:
        """Law 4: what has become of a growth."""
        before, phase = self._before, self._phase
        if before is None or not before.tells or not phase.tells:
            return 0
        self._before, self._step = None, self.cap
        best, gain = phase.width / before.width, phase.rate / before.rate
        if gain >= 1 + WORTH * (best - 1):
            self._hold.succeed()
            return 0
        self._fail(before.width)
        self._step = max(1, (phase.width - before.width) // 2)
        return self._change(
            before.width,
            f"with {phase.width} workers {phase.rate:.3g} items ended in a second, and with {before.width} "
            f"{before.rate:.3g}: what they wait for gives no more",
        )

    def _shrunk(self) -> int:
        """Law 5: those that stand in line for a CPU."""
        on_cpu, in_line = self.lately.on_cpu, self.lately.in_line
        if self.width <= self.start or not self._settled or in_line < IN_LINE:
            return 0
        rest = max(1 - in_line, on_cpu)
        alone = on_cpu / rest if rest > 0 else 1.0  # on a CPU, if there were no line
        computes = alone >= COMPUTES
        fit = self.cpus / alone if alone > 0 else float(self.cap)
        if not computes and self.width <= fit * (1 + 2 * (MARGIN - 1)):
            return 0
        count = max(self.start, 0 if computes else ceil(fit * MARGIN), self.width // 2)
        self._before = None
        if self._now - self._grew < SOON_NS:
            self._fail(count)
        return self._change(
            count,
            f"the workers computed for {on_cpu:.0%} of their time, and stood in line for the {self.cpus} CPUs "
            f"for {in_line:.0%}",
        )

    def _probe(self) -> int:
        """Law 7."""
        if not (self.locked or self._blind):
            return 0
        before, phase = self._probed, self._phase
        if before is not None:
            if phase.ns < PROBE_NS:
                return 0
            self._probed = None
            if phase.wanted < SAME * before.wanted:
                self._probe_hold.fail(self._now)
                return self._change(before.width, f"with {phase.width} workers less was done")
            self._probe_hold.succeed()
        if self.width <= self.start or phase.ns < PROBE_NS or self._now < self._probe_hold.until:
            return 0
        if self.locked and LOCK[0] <= phase.wanted <= LOCK[1]:
            said = (
                f"the threads want {phase.wanted:.2f} CPUs together, as those do that wait for the interpreter's lock"
            )
        elif self._blind and phase.load > TAKEN * self.cpus:
            said = f"the workers take {phase.load:.2f} CPUs together, and it is not known who stands in line for one"
        else:
            return 0
        count = self._change(max(self.start, self.width * 3 // 4), said)
        self._probed, self._before = phase, None
        return count

    def _grown(self, seen: events.Measured) -> int:
        """Laws 2 and 3."""
        width, on_cpu, in_line = self.width, self.lately.on_cpu, self.lately.in_line
        known = self._phase.ns >= SETTLE_NS
        load = self._phase.load if known else on_cpu * seen.running
        wanted = self._phase.wanted if known else self.lately.wanted * seen.running
        fit = self.cpus / on_cpu if on_cpu > 0 else float(self.cap)
        if load > TAKEN * self.cpus or 1 - on_cpu - in_line < WAITS or fit < MARGIN * width:
            self.why = f"the workers are on a CPU for {on_cpu:.0%} of their time, and in line for one {in_line:.0%}"
            return 0
        if self.locked and LOCK[0] <= wanted <= LOCK[1]:
            self.why = f"the threads want {wanted:.2f} CPUs together, as those do that wait for the interpreter's lock"
            return 0
        if not self._settled or self._on_trial or seen.done * LEAST_ITEM_NS > seen.run_ns:
            return 0
        count = min(
            2 * width, width + self._step, ceil(min(fit * MARGIN, self.cap)), seen.running + seen.waiting, self.cap
        )
        if self._now < self._hold.until and abs(self.lately.wanted - self._then) < OTHER:
            count = min(count, self._ceiling)
        if seen.room is not None and count > seen.running + seen.room:
            count = seen.running + seen.room
            self.why = f"there is memory for {count}"
        if count <= width:
            return 0
        if self._phase.tells or self._before is None or not self._before.tells:
            self._before = self._phase
        self._grew = self._now
        return self._change(
            count,
            f"{seen.waiting} items waited, and the workers were on a CPU for {on_cpu:.0%} of their time and in line "
            f"for one {in_line:.0%}",
        )

    def _relax(self, seen: events.Measured) -> int:
        """Law 8."""
        if self._calm_since is None:
            self._calm_since, self._most = seen.now, 0
        self._most = max(self._most, seen.running)
        if seen.now - self._calm_since < CALM_NS:
            return self.width
        self._calm_since = None
        self._before = self._probed = None
        if self._most >= self.width or self.width <= self.start:
            return self.width
        return self._change(
            max(self.start, self._most),
            f"no item has waited for {CALM_NS // SECOND} s, in which at most {self._most} workers ran at once",
        )

    def _held_narrow(self, allowed: int) -> int:
        """Law 10."""
        self.why = f"no more than {allowed} could be started"
        hold = self._start_hold
        if hold is None:
            hold = self._start_hold = Hold()
            hold.fail(self._now)
        elif self._now >= hold.until:
            hold.fail(self._now)
            self.again = True
        return self.width

    # -- the rest ----------------------------------------------------------------------------------------------------

    @property
    def _settled(self) -> bool:
        return self._now - self._changed >= SETTLE_NS

    @property
    def _on_trial(self) -> bool:
        """What has been changed, or how it is before that, is to be known before something else is changed."""
        known, phase = self._before, self._phase
        if known is None or not known.tells:
            known = phase
        elif known.lasts_ns * ENOUGH < PATIENCE_NS:
            return True
        soon = known is phase and phase.done > 0 and phase.lasts_ns * ENOUGH < PATIENCE_NS
        return self._probed is not None or (soon and not phase.tells)

    @property
    def idles_until(self) -> int | None:
        """Nothing waits: when it has to be told the time all the same, to give something back."""
        return None if self._calm_since is None or self.width <= self.start else self._calm_since + CALM_NS

    def _fail(self, count: int) -> None:
        """There was no use in having more than so many, for now."""
        self._ceiling, self._then = count, self.lately.wanted
        self._hold.fail(self._now)

    def _change(self, count: int, why: str) -> int:
        self.why = f"{self.width} before: {why}"
        self.width = count
        self._changed = self._now
        self._probed = None
        self._phase = Phase(count, self._phase.lasts_ns if self._phase.tells else 0.0)
        return count


__all__ = ["AutoWidth"]
