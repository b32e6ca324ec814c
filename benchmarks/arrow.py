"""A function over the parts of a table: python -m benchmarks.arrow [--rounds N] [--rows N] [--only arrow,polars]

Each way runs with two workers that are warm, and takes turns with the others; the best of the rounds is shown, with its
ratio to ours. What comes out is compared with what the loop gives. Needs pyarrow, polars, pandas and joblib.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import Any

from procession import Pool

WORKERS = 2
BATCH_ROWS = 65_536
WORDS = re.compile(r"\b(?:error|timeout)\b|\d+ms")

Ways = dict[str, Callable[[], Any]]
Same = Callable[[Any, Any], bool]


# -- Arrow -------------------------------------------------------------------------------------------------------------


def logs(rows: int) -> Any:
    """Lines as those of a log, some 140 bytes a row with its numbers; one piece."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(1)
    kinds = [
        f"request {word} of host-{number} path=/items/{number * 7919} "
        for number, word in enumerate(["ok", "ok after retry", "error", "timeout", "ok cached"] * 20)
    ]
    parts = [kinds[at] for at in random.integers(0, len(kinds), rows)]
    texts = [
        f"{part}took {took}ms and was answered by the second replica"
        for part, took in zip(parts, random.integers(0, 900, rows).tolist(), strict=True)
    ]
    return pa.table({"text": texts, "a": random.random(rows), "b": random.random(rows), "id": np.arange(rows)})


def found(batch: Any) -> Any:
    """A regular expression on each text."""
    import pyarrow as pa

    seen = [WORDS.search(text) is not None for text in batch["text"].to_pylist()]
    return pa.record_batch({"id": batch["id"], "found": pa.array(seen)})


def computed(batch: Any) -> Any:
    """NumPy on two columns: little work, on all that came."""
    import numpy as np
    import pyarrow as pa

    a, b = batch["a"].to_numpy(), batch["b"].to_numpy()
    return pa.record_batch({"c": np.sin(a) * np.exp(b) / np.sqrt(a + b)})


def passed(batch: Any) -> Any:
    """No work: what the way there and back costs."""
    return batch


def arrow_ways(fn: Callable[[Any], Any], source: Any, batches: list[Any], pools: tuple[Any, Any, Pool]) -> Ways:
    """The loop, the peers, and ours, which is given the source of the batches."""
    import pyarrow as pa
    from joblib import delayed

    from procession.adapters.arrow import map_table

    executor, parallel, pool = pools

    def joined(results: Iterable[Any]) -> Any:
        return pa.Table.from_batches(list(results))

    return {
        "a loop": lambda: joined(map(fn, batches)),
        "ProcessPoolExecutor": lambda: joined(executor.map(fn, batches)),
        "joblib": lambda: joined(parallel(delayed(fn)(batch) for batch in batches)),
        "ours": lambda: map_table(fn, source, batch_rows=BATCH_ROWS if source is not batches else None, pool=pool),
    }


def arrow(rows: int, rounds: int) -> str:
    """The table of Arrow."""
    import pyarrow as pa
    from joblib import Parallel

    table = logs(rows)
    slices = table.to_batches(BATCH_ROWS)
    own = [pa.RecordBatch.from_arrays(list(map(copied, each.columns)), schema=each.schema) for each in slices]
    lines = []
    with ExitStack() as stack:
        pools = (
            stack.enter_context(ProcessPoolExecutor(WORKERS)),
            stack.enter_context(Parallel(WORKERS)),
            stack.enter_context(Pool(WORKERS)),
        )
        few = [batch.slice(0, 100) for batch in own[:4]]
        for way in arrow_ways(found, few, few, pools).values():
            way()
        for name, fn, source, batches in (
            ("a regular expression on each text, slices of one table", found, table, slices),
            ("a regular expression on each text, batches as a file has them", found, own, own),
            ("NumPy on two columns", computed, own, own),
            ("the batch as it is", passed, own, own),
        ):
            lines.append(row(name, arrow_ways(fn, source, batches, pools), rounds, same_tables))
    size = f"{table.nbytes / 1e6:,.0f} MB in {len(slices)} batches"
    return heading(size, ["a loop", "ProcessPoolExecutor", "joblib"]) + "".join(lines)


def copied(column: Any) -> Any:
    """Without the rest of the table that it was a slice of."""
    import pyarrow as pa

    return pa.concat_arrays([column])


def same_tables(one: Any, other: Any) -> bool:
    return bool(one.combine_chunks().equals(other.combine_chunks()))


# -- Polars and pandas -------------------------------------------------------------------------------------------------


def slow(values: list[float]) -> float:
    """What has to be done in Python: some 2 us a value."""
    level = 0.0
    for _ in range(20):
        for value in values:
            level = 0.9 * level + value if value > level else 0.8 * level
    return level


def polars_slow(group: Any) -> Any:
    return group.select("k").head(1).with_columns(level=slow(group["v"].to_list()))


def polars_quick(group: Any) -> Any:
    return group.head(1)


def polars(rows: int, rounds: int) -> str:
    """The table of Polars."""
    import polars as pl

    from procession.adapters.polars import map_groups

    lines = []
    with Pool(WORKERS) as pool:
        map_groups(polars_slow, pl.DataFrame({"k": range(100), "v": [1.0] * 100}).group_by("k"), pool=pool)
        for groups, fn, name in (
            (500, polars_slow, "500 groups, a loop in Python over the values"),
            (rows // 50, polars_slow, f"{rows // 50:,} groups, a loop in Python over the values"),
            (rows // 50, polars_quick, f"{rows // 50:,} groups, the first row of each"),
        ):
            frame = pl.DataFrame(
                {"k": [at * 7919 % groups for at in range(rows)], "v": [at % 101 / 7 for at in range(rows)]}
            )
            grouped = frame.group_by("k", maintain_order=True)
            ways: Ways = {
                "Polars": lambda fn=fn, grouped=grouped: grouped.map_groups(fn),
                "ours": lambda fn=fn, grouped=grouped: map_groups(fn, grouped, pool=pool),
            }
            lines.append(row(name, ways, rounds, lambda one, other: one.equals(other)))
    return heading(f"{rows:,} rows", ["`map_groups` of Polars"]) + "".join(lines)


def pandas_slow(group: Any) -> float:
    return slow(group["v"].tolist())


def pandas_quick(group: Any) -> float:
    return float(group["v"].iloc[0])


def pandas_row(one: Any) -> float:
    return slow([one["v"]] * 60)


def pandas(rows: int, rounds: int) -> str:
    """The table of pandas."""
    import pandas as pd

    from procession.adapters.pandas import apply, group_apply

    frame = pd.DataFrame({"k": [at * 7919 % 500 for at in range(rows)], "v": [at % 101 / 7 for at in range(rows)]})
    many = frame.assign(k=[at * 7919 % (rows // 50) for at in range(rows)])
    few = frame.head(rows // 50)
    lines = []
    with Pool(WORKERS) as pool:
        group_apply(few.groupby("k"), pandas_quick, pool=pool)
        cases: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "500 groups, a loop in Python over the values": (
                lambda: frame.groupby("k").apply(pandas_slow),
                lambda: group_apply(frame.groupby("k"), pandas_slow, pool=pool),
            ),
            f"{rows // 50:,} groups, the first value of each": (
                lambda: many.groupby("k").apply(pandas_quick),
                lambda: group_apply(many.groupby("k"), pandas_quick, pool=pool),
            ),
            f"{len(few):,} rows, 100 us each (`apply(axis=1)`)": (
                lambda: few.apply(pandas_row, axis=1),
                lambda: apply(few, pandas_row, axis=1, pool=pool),
            ),
        }
        for name, (theirs, ours) in cases.items():
            lines.append(row(name, {"pandas": theirs, "ours": ours}, rounds, lambda one, other: one.equals(other)))
    return heading(f"{rows:,} rows", ["pandas"]) + "".join(lines)


# -- measuring ---------------------------------------------------------------------------------------------------------


def row(name: str, ways: Ways, rounds: int, same: Same) -> str:
    """One line of a table: milliseconds, and of the others how many times as long as ours."""
    best = dict.fromkeys(ways, float("inf"))
    first: Any = None
    for number in range(rounds):
        for way, run in ways.items():
            began = time.perf_counter()
            result = run()
            best[way] = min(best[way], time.perf_counter() - began)
            if first is None:
                first = result
            elif number == 0 and not same(first, result):
                raise AssertionError(f"{name}: {way} gives something else")
        print(f"{name}: round {number + 1} of {rounds}", file=sys.stderr)
    ours = best.pop("ours")
    theirs = [f"{each * 1e3:,.0f} ({each / ours:.1f}x)" for each in best.values()]
    return f"| {name} | {' | '.join(theirs)} | {ours * 1e3:,.0f} |\n"


def heading(what: str, names: list[str]) -> str:
    """The first lines of a table."""
    return f"| {what} | {' | '.join(names)} | here |\n|{' --- |' * (len(names) + 2)}\n"


def main() -> int:
    """Print the tables."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.arrow", description=__doc__)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument(
        "--rows", type=int, default=1_500_000, help="of the table of Arrow; a third of them in the others"
    )
    words.add_argument("--only", default="arrow,polars,pandas")
    asked = words.parse_args()
    tables: dict[str, Callable[[int, int], str]] = {"arrow": arrow, "polars": polars, "pandas": pandas}
    for name in asked.only.split(","):
        print(tables[name](asked.rows if name == "arrow" else asked.rows // 3, asked.rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
