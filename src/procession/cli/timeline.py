"""Who ran what when, drawn as lines of text: one row a worker, one bar an item, time from left to right.

    worker     0 s          1            2            3            4
    pid 4711   [3==========][27=========]                          :
    pid 4713   [9==================================================]
    results                 7 items      2 items                   9

Pure: from records to segments of text. What a segment means is named (`kind`), and whoever prints decides on colours.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["plain", "axis", "label", "bar", "other bar", "accent", "limit", "mark"]


class Span(NamedTuple):
    """One item's run, in seconds since the beginning of the chart; `end` is None while it runs."""

    item: int
    worker: str
    start: float
    end: float | None


class Mark(NamedTuple):
    """Something that happened to one item at one moment."""

    item: int
    at: float


class Segment(NamedTuple):
    text: str
    kind: Kind


@dataclass(frozen=True)
class Glyphs:
    """What a bar is drawn with, and the line of the limit."""

    left: str
    fill: str
    right: str
    limit: str


ASCII = Glyphs("[", "=", "]", ":")
# For terminals that paint the background of a bar: it needs no edges, since neighbours differ in colour.
PAINTED = Glyphs(" ", " ", " ", "┊")


@dataclass(frozen=True)
class Chart:
    """What is drawn.

    `length` is the length of the time axis in seconds, `now` where a bar that still runs ends, `limit` a moment to rule
    a line at, `accent` an item to set off. `above` and `below` are named rows of marks around the workers' rows.
    """

    spans: Sequence[Span]
    length: float
    now: float
    limit: float | None = None
    accent: int | None = None
    above: tuple[str, Sequence[Mark]] | None = None
    below: tuple[str, Sequence[Mark]] | None = None


def draw(chart: Chart, width: int, glyphs: Glyphs = ASCII) -> list[list[Segment]]:
    """The lines of `chart`, none of them wider than `width` (which counts as at least 40)."""
    spans = sorted(chart.spans, key=lambda span: span.start)
    workers = list(dict.fromkeys(span.worker for span in spans))
    rows = [row for row in (chart.above, chart.below) if row is not None]
    margin = max(map(len, ["worker", *workers, *(name for name, _ in rows)])) + 2
    scale = Scale(max(width, 40) - margin, chart.length)
    order = _order(chart)

    def row(name: str, segments: Iterable[Segment]) -> list[Segment]:
        return [Segment(name.ljust(margin), "label"), *segments]

    lines = [row("worker", [Segment(axis(scale), "axis")])]
    if chart.above is not None:
        lines.append(row(chart.above[0], [Segment(_marks(chart.above[1], order, scale), "mark")]))
    for worker in workers:
        own = [span for span in spans if span.worker == worker]
        lines.append(row(worker, _bars(own, chart, scale, glyphs)))
    if chart.below is not None:
        lines.append(row(chart.below[0], [Segment(_marks(chart.below[1], order, scale), "mark")]))
    return lines


def text(lines: Iterable[Sequence[Segment]]) -> list[str]:
    """The lines without their kinds."""
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


@dataclass(frozen=True)
class Scale:
    """Which column shows which moment."""

    columns: int
    length: float

    def column(self, at: float) -> int:
        """The column of a moment; what lies outside the axis is at its end."""
        share = at / self.length if self.length > 0 else 0.0
        return min(max(round(share * (self.columns - 1)), 0), self.columns - 1)


def axis(scale: Scale) -> str:
    """Round numbers of seconds, each beginning at its own column, as many as have room."""
    step = _tick(scale)
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    line = ""
    for index in range(int(scale.length / step + 1e-9) + 1):
        label = f"{index * step:.{places}f}" + ("" if index else " s")
        column = scale.column(index * step)
        if (not line or column > len(line)) and column + len(label) <= scale.columns:
            line = line.ljust(column) + label
    return line


def _tick(scale: Scale) -> float:
    """The smallest of 1, 2, 5, 10, ... that leaves ten columns between two labels."""
    least = scale.length * 10 / max(scale.columns - 1, 1)
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next((power * factor for factor in (1, 2, 5) if power * factor >= least), power * 10)


def _order(chart: Chart) -> dict[int, int]:
    """Each item that the chart knows, with its place among them."""
    items = {span.item for span in chart.spans}
    for row in (chart.above, chart.below):
        items |= {mark.item for mark in row[1]} if row else set()
    return {item: index for index, item in enumerate(sorted(items))}


def _bars(own: Sequence[Span], chart: Chart, scale: Scale, glyphs: Glyphs) -> list[Segment]:
    """One worker's row. A bar has at least one column, never covers the one before it, and differs from it in kind."""
    segments: list[Segment] = []
    column = 0
    for index, span in enumerate(own):
        first = max(scale.column(span.start), column)
        last = min(max(scale.column(chart.now if span.end is None else span.end), first + 1), scale.columns)
        segments += _gap(column, first, chart, scale, glyphs)
        kind: Kind = "accent" if span.item == chart.accent else "other bar" if index % 2 else "bar"
        segments.append(Segment(_bar(str(span.item), last - first, span.end is None, glyphs), kind))
        column = last
    rest = _gap(column, scale.columns, chart, scale, glyphs)
    return [*segments, *rest[: -1 if rest and rest[-1].kind == "plain" else None]]


def _bar(label: str, width: int, running: bool, glyphs: Glyphs) -> str:
    if width < len(label):
        return glyphs.fill * width
    if width < len(label) + 2:
        return (label if width == len(label) else glyphs.left + label).ljust(width, glyphs.fill)
    end = glyphs.fill if running else glyphs.right
    return glyphs.left + label.ljust(width - 2, glyphs.fill) + end


def _gap(first: int, last: int, chart: Chart, scale: Scale, glyphs: Glyphs) -> list[Segment]:
    """Nothing from column `first` to before `last`, but for the line of the limit if it passes there."""
    at = None if chart.limit is None else scale.column(chart.limit)
    if at is None or not first <= at < last:
        return [Segment(" " * (last - first), "plain")] if last > first else []
    parts = (
        Segment(" " * (at - first), "plain"),
        Segment(glyphs.limit, "limit"),
        Segment(" " * (last - at - 1), "plain"),
    )
    return [part for part in parts if part.text]


def _marks(marks: Iterable[Mark], order: dict[int, int], scale: Scale) -> str:
    """Each mark's item at its column. Those that would run into each other stand together, where the first stands."""
    groups: list[tuple[int, list[int]]] = []
    for mark in sorted(marks, key=lambda mark: mark.at):
        column = min(scale.column(mark.at), scale.columns - len(str(mark.item)))
        if groups and column <= groups[-1][0] + len(_together(groups[-1][1], order)):
            groups[-1][1].append(mark.item)
        else:
            groups.append((column, [mark.item]))
    line = ""
    for column, items in groups:
        label = _together(items, order)
        line = line.ljust(max(min(column, scale.columns - len(label)), len(line) + bool(line))) + label
    return line[: scale.columns]


def _together(items: Sequence[int], order: dict[int, int]) -> str:
    """`9`, or `9-21` when these came one after another with none left out, or else how many they are."""
    places = [order[item] for item in items]
    if len(items) == 1:
        return str(items[0])
    if places == list(range(places[0], places[0] + len(places))):
        return f"{items[0]}-{items[-1]}"
    return f"{len(items)} items"
