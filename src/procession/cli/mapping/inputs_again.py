"""Rows of tables that failed, once more: a failures file holds no dates, Decimals and bytes, so they are read again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from procession.cli.mapping.inputs_base import InputError, Inputs, Item, Reading, shown
from procession.cli.mapping.inputs_naming import TABLES, format_of

LONGEST = 10_000
"""Characters of an item's description."""


def described(item: Any) -> str:
    """What a failures file says of an item that it does not hold; by that it is known again."""
    return repr(item)[:LONGEST]


class Rows:
    """Finds rows by file and number; quickly, if they are asked for in the order in which they stand there."""

    def __init__(self) -> None:
        self._source = ""
        self._at = 0
        self._rows: Iterator[Item] = iter(())

    def again(self, source: Any, number: Any, description: str) -> Any:
        """The row `number` of `source`. Raises InputError where it cannot be had, or is another one now."""
        if not isinstance(source, str) or not isinstance(number, int) or format_of(source) not in TABLES:
            raise InputError(f"the item is not in this file, as JSON does not hold it: {shown(description)}")
        try:
            if source != self._source or number <= self._at:
                self._source, self._at, self._rows = source, 0, _rows_of(source)
            for item in self._rows:
                self._at = item.number
                if item.number == number:
                    if described(item.value) == description:
                        return item.value
                    break
        except InputError as error:
            self._source = ""
            raise InputError(f"the item is to be read again, and {error}") from None
        raise InputError(f"{source} has no such row {number} any more: {shown(description)}")


def _rows_of(source: str) -> Iterator[Item]:
    from procession.cli.mapping.inputs_arrow import arrow_rows, parquet_rows

    reading = Reading(Inputs())
    return parquet_rows(source, reading) if format_of(source) == "parquet" else arrow_rows(source, reading)
