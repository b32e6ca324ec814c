"""`procession top`: look at a program that runs, and that uses procession."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import Any

from procession.cli.top_asking import Gone, Program, Refused, find, found
from procession.cli.top_view import Look, lines

MEASURED = 1.0
"""Seconds between the two looks from which one is printed: rates want some time."""
NOBODY = (
    "no program that uses procession was found. One can be looked at from half a second after its first task, by the "
    "user "
    "who has started it, unless PROCESSION_TOP=0 is in its environment"
)


def top(pid: int | None, *, once: bool, as_json: bool, interval: float | None) -> int:
    """Do it; returns the exit status: 1, with a sentence on stderr, when a program is gone or refuses."""
    try:
        numbers = [pid] if pid is not None else [number for number, _ in found()]
        if not numbers:
            raise Gone(NOBODY)
        if as_json or once or not on_a_screen():
            with ExitStack() as stack:
                programs = [stack.enter_context(closing(find(number))) for number in numbers]
                return printed(programs, as_json, interval if as_json and not once else None)
        chosen = numbers[0] if len(numbers) == 1 else choose()
        return 0 if chosen is None else watched(chosen, interval or 1.0)
    except (Gone, Refused) as gone:
        print(f"procession top: {gone}", file=sys.stderr)
        return 1


def web(pid: int | None, port: int) -> int:
    """The same in a browser; returns the exit status."""
    try:
        if pid is None:
            programs = found()
            if not programs:
                raise Gone(NOBODY)
            if len(programs) > 1 and not on_a_screen():
                raise Gone(
                    f"which one? {', '.join(str(number) for number, _ in programs)}: say procession top --web PID"
                )
            pid = programs[0][0] if len(programs) == 1 else choose()
            if pid is None:
                return 0
        from procession.cli.web.command import served

        with closing(find(pid)) as program:
            program.ask("count")
        return served(pid, port)
    except (Gone, Refused) as gone:
        print(f"procession top: {gone}", file=sys.stderr)
        return 1


def on_a_screen() -> bool:
    """Whether there is a terminal that can be drawn on."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def printed(programs: Sequence[Program], as_json: bool, interval: float | None) -> int:
    """One look at each, or one each `interval` seconds, until the last has ended."""
    before = {program.pid: program.ask("look") for program in programs}
    time.sleep(MEASURED if interval is None else interval)
    left = list(programs)
    while True:
        for program in list(left):
            try:
                now = program.ask("look")
            except Gone as gone:
                left.remove(program)
                if not left:
                    raise
                print(f"procession top: {gone}", file=sys.stderr)
                continue
            print(_json(now) if as_json else _text(Look(now, before[program.pid])), flush=True)
            before[program.pid] = now
        if interval is None:
            return 0
        time.sleep(interval)


def _json(now: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in now.items() if key != "v"})


def _text(look: Look) -> str:
    width = shutil.get_terminal_size((100, 24)).columns
    text = "\n".join(line.text.rstrip() for line in lines(look, width)).rstrip()
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def choose() -> int | None:
    """Ask which of several; None: none."""
    programs = found()
    for number, command in programs:
        print(f"{number:>9}  {command[:200]!r}")
    while True:
        try:
            said = input("which one (its number; nothing: none)? ").strip()
        except EOFError:
            return None
        if not said:
            return None
        if said.isdecimal() and int(said) in dict(programs):
            return int(said)


def watched(pid: int, interval: float) -> int:
    """On the whole screen."""
    try:
        import rich  # noqa: F401
    except ImportError:
        raise Gone("the screen needs rich: pip install 'procession[top]'. --once and --json do without") from None
    from procession.cli.top_screen import View

    with closing(find(pid)) as program:
        View(program, interval).run()
    return 0


__all__ = ["top", "web"]
