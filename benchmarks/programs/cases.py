"""The programs, and how each is told to use two worker processes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    """One program: a package of PyPI with a command."""

    package: str
    words: tuple[str, ...]
    """The command, without what it is to look at."""
    pool: str
    """What it uses."""
    sorted_lines: bool = False
    """Its workers print for themselves, so lines come in any order, on their own pool too."""


PROGRAMS = (
    Program("black", ("black", "--no-cache", "--workers=2"), "ProcessPoolExecutor, under asyncio", sorted_lines=True),
    Program("pylint", ("pylint", "--jobs=2", "--persistent=n"), "ProcessPoolExecutor.map, with an initializer"),
    Program("flake8", ("flake8", "--jobs=2"), "multiprocessing.Pool.imap_unordered, with an initializer"),
    Program("yapf", ("yapf", "--parallel", "--recursive", "--in-place"), "ProcessPoolExecutor.submit, as_completed"),
    Program("isort", ("isort", "--jobs=2", "--quiet"), "multiprocessing.pool.Pool.imap"),
    Program("autoflake", ("autoflake", "--jobs=2", "--recursive", "--in-place"), "multiprocessing.Pool.apply_async"),
)
"""Each takes folders of Python code at the end of its words."""
