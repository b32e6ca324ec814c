"""Ten lines of sequential program, and what random items and words are drawn from."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .deeds import SIZE, Deed

# -- the program -------------------------------------------------------------------------------------------------------


def outcome(deed: Deed, processes: bool, retries: int, keyed: bool = False) -> int | str:
    """What comes in the place of one item, as `told` tells it; a text is a failure."""
    if keyed and deed.kind == "no key":
        return f"KeyError({deed.number})"
    if deed.kind == "raises" or (deed.kind == "raises once" and not retries):
        return f"LookupError({deed.number})"
    if deed.kind == "unsendable" and processes:
        return "PicklingError"
    if deed.kind == "dies" or (deed.kind == "dies once" and not retries):
        return "PoisonTask" if retries else "WorkerDied"
    return deed.number


def sequential(outcomes: Sequence[int | str], on_error: Any, ends: bool = False) -> list[int | str]:
    """What comes out; with `ends`, a failure that is raised is the last."""
    out: list[int | str] = []
    for each in outcomes:
        if isinstance(each, int) or on_error in ("return", "raise"):
            out.append(each)
        if isinstance(each, str) and on_error == "raise" and ends:
            break
    return out


# -- what is drawn -----------------------------------------------------------------------------------------------------


def told(value: Any) -> int | str:
    """A result or an error, as the model says it."""
    if isinstance(value, bytes):
        assert value == value[:2] * (SIZE // 2)
        return int.from_bytes(value[:2], "big")
    if isinstance(value, LookupError):
        return repr(value)
    if isinstance(value, BaseException):
        return type(value).__name__
    assert isinstance(value, int)
    return value


@st.composite
def deeds(draw: st.DrawFn, processes: bool, most: int, first: int = 0) -> list[Deed]:
    """Mostly good ones; or all of them large."""
    if draw(st.integers(0, 4)) == 0:
        return [Deed(first + n, "large", n % 3) for n in range(draw(st.integers(most // 2, most)))]
    bad = ["raises", "raises", "raises once", "unsendable", "no key", *(["dies once", "dies"] if processes else [])]
    kind = st.one_of(*[st.sampled_from(["gives", "gives", "large"])] * 4, st.sampled_from(bad))
    drawn = draw(
        st.lists(
            st.tuples(kind, st.integers(0, 2)), min_size=draw(st.sampled_from([0, most // 3, most])), max_size=most
        )
    )
    return [
        Deed(first + n, kind, key, threading.Lock() if kind == "unsendable" else None)
        for n, (kind, key) in enumerate(drawn)
    ]


class Walk:
    """Examples of one test, and how many there were of what."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __call__(self, name: str, examples: int, check: Callable[[st.DataObject, Counter[str]], None]) -> None:
        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(st.data())
        def walk(data: st.DataObject) -> None:
            self.counts["examples"] += 1
            check(data, self.counts)

        walk()
        print(f"\n{name}: " + ", ".join(f"{count} {what}" for what, count in self.counts.most_common()))
        assert self.counts["examples"] >= examples / 2


# -- who ran when ------------------------------------------------------------------------------------------------------


def look_at_notes(
    folder: Path, deeds: Sequence[Deed], runs: int, keyed: bool = False, killed: Sequence[int] = ()
) -> int:
    """No item has run more often than it may; of a key one at a time, in order. Returns how many runs there were.

    `killed`: items that may not have come to the end of a run, though it is not their kind.
    """
    path = folder / "notes"
    lines = path.read_text().splitlines() if path.exists() else []
    of = {deed.number: deed for deed in deeds}
    running: dict[int, int] = {}
    latest: dict[int, int] = {}
    begun: Counter[int] = Counter()
    for line in lines:
        number, word = line.split()
        deed = of[int(number)]
        if word == "ends":
            running.pop(deed.key, None)
            continue
        begun[deed.number] += 1
        if keyed:
            before = running.get(deed.key)
            ended = before in (None, deed.number) or before in killed or of[before].kind.startswith("dies")
            assert ended, "two of a key at a time"
            assert latest.get(deed.key, -1) <= deed.number, "out of the order of the key"
            running[deed.key] = latest[deed.key] = deed.number
    assert all(count <= runs for count in begun.values()), "more runs than it may have"
    return sum(begun.values())
