"""``python -m tests.conformance``: run everything, print the counts and the deviations as Markdown."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase

from . import campaign, interpreters, report
from .deviations import with_lent
from .model import PROCESS_STARTS, STARTS, SUBJECTS


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--subject", choices=SUBJECTS, default="procession")
    parser.add_argument("--start", choices=STARTS, action="append", help="only this start (may be repeated)")
    parser.add_argument("--tests", default="*", help="only tests that match, e.g. 'test_wait.*'")
    parser.add_argument("--python", help="an interpreter that has the tests (default: this one, or one found)")
    parser.add_argument("--jobs", type=int, default=6, help="modules to run at once (default: 6)")
    parser.add_argument("--slowest", type=int, default=0, metavar="N", help="print the N slowest tests, too")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    try:
        interpreter = interpreters.find(options.python)
    except interpreters.NoTests as error:
        print(f"skipped: {error}")
        return 0
    starts = options.start or (PROCESS_STARTS if options.subject == "pool" else STARTS)
    cases = with_lent(campaign.list_cases(interpreter, options.subject, starts), options.subject)
    chosen = [case for case in cases if fnmatchcase(case.id, options.tests)]
    results = campaign.run(interpreter, options.subject, chosen, options.jobs)
    print(report.markdown(results))
    slowest = sorted(results.records.values(), key=lambda record: -record.seconds)[: options.slowest]
    for record in slowest:
        print(f"- {record.seconds:.2f} s {record.case.label}")
    failures = report.failures(results)
    for failure in failures:
        print(f"\nFAILED {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
