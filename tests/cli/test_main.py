"""The command as a user runs it: in a process of its own, piped and on a terminal."""

import ast
import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from procession._version import __version__
from procession.cli import main

if TYPE_CHECKING:
    from procession.cli.complexity import Report

START = "import sys; from procession.cli import main; sys.exit(main())"
QUICK = ("demo", "--quick")
# The same with fewer files: how much is parsed makes no difference to how it is drawn.
SMALL = (
    "from procession.cli import stdlib; library = stdlib.library; stdlib.library = lambda every: library(8 * every); "
)
# What rich looks at to find out where it writes to.
DECIDING = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM", "TERM", "COLUMNS", "LINES")


def surroundings(**more: str) -> dict[str, str]:
    return {**{name: value for name, value in os.environ.items() if name not in DECIDING}, **more}


def piped(*words: str, code: str = START, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, env=surroundings(**more), check=False)


class Terminal:
    """The command on a pseudo-terminal of its own: a session leader, as a shell in a window is."""

    def __init__(self, *words: str, code: str = START, **more: str) -> None:
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:  # pragma: no cover
            os.execve(
                sys.executable,
                [sys.executable, "-c", code, *words],
                surroundings(**{"TERM": "xterm-256color", **more}),
            )

    def read(self, until: str | None = None, seconds: float = 100.0) -> str:
        """All that is shown, until `until` is in it or, if None, until the command closes the terminal."""
        deadline = time.monotonic() + seconds
        while until is None or until not in self.seen:
            assert select.select([self.fd], [], [], max(0.0, deadline - time.monotonic()))[0], self.seen
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # how Linux says that nobody is left at the other end
                data = b""
            if not data:
                assert until is None, self.seen
                break
            self.seen += data.decode(errors="replace")
        return self.seen

    def end(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@contextlib.contextmanager
def terminal(*words: str, code: str = START, **more: str) -> Iterator[Terminal]:
    shown = Terminal(*words, code=code, **more)
    try:
        yield shown
    finally:
        with contextlib.suppress(ChildProcessError, ProcessLookupError):
            if os.waitpid(shown.pid, os.WNOHANG)[0] == 0:
                os.kill(shown.pid, signal.SIGKILL)
                os.waitpid(shown.pid, 0)
        os.close(shown.fd)


# ------------------------------------------------------------------------------------------------------------ the words


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"procession {__version__}\n"


@pytest.mark.parametrize("words", [[], ["nonsense"], ["demo", "--part", "nonsense"], ["demo", "nonsense"]])
def test_unknown_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: procession" in capsys.readouterr().err


def test_help_loads_nothing_that_it_does_not_need() -> None:
    code = (
        "import sys; from procession.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted(name for name in sys.modules if name.startswith(('rich', 'procession'))))"
    )
    for words in (["--help"], ["demo", "--help"], ["map", "--help"]):
        done = piped(*words, code=code)
        assert done.stdout.startswith("usage: procession")
        loaded = set(ast.literal_eval(done.stdout.splitlines()[-1]))
        flags = {name for name in loaded if name.startswith("procession.cli.flags")}
        light = {
            "procession._version",
            "procession.cli",
            "procession.cli.standard",
            "procession.lean",
            "procession.record",
        }
        assert loaded - flags == {"procession", *light}


def test_without_rich_the_extra_is_named() -> None:
    code = (
        "import sys\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'rich': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Blocker())\n"
    )
    done = piped("demo", code=code + START)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "procession demo draws with rich: pip install 'procession[progress]'\n"


# ----------------------------------------------------------------------------------------------------- the whole of it


REFERENCE = (*QUICK, "--part", "reference")


def all_of(shown: Terminal) -> tuple[str, int]:
    """What a terminal shows until the command ends, and its exit code."""
    return shown.read(), shown.end()


@pytest.fixture(scope="module")
def demos() -> Mapping[str, Future[Any]]:
    """All of them at once: they mostly sleep. None is started beside a thread, since a terminal's start is a fork."""
    with contextlib.ExitStack() as stack:
        drawn, grey, dumb = (
            stack.enter_context(terminal(*QUICK, code=SMALL + START)),
            stack.enter_context(terminal(*REFERENCE, NO_COLOR="1")),
            stack.enter_context(terminal(*REFERENCE, TERM="dumb")),
        )
        with ThreadPoolExecutor() as executor:
            found = {
                "drawn": executor.submit(all_of, drawn),
                "grey": executor.submit(all_of, grey),
                "dumb": executor.submit(all_of, dumb),
                "piped": executor.submit(piped, *QUICK),
            }
    return found


@pytest.fixture
def whole(demos: Mapping[str, Future[Any]]) -> subprocess.CompletedProcess[str]:
    done = demos["piped"].result()
    assert isinstance(done, subprocess.CompletedProcess)
    return done


def test_the_demo_piped(whole: subprocess.CompletedProcess[str]) -> None:
    assert (whole.returncode, whole.stderr) == (0, "")
    assert whole.stdout.isascii()
    assert "\x1b" not in whole.stdout
    lines = whole.stdout.splitlines()
    assert all(line == line.rstrip() for line in lines)
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("   ok ") for line in lines) == 7
    assert lines[-1].startswith("Everything held")


def test_each_item_has_a_bar_in_each_run(whole: subprocess.CompletedProcess[str]) -> None:
    runs = re.findall(r"^   worker .*?^   work .*?$", whole.stdout, re.MULTILINE | re.DOTALL)
    assert len(runs) == 6
    for run in runs:
        rows = re.findall(r"^   (?:pid|thread) \d+ +(.*)$", run, re.MULTILINE)
        bars = sorted(int(item) for row in rows for item in re.findall(r"\d+", row))  # a narrow one has no edges
        assert bars, run
        wall, limit = (float(found) for found in re.findall(r"(?:wall|limit) +([\d.]+) s", run))
        if wall < 1.6 * limit:  # else the machine was busy elsewhere, and bars are narrower than their numbers
            assert bars == [*range(3, 31, 3)], run


def test_both_times_and_the_ten_most_complex_functions_are_printed(whole: subprocess.CompletedProcess[str]) -> None:
    _, _, job = whole.stdout.partition("2. A real job")
    assert re.search(r"^   in sequence +\d+\.\d\d s$", job, re.MULTILINE)
    assert re.search(
        r"^   through imap +\d+\.\d\d s +\d+\.\d\dx as fast, \d+ workers? on \d+ cores?$", job, re.MULTILINE
    )
    numbers = [int(each) for each in re.findall(r"^ +(\d+)   \S+ +\S+\.py:\d+$", job, re.MULTILINE)]
    assert len(numbers) == 10
    assert numbers == sorted(numbers, reverse=True)


def test_the_demo_on_a_terminal_is_drawn_while_it_runs(demos: Mapping[str, Future[Any]]) -> None:
    seen, status = demos["drawn"].result()
    assert status == 0
    assert "Everything held" in seen
    assert "\x1b[?25l" in seen  # the cursor is hidden while something is redrawn
    assert seen.count("\x1b[?25h") == seen.count("\x1b[?25l")  # and comes back
    assert "\x1b[30;43m" in seen  # the long item is set off by its colour
    assert "through imap" in seen


def test_terminals_without_colour_get_brackets(demos: Mapping[str, Future[Any]]) -> None:
    (grey, _), (dumb, _) = found = [demos[name].result() for name in ("grey", "dumb")]
    assert not re.search(r"\x1b\[[0-9;]*[34][0-7][0-9;]*m", grey)
    assert "\x1b" not in dumb
    for seen, status in found:
        assert status == 0
        assert "[9=====" in seen
        assert "2. A real job" not in seen


def test_a_difference_ends_with_status_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from procession.cli import stdlib

    def backwards(files: Sequence[str]) -> tuple[list["Report"], float, int]:
        return [stdlib.analyse(file) for file in reversed(files)], 1.0, 2

    monkeypatch.setattr(stdlib, "parallel", backwards)
    library = stdlib.library
    monkeypatch.setattr(stdlib, "library", lambda every: library(20 * every))
    assert main([*QUICK, "--part", "stdlib"]) == 1
    out = capsys.readouterr().out
    assert "FAILED" in out
    assert "Something did not hold" in out


# --------------------------------------------------------------------------------------------------------- interrupted


@pytest.mark.parametrize(
    ("words", "when"),
    [
        (("--part", "reference"), "Pool(8) on processes"),
        (("--part", "reference"), "Pool(8) on threads"),
        (("--part", "stdlib"), "is parsed"),
    ],
)
def test_control_c_ends_it_without_a_traceback(words: tuple[str, ...], when: str) -> None:
    with terminal("demo", *words) as shown:
        shown.read(until=when)
        time.sleep(0.5)  # into the work: whenever it comes, the end is to be the same
        os.write(shown.fd, b"\x03")
        seen = shown.read(seconds=20)
        assert shown.end() == 130
    assert "Traceback" not in seen
    assert "interrupted" in seen
    assert seen.count("\x1b[?25h") == seen.count("\x1b[?25l")
