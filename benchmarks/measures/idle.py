"""The memory of a pool that has nothing to do."""

import os
import time
from pathlib import Path
from types import ModuleType

from benchmarks.cell import Cell, Sample
from benchmarks.measures.base import WORKERS, Measure, Metric, opened, pids_of_all
from benchmarks.peers.base import Peer


class Idle(Measure):
    """Not timed: the sum of PSS (each page divided by the processes that share it) of an idle pool of two.

    Both workers are started and have run a task; then 0.3 s of quiet. Counted are this process and all its
    descendants: fork servers, zygotes and resource trackers too. Without the parent: the descendants alone, which
    flatters forks, whose shared pages the parent pays half of. The parent holds the harness as well, alike for all.
    Other Python programs on the machine share pages of the interpreter with ours and lower everybody's figures.
    """

    name = "idle"
    title = "idle pool of 2"
    metrics = (
        Metric("pss", "PSS, parent and descendants", "MiB"),
        Metric("pss_below", "PSS, descendants only", "MiB"),
        Metric("uss", "private memory, parent and descendants", "MiB"),
    )
    repetitions = 1

    def run(self, peer: Peer, work: ModuleType, cell: Cell) -> Sample:
        with opened(peer):
            pids = pids_of_all(peer, work, WORKERS)
            time.sleep(0.3)
            below = descendants(os.getpid())
            if not pids <= below:
                raise AssertionError(f"the workers {pids} are not among our descendants {below}")
            own, others = memory({os.getpid()}), memory(below)
        values = {
            "pss": own["Pss"] + others["Pss"],
            "pss_below": others["Pss"],
            "uss": own["Private"] + others["Private"],
        }
        return Sample(values, {"processes": 1 + len(below)})


def descendants(pid: int) -> set[int]:
    """All processes below `pid`."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:  # it ended while we looked
                continue
            # The name, in parentheses, may hold anything; behind it come the state and the parent.
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    look = [pid]
    while look:
        new = children.get(look.pop(), [])
        found.update(new)
        look.extend(new)
    return found


def memory(pids: set[int]) -> dict[str, float]:
    """The summed Pss and private memory of `pids`, in MiB."""
    total = {"Pss": 0.0, "Private": 0.0}
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            key, _, rest = line.partition(":")
            if key in ("Pss", "Private_Clean", "Private_Dirty"):
                total[key.partition("_")[0]] += int(rest.split()[0]) / 1024
    return total
