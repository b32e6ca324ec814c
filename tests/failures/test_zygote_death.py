"""The helper that forks workers is killed: work goes on."""

import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from procession import Pool, SpinOff, WorkerDied, WorkerStartError
from procession.backends.launch import StartFailed
from procession.backends.zygote_client import ZygoteClient
from procession.core import commands
from procession.core.rules import Cause
from procession.driver.loop import Driver
from tests.core.stage import only
from tests.core.test_homes import doomed
from tests.failures import tasks
from tests.failures.kit import Gate, Notes, gone, kill, quietly_kill, seeded, wait_until
from tests.failures.test_worker_death import lives_with


def test_while_idle() -> None:
    """Row: The zygote dies. Between tasks: nobody notices; a worker needed later comes from a new zygote."""
    with Pool(2) as pool:
        zygote = pool.submit(tasks.pid_of_zygote).result(60)
        kill(zygote)
        wait_until(lambda: gone(zygote), "its end")
        assert pool.submit(tasks.double, 1).result(60) == 2
        for pid in list(pool._processes):
            quietly_kill(pid)
        assert [f.result(60) for f in [pool.submit(tasks.double, i) for i in range(50)]] == [2 * i for i in range(50)]
        lives_with(pool, 2)
        assert pool.submit(tasks.pid_of_zygote).result(60) != zygote


def test_while_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row: The zygote dies. Before it was ready: the next one is started; but not for ever."""
    spawn = ZygoteClient._spawn
    strikes = 0

    def struck(self: ZygoteClient, serve: str) -> Any:
        nonlocal strikes
        made = spawn(self, serve)
        if strikes > 0:
            strikes -= 1
            os.kill(made[1], signal.SIGSTOP)  # so that it does not come to say that it is ready
            os.kill(made[1], signal.SIGKILL)
        return made

    monkeypatch.setattr(ZygoteClient, "_spawn", struck)
    for count in (1, 4):
        strikes = count
        with Pool(2) as pool:
            assert [f.result(60) for f in [pool.submit(tasks.double, i) for i in range(20)]] == [
                2 * i for i in range(20)
            ]
            lives_with(pool, 2)
    strikes = 20
    with Pool(2) as pool:
        # By submit itself, if it is the first to meet it.
        with pytest.raises((OSError, WorkerStartError), match="exit code -9"):
            pool.submit(tasks.double, 1).result(60)
    assert strikes > 0  # it was not tried for ever
    strikes = 0
    with Pool(2) as pool:
        assert pool.submit(tasks.double, 1).result(60) == 2


def test_while_tasks_run(notes: Notes, gate: Gate) -> None:
    """Row: The zygote dies. Running tasks finish, or fail with WorkerDied (exit unknown); queued work runs."""
    with Pool(2) as pool:
        zygote = pool.submit(tasks.pid_of_zygote).result(60)
        running = [pool.submit(tasks.held, notes.path, gate.path, i) for i in range(2)]
        queued = [pool.submit(tasks.double, i) for i in range(100)]
        notes.wait(2)
        kill(zygote)
        wait_until(lambda: gone(zygote), "its end")
        gate.open()
        for i, future in enumerate(running):
            error = future.exception(60)
            assert error is None or (isinstance(error, WorkerDied) and error.exitcode is None)
            assert error is not None or future.result() == i
        assert [future.result(60) for future in queued] == [2 * i for i in range(100)]
        lives_with(pool, 2)


def test_then_a_worker_dies(notes: Notes, gate: Gate) -> None:
    """Row: The zygote dies. Then a worker of it: its end is seen all the same; how it ended is not known."""
    with Pool(1) as pool:
        zygote = pool.submit(tasks.pid_of_zygote).result(60)
        running = pool.submit(tasks.held, notes.path, gate.path)
        queued = pool.submit(tasks.double, 4)
        worker = notes.wait(1) and next(iter(pool._processes))
        kill(zygote)
        wait_until(lambda: gone(zygote), "its end")
        quietly_kill(worker)
        error = running.exception(60)
        assert isinstance(error, WorkerDied)
        assert "died" in str(error) or "SIGKILL" in str(error)
        assert queued.result(60) == 8


def test_a_start_that_is_said_to_have_failed_when_the_worker_was_told_to_die() -> None:
    """Row: The zygote dies. Between the fork and saying so, and the worker has run something since: that is its end."""
    stage, _ = doomed()
    told: list[Any] = []

    def lost(_channel: Any, unowned: int, _exitcode: int | None) -> None:
        told.extend(stage.lost(0, unowned, None))

    channel = SimpleNamespace(drain_dead=lambda: None, withdraw=lambda: 0)
    driver: Any = SimpleNamespace(channels={0: channel}, lane=None, core=stage.core, lost=lost, unowned=lambda _: 0)
    Driver._not_started(driver, StartFailed(0, OSError()))
    assert [fail.cause for fail in only(told, commands.FailItem)] == [Cause.TIMEOUT, Cause.DIED]


def test_under_load_again_and_again(notes: Notes) -> None:
    """Row: The zygote dies. Killed ten times under load, with its workers recycled: starts ≤ 1 a task, failures only
    where a worker was lost, all else answered."""
    rng = seeded()
    n, kills = 1500, 0
    with Pool(2, max_tasks_per_child=40) as pool:
        futures = [pool.submit(tasks.noted, notes.path, i) for i in range(n)]
        while kills < 10 and not futures[-1].done():
            done = rng.randrange(n)
            futures[done].exception(60)
            zygotes = {z for pid in list(pool._processes) if (z := zygote_of(pid))}
            for zygote in zygotes:
                quietly_kill(zygote)
            kills += 1
        errors = [error for future in futures if (error := future.exception(60)) is not None]
        assert all(isinstance(error, WorkerDied) for error in errors)
        print(f"{kills} kills of the zygote, {len(errors)} tasks lost")
        assert len(errors) <= 2 * kills
        assert [f.result() for f in futures if f.exception() is None] == [
            i for i, f in enumerate(futures) if f.exception() is None
        ]
        lives_with(pool, 2)
    started = notes.lines()
    assert len(started) == len(set(started))


def zygote_of(worker: int) -> int | None:
    from tests.failures.kit import stat_of

    words = stat_of(worker)
    parent = int(words[1]) if words else 0
    import os

    return parent if parent > 1 and parent != os.getpid() and "procession" in cmdline(parent) else None


def cmdline(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""


def test_under_imap_and_spinoff() -> None:
    """Row: The zygote dies. Streams stay whole and in order; two pools share one zygote and both live on."""
    with Pool(2) as pool, SpinOff(tasks.double, workers=2, on_error="return") as spin:
        zygote = pool.submit(tasks.pid_of_zygote).result(60)
        for i in range(200):
            spin.put(i)
        stream = pool.imap(tasks.double, range(3000), on_error="return", window=50)
        got = [next(stream) for _ in range(100)]
        kill(zygote)
        got += list(stream)
        for i in range(200, 300):
            spin.put(i)
        spin.close()
        handed = list(spin)
    for values, expected in ((got, 3000), (handed, 300)):
        assert len(values) == expected
        assert all(isinstance(v, WorkerDied) or v == 2 * i for i, v in enumerate(values))
        assert sum(isinstance(v, WorkerDied) for v in values) <= 2
