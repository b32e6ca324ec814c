"""What is lost with a process of a cluster, and with the cluster; with agents in this process (testing/near.py)."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from procession import ClusterLost, Pool, SpinOff, WorkerDied, WorkerStartError, engines
from procession.backends.cluster import SeatLost
from procession.driver import far_places
from procession.testing.near import NearCluster
from tests import warm
from tests.clusters import work
from tests.clusters.nearby import gate, near, pass_gate
from tests.contract.conftest import Gate

PATIENCE = 60.0
kept_zygote = warm.keep()
__all__ = ["gate", "near"]


def test_a_lost_place_costs_what_was_in_its_hands(near: NearCluster, gate: Gate) -> None:
    """Row: A place of a cluster, or the cluster, is lost.

    What ran there fails with what the cluster says, what waited runs elsewhere.
    """
    with Pool(1, backend="ray") as pool:
        running = pool.submit(pass_gate, *gate.paths)
        gate.arrived()
        waiting = [pool.submit(work.square, n) for n in range(50)]
        near.lose_seat(0, "Ray says: somebody has killed it")
        error = running.exception(PATIENCE)
        assert isinstance(error, WorkerDied)
        assert (error.exitcode, error.__notes__) == (None, ["Ray says: somebody has killed it"])
        assert [future.result(PATIENCE) for future in waiting] == [n * n for n in range(50)]
        assert len(near.seats) == 2, "a lost place is replaced, and no other is taken"


def test_with_retries_it_runs_again_elsewhere(near: NearCluster, gate: Gate) -> None:
    """Row: A place of a cluster, or the cluster, is lost.

    With retries the task is begun anew in another place.
    """
    with Pool(1, backend="ray") as pool:
        running = pool.options(retries=1).submit(pass_gate, *gate.paths)
        gate.arrived()
        near.lose_seat(0)
        gate.arrived()
        gate.open()
        assert running.result(PATIENCE) is None


def test_what_was_done_and_not_told_may_be_lost_but_starts_once(near: NearCluster, tmp_path: Path) -> None:
    """Row: A place of a cluster, or the cluster, is lost.

    Short tasks travel together; who is lost with some of them has perhaps done some. None starts twice.
    """
    path = str(tmp_path / "log")
    with Pool(1, backend="ray") as pool:
        list(pool.map(work.square, range(2000)))  # what a task costs is known now
        futures = [pool.submit(work.note, path, n) for n in range(3000)]
        futures[100].result(PATIENCE)
        near.lose_seat(0)
        errors = [future.exception(PATIENCE) for future in futures]
    lost = {n for n, error in enumerate(errors) if error is not None}
    assert {type(errors[n]) for n in lost} <= {WorkerDied}
    started = [int(line) for line in open(path)]  # noqa: SIM115
    assert len(started) == len(set(started))
    assert set(range(3000)) - lost <= set(started)


def test_a_lost_cluster_fails_everything_with_why(near: NearCluster, gate: Gate) -> None:
    """Row: A place of a cluster, or the cluster, is lost.

    All that is not finished fails with ClusterLost, and the pool takes no more.
    """
    pool = Pool(1, backend="ray")
    running = pool.submit(pass_gate, *gate.paths)
    gate.arrived()
    waiting = [pool.submit(work.square, n) for n in range(10)]
    stream = pool.imap(work.square, range(100))
    near.lose()
    for future in (running, *waiting):
        with pytest.raises(ClusterLost, match="does not answer any more"):
            future.result(PATIENCE)
    with pytest.raises(ClusterLost):
        list(stream)
    with pytest.raises(ClusterLost):
        pool.submit(work.square, 1)
    pool.shutdown()


def test_a_cluster_that_is_lost_before_a_place_is_asked_for(near: NearCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row: A place of a cluster, or the cluster, is lost.

    The same, for the work of a pool whose first worker would only have started.
    """

    def refuse(_wanted: Any) -> Any:
        raise ClusterLost("it does not answer any more")

    monkeypatch.setattr(near, "seat", refuse)
    with Pool(2, backend="ray") as pool:
        future = pool.submit(work.square, 1)
        assert isinstance(future.exception(PATIENCE), ClusterLost)


def test_a_lost_cluster_ends_a_spinoff(near: NearCluster, gate: Gate) -> None:
    """Row: A place of a cluster, or the cluster, is lost.

    So do the items of a SpinOff.
    """
    with pytest.raises(ClusterLost), SpinOff(pass_gate_of(gate), backend="ray", workers=1) as spin:
        spin.put_many(range(5))
        gate.arrived()
        near.lose()
        list(spin)


def pass_gate_of(gate: Gate) -> Callable[[int], None]:
    arrivals, tickets = gate.paths

    def passed(_n: int) -> None:
        pass_gate(arrivals, tickets)

    return passed


def test_places_that_cannot_be_had_break_the_pool(near: NearCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row: A place of a cluster, or the cluster, is lost.

    Three starts that fail in a row break the pool, as on one machine.
    """

    def refuse(_wanted: Any) -> Any:
        raise SeatLost("procession is not installed there", again=False)

    monkeypatch.setattr(near, "seat", refuse)
    with Pool(1, backend="ray") as pool:
        future = pool.submit(work.square, 3)
        with pytest.raises(WorkerStartError, match="not installed there"):
            future.result(PATIENCE)


def test_who_kills_does_not_wait_for_ever(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row: A place of a cluster, or the cluster, is lost.

    A machine may hang, and the cluster has not noticed.
    """
    over = threading.Event()
    near = NearCluster(delay=lambda name: name == "kill" and over.wait())
    monkeypatch.setattr(engines, "connect", lambda backend, address: near)
    monkeypatch.setattr(far_places, "GIVEN_UP", 0.2)
    pool = Pool(1, backend="ray")
    future = pool.submit(pass_gate, *gate.paths)
    gate.arrived()
    pool.kill_workers()
    error = future.exception(0)
    assert isinstance(error, WorkerDied)
    assert error.__notes__ == ["its agent has not answered for 0.2 s"]
    over.set()
    near.join()
