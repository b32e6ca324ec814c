"""Clusters of Ray and Dask on this machine, as somebody else would run them: not our children, and none of our marks.

So what is theirs is no leak of a test, and what we leave there is seen for what it is: places that are still taken.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from procession import Pool
from procession.backends.ray import RayCluster
from tests import leaks
from tests.leaks import VARIABLE

PATIENCE = 90.0
BIN = Path(sys.executable).parent


def foreign_environment() -> dict[str, str]:
    """Without what tells a process of ours."""
    quiet = {"RAY_DEDUP_LOGS": "0", "RAY_USAGE_STATS_ENABLED": "0", "PROCESSION_TOP": "0", "RAY_AUTH_MODE": "disabled"}
    quiet["RAY_enable_worker_prestart"] = "0"
    return {name: value for name, value in {**os.environ, **quiet}.items() if name != VARIABLE}


def end(process: subprocess.Popen[bytes]) -> None:
    """With all that it has started: it has a session of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Dask:
    """A scheduler and workers, each a process of its own, with a nanny or without."""

    def __init__(self, folder: Path, workers: int = 2, threads: int = 1, nanny: bool = True) -> None:
        self.folder = folder
        self.nanny = nanny
        self._processes: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--no-show",
            "--scheduler-file",
            str(file),
        )
        until = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError, ValueError):
                self.address = str(json.loads(file.read_text())["address"])
                break
            assert time.monotonic() < until, self.said()
            time.sleep(0.05)
        self.workers = [self.worker(threads, "--resources", "lamp=1") for _ in range(workers)]

    def worker(self, threads: int = 1, *more: str) -> subprocess.Popen[bytes]:
        """One more."""
        options = ["--nthreads", str(threads), "--no-dashboard", "--local-directory", str(self.folder), *more]
        return self._start("worker", self.address, "--nanny" if self.nanny else "--no-nanny", *options)

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        with open(self.folder / "log", "ab") as log:
            made = subprocess.Popen(
                [sys.executable, "-m", "dask", *words],
                env=foreign_environment(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd=self.folder,
            )
        self._processes.append(made)
        return made

    def said(self) -> str:
        """What its processes have logged."""
        return (self.folder / "log").read_text(errors="replace")

    def close(self) -> None:
        """All of it."""
        for each in reversed(self._processes):
            end(each)


@contextlib.contextmanager
def dask(folder: Path, workers: int = 2, threads: int = 1, nanny: bool = True) -> Iterator[Dask]:
    """Dask, as long as this."""
    made = Dask(folder, workers, threads, nanny)
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def ray(folder: Path, cpus: int = 4) -> Iterator[str]:
    """Ray's head, as long as this; its address."""
    environment = foreign_environment()
    port = _free_port()
    command = [str(BIN / "ray"), "start", "--head", "--port", str(port), "--num-cpus", str(cpus)]
    command += [
        "--resources",
        '{"lamp": 2}',
        "--include-dashboard",
        "false",
        "--disable-usage-stats",
        "--temp-dir",
        str(folder),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        yield f"127.0.0.1:{port}"
    finally:
        end_all_of(folder)  # `ray stop` would end everybody's


def end_all_of(folder: Path) -> None:
    """Kill every process that was started with this folder among its words, and those below them."""
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(str(folder) in word for word in each.cmdline()):
                for process in (each, *each.children(recursive=True)):
                    process.kill()


def _free_port() -> int:
    import socket

    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


@contextlib.contextmanager
def pooled_sockets() -> Iterator[None]:
    """Those are no leak meanwhile."""
    leaks.sockets_are_pooled = True
    try:
        yield
    finally:
        leaks.sockets_are_pooled = False


@contextlib.contextmanager
def connected_to_ray(cpus: int = 6) -> Iterator[None]:
    """This process is a driver of a real Ray."""
    import ray as theirs

    folder = tempfile.mkdtemp(prefix="ray-")  # Ray's sockets lie below it, and the path of a socket must be short
    os.environ["RAY_AUTH_MODE"] = "disabled"
    with ray(Path(folder), cpus) as address:
        os.environ["RAY_ADDRESS"] = address
        try:
            RayCluster.connect()
            with pooled_sockets():
                yield
        finally:
            theirs.shutdown()
            del os.environ["RAY_ADDRESS"]
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def connected_to_dask(folder: Path) -> Iterator[Dask]:
    """Pools of this process find a real Dask, of two workers with three threads each."""
    import dask as theirs

    with dask(folder, workers=2, threads=3) as running, theirs.config.set({"scheduler-address": running.address}):
        with pooled_sockets():
            yield running


class Running:
    """The engines that the tests of a session want, started once."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._users = 0
        self._names: set[str] = set()
        self.dask: Dask | None = None

    @contextlib.contextmanager
    def wanted(self, items: Any, folders: pytest.TempPathFactory) -> Iterator[None]:
        """Those that these tests name as their backend: this process is connected, and has what that takes."""
        self._users += 1
        named = {each.callspec.params.get("backend") for each in items if hasattr(each, "callspec")}
        try:
            for each in sorted((named & {"ray", "dask"}) - self._names):
                self._names.add(each)
                if each == "ray":
                    self._stack.enter_context(connected_to_ray())
                else:
                    self.dask = self._stack.enter_context(connected_to_dask(folders.mktemp("dask")))
                with Pool(2, backend=each) as pool:  # type: ignore[arg-type]
                    assert list(pool.map(abs, range(9))) == list(range(9))
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._stack.close()


running = Running()
