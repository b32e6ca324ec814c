"""From what was typed to what is done: the words of `procession map`, checked against each other."""

from __future__ import annotations

import os
import stat
from argparse import Namespace
from collections.abc import Iterator

from procession.cli.flags.kinds import Share
from procession.cli.mapping.functions import is_function
from procession.cli.mapping.inputs_base import Inputs
from procession.cli.mapping.outputs_base import Outputs

FILES = ("output", "failures", "joblog", "report", "journal")
"""Options whose files are written."""


class Usage(Exception):
    """Words that make no sense together: a sentence."""


def split(words: list[str], expressions: bool) -> tuple[list[str], list[str]]:
    """FUNCTIONs and INPUTs: the first words that have the form of a function are functions.

    Raises Usage if there is none, and no expression either.
    """
    count = 0
    while count < len(words) and is_function(words[count]):
        count += 1
    if not count and not expressions:
        said = f"; got {words[0]!r} first" if words else ""
        raise Usage(f"a function is needed, as MODULE:FUNCTION, path/to/file.py:FUNCTION or -e EXPRESSION{said}")
    return words[:count], words[count:]


def inputs_of(words: Namespace, paths: list[str]) -> Inputs:
    """What is read."""
    format = words.from_
    if words.null:
        if format not in (None, "lines", "null"):
            raise Usage(f"--null is about items that end with a NUL, and --from {format} has none")
        format = "null"
    literals = words.literals
    if literals is not None and ":::" in literals:
        raise Usage("::: can be said once; for all combinations of two lists give the function pairs, as JSONL")
    if literals is not None and paths:
        raise Usage(f"items are named behind ::: and INPUTs before it ({paths[0]}, ...); take one of the two")
    return Inputs(
        paths=tuple(paths),
        format=format,
        literals=None if literals is None else tuple(literals),
        delimiter=_character(words.delimiter),
        header=not words.no_header,
        skip_bad=words.skip_bad_input,
    )


def _character(text: str | None) -> str | None:
    return "\t" if text == "\\t" else text


def outputs_of(words: Namespace) -> Outputs:
    """What is written."""
    return Outputs(
        format=words.to,
        output=words.output,
        out_dir=words.out_dir,
        name=words.name,
        with_item=words.with_item,
        tag=words.tag,
    )


def check(words: Namespace, functions: int, paths: list[str]) -> None:
    """Raise Usage for words that make no sense together; `functions`: how many there are."""
    for sentence in (*_together(words), *_of_stages(words, functions), *_of_a_journal(words)):
        raise Usage(sentence)
    _check_files(words, paths)


def _together(words: Namespace) -> Iterator[str]:
    if words.rate is not None and words.delay is not None:
        yield "--delay S is --rate 1/S; say one of the two"
    if words.backoff is not None and not words.retries:
        yield "--backoff is the wait before a retry; say how many with --retries"
    if words.memory is not None and words.backend != "processes":
        yield f"--memory is of worker processes, and --backend {words.backend} has none"
    if words.quiet and words.progress:
        yield "--quiet and --progress are contraries"
    if words.key is not None and words.batch is not None:
        yield "--key and --batch do not go together: items of one key run one at a time"
    if words.kwargs and words.batch is not None:
        yield "--kwargs and --batch do not go together: a function of batches is given a list of rows"
    if words.seed is not None and words.batch is not None:
        yield "--seed and --batch do not go together: the random numbers are those of one item"
    modules = words.key is not None or words.id is not None
    if getattr(words, "import") and not words.expression and not modules:
        yield "--import is for expressions, and there is none"


def _of_stages(words: Namespace, functions: int) -> Iterator[str]:
    if functions > 1 or words.batch is not None:
        what = "several functions" if functions > 1 else "--batch"
        if words.memory is not None:
            yield f"--memory does not go with {what} yet"


def _of_a_journal(words: Namespace) -> Iterator[str]:
    if words.journal is None:
        for option in ("journal_force", "id", "retry_failed"):
            if getattr(words, option):
                yield f"--{option.replace('_', '-')} is about the items of a journal; say which with --journal FILE"
        return
    if words.batch is not None:
        yield "--journal does not go with --batch yet"
    if words.joblog is not None:
        yield "--journal and --joblog do not go together: the job log would lack what is in the journal already"
    if words.shuffle is not None and words.shuffle < 0 and words.id is None:
        yield "--journal with --shuffle needs a SEED, or --id: items are known by their place, which would change"


def _check_files(words: Namespace, paths: list[str]) -> None:
    """What is written must not be what is read, nor one file for two."""
    seen: dict[tuple[int, int] | str, str] = {}
    for path in paths:
        seen[_identity(path)] = f"the INPUT {path}"
    for option in FILES:
        path = getattr(words, option)
        if path is None:
            continue
        there = _identity(path)
        if there in seen:
            raise Usage(f"--{option} {path}: is {seen[there]}, too")
        if os.path.isdir(path):
            raise Usage(f"--{option} {path}: is a folder")
        if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
            raise Usage(f"--{option} {path}: its folder does not exist")
        if isinstance(there, str) or _is_regular(path):
            seen[there] = f"the file of --{option}"


def _identity(path: str) -> tuple[int, int] | str:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return os.path.abspath(path)
    return found.st_dev, found.st_ino


def _is_regular(path: str) -> bool:
    return stat.S_ISREG(os.stat(path).st_mode)


def is_live(inputs: Inputs) -> bool:
    """Whether some INPUT is a pipe or a terminal, which may keep one waiting."""
    paths = inputs.paths or (("-",) if inputs.literals is None else ())
    for path in paths:
        try:
            mode = os.fstat(0).st_mode if path == "-" else os.stat(path).st_mode
        except (OSError, ValueError):
            continue
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return True
    return False


def workers_of(said: int | str | Share | None) -> int | str:
    """How many workers: a number, or "auto"."""
    from procession.cpu import available

    if said is None:
        return available()
    if isinstance(said, Share):
        return max(1, round(said.of(available())))
    return said


__all__ = ["Usage", "check", "inputs_of", "is_live", "outputs_of", "split", "workers_of"]
