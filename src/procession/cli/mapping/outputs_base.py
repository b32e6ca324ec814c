"""What all writers of `procession map` are made of, and what they raise.

Laws:

1. What was written before `flush` returned has left this process; of tables and packed files, what is a whole block.
2. `write` raises NotWritable for the value that it was given, and for no other; then nothing of that value is written.
3. Whoever reads stdout and goes is BrokenPipeError, once; what is written after that is dropped.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from procession.cli.mapping.inputs_base import Item

TEXT = ("jsonl", "lines", "null", "csv", "tsv")
TABLES = ("parquet", "arrow")
FORMATS = (*TEXT, *TABLES)
"""What `--to` takes."""


class OutputError(Exception):
    """What was to be written cannot be: a sentence that names the file."""


class NotWritable(Exception):
    """A value that this format cannot hold: a sentence that says what it is, and where in the value."""


class Outputs(NamedTuple):
    """What is to be written, in the words of the command line."""

    format: str | None = None
    """One of `outputs.FORMATS`; None: by the name of `output`, else JSONL."""
    output: str | None = None
    """The file that gets all of it; None: stdout."""
    out_dir: str | None = None
    """A file for each item: the folder, or a template of the whole path if it has braces: 'out/{stem}.json'."""
    name: str | None = None
    """The template of the files' names in `out_dir`; None: {name}.out."""
    delimiter: str | None = None
    """What separates the fields of CSV and TSV: one character; None: a comma, a tab."""
    with_item: bool = False
    """Write {"item": ..., "result": ...} instead of the result alone."""
    tag: bool = False
    """With lines: the item, a tab, and then the result."""


class Sink(Protocol):
    """Where the results go."""

    def write(self, item: Item, value: Any) -> None:
        """Add the result of `item`. Raises NotWritable, OutputError, BrokenPipeError."""

    def flush(self) -> None:
        """Have all that was added leave this process. Raises OutputError, BrokenPipeError."""

    def close(self, complete: bool = True) -> None:
        """End. A file that was written gets its name now; if not `complete`, it keeps the name with .partial."""
