"""What a small task costs on a cluster: `python -m benchmarks.clusters [--engine ray|dask] [--tasks N] [--repeat N]`.

The same function, which does nothing, by the engine itself (`ray.remote`, `Client.submit`) and by a pool of ours on the
same engine, started once on this machine with as many workers as CPUs; in turns, in one run. Printed are seconds: the
same engine, started once on this machine, with as many workers as CPUs; in turns, in one run. Printed are seconds: the
looked at.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.machine import facts
from procession import Pool, cpu_budget

TASKS = 20_000
LONE = 200


def nothing(n: int) -> int:
    """The task."""
    return n


@dataclass
class Way:
    """One way to do it, and what its rounds took."""

    name: str
    run: Callable[[int], list[int]]
    ours: bool
    share: float = 1.0
    """Of the tasks, where all would take too long."""
    rounds: list[float] = field(default_factory=list)
    tasks: int = 0

    def measure(self, tasks: int) -> None:
        """One round."""
        self.tasks = max(1, int(tasks * self.share))
        began = time.perf_counter()
        found = self.run(self.tasks)
        self.rounds.append(time.perf_counter() - began)
        assert found == list(range(self.tasks)), f"{self.name}: wrong answers"

    @property
    def each(self) -> float:
        """Microseconds a task."""
        return median(self.rounds) / self.tasks * 1e6


def ours(pool: Pool) -> list[Way]:
    """A pool's ways."""

    def submitted(tasks: int) -> list[int]:
        futures = [pool.submit(nothing, n) for n in range(tasks)]
        return [future.result() for future in futures]

    return [
        Way("Pool.submit, then result() of each", submitted, True),
        Way("Pool.map", lambda tasks: list(pool.map(nothing, range(tasks))), True),
        Way("Pool.submit(...).result(), one by one", lambda tasks: one_by_one(pool, tasks), True, LONE / TASKS),
    ]


def one_by_one(pool: Pool, tasks: int) -> list[int]:
    """Round trips."""
    return [pool.submit(nothing, n).result() for n in range(tasks)]


@contextmanager
def on_ray(workers: int) -> Iterator[list[Way]]:
    """Ray's ways, and ours on it."""
    import ray

    with Pool(workers, backend="ray") as pool:
        pool.submit(nothing, 0).result()
        remote = ray.remote(num_cpus=0)(nothing)  # our workers have the CPUs; theirs run beside them, and have them too
        ray.get([remote.remote(n) for n in range(100)])
        yield [
            Way(
                "ray.remote, then ray.get of all",
                lambda tasks: ray.get([remote.remote(n) for n in range(tasks)]),
                False,
            ),
            Way(
                "ray.get(f.remote()), one by one",
                lambda tasks: [ray.get(remote.remote(n)) for n in range(tasks)],
                False,
                LONE / TASKS,
            ),
            *ours(pool),
        ]


@contextmanager
def on_dask(workers: int) -> Iterator[list[Way]]:
    """Dask's ways, and ours on it."""
    from distributed import Client

    with Pool(workers, backend="dask") as pool:
        pool.submit(nothing, 0).result()
        engine: Any = pool._engine
        with Client(engine.cluster.address, set_as_default=False) as client:

            def submitted(tasks: int) -> list[int]:
                return list(client.gather([client.submit(nothing, n, pure=False) for n in range(tasks)]))

            def mapped(tasks: int) -> list[int]:
                return list(client.gather(client.map(nothing, range(tasks), pure=False)))

            submitted(100)
            yield [
                Way("Client.submit, then gather", submitted, False),
                Way("Client.map, then gather", mapped, False),
                Way(
                    "Client.submit(...).result(), one by one",
                    lambda tasks: [client.submit(nothing, n, pure=False).result() for n in range(tasks)],
                    False,
                    LONE / TASKS,
                ),
                *ours(pool),
            ]


ENGINES = {"ray": on_ray, "dask": on_dask}


def table(engine: str, ways: list[Way]) -> str:
    """As Markdown."""
    theirs = [way for way in ways if not way.ours]
    lines = [
        f"| {engine} | tasks | s (least to most) | µs a task | theirs / ours |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for way in ways:
        against = theirs[-1] if way.share < 1 else theirs[0]
        ratio = f"{against.each / way.each:.1f}" if way.ours else ""
        rounds = f"{median(way.rounds):.2f} ({min(way.rounds):.2f} to {max(way.rounds):.2f})"
        lines.append(f"| {way.name} | {way.tasks:,} | {rounds} | {way.each:,.1f} | {ratio} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clusters", description=str(__doc__).partition("\n")[0])
    parser.add_argument("--engine", choices=sorted(ENGINES), action="append")
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--repeat", type=int, default=3)
    said = parser.parse_args(arguments)
    print("; ".join(f"{name}: {value}" for name, value in facts().items()))
    workers = cpu_budget().cpus
    for engine in said.engine or sorted(ENGINES, reverse=True):
        with ENGINES[engine](workers) as ways:
            for _ in range(said.repeat):
                for way in ways:
                    way.measure(said.tasks)
            print(f"\n{table(engine, ways)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
