"""The command line: `procession`.

Its words are data (`flags/`), of which the parser, the help, the completion and the manual are made. Importing this
loads nothing; --help loads the words alone, and a command what it needs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from argparse import Namespace

INTERRUPTED = 130  # as a shell counts an end by SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (that of the process, if None) and return the exit status.

    Raises SystemExit for --help, for --version, and with status 2 for words that it does not know.
    """
    from procession.cli.flags.parsing import parse
    from procession.cli.standard import take_closed

    take_closed()
    words = parse(sys.argv[1:] if argv is None else argv)
    try:
        return COMMANDS[words.command](words)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _map(words: Namespace) -> int:
    from procession.cli.mapping.running import run

    return run(words)


def _journal(words: Namespace) -> int:
    from procession.cli.flags.journal import JOURNAL
    from procession.cli.flags.parsing import refuse
    from procession.cli.journal import journal

    if words.quarantined and not words.retry_failures:
        refuse(JOURNAL, "--quarantined goes with --retry-failures")
    return journal(words)


def _demo(words: Namespace) -> int:
    from procession.cli.demo import demo

    return demo(words.part, quick=words.quick)


def _report(words: Namespace) -> int:
    from procession.cli.report import report

    return report(words.recording, words.output, show=words.open)


def _top(words: Namespace) -> int:
    from procession.cli.flags.parsing import refuse
    from procession.cli.flags.tables import TOP
    from procession.cli.top import top, web

    if words.web:
        if words.once or words.json or words.interval is not None:
            refuse(TOP, "--web goes with PID and --port only")
        return web(words.pid, words.port or 0)
    if words.port is not None:
        refuse(TOP, "--port is the port of --web")
    return top(words.pid, once=words.once, as_json=words.json, interval=words.interval)


def _completion(words: Namespace) -> int:
    from procession.cli.completion import completion

    return completion(words)


def _man(_words: Namespace) -> int:
    from procession.cli.flags.manual import page
    from procession.cli.flags.parsing import show

    show(page())
    return 0


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "map": _map,
    "journal": _journal,
    "top": _top,
    "report": _report,
    "demo": _demo,
    "completion": _completion,
    "man": _man,
}
