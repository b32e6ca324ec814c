"""`python -m procession.adapters.run`: a program on procession's workers, with its source as it is.

    python -m procession.adapters.run black src/            the command of a package that is installed here
    python -m procession.adapters.run -m black src/         a module, as `python -m` runs it
    python -m procession.adapters.run program.py            a file

Before the program begins, `concurrent.futures.ProcessPoolExecutor` and `multiprocessing.Pool` are ours, wherever it
takes them from. docs/programs.md says what that changes.

Laws
1. The program finds `sys.argv`, `sys.path[0]` and `__main__` as it would without us; its exit status is that of all.
2. Only the program's own process is changed: what its workers import is the standard library's.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import concurrent.futures.process
import concurrent.futures.thread
import multiprocessing
import multiprocessing.context
import multiprocessing.pool
import os
import runpy
import sys
import sysconfig
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from procession import futures
from procession.adapters import multiprocessing as facade

_Standard: Any = multiprocessing.pool.Pool
STARTS = ("fork", "forkserver", "spawn", "clean")
CONTEXT_IS = 5
"""The place of `context` among the words of multiprocessing's Pool."""


def replace(*, threads: bool = False, start: str | None = None) -> None:
    """From now on the pools of worker processes that this process makes are procession's.

    threads: those of threads, too (`ThreadPoolExecutor`, `multiprocessing.pool.ThreadPool`).
    start: how workers start where the program does not say. None: forked from it, with all that it has in memory, where
        its own pools would fork (multiprocessing's default on Linux up to Python 3.13), else "clean". "clean": by
        procession's zygote. Or a method of multiprocessing: "fork", "forkserver", "spawn".

    Who has imported an executor's class by name before keeps what he has: call this first.

    Raises ValueError for an unknown method.
    """
    if start is not None and start not in STARTS:
        raise ValueError(f"start must be one of {', '.join(STARTS)}, or None; got {start!r}")

    class ProcessPoolExecutor(futures.ProcessPoolExecutor):
        """procession's, in the place of the standard library's."""

        def __init__(self, max_workers: int | None = None, mp_context: Any = None, *args: Any, **kwargs: Any) -> None:
            # The standard library, too, forks none where they are to be replaced.
            may_fork = kwargs.get("max_tasks_per_child") is None
            super().__init__(max_workers, mp_context or _context(start, may_fork=may_fork), *args, **kwargs)

    class Pool(facade.Pool, _Standard):  # type: ignore[misc]
        """procession's, in the place of the standard library's."""

        def __init__(self, *args: Any, **words: Any) -> None:
            if len(args) < CONTEXT_IS:
                words.setdefault("context", _context(start))
            super().__init__(*args, **words)

        def __del__(self) -> None:
            """The standard library's would look at what it has not made."""

    def make(cls: type[Any], *_: Any, **__: Any) -> Any:
        return object.__new__(Pool if cls is _Standard else cls)

    def pool_of(asked: Any, *args: Any, **kwargs: Any) -> Any:
        """`context.Pool(...)`; the default context is one that nobody has asked for."""
        if not isinstance(asked, multiprocessing.context.DefaultContext):
            kwargs["context"] = asked
        return Pool(*args, **kwargs)

    _put(ProcessPoolExecutor, "ProcessPoolExecutor", concurrent.futures, concurrent.futures.process)
    # The class keeps its name and what derives from it, ThreadPool above all, is as it was: it only makes another.
    _put(make, "__new__", _Standard)
    _put(pool_of, "Pool", multiprocessing.context.BaseContext)
    _put(Pool, "Pool", multiprocessing)
    if threads:
        _put(futures.ThreadPoolExecutor, "ThreadPoolExecutor", concurrent.futures, concurrent.futures.thread)
        _put(facade.ThreadPool, "ThreadPool", multiprocessing.pool)


def _context(start: str | None, *, may_fork: bool = True) -> Any:
    """What starts the workers of a pool that is made now; None: the zygote."""
    if start is None:
        method = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
        return multiprocessing.get_context("fork") if method == "fork" and may_fork else None
    return None if start == "clean" else multiprocessing.get_context(start)


def _put(what: Any, name: str, *places: Any) -> None:
    for place in places:
        setattr(place, name, what)


# -- the command ------------------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """The words before the program's own."""
    words = argparse.ArgumentParser(
        prog="python -m procession.adapters.run",
        usage="%(prog)s [--threads] [--start METHOD] (-m MODULE | FILE | COMMAND) [ARGUMENT ...]",
        description="Run a program with procession's pools in the place of the standard library's.",
    )
    words.add_argument("--threads", action="store_true", help="replace pools of threads, too")
    words.add_argument("--start", choices=STARTS, help="how workers start (as the program's own would)")
    words.add_argument("-m", dest="module", action="store_true", help="the program is a module, as for python -m")
    words.add_argument("program", help="a module, a file, or a command of a package that is installed here")
    words.add_argument("arguments", nargs=argparse.REMAINDER, help="are the program's own")
    return words


def main(words: Sequence[str] | None = None) -> None:
    """Run the program that the words name; SystemExit with its status, if it ends so."""
    asked = parser().parse_args(words)
    run = _runner(asked.program, module=asked.module)
    replace(threads=asked.threads, start=asked.start)
    sys.argv[1:] = asked.arguments
    run()


def _runner(program: str, *, module: bool) -> Callable[[], object]:
    """What runs it. SystemExit, with a message, where there is no such program."""
    if module:  # `sys.path[0]` is the current folder already, as for any `python -m`
        sys.argv[0] = program
        return lambda: runpy.run_module(program, run_name="__main__", alter_sys=True)
    file = Path(program)
    if file.is_file():
        sys.argv[0], sys.path[0] = program, str(file.resolve().parent)
        return lambda: runpy.run_path(program, run_name="__main__")
    scripts = sysconfig.get_path("scripts")
    path = os.path.join(scripts, program)
    ready = not os.path.dirname(program) and _is_ours(path)
    run = partial(runpy.run_path, path, run_name="__main__") if ready else _entry(program)
    sys.argv[0], sys.path[0] = path, scripts
    return run


def _is_ours(path: str) -> bool:
    """Whether this is a script that an installer has written for this very Python."""
    try:
        with open(path, "rb") as file:
            first = os.fsdecode(file.readline(4096)).strip()
    except OSError:
        return False
    return first.startswith("#!") and os.path.dirname(first[2:].strip()) == os.path.dirname(sys.executable)


def _entry(program: str) -> Callable[[], object]:
    """The command by the word of the package that has it. Slower: what is installed is looked through for it."""
    from importlib import metadata

    found = list(metadata.entry_points(group="console_scripts", name=program))
    if not found:
        sys.exit(
            f"procession: there is no file {program}, and no package of this Python ({sys.executable}) has a command "
            "of that name. A program of another environment runs with procession installed there."
        )
    return lambda: sys.exit(found[0].load()())


__all__ = ["replace"]


if __name__ == "__main__":
    main()
