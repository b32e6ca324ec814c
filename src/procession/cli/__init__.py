"""The command line: `procession`.

Importing this loads nothing but argparse, so that --help answers at once; a command loads what it needs.
"""

import argparse
import sys
from collections.abc import Sequence

from procession._version import __version__

INTERRUPTED = 130  # as a shell counts an end by SIGINT
PARTS = ("reference", "stdlib")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (that of the process, if None) and return the exit status.

    Raises SystemExit as argparse does: for --help, for --version, and with status 2 for words that it does not know.
    """
    words = parser().parse_args(argv)
    try:
        if words.command == "report":
            from procession.cli.report import report

            return report(words.recording, words.output, show=words.open)
        from procession.cli.demo import demo

        return demo(words.part, quick=words.quick)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """The words that the command line understands."""
    top = argparse.ArgumentParser(
        prog="procession", description="Pools and FIFO spin-offs over processes or threads, with results in order."
    )
    top.add_argument("--version", action="version", version=f"procession {__version__}")
    commands = top.add_subparsers(dest="command", metavar="command", required=True)
    demo = commands.add_parser(
        "demo",
        help="show what the library does: a drawn workload, and a real job",
        description="Runs the reference workload on a pool and on spin-offs and draws who ran what when; then measures "
        "the complexity of Python's standard library, in sequence and in parallel, and compares. Ends with status 0 if "
        "all that was compared agrees, and with 1 if not. Needs the extra procession[progress].",
    )
    demo.add_argument("--part", choices=PARTS, help="only this part")
    demo.add_argument("--quick", action="store_true", help="a tenth of the seconds, and every tenth file")
    report = commands.add_parser(
        "report",
        help="make a page of a recording: timeline, charts, failures",
        description="Makes a page of HTML of what procession.trace has recorded, and prints where it is. The page "
        "needs no network and no other file. Ends with status 1, and says why, if the recording cannot be read or the "
        "page not be written.",
    )
    report.add_argument("recording", help="what procession.trace has written: run.json or run.json.gz")
    report.add_argument(
        "-o", "--output", metavar="FILE", help="where the page goes; run.html beside run.json, if not said"
    )
    report.add_argument("--open", action="store_true", help="open it in the browser")
    return top
