"""`--joblog`: a line for each item, as GNU parallel writes them; its --resume, --retry-failed and others can read it.

The command of a line is what a shell would run for that item alone.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import IO, Any

from procession.cli.mapping.calling import noted
from procession.cli.mapping.inputs_base import Item
from procession.cli.mapping.outputs_base import OutputError

HEADER = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"


def row(seq: int, start: float, took: float, status: int, signal: int, command: str) -> str:
    """One line; a newline in the command is a NUL, as GNU parallel has it."""
    shown = command.replace("\n", "\0")
    return f"{seq}\t:\t{start:.3f}\t{took:10.3f}\t0\t0\t{status}\t{signal}\t{shown}\n"


def command(functions: list[str], value: Any, options: str = "") -> str:
    """What a shell would run for this item alone."""
    words = f"procession map {functions_quoted(functions)}{options}"
    if isinstance(value, str):
        return f"{words} ::: {shlex.quote(value)}"
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = json.dumps(repr(value))
    return f"printf '%s\\n' {shlex.quote(text)} | {words} --from jsonl"


def functions_quoted(functions: list[str]) -> str:
    """As they stand on a command line."""
    return " ".join(shlex.quote(each) for each in functions)


def ended(error: BaseException | None) -> tuple[int, int]:
    """Exit value and signal, for an item that failed with this error: (0, 0) for none."""
    if error is None:
        return 0, 0
    signal = getattr(error, "signal", None)
    if type(error).__name__ == "TaskTimeout":
        return -1, 15
    if isinstance(signal, int):
        return 0, signal
    return 1, 0


class JobLog:
    """The file. Whatever it does raises OutputError for a full disk and the like."""

    def __init__(self, file: IO[str], functions: list[str], options: str) -> None:
        self._file = file
        self._functions = functions
        self._options = options

    def begin(self) -> None:
        """Write the header."""
        self._guarded(self._file.write, HEADER)
        self.flush()

    def succeeded(self, item: Item, start: float, took: float) -> None:
        """An item has its result."""
        self._write(item, start, took, None)

    def failed(self, item: Item, error: BaseException, now: float) -> None:
        """An item has failed; where it is not known when it began, `now` is written."""
        seconds = getattr(error, "seconds", 0.0)
        start, took = noted(error) or (now - seconds, seconds)
        self._write(item, start, took, error)

    def _write(self, item: Item, start: float, took: float, error: BaseException | None) -> None:
        text = command(self._functions, item.value, self._options)
        self._guarded(self._file.write, row(item[4] + 1, start, took, *ended(error), text))

    def flush(self) -> None:
        """Have it in the file."""
        self._guarded(self._file.flush)

    def close(self) -> None:
        """The end."""
        self._guarded(self._file.close)

    def _guarded(self, act: Callable[..., object], *words: object) -> None:
        try:
            act(*words)
        except OSError as error:
            raise OutputError(f"--joblog {self._file.name}: {error.strerror}") from None


__all__ = ["HEADER", "JobLog", "command", "ended", "row"]
