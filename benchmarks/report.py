"""The report of a run as text, Markdown and JSON: the same tables, drawn three ways."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from benchmarks.cell import KIND_TITLES, KINDS, Kind, Outcome
from benchmarks.measures import MEASURES
from benchmarks.measures.base import Measure, Metric, Unit
from benchmarks.peers import PEERS
from benchmarks.results import Results, Verdict
from benchmarks.targets import OURS, PURE


@dataclass(frozen=True)
class Table:
    """A heading, columns and rows, still to be drawn."""

    heading: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def as_text(results: Results, facts: dict[str, Any], doubts: Sequence[str]) -> str:
    """For the terminal."""
    blocks = [_fact_lines(facts, doubts)]
    return "\n\n".join([*blocks, *map(in_text, tables(results))])


def in_text(table: Table) -> str:
    """The table, drawn for a terminal."""
    widths = [max(map(len, column)) for column in zip(table.columns, *table.rows, strict=True)]
    lines = [table.heading]
    for row in (table.columns, *table.rows):
        lines.append("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return "\n".join(lines)


def in_markdown(table: Table) -> str:
    """The table, drawn for a page."""
    rows = [table.columns, tuple("---" for _ in table.columns), *table.rows]
    drawn = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    return f"## {table.heading}\n\n" + drawn.replace("__main__", "`__main__`")


def as_markdown(results: Results, facts: dict[str, Any], doubts: Sequence[str]) -> str:
    """For a file that people read."""
    blocks = ["# Benchmarks", "\n".join(f"- {line}" for line in _fact_lines(facts, doubts).splitlines())]
    return "\n\n".join([*blocks, *map(in_markdown, (glance(results), *tables(results)))]) + "\n"


def as_json(results: Results, facts: dict[str, Any], doubts: Sequence[str]) -> str:
    """Every value of every repetition, and the verdicts."""
    return json.dumps(
        {
            "machine": facts,
            "doubts": list(doubts),
            "summary": list(_summary(results)),
            "outcomes": [asdict(outcome) for outcome in results.outcomes],
            "targets": [{**asdict(each), "reached": each.reached} for each in results.verdicts(_kinds(results))],
        },
        indent=1,
    )


def _summary(results: Results) -> Iterator[dict[str, Any]]:
    for measure in MEASURES.values():
        for metric, kind, peer in product(measure.metrics, KINDS, PEERS):
            if spread := results.spread(measure.name, peer, kind, metric.key):
                better = results.advantage(measure.name, metric, kind, peer, measure.baseline)
                place = {"measure": measure.name, "metric": metric.key, "unit": metric.unit, "kind": kind, "peer": peer}
                ratio = {"baseline": measure.baseline, "times_better": better.median if better else None}
                yield {**place, **asdict(spread), **ratio}


def progress(outcome: Outcome) -> str:
    """One line about a cell that has just run."""
    cell = outcome.cell
    metrics = MEASURES[cell.measure].metrics
    values = outcome.sample.values if outcome.sample else {}
    figures = ", ".join(f"{m.key} {amount(values[m.key], m.unit)}" for m in metrics if m.key in values)
    said = figures or f"{outcome.status}: {outcome.reason.splitlines()[-1] if outcome.reason else ''}"
    return f"{cell.measure} {cell.peer} ({KIND_TITLES[cell.kind]}, {outcome.seconds:.1f} s): {said}"


GLANCE = (
    ("submit_result", "rate", "submit, then result() of each"),
    ("submit_result", "parent_cpu", "the same, parent CPU a task"),
    ("submit_wait", "rate", "submit, then wait()"),
    ("roundtrip", "hot_p50", "round trip, p50"),
    ("roundtrip", "hot_p99", "round trip, p99"),
    ("roundtrip", "cold_p50", "round trip after 2 ms idle, p50"),
    ("roundtrip_busy", "p50", "round trip beside a busy thread, p50"),
    ("map", "rate", "map of no-ops, nothing tuned"),
    ("map", "best_rate", "map of no-ops, best chunk size"),
    ("map_skewed", "over_ideal", "map, one heavy item: over the ideal"),
    ("map_mixed", "over_ideal", "map, mixed times: over the ideal"),
    ("map_mixed", "best_over_ideal", "the same, best chunk size"),
    ("stream_stragglers", "over_ideal", "ordered stream with stragglers: over the ideal"),
    ("stream_stragglers", "best_over_ideal", "the same, best chunk size"),
    ("stream_memory", "peak", "ordered stream of 1 MB results that nobody takes: memory"),
    ("spinoff_small", "rate", "spin-off, small items"),
    ("spinoff_large", "rate", "spin-off, 1 MB items"),
    ("array_64mb", "argument", "64 MB array as argument"),
    ("array_64mb", "result", "64 MB array as result"),
    ("array_64mb", "both", "64 MB array as both"),
    ("array_1mb", "argument", "1 MB array as argument"),
    ("array_1mb", "result", "1 MB array as result"),
    ("array_arena", "argument_64", "64 MB array of the arena as argument"),
    ("startup", "first", "fresh process to first result"),
    ("startup", "wall", "fresh process to exit"),
    ("imports", "use", "import, over a bare interpreter"),
    ("idle", "pss", "idle pool of 2, PSS"),
)
"""The rows of the table for people in a hurry: measure, metric, what to call it."""


def glance(results: Results) -> Table:
    """One row for a figure and a column for a peer: the medians, with importable functions where there is a choice."""
    kinds = _kinds(results)
    cells = {
        (measure, metric, peer): amount(spread.median, unit_of(measure, metric))
        for (measure, metric, _), peer in product(GLANCE, PEERS)
        if kinds and (spread := results.spread(measure, peer, kinds[0], metric))
    }
    peers = [peer for peer in dict.fromkeys((OURS, PURE, *PEERS)) if any(place[2] == peer for place in cells)]
    rows = [
        (title, *(cells.get((measure, metric, peer), "") for peer in peers))
        for measure, metric, title in GLANCE
        if any(place[:2] == (measure, metric) for place in cells)
    ]
    return Table("At a glance", ("", *peers), rows)


def tables(results: Results) -> Iterator[Table]:
    """The tables of the report: one a metric, then the targets, then what went wrong."""
    run = {outcome.cell.measure for outcome in results.outcomes}
    kinds = _kinds(results)
    for name in (name for name in MEASURES if name in run):
        for metric in MEASURES[name].metrics:
            table = _metric_table(results, MEASURES[name], metric, kinds)
            if table.rows:
                yield table
    verdicts = results.verdicts(kinds)
    if any(verdict.found is not None for verdict in verdicts):
        rows = [_verdict_row(verdict) for verdict in verdicts]
        yield Table("Targets", ("target", "of", "function", "bound", "found", ""), rows)
    failed = [outcome for outcome in results.outcomes if outcome.failed]
    if failed:
        rows = [(o.cell.measure, o.cell.peer, KIND_TITLES[o.cell.kind], o.status, _tail(o.reason)) for o in failed]
        yield Table("Failed", ("measure", "peer", "function", "", "said"), rows)


def amount(value: float, unit: Unit) -> str:
    """A figure of three digits with its unit."""
    if unit == "/s":
        for factor, letter in ((1e6, "M"), (1e3, "k")):
            if value >= factor:
                return f"{_digits(value / factor)}{letter}/s"
    return f"{_digits(value)}{unit if unit in ('x', '/s') else f' {unit}'}"


def _digits(value: float) -> str:
    decimals = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{decimals}f}"


def metric_of(measure: str, key: str) -> Metric:
    """The metric of that name."""
    return next(metric for metric in MEASURES[measure].metrics if metric.key == key)


def unit_of(measure: str, key: str) -> Unit:
    """Its unit."""
    return metric_of(measure, key).unit


def _kinds(results: Results) -> list[Kind]:
    run = {outcome.cell.kind for outcome in results.outcomes}
    return [kind for kind in KINDS if kind in run]


def _metric_table(results: Results, measure: Measure, metric: Metric, kinds: Sequence[Kind]) -> Table:
    columns = ["peer"]
    kinds = [kind for kind in kinds if kind in measure.kinds]
    for kind in kinds:
        columns += [KIND_TITLES[kind], f"x {measure.baseline}"]
    rows = []
    for peer in PEERS:
        cells = [_figures(results, measure, metric, kind, peer) for kind in kinds]
        if any(figure for figure, _ in cells):
            label = f"{peer} (control)" if measure.name in PEERS[peer].controls else peer
            row = [label, *(text for cell in cells for text in cell), _facts_of(results, measure, peer)]
            rows.append(tuple(row))
    better = "higher" if metric.higher else "lower"
    heading = f"{measure.title}: {metric.title} ({better} is better)"
    return Table(heading, (*columns, "last run"), rows)


def _figures(results: Results, measure: Measure, metric: Metric, kind: Kind, peer: str) -> tuple[str, str]:
    """The figure and its advantage over the baseline; empty if `peer` does not take part."""
    spread = results.spread(measure.name, peer, kind, metric.key)
    if spread is None:
        bad = [outcome.status for outcome in results.at(measure.name, peer, kind) if outcome.status != "ok"]
        return (bad[0], "-") if bad else ("", "")
    figure = amount(spread.median, metric.unit)
    if spread.count > 1:
        figure += f" ({amount(spread.low, metric.unit)} .. {amount(spread.high, metric.unit)})"
    ratio = results.advantage(measure.name, metric, kind, peer, measure.baseline)
    return figure, _digits(ratio.median) if ratio else "-"


def _facts_of(results: Results, measure: Measure, peer: str) -> str:
    """The facts that a peer's last good cell stated: its n, its best chunk size."""
    samples = [o.sample for kind in KINDS for o in results.at(measure.name, peer, kind) if o.sample]
    if not samples:
        return ""
    return ", ".join(f"{key} {value:,.6g}" for key, value in samples[-1].facts.items())


def _verdict_row(verdict: Verdict) -> tuple[str, ...]:
    target = verdict.target
    measure = MEASURES[target.measure]
    metric = metric_of(target.measure, target.metric)
    where = f"{measure.title}: {metric.title}"
    against = f"{target.against} at its best chunk size" if target.theirs else target.against
    bounds = {
        "times": f"at least {_digits(target.bound)} x {against}",
        "within": f"at most {_digits(target.bound)} x the time of {target.against}",
        "plus": f"at most {target.against} + {amount(target.bound, metric.unit)}",
        "value": f"at most {amount(target.bound, metric.unit)}",
    }
    if verdict.found is None:
        found = f"not available: {verdict.lack}" if verdict.lack else "not measured"
    elif target.how in ("times", "within"):
        found = f"{_digits(verdict.found)} x {verdict.rival}"
    else:
        found = ("+" if target.how == "plus" and verdict.found >= 0 else "") + amount(verdict.found, metric.unit)
    words = {True: "reached", False: "NOT REACHED", None: "-"}
    return where, target.peer, KIND_TITLES[verdict.kind], bounds[target.how], found, words[verdict.reached]


def _fact_lines(facts: dict[str, Any], doubts: Sequence[str]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items() if version != "stdlib")
    slowdown, ran = facts["two_cores_slowdown"], f"{facts['repetitions']} repetitions in {facts['seconds']} s"
    lines = [
        f"{facts['date']}, {facts['python']}, {facts['kernel']}, {ran}",
        f"{facts['cpu']}, {facts['cores_usable']} of {facts['cores']} cores, load average {facts['load_average']}",
        f"harness {facts['harness_ns_per_task']} ns a task; two processes at once take {slowdown}x as long as one",
        f"peers: {versions or 'standard library only'}",
        *(f"{name}: {said}" for name, said in facts["modes"].items()),
    ]
    lines += [f"DOUBT: {doubt}" for doubt in doubts]
    lines.append("medians (lowest .. highest); x: times better, compared within each repetition, then the median")
    return "\n".join(lines)


def _tail(reason: str) -> str:
    lines = [line for line in reason.splitlines() if line.strip()]
    return lines[-1][:160] if lines else ""
