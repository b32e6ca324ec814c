"""The page and the command line, from outcomes that were made up."""

import json
from pathlib import Path
from typing import Any

import pytest

from rivals import cli, report
from rivals.peers import PEERS, problem_with
from rivals.peers.base import Peer
from rivals.verdict import Outcome, Verdict
from tests.house.test_house import Limits

MACHINE: dict[str, Any] = {
    "date": "2030-01-01",
    "python": "CPython 3.11.7",
    "kernel": "Linux 6",
    "cores": 2,
    "load": 0.1,
    "probes": 3,
    "seconds": 12.0,
    "versions": {"procession": "1.0", "ppe": "stdlib"},
}
OUTCOMES = [
    Outcome("kill", "ppe", "judged", Verdict("51 ok, pool dead", "bad")),
    Outcome("kill", "procession", "judged", Verdict("99 ok, pool lives", "good")),
    Outcome("timeout", "procession", "failed", Verdict("failed: TypeError: a|b __c__", "bad")),
    Outcome("kill", "dask", "not run", Verdict("not run: no distributed: pip install distributed", "bad")),
]


class Absent(Peer):
    """Nobody has it."""

    name = "absent"
    title = "absent"
    package = "a_package_that_is_not_there"
    distribution = "absent-package"


def test_the_matrix_renders() -> None:
    page = report.as_markdown(OUTCOMES, MACHINE, 8.0)
    assert "| what goes wrong | procession | ProcessPoolExecutor | dask.distributed |" in page
    assert "| **SIGKILL of one worker in 100 tasks** | ✓ 99 ok, pool lives | ✗ 51 ok, pool dead | ✗ not run: " in page
    assert "| ✓ / ~ / ✗ | 1 / 0 / 1 | 0 / 0 / 1 | 0 / 0 / 0 |" in page
    assert "versions: procession 1.0\n" in page
    assert "within 8 seconds" in " ".join(page.split())


def test_each_line_of_the_matrix_has_as_many_cells_as_its_head() -> None:
    page = report.as_markdown(OUTCOMES, MACHINE, 8.0)
    lines = [line.replace("\\|", "") for line in page.splitlines() if line.startswith("| ")]
    assert len({line.count("|") for line in lines}) == 1


def test_what_could_not_be_asked_is_listed_and_escaped() -> None:
    page = report.as_markdown(OUTCOMES, MACHINE, 8.0)
    assert "* `timeout`, procession: failed: TypeError: a\\|b \\_\\_c\\_\\_" in page
    assert "* `kill`, dask: not run" in page


def test_a_long_cell_is_cut() -> None:
    outcome = Outcome("kill", "ppe", "judged", Verdict("x" * 300, "bad"))
    assert f"✗ {'x' * 87}... |" in report.as_markdown([outcome], MACHINE, 8.0)


def test_the_rows_are_explained() -> None:
    page = report.as_markdown(OUTCOMES, MACHINE, 8.0)
    assert "* **a hung task and a timeout of 1 s** (`timeout`). 20 tasks" in page


def test_text_and_json_have_it_all() -> None:
    text = report.as_text(OUTCOMES)
    assert all(each.verdict.text in text for each in OUTCOMES)
    assert len(json.loads(report.as_json(OUTCOMES, MACHINE))["outcomes"]) == 4


def test_an_absent_peer_is_shown_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(PEERS, "absent", Absent)
    assert problem_with(Absent) == "no a_package_that_is_not_there: pip install absent-package"
    page = tmp_path / "page.md"
    assert cli.main(["--only", "kill", "--peers", "absent", "--markdown", str(page)]) == 1
    assert "not run: no a_package_that_is_not_there: pip install absent-package" in capsys.readouterr().out
    assert "pip install absent-package" in page.read_text()


def test_unknown_names_are_refused() -> None:
    with pytest.raises(SystemExit) as refused:
        cli.main(["--only", "no-such-row"])
    assert refused.value.code == 2


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--list"]) == 0
    assert "parent-killed" in capsys.readouterr().out


def test_the_rivals_keep_the_limits_of_the_house() -> None:
    found = list(Limits({}).breaches(Path(cli.__file__).parent))
    assert not found, "\n" + "\n".join(found)
