"""What the verdict says of programs with known faults: `python -m benchmarks.verdicts [NAME ...]`.

Each runs in a process of its own, under `procession.trace`. Prints a table in Markdown, and on stderr each verdict in
full; ends with 1 if a fault was not found, or one was found in the program that has none.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.faulty import PROGRAMS


def run(name: str) -> None:
    """In the child: one program, and its verdict in full."""
    from procession import trace
    from procession.observe.verdict import verdict

    with trace(None) as tracing:
        PROGRAMS[name].run()
    said = verdict(tracing.recording)
    print(said)
    told = [f"{said.numbers['speedup']:.2g}", f"{said.numbers['limit']:.2g}"]
    told += [f"{each.fault}\x1e{each.severity}\x1e{each.title}" for each in said.findings]
    print("\x1f".join(["", *told]))


def tried(name: str) -> tuple[list[str], str, bool]:
    """The cells of a row, the whole verdict, and whether it is right."""
    program = PROGRAMS[name]
    child = [sys.executable, "-m", "benchmarks.verdicts", "--one", name]
    text, _, told = subprocess.run(child, check=True, capture_output=True, text=True).stdout.rpartition("\n\x1f")
    speedup, limit, *findings = told.strip("\n").split("\x1f")
    found = [finding.split("\x1e") for finding in findings]
    faults = [fault for fault, severity, _ in found if severity != "note"]
    right = program.fault in faults if program.fault else not faults
    said = "; ".join(title for _, _, title in found) or "nothing to mend"
    return [name, program.what, f"{speedup} of {limit}", said if right else f"**{said}**"], text, right


def main(names: list[str]) -> int:
    if names[:1] == ["--one"]:
        run(names[1])
        return 0
    rows, wrong = [], 0
    for name in names or PROGRAMS:
        cells, text, right = tried(name)
        rows.append(cells)
        wrong += not right
        print(f"== {name}\n{text}\n", file=sys.stderr)
    print("| program | what it does | times as fast, of | what the verdict said |\n| --- | --- | --- | --- |")
    for cells in rows:
        print(f"| {' | '.join(cells)} |")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
