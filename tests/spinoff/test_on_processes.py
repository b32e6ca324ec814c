"""A SpinOff on worker processes: the parts that only they can break."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path
from pickle import PicklingError

import pytest

from procession.errors import WorkerDied
from procession.spinoff import SpinOff
from tests import warm
from tests.spinoff import work

kept_zygote = warm.keep()


@pytest.fixture(autouse=True)
def engines() -> None:
    """The real ones here."""


def test_in_order() -> None:
    with SpinOff(work.double, workers=2) as spin:
        for x in range(500):
            spin.put(x)
    assert list(spin) == [2 * x for x in range(500)]


def test_a_lambda_and_keys() -> None:
    with SpinOff(lambda x: x + 1, workers=2, key=lambda x: x % 3, ordered=False) as spin:
        spin.put_many(range(60))
    got = list(spin)
    for rest in range(3):
        mine = [x for x in got if (x - 1) % 3 == rest]
        assert mine == sorted(mine)
    assert sorted(got) == [x + 1 for x in range(60)]


def test_a_death_costs_its_item_alone_and_keeps_the_order() -> None:
    with SpinOff(work.die_on_three, on_error="return") as spin:
        spin.put_many(range(6))
    got = list(spin)
    assert isinstance(got[3], WorkerDied)
    assert [*got[:3], *got[4:]] == [0, 1, 2, 4, 5]


def test_state_and_teardown(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with SpinOff(work.with_state, workers=2, setup=work.Model(str(log))) as spin:
        spin.put_many(range(20))
    assert list(spin) == [(True, x) for x in range(20)]
    assert set(log.read_text().split()) == {"teardown"}


def test_a_teardown_that_fails_comes_out_of_the_block() -> None:
    with pytest.raises(LookupError, match="teardown"):
        with SpinOff(work.with_state, setup=work.Broken("")) as spin:
            spin.put(1)
    assert list(spin) == [(True, 1)]


def test_what_does_not_pickle_fails_at_its_place() -> None:
    with SpinOff(work.double, on_error="return") as spin:
        spin.put_many([1, threading.Lock(), 2])
    one, error, two = spin
    assert (one, two) == (2, 4)
    assert isinstance(error, PicklingError)
    with SpinOff(work.unpicklable, on_error="return") as spin:
        spin.put(1)
    (error,) = spin
    assert isinstance(error, PicklingError)


def test_drop_oldest_takes_back_what_a_worker_has_in_hand_but_not_begun() -> None:
    with SpinOff(work.double, maxsize=5, overflow="drop_oldest") as spin:
        for x in range(300):
            spin.put(x)
    got = list(spin)
    assert got == sorted(got)
    assert got[-1] == 2 * 299
    assert len(got) + spin.stats().dropped == 300


def test_dropped_without_close_it_finishes() -> None:
    spin = SpinOff(work.double, key=lambda x: 0, workers=2)
    futures = spin.put_many(range(50))
    del spin
    gc.collect()
    assert [future.result(30) for future in futures] == [2 * x for x in range(50)]


PROGRAM = """
import sys
from procession.spinoff import SpinOff

def append(x):
    with open(sys.argv[1], "a") as file:
        file.write(f"{x}\\n")

if __name__ == "__main__":
    spin = SpinOff(append, backend=sys.argv[2], workers=2, key=lambda x: 0)
    spin.put_many(range(30))
    if sys.argv[3] == "interrupt":
        raise KeyboardInterrupt
"""


@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_what_was_put_runs_although_the_program_ends(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), backend, "end"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_text().split() == [str(x) for x in range(30)]


def test_a_program_that_is_interrupted_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "log"), "processes", "interrupt"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "KeyboardInterrupt" in done.stderr


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_in_a_forked_child_it_refuses_and_leaves_its_block_at_once() -> None:
    with SpinOff(work.double) as spin:
        spin.put(1)
        pid = os.fork()
        if pid == 0:
            answers = []
            for use in (lambda: spin.put(2), spin.ready, lambda: next(spin)):
                try:
                    use()
                except RuntimeError as error:
                    answers.append("parent process" in str(error))
            spin.__exit__(None, None, None)
            os._exit(0 if answers == [True] * 3 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert list(spin) == [2]
