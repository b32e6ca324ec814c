"""From the file to the recording. It trusts nothing: whatever is wrong with the file is a ValueError, in words."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from array import array
from collections.abc import Iterator
from itertools import islice
from typing import IO, Any

from ..recording import OUTCOMES, FailureText, Pool, Recording, Samples, Stream, Worker
from .tracks import FORM

CHUNK = 20_000
"""Rows that are put into the columns at once."""

DECODER = json.JSONDecoder(parse_float=str)
"""Fractions stay text: as floats they would lose nanoseconds."""

BEGINNING = '{"displayTimeUnit":"ms","otherData":{'
END = "]}\n"
DRAWN, COUNTED = '"cat":"', '"ph":"C"'
"""What is drawn for the eye has a category, and so have samples; inside of a text these quotes would be escaped."""
OUTCOME = {name: number for number, name in enumerate(OUTCOMES)}


def read(path: str | os.PathLike[str]) -> Recording:
    """The recording that `write` wrote there.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no recording, one of another version, damaged, or ends too early.
    """
    name = os.fspath(path)
    with open(name, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    with _opened(name, packed) as file:
        try:
            return _Reader(name, file).read()
        except EOFError:
            text = "ends too early: it was cut off, or is still being written"
        except (gzip.BadGzipFile, zlib.error) as error:
            text = f"is damaged: {error}"
    raise ValueError(f"{name} {text}")


def _opened(name: str, packed: bool) -> IO[str]:
    if packed:
        return gzip.open(name, "rt", encoding="utf-8", errors="replace", newline="\n")
    return open(name, encoding="utf-8", errors="replace", newline="\n")


class _Reader:
    """One file, line by line."""

    def __init__(self, name: str, file: IO[str]) -> None:
        self._name, self._file, self._line = name, file, 1
        self._recording = Recording()
        self._base = self._first = 0
        self._functions: dict[str, int] = {}

    def read(self) -> Recording:
        kept = self._head()
        recording = self._recording
        try:
            self._take(kept)
            rows = self._rows()
            while chunk := list(islice(rows, CHUNK)):
                for column, values in zip(recording.columns.values(), zip(*chunk, strict=True), strict=True):
                    column.extend(values)
            rest = kept["rows"] - len(recording)
        except EOFError:
            raise
        except (LookupError, TypeError, AttributeError, OverflowError, ValueError) as error:
            raise ValueError(f"{self._name} is damaged: line {self._line}: {error!r}") from error
        if rest:
            raise ValueError(
                f"{self._name} is damaged: {rest} of the {kept['rows']} tasks that it should have are missing"
            )
        return recording

    def _head(self) -> dict[str, Any]:
        """What is under "procession" in the first line."""
        line = self._file.readline()
        try:
            kept = DECODER.raw_decode(line.rstrip() + "]}")[0]["procession"]
            form = kept["form"]
        except (LookupError, TypeError, ValueError):
            if line.startswith(BEGINNING) and not line.endswith("\n"):
                raise EOFError from None
            text = f"{self._name} is no recording of procession: its first line should be what procession.trace writes"
            raise ValueError(text) from None
        if form != FORM:
            text = (
                f"{self._name} is a recording of form {form}, of another version of procession; this one reads {FORM}"
            )
            raise ValueError(text)
        return dict(kept)

    def _take(self, kept: dict[str, Any]) -> None:
        recording = self._recording
        self._base, self._first = kept["base"], kept["first"]
        recording.since, recording.until = kept["since"], kept["until"]
        recording.cpus, recording.lost, recording.about = kept["cpus"], kept["lost"], kept["about"]
        recording.functions = kept["functions"]
        recording.pools = [Pool(*each) for each in kept["pools"]]
        recording.workers = [Worker(*each) for each in kept["workers"]]
        recording.streams = [Stream(*each) for each in kept["streams"]]
        recording.repeats = {function: (count, size) for function, count, size in kept["repeats"]}
        recording.counters = {(pool, name): Samples(array("q"), array("d")) for pool, name in kept["counters"]}
        self._functions = {name: place for place, name in reversed([*enumerate(recording.functions)])}

    def _rows(self) -> Iterator[tuple[int, ...]]:
        """The rows; samples and what failures say go where they belong."""
        row = 0
        for line in self._file:
            self._line += 1
            if line == END:
                if self._file.read(1):
                    raise ValueError("something follows")
                return
            if DRAWN in line and COUNTED not in line:
                continue
            try:
                event = DECODER.raw_decode(line)[0]
            except ValueError:
                if not self._file.readline():
                    raise EOFError from None
                raise ValueError("no event") from None
            if event["ph"] in "Xi":
                args = event["args"]
                if "failure" in args:
                    self._recording.failures[row] = FailureText(**args["failure"])
                yield self._row(event, args)
                row += 1
            elif event["ph"] == "C":
                samples = self._recording.counters[event["pid"] - 2, event["name"]]
                samples.times.append(self._base + _nanoseconds(event["ts"]))
                samples.values.append(float(*event["args"].values()))
        raise EOFError

    def _row(self, event: dict[str, Any], args: dict[str, Any]) -> tuple[int, ...]:
        at, told = self._base + _nanoseconds(event["ts"]), args.get
        if event["ph"] == "X":
            worker, started = event["tid"] - self._first, at
            ended = 0 if "unended" in args else at + _nanoseconds(event["dur"])
            end = ended or at
        else:
            worker, end = told("worker", -1), at
            started, ended = (at - args[word] if word in args else 0 for word in ("run_ns", "ran_ns"))
        return (
            worker,
            told("function", self._functions.get(event["name"], 0)),
            told("stream", 0),
            told("item", -1),
            told("attempt", 1),
            OUTCOME[told("outcome", "ok")],
            at - args["waited_ns"] if "waited_ns" in args else 0,
            at - args["sent_ns"] if "sent_ns" in args else 0,
            started,
            ended,
            end + args["told_ns"] if "told_ns" in args else 0,
            told("pickle_ns", 0),
            told("load_ns", 0),
            told("dump_ns", 0),
            told("bytes_in", 0),
            told("bytes_out", 0),
        )


def _nanoseconds(micro: str) -> int:
    return int(micro.replace(".", ""))
