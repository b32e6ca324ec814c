"""What a run found: medians, spreads and ratios over its outcomes."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.cell import Kind, Outcome
from benchmarks.measures import MEASURES
from benchmarks.measures.base import Metric
from benchmarks.peers import PEERS
from benchmarks.targets import EVERY_PEER, OURS, TARGETS, Target


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

    @property
    def reached(self) -> bool | None:
        """None if nothing was measured."""
        if self.found is None:
            return None
        return self.found >= self.target.bound if self.target.how == "times" else self.found <= self.target.bound


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

    def advantage(self, measure: str, metric: Metric, kind: Kind, peer: str, rival: str) -> Spread | None:
        """How many times better `peer` is than `rival`: compared within each repetition, because noise drifts."""
        ours = self.values(measure, peer, kind, metric.key)
        theirs = self.values(measure, rival, kind, metric.key)
        pairs = [(ours[repetition], theirs[repetition]) for repetition in ours.keys() & theirs.keys()]
        if any(a <= 0 or b <= 0 for a, b in pairs):  # an overhead can be nothing, and then has no ratio
            return None
        return Spread.of(a / b if metric.higher else b / a for a, b in pairs)

    def verdict(self, target: Target, kind: Kind) -> Verdict:
        """How procession stands to `target`."""
        metric = next(m for m in MEASURES[target.measure].metrics if m.key == target.metric)
        where = (target.measure, metric, kind)
        if target.how == "value":
            value = self.spread(target.measure, OURS, kind, target.metric)
            return Verdict(target, kind, value.median if value else None)
        if target.how == "plus":
            ours = self.values(target.measure, OURS, kind, target.metric)
            theirs = self.values(target.measure, target.against, kind, target.metric)
            more = Spread.of(ours[r] - theirs[r] for r in ours.keys() & theirs.keys())
            return Verdict(target, kind, more.median if more else None, target.against)
        rivals = [target.against] if target.against != EVERY_PEER else [p for p in PEERS if p != OURS]
        found = [(s.median, rival) for rival in rivals if (s := self.advantage(*where, OURS, rival))]
        if not found:
            return Verdict(target, kind, None, target.against)
        least, rival = min(found)
        return Verdict(target, kind, least, f"{rival} (nearest of {len(found)})" if len(rivals) > 1 else rival)

    def verdicts(self, kinds: Iterable[Kind]) -> list[Verdict]:
        """All targets of the measures that were run."""
        run = {outcome.cell.measure for outcome in self.outcomes}
        return [self.verdict(t, kind) for t in TARGETS if t.measure in run for kind in kinds]
