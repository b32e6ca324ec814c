"""The harness on subjects whose result is known: the stdlib's own classes, and runners that misbehave."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from . import campaign, deviations, interpreters, report
from .loading import rewritten
from .model import PROCESS_STARTS, STARTS, Case, Outcome, Record

PLAIN = Case("fork", "test_wait", "WaitTest", "test_timeout", "ProcessPoolForkWaitTest")
LISTED = Case("zygote", "test_process_pool", "ProcessPoolExecutorTest", "test_killed_child", "Anything")


@pytest.fixture(scope="module")
def interpreter() -> interpreters.Interpreter:
    try:
        return interpreters.find()
    except interpreters.NoTests as error:
        pytest.skip(str(error))


def test_the_stdlib_conforms_to_itself(interpreter: interpreters.Interpreter) -> None:
    """A sample of each start; ``python -m tests.conformance --subject stdlib`` runs all of them."""
    cases = campaign.list_cases(interpreter, "stdlib")
    tally = Counter(case.start for case in cases)
    assert set(tally) == set(STARTS)
    assert len({tally[start] for start in ("zygote", "forkserver", "spawn")}) == 1
    sample = [case for case in cases if case.method in ("test_submit", "test_max_tasks_per_child", "test_repr")]
    results = campaign.run(interpreter, "stdlib", sample)
    assert report.failures(results) == []
    assert {record.case.start for record in results.records.values() if record.outcome == "passed"} == set(STARTS)


def test_no_interpreter_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(interpreters.VARIABLE, "no-such-python")
    interpreters.find.cache_clear()
    with pytest.raises(interpreters.NoTests, match="no-such-python"):
        interpreters.find()
    interpreters.find.cache_clear()


@pytest.mark.parametrize(
    ("case", "outcome", "verdict"),
    [
        (PLAIN, "passed", "passed"),
        (PLAIN, "skipped", "skipped"),
        (PLAIN, "failed", "failed"),
        (PLAIN, "altered", "failed"),
        (PLAIN, "hung", "failed"),
        (LISTED, "failed", "deviation"),
        (LISTED, "passed", "failed"),
        (LISTED, "skipped", "failed"),
        (LISTED, "altered", "failed"),
        (LISTED, "hung", "failed"),
        (LISTED, "died", "failed"),
    ],
)
def test_judgement(case: Case, outcome: Outcome, verdict: str) -> None:
    assert report.judge(Record(case, outcome, 0.0), "procession").verdict == verdict


def test_the_list_is_for_procession_only() -> None:
    assert report.judge(Record(LISTED, "passed", 0.0), "stdlib").verdict == "passed"


def test_a_lent_run_is_no_deviation() -> None:
    entry = next(entry for entry in deviations.DEVIATIONS if entry.lend)
    module, scenario, method = entry.tests.split(".")
    cases = deviations.with_lent([Case("spawn", module, scenario, method, "Anything")], "procession")
    assert [case.lent for case in cases] == [False, True]
    assert report.judge(Record(cases[1], "failed", 0.0), "procession").verdict == "failed"


def test_a_pattern_without_a_test_is_found() -> None:
    assert f"{LISTED.id} (zygote)" not in deviations.unused([LISTED])
    assert all(f"{LISTED.id} ({start})" in deviations.unused([PLAIN]) for start in PROCESS_STARTS)


def test_scripts_are_rewritten() -> None:
    script = "if 1:\n    from concurrent.futures import X\n    t = X(5, mp_context=context)\n"
    ours = rewritten(script, "procession", "zygote", ["/somewhere"])
    assert ours.splitlines()[0] == "import sys; sys.path[:0] = ['/somewhere']"
    assert "from procession.futures import X" in ours
    assert "mp_context=None" in ours
    assert rewritten(script, "stdlib", "spawn", []) == script


# --------------------------------------------------------------------------------------------- runners that misbehave

EVENT = """
import json, os, subprocess, sys, time
def event(word, **fields):
    with open(sys.argv[sys.argv.index("--events") + 1], "a") as file:
        file.write(json.dumps({"event": word, **fields}) + chr(10))
cases = [json.loads(line) for line in open(sys.argv[sys.argv.index("--cases") + 1])]
labels = ["{start}-{module}.{scenario}.{method}".format(**case) for case in cases]
"""


def misbehave(script: str, cases: list[Case]) -> tuple[dict[str, Outcome], tuple[str, ...]]:
    records, group = campaign.run_group([sys.executable, "-c", EVENT + script], cases)
    return {record.case.method: record.outcome for record in records}, group.problems


FIRST, SECOND = (Case("fork", "test_x", "Test", name, "Test") for name in ("first", "second"))
PASS = "event('start', label=label); event('stop', label=label, outcome='passed', seconds=0.0, detail='')\n"


def test_a_hang_is_ended_and_the_rest_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "HANG", 3.0)  # the other has so long, whatever else the machine does
    script = f"""
for label in labels:
    if "first" in label:
        event("start", label=label); time.sleep(60)
    {PASS}
event("end")
"""
    assert misbehave(script, [FIRST, SECOND]) == ({"first": "hung", "second": "passed"}, ())


def test_a_death_is_recorded_and_the_rest_runs() -> None:
    script = f"""
for label in labels:
    if "first" in label:
        event("start", label=label); os.kill(os.getpid(), 9)
    {PASS}
event("end")
"""
    assert misbehave(script, [FIRST, SECOND]) == ({"first": "died", "second": "passed"}, ())


def test_a_failure_is_told_with_what_was_printed_meanwhile() -> None:
    script = """
print("why, on stderr", file=sys.stderr)
event("start", label=labels[0]); event("stop", label=labels[0], outcome="failed", seconds=0.0, detail="it failed")
event("end")
"""
    (record,), _ = campaign.run_group([sys.executable, "-c", EVENT + script], [FIRST])
    assert record.detail == "it failed\nprinted meanwhile:\nwhy, on stderr"


def test_a_runner_that_does_nothing_is_a_failure() -> None:
    outcomes, problems = misbehave("sys.exit('no such thing')", [FIRST, SECOND])
    assert outcomes == {"first": "died", "second": "died"}
    assert "no such thing" in problems[0]


def test_what_outlives_the_runner_is_found_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "LEAVING", 0.5)
    script = f"""
for label in labels:
    {PASS}
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60.25)"])
event("end")
"""
    outcomes, problems = misbehave(script, [FIRST])
    assert outcomes == {"first": "passed"}
    assert len(problems) == 1
    assert "time.sleep(60.25)" in problems[0]
