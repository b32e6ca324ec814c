"""The curves as tables, and what is said of each in one number."""

from collections.abc import Iterator, Sequence

from benchmarks.cell import Cell, Outcome
from benchmarks.growth.measures import GROWTH, LENGTHS, WAYS, length_name
from benchmarks.peers import PEERS
from benchmarks.report import Table, amount

Points = dict[tuple[str, str, float], Outcome]


def tables(outcomes: Sequence[Outcome], plan: Sequence[Cell]) -> Iterator[Table]:
    """One table a curve; for scaling, one a peer and way."""
    points = {(each.cell.measure, each.cell.peer, each.cell.amount): each for each in outcomes}
    for name in ("workers", "queued"):
        if any(cell.measure == name for cell in plan):
            yield _grown(name, points, plan)
    for way in WAYS:
        for peer in PEERS:
            amounts = sorted({c.amount for c in plan if c.measure == "scaling" and c.peer == peer})
            if amounts and (way == "map" or "scaling" not in PEERS[peer].controls):
                yield _scaled(way, peer, points, amounts)
    failed = [each for each in outcomes if each.status != "ok"]
    if failed:
        rows: list[tuple[str, ...]] = [
            (each.cell.measure, f"{each.cell.amount:,.0f}", each.cell.peer, each.status, each.reason.strip()[-160:])
            for each in failed
        ]
        yield Table("Without a figure", ("curve", "amount", "peer", "", "said"), rows)


def _grown(name: str, points: Points, plan: Sequence[Cell]) -> Table:
    """A row for a peer and a metric, a column for an amount, and how much dearer the last is than the first."""
    measure = GROWTH[name]
    amounts = sorted({cell.amount for cell in plan if cell.measure == name})
    peers = [peer for peer in PEERS if any(cell.measure == name and cell.peer == peer for cell in plan)]
    rows = []
    for metric in measure.metrics:
        for peer in peers:
            values = [_value(points, name, peer, each, metric.key) for each in amounts]
            cells = ["-" if value is None else amount(value, metric.unit) for value in values]
            rows.append((metric.title, peer, *cells, growth(values)))
    columns = ("", "peer", *(f"{each:,.0f}" for each in amounts), "last / least")
    return Table(f"{measure.title}: {name}", columns, rows)


def growth(values: Sequence[float | None]) -> str:
    """What the last costs, in terms of the cheapest: 1.0 is flat. The first may be dear for its fixed costs."""
    found = [value for value in values if value is not None]
    if len(found) < 2 or min(found) <= 0:
        return "-"
    return f"{found[-1] / min(found):.2f}"


def _scaled(way: str, peer: str, points: Points, amounts: Sequence[float]) -> Table:
    """A row for a length of tasks, a column for a number of workers: the speed-up, and how much of the ideal it is."""
    rows = []
    for length in LENGTHS:
        values = [_value(points, "scaling", peer, each, f"{way} {length_name(length)}") for each in amounts]
        cells = [
            "-" if value is None else f"{value:.2f}x ({value / each:.0%})"
            for value, each in zip(values, amounts, strict=True)
        ]
        rows.append((length_name(length), *cells))
    control = " (control)" if "scaling" in PEERS[peer].controls else ""
    return Table(f"speed-up by {way}: {peer}{control}", ("tasks of", *(f"{each:g} workers" for each in amounts)), rows)


def _value(points: Points, name: str, peer: str, amount: float, key: str) -> float | None:
    outcome = points.get((name, peer, amount))
    return outcome.sample.values.get(key) if outcome and outcome.sample else None
