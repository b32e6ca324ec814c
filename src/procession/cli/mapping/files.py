"""What a run writes: results, the items that failed, the job log."""

from __future__ import annotations

import shlex
from argparse import Namespace
from contextlib import ExitStack
from typing import IO

from procession.cli.mapping.failing import Failures
from procession.cli.mapping.joblog import JobLog
from procession.cli.mapping.outputs import Outputs, open_sink
from procession.cli.mapping.words import split


class Files:
    """All of it, opened before anything runs, so that what cannot be written is found out then.

    Raises OSError and OutputError.
    """

    def __init__(self, words: Namespace, outputs: Outputs, stdout: int) -> None:
        self._open = ExitStack()
        failures: IO[bytes] | None = None
        self.joblog: JobLog | None = None
        self.stdout = stdout if outputs.output is None and outputs.out_dir is None else None
        """The descriptor that results go to, if they do not go to files."""
        try:
            if words.failures is not None:
                failures = self._open.enter_context(open(words.failures, "wb"))  # noqa: SIM115
            if words.joblog is not None:
                text = open(words.joblog, "w", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
                self.joblog = JobLog(text, _command(words), _options(words))
                self._open.callback(self.joblog.close)
                self.joblog.begin()
            self.sink = open_sink(outputs, stdout)
        except BaseException:
            self._open.close()
            raise
        self.failures = Failures(failures)

    def flush(self) -> None:
        """Have all that was written leave this process."""
        self.sink.flush()
        if self.joblog is not None:
            self.joblog.flush()

    def close(self, complete: bool) -> None:
        """The end. Raises OutputError, BrokenPipeError and OSError."""
        try:
            self.sink.close(complete)
        finally:
            self._open.close()


def _command(words: Namespace) -> list[str]:
    """The functions, as they stand on the command line."""
    called, _ = split(words.words, bool(words.expression))
    return [*called, *(part for text in words.expression or () for part in ("-e", text))]


def _options(words: Namespace) -> str:
    """What else a single item needs."""
    told = [f" --import {shlex.quote(each)}" for each in getattr(words, "import") or ()]
    if words.setup is not None:
        told.append(f" --setup {shlex.quote(words.setup)}")
    return "".join(told) + (" --kwargs" if words.kwargs else "")


__all__ = ["Files"]
