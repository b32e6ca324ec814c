"""ring.h in C, under load and under the sanitizers: what tests/native/stress.c says of it. `pytest -s` shows counts.

Each run prints its seed; `stress threads SEED ROUNDS` makes the same decisions again, if not with the same timing. That
the thread sanitizer, and the checks of the program itself, find what they are for is shown with faults in ring.h.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.native.building import NATIVE, build, compiler, runs

CC = compiler()
pytestmark = [
    pytest.mark.skipif(CC is None, reason="there is no C compiler"),
    pytest.mark.skipif(sys.platform != "linux", reason="futexes are Linux"),
]

BUILDS = {
    "plain": ("-O2",),
    "thread": ("-O1", "-g", "-fsanitize=thread"),
    "address,undefined": ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
}
ROUNDS = {"plain": 100, "thread": 25, "address,undefined": 50}


@pytest.fixture(scope="module", params=BUILDS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    name: str = request.param
    folder = tmp_path_factory.mktemp("stress")
    assert CC is not None
    if not runs(CC, BUILDS[name], folder):
        pytest.skip(f"{CC} has no runtime for -fsanitize={name} here")
    return name, build(CC, BUILDS[name], folder / "stress")


def run(program: Path, mode: str, seed: int, rounds: int) -> subprocess.CompletedProcess[str]:
    """One run of the program; its watchdog ends it, not we."""
    words, env = [program, mode, str(seed), str(rounds)], {**os.environ, "TSAN_OPTIONS": "halt_on_error=1"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=env)
    print(f"\n{done.stdout}{done.stderr}", end="")
    return done


@pytest.mark.parametrize("mode", ["threads", "kills"])
def test_two_sides_under_load(program: tuple[str, Path], mode: str) -> None:
    name, path = program
    seed = random.randrange(1 << 32)
    print(f"\n{name}, seed {seed}", end="")
    done = run(path, mode, seed, ROUNDS[name])
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    counts = [int(number) for number in re.findall(r"\b[0-9]+\b", done.stdout)]
    _, _, outcomes, back, deaths, lost, *_ = counts
    assert outcomes > 0
    assert back > 0
    assert lost <= deaths
    assert (deaths > 0) == (mode == "kills")


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("mode", ["threads", "kills"])
def test_two_sides_for_long(program: tuple[str, Path], mode: str) -> None:
    name, path = program
    for _ in range(20):
        done = run(path, mode, random.randrange(1 << 32), ROUNDS[name] * 8)
        assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------------------------------------- seeded faults


def seeded(tmp_path: Path, build_of: str, *changes: tuple[str, str], more: tuple[str, ...] = ()) -> Path:
    """The program, with a ring.h in which something is wrong."""
    assert CC is not None
    if not runs(CC, BUILDS[build_of], tmp_path):
        pytest.skip(f"{CC} has no runtime for -fsanitize={build_of} here")
    text = (NATIVE / "ring.h").read_text()
    for right, wrong in changes:
        assert right in text, f"ring.h has no {right!r} any more: seed another fault"
        text = text.replace(right, wrong)
    (tmp_path / "ring.h").write_text(text)
    return build(CC, (*BUILDS[build_of], *more), tmp_path / "stress", tmp_path)


def within(text: str, function: str, right: str, wrong: str) -> tuple[str, str]:
    """A change inside of one function of ring.h."""
    start = text.index(f" {function}(")
    body = text[start : text.index("\n}\n", start)]
    assert right in body, f"{function} has no {right!r} any more: seed another fault"
    return body, body.replace(right, wrong)


@pytest.mark.parametrize(
    ("function", "right", "wrong"),
    [
        ("ring_publish_task", "memory_order_seq_cst", "memory_order_relaxed"),
        ("ring_publish_out", "memory_order_release", "memory_order_relaxed"),
    ],
)
def test_the_thread_sanitizer_finds_a_lost_release(tmp_path: Path, function: str, right: str, wrong: str) -> None:
    program = seeded(tmp_path, "thread", within((NATIVE / "ring.h").read_text(), function, right, wrong))
    assert any("data race" in run(program, "threads", seed, 100).stderr for seed in range(5))


FAULTS = {
    "one side does not wake the other": ("bell_ring", "memory_order_seq_cst)) {", "memory_order_seq_cst) > 1000) {"),
    "room for outcomes is thought to be larger": ("ring_out_room", "return OUT_SIZE -", "return 2 * OUT_SIZE -"),
    "room for tasks is thought to be larger": ("ring_task_room", "return TASK_SIZE -", "return 2 * TASK_SIZE -"),
    "what was taken back is taken all the same": ("ring_take_item", "return false;", "return true;"),
    "numbers of what was taken back are used again": (
        "ring_withdraw",
        "claim_word(claim_end(word), claim_end(word))",
        "claim_word(claim_next(word), claim_next(word))",
    ),
}


@pytest.mark.parametrize(
    ("function", "right", "wrong"),
    [
        pytest.param(*each, id=name, marks=[pytest.mark.soak] if number else [])
        for number, (name, each) in enumerate(FAULTS.items())
    ],
)
def test_the_program_finds_a_seeded_fault(tmp_path: Path, function: str, right: str, wrong: str) -> None:
    change = within((NATIVE / "ring.h").read_text(), function, right, wrong)
    program = seeded(tmp_path, "plain", change, more=("-DWATCHDOG=2",))
    assert any(run(program, "threads", seed, 500).returncode for seed in range(10))
