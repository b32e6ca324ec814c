"""What `procession top` shows, as lines of pieces of text with a kind each: pure, from one or two looks.

    pid 4711  python job.py
    up 1:02:03   2 CPUs   29 MB, 12 % CPU   workers: 40 MB, 180 % CPU
    <blank>
    Pool 0 (processes)  2 of 2 workers  10 wait  2 run  19 done  8.0/s  half under 0.21 s, 99 % under 0.25 s
      worker    pid  state   for      done   CPU  memory  task
           0   4712  runs    0.2 s      12  99 %   12 MB  work(0.2, 21)

Laws
1. No line is wider than `width`, of 20 columns at least. Where that is narrow, columns are left out: what matters less
   first.
2. What a program says of itself is shown without anything that a terminal might obey.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from procession.cli.top_words import aligned, clean, clock, columns, cut, lasting, number, percent, rate, size

Kind = Literal["plain", "title", "head", "dim", "bad", "good", "busy", "pool"]
Key = tuple[int, int]
"""A pool's number, and a worker's, or -1 for the pool itself; ERROR, and which of the latest errors."""

ERROR = -2

SORTS = ("worker", "cpu", "memory", "for", "done")
ERRORS = 5
LEAST = 20


class Piece(NamedTuple):
    text: str
    kind: Kind = "plain"


class Line(NamedTuple):
    pieces: Sequence[Piece]
    key: Key | None = None
    """What this line stands for, if it can be selected."""

    @property
    def text(self) -> str:
        """Without kinds."""
        return "".join(piece.text for piece in self.pieces)


class Look(NamedTuple):
    """What was seen now, and before that; shares of CPU are of the time between the two."""

    now: Mapping[str, Any]
    before: Mapping[str, Any] | None = None


def lines(look: Look, width: int, sort: str = "worker") -> list[Line]:
    """All of it."""
    width = max(width, LEAST)
    shares = _shares(look)
    said = [*_program(look, shares, width), Line(())]
    streams = list(look.now["streams"])
    pools = look.now["pools"]
    for pool in pools:
        mine = [each for each in streams if each.get("engine") == pool["number"]]
        said += [*_pool(pool, mine, width), *_workers(pool, shares, width, sort), Line(())]
    for each in streams:
        if "engine" not in each:
            said += [*_folded([Piece(_stream_name(each), "pool"), *_stream(each)], width), Line(())]
    if not pools:
        said.append(Line((Piece(cut("no pool is open now", width), "dim"),)))
    return [*said, *_errors(look, width)]


def keys(shown: Iterable[Line]) -> list[Key]:
    """What can be selected, from top to bottom."""
    return [line.key for line in shown if line.key is not None]


# ------------------------------------------------------------------------------------------------------------ the parts


def _program(look: Look, shares: Mapping[Any, float], width: int) -> list[Line]:
    program = look.now["program"]
    rows = [row for pool in look.now["pools"] for row in pool.get("rows", ())]
    facts = [f"up {clock(program['age'])}"] if program.get("age") is not None else []
    facts.append(f"{program['cpus']} CPUs" if program["cpus"] != 1 else "1 CPU")
    facts.append(_taken(program["memory"], shares.get("program")))
    memory = sum(row["memory"] or 0 for row in rows)
    if memory:
        share = sum(
            shares.get((pool["number"], row["wid"], row["pid"]), 0.0)
            for pool in look.now["pools"]
            for row in pool.get("rows", ())
            if row["memory"]
        )
        facts.append(f"workers: {_taken(memory, share if look.before else None)}")
    facts.append(f"python {program['python']}")
    title = Line((Piece(cut(f"pid {program['pid']}  {clean(program['command'])}", width), "title"),))
    trouble = [Piece(clean(program["trouble"]), "bad")] if program.get("trouble") else []
    return [title, *_folded([*(Piece(fact, "dim") for fact in facts), *trouble], width)]


def _taken(memory: float, share: float | None) -> str:
    return size(memory) if share is None else f"{size(memory)}, {percent(share)} CPU"


def _pool(pool: Mapping[str, Any], streams: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    name = f" {clean(pool['name'])}" if pool["name"] else ""
    where = ", ".join(filter(None, (pool["backend"], clean(pool.get("resources", "")))))
    pieces = [Piece(f"{pool['kind']} {pool['number']}{name} ({where})", "pool")]
    if "workers" in pool:
        pieces.append(Piece(f"{pool['workers']} of {pool['width']} workers"))
        pieces.append(Piece(f"{number(pool['queued'])} wait"))
    pieces += [
        Piece(f"{number(pool[key])} {word}") for key, word in (("running", "run"), ("done", "done")) if key in pool
    ]
    if pool.get("rate") is not None:
        pieces.append(Piece(f"{rate(pool['rate'])}/s", "good" if pool["rate"] else "plain"))
    if pool.get("p50") is not None:
        pieces.append(Piece(f"half under {lasting(pool['p50'])}, 99 % under {lasting(pool['p99'])}"))
    counts = (("starting", "start"), ("retries", "retries"), ("abandoned", "given up"))
    pieces += [Piece(f"{number(pool[key])} {word}") for key, word in counts if pool.get(key)]
    bad = (("failed", "failed unrun"), ("died", "workers died"), ("timeouts", "timeouts"))
    pieces += [Piece(f"{number(pool[key])} {word}", "bad") for key, word in bad if pool.get(key)]
    if pool.get("failures"):
        count = pool["failures"]
        pieces.append(Piece(f"{number(count)} error{'s' * (count != 1)} seen", "bad"))
    for key, kind in (("auto", "dim"), ("trouble", "bad")):
        if pool.get(key):
            pieces.append(Piece(clean(pool[key]), kind))  # type: ignore[arg-type]
    found = _folded(pieces, width, (pool["number"], -1))
    for stream in streams:
        found += _folded([Piece(_stream_name(stream), "dim"), *_stream(stream)], width, indent=2)
    return found


def _stream_name(stream: Mapping[str, Any]) -> str:
    return f"{stream['kind']} {clean(stream['name'])}:"


def _stream(stream: Mapping[str, Any]) -> list[Piece]:
    pieces = []
    if "unfinished" in stream:
        pieces.append(Piece(f"{number(stream['unfinished'])} under way"))
    if stream.get("ready"):
        pieces.append(Piece(f"{number(stream['ready'])} finished wait"))
    if stream.get("head") is not None:
        at = f" at {clean(stream['head_at'])}" if stream.get("head_at") else ""
        since = f", for {lasting(stream['head_for'])}" if stream.get("head_for") else ""
        pieces.append(Piece(f"item {stream['head']} is what they wait for{at}{since}", "busy"))
    if stream.get("trouble"):
        pieces.append(Piece(clean(stream["trouble"]), "bad"))
    return pieces


_STATES: Mapping[str, Kind] = {"runs": "busy", "idle": "dim", "dying": "bad", "given up": "bad"}
# Title, whether it stands to the right, and how dear it is: what is least is left out first. The task has the rest.
_COLUMNS = (
    ("worker", True, 9),
    ("host", False, 2),
    ("pid", True, 3),
    ("state", False, 8),
    ("for", True, 7),
    ("done", True, 4),
    ("CPU", True, 6),
    ("memory", True, 5),
    ("task", False, 10),
)
_STATE = 3
_TASK_LEAST = 8


def _workers(pool: Mapping[str, Any], shares: Mapping[Any, float], width: int, sort: str) -> list[Line]:
    rows = [_row(pool["number"], row, shares) for row in pool.get("rows", ())]
    if not rows:
        return []
    orders = {"cpu": 6, "memory": 7, "for": 4, "done": 5}
    rows.sort(key=lambda row: (-(row[1][orders[sort]] or 0) if sort in orders else 0, row[0][1]))
    cells = [[title for title, _, _ in _COLUMNS], *(_cells(values) for _, values in rows)]
    chosen, widths = _fit(cells, width - 2)
    kinds: list[list[Kind]] = [["head"] * len(_COLUMNS)]
    for _, values in rows:
        kind = _STATES.get(str(values[_STATE]).partition(",")[0], "plain")
        kinds.append([kind if place == _STATE else "plain" for place in range(len(_COLUMNS))])
    found = []
    for at, (texts, row_kinds) in enumerate(zip(cells, kinds, strict=True)):
        pieces = [Piece(" ")]
        for place in chosen:
            pieces += [
                Piece(" "),
                Piece(aligned(texts[place], widths[place], right=_COLUMNS[place][1]), row_kinds[place]),
            ]
        found.append(Line(pieces, rows[at - 1][0] if at else None))
    return found


def _row(pool: int, row: Mapping[str, Any], shares: Mapping[Any, float]) -> tuple[Key, list[Any]]:
    state = row["state"] + (f", {clean(row['note'])}" if row.get("note") else "")
    task = clean(row["task"]) + (f" (and {number(row['hand'] - 1)} more in hand)" if row["hand"] > 1 else "")
    share = shares.get((pool, row["wid"], row["pid"]))
    where = [clean(row.get("host", "")), row["pid"]]
    return (pool, row["wid"]), [row["wid"], *where, state, row["for"], row["done"], share, row["memory"], task]


def _cells(values: Sequence[Any]) -> list[str]:
    wid, host, pid, state, since, done, share, memory, task = values
    return [
        str(wid),
        host,
        str(pid or ""),
        state,
        "" if since is None else lasting(since),
        "" if done is None else number(done),
        "" if share is None else percent(share),
        "" if memory is None else size(memory),
        task,
    ]


def _fit(cells: Sequence[Sequence[str]], width: int) -> tuple[list[int], list[int]]:
    """Which columns there is room for, and how wide each is; the last one gets what is left."""
    widths = [max(columns(row[place]) for row in cells) for place in range(len(_COLUMNS))]
    last = len(_COLUMNS) - 1
    chosen = [place for place in range(last) if any(row[place] for row in cells[1:])] + [last]
    while True:
        left = width - sum(widths[place] + 1 for place in chosen if place != last)
        if left >= _TASK_LEAST or len(chosen) == 1:
            break
        others = [place for place in chosen if place != last]
        if not others:
            break
        chosen.remove(min(others, key=lambda place: _COLUMNS[place][2]))
    widths[last] = max(0, min(widths[last], left))
    return chosen, widths


def _errors(look: Look, width: int) -> list[Line]:
    latest = errors(look)
    found = [Line((Piece(cut("latest errors", width), "head"),))] if latest else []
    for place, (pool, error) in enumerate(latest):
        at = error["at"]
        when = f"{lasting(max(0.0, look.now['at'] - at))} ago"
        text = clean(error["text"].strip().partition("\n")[0])
        where = f"{pool['kind']} {pool['number']}, {clean(error['function'])}"
        found.append(
            Line(
                (
                    Piece(cut(f"  {when:>9}  {where}: ", width), "dim"),
                    Piece(
                        cut(f"{clean(error['kind'])}: {text}", width - columns(cut(f"  {when:>9}  {where}: ", width))),
                        "bad",
                    ),
                ),
                (ERROR, place),
            )
        )
    return found


def errors(look: Look) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The latest errors that are shown, with their pools."""
    found = [(pool, error) for pool in look.now["pools"] for error in pool.get("errors", ())]
    return sorted(found, key=lambda each: -each[1]["at"])[:ERRORS]


def story(look: Look, place: int) -> str:
    """One of them, with its stack."""
    latest = errors(look)
    if place >= len(latest):
        return "it is not among the latest any more"
    pool, error = latest[place]
    who = f"{pool['kind']} {pool['number']}, worker {error['worker']}, {error['function']}"
    head = f"{who}: {error['kind']}: {error['text']}"
    return "\n".join(clean(line) for line in f"{head}\n\n{error['stack']}".splitlines())


def _shares(look: Look) -> dict[Any, float]:
    """Of one CPU, what each worker and the program have taken between the two looks."""
    now, before = look.now, look.before
    if before is None or now["at"] <= before["at"]:
        return {}
    seconds = now["at"] - before["at"]
    then = {
        (pool["number"], row["wid"], row["pid"]): row["cpu"]
        for pool in before["pools"]
        for row in pool.get("rows", ())
        if row["cpu"] is not None
    }
    found: dict[Any, float] = {"program": max(0.0, now["program"]["cpu"] - before["program"]["cpu"]) / seconds}
    for pool in now["pools"]:
        for row in pool.get("rows", ()):
            key = pool["number"], row["wid"], row["pid"]
            if row["cpu"] is not None and key in then:
                found[key] = max(0.0, row["cpu"] - then[key]) / seconds
    return found


# --------------------------------------------------------------------------------------------------------------- layout


def _folded(pieces: Sequence[Piece], width: int, key: Key | None = None, indent: int = 0) -> list[Line]:
    """Two spaces between pieces; what has no room begins a line that stands in. The first line bears the key."""
    found: list[list[Piece]] = []
    room = 0
    for piece in pieces:
        if found and columns(piece.text) + 2 <= room:
            found[-1] += [Piece("  "), piece]
            room -= columns(piece.text) + 2
            continue
        margin = indent + (4 if found else 0)
        text = cut(piece.text, width - margin)
        found.append([Piece(" " * margin), Piece(text, piece.kind)] if margin else [Piece(text, piece.kind)])
        room = width - margin - columns(text)
    return [Line(line, None if at else key) for at, line in enumerate(found)]


__all__ = ["ERROR", "SORTS", "Key", "Kind", "Line", "Look", "Piece", "keys", "lines", "story"]
