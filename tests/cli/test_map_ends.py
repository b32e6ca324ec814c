"""How `procession map` ends before its input does: Ctrl-C once and twice, signals, a reader that goes; endless input.

Runs are processes of their own; what they are at is known by the files that their items make.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import psutil
import pytest

from tests.cli.mapped import JOBS, command, lines, surroundings

PATIENCE = 60


@contextmanager
def started(*words: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """A run in a process of its own, in a process group of its own, as a shell starts a job."""
    piped: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    run = subprocess.Popen(
        command(*words), text=True, env=surroundings(), start_new_session=True, bufsize=1, **{**piped, **more}
    )
    try:
        yield run
    finally:
        if run.poll() is None:
            run.kill()
        for file in (run.stdin, run.stdout, run.stderr):
            if file is not None:
                try:
                    file.close()
                except BrokenPipeError:
                    pass
        run.wait(PATIENCE)


def until(what: Callable[[], object]) -> None:
    """Wait for it to be so."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def interrupt(run: subprocess.Popen[str], signum: int = signal.SIGINT) -> None:
    """To the whole group, as a terminal does it."""
    os.killpg(run.pid, signum)


@pytest.fixture
def doors(tmp_path: Path) -> list[Path]:
    """Items of `jobs:wait_for`: an item runs until its file is there."""
    return [tmp_path / f"door{number}" for number in range(40)]


def runs(door: Path) -> bool:
    return Path(f"{door}.runs").exists()


def running(doors: list[Path]) -> list[Path]:
    """Those of which an item has begun to run."""
    return [door for door in doors if runs(door)]


def workers(run: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(run.pid).children(recursive=True)


# ---------------------------------------------------------------------------------------------------------- interrupts


@pytest.mark.parametrize("backend", ["processes", "threads"])
@pytest.mark.parametrize("source", ["pipe", "literals"])
def test_the_first_interrupt_finishes_what_runs_and_starts_nothing(
    doors: list[Path], backend: str, source: str
) -> None:
    items = [str(door) for door in doors]
    words = [f"{JOBS}:wait_for", "-j", "2", "--backend", backend]
    words += [":::", *items] if source == "literals" else []
    with started(*words) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        assert run.stderr is not None
        if source == "pipe":  # which stays open: more could come
            run.stdin.write(lines(items))
            run.stdin.flush()
        doors[0].touch()
        assert run.stdout.readline() == '"door0"\n'
        until(lambda: len(running(doors)) == 3)  # which two these are is not said: one may have two in hand
        interrupt(run)
        assert "Ctrl-C once more" in run.stderr.readline()
        ran = running(doors)
        for door in reversed(ran[1:]):
            door.touch()
        assert run.stdout.read() == lines(f'"{door.name}"' for door in ran[1:])
        assert run.wait(PATIENCE) == 130
        assert re.fullmatch(
            r"procession map: interrupted: 3 items are done; \d+ that had been read were not run to their end\n",
            run.stderr.read(),
        )
    assert running(doors) == ran


def test_the_second_interrupt_ends_it_at_once(doors: list[Path]) -> None:
    with started(f"{JOBS}:wait_for", "-j", "2", ":::", *map(str, doors)) as run:
        assert run.stderr is not None
        assert run.stdout is not None
        until(lambda: len(running(doors)) == 2)
        children = workers(run)
        interrupt(run)
        assert "Ctrl-C once more" in run.stderr.readline()
        interrupt(run)
        assert run.wait(PATIENCE) == 130
        assert run.stdout.read() == ""
        psutil.wait_procs(children, timeout=PATIENCE)
        assert not any(child.is_running() and child.status() != "zombie" for child in children)


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("backend", ["processes", "threads", "inline"])
def test_other_signals_are_as_the_second_interrupt(doors: list[Path], signum: int, status: int, backend: str) -> None:
    """A thread, or the program itself, that is in a task ends with the program, some seconds later."""
    with started(f"{JOBS}:wait_for", "-j", "1", "--backend", backend, ":::", *map(str, doors)) as run:
        until(lambda: runs(doors[0]))
        run.send_signal(signum)
        assert run.wait(PATIENCE) == status


def test_a_signal_that_was_ignored_stays_so(doors: list[Path]) -> None:
    """As in a job in the background of a plain shell, or under nohup."""
    ignore = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    )
    words = command(f"{JOBS}:wait_for", "-j", "1", ":::", str(doors[0]))
    words[2] = ignore + words[2]
    run = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=surroundings(), start_new_session=True)
    try:
        until(lambda: runs(doors[0]))
        interrupt(run)
        interrupt(run, signal.SIGHUP)
        doors[0].touch()
        assert run.communicate(timeout=PATIENCE)[0] == '"door0"\n'
        assert run.returncode == 0
    finally:
        run.kill()
        run.wait()


def test_an_interrupt_ends_a_pipeline(doors: list[Path]) -> None:
    with started("-e", "x", f"{JOBS}:wait_for", "-j", "1", "--window", "3", "--from", "lines") as run:
        assert run.stdin is not None
        assert run.stderr is not None
        assert run.stdout is not None
        run.stdin.write(lines(doors))
        run.stdin.flush()
        until(lambda: runs(doors[0]))
        interrupt(run)
        assert "Ctrl-C once more" in run.stderr.readline()
        for door in doors[:4]:
            door.touch()
        assert run.wait(PATIENCE) == 130
        assert run.stdout.readlines() == [f'"{door.name}"\n' for door in doors[: len(running(doors))]]


@pytest.mark.parametrize("times", [1, 2])
def test_control_c_on_a_terminal(doors: list[Path], tmp_path: Path, times: int) -> None:
    """With a bar; the terminal is left as it was."""
    items = tmp_path / "items.txt"
    items.write_text(lines(doors))
    words = command(f"{JOBS}:wait_for", "-j", "2", "--from", "lines", str(items))
    shown = pexpect.spawn(
        words[0], words[1:], encoding="utf-8", timeout=PATIENCE, dimensions=(24, 100), env=surroundings(TERM="xterm")
    )
    try:
        doors[0].touch()
        shown.expect('"door0"')
        shown.expect("1/40")  # the bar
        until(lambda: len(running(doors)) == 3)
        ran = running(doors)
        shown.sendintr()
        shown.expect("Ctrl-C once more ends it at once")
        if times == 2:
            shown.sendintr()
        else:
            for door in reversed(ran[1:]):
                door.touch()
            for door in ran[1:]:
                shown.expect(f'"{door.name}"')
        shown.expect(f"interrupted: {'1 item is' if times == 2 else '3 items are'} done")
        shown.expect(pexpect.EOF)
    finally:
        shown.close()
    assert shown.exitstatus == 130
    assert running(doors) == ran


# --------------------------------------------------------------------------------------------------------- the reader


def test_a_reader_that_goes_is_no_error() -> None:
    """As of `| head -2`; the input is endless."""
    pipe = f"yes | {shlex.join(command(f'{JOBS}:double'))} | head -2; echo ${{PIPESTATUS[@]}}"
    done = subprocess.run(
        ["bash", "-c", pipe], capture_output=True, text=True, timeout=PATIENCE, env=surroundings(), check=False
    )
    assert done.stdout == '"yy"\n"yy"\n141 0 0\n'
    assert done.stderr == ""


def test_a_reader_that_goes_is_noticed_while_nothing_is_written(doors: list[Path]) -> None:
    with started(f"{JOBS}:wait_for", "-j", "1", ":::", *map(str, doors)) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        until(lambda: runs(doors[0]))
        run.stdout.close()
        assert run.wait(PATIENCE) == 0
        assert run.stderr.read() == ""


def test_a_reader_that_goes_after_a_failure() -> None:
    with started(f"{JOBS}:number") as run:
        assert run.stdin is not None
        assert run.stdout is not None
        run.stdin.write("x\n1\n")
        run.stdin.flush()
        assert run.stdout.readline() == "1\n"
        run.stdout.close()
        assert run.wait(PATIENCE) == 1


# ------------------------------------------------------------------------------------------------------- endless input


@pytest.mark.parametrize("more", [(), ("-e", "x"), ("--unordered",)])
def test_results_come_out_while_the_input_waits(more: tuple[str, ...]) -> None:
    with started(f"{JOBS}:double", *more) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        for item in ("a", "b", "c"):
            run.stdin.write(f"{item}\n")
            run.stdin.flush()
            assert run.stdout.readline() == f'"{item}{item}"\n'
        run.stdin.close()
        assert run.wait(PATIENCE) == 0


def test_batches_that_are_not_full_go_on_while_the_input_waits() -> None:
    with started("-e", "[each * 2 for each in x]", "--batch", "100") as run:
        assert run.stdin is not None
        assert run.stdout is not None
        run.stdin.write("a\nb\n")
        run.stdin.flush()
        assert [run.stdout.readline() for _ in range(2)] == ['"aa"\n', '"bb"\n']


@pytest.mark.parametrize("more", [(), ("-e", "x")])
def test_an_endless_input_is_read_no_further_than_results_are_taken(more: tuple[str, ...]) -> None:
    """Who does not read the output is waited for: the input's pipe fills, and so nothing more is taken in."""
    with started(f"{JOBS}:double", *more) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        fd = run.stdin.fileno()
        os.set_blocking(fd, False)
        written = 0
        block = (b"y" * 63 + b"\n") * 64

        def stuck() -> bool:
            nonlocal written
            try:
                written += os.write(fd, block)
            except BlockingIOError:
                return not select.select([], [fd], [], 2)[1]
            return False

        until(stuck)
        assert written < 16 << 20
        assert run.stdout.readline() == '"' + 126 * "y" + '"\n'
        before = psutil.Process(run.pid).memory_info().rss
        assert before < 400 << 20
        run.kill()
