"""What the INPUTs of the command line mean: files to read, files that are items, patterns, ranges. Reads no file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from glob import glob, has_magic
from typing import NamedTuple

from procession.cli.mapping.inputs_base import InputError

TEXT = ("lines", "null", "jsonl", "csv", "tsv", "failures")
TABLES = ("parquet", "arrow")
FORMATS = (*TEXT, *TABLES, "files", "range")
"""What `--from` takes."""

SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
PACKED = {".gz": "gz", ".bz2": "bz2", ".xz": "xz"}
UNREAD = {".zst": "zstd -dc", ".lz4": "lz4 -dc", ".zip": "unzip -p", ".z": "uncompress -c"}
"""Packed in ways that are not undone here, and what undoes them."""
STDIN = "-"
WORDS = ":::"

_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?", re.ASCII)


def named(name: str) -> str:
    """As people say it."""
    return "stdin" if name == STDIN else name


class Source(NamedTuple):
    """One thing to read."""

    format: str
    name: str
    """As errors and items name it."""
    numbers: range | None = None


def sources(paths: Iterable[str], format: str | None) -> Iterator[Source]:
    """What each of `paths` means, in order. Raises InputError for what is not there or makes no sense."""
    for path in paths:
        yield from _sources(path, format)


def _sources(path: str, format: str | None) -> Iterator[Source]:
    if format == "range" or (format is None and _RANGE.fullmatch(path) and not os.path.lexists(path)):
        yield Source("range", path, numbers_of(path))
    elif path == STDIN:
        yield Source(format or "lines", STDIN)
    elif os.path.isdir(path) and format != "files":
        inside = os.path.join(path, "**", "*")
        raise InputError(
            f"{path}: is a folder; a pattern in quotes names the files in it: {inside!r}; --from files makes it an item"
        )
    elif os.path.exists(path):
        yield Source(format or format_of(path), path)
    elif has_magic(path):
        for each in matches(path):
            yield Source(format or format_of(each), each)
    elif os.path.lexists(path):
        raise InputError(f"{path}: is a symbolic link to something that is not there")
    else:
        raise InputError(f"{path}: there is no such file (words that are items themselves stand behind {WORDS})")


def matches(pattern: str) -> list[str]:
    """The files that match, sorted; `**` stands for any folders between, hidden files are left out as a shell does."""
    found = sorted(each for each in glob(pattern, recursive=True) if pattern.endswith("/") or not os.path.isdir(each))
    if not found:
        raise InputError(f"{pattern}: no file matches this pattern")
    return found


def format_of(path: str) -> str:
    """By the name of a file: what its records are, or "files" where the file itself is the item."""
    stem, suffix = os.path.splitext(path.lower())
    inner = SUFFIXES.get(os.path.splitext(stem)[1])
    if inner is None or suffix not in (*PACKED, *UNREAD):
        return SUFFIXES.get(suffix, "files")
    if suffix in PACKED and inner in TEXT:
        return inner
    way = f"{UNREAD[suffix]} {path} | procession map ... --from {inner}" if inner in TEXT and suffix in UNREAD else ""
    raise InputError(
        f"{path}: is packed in a way that is not undone here; {f'write {way}' if way else 'unpack it first'}, or say "
        "--from files if the file itself is the item"
    )


def numbers_of(text: str) -> range:
    """`1..1000`, `10..1` or `1..100..5`: both ends are in it, as in the shell's braces."""
    found = _RANGE.fullmatch(text)
    if found is None:
        raise InputError(f"{text}: a range is written FIRST..LAST or FIRST..LAST..STEP, with whole numbers: 1..1000")
    if any(re.fullmatch(r"-?0\d+", part) for part in found.groups() if part):
        raise InputError(f"{text}: a range has no leading zeros; for padded words, write {WORDS} {{{text}}}, in bash")
    first, last = int(found[1]), int(found[2])
    step = abs(int(found[3])) if found[3] else 1
    if not step:
        raise InputError(f"{text}: the step of a range is not 0")
    return range(first, last + 1, step) if first <= last else range(first, last - 1, -step)
