"""The words of `procession map`."""

from __future__ import annotations

from procession.cli.flags import VERSION, Command, Example, Flag, Group, Positional, general
from procession.cli.flags.kinds import at_least, between, halt, rate, seconds, size, whole, workers

FORMATS_IN = ("lines", "null", "jsonl", "csv", "tsv", "failures", "parquet", "arrow", "files", "range")
FORMATS_OUT = ("jsonl", "lines", "null", "csv", "tsv", "parquet", "arrow")
BACKENDS = ("processes", "threads", "inline")

FUNCTIONS = Group(
    "What is called",
    (
        Flag(
            "--expression",
            "call an expression over x, the item; several are stages, behind the FUNCTIONs",
            short="-e",
            metavar="EXPR",
            many=True,
            more="Names in it are Python's own, and those of --import.",
        ),
        Flag("--import", "a module that expressions use; 'MODULE as NAME' is fine", metavar="MODULE", many=True),
        Flag(
            "--kwargs",
            "give a row by the names of its fields: f(**row) instead of f(row)",
            more="With several functions, to the first.",
        ),
        Flag(
            "--setup",
            "call this once in each worker; procession.state() is what it returned",
            metavar="FUNCTION",
            completes="functions",
            more="If it returns a context manager, that is entered, and left when the worker ends in order.",
        ),
    ),
)

INPUTS = Group(
    "What comes in",
    (
        Flag(
            "--from",
            "what the INPUTs are",
            metavar="FORMAT",
            choices=FORMATS_IN,
            shown="by their names; stdin: lines",
            dest="from_",
            more="By name: .jsonl .ndjson .csv .tsv .parquet .arrow .feather are records, 1..100 is a range, and any "
            "other file is an item itself: the function is given its name.",
        ),
        Flag("--null", "items end with a NUL instead of a newline, as of find -print0", short="-0"),
        Flag("--delimiter", "what separates the fields of CSV and TSV", metavar="CHAR", shown="a comma; a tab"),
        Flag("--no-header", "CSV and TSV have no header: rows are lists"),
        Flag("--skip-bad-input", "leave out lines that cannot be read, and say at the end how many"),
        Flag("--limit", "run the first N items only", short="-n", metavar="N", kind=at_least(1)),
        Flag(
            "--shuffle",
            "run the items in random order; the same SEED gives the same order",
            metavar="SEED",
            kind=at_least(0),
            const=-1,
            more="All input is read first. With --limit it is a random choice.",
        ),
    ),
)

OUTPUTS = Group(
    "What comes out",
    (
        Flag(
            "--to",
            "how results are written",
            metavar="FORMAT",
            choices=FORMATS_OUT,
            shown="by the name of --output; else jsonl",
        ),
        Flag(
            "--output",
            "write to this file instead of stdout",
            short="-o",
            metavar="FILE",
            completes="files",
            more="It is written as FILE.partial, and renamed when it is complete.",
        ),
        Flag(
            "--out-dir",
            "write each result to a file of its own: a folder, or a template of paths",
            metavar="DIR",
            completes="folders",
            more="In a template, {stem}, {name}, {ext} and {dir} are of the item's path, {number} and {index} count "
            "from 1 and 0, and other names are fields of a row: 'out/{stem}.json'.",
        ),
        Flag("--name", "the template of the names in --out-dir", metavar="NAME", shown="{name}.out"),
        Flag("--with-item", 'write {"item": ..., "result": ...}'),
        Flag("--tag", "with --to lines: the item and a tab before each result"),
        Flag("--unordered", "write results as they come, not in the order of the input"),
    ),
)

WORKERS = Group(
    "How it runs",
    (
        Flag(
            "--workers",
            "how many run at once: N, N% of the CPUs, or auto",
            short="-j",
            metavar="N",
            kind=workers,
            shown="the CPUs",
            more="auto begins with the CPUs and adds more while items wait for something else than a CPU. With several "
            "functions, each has so many.",
        ),
        Flag("--backend", "where functions run", metavar="WHERE", choices=BACKENDS, default="processes"),
        Flag(
            "--window",
            "items that are read and not yet written, at most",
            metavar="N",
            kind=at_least(1),
            shown="as many as keep the workers busy",
        ),
        Flag(
            "--batch",
            "give a function lists of up to N items; it returns as many results",
            short="-N",
            metavar="N",
            kind=at_least(1),
        ),
        Flag(
            "--key",
            "items with the same FIELD run one at a time and in order; or an expression over x",
            metavar="FIELD",
        ),
        Flag("--rate", "start at most N items a second (also 300/m)", metavar="N", kind=rate),
        Flag("--delay", "seconds between the starts of two items: --rate 1/S", metavar="S", kind=seconds),
        Flag(
            "--memory",
            "replace a worker that takes more than this, as 2G; end what takes twice as much",
            metavar="SIZE",
            kind=size,
        ),
        Flag("--nice", "the niceness of the workers", metavar="N", kind=between(-20, 19)),
        Flag("--seed", "of the random numbers that procession.rng() gives", metavar="N", kind=whole),
    ),
)

FAILURES = Group(
    "When items fail",
    (
        Flag("--timeout", "end an item that runs for longer; it has failed (also 10m)", metavar="S", kind=seconds),
        Flag("--retries", "run a failed item up to N more times", metavar="N", kind=at_least(0)),
        Flag("--backoff", "seconds before the first retry, doubled before each further one", metavar="S", kind=seconds),
        Flag(
            "--halt",
            "end early: now,fail=1, soon,fail=10%, now,success=1, soon,done=100",
            metavar="WHEN",
            kind=halt,
            shown="never",
            more="now ends what runs; soon starts nothing more, and waits for what runs and what a worker has in hand. "
            "Items are counted in the order in which they are written.",
        ),
        Flag(
            "--failures",
            "write the items that failed to FILE, as JSONL with error and stack",
            metavar="FILE",
            completes="files",
            more="Such a file is an INPUT as well, which gives these items again, if its name ends in .jsonl or "
            "--from failures is said.",
        ),
    ),
)

JOURNAL = Group(
    "To go on after a crash",
    (
        Flag(
            "--journal",
            "keep each outcome in FILE; the same command then goes on where it was ended",
            metavar="FILE",
            completes="files",
            more="Several functions then run one after the other in the same worker.",
        ),
        Flag("--journal-force", "use a journal of another function, input or version"),
        Flag(
            "--id",
            "what an item is known by: a field of its row, or an expression over x",
            metavar="FIELD",
            shown="its place in the input",
        ),
        Flag("--retry-failed", "run the items again that the journal has as failed"),
    ),
)

SEEING = Group(
    "What is seen of it",
    (
        Flag(
            "--progress",
            "show a bar, on a terminal",
            no=True,
            shown="where stderr is a terminal, and stdout no pipe",
            more="Needs the extra procession[progress].",
        ),
        Flag("--quiet", "say nothing on stderr but why the command cannot begin or go on", short="-q"),
        Flag("--dry-run", "print what would be called with what, and end"),
        Flag(
            "--joblog",
            "write a line for each item to FILE, as GNU parallel does",
            metavar="FILE",
            completes="files",
        ),
        Flag("--report", "write a report of the run to FILE.html", metavar="FILE", completes="files"),
    ),
)

MAP = Command(
    name="map",
    summary="run a function over many items in parallel, with results in order",
    usage=("FUNCTION... [INPUT...] [OPTION...]", "-e EXPR [INPUT...] [OPTION...]", "FUNCTION... ::: ITEM..."),
    description="Calls a function of Python with each item, in several workers at once, and writes the results in the "
    "order of the items. Items are the lines of stdin, or what the INPUTs hold.",
    examples=(
        Example("Each line of stdin, as text.", "seq 1000 | procession map -e 'int(x) ** 2' > squares.jsonl"),
        Example("Each row of a CSV, as a dict; results as CSV.", "procession map jobs:score people.csv --to csv"),
        Example(
            "Each photo, which is given by its name; a result for each in a file of its own.",
            "procession map photos.py:describe 'photos/**/*.jpg' --out-dir 'out/{stem}.json'",
        ),
        Example(
            "Two functions, each with its own workers; one item goes through both.",
            "procession map a:decode b:detect 1..1000",
        ),
        Example(
            "A million items, safely: after a crash or Ctrl-C the same command goes on.",
            "procession map jobs:score items.jsonl --journal run.db -o scores.jsonl",
        ),
        Example(
            "Keep what failed, and run only that again.",
            "procession map jobs:score a.jsonl --failures bad.jsonl > out.jsonl; procession map jobs:score bad.jsonl",
        ),
        Example("Items on the command line.", "procession map -e 'x.upper()' ::: red green blue"),
    ),
    positionals=(
        Positional(
            "FUNCTION",
            "package.module:function or path/to/file.py:function; several are stages of a pipeline",
            "words",
            nargs="*",
            completes="functions",
        ),
        Positional(
            "INPUT",
            "a file of records, files or a pattern ('*.jpg') of files that are items, a range (1..100), - for stdin",
            "",
        ),
        Positional("::: ITEM...", "items, as GNU parallel has it", ""),
    ),
    groups=(FUNCTIONS, INPUTS, OUTPUTS, WORKERS, FAILURES, JOURNAL, SEEING, general(VERSION)),
    statuses=(
        ("0", "all is well, also when the reader of stdout has gone"),
        ("1", "some items failed, or input or output broke off"),
        ("2", "the command makes no sense, or a function or an input is not there"),
        ("130", "interrupted: Ctrl-C"),
        ("143", "ended by SIGTERM"),
    ),
    literals=True,
)

__all__ = ["MAP"]
