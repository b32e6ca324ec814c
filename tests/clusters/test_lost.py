"""A real cluster is lost in the middle of work: its scheduler, its head, or the connection; in a program of its own.

What is not finished fails with ClusterLost, all of it; what was finished is there; the program ends as it would.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

import psutil
import pytest

from tests.clusters.engines import dask, ray
from tests.failures.kit import wait_until

PROGRAM = """
import collections, os, sys, time
from procession import ClusterLost, Pool, SpinOff

def square(n):
    return n * n

def hold(n):
    with open(path, "a") as file:
        file.write(f"{n}\\n")
    time.sleep(3600)

backend, address, path = sys.argv[1:]
with Pool(2, backend=backend, address=address) as pool:
    done = [pool.submit(square, n) for n in range(50)]
    assert [future.result(60) for future in done] == [n * n for n in range(50)]
    stream = pool.imap(hold, range(9))
    with SpinOff(hold, backend=backend, overflow="raise", maxsize=9) as spin:
        while not os.path.exists(path) or len(open(path).readlines()) < 2:
            time.sleep(0.01)
        futures = [pool.submit(square, n) for n in range(8)]
        promises = [spin.put(n) for n in range(3)]
        print("ready", flush=True)
        if sys.stdin.readline() == "leave\\n":
            import ray
            ray.shutdown()
        errors = [type(future.exception(60)).__name__ for future in [*futures, *promises]]
        print("calls", *collections.Counter(errors).items(), flush=True)
        try:
            next(stream)
        except ClusterLost as error:
            print("stream", type(error).__name__)
        try:
            pool.submit(square, 3).result(60)
        except ClusterLost as error:
            print("next", type(error).__name__)
    assert [future.result() for future in done] == [n * n for n in range(50)]
print("over", flush=True)
"""
WANTED = "calls ('ClusterLost', 11)\nstream ClusterLost\nnext ClusterLost\nover\n"


@contextmanager
def program(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """It runs two tasks, and has others that wait."""
    script = folder / "program.py"
    script.write_text(PROGRAM)
    command = [sys.executable, str(script), *words, str(folder / "begun")]
    # Ray's own log lines are no concern of this test; its errors come as exceptions.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        try:
            assert started.stdout.readline() == "ready\n"
            yield started
        finally:
            started.kill()


@pytest.mark.e2e
def test_the_scheduler_of_dask_is_killed(tmp_path: Path) -> None:
    with dask(tmp_path, workers=2, threads=2) as cluster, program(tmp_path, "dask", cluster.address) as started:
        os.kill(cluster.scheduler.pid, signal.SIGKILL)
        assert started.communicate("\n", timeout=90)[0] == WANTED
        assert started.returncode == 0


@pytest.mark.e2e
@pytest.mark.parametrize("how", ["leave", pytest.param("head", marks=pytest.mark.soak)])  # Ray needs 20 s to see it
def test_ray_is_left_or_its_head_is_killed(tmp_path: Path, how: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # the path of a socket must be short
    try:
        with ray(folder) as address, program(tmp_path, "ray", address) as started:
            if how == "head":
                heads = [each for each in psutil.process_iter() if is_head(each, folder)]
                assert len(heads) == 1
                heads[0].kill()
                wait_until(lambda: not heads[0].is_running(), "the head is gone")
            assert started.communicate(f"{how}\n", timeout=110)[0] == WANTED
            assert started.returncode == 0
    finally:
        rmtree(folder, ignore_errors=True)


def is_head(process: psutil.Process, folder: Path) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return bool(words) and words[0].endswith("gcs_server") and any(str(folder) in word for word in words)
