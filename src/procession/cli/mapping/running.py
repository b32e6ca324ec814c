"""`procession map`, from its words to its exit status."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from procession.cli.flags.mapping import MAP
from procession.cli.flags.parsing import refuse
from procession.cli.mapping import functions
from procession.cli.mapping import words as checking
from procession.cli.mapping.attending import is_pipe, say
from procession.cli.mapping.functions import Function, WrongFunction
from procession.cli.mapping.inputs import InputError, Inputs, Items, open_items
from procession.cli.mapping.outputs import OutputError, Outputs
from procession.cli.standard import drop_stdout

FAILED = 1


def run(words: Namespace) -> int:
    """Do it; returns the exit status. Raises SystemExit with 2 for words that make no sense, after saying why."""
    try:
        called, paths = checking.split(words.words, bool(words.expression))
        count = len(called) + len(words.expression or ())
        checking.check(words, count, paths)
        inputs, outputs = checking.inputs_of(words, paths), checking.outputs_of(words)
        with _data_apart():
            found = functions.stages(called, words.expression or (), getattr(words, "import") or ())
        items = open_items(inputs)
        if words.dry_run:
            return _dry_run(words, found, items)
        return _run(words, found, inputs, outputs, items)
    except checking.Usage as error:
        refuse(MAP, str(error))
    except (WrongFunction, InputError, OutputError) as error:
        say(str(error))
        return 2
    except OSError as error:
        say(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return 2
    except ImportError as error:
        if error.name != "rich":
            raise
        say(str(error))
        return 2


def _run(words: Namespace, found: list[Function], inputs: Inputs, outputs: Outputs, items: Items) -> int:
    from procession.cli.mapping.course import Course
    from procession.cli.mapping.crew import Crew
    from procession.cli.mapping.files import Files

    crew = Crew(found, words, live=checking.is_live(inputs))
    modules = getattr(words, "import") or ()
    crew.progress = _shows(words)
    with ExitStack() as stack:
        stdout = stack.enter_context(_data_apart())
        if words.setup is not None:
            crew.setup = functions.load(words.setup, "--setup").call
        if words.key is not None:
            crew.key = functions.field_or_expression(words.key, modules, "--key")
        if words.id is not None:
            crew.item_id = functions.field_or_expression(words.id, modules, "--id")
        report = _report(words.report)
        course = Course(words, crew, Files(words, outputs, stdout), items, items.total())
        if report is not None:
            stack.enter_context(report)
        return course.run()


def _shows(words: Namespace) -> bool:
    """Whether a bar is drawn. Not by itself if a pipe takes the results: its reader may write to this terminal, too."""
    if words.quiet or words.progress is False:
        return False
    if words.progress:
        return True
    if sys.stderr is None or not sys.stderr.isatty() or is_pipe(1):
        return False
    from importlib.util import find_spec

    return find_spec("rich") is not None


def _report(path: str | None) -> Any:
    if path is None:
        return None
    from procession.seeing.tracing import trace

    there = os.path.exists(path)
    with open(path, "ab"):  # it is written at the end: whether it can be is to be known now
        pass
    if not there:
        os.unlink(path)
    try:
        return trace(path)
    except ValueError as error:
        raise checking.Usage(f"--report: {error}") from None


@contextmanager
def _data_apart() -> Iterator[int]:
    """The descriptor of stdout for results alone: whatever functions print goes to stderr meanwhile.

    On a terminal, where both come together, all stays as it is.
    """
    if sys.stdout.isatty():
        yield 1
        return
    sys.stdout.flush()
    before, python = os.dup(1), sys.stdout
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield before
    finally:
        sys.stdout = python
        os.dup2(before, 1)
        os.close(before)


def _dry_run(words: Namespace, found: list[Function], items: Items) -> int:
    from procession.cli.mapping.dry import calls

    try:
        for line in calls(words, found, items):
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        drop_stdout()
    except OSError as error:
        drop_stdout()
        say(f"stdout: {error.strerror}")
        return FAILED
    return 0


__all__ = ["run"]
