"""`procession map`: functions, items, results, and all that is said of how it runs."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests import warm
from tests.cli.mapped import JOBS, Done, Here, apart, lines

kept_zygote = warm.keep("tests.cli.jobs", "procession.cli.mapping.calling")


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str]) -> Here:
    return Here(capfd)


def well(done: Done) -> list[str]:
    """The lines of a run in which all is well, and nothing is said."""
    assert (done.status, done.err) == (0, "")
    return done.lines


# ----------------------------------------------------------------------------------------------- functions and items


def test_lines_of_stdin_in_order(here: Here) -> None:
    numbers = range(2000)
    assert well(here(f"{JOBS}:number", stdin=lines(numbers))) == [str(n) for n in numbers]
    assert well(here(f"{JOBS}:double", stdin="a\nb")) == ['"aa"', '"bb"']
    assert well(here(f"{JOBS}:double", stdin="")) == []


def test_each_backend_gives_the_same(here: Here) -> None:
    for backend in ("processes", "threads", "inline"):
        assert well(here("-e", "x * x", "1..20", "--backend", backend)) == [str(n * n) for n in range(1, 21)]


def test_items_behind_the_colons_are_taken_as_they_are(here: Here) -> None:
    assert well(here(f"{JOBS}:double", ":::", "--workers", "-", ":::2")) == [
        '"--workers--workers"',
        '"--"',
        '":::2:::2"',
    ]


def test_several_functions_are_a_pipeline(here: Here) -> None:
    assert well(here(f"{JOBS}:number", f"{JOBS}:double", "-e", "x + 1", ":::", "1", "2", "3")) == ["3", "5", "7"]


def test_a_function_of_a_file_and_its_neighbours(here: Here, tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("FACTOR = 10\n")
    (tmp_path / "my-script.py").write_text("from neighbour import FACTOR\ndef times(x): return int(x) * FACTOR\n")
    (tmp_path / "plain_script.py").write_text("from neighbour import FACTOR\ndef times(x): return int(x) * FACTOR\n")
    for name in ("my-script.py", "plain_script.py"):
        assert well(here(f"{tmp_path / name}:times", ":::", "1", "2")) == ["10", "20"]


def test_modules_of_the_current_folder_are_found(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "inner.py").write_text(
        "class Maker:\n    @staticmethod\n    def make(x): return 'made ' + x\n"
    )
    assert well(apart("package.inner:Maker.make", ":::", "it", cwd=tmp_path)) == ['"made it"']


def test_names_in_expressions(here: Here) -> None:
    assert well(here("-e", "math.floor(x / 2)", "--import", "math", "5..6")) == ["2", "3"]
    assert well(here("-e", "p.join('a', x)", "--import", "os.path as p", ":::", "b")) == ['"a/b"']
    assert well(here("-e", "[y for y in x if (z := y) > 'a']", ":::", "abc")) == ['["b", "c"]']
    assert well(here("-e", "x[::-1]", "-e", "x.upper()", ":::", "abc")) == ['"CBA"']


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "a function is needed"),
        (
            ("items.txt",),
            "a function is needed, as MODULE:FUNCTION, path/to/file.py:FUNCTION or -e EXPRESSION; got 'items",
        ),
        ((f"{JOBS}:dubble", "1..2"), f"{JOBS} has no 'dubble'; did you mean double?"),
        ((f"{JOBS}:xyzzy", "1..2"), "it has Maker, add, "),
        ((f"{JOBS}:Maker.mak", "1..2"), "did you mean make?"),
        (("jsom:dumps", "1..2"), "there is no module 'jsom'; did you mean json"),
        (("tests.cli.jubs:double", "1..2"), "there is no module 'tests.cli.jubs'; did you mean tests.cli.jobs"),
        (("nowhere.py:double", "1..2"), "nowhere.py: there is no such file"),
        ((f"{JOBS}:VALUE", "1..2"), "is no function but int"),
        ((f"{JOBS}:coroutine", "1..2"), "is a coroutine function"),
        ((f"{JOBS}:generator", "1..2"), "is a generator function"),
        (("-e", "x +", "1..2"), "is no expression of Python"),
        (("-e", "y = x", "1..2"), "is a statement"),
        (("-e", "await x", "1..2"), "is no expression of Python: 'await' outside"),
        (("-e", "(yield x)", "1..2"), "is a generator function"),
        (("-e", "maths.sqrt(x)", "1..2"), "'maths' is not known; x is the item, and --import maths imports a module"),
        (("-e", "x", "--import", "maths", "1..2"), "there is no module 'maths'; did you mean math"),
        (("-e", "x", "--import", "a b", "1..2"), "the name of a module is needed"),
        (
            ("-e", "x", "--setup", f"{JOBS}:reddy", "1..2"),
            "--setup tests.cli.jobs:reddy: tests.cli.jobs has no 'reddy'",
        ),
        (("-e", "x", "--setup", "reddy", "1..2"), "MODULE:FUNCTION or path/to/file.py:FUNCTION is needed"),
        (("-e", "x", "nothing.txt"), "nothing.txt"),
    ],
)
def test_names_of_what_is_not_there_are_refused_with_what_is(here: Here, words: tuple[str, ...], said: str) -> None:
    done = here(*words)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_module_that_raises_is_told_with_its_place(here: Here, tmp_path: Path) -> None:
    (tmp_path / "raises.py").write_text("import json\n\njson.loads('')\n")
    (tmp_path / "wrong_syntax.py").write_text("def f(:\n")
    (tmp_path / "needs.py").write_text("import not_installed_at_all\n")
    done = here(f"{tmp_path}/raises.py:f", "1..2")
    assert done.status == 2
    assert "importing it raised JSONDecodeError" in done.err
    done = here(f"{tmp_path}/wrong_syntax.py:f", "1..2")
    assert re.search(r"importing it raised SyntaxError: .*, .*wrong_syntax.py:1", done.err)
    (tmp_path / "leaves.py").write_text("import sys\n\nsys.exit(3)\n")
    done = here(f"{tmp_path}/leaves.py:f", "1..2")
    assert (done.status, done.out) == (2, "")
    assert re.search(r"importing it raised SystemExit: 3, .*leaves.py:3", done.err)
    done = here(f"{tmp_path}/needs.py:f", "1..2")
    assert "No module named 'not_installed_at_all'" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rate", "1", "--delay", "1"), "--delay S is --rate 1/S"),
        (("--backoff", "1"), "--backoff is the wait before a retry"),
        (("--memory", "1G", "--backend", "threads"), "--memory is of worker processes"),
        (("--memory", "1G", "--batch", "2"), "--memory does not go with --batch yet"),
        (("--quiet", "--progress"), "--quiet and --progress are contraries"),
        (("--key", "a", "--batch", "2"), "--key and --batch do not go together"),
        (("--kwargs", "--batch", "2"), "--kwargs and --batch do not go together"),
        (("--seed", "1", "--batch", "2"), "--seed and --batch do not go together"),
        (("--id", "a"), "--id is about the items of a journal"),
        (("--journal-force",), "--journal-force is about the items of a journal"),
        (("--retry-failed",), "--retry-failed is about the items of a journal"),
        (("--journal", "j.db", "--batch", "2"), "--journal does not go with --batch yet"),
        (("--journal", "j.db", "--joblog", "l"), "--journal and --joblog do not go together"),
        (("--journal", "j.db", "--shuffle"), "--journal with --shuffle needs a SEED, or --id"),
        (("--null", "--from", "csv"), "--from csv has none"),
        (("--import", "math"), "--import is for expressions"),
        (("--halt", "soon,fail=0"), "a whole number of at least 1 is needed"),
        (("--halt", "late,fail=1"), "now,fail=1, soon,fail=10%"),
        (("--output", "/nowhere/at/all"), "its folder does not exist"),
        (("--failures", "/tmp"), "is a folder"),
        (("--failures", "x", "--output", "x"), "is the file of --output, too"),
        (("--report", "run.txt"), "path must end with one of"),
        (("--nice", "99"), "from -20 to 19"),
        (("--memory", "lots"), "a size is needed"),
        (("--to", "xml"), "one of jsonl, lines"),
        (("--tag",), "--tag is for --to lines"),
        (("--with-item", "--to", "lines"), "--with-item is for formats with fields"),
        ((":::", "a", ":::", "b"), "::: can be said once"),
        (("1..2", ":::", "b"), "take one of the two"),
        (("--workers", "none"), "a number, a percentage of the CPUs, or auto"),
    ],
)
def test_words_that_make_no_sense_are_refused(
    here: Here, words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = () if ":::" in words else ("1..2",)
    done = here(f"{JOBS}:double", *first, *words)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert os.listdir(tmp_path) == []


def test_what_is_read_is_not_written_over(here: Here, tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text("1\n")
    for option in ("--output", "--failures", "--joblog"):
        done = here(f"{JOBS}:double", str(file), option, str(file))
        assert done.status == 2
        assert f"is the INPUT {file}, too" in done.err
    assert file.read_text() == "1\n"


# ------------------------------------------------------------------------------------------------------ rows and keys


def test_rows_by_name_and_results_as_rows(here: Here, tmp_path: Path) -> None:
    table = tmp_path / "in.csv"
    table.write_text("name,many\nben,3\nanna,5\n")
    assert well(here("-e", "{**x, 'twice': 2 * int(x['many'])}", str(table), "--to", "csv")) == [
        "name,many,twice",
        "ben,3,6",
        "anna,5,10",
    ]
    assert well(here(f"{JOBS}:add", "--kwargs", "--from", "jsonl", stdin='{"a": 1}\n{"a": 1, "b": 2}\n')) == ["1", "3"]
    done = here(f"{JOBS}:add", "--kwargs", "--from", "jsonl", stdin='{"a": 1}\n[1]\n{"c": 2}\n')
    assert (done.status, done.lines) == (1, ["1"])
    assert "--kwargs needs rows with names" in done.err


def test_items_of_one_key_run_one_at_a_time_and_in_order(here: Here, tmp_path: Path) -> None:
    """Those of one key append to one file; the order there is that of the input."""
    rows = [{"key": n % 3, "n": n} for n in range(60)]
    file = f"open({str(tmp_path)!r} + '/' + str(x['key']), 'a')"
    work = f"(lambda f: (f.write(str(x['n']) + ' '), f.close(), x['n'])[-1])({file})"
    for key in ("key", "x['key']"):
        done = here(
            "-e", work, "--key", key, "-j", "4", "--unordered", "--from", "jsonl", stdin=lines(map(json.dumps, rows))
        )
        assert sorted(map(int, well(done))) == [*range(60)]
        for each in range(3):
            written = tmp_path / str(each)
            assert [*map(int, written.read_text().split())] == [*range(each, 60, 3)]
            written.unlink()


def test_a_row_without_the_key_fails_alone(here: Here) -> None:
    done = here("-e", "1", "--key", "a", "--from", "jsonl", stdin='{"a": 1}\n{"b": 1}\n[5]\n{"a": 2}\n')
    assert (done.status, done.lines) == (1, ["1", "1"])
    assert "there is no field 'a'; there are 'b'" in done.err


# --------------------------------------------------------------------------------------------------------- how it runs


def test_workers(here: Here) -> None:
    assert len(set(well(here(f"{JOBS}:pid", "1..100", "-j", "1")))) == 1
    for said in ("3", "auto", "100%"):
        assert len(well(here(f"{JOBS}:double", "1..100", "--workers", said))) == 100
    assert len(well(here(f"{JOBS}:double", "-e", "x", "1..100", "--workers", "auto"))) == 100


def test_batches(here: Here) -> None:
    assert well(here(f"{JOBS}:sums", "1..5", "--batch", "2")) == ["3", "3", "7", "7", "5"]
    assert well(here(f"{JOBS}:sums", "-N", "2", "--from", "jsonl", stdin="1\n2\n")) == ["3", "3"]
    done = here("-e", "x[:1]", "1..4", "--batch", "2")
    assert (done.status, done.lines) == (1, [])


def test_unordered_results_keep_their_items(here: Here, tmp_path: Path) -> None:
    for more in ((), ("-e", "x")):
        done = here(f"{JOBS}:double", *more, "1..500", "--unordered", "--with-item", "-j", "3")
        found = [json.loads(line) for line in well(done)]
        assert sorted(each["item"] for each in found) == [*range(1, 501)]
        assert all(each["result"] == 2 * each["item"] for each in found)


def test_setup_niceness_and_seed(here: Here) -> None:
    assert well(here(f"{JOBS}:state", "1..2", "--setup", f"{JOBS}:ready")) == ['"ready"'] * 2
    assert well(here(f"{JOBS}:state", "-e", "x", "1..2", "--setup", f"{JOBS}:ready")) == ['"ready"'] * 2
    base = os.nice(0)
    assert well(here(f"{JOBS}:niceness", "1..2", "--nice", "3")) == [str(min(19, base + 3))] * 2
    first = well(here(f"{JOBS}:random_number", "1..5", "--seed", "7", "-j", "1"))
    assert len(set(first)) == 5
    assert well(here(f"{JOBS}:random_number", "1..5", "--seed", "7", "-j", "3")) == first
    assert well(here(f"{JOBS}:random_number", "1..5", "--seed", "8")) != first


def test_no_worker_that_can_start_ends_it_at_once(here: Here) -> None:
    done = here(f"{JOBS}:state", "--setup", f"{JOBS}:broken", stdin=lines(range(10_000)))
    assert (done.status, done.out) == (1, "")
    assert "no worker can start: RuntimeError: no model here" in done.err


def test_limits_and_order(here: Here) -> None:
    assert well(here("-e", "x", "1..100", "--limit", "3")) == ["1", "2", "3"]
    shuffled = well(here("-e", "x", "1..100", "--shuffle", "7"))
    assert sorted(map(int, shuffled)) == [*range(1, 101)]
    assert shuffled != [str(n) for n in range(1, 101)]
    assert well(here("-e", "x", "1..100", "--shuffle=7", "-n", "5")) == shuffled[:5]
    assert sorted(map(int, well(here("-e", "x", "1..100", "--shuffle")))) == [*range(1, 101)]


@pytest.mark.parametrize("word", [("--rate", "20"), ("--delay", "0.05"), ("--rate", "1200/m")])
def test_no_more_than_so_many_a_second(here: Here, word: tuple[str, str]) -> None:
    began = time.monotonic()
    done = here("-e", "__import__('time').monotonic()", "1..6", *word, "-j", "2")
    assert max(map(float, well(done))) - began >= 0.25  # five pauses of 0.05


def test_a_timeout_and_a_death_cost_one_item(here: Here) -> None:
    done = here(f"{JOBS}:nap", "--timeout", "1", ":::", "0", "100", "0")
    assert (done.status, done.lines) == (1, ['"0"', '"0"'])
    assert "1 of 3 items failed: TaskTimeout at argument 2:" in done.err
    done = here(f"{JOBS}:die", ":::", "a", "die", "b")
    assert (done.status, done.lines) == (1, ['"a"', '"b"'])
    assert "WorkerDied" in done.err


def test_retries(here: Here, tmp_path: Path) -> None:
    file = tmp_path / "tries"
    file.touch()
    done = here(f"{JOBS}:flaky", "--retries", "1", ":::", str(file))
    assert (done.status, done.lines) == (1, [])
    file.write_text("")
    assert well(here(f"{JOBS}:flaky", "--retries", "2", "--backoff", "0.01", ":::", str(file))) == ['"after 3"']


def test_what_takes_too_much_memory_is_ended(here: Here) -> None:
    done = here(f"{JOBS}:memory", "--memory", "100M", ":::", "1", "900", "1")
    assert done.status in (0, 1)  # whether it is seen in time is the watcher's
    assert [line for line in done.lines if line != str(900 << 20)] == [str(1 << 20)] * 2


def test_the_window(here: Here, tmp_path: Path) -> None:
    """An item that waits for the result of one before it to be written shows how far reading goes."""
    assert well(here(f"{JOBS}:double", "1..100", "--window", "3")) == [str(2 * n) for n in range(1, 101)]
    assert well(here(f"{JOBS}:double", "-e", "x", "1..100", "--window", "3")) == [str(2 * n) for n in range(1, 101)]


# -------------------------------------------------------------------------------------------------------------- output


def test_what_functions_print_is_no_result(here: Here) -> None:
    for backend in ("processes", "threads"):
        done = here(f"{JOBS}:noisy", "1..2", "--backend", backend)
        assert (done.status, done.lines) == (0, ["1", "2"])
        assert sorted(done.err.splitlines()) == ["printed 1", "printed 2", "written", "written"]


def test_what_modules_print_as_they_are_imported_is_no_result(here: Here, tmp_path: Path) -> None:
    for name in ("called", "setup"):
        source = f"import os\nprint('{name}')\nos.write(1, b'{name}\\n')\ndef f(x=0):\n    return x\n"
        (tmp_path / f"loud_{name}.py").write_text(source)
    words = (f"{tmp_path}/loud_called.py:f", "--setup", f"{tmp_path}/loud_setup.py:f", "1..2", "--backend", "threads")
    done = here(*words)
    assert (done.status, done.lines) == (0, ["1", "2"])
    assert sorted(done.err.splitlines()) == ["called", "called", "setup", "setup"]


def test_results_in_files(here: Here, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(name)
    assert well(here("-e", "open(x).read()", f"{tmp_path}/*.txt", "--out-dir", f"{tmp_path}/out/{{stem}}.up")) == []
    assert [(tmp_path / "out" / f"{name}.up").read_text() for name in "ab"] == ["a", "b"]
    assert well(here("-e", "x", "1..3", "--output", f"{tmp_path}/all.jsonl")) == []
    assert (tmp_path / "all.jsonl").read_text() == "1\n2\n3\n"
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "all.jsonl", "b.txt", "out"]


def test_a_result_that_cannot_be_written_is_a_failure(here: Here, tmp_path: Path) -> None:
    failures = tmp_path / "bad.jsonl"
    done = here("-e", "{1} if x == 2 else x", "1..3", "--failures", str(failures))
    assert (done.status, done.lines) == (1, ["1", "3"])
    record = json.loads(failures.read_text())
    assert (record["item"], record["stage"], record["error"]) == (
        2,
        "output",
        "NotWritable",
    )


def test_a_full_disk_ends_it_with_a_sentence(here: Here) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    done = here("-e", "x", "1..100000", "--output", "/dev/full")
    assert done.status == 1
    assert "No space left on device" in done.err
    assert "Traceback" not in done.err


def test_input_that_breaks_off(here: Here) -> None:
    done = here("-e", "x", "--from", "jsonl", stdin="1\n2\nthree\n4\n")
    assert (done.status, done.lines) == (1, ["1", "2"])
    assert done.err.startswith("procession map: stdin:3: this line is no JSON")
    done = here("-e", "x", "--from", "jsonl", "--skip-bad-input", stdin="1\n2\nthree\n4\n")
    assert (done.status, done.lines) == (0, ["1", "2", "4"])
    assert "1 line or row could not be read and was left out; the first: stdin:3: " in done.err


def test_a_dry_run_calls_nothing(here: Here, tmp_path: Path) -> None:
    assert well(here(f"{JOBS}:die", f"{JOBS}:double", "--dry-run", ":::", "die", "b c")) == [
        f"{JOBS}:die('die') | {JOBS}:double",
        f"{JOBS}:die('b c') | {JOBS}:double",
    ]
    assert well(here(f"{JOBS}:add", "--kwargs", "--dry-run", "--from", "jsonl", stdin='{"a": 1, "b": "x"}\n')) == [
        f"{JOBS}:add(a=1, b='x')"
    ]
    assert well(here(f"{JOBS}:sums", "--batch", "2", "--dry-run", "1..3")) == [
        f"{JOBS}:sums([1, 2])",
        f"{JOBS}:sums([3])",
    ]
    assert well(here("-e", "x + 1", "--dry-run", "1..9", "--limit", "1")) == ["x + 1  with x = 1"]


# ------------------------------------------------------------------------------------------------------------ failures


def test_failures_are_written_told_and_fed_back(here: Here, tmp_path: Path) -> None:
    failures = tmp_path / "bad.jsonl"
    items = tmp_path / "items.txt"
    items.write_text("1\ntwo\n3\nfour\n")
    done = here(f"{JOBS}:number", "--from", "lines", str(items), "--failures", str(failures))
    assert (done.status, done.lines) == (1, ["1", "3"])
    assert done.err == (
        f"procession map: 2 of 4 items failed: 2 ValueError, the first at {items}:2: invalid literal for int() with "
        f"base 10: 'two' (see {failures})\n"
    )
    records = [json.loads(line) for line in failures.read_text().splitlines()]
    assert [(each["item"], each["number"], each["source"]) for each in records] == [
        ("two", 2, str(items)),
        ("four", 4, str(items)),
    ]
    first = records[0]
    assert (first["error"], first["tries"], first["stage"], first["path"]) == ("ValueError", 1, None, None)
    assert "return int(x)" in first["stack"]
    assert well(here(f"{JOBS}:double", str(failures))) == ['"twotwo"', '"fourfour"']
    again = tmp_path / "again.jsonl"
    assert here(f"{JOBS}:number", str(failures), "--failures", str(again)).status == 1
    assert len(again.read_text().splitlines()) == 2


def test_failures_of_stages_name_them(here: Here, tmp_path: Path) -> None:
    failures = tmp_path / "bad.jsonl"
    done = here(f"{JOBS}:double", f"{JOBS}:number", "--failures", str(failures), ":::", "1", "x", "3")
    assert (done.status, done.lines) == (1, ["11", "33"])
    assert json.loads(failures.read_text())["stage"] == f"{JOBS}:number"
    assert json.loads(failures.read_text())["item"] == "x"


def test_several_kinds_of_failures_in_one_line(here: Here) -> None:
    done = here("-e", "1 // x if x < 2 else {}[x] if x < 4 else [][x]", "0..6")
    assert (done.status, done.lines) == (1, ["1"])
    assert "6 of 7 items failed: 3 IndexError, the first at 0..6:5: " in done.err
    assert "2 KeyError, the first at 0..6:3: 2" in done.err
    assert "ZeroDivisionError at 0..6:1: " in done.err
    assert done.err.count("\n") == 1


def test_what_an_error_says_is_no_command_for_a_terminal(here: Here) -> None:
    done = here("-e", r"[].index('\x1b[31m' + x)", "--backend", "inline", "--from", "jsonl", ":::", '"\x9b2J"')
    assert "\\x1b[31m" in done.err
    assert done.err.removesuffix("\n").isprintable()


def test_an_error_that_says_nothing(here: Here) -> None:
    done = here("-e", "next(iter(()))", ":::", "a")
    assert "1 of 1 items failed: StopIteration at argument 1 (--failures" in done.err


def test_quiet_says_nothing(here: Here) -> None:
    done = here(f"{JOBS}:number", "--quiet", ":::", "1", "x")
    assert done == (1, "1\n", "")


def test_quiet_says_why_it_cannot_go_on(here: Here) -> None:
    done = here("-e", "x", "--quiet", "--from", "jsonl", stdin="1\n{\n")
    assert (done.status, done.lines) == (1, ["1"])
    assert done.err.startswith("procession map: stdin:2: this line is no JSON")


@pytest.mark.parametrize(
    ("when", "status", "out"),
    [
        ("now,fail=1", 1, ["0", "1"]),
        ("now,fail=2", 1, ["0", "1", "3", "4", "5"]),
        ("now,success=3", 0, ["0", "1", "3"]),
        ("now,done=3", 1, ["0", "1"]),
        ("now,fail=10%", 1, ["0", "1", "3", "4", "5", "7", "8"]),
        ("never", 1, [str(n) for n in range(20) if n not in (2, 6, 9, 10)]),
    ],
)
def test_halts(here: Here, when: str, status: int, out: list[str]) -> None:
    for backend in ("processes", "threads"):
        done = here(
            "-e",
            "[][x] if x in (2, 6, 9, 10) else x",
            "0..29" if "%" in when else "0..19",
            "--halt",
            when,
            "--backend",
            backend,
        )
        assert (done.status, done.lines) == (status, out)
        assert ("halted (--halt" in done.err) == (when != "never")


def test_a_soon_halt_finishes_what_runs(here: Here) -> None:
    done = here("-e", "[][x] if x == 2 else x", "0..100000", "--halt", "soon,fail=1")
    assert done.status == 1
    numbers = [int(line) for line in done.lines]
    assert numbers[:2] == [0, 1]
    assert numbers == sorted(numbers)
    assert len(numbers) < 100_000


# ------------------------------------------------------------------------------------------------- job log and report


def rows(log: Path) -> list[dict[str, str]]:
    with log.open() as file:
        return [*csv.DictReader(file, delimiter="\t")]


def test_the_job_log(here: Here, tmp_path: Path) -> None:
    log = tmp_path / "jobs.log"
    done = here(f"{JOBS}:nap", "--joblog", str(log), "--timeout", "2", ":::", "0.05", "x y", "100")
    assert (done.status, done.lines) == (1, ['"0.05"'])
    found = rows(log)
    assert [each["Seq"] for each in found] == ["1", "2", "3"]
    assert {each["Host"] for each in found} == {":"}
    assert [(each["Exitval"], each["Signal"]) for each in found] == [("0", "0"), ("1", "0"), ("-1", "15")]
    assert 0.05 <= float(found[0]["JobRuntime"]) < 2 <= float(found[2]["JobRuntime"])
    assert [each["Command"] for each in found][:2] == [
        f"procession map {JOBS}:nap ::: 0.05",
        f"procession map {JOBS}:nap ::: 'x y'",
    ]
    done = here(f"{JOBS}:die", "--joblog", str(log), ":::", "a", "die")
    assert [(each["Exitval"], each["Signal"]) for each in rows(log)] == [("0", "0"), ("0", "9")]


def test_the_job_log_of_stages_and_batches(here: Here, tmp_path: Path) -> None:
    log = tmp_path / "jobs.log"
    assert well(here(f"{JOBS}:double", "-e", "x + 1", "1..3", "--joblog", str(log))) == ["3", "5", "7"]
    assert [each["Exitval"] for each in rows(log)] == ["0"] * 3
    assert well(here(f"{JOBS}:sums", "1..3", "--batch", "2", "--joblog", str(log))) == ["3", "3", "3"]
    assert [each["Seq"] for each in rows(log)] == ["1", "2", "3"]
    done = here(f"{JOBS}:sums", "--batch", "2", "--joblog", str(log), "--from", "jsonl", stdin='1\n"a"\n3\n')
    assert (done.status, done.lines) == (1, ["3"])
    assert [each["Exitval"] for each in rows(log)] == ["1", "1", "0"]


@pytest.mark.e2e
def test_gnu_parallel_reads_the_job_log(here: Here, tmp_path: Path) -> None:
    """It runs again what has failed, by what stands in the log."""
    log = tmp_path / "jobs.log"
    done = here(f"{JOBS}:number", "--joblog", str(log), ":::", "1", "x; y\n'z'", "3")
    assert done.status == 1
    ask = ["parallel", "--will-cite", "--dry-run", "--retry-failed", "--joblog", str(log)]
    again = subprocess.run(
        ask, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert again.stdout == f"procession map {JOBS}:number ::: 'x; y\n'\"'\"'z'\"'\"''\n"


def test_a_report_that_cannot_be_written_is_refused_before_anything_runs(here: Here, tmp_path: Path) -> None:
    done = here(f"{JOBS}:double", "1..10", "--report", str(tmp_path / "nowhere" / "run.html"))
    assert (done.status, done.lines) == (2, [])
    assert "run.html" in done.err


def test_a_report(here: Here, tmp_path: Path) -> None:
    page = tmp_path / "run.html"
    assert well(here(f"{JOBS}:double", "1..10", "--report", str(page))) == [str(2 * n) for n in range(1, 11)]
    assert f"{JOBS}:double" in page.read_text()
