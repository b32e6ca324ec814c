"""`--dry-run`: what would be called with what."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from procession.cli.mapping.feeding import chosen
from procession.cli.mapping.functions import Function
from procession.cli.mapping.inputs import Items


def calls(words: Namespace, functions: list[Function], items: Items) -> Iterator[str]:
    """A line for each call of the first function, and the names of those that follow."""
    first, *rest = functions
    after = "".join(f" | {each.shown}" for each in rest)
    for value in _values(words, items):
        yield f"{_called(first, value, words)}{after}"


def _values(words: Namespace, items: Items) -> Iterator[Any]:
    values = (item.value for item in chosen(items, words.limit, words.shuffle))
    return values if words.batch is None else _batches(values, words.batch)


def _batches(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch


def _called(function: Function, value: Any, words: Namespace) -> str:
    if words.kwargs and isinstance(value, dict):
        return f"{function.shown}({', '.join(f'{name}={each!r}' for name, each in value.items())})"
    if words.expression and function.shown == words.expression[0]:
        return f"{function.shown}  with x = {value!r}"
    return f"{function.shown}({value!r})"


__all__ = ["calls"]
