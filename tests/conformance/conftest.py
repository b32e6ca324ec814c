"""One campaign for the whole session: it runs just the cases that were selected, when the first one is due."""

from __future__ import annotations

import pytest

from . import campaign, interpreters, report
from .model import Case

RESULTS = pytest.StashKey[campaign.Results]()


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> campaign.Results:
    plans = [item.callspec.params.get("plan") for item in request.session.items if hasattr(item, "callspec")]
    cases = [case for plan in plans if isinstance(plan, tuple) for case in plan if isinstance(case, Case)]
    interpreter = interpreters.find()
    request.config.stash[RESULTS] = campaign.run(interpreter, "procession", dict.fromkeys(cases))
    return request.config.stash[RESULTS]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    results = terminalreporter.config.stash.get(RESULTS, None)
    if results is None:
        return
    terminalreporter.section("conformance")
    where = f"test_concurrent_futures of {results.interpreter}"
    terminalreporter.line(f"{where}, {len(results.records)} cases in {results.seconds:.0f} s")
    for start, tally in report.counts(results).items():
        terminalreporter.line(f"{start:>10}: " + ", ".join(f"{tally[word]} {word}" for word in report.VERDICTS))
