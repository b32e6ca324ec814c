"""The interpreter's own tests of concurrent.futures, one item a test and start.

A deviation (deviations.py) is an expected failure; one that passes fails here, so that the list stays true.
"""

from __future__ import annotations

import importlib
from itertools import groupby

import pytest

from . import campaign, deviations, interpreters, report
from .model import Case

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900, method="thread")]


def collected() -> tuple[list[Case], str]:
    """The cases, or none and the reason."""
    try:
        importlib.import_module("procession.futures")
    except ModuleNotFoundError as error:
        if error.name not in ("procession", "procession.futures"):
            raise
        return [], "procession.futures does not exist yet"
    try:
        interpreter = interpreters.find()
    except interpreters.NoTests as error:
        return [], str(error)
    return deviations.with_lent(campaign.list_cases(interpreter, "procession"), "procession"), ""


CASES, WHY_NONE = collected()
GROUPS = [tuple(group) for _, group in groupby(CASES, key=lambda case: case.group)]


@pytest.mark.skipif(bool(CASES), reason="the tests were found: each runs as an item of its own")
def test_interpreter_has_the_tests() -> None:
    pytest.skip(WHY_NONE)


@pytest.mark.parametrize("plan", [pytest.param((case,), id=case.label) for case in CASES])
def test_case(plan: tuple[Case], results: campaign.Results) -> None:
    (case,) = plan
    judgement = report.judge(results.records[case], results.subject)
    match judgement.verdict:
        case "failed":
            pytest.fail(judgement.message, pytrace=False)
        case "deviation":
            pytest.xfail(judgement.message)
        case "skipped":
            pytest.skip(judgement.message)


@pytest.mark.parametrize("plan", [pytest.param(cases, id="-".join(cases[0].group)) for cases in GROUPS])
def test_module_leaves_nothing_behind(plan: tuple[Case, ...], results: campaign.Results) -> None:
    """No thread, child, or process of its group outlives a module's tests, and the module's own cleanups pass."""
    assert results.groups[plan[0].group].problems == ()


@pytest.mark.skipif(not CASES, reason="no tests to compare the list with")
def test_every_deviation_names_a_test() -> None:
    assert deviations.unused(CASES) == []
