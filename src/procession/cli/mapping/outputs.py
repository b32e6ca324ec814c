"""What `procession map` writes: `open_sink` gives what takes the results, one after the other.

| what | where |
| --- | --- |
| JSONL, lines, CSV, TSV | `outputs_text.py`, `outputs_json.py` |
| Parquet, Arrow | `outputs_arrow.py`, `outputs_kinds.py` |
| a file for each item | `outputs_files.py`, `outputs_names.py` |
| stdout, and one file for all | `outputs_places.py` |
"""

from __future__ import annotations

import os

from procession.cli.mapping.outputs_base import FORMATS, TABLES, TEXT, NotWritable, OutputError, Outputs, Sink
from procession.cli.mapping.outputs_json import plain, to_json
from procession.cli.mapping.outputs_places import PACKED, OutputFile, Place, Stdout, Terminal

__all__ = ["FORMATS", "NotWritable", "OutputError", "Outputs", "Sink", "open_sink", "plain", "to_json"]

SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "lines",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}


def open_sink(outputs: Outputs, stdout: int = 1) -> Sink:
    """What takes the results. Raises OutputError for words that make no sense, and for what cannot be opened.

    stdout: the descriptor that is written to where no file is named.
    """
    checked(outputs)
    if outputs.out_dir is not None:
        from procession.cli.mapping.outputs_files import Files

        return Files(outputs)
    outputs = outputs._replace(format=format_of(outputs))
    if outputs.format in TABLES:
        from procession.cli.mapping.outputs_arrow import Table, arrow_for

        arrow = arrow_for(outputs, stdout)
        return Table(arrow, place_of(outputs, stdout), outputs)
    from procession.cli.mapping import outputs_text

    kind = {
        "jsonl": outputs_text.JsonLines,
        "lines": outputs_text.Lines,
        "null": outputs_text.Lines,
        "csv": outputs_text.Fields,
        "tsv": outputs_text.Fields,
    }[outputs.format or "jsonl"]
    return kind(place_of(outputs, stdout), outputs)


def place_of(outputs: Outputs, stdout: int) -> Place:
    if outputs.output is not None:
        return OutputFile(outputs.output)
    return Terminal() if os.isatty(stdout) else Stdout(stdout)


def format_of(outputs: Outputs) -> str:
    """What `--to` says, or the name of the file, or else JSONL."""
    if outputs.format is not None or outputs.output is None:
        return outputs.format or "jsonl"
    stem, suffix = os.path.splitext(outputs.output.lower())
    if suffix in PACKED:
        inner = SUFFIXES.get(os.path.splitext(stem)[1], "jsonl")
        return inner if inner in TEXT else "jsonl"
    return SUFFIXES.get(suffix, "jsonl")


def checked(outputs: Outputs) -> None:
    """Words that make no sense, alone or together, are OutputError."""
    format = outputs.format
    if format is not None and format not in FORMATS:
        raise OutputError(f"--to takes one of {', '.join(FORMATS)}; got {format!r}")
    if outputs.out_dir is not None and (outputs.output is not None or format is not None):
        other = "--output" if outputs.output is not None else "--to"
        raise OutputError(f"--out-dir writes a file for each item, and {other} is for one that has all of them")
    if outputs.name is not None and outputs.out_dir is None:
        raise OutputError("--name is the name of the files in --out-dir, which is missing")
    if outputs.delimiter is not None and (len(outputs.delimiter) != 1 or outputs.delimiter in '\r\n"'):
        raise OutputError(f"--delimiter takes one character; got {outputs.delimiter!r}")
    if outputs.tag and format_of(outputs) not in ("lines", "null"):
        raise OutputError("--tag is for --to lines and --to null; --with-item writes the item in the other formats")
    if outputs.with_item and not outputs.tag and outputs.out_dir is None and format_of(outputs) in ("lines", "null"):
        raise OutputError("--with-item is for formats with fields, as --to jsonl; --tag writes the item in lines")
    if outputs.tag and outputs.with_item:
        raise OutputError("--tag and --with-item both write the item; take one of them")
