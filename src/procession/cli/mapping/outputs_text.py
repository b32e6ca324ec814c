"""Results as text: JSONL, lines, and fields of CSV and TSV."""

from __future__ import annotations

from typing import Any

from procession.cli.mapping.inputs_base import Item
from procession.cli.mapping.outputs_base import NotWritable, Outputs
from procession.cli.mapping.outputs_json import named_parts, plain, to_json
from procession.cli.mapping.outputs_places import Place

ENOUGH = 32 * 1024
"""Bytes that are written at once, unless `flush` comes before."""
WORD = 2**63
"""Whole numbers below this one are no work for `json`."""
PLAIN = frozenset({str, int, float, bool, type(None)})
"""What `csv` writes as it is."""


class TextSink:
    """Gathers bytes until they are worth a write."""

    def __init__(self, place: Place, outputs: Outputs) -> None:
        self.place = place
        self.with_item = outputs.with_item
        self._parts: list[bytes] = []
        self._size = 0

    def encoded(self, item: Item, value: Any) -> bytes:
        """What is written for a result. Raises NotWritable."""
        raise NotImplementedError

    def write(self, item: Item, value: Any) -> None:
        data = self.encoded(item, value)
        self._parts.append(data)
        self._size += len(data)
        if self._size >= ENOUGH:
            self._pass_on()

    def flush(self) -> None:
        self._pass_on()
        self.place.flush()

    def close(self, complete: bool = True) -> None:
        try:
            self._pass_on()
        except BaseException:
            self.place.close(False)
            raise
        self.place.close(complete)

    def _pass_on(self) -> None:
        data = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if data:
            self.place.write(data)


class JsonLines(TextSink):
    """A line of JSON for each result."""

    def encoded(self, item: Item, value: Any) -> bytes:
        if self.with_item:
            return to_json({"item": item.value, "result": value}, "line") + b"\n"
        if type(value) is int and -WORD <= value < WORD:  # json.dumps takes a microsecond more
            return b"%d\n" % value
        return to_json(value) + b"\n"


class Lines(TextSink):
    """Text and bytes as they are, other results as str() says; behind each a newline, or a NUL."""

    def __init__(self, place: Place, outputs: Outputs) -> None:
        super().__init__(place, outputs)
        self.end = b"\0" if outputs.format == "null" else b"\n"
        self.tag = outputs.tag
        self._simple = not self.tag and self.end == b"\n"

    def encoded(self, item: Item, value: Any) -> bytes:
        if self._simple and type(value) is str and value.isascii():
            return value.encode() + self.end
        data = as_bytes(value)
        if self.tag:
            data = tagged(item.value) + b"\t" + data
        if self.end == b"\0" and b"\0" in data:
            raise NotWritable("the result has a NUL in it, which --to null ends results with")
        return data + self.end


class Fields(TextSink):
    """Rows of CSV or TSV: dicts under a header of the first one's keys, or lists without any."""

    def __init__(self, place: Place, outputs: Outputs) -> None:
        import csv

        super().__init__(place, outputs)
        self._line: list[str] = []
        separator = outputs.delimiter or ("\t" if outputs.format == "tsv" else ",")
        self._row = csv.writer(_Into(self._line), delimiter=separator).writerow
        self._keys: list[Any] | None = None
        self._began = False

    def encoded(self, item: Item, value: Any) -> bytes:
        row = {"item": item.value, "result": value} if self.with_item else as_row(value)
        if not row:
            raise NotWritable("the result is an empty row")
        keys = None
        if isinstance(row, dict):
            if self._began and self._keys is None:
                raise NotWritable("the result has keys, and the rows before it are lists")
            keys = self._keys or list(row)
            if len(row) != len(keys) or not all(map(row.__contains__, keys)):
                raise NotWritable(other_keys(row, keys))
            cells = [row[key] for key in keys]
        elif self._keys is not None:
            raise NotWritable(f"the result is a {kind_of(value)}, and the rows before it have keys")
        else:
            cells = row
        if not PLAIN.issuperset(map(type, cells)):
            alone = keys is None and row is not value
            cells = [
                cell(each, "result" if alone else f"result[{at!r}]")
                for at, each in zip(keys or range(len(cells)), cells, strict=True)
            ]
        data = self._text(cells)
        if keys is not None and self._keys is None:
            data = self._text([str(key) for key in keys]) + data
            self._keys = keys
        self._began = True
        return data

    def _text(self, cells: list[Any]) -> bytes:
        self._line.clear()
        try:
            self._row(cells)
        except Exception as error:
            raise NotWritable(f"the result cannot be a row: {error}") from None
        # The writer ends rows with CR LF, and so puts quotes around a field that has either of them.
        return encoded_text("".join(self._line).removesuffix("\r\n") + "\n")


class _Into:
    """A file of which only `write` is used."""

    def __init__(self, lines: list[str]) -> None:
        self.write = lines.append


def as_row(value: Any) -> Any:
    """A dict or a list of cells: of dicts, dataclasses, named tuples, lists; anything else is one cell."""
    if isinstance(value, dict):
        return value
    if hasattr(type(value), "__dataclass_fields__"):
        return plain(value)
    if isinstance(value, tuple) and hasattr(type(value), "_fields"):
        return named_parts(value)
    return value if isinstance(value, list | tuple) else [value]


def other_keys(row: dict[Any, Any], keys: list[Any]) -> str:
    """Why a row does not fit under the header."""
    more = [str(key) for key in row if key not in keys]
    less = [str(key) for key in keys if key not in row]
    said = [f"has {', '.join(more)}, which the header has not"] if more else []
    said += [f"lacks {', '.join(less)}"] if less else []
    return f"the result {' and '.join(said)}; the first row made the header"


def cell(value: Any, where: str) -> Any:
    """What is written between two separators: text, numbers and None (as nothing); lists and dicts as JSON."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else float(value)
    if isinstance(value, dict | list | tuple):
        return to_json(value, where).decode()
    try:
        converted = plain(value)
    except TypeError:
        raise NotWritable(f"{where} is of type {kind_of(value)}, which a field does not hold") from None
    return cell(converted, where)


def as_bytes(value: Any) -> bytes:
    """Bytes and text as they are, anything else as str() says."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        return encoded_text(value)
    try:
        text = str(value)
    except Exception as error:
        raise NotWritable(f"str() of the result, a {kind_of(value)}, failed: {error}") from None
    return encoded_text(text)


def tagged(value: Any) -> bytes:
    """An item in front of its result: text as it is, anything else as JSON."""
    return as_bytes(value) if isinstance(value, str | bytes) else to_json(value, "the item")


def encoded_text(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise NotWritable(
            f"the result has a character that UTF-8 does not hold: {error.object[error.start]!r}"
        ) from None


def kind_of(value: Any) -> str:
    return type(value).__qualname__
