"""What the verdict says of programs with known faults: `python -m benchmarks.verdicts [NAME ...]`.

Each runs in a process of its own, under `procession.trace`. Prints a table in Markdown, and on stderr each verdict in
full; ends with 1 if a fault was not found, or one was found in the program that has none.
"""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.faulty import PROGRAMS


def run(name: str) -> None:
    """In the child: one program, and its verdict in full."""
    from procession import trace
    from procession.seeing.verdict import verdict

    with trace(None) as tracing:
        PROGRAMS[name].run()
    said = verdict(tracing.recording)
    print(f"{said}\n\f{json.dumps([finding._asdict() for finding in said.findings])}")


def tried(name: str) -> tuple[str, str, bool]:
    """A row of the table, the whole verdict, and whether it is right."""
    program = PROGRAMS[name]
    child = [sys.executable, "-m", "benchmarks.verdicts", "--one", name]
    text, _, told = subprocess.run(child, check=True, capture_output=True, text=True).stdout.rpartition("\n\f")
    findings = json.loads(told)
    meant = [each for each in findings if each["fault"] == program.fault]
    right = bool(meant) if program.fault else all(each["severity"] == "note" for each in findings)
    said = [f"**{each['title']}.** {each['text']}" for each in meant]
    rest = "; ".join(each["title"].lower() for each in findings if each not in meant)
    said += [f"{'Besides' if meant else 'Only'}: {rest}."] if rest else []
    cells = (name, program.what, " ".join(said) or "Nothing to mend.")
    return f"| {' | '.join(cells)} |", text, right


def main(names: list[str]) -> int:
    if names[:1] == ["--one"]:
        run(names[1])
        return 0
    rows, wrong = [], []
    for name in names or PROGRAMS:
        row, text, right = tried(name)
        rows.append(row)
        if not right:
            wrong.append(name)
        print(f"== {name}\n{text}\n", file=sys.stderr)
    print("| program | what it does | what the verdict said |\n| --- | --- | --- |", *rows, sep="\n")
    if wrong:
        print(f"not found: {', '.join(wrong)}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
