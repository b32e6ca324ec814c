"""Items that failed: the lines of `--failures`, and the sentence that tells of them at the end.

A line is a JSON object: "item" as JSON (null, and "shown" beside it, if JSON would give another value), "source" and
"number" of where it came from, "path" for a file, "error" (the type's name), "text", "stack", "tries", "stage".
`inputs_records.py` reads them.
"""

from __future__ import annotations

import json
import traceback
from typing import IO, Any

from procession.cli.mapping.inputs_again import described
from procession.cli.mapping.inputs_base import Item
from procession.cli.mapping.outputs_json import is_exact, to_json

OUTPUT = "output"
"""The stage of a result that could not be written."""
KINDS = 3
"""So many types of errors are told of at the end."""
SHOWN = 160
"""Characters of an error's text that are told."""


def line(item: Item, error: BaseException, tries: int, stage: str | None) -> bytes:
    """Of one item, with its newline."""
    record: dict[str, Any] = {
        "source": item.source,
        "number": item.number,
        "path": item.path,
        "error": type_of(error),
        "text": text_of(error),
        "stack": stack_of(error),
        "tries": tries,
        "stage": stage,
    }
    if is_exact(item.value):
        value = to_json(item.value)
    else:  # of a table: it is read from there again
        value, record["shown"] = b"null", described(item.value)
    rest = json.dumps(record).encode()
    return b'{"item": ' + value + b", " + rest[1:] + b"\n"


def type_of(error: BaseException) -> str:
    """Its name as people write it; errors of this library have no module before it."""
    told = getattr(error, "type_name", None)
    if isinstance(told, str):  # a RemoteError stands for it
        return told
    kind = type(error)
    plain = kind.__module__ in ("builtins", "__main__") or kind.__module__.startswith("procession.")
    return kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}"


def text_of(error: BaseException) -> str:
    """What it says."""
    try:
        return str(error)
    except Exception as another:
        return f"(its text raised {type(another).__name__})"


def stack_of(error: BaseException) -> str:
    """As Python prints it, with what happened in the worker."""
    try:
        return "".join(traceback.format_exception(error))
    except Exception as another:
        return f"(printing it raised {type(another).__name__})"


class Failures:
    """Counts what failed, by type, and writes it down."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self._file = file
        self.place = "" if file is None else file.name
        """Where they are written."""
        self.count = 0
        self._first: dict[str, tuple[str, Item]] = {}
        self._counts: dict[str, int] = {}

    def add(self, item: Item, error: BaseException, tries: int = 1, stage: str | None = None) -> None:
        """One more. Raises OSError when it cannot be written."""
        kind = type_of(error)
        self.count += 1
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if kind not in self._first:
            self._first[kind] = text_of(error), item._replace(value=None)
        if self._file is not None:
            self._file.write(line(item, error, tries, stage))
            self._file.flush()

    def summary(self, done: int) -> str:
        """One line: how many of how many, what is most frequent, where it is written down."""
        kinds = sorted(self._counts, key=lambda kind: -self._counts[kind])
        parts = [self._kind(kind) for kind in kinds[:KINDS]]
        if len(kinds) > KINDS:
            parts.append(f"{sum(self._counts[kind] for kind in kinds[KINDS:])} of other types")
        written = (
            f"see {self._file.name}" if self._file is not None else "--failures FILE keeps them, with their stacks"
        )
        return f"{self.count} of {done} items failed: {'; '.join(parts)} ({written})"

    def _kind(self, kind: str) -> str:
        text, item = self._first[kind]
        text = " ".join(text.split())
        short = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
        many = self._counts[kind]
        told = f"{many} {kind}, the first at {where(item)}" if many > 1 else f"{kind} at {where(item)}"
        return f"{told}: {short}" if short else told


def where(item: Item) -> str:
    """Where an item came from, as people say it."""
    if item.path is not None:
        return item.path
    source = {"-": "stdin", ":::": "argument"}.get(item.source, item.source)
    return f"{source} {item.number}" if item.source == ":::" else f"{source}:{item.number}"


__all__ = ["OUTPUT", "Failures", "line", "where"]
