"""The speed that procession promises, in one place. Each holds for every kind of function that its measure runs.

`how` reads:
  "times"   the advantage over `against` (for a rate ours/theirs, for a time theirs/ours) is at least `bound`
  "within"  ours is at most `bound` times that of `against`
  "plus"    ours is at most that of `against` plus `bound`
  "value"   ours is at most `bound`, whatever the others do

`against` is a peer, a control, or every peer: all that take part except procession in either mode and what is a
control there. Where `theirs` is given, the rival's figure is that metric, and `metric` for a rival that has not got
it: the best chunk size of those that have one.
"""

from dataclasses import dataclass
from typing import Literal

OURS = "procession"
PURE = "procession-pure"
EVERY_PEER = "every peer"

How = Literal["times", "within", "plus", "value"]


@dataclass(frozen=True)
class Target:
    """A bound on one metric of procession, in the mode that `peer` names."""

    measure: str
    metric: str
    how: How
    bound: float
    against: str = ""
    theirs: str = ""
    peer: str = OURS


ACCELERATED = (
    Target("submit_result", "rate", "times", 150.0, "ppe"),
    Target("submit_result", "rate", "times", 50.0, EVERY_PEER),
    Target("submit_result", "parent_cpu", "times", 40.0, "ppe"),
    Target("submit_wait", "rate", "times", 60.0, "ppe"),
    Target("roundtrip", "hot_p50", "times", 20.0, "ppe"),
    Target("roundtrip", "hot_p99", "times", 5.0, "ppe"),
    Target("roundtrip", "hot_p50", "within", 1.5, "raw-pipe"),
    Target("roundtrip", "hot_p99", "within", 1.5, "raw-pipe"),
    Target("roundtrip", "cold_p50", "times", 3.0, "ppe"),
    Target("roundtrip_busy", "p50", "times", 20.0, "ppe"),
    Target("map", "rate", "times", 1.0, "mp-pool", theirs="best_rate"),
    Target("map_skewed", "seconds", "times", 1.0, EVERY_PEER, theirs="best_seconds"),
    Target("map_mixed", "seconds", "times", 1.0, EVERY_PEER, theirs="best_seconds"),
    Target("stream_stragglers", "seconds", "times", 1.0, EVERY_PEER, theirs="best_seconds"),
    Target("stream_memory", "peak", "value", 32.0),
    Target("spinoff_small", "rate", "times", 8.0, "hand-written"),
    Target("spinoff_small", "rate", "times", 1.0, "faster-fifo"),
    Target("spinoff_large", "rate", "times", 8.0, "hand-written"),
    Target("spinoff_large", "rate", "times", 1.0, "faster-fifo"),
    *(Target("array_64mb", way, "within", 1.8, "memcpy") for way in ("argument", "result", "both")),
    *(Target("array_64mb", way, "times", 25.0, "ppe") for way in ("argument", "result", "both")),
    *(Target("array_1mb", way, "times", 10.0, "ppe") for way in ("argument", "result", "both")),
    *(Target("array_arena", size, "value", 0.3) for size in ("argument_1", "argument_64", "argument_512", "result_64")),
    Target("startup", "first", "times", 1.0, "ppe"),
    Target("startup", "wall", "times", 1.0, "ppe"),
    Target("imports", "package", "value", 25.0),
)
"""What the C extension and the arena are for."""

FOUNDATION = (
    Target("submit_result", "rate", "times", 20.0, "ppe", peer=PURE),
    Target("submit_wait", "rate", "times", 8.0, "ppe", peer=PURE),
    Target("roundtrip", "hot_p50", "times", 2.5, "ppe", peer=PURE),
    Target("roundtrip", "hot_p50", "times", 1.0, EVERY_PEER, peer=PURE),
    Target("map", "rate", "times", 50.0, "ppe", peer=PURE),
    Target("map", "rate", "times", 0.2, "mp-pool", peer=PURE),
    Target("map_skewed", "over_ideal", "value", 1.15, peer=PURE),
    Target("spinoff_small", "rate", "times", 1.5, "hand-written", peer=PURE),
    Target("startup", "wall", "times", 1.0, "ppe-forkserver", peer=PURE),
    Target("idle", "pss", "plus", 5.0, "ppe-forkserver", peer=PURE),
    Target("reference", "overhead", "value", 150.0, peer=PURE),
)
"""What holds on any machine, without a compiler."""

BOTH = (
    Target("map_skewed", "over_ideal", "value", 1.15),
    Target("idle", "pss", "plus", 5.0, "ppe-forkserver"),
    Target("reference", "overhead", "value", 150.0),
)
"""What the foundation promises, no faster target implies, and speed must not cost."""

TARGETS = ACCELERATED + BOTH + FOUNDATION
