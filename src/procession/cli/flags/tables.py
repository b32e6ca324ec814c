"""The commands of `procession`, and the words of all but `map` and `journal`, which have tables of their own."""

from __future__ import annotations

from procession.cli.flags import Command, Example, Flag, Group, Positional, general
from procession.cli.flags.journal import JOURNAL
from procession.cli.flags.kinds import interval, pid, port
from procession.cli.flags.mapping import MAP

PARTS = ("reference", "stdlib")
SHELLS = ("bash", "zsh", "fish")

DEMO = Command(
    name="demo",
    summary="show what the library does: a drawn workload, and a real job",
    usage=("[OPTION...]",),
    description="Runs the reference workload on a pool and on spin-offs and draws who ran what when; then measures "
    "the complexity of Python's standard library, in sequence and in parallel, and compares. Needs the extra "
    "procession[progress].",
    examples=(
        Example("All of it.", "procession demo"),
        Example("A short look at the first part.", "procession demo --quick --part reference"),
    ),
    groups=(
        Group(
            "What is shown",
            (
                Flag("--part", "only this part", metavar="PART", choices=PARTS),
                Flag("--quick", "a tenth of the seconds, and every tenth file"),
            ),
        ),
        general(),
    ),
    statuses=(("0", "all that was compared agrees"), ("1", "something does not"), ("2", "it cannot run at all")),
)

REPORT = Command(
    name="report",
    summary="make a page of a recording: timeline, charts, failures",
    usage=("RECORDING [OPTION...]",),
    description="Makes a page of HTML of what procession.trace has recorded, and prints where it is. The page needs no "
    "network and no other file.",
    examples=(
        Example("Make run.html beside run.json.", "procession report run.json"),
        Example("Make it somewhere else, and look at it.", "procession report run.json -o /tmp/run.html --open"),
    ),
    positionals=(
        Positional(
            "RECORDING",
            "what procession.trace has written: run.json or run.json.gz",
            "recording",
            completes="files",
        ),
    ),
    groups=(
        Group(
            "The page",
            (
                Flag(
                    "--output",
                    "where the page goes",
                    short="-o",
                    metavar="FILE",
                    shown="run.html beside run.json",
                    completes="files",
                ),
                Flag("--open", "open it in the browser"),
            ),
        ),
        general(),
    ),
    statuses=(("0", "the page is there"), ("1", "the recording cannot be read, or the page not be written")),
)

TOP = Command(
    name="top",
    summary="look at a program that runs: pools, workers, tasks, errors",
    usage=("[PID] [OPTION...]",),
    description="Shows what a running program of yours does with procession; dumps stacks, resizes pools, drains or "
    "kills workers when you press a key (? shows which). The screen needs the extra procession[top]; --once and "
    "--json do not, and are what is done where there is no terminal. With --web all of it is shown in a browser; that "
    "needs the extra procession[dashboard].",
    examples=(
        Example("Look at the program that runs; choose if there are several.", "procession top"),
        Example("One screen as text, of one program.", "procession top 4711 --once"),
        Example("A line of JSON every five seconds, for other programs.", "procession top 4711 --json --interval 5"),
        Example("In a browser.", "procession top 4711 --web"),
    ),
    positionals=(Positional("PID", "the program; if not said, the only one, or a choice", "pid", nargs="?", kind=pid),),
    groups=(
        Group(
            "How it is shown",
            (
                Flag("--once", "print one screen as text, and end"),
                Flag("--json", "print what there is to be seen as JSON; a line for each program"),
                Flag(
                    "--interval",
                    "seconds between two looks; with --json: go on, a line each",
                    metavar="S",
                    kind=interval,
                    shown="1",
                ),
            ),
        ),
        Group(
            "In a browser",
            (
                Flag("--web", "print an address at which a browser shows it, and serve until the end"),
                Flag("--port", "with --web: the port at 127.0.0.1", metavar="N", kind=port, shown="any that is free"),
            ),
        ),
        general(),
    ),
    statuses=(("0", "it was shown"), ("1", "the program has ended, or refuses")),
)

COMPLETION = Command(
    name="completion",
    summary="print what makes your shell complete this command's words",
    usage=("SHELL",),
    description="Prints a script for your shell that completes commands, options, values, modules and functions. It "
    "finds functions by reading source files; nothing of yours is imported.",
    examples=(
        Example("bash: for you, from the next shell on.", "procession completion bash >> ~/.bashrc"),
        Example("zsh: into a folder of $fpath.", 'procession completion zsh > "${fpath[1]}/_procession"'),
        Example("fish.", "procession completion fish > ~/.config/fish/completions/procession.fish"),
    ),
    positionals=(Positional("SHELL", "bash, zsh or fish", "shell", nargs="?", choices=SHELLS),),
    groups=(
        Group(
            "For the scripts",
            (Flag("--for", "print the modules and functions that TEXT may become", metavar="TEXT", dest="text"),),
        ),
        general(),
    ),
)

MAN = Command(
    name="man",
    summary="print the manual page",
    usage=("",),
    description="Prints the manual page, all commands and options, in the format of man (roff).",
    examples=(
        Example("Read it.", "procession man | man -l -"),
        Example("Have `man procession` find it.", "procession man > ~/.local/share/man/man1/procession.1"),
    ),
    groups=(general(),),
)


def commands() -> tuple[Command, ...]:
    """All commands, in the order in which they are shown."""
    return (MAP, JOURNAL, TOP, REPORT, DEMO, COMPLETION, MAN)


def command(name: str) -> Command | None:
    """The one of this name."""
    return next((each for each in commands() if each.name == name), None)


__all__ = ["commands", "command"]
