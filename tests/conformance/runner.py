"""Run some cases in this process and write what happens, one JSON object a line.

``python -m tests.conformance.runner --start zygote --module test_process_pool`` runs a module's tests by
hand; the campaign passes ``--cases`` (JSON) and ``--events`` (a file) and watches the file, because a
test that hangs or kills this process cannot report that itself.
"""

from __future__ import annotations

import argparse
import dataclasses
import faulthandler
import gc
import json
import sys
import time
import traceback
import unittest
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TextIO

from .model import STARTS, SUBJECTS, Case, Outcome

ExcInfo = tuple[type[BaseException], BaseException, TracebackType]


class Events:
    """The line-by-line log that the campaign reads while we run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, event: str, **fields: Any) -> None:
        self._stream.write(json.dumps({"event": event, **fields}) + "\n")
        self._stream.flush()


class Warnings:
    """What test.support finds left behind by a test: threads, children, modules."""

    def __init__(self) -> None:
        from test import support  # type: ignore[import-not-found]

        self._support = support
        self._lines: list[str] = []
        original = support.print_warning

        def note(message: str) -> None:
            self._lines.append(message)
            original(message)

        vars(note).update(vars(original))  # test.support keeps the real stderr on its function
        support.print_warning = note

    def take(self) -> str:
        """The warnings since the last call, if test.support holds them against the test."""
        altered, self._support.environment_altered = self._support.environment_altered, False
        lines, self._lines = self._lines, []
        return "\n".join(lines or ["environment altered"]) if altered else ""


class Reporter(unittest.TestResult):
    """Writes an event at the start of each case and one with its outcome."""

    def __init__(self, events: Events, warnings: Warnings, cases: Sequence[Case]) -> None:
        super().__init__()
        self._events = events
        self._warnings = warnings
        self._cases = list(cases)
        self._index = -1
        self._started = 0.0
        self._outcome: Outcome = "passed"
        self._details: list[str] = []

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._index += 1
        self._outcome, self._details = "passed", []
        self._started = time.monotonic()
        self._events.write("start", label=self._cases[self._index].label)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        seconds = time.monotonic() - self._started
        if self._outcome == "failed":
            # An expected failure must not keep its executor alive: the module's cleanup waits for all of their workers.
            gc.collect()
        left = self._warnings.take()
        if left and self._outcome == "passed":
            self._outcome = "altered"
            self._details.append(left)
        label, detail = self._cases[self._index].label, "\n".join(self._details)
        self._events.write("stop", label=label, outcome=self._outcome, seconds=round(seconds, 3), detail=detail)

    def _failed(self, test: unittest.TestCase, err: ExcInfo) -> None:
        self._outcome = "failed"
        self._details.append(self._exc_info_to_string(err, test))  # type: ignore[attr-defined]
        traceback.clear_frames(err[2])

    def addError(self, test: unittest.TestCase, err: ExcInfo) -> None:  # type: ignore[override]
        if self._index < 0 or not isinstance(test, unittest.TestCase):  # setUpModule or a module cleanup
            self._events.write("problem", detail=f"{test}: {err[1]!r}")
        else:
            self._failed(test, err)

    def addFailure(self, test: unittest.TestCase, err: ExcInfo) -> None:  # type: ignore[override]
        self._failed(test, err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: ExcInfo | None) -> None:  # type: ignore[override]
        if err is not None:
            self._failed(test, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._outcome = "skipped"
        self._details.append(reason)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.conformance.runner", description=__doc__)
    parser.add_argument("--subject", choices=SUBJECTS, default="procession")
    parser.add_argument("--start", choices=STARTS, default="zygote")
    parser.add_argument("--module", help="only this module, e.g. test_wait")
    parser.add_argument("--method", help="only this method, e.g. test_submit")
    parser.add_argument("--cases", type=argparse.FileType(), help="the cases to run, as --list prints them")
    parser.add_argument("--list", action="store_true", help="print the cases and run nothing")
    parser.add_argument("--events", type=argparse.FileType("a"), default="-", help="where to write events")
    parser.add_argument("--path", action="append", default=[], help="put this in front of sys.path")
    return parser.parse_args(argv)


def wanted(options: argparse.Namespace, cases: Sequence[Case]) -> list[Case]:
    if options.cases is not None:
        return [Case(**json.loads(line)) for line in options.cases]
    return [case for case in cases if options.module in (None, case.module) and options.method in (None, case.method)]


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    sys.path[:0] = options.path
    from .loading import TestPackage

    package = TestPackage(options.subject, options.start, options.path)
    cases = wanted(options, list(package.cases()))
    if options.list:
        for case in cases:
            print(json.dumps(dataclasses.asdict(case)))
        return 0
    faulthandler.enable()  # the campaign ends a hung test with SIGABRT, to see where it hung
    events = Events(options.events)
    warnings = Warnings()
    package.tests(cases).run(Reporter(events, warnings, cases))
    if left := warnings.take():
        events.write("problem", detail=left)
    events.write("end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
