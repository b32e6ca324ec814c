"""What runs inside the fresh process of one cell: one measure, one peer, one kind of function, once."""

import json
import sys
from pathlib import Path
from types import ModuleType

from benchmarks.cell import Cell, NotAvailable
from benchmarks.growth.measures import GROWTH
from benchmarks.measures import MEASURES
from benchmarks.peers import PEERS

HOME = {"import": "benchmarks.workloads", "main": "__main__"}


def main(work: ModuleType) -> None:
    """Run the cell named on the command line on the functions in `work`; leave the sample where it says."""
    cell = Cell.from_json(sys.argv[1])
    home = work.noop.__module__
    if home != HOME[cell.kind]:
        raise AssertionError(f"a {cell.kind!r} cell got functions of {home}")
    found: dict[str, object]
    try:
        sample = (MEASURES | GROWTH)[cell.measure].run(PEERS[cell.peer](), work, cell)
        found = {"values": sample.values, "facts": sample.facts}
    except NotAvailable as lack:
        found = {"not available": str(lack)}
    # Written whole or not at all: a process killed in mid-write must not look like a result.
    partial = Path(cell.out + ".partial")
    partial.write_text(json.dumps(found))
    partial.rename(cell.out)
