"""joblib's backends side by side: python -m benchmarks.joblib_backends [--rounds N] [--without-sklearn]

Each backend runs each workload in a program of its own: once with cold workers, then warm, the median of REPEATS. The
programs take turns, round by round; the median of all rounds is shown, with loky's ratio to it. (Not the best: of a few
short calls that says more of the machine's luck than of a backend.)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from operator import neg
from pathlib import Path
from statistics import median
from typing import Any

BACKENDS = ("procession", "loky", "threading")
REPEATS = 9
JOBS = 2


def busy(seconds: float) -> None:
    """Computes for so long."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def plain() -> dict[str, Callable[[], Any]]:
    """What needs joblib and NumPy only."""
    import numpy
    from joblib import Parallel, delayed

    array = numpy.ones(5_000_000)

    def run(tasks: Any) -> Any:
        return Parallel(n_jobs=JOBS)(tasks)

    return {
        "10 empty tasks": lambda: run(delayed(neg)(i) for i in range(10)),
        "1,000 empty tasks": lambda: run(delayed(neg)(i) for i in range(1000)),
        "20,000 empty tasks": lambda: run(delayed(neg)(i) for i in range(20_000)),
        "200 tasks of 1 ms": lambda: run(delayed(busy)(0.001) for _ in range(200)),
        "40 tasks of 10 ms": lambda: run(delayed(busy)(0.01) for _ in range(40)),
        "one array of 40 MB, 20 tasks": lambda: run(delayed(numpy.sum)(array) for _ in range(20)),
        "20 arrays of 40 MB": lambda: run(delayed(numpy.sum)(array + i) for i in range(20)),
    }


def estimators() -> dict[str, Callable[[], Any]]:
    """What scikit-learn runs by joblib."""
    from sklearn.datasets import make_classification
    from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
    from sklearn.inspection import permutation_importance
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.tree import DecisionTreeClassifier

    x, y = make_classification(n_samples=2000, n_features=20, n_informative=10, n_classes=3, random_state=0)
    tree = DecisionTreeClassifier(random_state=0)
    fitted = DecisionTreeClassifier(random_state=0).fit(x, y)
    grid = {"C": [0.01, 0.1, 1, 10]}
    return {
        "GridSearchCV": lambda: GridSearchCV(LogisticRegression(max_iter=100), grid, cv=5, n_jobs=JOBS).fit(x, y),
        "cross_val_score": lambda: cross_val_score(tree, x, y, cv=20, n_jobs=JOBS),
        "RandomForestClassifier": lambda: RandomForestClassifier(50, random_state=0, n_jobs=JOBS).fit(x, y),
        "BaggingClassifier": lambda: BaggingClassifier(tree, 20, random_state=0, n_jobs=JOBS).fit(x, y),
        "permutation_importance": lambda: permutation_importance(
            fitted, x, y, n_repeats=5, random_state=0, n_jobs=JOBS
        ),
    }


def measure(backend: str, workload: str, with_sklearn: bool) -> tuple[float, float]:
    """Seconds, cold and warm; for a program of its own."""
    import joblib

    found = {**plain(), **(estimators() if with_sklearn else {})}[workload]
    if backend == "procession":
        import procession.adapters.joblib

        procession.adapters.joblib.register()
    with joblib.parallel_config(backend=backend):
        times = []
        for _ in range(1 + REPEATS):
            began = time.perf_counter()
            found()
            times.append(time.perf_counter() - began)
    return times[0], median(times[1:])


def program(backend: str, workload: str, with_sklearn: bool) -> tuple[float, float]:
    """`measure` in a fresh interpreter."""
    words = [sys.executable, "-W", "ignore", "-m", __spec__.name, "--one", backend, workload]
    words += [] if with_sklearn else ["--without-sklearn"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=600)
    cold, warm = json.loads(done.stdout.splitlines()[-1])
    return cold, warm


def table(found: dict[tuple[str, str], tuple[float, float]], workloads: Sequence[str]) -> str:
    """In Markdown: milliseconds, and how many times as fast as loky procession is."""
    lines = ["| | procession, cold / warm | loky | threading | loky / procession |", "| --- | --- | --- | --- | --- |"]
    for workload in workloads:
        cells = [f"{found[each, workload][0] * 1e3:,.0f} / {found[each, workload][1] * 1e3:,.1f}" for each in BACKENDS]
        ours, lokys = found["procession", workload], found["loky", workload]
        cells.append(" / ".join(f"{there / here:.1f}x" for here, there in zip(ours, lokys, strict=True)))
        lines.append(f"| {workload} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all of them, and print the table."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.joblib_backends", description=__doc__)
    words.add_argument("--rounds", type=int, default=3, help="how often each program runs (3)")
    words.add_argument("--without-sklearn", action="store_true", help="only what needs joblib and NumPy")
    words.add_argument("--markdown", type=Path, help="write the table here, too")
    words.add_argument("--one", nargs=2, metavar=("BACKEND", "WORKLOAD"), help=argparse.SUPPRESS)
    said = words.parse_args(arguments)
    with_sklearn = not said.without_sklearn
    if said.one:
        print(json.dumps(measure(*said.one, with_sklearn)))
        return 0
    workloads = [*plain(), *(estimators() if with_sklearn else ())]
    seen: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for number in range(said.rounds):
        for workload in workloads:
            print(f"round {number + 1} of {said.rounds}: {workload}", file=sys.stderr)
            for backend in BACKENDS:
                seen.setdefault((backend, workload), []).append(program(backend, workload, with_sklearn))
    found = {key: (median(cold for cold, _ in each), median(warm for _, warm in each)) for key, each in seen.items()}
    text = table(found, workloads)
    print(text, end="")
    if said.markdown:
        said.markdown.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
