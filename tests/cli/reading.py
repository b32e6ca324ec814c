"""What the tests of inputs and outputs share: short ways to values, and stdin and stdout as pipes of the test's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from procession.cli.mapping.inputs import Inputs, Items, open_items


def items(*paths: str | Path, **words: Any) -> Items:
    return open_items(Inputs(tuple(map(str, paths)), **words))


def values(*paths: str | Path, **words: Any) -> list[Any]:
    return [item.value for item in items(*paths, **words)]


@contextmanager
def piped_stdin() -> Iterator[int]:
    """Descriptor 0 is a pipe; its writing end is the test's, which may close it."""
    reader, writer = os.pipe()
    kept = os.dup(0)
    os.dup2(reader, 0)
    os.close(reader)
    try:
        yield writer
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        try:
            os.close(writer)
        except OSError:
            pass  # the test has closed it


@contextmanager
def piped_stdout() -> Iterator[int]:
    """Descriptor 1 is a pipe; its reading end is the test's, which may close it."""
    reader, writer = os.pipe()
    kept = os.dup(1)
    os.dup2(writer, 1)
    os.close(writer)
    try:
        yield reader
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        try:
            os.close(reader)
        except OSError:
            pass  # the test has closed it


def fed(data: bytes, **words: Any) -> list[Any]:
    """The values of a stdin that holds `data`, which is less than a pipe does."""
    with piped_stdin() as writer:
        os.write(writer, data)
        os.close(writer)
        return values(**words)
