"""The workload from which the project began."""

import time
from types import ModuleType

from benchmarks.cell import Cell, Sample
from benchmarks.measures.base import Measure, Metric, check, opened
from benchmarks.peers.base import Peer

LONGEST = 4.0


class Reference(Measure):
    """Timed: from before the pool of 8 is opened until the last result is there, less the 4.0 s of the longest item.

    The loop looks at 1..30; multiples of three qualify; the work on 9 takes 4 s, that on the others 1 s (sleeping). A
    pool of 8 that starts the third item at once ends in 4 s. Not all peers and kinds of function take part:
    each run costs over 4 s.
    """

    name = "reference"
    title = "reference workload, pool of 8"
    metrics = (Metric("overhead", "wall time less the 4.0 s of the longest item", "ms"),)
    repetitions = 2
    kinds = ("import",)
    peers = ("ppe", "mp-pool", "procession-pure", "procession")

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        items = [x for x in range(1, 31) if x % 3 == 0]
        began = time.perf_counter()
        with opened(peer, workers=8):
            got = peer.submit_each(work.reference, items)
            seconds = time.perf_counter() - began
        check(got, items)
        return Sample({"overhead": (seconds - LONGEST) * 1e3}, {"n": len(items)})
