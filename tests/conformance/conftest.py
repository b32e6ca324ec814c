"""One campaign for the whole session: of just the cases that were selected, begun before the first test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.beside import Beside

from . import campaign, interpreters, report
from .model import Case

PROGRAM = pytest.StashKey[Beside]()
RESULTS = pytest.StashKey[campaign.Results]()


def cases_of(items: list[pytest.Item]) -> list[Case]:
    """Those that the selected tests ask for, each once."""
    plans = [item.callspec.params.get("plan") for item in items if hasattr(item, "callspec")]
    cases = [case for plan in plans if isinstance(plan, tuple) for case in plan if isinstance(case, Case)]
    return list(dict.fromkeys(cases))


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    cases = cases_of(session.items)
    if not cases or session.config.option.collectonly:
        return (yield)
    module = f"{__package__}.beside"
    session.config.stash[PROGRAM] = program = Beside(module, (interpreters.find(), cases))
    try:
        return (yield)
    finally:
        program.end()


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> campaign.Results:
    request.config.stash[RESULTS] = found = request.config.stash[PROGRAM].answer()
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    results = terminalreporter.config.stash.get(RESULTS, None)
    if results is None:
        return
    terminalreporter.section("conformance")
    where = f"test_concurrent_futures of {results.interpreter}"
    terminalreporter.line(f"{where}, {len(results.records)} cases in {results.seconds:.0f} s")
    for start, tally in report.counts(results).items():
        terminalreporter.line(f"{start:>10}: " + ", ".join(f"{tally[word]} {word}" for word in report.VERDICTS))
