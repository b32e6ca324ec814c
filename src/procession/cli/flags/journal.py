"""The words of `procession journal`."""

from __future__ import annotations

from procession.cli.flags import Command, Example, Flag, Group, Positional, general

JOURNAL = Command(
    name="journal",
    summary="show, export and mend the journal of a run",
    usage=("FILE [OPTION...]",),
    description="Shows what a journal (of imap and SpinOff with journal=, of procession map --journal) has: what it "
    "belongs to, how many items are done, its runs, its failures. It may be looked at while a program has it; changes "
    "are refused then.",
    examples=(
        Example("Look at it.", "procession journal run.db"),
        Example("All outcomes in order, a line of JSON each.", "procession journal run.db --export results.jsonl"),
        Example("Have the next run run again what has failed.", "procession journal run.db --retry-failures"),
    ),
    positionals=(Positional("FILE", "the journal", "file", completes="files"),),
    groups=(
        Group(
            "What is shown",
            (
                Flag("--all", "all failures, not only the first ten"),
                Flag("--json", "the same as one line of JSON, with all failures"),
                Flag(
                    "--export",
                    "write the outcomes, in order, as lines of JSON; - is stdout",
                    metavar="FILE",
                    completes="files",
                    more="Each line has the item's index or id, and result, error, or (what JSON cannot hold) repr.",
                ),
            ),
        ),
        Group(
            "Changes",
            (
                Flag("--retry-failures", "forget failures, so that these items run again the next time"),
                Flag("--quarantined", "with --retry-failures: also items that killed their worker at every try"),
                Flag("--vacuum", "write the file anew, without the room of what was deleted"),
            ),
        ),
        general(),
    ),
    statuses=(
        ("0", "it was done"),
        ("1", "the file is no journal, in use or damaged; a sentence on stderr says which"),
    ),
)

__all__ = ["JOURNAL"]
