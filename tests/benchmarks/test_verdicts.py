"""The programs that the verdict is tried on: each has a fault that there is a rule for, and they say what they did."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import verdicts
from benchmarks.faulty import PROGRAMS, compute, rest
from procession.seeing.verdict import gaps, rules

SOURCE = "".join(Path(str(module.__file__)).read_text(encoding="utf-8") for module in (gaps, rules))


@pytest.mark.parametrize("name", PROGRAMS)
def test_its_fault_is_one_that_a_rule_names(name: str) -> None:
    fault = PROGRAMS[name].fault
    assert fault == "" or f'"{fault}"' in SOURCE


def test_one_of_them_is_healthy_and_no_fault_comes_twice() -> None:
    faults = [program.fault for program in PROGRAMS.values()]
    assert faults.count("") == 1
    assert len(set(faults)) == len(faults)


def test_its_work_takes_what_it_says() -> None:
    assert (compute(0.001), rest(0.001)) == (0.001, 0.001)


def told(monkeypatch: pytest.MonkeyPatch, findings: str) -> None:
    def run(*_words: object, **_named: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 0, f"the verdict\n\f{findings}\n")

    monkeypatch.setattr(verdicts.subprocess, "run", run)


def test_a_fault_that_is_found_is_told_with_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    found = '[{"fault": "others", "severity": "note", "title": "Busy", "text": "b"}, '
    found += '{"fault": "gil", "severity": "problem", "title": "Held", "text": "One CPU."}]'
    told(monkeypatch, found)
    row, text, right = verdicts.tried("GIL")
    assert row == "| GIL | Python code on 4 threads | **Held.** One CPU. Besides: busy. |"
    assert (text, right) == ("the verdict", True)


def test_a_fault_that_is_not_found_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told(monkeypatch, '[{"fault": "waits", "severity": "problem", "title": "Waits", "text": "w"}]')
    assert verdicts.main(["GIL", "healthy"]) == 1
    printed = capsys.readouterr()
    assert "Only: waits." in printed.out
    assert printed.err.endswith("not found: GIL, healthy\n")
    told(monkeypatch, '[{"fault": "others", "severity": "note", "title": "Busy", "text": "b"}]')
    assert verdicts.main(["healthy"]) == 0


def test_a_program_runs_and_is_judged() -> None:
    """What is said of it is the machine's business here."""
    child = [sys.executable, "-m", "benchmarks.verdicts", "--one", "a pool for each"]
    done = subprocess.run(child, check=True, capture_output=True, text=True, timeout=90)
    assert "24 tasks" in done.stdout
    assert done.stdout.rpartition("\f")[2].startswith("[")
