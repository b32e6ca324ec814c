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
        if words.command == "top":
            from procession.cli.top import top, web

            if words.web:
                if words.once or words.json or words.interval is not None:
                    parser().error("--web goes with PID and --port only")
                return web(words.pid, words.port or 0)
            if words.port is not None:
                parser().error("--port is the port of --web")
            return top(words.pid, once=words.once, as_json=words.json, interval=words.interval)
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
    _add_top(commands)
    return top


def _add_top(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    look = commands.add_parser(
        "top",
        help="look at a program that runs: pools, workers, tasks, errors",
        description="Shows what a running program of yours does with procession; dumps stacks, resizes pools, "
        "drains or kills workers when you press a key (? shows which). The screen needs the extra procession[top]; "
        "--once and --json do not, and are what is done where there is no terminal. With --web all of it is shown in a "
        "browser; that needs the extra procession[dashboard]. Ends with status 1 when the program has ended, or "
        "refuses.",
    )
    look.add_argument(
        "pid", nargs="?", type=_pid, metavar="PID", help="the program; if not said, the only one, or a choice"
    )
    look.add_argument("--once", action="store_true", help="print one screen as text, and end")
    look.add_argument(
        "--json", action="store_true", help="print what there is to be seen as JSON; a line for each program"
    )
    look.add_argument(
        "--interval", type=_seconds, metavar="S", help="seconds between two looks (1); with --json: go on, a line each"
    )
    look.add_argument(
        "--web", action="store_true", help="print an address at which a browser shows it, and serve until the end"
    )
    look.add_argument("--port", type=_port, metavar="N", help="with --web: the port at 127.0.0.1 (any that is free)")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port has a number from 0 (any that is free) to 65535; got {text!r}")
    return int(text)


def _pid(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a process has a number from 1 on; got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"from 0.1 to 3600 seconds; got {text!r}")
    return seconds
