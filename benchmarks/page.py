"""docs/benchmarks.md: what stands between its two comments is written by a run, and the rest by people."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import glance, in_markdown
from benchmarks.results import Results

MADE = re.compile(r"(<!-- made by `make bench`: begin -->\n).*?(\n<!-- made by `make bench`: end -->)", re.S)


def check(page: Path) -> None:
    """Raise ValueError for a file that has no room for the table, before anything is measured."""
    if not MADE.search(page.read_text()):
        raise ValueError(f"{page} has not the two comments between which the table is written")


def write(page: Path, results: Results, facts: dict[str, Any], doubts: Sequence[str]) -> None:
    """Put this run in the place of the last one."""
    table = in_markdown(glance(results)).partition("\n\n")[2]
    text = "\n\n".join([table, "\n".join(f"* {line}" for line in _facts(facts, doubts))])
    page.write_text(MADE.sub(lambda found: f"{found[1]}\n{text}\n{found[2]}", page.read_text()))


def _facts(facts: dict[str, Any], doubts: Sequence[str]) -> list[str]:
    """What a reader must know of the run. Which machine it was is not said: only ratios within a run mean something."""
    cores = f"{facts['cores_usable']} cores, shared; load average {facts['load_average'][0]} at its start"
    ran = f"repetitions: {facts['repetitions']}, in {facts['seconds']} s; the figures are medians"
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items() if version != "stdlib")
    modes = [f"{name}: {said}" for name, said in facts["modes"].items()]
    return [
        f"{facts['date']}, {facts['python']}; {cores}; {ran}.",
        *modes,
        f"Versions: {versions}.",
        *(f"Doubt: {doubt}" for doubt in doubts),
    ]
