"""`procession map --journal`: the same command goes on where it was ended, and gives the same output."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests import warm
from tests.cli.mapped import JOBS, Here, lines
from tests.cli.test_map import well
from tests.cli.test_map_ends import PATIENCE, interrupt, running, started, until

kept_zygote = warm.keep("tests.cli.jobs", "procession.cli.mapping.calling")


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str]) -> Here:
    return Here(capfd)


@pytest.fixture
def items(tmp_path: Path) -> list[str]:
    (tmp_path / "items").mkdir()
    return [str(tmp_path / "items" / f"item{number}") for number in range(30)]


def calls(items: list[str]) -> list[int]:
    """How often each was called."""
    files = [Path(f"{item}.calls") for item in items]
    return [len(file.read_text()) if file.exists() else 0 for file in files]


def test_what_has_an_outcome_does_not_run_again(here: Here, items: list[str], tmp_path: Path) -> None:
    words = [f"{JOBS}:once", "--journal", str(tmp_path / "run.db")]
    names = [json.dumps(os.path.basename(item)) for item in items]
    assert well(here(*words, "--limit", "10", ":::", *items)) == names[:10]
    assert well(here(*words, "--limit", "20", ":::", *items)) == names[:20]
    assert well(here(*words, ":::", *items)) == names
    assert well(here(*words, "--unordered", ":::", *items)) == names
    assert well(here(*words, "--out-dir", str(tmp_path / "out/{number}"), ":::", *items)) == []
    assert (tmp_path / "out" / "30").read_text() == "item29"
    assert calls(items) == [1] * 30


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_after_an_end_in_between_the_same_command_goes_on(
    here: Here, items: list[str], tmp_path: Path, how: str
) -> None:
    """To the byte what it would have been; what was written before the end has its outcome."""
    doors = [Path(item) for item in items]
    out = tmp_path / "out.jsonl"
    words = [f"{JOBS}:wait_for", "-j", "2", "--journal", str(tmp_path / "run.db"), "--from", "lines"]
    source = tmp_path / "items.txt"
    source.write_text(lines(items))
    with started(*words, str(source), "-o", str(out)) as run:
        for door in doors[:5]:
            door.touch()
        partial = Path(f"{out}.partial")
        until(lambda: partial.exists() and partial.read_text().count("\n") == 5)
        until(lambda: len(running(doors)) >= 6)
        interrupt(run, getattr(signal, how))
        if how == "SIGINT":
            assert run.stderr is not None
            assert "Ctrl-C once more" in run.stderr.readline()
            for door in running(doors):
                door.touch()
        run.wait(PATIENCE)
    assert not out.exists()
    for door in doors:
        door.touch()
    for door in doors[:5]:
        Path(f"{door}.runs").unlink()
    done = here(*words, str(source), "-o", str(out))
    assert done.err == ""
    assert done.status == 0
    assert out.read_text() == lines(f'"{door.name}"' for door in doors)
    assert running(doors) == doors[5:]  # the first five were not called again


def test_failures_are_outcomes_until_one_asks(here: Here, items: list[str], tmp_path: Path) -> None:
    words = [f"{JOBS}:unless", "--journal", str(tmp_path / "run.db")]
    bad = tmp_path / "bad.jsonl"
    for item in items[2:]:
        Path(item).touch()
    for _ in range(2):
        done = here(*words, "--failures", str(bad), ":::", *items)
        assert (done.status, len(done.lines)) == (1, 28)
        assert "2 of 30 items failed: 2 FileNotFoundError" in done.err
        assert [json.loads(line)["item"] for line in bad.read_text().splitlines()] == items[:2]
    assert calls(items) == [1] * 30
    Path(items[0]).touch()
    done = here(*words, "--retry-failed", ":::", *items)
    assert (done.status, len(done.lines)) == (1, 29)
    assert calls(items) == [2, 2] + [1] * 28


def test_items_that_are_known_by_a_field(here: Here, tmp_path: Path) -> None:
    """The input may have another order, and more."""
    log = tmp_path / "log"
    work = f"(open({str(log)!r}, 'a').write(x['name'] + ' '), x['name'].upper())[1]"
    rows = [{"name": name} for name in ("a", "b", "c", "d")]
    for identity in ("name", "x['name']"):
        words = ["-e", work, "--journal", str(tmp_path / f"{len(identity)}.db"), "--id", identity, "--from", "jsonl"]
        assert well(here(*words, stdin=lines(map(json.dumps, rows[:2])))) == ['"A"', '"B"']
        assert well(here(*words, stdin=lines(map(json.dumps, reversed(rows))))) == ['"D"', '"C"', '"B"', '"A"']
        done = here(*words, "--unordered", "--with-item", stdin=lines(map(json.dumps, rows[1:])))
        assert sorted(json.loads(line)["item"]["name"] for line in well(done)) == ["b", "c", "d"]
        for line in done.lines:
            each = json.loads(line)
            assert each["item"]["name"].upper() == each["result"]
        assert sorted(log.read_text().split()) == ["a", "b", "c", "d"]
        log.unlink()


def test_what_does_not_fit_is_refused_in_the_words_of_the_command_line(here: Here, tmp_path: Path) -> None:
    journal = str(tmp_path / "run.db")
    assert well(here(f"{JOBS}:double", "--journal", journal, "1..5"))
    for words, said in (
        ((f"{JOBS}:number", "1..5"), "the function was tests.cli.jobs:double, now it is tests.cli.jobs:number"),
        ((f"{JOBS}:double", "2..6"), "item 0 is not what it was: it is 2 now"),
        ((f"{JOBS}:double", "1..5", "--id", "x"), "known by the positions"),
        ((f"{JOBS}:add", "--kwargs", "--from", "jsonl"), "now it is tests.cli.jobs:add"),
    ):
        done = here(*words, "--journal", journal, stdin='{"a": 1}\n')
        assert (done.status, done.out) == (2, "")
        assert said in done.err
        assert "Traceback" not in done.err
        assert "item_id" not in done.err
        assert "Journal(" not in done.err
    assert well(here(f"{JOBS}:number", "1..6", "--journal", journal, "--journal-force"))[5:] == ["6"]
    text = tmp_path / "text.db"
    text.write_text("no journal\n")
    done = here(f"{JOBS}:double", "1..5", "--journal", str(text))
    assert done.status == 2
    assert str(text) in done.err
    assert text.read_text() == "no journal\n"


def test_two_programs_on_one_journal(here: Here, items: list[str], tmp_path: Path) -> None:
    doors = [Path(item) for item in items]
    words = [f"{JOBS}:wait_for", "--journal", str(tmp_path / "run.db"), ":::", *items]
    with started(*words) as run:
        until(lambda: running(doors))
        done = here(*words)
        assert (done.status, done.out) == (2, "")
        assert f"in use by another program (pid {run.pid})" in done.err
        run.send_signal(signal.SIGTERM)
        assert run.wait(PATIENCE) == 143


def test_several_functions_are_one(here: Here, items: list[str], tmp_path: Path) -> None:
    words = [f"{JOBS}:once", "-e", "x.upper()", "--journal", str(tmp_path / "run.db")]
    names = [json.dumps(os.path.basename(item).upper()) for item in items]
    assert well(here(*words, "--limit", "10", ":::", *items)) == names[:10]
    assert well(here(*words, ":::", *items)) == names
    assert calls(items) == [1] * 30
    done = here(f"{JOBS}:once", "-e", "x.lower()", *words[3:], ":::", *items)
    assert (done.status, done.out) == (2, "")
    assert "x.upper()" in done.err
    assert "x.lower()" in done.err


def test_of_several_functions_the_one_that_failed_is_named(here: Here, tmp_path: Path) -> None:
    failures = tmp_path / "failures.jsonl"
    words = ["-e", "int(x)", "-e", "6 // x", "--journal", str(tmp_path / "run.db"), "--failures", str(failures)]
    for _ in range(2):
        done = here(*words, ":::", "1", "0", "x")
        assert (done.status, done.lines) == (1, ["6"])
        stacks = [json.loads(line)["stack"] for line in failures.read_text().splitlines()]
        assert ["\nin 6 // x\n" in stacks[0], "\nin int(x)\n" in stacks[1]] == [True, True]
