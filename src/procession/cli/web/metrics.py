"""The numbers of a program for Prometheus and its like: OpenMetrics 1.0, or Prometheus' text format 0.0.4. Pure.

Laws
1. A counter never falls as long as its pool lives. What workers have taken of CPUs is told by each for itself, and is
   gone with it; so `Tally` keeps what it has last seen of those that are gone.
2. Labels are few: the number, kind, name and backend of a pool, of which MOST are told at once, the newest; kind and
   name of streams, whose numbers are summed, and of which MOST are told, in the order of the alphabet.
3. What is not known is left out: it is not 0.

The formats: the specification of OpenMetrics, and Prometheus' page on exposition formats. What differs: the end, the
names of counters in their TYPE, and that the older one has no units and no info.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from procession.options import BACKENDS, CLUSTERS

HERE = frozenset(BACKENDS) - frozenset(CLUSTERS)
"""Backends whose workers are on this machine."""
MOST = 200
LONGEST = 100
"""Characters of a label's value."""
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


class Family(NamedTuple):
    """What is told under one name, and of each set of labels what it is."""

    name: str
    kind: str
    unit: str
    help: str
    samples: Sequence[tuple[Labels, float]]


class Tally:
    """What the workers of each pool have taken of CPUs, those that are gone as well."""

    def __init__(self) -> None:
        self._now: dict[int, dict[int, float]] = {}
        self._gone: dict[int, float] = {}

    def take(self, look: Mapping[str, Any]) -> dict[int, float]:
        """Of each pool, by its number, seconds up to this look. Nobody knows that of one on a cluster."""
        before, self._now = self._now, {}
        for pool in look["pools"]:
            number = pool["number"]
            if pool["backend"] not in HERE:
                continue
            rows = {row["wid"]: row["cpu"] for row in pool.get("rows", ()) if row["cpu"] is not None}
            for wid, seconds in before.get(number, {}).items():
                if wid not in rows:
                    self._gone[number] = self._gone.get(number, 0.0) + seconds
                else:
                    rows[wid] = max(rows[wid], seconds)
            self._now[number] = rows
        self._gone = {number: seconds for number, seconds in self._gone.items() if number in self._now}
        return {number: sum(rows.values()) + self._gone.get(number, 0.0) for number, rows in self._now.items()}


# ----------------------------------------------------------------------------------------------------------- what it is

COUNTERS = (
    ("done", "procession_tasks_done", "Items that ran to an end, with a result or an exception"),
    ("failed", "procession_tasks_failed", "Items that did not run to an end: their worker died, or could not start"),
    (
        "timeouts",
        "procession_task_timeouts",
        "Runs that took longer than their timeout, and items that waited too long",
    ),
    ("retries", "procession_task_retries", "Further runs of items that had failed"),
    ("died", "procession_worker_deaths", "Workers that died while they ran something"),
)
GAUGES = (
    ("queued", "procession_tasks_queued", "Items that no worker has in hand"),
    ("running", "procession_tasks_running", "Items in the hands of workers, running or next"),
    ("width", "procession_pool_width", "So many workers at most"),
)
STATES = ("idle", "busy", "starting", "abandoned")
ITEMS = {"taken": "taken", "finished": "finished", "unfinished": "unfinished", "ready": "ready", "dropped": "dropped"}


def families(look: Mapping[str, Any], cpu: Mapping[int, float]) -> Iterator[Family]:
    """What `Answers.numbers` says, and the CPU time of each pool's workers."""
    yield from _of_program(look["program"], len(look["pools"]))
    pools = [(_labels(pool), pool) for pool in look["pools"][-MOST:]]
    for word, name, about in COUNTERS:
        yield Family(name, "counter", "", about, _known((labels, pool.get(word)) for labels, pool in pools))
    for word, name, about in GAUGES:
        yield Family(name, "gauge", "", about, _known((labels, pool.get(word)) for labels, pool in pools))
    states = [({**labels, "state": state}, pool.get(state)) for labels, pool in pools for state in STATES]
    yield Family("procession_workers", "gauge", "", "Workers by what they are at", _known(states))
    troubled = [(labels, float(bool(pool.get("trouble")))) for labels, pool in pools]
    about = "1 while something is wrong with the pool: it is broken, or does not answer"
    yield Family("procession_pool_troubled", "gauge", "", about, troubled)
    longest = _known((labels, _longest(pool)) for labels, pool in pools)
    about = "How long the oldest of the tasks has run that run now"
    yield Family("procession_task_longest_seconds", "gauge", "seconds", about, longest)
    memory = _known((labels, _memory(pool)) for labels, pool in pools)
    yield Family("procession_workers_memory_bytes", "gauge", "bytes", "Resident memory of worker processes", memory)
    taken = _known((labels, cpu.get(pool["number"])) for labels, pool in pools)
    yield Family("procession_workers_cpu_seconds", "counter", "seconds", "CPU time that workers have taken", taken)
    yield _of_streams(look["streams"])


def _of_program(program: Mapping[str, Any], pools: int) -> Iterator[Family]:
    about = {name: str(program.get(name, ""))[:LONGEST] for name in ("python", "accelerated", "pid")}
    version = {"version": str(program.get("procession", "")), **about}
    yield Family("procession", "info", "", "The program", [(version, 1)])
    numbers = (
        ("memory", "procession_program_memory_bytes", "gauge", "bytes", "Resident memory of the program itself"),
        ("cpu", "procession_program_cpu_seconds", "counter", "seconds", "CPU time that the program itself has taken"),
        ("age", "procession_program_age_seconds", "gauge", "seconds", "Time since the program was started"),
        ("cpus", "procession_program_cpus", "gauge", "", "CPUs that the program may use"),
        ("threads", "procession_program_threads", "gauge", "", "Threads of the program"),
    )
    for word, name, kind, unit, text in numbers:
        yield Family(name, kind, unit, text, _known([({}, program.get(word))]))
    yield Family("procession_pools", "gauge", "", "Pools, SpinOffs and stages that there are", [({}, pools)])


def _of_streams(streams: Iterable[Mapping[str, Any]]) -> Family:
    sums: dict[tuple[str, str], dict[str, float]] = {}
    for stream in streams:
        found = sums.setdefault((stream["kind"], stream["name"][:LONGEST]), {})
        for word in ITEMS:
            if stream.get(word) is not None:
                found[word] = found.get(word, 0) + stream[word]
    samples = [
        ({"kind": kind, "name": name, "state": ITEMS[word]}, number)
        for (kind, name), found in sorted(sums.items())[:MOST]
        for word, number in found.items()
    ]
    about = "Items of the streams that there are: in work, finished and not taken (ready), taken, and dropped"
    return Family("procession_stream_items", "gauge", "", about, samples)


def _labels(pool: Mapping[str, Any]) -> Labels:
    found = {"pool": pool["number"], **{word: pool.get(word, "") for word in ("kind", "name", "backend")}}
    return {name: str(value)[:LONGEST] for name, value in found.items()}


def _known(samples: Iterable[tuple[Labels, float | None]]) -> list[tuple[Labels, float]]:
    return [(labels, value) for labels, value in samples if value is not None]


def _longest(pool: Mapping[str, Any]) -> float:
    return max(
        (row["for"] for row in pool.get("rows", ()) if row["state"] == "runs" and row["for"] is not None), default=0
    )


def _memory(pool: Mapping[str, Any]) -> int | None:
    known = [row["memory"] for row in pool.get("rows", ()) if row["memory"] is not None]
    return sum(known) if known else None


# ------------------------------------------------------------------------------------------------------- how it is told


def answer(look: Mapping[str, Any], cpu: Mapping[int, float], accept: str) -> tuple[str, str]:
    """The text, and what kind of text it is: OpenMetrics for who asks for that in his Accept header."""
    is_open = wants_openmetrics(accept)
    return text(families(look, cpu), is_open), OPEN if is_open else PLAIN


def wants_openmetrics(accept: str) -> bool:
    """Whether the header names it, and does not refuse it or prefer the other one."""
    weights = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for each in accept.split(","):
        kind, *parameters = (word.strip().lower() for word in each.split(";"))
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        if kind in weights:
            weights[kind] = max(weights[kind], weight)
    return (
        weights["application/openmetrics-text"] > 0 and weights["application/openmetrics-text"] >= weights["text/plain"]
    )


def text(told: Iterable[Family], is_open: bool) -> str:
    """In the format of OpenMetrics, or the older one."""
    lines: list[str] = []
    for family in told:
        if not family.samples:
            continue
        sampled = family.name + {"counter": "_total", "info": "_info"}.get(family.kind, "")
        name, kind = (
            (family.name, family.kind) if is_open else (sampled, {"info": "gauge"}.get(family.kind, family.kind))
        )
        lines.append(f"# TYPE {name} {kind}")
        if family.unit and is_open:
            lines.append(f"# UNIT {name} {family.unit}")
        lines.append(f"# HELP {name} {escaped(family.help) if is_open else escaped(family.help, quotes=False)}.")
        lines += (f"{sampled}{_written(labels)} {_number(value)}" for labels, value in family.samples)
    if is_open:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


def escaped(value: str, quotes: bool = True) -> str:
    """As the value of a label. Half a character, as from a name that is no UTF-8, becomes `?`."""
    value = value.encode("utf-8", "replace").decode().replace("\\", "\\\\").replace("\n", "\\n")
    return value.replace('"', '\\"') if quotes else value


def _written(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items()) + "}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


__all__ = ["OPEN", "PLAIN", "Family", "Tally", "answer", "escaped", "families", "text", "wants_openmetrics"]
