"""The speed that procession promises, in one place. Each holds for the importable and for the `__main__` function.

`how` reads:
  "times"   the advantage over `against` (for a rate ours/theirs, for a time theirs/ours) is at least `bound`
  "plus"    ours is at most that of `against` plus `bound`
  "value"   ours is at most `bound`, whatever the others do
"""

from dataclasses import dataclass
from typing import Literal

OURS = "procession"
EVERY_PEER = "every peer"


@dataclass(frozen=True)
class Target:
    """A bound on one metric of procession."""

    measure: str
    metric: str
    how: Literal["times", "plus", "value"]
    bound: float
    against: str = ""


TARGETS = (
    Target("submit_result", "rate", "times", 20.0, "ppe"),
    Target("submit_wait", "rate", "times", 8.0, "ppe"),
    Target("roundtrip", "hot_p50", "times", 2.5, "ppe"),
    Target("roundtrip", "hot_p50", "times", 1.0, EVERY_PEER),
    Target("map", "rate", "times", 50.0, "ppe"),
    Target("map", "rate", "times", 0.2, "mp-pool"),
    Target("map_skewed", "over_ideal", "value", 1.15),
    Target("spinoff_small", "rate", "times", 1.5, "hand-written"),
    Target("startup", "wall", "times", 1.0, "ppe-forkserver"),
    Target("idle", "pss", "plus", 5.0, "ppe-forkserver"),
    Target("reference", "overhead", "value", 150.0),
)
