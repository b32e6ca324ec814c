"""What the tests of inputs and outputs share: short ways to values, and stdin and stdout as pipes of the test's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from procession.cli.mapping.inputs import Inputs, Items, open_items


def items(*paths: str | Path, **words: Any) -> Items:
    return open_items(Inputs(tuple(map(str, paths)), **words))


def values(*paths: str | Path, **words: Any) -> list[Any]:
    return [item.value for item in items(*paths, **words)]


@contextmanager
def _piped(fd: int) -> Iterator[int]:
    """Descriptor `fd` is an end of a pipe; the other one is the test's, which may close it."""
    reader, writer = os.pipe()
    its, ours = (reader, writer) if fd == 0 else (writer, reader)
    kept = os.dup(fd)
    os.dup2(its, fd)
    os.close(its)
    try:
        yield ours
    finally:
        os.dup2(kept, fd)
        os.close(kept)
        try:
            os.close(ours)
        except OSError:
            pass  # the test has closed it


def piped_stdin() -> AbstractContextManager[int]:
    """Descriptor 0 is a pipe; its writing end is the test's."""
    return _piped(0)


def piped_stdout() -> AbstractContextManager[int]:
    """Descriptor 1 is a pipe; its reading end is the test's."""
    return _piped(1)


def fed(data: bytes, **words: Any) -> list[Any]:
    """The values of a stdin that holds `data`, which is less than a pipe does."""
    with piped_stdin() as writer:
        os.write(writer, data)
        os.close(writer)
        return values(**words)
