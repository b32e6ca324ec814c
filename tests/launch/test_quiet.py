"""Under Python's development mode, where each warning is an error, nothing of ours has anything to say."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, os, signal
from concurrent.futures.process import BrokenProcessPool
import numpy as np
from procession import Pipeline, Pool, SpinOff, Stage

BACKEND = {backend!r}

def double(x):
    return 2 * x

def die(x):
    os.kill(os.getpid(), signal.SIGKILL)

async def streamed(pool):
    return [y async for y in pool.aimap(double, range(20))]

if __name__ == "__main__":
    with Pool(2, backend=BACKEND) as pool:
        assert list(pool.map(double, range(20))) == list(range(0, 40, 2))
        assert list(pool.imap(double, [b"x" * 100_000] * 9, buffer_bytes=200_000, spill=True)) == [b"x" * 200_000] * 9
        assert list(pool.imap(double, range(20), key=abs, sticky=True)) == list(range(0, 40, 2))
        assert (pool.submit(double, np.ones(100_000)).result() == 2).all()
        assert asyncio.run(streamed(pool)) == list(range(0, 40, 2))
        assert next(iter(pool.imap(double, iter(int, 1)))) == 0
        if BACKEND == "processes":
            try:
                pool.submit(die, 1).result()
            except BrokenProcessPool:
                pass
    with SpinOff(double, backend=BACKEND, workers=2) as spin:
        spin.put_many(range(20))
    assert list(spin) == list(range(0, 40, 2))
    pipeline = Pipeline(Stage(double, backend=BACKEND, workers=2), Stage(list, backend=BACKEND, batch=4))
    assert list(pipeline.run(range(20))) == list(range(0, 40, 2))
    print("done")
"""


@pytest.mark.parametrize("backend", ["processes", "threads", "inline"])
def test_a_program_in_development_mode(tmp_path: Path, backend: str) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(backend=backend))
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", script], capture_output=True, text=True, timeout=90
    )
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)
