"""The parent is killed, or the whole group is interrupted; tests/launch/parent.py is that parent."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.launch.harness import PATIENCE, SLACK, gone, wait_until

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def parent(*words: str) -> Iterator[tuple[Any, Any]]:
    """The process, and a function that reads what it tells next."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.launch.parent", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process, lambda: json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("method", ["zygote", "fork", "spawn", "forkserver"])
def test_nothing_is_left_a_second_after_the_parent(method: str) -> None:
    with parent("workers", method) as (process, told):
        helper, *workers = told()
        assert not any(map(gone, workers))
        process.kill()
        wait_until(lambda: all(map(gone, workers)), SLACK)
        if helper:
            wait_until(lambda: gone(helper), SLACK)


def test_the_lifeline_kills_without_the_zygote() -> None:
    with parent("stopped") as (process, told):
        _, worker = told()
        (zygote,) = told()
        process.kill()
        wait_until(lambda: gone(worker), SLACK)
        os.kill(zygote, signal.SIGCONT)
        wait_until(lambda: gone(zygote), SLACK)


def test_a_zygote_that_is_preloading_dies_as_well() -> None:
    with parent("preloading") as (process, told):
        (zygote,) = told()
        # In the import: it has mapped ctypes.
        wait_until(lambda: "_ctypes" in Path(f"/proc/{zygote}/maps").read_text())
        process.kill()
        wait_until(lambda: gone(zygote), SLACK)


@pytest.mark.parametrize("run", range(5))
def test_workers_that_were_being_started_die_as_well(run: int) -> None:
    with parent("starting") as (process, told):
        (zygote,) = told()
        children = Path(f"/proc/{zygote}/task/{zygote}/children")
        wait_until(lambda: len(children.read_text().split()) > 3 + run)
        workers = [int(pid) for pid in children.read_text().split()]
        process.kill()
        wait_until(lambda: all(map(gone, [zygote, *workers])), SLACK)
        wait_until(lambda: all(map(gone, session_of(process.pid))), SLACK)  # those that were being forked just then


def session_of(leader: int) -> list[int]:
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if in_session(pid, leader)]


def in_session(pid: int, session: int) -> bool:
    try:
        return os.getsid(pid) == session and pid != session
    except ProcessLookupError:
        return False


def test_an_interrupt_of_the_group_leaves_the_workers_alone_but_not_their_subprocesses() -> None:
    with parent("interrupted") as (process, told):
        assert told() == ["ready"]
        os.killpg(process.pid, signal.SIGINT)
        codes, (subprocess_code,) = told()
        assert codes == [0, 0, 0]
        assert os.WIFSIGNALED(subprocess_code)
        assert os.WTERMSIG(subprocess_code) == signal.SIGINT
        assert process.wait(PATIENCE) == 0


def test_an_interrupt_while_the_zygote_starts() -> None:
    with parent("interrupted_at_once") as (process, told):
        assert told() == [True]
        assert process.wait(PATIENCE) == 0
