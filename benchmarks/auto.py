"""`max_workers="auto"` beside fixed widths: `python -m benchmarks.auto [--svg FILE] [--backend threads] [--repeat N]`.

Each load runs on pools of a few fixed widths and on one that finds its width by itself, in one run, one after another.
Printed are the seconds (the best of the repetitions, for each width alike), the best fixed width, and how much longer
"auto" took than that. The picture shows its width over time.

A pool begins with as many workers as there are CPUs here. What computes does so for CPU time, what waits sleeps.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterator
from html import escape
from itertools import chain

from procession import Pool, cpu_budget

FIXED = (2, 4, 8, 16, 32)
LOOK = 0.05
"""Seconds between two looks at the width."""


def run(item: tuple[float, float]) -> None:
    """Compute for so many seconds, then wait for so many."""
    computes, waits = item
    end = time.thread_time() + computes
    while time.thread_time() < end:
        pass
    if waits:
        time.sleep(waits)


Load = Callable[[], Iterator[tuple[float, float]]]


def reference() -> Iterator[tuple[float, float]]:
    """Ten items of 1 s, one of them of 4 s."""
    return ((0.0, 4.0 if number == 9 else 1.0) for number in range(3, 31, 3))


def sleeping(count: int = 1600) -> Iterator[tuple[float, float]]:
    """Each waits 50 ms."""
    return ((0.0, 0.05) for _ in range(count))


def computing(count: int = 200) -> Iterator[tuple[float, float]]:
    """Each computes for 20 ms."""
    return ((0.02, 0.0) for _ in range(count))


def mixed() -> Iterator[tuple[float, float]]:
    """Each computes for 10 ms, then waits 40 ms."""
    return ((0.01, 0.04) for _ in range(600))


def changing() -> Iterator[tuple[float, float]]:
    """Sleeping, then computing, then sleeping."""
    return chain(sleeping(1200), computing(250), sleeping(1200))


LOADS: dict[str, Load] = {
    "reference": reference,
    "sleeping": sleeping,
    "computing": computing,
    "mixed": mixed,
    "changing": changing,
}

Seen = list[tuple[float, int]]
"""Seconds since the beginning, and the width then."""


def timed(pool: Pool, load: Load, seen: Seen | None = None) -> float:
    """Seconds for all of it; with `seen`, its width is looked at meanwhile."""
    ended = threading.Event()
    began = time.perf_counter()

    def look() -> None:
        assert seen is not None
        while not ended.wait(LOOK):
            seen.append((time.perf_counter() - began, pool.stats().max_workers))

    looker = threading.Thread(target=look)
    if seen is not None:
        looker.start()
    for _ in pool.imap_unordered(run, load()):
        pass
    took = time.perf_counter() - began
    ended.set()
    if seen is not None:
        looker.join()
    return took


def measure(load: Load, backend: str, repeat: int) -> tuple[dict[str, float], Seen]:
    """The best time of each width, and what "auto" did in its best."""
    best: dict[str, float] = {}
    shown: Seen = []
    for _ in range(repeat):
        for width in FIXED:
            with Pool(width, backend=backend) as pool:  # type: ignore[arg-type]
                took = timed(pool, load)
            best[str(width)] = min(took, best.get(str(width), took))
        seen: Seen = []
        with Pool("auto", backend=backend) as pool:  # type: ignore[arg-type]
            took = timed(pool, load, seen)
        if took <= best.get("auto", took):
            best["auto"], shown = took, seen
    return best, shown


# ------------------------------------------------------------------------------------------------------------- picture

PANEL = (640, 120)
MARGIN = 46


def panel(name: str, note: str, seen: Seen, top: int) -> str:
    """One load: its width over time, as a line of steps."""
    wide, high = PANEL
    last = max(seen[-1][0] if seen else 1.0, 0.1)
    most = max([width for _, width in seen] or [1])
    steps = [(MARGIN + at / last * wide, top + high - width / most * high) for at, width in seen]
    path = "".join(f"H{x:.1f}V{y:.1f}" for x, y in steps)
    if steps:
        path = f"M{steps[0][0]:.1f},{steps[0][1]:.1f}" + path
    return (
        f'<text x="{MARGIN}" y="{top - 8}" class="name">{escape(name)}</text>'
        f'<text x="{MARGIN + wide}" y="{top - 8}" class="note" text-anchor="end">{escape(note)}</text>'
        f'<path d="M{MARGIN},{top}V{top + high}H{MARGIN + wide}" class="axis"/>'
        f'<path d="{path}" class="line"/>'
        f'<text x="{MARGIN - 6}" y="{top + 8}" text-anchor="end">{most}</text>'
        f'<text x="{MARGIN - 6}" y="{top + high}" text-anchor="end">0</text>'
        f'<text x="{MARGIN + wide}" y="{top + high + 14}" text-anchor="end">{last:.1f} s</text>'
    )


def picture(panels: list[tuple[str, str, Seen]]) -> str:
    """All loads, one below the other, as SVG."""
    step = PANEL[1] + 52
    inner = "".join(panel(name, note, seen, 34 + number * step) for number, (name, note, seen) in enumerate(panels))
    width, height = PANEL[0] + 2 * MARGIN, step * len(panels) + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="workers over time"><style>'
        "svg{background:#fff}text{font:12px sans-serif;fill:#444}.name{font-weight:bold;fill:#111}"
        ".axis{fill:none;stroke:#999}.line{fill:none;stroke:#0b62c4;stroke-width:2}"
        f"</style>{inner}</svg>\n"
    )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.auto", description=__doc__.splitlines()[0])
    parser.add_argument("--svg", help="where to draw the widths")
    parser.add_argument("--backend", default="processes", choices=("processes", "threads"))
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only", default=",".join(LOADS), help="loads, by comma")
    asked = parser.parse_args()
    print(f"{cpu_budget().cpus} CPUs, {asked.backend}; seconds")
    print("load".ljust(12), *(f"{width:>7}" for width in (*FIXED, "auto")), " best fixed   auto / best")
    panels = []
    for name in asked.only.split(","):
        best, seen = measure(LOADS[name], asked.backend, asked.repeat)
        width = min(map(str, FIXED), key=lambda each: best[each])
        ratio = best["auto"] / best[width]
        print(
            name.ljust(12),
            *(f"{best[str(each)]:7.2f}" for each in (*FIXED, "auto")),
            f"{width:>10} {ratio:13.2f}",
            flush=True,
        )
        panels.append((name, f"auto {best['auto']:.1f} s; {width} workers, the best fixed: {best[width]:.1f} s", seen))
    if asked.svg:
        with open(asked.svg, "w", encoding="utf-8") as file:
            file.write(picture(panels))


if __name__ == "__main__":
    main()
