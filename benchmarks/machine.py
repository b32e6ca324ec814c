"""The machine of a run, and cheap checks that it and the harness can be believed."""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from benchmarks import workloads
from benchmarks.peers.base import TaskPeer
from benchmarks.targets import OURS, PURE


class _Inline(TaskPeer):
    """Calls the function in `submit`: what is left is the cost of the harness."""

    name = "inline"

    def open(self, workers: int) -> None:
        self.submit = lambda fn, item: fn(item)
        self.take = lambda handle: handle


def facts() -> dict[str, Any]:
    """What a reader must know about the machine, and what the checks found."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "cores_usable": len(os.sched_getaffinity(0)),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "harness_ns_per_task": round(harness_cost()),
        "two_cores_slowdown": round(two_cores_slowdown(), 2),
        "turn_ns": round(turn_seconds() * 1e9, 3),
    }


def _cpu_model() -> str:
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def harness_cost() -> float:
    """Nanoseconds a task of `submit_each` when the library costs nothing: must be far below what is measured."""
    peer = _Inline()
    peer.open(1)
    items = range(20_000)
    times = []
    for _ in range(5):
        began = time.perf_counter_ns()
        peer.submit_each(workloads.noop, items)
        times.append((time.perf_counter_ns() - began) / len(items))
    return statistics.median(times)


def turn_seconds() -> float:
    """Seconds for a turn of `burn`'s loop, undisturbed: the shortest, lest the items come out too light."""
    turns = 20_000
    times = []
    for _ in range(100):
        began = time.perf_counter()
        workloads.burn(turns)
        times.append(time.perf_counter() - began)
    return min(times) / turns


def two_cores_slowdown() -> float:
    """How much longer a fixed amount of work takes when two processes do it at once: 1.0 on two true, free cores."""
    alone, together = [], []
    for _ in range(5):
        alone.append(_burn_in_children(1))
        together.append(_burn_in_children(2))
    return statistics.median(together) / statistics.median(alone)


def _burn_in_children(count: int) -> float:
    began = time.perf_counter()
    pids = []
    for _ in range(count):
        if not (pid := os.fork()):
            workloads.burn(3_000_000)
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    return time.perf_counter() - began


ASK = "import procession; print(bool(procession.accelerated) if hasattr(procession, 'accelerated') else None)"
MODES = {"True": "accelerated", "False": "pure Python", "None": "this procession has one mode"}


def modes(environments: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """In which mode procession runs in each of some peers' environments, by what a fresh process says there."""
    found = {}
    for peer, environment in environments.items():
        command = [sys.executable, "-P", "-c", ASK]
        said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
        found[peer] = MODES[said.stdout.strip()]
    return found


def doubts(found: dict[str, Any], ppe_rates: Sequence[float]) -> list[str]:
    """Reasons not to trust the figures of this run; for stderr and the report."""
    reasons = []
    if found["load_average"][0] > 0.5:
        reasons.append(f"the load average was {found['load_average'][0]} at the start: others used the machine")
    if found["cores_usable"] < 2:
        reasons.append("fewer than two usable cores: the workers take turns with the program")
    if found["two_cores_slowdown"] > 1.15:
        reasons.append(
            f"work takes {found['two_cores_slowdown']}x longer on both cores at once: "
            "no library can come within 1.15x of an ideal computed from one"
        )
    if found["harness_ns_per_task"] > 500:
        reasons.append(f"the harness itself costs {found['harness_ns_per_task']} ns a task")
    if ppe_rates and not 2_000 < statistics.median(ppe_rates) < 60_000:
        reasons.append(f"ProcessPoolExecutor did {statistics.median(ppe_rates):.0f} tasks/s; 5,000-15,000 is usual")
    if found["modes"].get(OURS, "accelerated") != "accelerated":
        reasons.append(f"{OURS} is not accelerated here: what its targets ask for is the extension's speed")
    if found["modes"].get(PURE) == "accelerated":
        reasons.append(f"{PURE} is accelerated: the row of the pure mode is not that")
    if sys.flags.dev_mode or sys.flags.optimize:
        reasons.append("the interpreter runs with -X dev or -O")
    return reasons
