"""What is seen of a pool on a cluster, and what can be done to it by who looks on; with agents in this process."""

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from procession import Pool, WorkerDied, engines
from procession.backends.cluster import SeatLost
from procession.cli import top_view
from procession.cli.web import metrics
from procession.driver import dumping, far_channel, far_dumping
from procession.seeing.attending.answers import Answers
from procession.testing.near import NearCluster
from tests import warm
from tests.clusters import work
from tests.clusters.nearby import gate, pass_gate
from tests.contract.conftest import Gate
from tests.failures.kit import stat_of, wait_until

PATIENCE = 60.0
HOST = socket.gethostname()
SILENT = re.compile(r"its agent has not been heard of for \d\d s")
kept_zygote = warm.keep()
__all__ = ["gate"]

MakeCluster = Callable[..., NearCluster]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeCluster]:
    """Makes the cluster that pools of this test find."""
    with ExitStack() as made:

        def make(**words: Any) -> NearCluster:
            near = NearCluster(**words)
            made.callback(near.join)
            monkeypatch.setattr(engines, "connect", lambda backend, address: near)
            return near

        yield make


@contextmanager
def opened(workers: int, **words: Any) -> Iterator[Pool]:
    """A pool on it, which does not wait for what runs when the test fails."""
    pool = Pool(workers, backend="ray", **words)
    try:
        yield pool
    except BaseException:
        pool.kill_workers()
        raise
    pool.shutdown()


def rows(pool: Pool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pool._engine.show()["rows"]
    return found


def bid(pool: Pool, what: str, number: int) -> str:
    said: str = pool._engine.bid(what, number)
    return said


def spin(path: str) -> None:
    with open(path, "w"):
        pass
    while True:
        pass


def wait_in(path: str) -> None:
    with open(path) as file:
        file.read()


# --------------------------------------------------------------------------------------------------------------- dumps


def test_a_dump_has_each_worker_with_its_machine_its_task_and_its_stack(cluster: MakeCluster, gate: Gate) -> None:
    """In Python, in C, stopped; and tasks go on meanwhile."""
    cluster()
    path = gate.paths[0] + "-open"
    os.mkfifo(path)
    with opened(4) as pool:
        pool.submit(spin, path)
        with open(path):
            pass  # it is about to spin
        for _ in range(2):
            pool.submit(pass_gate, *gate.paths)
        gate.arrived(2)
        wait_until(lambda: len([row for row in rows(pool) if row["state"] == "runs"]) == 3, "three run")
        stopped = rows(pool)[2]["pid"]
        os.kill(stopped, signal.SIGSTOP)
        try:
            wait_until(lambda: stat_of(stopped)[0] == "T", "it is stopped")
            text = pool.dump()
            assert text.startswith("pool of workers on near, open: 3 of 4 workers; 0 items wait, 3 in hand\n")
            told = re.split(r"\nworker ", text)[1:]
            for number, (each, row) in enumerate(zip(told, rows(pool), strict=True)):
                head = f"{number} (pid {row['pid']} on {HOST}, place: here): runs {('spin', 'pass_gate')[number > 0]}("
                assert each.startswith(head)
                assert re.search(r" for \d+\.\d s$", each.splitlines()[0])
            assert "in spin\n" in told[0] + "\n"
            assert "in pass_gate\n" in told[1] + "\n"
            assert told[2].splitlines()[1:] == ["    no stack: the process is stopped"]
            assert pool.submit(work.square, 3).result(PATIENCE) == 9
        finally:
            os.kill(stopped, signal.SIGCONT)
            pool.kill_workers()


def test_a_dump_of_workers_that_start_or_have_no_place(cluster: MakeCluster, gate: Gate) -> None:
    """Where an initializer hangs is seen as well; who waits for the cluster is no riddle."""
    near = cluster(room=1)
    path = gate.paths[0] + "-open"
    os.mkfifo(path)
    with opened(2, initializer=wait_in, initargs=(path,)) as pool:
        futures = [pool.submit(work.square, n) for n in range(2)]
        wait_until(lambda: f"on {HOST}" in pool.dump(), "the first has begun")
        wait_until(lambda: "in wait_in" in pool.dump(), "it is in its initializer")
        text = pool.dump()
        assert re.search(r"^worker 0 \(pid .*\): starting.*\n    Current thread", text, re.MULTILINE)
        assert re.search(r"^worker 1: starting.*, waits for a place of the cluster$", text, re.MULTILINE)
        notes = [(row["host"], row["note"]) for row in rows(pool)]
        assert notes == [(HOST, ""), ("", "waits for a place of the cluster")]
        assert bid(pool, "kill", 1) == "it has not started yet"
        with open(path, "w"):
            pass
        assert [future.result(PATIENCE) for future in futures] == [0, 1]
        assert near.taken == 1


def test_a_dump_does_not_wait_for_an_agent_that_does_not_answer(
    cluster: MakeCluster, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor for one that is lost: what can be had of the others is shown."""
    hangs, over = threading.Event(), threading.Event()

    def delay(name: str) -> None:
        if name == "show" and not hangs.is_set():
            hangs.set()
            over.wait()

    near = cluster(delay=delay)
    monkeypatch.setattr(far_dumping, "SHOWN", 1.0)
    with opened(2) as pool:
        for _ in range(2):
            pool.submit(pass_gate, *gate.paths)
        gate.arrived(2)
        told: list[str] = []
        asking = threading.Thread(target=lambda: told.append(pool.dump()))
        asking.start()
        assert hangs.wait(PATIENCE)
        asking.join(PATIENCE)
        assert told[0].count("no stack: its agent has not answered within 1 s") == 1
        assert told[0].count("in pass_gate") == 1
        lost = SeatLost("Ray says: the machine is gone")
        monkeypatch.setattr(near.seats[0], "_lost", lost)
        assert "    no stack: Ray says: the machine is gone" in pool.dump()
        monkeypatch.setattr(near.seats[0], "_lost", None)
        over.set()
        gate.open(2)


def test_an_agent_that_is_silent_is_named(cluster: MakeCluster, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster()
    with opened(1) as pool:
        pool.submit(pass_gate, *gate.paths)
        gate.arrived()
        wait_until(lambda: rows(pool)[0]["state"] == "runs", "it is known to be there")
        long_ago = time.monotonic() - far_dumping.DEAF - 30
        monkeypatch.setattr(far_channel, "monotonic", lambda: long_ago)  # what it says from now on, it has said then
        driver: Any = pool._engine._driver
        driver.channels[0].station.heard_at = long_ago
        assert SILENT.fullmatch(rows(pool)[0]["note"])
        assert len(SILENT.findall(pool.dump())) == 1
        gate.open()


def test_a_driver_that_hangs_is_shown_itself(cluster: MakeCluster, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster()
    monkeypatch.setattr(dumping, "SNAPSHOT", 0.05)
    with opened(1) as pool:
        pool.submit(pass_gate, *gate.paths)
        gate.arrived()
        held = threading.Event()
        pool._engine._request(held.wait)
        text = pool.dump()
        held.set()
        assert "worker 0: runs pass_gate(" in text
        assert "procession's driver does not answer\n    Thread" in text
        gate.open()


# ---------------------------------------------------------------------------------------------------------------- looks


def test_what_is_not_known_of_other_machines_is_shown_as_unknown(cluster: MakeCluster, gate: Gate) -> None:
    """Neither 0 bytes nor another process's; and where a worker is is seen."""
    cluster()
    with opened(1) as pool:
        pool.submit(pass_gate, *gate.paths)
        gate.arrived()
        wait_until(lambda: rows(pool)[0]["state"] == "runs", "it is known to be there")
        wait_until(lambda: rows(pool)[0]["host"], "its agent says where it is, and when it likes")
        look = Answers().numbers()
        (seen,) = [each for each in look["pools"] if each["number"] == pool._engine.number]
        (row,) = seen["rows"]
        assert (seen["backend"], seen["workers"], seen["busy"]) == ("near", 1, 1)
        assert (row["host"], row["memory"], row["cpu"]) == (HOST, None, None)
        assert stat_of(row["pid"])
        assert row["for"] >= 0
        assert "memory" not in pool._engine.sample()
        json.dumps(look)
        lines = [line.text for line in top_view.lines(top_view.Look({**look, "pools": [seen]}), 200)]
        (named,) = [line for line in lines if line.startswith("Pool ")]
        assert f"Pool {seen['number']} (near)" in named
        (head,) = [line for line in lines if "worker" in line and "task" in line]
        assert "host" in head
        assert "memory" not in head
        (line,) = [line for line in lines if "pass_gate" in line]
        assert HOST in line
        text = metrics.text(metrics.families({**look, "pools": [seen]}, metrics.Tally().take({"pools": [seen]})), True)
        assert (
            f'procession_workers{{pool="{seen["number"]}",kind="Pool",name="",backend="near",state="busy"}} 1' in text
        )
        assert "procession_workers_memory_bytes{" not in text
        assert "procession_workers_cpu_seconds_total{" not in text
        gate.open()


def test_workers_of_other_resources_are_a_pool_of_their_own(cluster: MakeCluster) -> None:
    cluster()
    with opened(1) as pool:
        lit = pool.options(resources={"lamp": 1})
        assert lit.submit(work.square, 3).result(PATIENCE) == 9
        assert pool.submit(work.square, 4).result(PATIENCE) == 16
        family = pool._engine._family()
        seen = [each.show() for each in family]
        assert [(each["resources"], each["workers"], each["done"], len(each["rows"])) for each in seen] == [
            ("", 1, 1, 1),
            ("lamp: 1", 1, 1, 1),
        ]
        assert [each.sample()["workers"] for each in family] == [1, 1]
        assert pool.stats().workers == 2
        look = {**Answers().numbers(), "pools": [{"number": 7, "kind": "Pool", "name": "", **seen[1]}]}
        assert "Pool 7 (near, lamp: 1)" in "\n".join(line.text for line in top_view.lines(top_view.Look(look), 200))
        text = pool.dump()
        assert "pool of workers on near, open: 1 of 1 workers" in text
        assert "pool of workers on near (lamp: 1), open: 1 of 1 workers" in text


# ---------------------------------------------------------------------------------------------------------------- deeds


def test_a_worker_is_killed_by_who_looks_on(cluster: MakeCluster, gate: Gate) -> None:
    """As if it had died by itself; its place has the next one."""
    near = cluster()
    with opened(1) as pool:
        future = pool.submit(pass_gate, *gate.paths)
        gate.arrived()
        assert "in pass_gate" in pool.dump()
        (row,) = rows(pool)
        assert bid(pool, "kill", row["wid"]) == ""
        error = future.exception(PATIENCE)
        assert isinstance(error, WorkerDied)
        assert (error.exitcode, error.pid, error.stack) == (-9, row["pid"], ""), "what a dump has shown is no last word"
        assert bid(pool, "kill", row["wid"]) == f"there is no worker {row['wid']}"
        assert pool.submit(work.square, 3).result(PATIENCE) == 9
        assert pool.stats().died == 1
    assert len(near.seats) == 1


def test_a_worker_is_drained_and_its_place_has_the_next_one(cluster: MakeCluster, gate: Gate) -> None:
    """Though the cluster has no room for both at once."""
    near = cluster(room=1)
    with opened(1) as pool:
        future = pool.submit(pass_gate, *gate.paths)
        gate.arrived()
        wait_until(lambda: rows(pool)[0]["state"] == "runs", "it is known to run")
        waiting = pool.submit(os.getpid)
        (row,) = rows(pool)
        assert bid(pool, "drain", row["wid"]) == ""
        assert [(each["wid"], each["note"]) for each in rows(pool)] == [(row["wid"], "to be replaced")]
        assert bid(pool, "drain", row["wid"]) == "", "twice is no error"
        gate.open()
        assert future.result(PATIENCE) is None
        assert waiting.result(PATIENCE) != row["pid"]
        wait_until(lambda: row["wid"] not in [each["wid"] for each in rows(pool)], "it is gone")
        assert bid(pool, "drain", 99) == "there is no worker 99"
        (row,) = rows(pool)
        assert bid(pool, "drain", row["wid"]) == "", "one that idles is stopped at once"
        wait_until(lambda: rows(pool) == [], "it is gone")
        assert pool.submit(work.square, 3).result(PATIENCE) == 9
        assert pool.stats().died == 0
        assert near.taken == 1


def test_a_pool_that_is_made_smaller_gives_places_back(cluster: MakeCluster, gate: Gate) -> None:
    near = cluster(room=3)
    with opened(3) as pool:
        futures = [pool.submit(pass_gate, *gate.paths) for _ in range(3)]
        gate.arrived(3)
        assert near.taken == 3
        assert bid(pool, "resize", 1) == ""
        gate.open(3)
        for future in futures:
            future.result(PATIENCE)
        wait_until(lambda: near.taken == 1, "two places are given back")
        assert pool.submit(work.square, 3).result(PATIENCE) == 9


def test_a_pool_as_wide_as_the_cluster_replaces_its_workers(cluster: MakeCluster) -> None:
    """An heir is asked for while its predecessor has the place; and gets that when there is no other."""
    near = cluster(room=2)
    with opened(2, max_tasks_per_child=4) as pool:
        pids = {future.result(PATIENCE) for future in [pool.submit(os.getpid) for _ in range(100)]}
        assert len(pids) >= 25
        assert near.taken <= 2
