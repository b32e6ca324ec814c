"""`procession journal`: what it prints, where, and with which status."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from procession.errors import PoisonTask
from procession.types import Raised
from tests.apart import ROOT
from tests.journal.test_processes import HOLDS, line, program
from tests.journal.work import Point, accept, finish, hand_over, open_map, open_queue, record

PROCESSION = [sys.executable, "-c", "import sys; from procession.cli import main; sys.exit(main())"]


def command(*words: Any, stdout: Any = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    line = [*PROCESSION, "journal", *map(str, words)]
    return subprocess.run(line, cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The journal of an imap with 3 results, 12 failures and a quarantined item."""
    journal = open_map(tmp_path / "run.db", seed=7)
    failures = [Raised(ValueError(f"no\x1b[31m {n}\nmore"), n + 1) for n in range(12)]
    record(journal, range(16), [1, "two", Point(3), *failures, Raised(PoisonTask("work", -11), 3)])
    journal.close()
    return tmp_path / "run.db"


def test_it_shows_what_there_is(run: Path) -> None:
    done = command(run)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"journal       {run}, ")
    assert lines[1:4] == [
        "belongs to    an imap of tests.journal.work:double",
        "items         known by their positions",
        "seed          7",
    ]
    assert lines[4] == "outcomes      3 done, 13 failed, 1 of these quarantined"
    assert lines[5].startswith("runs          1  20")
    assert "finished, after" in lines[5]
    assert lines[7:9] == ["failures (12)", "  item 3: ValueError: no\\x1b[31m 0"]
    assert lines[9] == "  item 4: ValueError: no\\x1b[31m 1 (2 tries)"
    assert "  and 2 more: --all shows them" in lines
    assert "quarantined (1)" in lines
    assert lines[-1].startswith("  item 15: procession.errors.PoisonTask: ")
    assert len(command(run, "--all").stdout.splitlines()) == len(lines) + 1


def test_it_shows_the_same_as_json(run: Path) -> None:
    done = command(run, "--json")
    told = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert (told["items"], told["pid"], len(told["failures"])) == ({"done": 3, "failed": 13}, None, 13)
    assert told["failures"][-1]["quarantined"] is True
    assert told["belongs_to"]["seed"] == 7
    assert told["runs"][0]["how"] == "finished"


@pytest.mark.parametrize("suffix", ["", "-wal", "-lock"])
def test_an_export_is_not_written_over_the_journal(run: Path, suffix: str) -> None:
    before = run.read_bytes()
    linked = run.with_name("linked")
    linked.symlink_to(f"{run}{suffix}")
    for target in (f"{run}{suffix}", linked):
        done = command(run, "--export", target)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"--export {target}: is a file of the journal, and would be lost; name another file\n"
    assert run.read_bytes() == before


def test_a_full_disk_is_told_with_the_name_of_the_file(run: Path) -> None:
    done = command(run, "--export", "/dev/full")
    assert (done.returncode, done.stderr) == (1, "/dev/full: No space left on device\n")
    with open("/dev/full", "w") as full:
        for words in ([], ["--json"], ["--export", "-"]):
            done = command(run, *words, stdout=full)
            assert (done.returncode, done.stderr) == (1, "stdout: No space left on device\n"), words


def test_it_shows_a_queue(tmp_path: Path) -> None:
    journal = open_queue(tmp_path / "run.db")
    accept(journal, ["a", "b", "c"])
    finish(journal, [0], [1])
    hand_over(journal, [0])
    journal.close()
    told = command(tmp_path / "run.db").stdout
    assert "a SpinOff of tests.journal.work:double" in told
    assert "put           3 in all, 2 waiting, 1 handed over" in told
    assert json.loads(command(tmp_path / "run.db", "--json").stdout)["items"]["waiting"] == 2


def test_it_exports_lines_of_json(run: Path, tmp_path: Path) -> None:
    done = command(run, "--export", "-")
    assert (done.returncode, done.stderr) == (0, "")
    rows = list(map(json.loads, done.stdout.splitlines()))
    assert [row["index"] for row in rows] == list(range(16))
    assert (rows[0], rows[1]) == ({"index": 0, "result": 1}, {"index": 1, "result": "two"})
    assert rows[2]["repr"].startswith("<tests.journal.work.Point")
    assert rows[3]["error"]["text"] == "no\x1b[31m 0\nmore"
    assert command(run, "--export", tmp_path / "out.jsonl").stdout == ""
    exported = (tmp_path / "out.jsonl").read_text().splitlines()
    assert len(exported) == 16
    run.chmod(0o666)
    done = command(run, "--export", "-")
    assert done.returncode == 1
    assert done.stderr == '1 outcome could not be read: see "unreadable" in their lines\n'


def test_it_has_failures_run_again(run: Path) -> None:
    done = command(run, "--retry-failures", "--vacuum")
    assert done.returncode == 0
    assert done.stdout.startswith("12 failures forgotten: these run again with the next run\n")
    assert " KiB before, " in done.stdout
    assert done.stderr == "1 quarantined item kept; --quarantined has them run again, too\n"
    done = command(run, "--retry-failures", "--quarantined")
    assert (done.stdout, done.stderr) == ("1 failure forgotten: it runs again with the next run\n", "")
    assert json.loads(command(run, "--json").stdout)["items"] == {"done": 3, "failed": 0}


def test_while_a_program_has_it(tmp_path: Path) -> None:
    with program(HOLDS, tmp_path / "run.db") as child:
        assert line(child) == "held"
        shown = command(tmp_path / "run.db")
        assert f"in use        by the program with pid {child.pid}\n" in shown.stdout
        assert "  goes on" in shown.stdout
        refused = command(tmp_path / "run.db", "--retry-failures")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert f"it is in use by another program (pid {child.pid})" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_what_cannot_be_done_is_a_sentence_and_status_1(run: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("Dear diary")
    for words in ([tmp_path / "text"], [tmp_path / "none"], [run, "--export", tmp_path / "no" / "out"]):
        done = command(*words)
        assert (done.returncode, done.stdout) == (1, "")
        assert len(done.stderr.splitlines()) == 1


def test_words_that_make_no_sense_are_status_2(run: Path) -> None:
    for words in ([], [run, "--quarantined"], [run, "--nonsense"]):
        done = command(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert "procession journal --help" in done.stderr


def test_a_reader_who_leaves_is_no_error(tmp_path: Path) -> None:
    journal = open_map(tmp_path / "run.db", sync=False)
    record(journal, range(2000), ["x" * 100] * 2000)
    journal.close()
    line = shlex.join([*PROCESSION, "journal", str(tmp_path / "run.db"), "--export", "-"])
    script = f"set -o pipefail; {line} | head -n 1"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
