"""What a run found: medians, spreads and ratios over its outcomes."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.cell import Kind, Outcome
from benchmarks.measures import MEASURES
from benchmarks.measures.base import Metric
from benchmarks.peers import PEERS
from benchmarks.targets import EVERY_PEER, OURS, PURE, TARGETS, Target


@dataclass(frozen=True)
class Spread:
    """The median of some values, and their range."""

    median: float
    low: float
    high: float
    count: int

    @staticmethod
    def of(values: Iterable[float]) -> "Spread | None":
        """None if there is nothing."""
        found = list(values)
        return Spread(statistics.median(found), min(found), max(found), len(found)) if found else None


@dataclass(frozen=True)
class Verdict:
    """Whether a target is reached with one kind of function; `found` is None if nothing was measured."""

    target: Target
    kind: Kind
    found: float | None
    rival: str = ""
    lack: str = ""
    """Why nothing was measured, if the library has not got it."""

    @property
    def reached(self) -> bool | None:
        """None if nothing was measured."""
        if self.found is None:
            return None
        return self.found >= self.target.bound if self.target.how == "times" else self.found <= self.target.bound


def rivals(measure: str) -> list[str]:
    """The peers that "every peer" means in `measure`: neither ourselves nor what only shows the machine's limits."""
    return [
        name
        for name, peer in PEERS.items()
        if name not in (OURS, PURE) and MEASURES[measure].takes(peer) and measure not in peer.controls
    ]


class Results:
    """The outcomes of a run, and the questions one asks of them."""

    def __init__(self, outcomes: Iterable[Outcome]) -> None:
        self.outcomes = list(outcomes)
        self._by_place: dict[tuple[str, str, Kind], list[Outcome]] = {}
        for outcome in self.outcomes:
            cell = outcome.cell
            self._by_place.setdefault((cell.measure, cell.peer, cell.kind), []).append(outcome)

    def at(self, measure: str, peer: str, kind: Kind) -> list[Outcome]:
        """The repetitions of one place of the table."""
        return self._by_place.get((measure, peer, kind), [])

    def values(self, measure: str, peer: str, kind: Kind, metric: str) -> dict[int, float]:
        """Repetition -> value."""
        return {
            outcome.cell.repetition: outcome.sample.values[metric]
            for outcome in self.at(measure, peer, kind)
            if outcome.sample and metric in outcome.sample.values
        }

    def spread(self, measure: str, peer: str, kind: Kind, metric: str) -> Spread | None:
        """Over the repetitions."""
        return Spread.of(self.values(measure, peer, kind, metric).values())

    def pairs(self, target: Target, kind: Kind, rival: str) -> list[tuple[float, float]]:
        """(ours, theirs) of each repetition that has both: compared within it, because noise drifts."""
        ours = self.values(target.measure, target.peer, kind, target.metric)
        theirs = self.values(target.measure, rival, kind, target.theirs or target.metric)
        theirs = theirs or self.values(target.measure, rival, kind, target.metric)
        return [(ours[repetition], theirs[repetition]) for repetition in sorted(ours.keys() & theirs.keys())]

    def advantage(self, measure: str, metric: Metric, kind: Kind, peer: str, rival: str) -> Spread | None:
        """How many times better `peer` is than `rival`."""
        return times_better(metric, self.pairs(Target(measure, metric.key, "times", 0.0, peer=peer), kind, rival))

    def verdict(self, target: Target, kind: Kind) -> Verdict:
        """How procession stands to `target`."""
        if target.how == "value":
            value = self.spread(target.measure, target.peer, kind, target.metric)
            return Verdict(target, kind, value.median if value else None, lack=self._lack(target, kind))
        if target.how in ("plus", "within"):
            pairs = self.pairs(target, kind, target.against)
            more = Spread.of(ours - theirs if target.how == "plus" else ours / theirs for ours, theirs in pairs)
            found = more.median if more else None
            return Verdict(target, kind, found, target.against, self._lack(target, kind))
        metric = next(each for each in MEASURES[target.measure].metrics if each.key == target.metric)
        against = rivals(target.measure) if target.against == EVERY_PEER else [target.against]
        ratios = [(s.median, r) for r in against if (s := times_better(metric, self.pairs(target, kind, r)))]
        if not ratios:
            return Verdict(target, kind, None, target.against, self._lack(target, kind))
        least, rival = min(ratios)
        return Verdict(target, kind, least, f"{rival} (nearest of {len(ratios)})" if len(against) > 1 else rival)

    def _lack(self, target: Target, kind: Kind) -> str:
        reasons = [o.reason for o in self.at(target.measure, target.peer, kind) if o.status == "not available"]
        return reasons[-1] if reasons else ""

    def verdicts(self, kinds: Iterable[Kind]) -> list[Verdict]:
        """All targets of the measures that were run."""
        run = {outcome.cell.measure for outcome in self.outcomes}
        asked = list(kinds)
        return [
            self.verdict(target, kind)
            for target in TARGETS
            if target.measure in run
            for kind in asked
            if kind in MEASURES[target.measure].kinds
        ]


def times_better(metric: Metric, pairs: Iterable[tuple[float, float]]) -> Spread | None:
    """How many times better the first of each pair is."""
    found = list(pairs)
    if any(a <= 0 or b <= 0 for a, b in found):  # an overhead can be nothing, and then has no ratio
        return None
    return Spread.of(a / b if metric.higher else b / a for a, b in found)
