"""What is to hold on a real Ray and a real Dask beyond the contract suite: losses, and what is theirs to give."""

import os
import re
import signal
import socket
import time
from concurrent.futures import CancelledError, wait
from pathlib import Path
from typing import Any

import pytest

from procession import Pipeline, Pool, SpinOff, Stage, WorkerDied
from procession.backends.dask import DaskCluster
from procession.errors import ClusterLost
from tests.clusters import work
from tests.clusters.engines import running
from tests.failures.kit import stat_of, wait_until

PATIENCE = 90.0


@pytest.fixture
def gates(tmp_path: Path) -> Any:
    """Arrivals are read as lines; tickets are written."""
    paths = [str(tmp_path / name) for name in ("arrivals", "tickets")]
    for path in paths:
        os.mkfifo(path)
    arrivals = open(os.open(paths[0], os.O_RDWR))  # noqa: SIM115
    tickets = os.open(paths[1], os.O_RDWR)
    yield paths, arrivals, lambda count: os.write(tickets, b"." * count)
    os.write(tickets, b"." * 100)
    arrivals.close()
    os.close(tickets)


# ------------------------------------------------------------------------------------------------------------- losses


def test_a_process_of_the_cluster_is_killed(backend: Any, gates: Any) -> None:
    """What ran there fails, and says what the cluster says; what waited, and what ran elsewhere, comes back."""
    paths, arrivals, let = gates
    with Pool(2, backend=backend) as pool:
        futures = [pool.submit(work.arrive_and_pass, *paths) for _ in range(2)]
        hosts = [int(arrivals.readline()) for _ in range(2)]
        waiting = [pool.submit(work.square, n) for n in range(100)]
        os.kill(hosts[0], signal.SIGKILL)
        done, _ = wait(futures, PATIENCE, return_when="FIRST_COMPLETED")
        assert len(done) == (1 if hosts[0] != hosts[1] else len(done))
        let(2)
        outcomes = [future.exception(PATIENCE) for future in futures]
        lost = [error for error in outcomes if error is not None]
        assert len(lost) == (1 if hosts[0] != hosts[1] else 2)
        for error in lost:
            assert isinstance(error, WorkerDied)
            assert error.exitcode is None
            assert any(f"{backend.capitalize()} says" in note for note in error.__notes__), error.__notes__
        assert [future.result(PATIENCE) for future in waiting] == [n * n for n in range(100)]
        assert pool.submit(work.square, 5).result(PATIENCE) == 25


def test_with_retries_a_stream_goes_on_in_order(backend: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with Pool(2, backend=backend) as pool:
        hosts = {pool.submit(work.host).result(PATIENCE) for _ in range(2)}
        careful = pool.options(retries=3)
        found = []
        for n in careful.imap(work.note_and_wait, [path] * 60, [0.05] * 60, range(60)):
            found.append(n)
            if n == 10:
                os.kill(max(hosts), signal.SIGKILL)
        assert found == list(range(60))
    started = [int(line) for line in open(path)]  # noqa: SIM115
    assert set(started) == set(range(60))


def test_without_retries_nothing_starts_twice_and_all_is_answered(backend: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with Pool(2, backend=backend) as pool:
        host = pool.submit(work.host).result(PATIENCE)
        futures = [pool.submit(work.note_and_wait, path, 0.01, n) for n in range(300)]
        futures[40].result(PATIENCE)
        os.kill(host, signal.SIGKILL)
        outcomes = [future.exception(PATIENCE) for future in futures]
        assert {type(error) for error in outcomes if error is not None} <= {WorkerDied}
        lost = sum(error is not None for error in outcomes)
        started = [int(line) for line in open(path)]  # noqa: SIM115
        assert len(started) == len(set(started)), "an item started twice"
        assert {n for n, error in enumerate(outcomes) if error is None} <= set(started)
        assert lost < 150, lost


def test_setups_are_left_and_a_lost_one_is_made_anew(backend: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with Pool(1, backend=backend, setup=lambda: work.Model(path)) as pool:
        before = pool.submit(work.state).result(PATIENCE)
        os.kill(pool.submit(work.host).result(PATIENCE), signal.SIGKILL)
        until = time.monotonic() + PATIENCE
        while pool.options(retries=5).submit(work.state).result(PATIENCE) == before:
            assert time.monotonic() < until
    # Who has lost its agent is killed, or has seen first that its pipe is closed, and left in order.
    assert [int(line) for line in open(path)] in ([1, 1, 2], [1, 2, 1, 2])  # noqa: SIM115


# ------------------------------------------------------------------------------------------------------- what they give


def test_the_word_is_enough(backend: Any) -> None:
    with SpinOff(work.square, workers=2, backend=backend) as spin:
        spin.put_many(range(50))
    assert list(spin) == [n * n for n in range(50)]
    pipe = Pipeline(Stage(work.square, workers=2, backend=backend), Stage(str, backend="threads"), work.square_text)
    assert list(pipe.run(range(20))) == [str(n * n) * 2 for n in range(20)]


def test_a_task_finds_the_same_cluster(backend: Any) -> None:
    with Pool(1, backend=backend) as pool:
        if backend == "dask":
            assert running.dask is not None
            assert pool.submit(work.environment, "DASK_SCHEDULER_ADDRESS").result(PATIENCE) == running.dask.address
            assert pool.submit(work.ask_dask).result(PATIENCE) == 25
        else:
            assert pool.submit(work.environment, "RAY_ADDRESS").result(PATIENCE)
            assert pool.submit(work.ask_ray).result(PATIENCE) is True


def test_resources(backend: Any) -> None:
    with Pool(2, backend=backend) as pool:
        lit = pool.options(resources={"lamp": 1})
        assert list(lit.map(work.square, range(20))) == [n * n for n in range(20)]
        assert lit.options(name="again").submit(work.square, 3).result(PATIENCE) == 9
        assert pool.submit(work.square, 4).result(PATIENCE) == 16
        assert pool.stats().done == 22


def test_what_the_cluster_has_no_room_for_waits_and_is_cancelled(backend: Any) -> None:
    pool = Pool(1, backend=backend)
    bright = pool.options(resources={"lamp": 1000})
    future = bright.submit(work.square, 3)
    assert pool.submit(work.square, 4).result(PATIENCE) == 16
    assert not future.done()
    pool.shutdown(wait=False, cancel_futures=True)
    with pytest.raises((CancelledError, ClusterLost, WorkerDied)):
        future.result(PATIENCE)
    pool.shutdown()


def test_workers_beyond_what_there_is_wait_for_room(backend: Any) -> None:
    """More workers than the cluster has places: those that there are do it."""
    with Pool(40, backend=backend) as pool:
        assert list(pool.imap(work.square, range(200))) == [n * n for n in range(200)]


@pytest.mark.parametrize("backend", [pytest.param("dask", marks=pytest.mark.e2e)])
def test_each_answer_is_forgotten_soon_though_nothing_follows(backend: Any) -> None:
    """It is let go of with the next call, or else after a while, and when its pool ends."""

    def known(dask_scheduler: Any) -> list[str]:
        return [key for key in dask_scheduler.tasks if key.startswith("procession-") and not key.endswith("-keeper")]

    async def ask() -> Any:
        return await cluster.client.run_on_scheduler(known)

    def answers() -> list[str]:
        found: list[str] = cluster.do(ask()).result(PATIENCE)
        return found

    assert running.dask is not None
    cluster = DaskCluster.connect(running.dask.address)
    with Pool(1, backend=backend) as pool:
        for number in range(20):
            assert pool.submit(work.square, number).result(PATIENCE) == number * number
            assert len(answers()) <= 3
        wait_until(lambda: not answers(), "all are forgotten")
        assert pool.submit(work.square, 5).result(PATIENCE) == 25
    wait_until(lambda: not answers(), "the last is forgotten")


def test_without_a_number_as_many_workers_as_cpus(backend: Any) -> None:
    with Pool(backend=backend) as pool:
        assert pool.stats().max_workers == 6


def test_a_dump_shows_where_and_what(backend: Any, gates: Any) -> None:
    """In Python and stopped; a worker of the cluster's that hangs itself keeps nobody waiting for long."""
    paths, arrivals, let = gates
    with Pool(2, backend=backend) as pool:
        futures = [pool.submit(work.arrive_and_pass, *paths) for _ in range(2)]
        hosts = [int(arrivals.readline()) for _ in range(2)]
        wait_until(lambda: len([row for row in rows(pool) if row["state"] == "runs"]) == 2, "both run")
        stopped, other = rows(pool)
        os.kill(stopped["pid"], signal.SIGSTOP)
        wait_until(lambda: stat_of(stopped["pid"])[0] == "T", "it is stopped")
        text = pool.dump()
        os.kill(stopped["pid"], signal.SIGCONT)
        assert text.startswith(f"pool of workers on {backend}, open: 2 of 2 workers"), text
        _, first, second = re.split(r"^worker ", text, flags=re.MULTILINE)
        for said, row in ((first, stopped), (second, other)):
            head = f"{row['wid']} (pid {row['pid']} on {socket.gethostname()}, place: "
            assert said.startswith(head), text
            assert ": runs arrive_and_pass(" in said.splitlines()[0]
        assert "no stack: the process is stopped" in first
        assert "in arrive_and_pass" in second
        for host in set(hosts):
            os.kill(host, signal.SIGSTOP)
        began = time.monotonic()
        text = pool.dump()
        lasted = time.monotonic() - began
        for host in set(hosts):
            os.kill(host, signal.SIGCONT)
        assert text.count("no stack: its agent has not answered within 3 s") == 2, text
        assert lasted < PATIENCE
        let(2)
        assert sorted(future.result(PATIENCE) for future in futures) == sorted(hosts)


def test_who_looks_on_sees_workers_and_kills_and_drains_them(backend: Any, gates: Any) -> None:
    paths, arrivals, let = gates
    with Pool(1, backend=backend) as pool:
        future = pool.submit(work.arrive_and_pass, *paths)
        arrivals.readline()
        wait_until(lambda: [row["state"] for row in rows(pool)] == ["runs"], "it is known to run")
        (row,) = rows(pool)
        assert (row["host"], row["memory"], row["cpu"]) == (socket.gethostname(), None, None)
        assert pool._engine.bid("kill", row["wid"]) == ""
        error = future.exception(PATIENCE)
        assert isinstance(error, WorkerDied)
        assert (error.exitcode, error.pid) == (-signal.SIGKILL, row["pid"])
        future = pool.submit(work.arrive_and_pass, *paths)
        arrivals.readline()
        wait_until(lambda: [row["state"] for row in rows(pool)] == ["runs"], "the next one runs")
        (row,) = rows(pool)
        assert pool._engine.bid("drain", row["wid"]) == ""
        let(1)
        assert future.exception(PATIENCE) is None
        wait_until(lambda: row["wid"] not in [each["wid"] for each in rows(pool)], "it is gone")
        assert pool.submit(os.getpid).result(PATIENCE) != row["pid"]


def rows(pool: Pool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pool._engine.show()["rows"]
    return found


def test_a_pool_as_wide_as_the_cluster_replaces_its_workers(backend: Any) -> None:
    with Pool(6, backend=backend, max_tasks_per_child=2) as pool:
        futures = [pool.submit(os.getpid) for _ in range(36)]
        assert len({future.result(PATIENCE) for future in futures}) >= 18
