"""A recording as it is now, while it goes on; all of it, or what some of its pools did."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from itertools import compress
from time import perf_counter_ns

from procession.seeing.recording import Recording, Samples


def part(recording: Recording, pools: Collection[int] | None = None) -> Recording:
    """A copy, of which nobody adds to any column; of these pools (by their numbers), or of all.

    Tasks that never had a worker are of no pool that is known: they are in the whole, and in a part that has all pools.
    """
    count = min(len(column) for column in recording.columns.values())
    made = Recording()
    made.since, made.until = recording.since, recording.until or perf_counter_ns()
    made.cpus, made.lost, made.about = recording.cpus, recording.lost, dict(recording.about)
    made.workers = list(recording.workers)  # of what refers to others the first, as it grows meanwhile
    made.pools = list(recording.pools)
    made.functions, made.streams = list(recording.functions), list(recording.streams)
    whole = pools is None or all(pool.number in pools for pool in made.pools)
    kept = [True] * len(made.pools) if whole else [pool.number in (pools or ()) for pool in made.pools]
    rows = None if whole else _rows(recording.columns["worker"][:count], [kept[each.pool] for each in made.workers])
    for name, column in recording.columns.items():
        values = column[:count]
        made.columns[name] = values if rows is None else array(values.typecode, compress(values, rows))
    _copy_failures(recording, made, count, rows)
    for (pool, name), samples in list(recording.counters.items()):
        if pool < 0 or (pool < len(kept) and kept[pool]):
            length = min(len(samples.times), len(samples.values))
            made.counters[pool, name] = Samples(samples.times[:length], samples.values[:length])
    made.repeats = dict(recording.repeats)
    return made if whole else _only(made, kept)


def _rows(workers: Sequence[int], kept: list[bool]) -> list[bool]:
    """Which rows are of a worker that is kept."""
    kept = [*kept, False]  # the last one: of no worker
    return [kept[worker] for worker in workers]


def _copy_failures(recording: Recording, made: Recording, count: int, rows: list[bool] | None) -> None:
    if rows is None:
        made.failures = {row: text for row, text in list(recording.failures.items()) if row < count}
        return
    numbers, number = {}, 0
    for row, keeps in enumerate(rows):
        numbers[row] = number
        number += keeps
    made.failures = {numbers[row]: text for row, text in list(recording.failures.items()) if row < count and rows[row]}


def _only(made: Recording, kept: list[bool]) -> Recording:
    """Without the pools and workers that are not kept; those that are have new places."""
    pools = {old: new for new, old in enumerate(compress(range(len(kept)), kept))}
    lives = [each.pool in pools for each in made.workers]
    workers = {old: new for new, old in enumerate(compress(range(len(lives)), lives))}
    made.pools = list(compress(made.pools, kept))
    made.workers = [each._replace(pool=pools[each.pool]) for each in compress(made.workers, lives)]
    made.columns["worker"] = array("i", [workers.get(each, -1) for each in made.columns["worker"]])
    made.counters = {(pools.get(pool, -1), name): found for (pool, name), found in made.counters.items()}
    return made


__all__ = ["part"]
