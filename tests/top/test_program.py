"""A real program is looked at, and changed: one for all tests here. It is asked until it is as it must come to be."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pexpect
import pyte
import pytest

from procession import cli
from procession.cli import top
from procession.cli.top_asking import Gone, Program, Refused, find, found
from procession.seeing.attending import places
from tests.top.running import PATIENCE, SCRIPT, Running, in_a_folder, started, until

changes = pytest.mark.leaks("workers of the program that all tests look at are replaced")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ptop", dir="/tmp") as name:
        yield Path(name)


def alone(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Programs are sought there, and not where others of this user listen."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setattr(places, "TMP", str(folder))
    monkeypatch.setattr(places, "RUN", str(folder))


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with in_a_folder() as made:
        yield made


@pytest.fixture
def program(running: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    alone(monkeypatch, running.folder)
    with closing(running.attend()) as made:
        yield made


def pools(program: Program) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = program.ask("look")["pools"]
    return seen


def runs(program: Program, task: str) -> list[dict[str, Any]]:
    return [row for row in pools(program)[0]["rows"] if row["state"] == "runs" and task in row["task"]]


def begun(running: Running, program: Program, name: str) -> dict[str, Any]:
    """The row of the worker that holds this.

    Who is shown to run something may not have begun it: drained or killed at that moment, it gives it back, unstarted.
    """
    running.tell(f"hold {running.folder / name}")
    until((running.folder / f"{name}-begun").exists)
    (row,) = until(lambda: runs(program, name))
    found: dict[str, Any] = row
    return found


def test_what_there_is_is_seen(running: Running, program: Program) -> None:
    seen = program.ask("look")
    assert seen["program"]["pid"] == running.pid
    assert str(SCRIPT) in seen["program"]["command"]
    assert [(pool["kind"], pool["name"], pool["backend"], pool["width"]) for pool in seen["pools"]] == [
        ("Pool", "", "processes", 2),
        ("Pool", "", "threads", 1),
        ("SpinOff", "double", "processes", 1),
        ("Pool", "", "processes", 2),
    ]
    assert seen["pools"][1]["rows"][0]["state"] == "idle"
    assert "double" in {stream["name"] for stream in seen["streams"]}


def test_the_head_of_the_line_is_seen(program: Program) -> None:
    def head() -> Any:
        return [each for each in program.ask("look")["streams"] if each["kind"] == "imap" and each["head"] == 0]

    (stream,) = until(head)
    assert stream["engine"] == pools(program)[3]["number"]
    until(lambda: head()[0]["head_for"] > 0)
    (row,) = [row for row in pools(program)[3]["rows"] if row["state"] == "runs"]
    assert "late" in row["task"]


def test_errors_and_rates_are_known_while_somebody_looks(running: Running, program: Program) -> None:
    until(lambda: pools(program)[0].get("rate") is not None)  # since when it listens

    def told() -> Any:
        running.tell("fail 7")
        return pools(program)[0]["errors"]

    error = until(told)[0]
    assert (error["kind"], error["text"], error["function"]) == ("ValueError", "item 7 is bad", "fail")
    assert "in fail" in error["stack"]
    assert pools(program)[0]["failures"] >= 1


@changes
def test_a_worker_is_killed_and_replaced(running: Running, program: Program) -> None:
    row = begun(running, program, "never")
    number = pools(program)[0]["number"]
    assert "Current thread" in program.ask("dump", pool=number)["dump"]
    assert program.ask("kill", pool=number, worker=row["wid"])["done"] == "kill"
    running.heard("held WorkerDied")
    until(lambda: pools(program)[0]["died"] == 1)
    with pytest.raises(Refused, match=f"there is no worker {row['wid']}"):
        program.ask("kill", pool=number, worker=row["wid"])


@changes
def test_a_worker_is_drained_when_it_is_through(running: Running, program: Program) -> None:
    held = running.folder / "held"
    row = begun(running, program, "held")
    number = pools(program)[0]["number"]
    assert program.ask("drain", pool=number, worker=row["wid"])["done"] == "drain"
    until(lambda: "to be replaced" in [each["note"] for each in runs(program, "held")])
    held.touch()
    running.heard(f"held {held}")
    until(lambda: row["wid"] not in [each["wid"] for each in pools(program)[0]["rows"]])


@changes
def test_a_pool_is_resized(running: Running, program: Program) -> None:
    number = pools(program)[0]["number"]
    assert program.ask("resize", pool=number, n=3)["done"] == "resize"
    until(lambda: pools(program)[0]["width"] == 3)
    with pytest.raises(Refused, match="at least one"):
        program.ask("resize", pool=number, n=0)


def test_what_cannot_be_done_is_told_in_words(program: Program) -> None:
    _, threads, spin, _ = (pool["number"] for pool in pools(program))
    for do, words, why in (
        ("kill", {"pool": threads, "worker": 0}, "a thread cannot be killed"),
        ("drain", {"pool": threads, "worker": 0}, "it is not replaced"),
        ("resize", {"pool": spin, "n": 3}, "part of what it promises"),
        ("drain", {"pool": spin, "worker": 99}, "there is no worker 99"),
        ("dump", {"pool": 99}, "there is no pool 99"),
    ):
        with pytest.raises(Refused, match=why):
            program.ask(do, **words)


def test_nothing_is_measured_when_nobody_looks_any_more(program: Program, running: Running) -> None:
    program.close()
    with closing(running.attend()) as another:
        until(lambda: "rate" in pools(another)[0])  # a thread begins to listen


def test_scripts_get_text_or_json(
    running: Running, program: Program, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(top, "MEASURED", 0.1)
    assert [pid for pid, _ in found()] == [running.pid]
    assert cli.main(["top", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["program"]["pid"] == running.pid
    monkeypatch.setenv("COLUMNS", "60")
    assert cli.main(["top", str(running.pid), "--once"]) == 0
    text = capsys.readouterr().out
    assert "Pool 1 (threads)" in text
    assert max(map(len, text.splitlines())) <= 60


def test_who_cannot_be_looked_at_is_told(
    folder: Path, program: Program, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["top", str(os.getpid()), "--once"]) == 1
    assert "cannot be looked at" in capsys.readouterr().err
    assert cli.main(["top", "4194305"]) == 1
    assert "there is no program" in capsys.readouterr().err
    alone(monkeypatch, folder)
    assert cli.main(["top", "--json"]) == 1
    assert "no program that uses procession was found" in capsys.readouterr().err
    for wrong in (["0"], ["-1"], ["x"], ["--interval", "0"], ["--interval", "soon"], ["1", "2"]):
        with pytest.raises(SystemExit) as caught:
            cli.main(["top", *wrong])
        assert caught.value.code == 2


def test_a_screen_without_rich_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(Gone, match=r"pip install 'procession\[top\]'"):
        top.watched(1, 1.0)


class Screen:
    """`procession top` on a terminal, and what is seen there."""

    def __init__(self, running: Running, columns: int, rows: int, **environ: str) -> None:
        words = [
            "-c",
            "import sys; from procession.cli import main; sys.exit(main())",
            "top",
            str(running.pid),
            "--interval",
            "0.2",
        ]
        environ = {**running.environ, "TERM": "xterm-256color", **environ}
        self.child = pexpect.spawn(
            sys.executable, words, env=environ, dimensions=(rows, columns), encoding="utf-8", timeout=PATIENCE
        )
        self.seen = pyte.Screen(columns, rows)
        self.stream = pyte.Stream(self.seen)
        self.raw = ""

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.seen.display)

    def feed(self) -> None:
        try:
            came = self.child.read_nonblocking(1 << 16, 0.05)
        except pexpect.TIMEOUT:
            return
        self.raw += came
        self.stream.feed(came)

    def shows(self, *words: str) -> str:
        def all_there() -> bool:
            self.feed()
            return all(word in self.text for word in words)

        until(all_there)
        return self.text

    def leave(self, key: str) -> int | None:
        self.child.send(key)
        try:
            while True:
                self.raw += self.child.read_nonblocking(1 << 16, PATIENCE)
        except pexpect.EOF:
            pass
        self.child.close()
        assert self.raw.endswith(("\x1b[?25h\x1b[?1049l", "\x1b[?25h\x1b[?1049linterrupted\r\n"))
        return self.child.exitstatus


@changes
def test_the_screen_shows_it_and_keys_are_obeyed(running: Running, program: Program) -> None:
    screen = Screen(running, 110, 40)
    screen.shows("Pool 0 (processes)", "SpinOff 2 double", "item 0 is what they wait for", "q quit")
    screen.child.send("?")
    screen.shows("kill the worker", "any other key".capitalize())
    screen.child.send(" " * 3 + "z" + "d")
    screen.shows("pool of processes, open", "any key: back")
    screen.child.send("zr4\r")
    screen.shows("resize pool 0 to 4: done")
    until(lambda: pools(program)[0]["width"] == 4)
    screen.child.send("jK")
    screen.shows("? y/n")
    screen.child.send("n")
    screen.shows("not killed")
    assert screen.leave("q") == 0


def test_a_narrow_screen_without_colours_that_is_left_by_ctrl_c(running: Running, program: Program) -> None:
    screen = Screen(running, 40, 12, NO_COLOR="1")
    screen.shows("Pool 0", "q quit")
    screen.child.setwinsize(20, 60)
    screen.seen.resize(20, 60)
    screen.shows("Pool 1 (threads)", "q quit")
    assert "\x1b[31m" not in screen.raw
    assert "\x1b[1;31m" not in screen.raw
    assert screen.leave("\x03") == 130


def test_the_screen_is_left_when_the_program_ends_and_its_socket_is_gone(running: Running, program: Program) -> None:
    """The last test of this program."""
    screen = Screen(running, 80, 24)
    screen.shows("Pool 0")
    running.tell("end")
    try:
        while True:
            screen.raw += screen.child.read_nonblocking(1 << 16, PATIENCE)
    except pexpect.EOF:
        pass
    screen.child.close()
    assert screen.child.exitstatus == 1
    assert f"program {running.pid} has ended" in screen.raw
    running.heard(f"stream {sum(range(20))}")
    running.heard("over")
    assert running.process.wait(PATIENCE) == 0
    assert not running.path.exists()


def test_what_a_killed_program_leaves_is_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch, folder)
    made = started(folder)
    try:
        with closing(made.attend()) as program:
            program.ask("look")
            with closing(find(made.pid)) as another:
                another.ask("look")
        made.process.kill()
        made.process.wait(PATIENCE)
        assert made.path.exists()
        assert found() == []
        assert not made.path.exists()
    finally:
        made.close()


ENDS = """
import os, sys, threading, time
from pathlib import Path
from procession import Pool, tapping
how, there = sys.argv[1], Path(os.environ["XDG_RUNTIME_DIR"], "procession", f"{os.getpid()}.sock")
pool = Pool(1, backend="threads")
pool.submit(abs, -1).result()
if how != "never":
    while not there.exists():
        time.sleep(0.01)
if how == "error":
    raise RuntimeError("left by an error")
if how == "fork":
    pid = os.fork()
    if not pid:
        os._exit(any(os.readlink(f"/proc/self/fd/{fd}").startswith("socket") for fd in os.listdir("/proc/self/fd")
                     if os.path.exists(f"/proc/self/fd/{fd}")))
    print(os.waitpid(pid, 0)[1], there.exists())
if how == "again":
    pool.shutdown()
    while there.exists():
        time.sleep(0.01)
    pool = Pool(1, backend="threads")
    pool.submit(abs, -1).result()
    while not there.exists():
        time.sleep(0.01)
if how == "never":
    print(tapping.greet, "procession.seeing" in sys.modules)
print(there)
"""


@pytest.mark.parametrize("how", ["order", "error", "fork", "again", "never"])
def test_however_a_program_ends_its_socket_is_gone(folder: Path, how: str) -> None:
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "PROCESSION_TOP": "0" if how == "never" else ""}
    done = subprocess.run(
        [sys.executable, "-c", ENDS, how], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, "left by an error" in done.stderr) == ((1, True) if how == "error" else (0, False))
    assert list(folder.glob("procession/*")) == []
    if how == "fork":
        assert done.stdout.splitlines()[0] == "0 True"
    if how == "never":
        assert done.stdout.splitlines()[0] == "None False"
        assert not (folder / "procession").exists()


def test_where_nobody_may_listen_one_line_says_why(folder: Path) -> None:
    (folder / "procession").mkdir()
    (folder / "procession").chmod(0o777)
    program = """
import logging, threading
from procession import Pool
said = threading.Event()
class Handler(logging.Handler):
    def emit(self, record):
        print(record.levelname, record.getMessage())
        said.set()
logging.getLogger("procession").addHandler(Handler())
with Pool(1, backend="threads") as pool:
    print(pool.submit(abs, -1).result())
    assert said.wait(30)
"""
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "PROCESSION_TOP": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    first, second = done.stdout.splitlines()
    assert first == "1"
    assert second.startswith("WARNING procession top cannot look at this process:")
    assert second.endswith("is open to others (mode 777)")
