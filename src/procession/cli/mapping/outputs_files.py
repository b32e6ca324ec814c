"""A file for each item (`--out-dir`): bytes and text as they are, anything else as JSON; each whole, or not at all.

A file is written under a name of its own beside its place, and renamed: who looks sees the file of an earlier run, or
this one's. A loss of power may cost files of the last seconds; the same command with a journal writes them again.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from procession.cli.mapping.inputs_base import Item
from procession.cli.mapping.outputs_base import NotWritable, OutputError, Outputs
from procession.cli.mapping.outputs_json import to_json
from procession.cli.mapping.outputs_names import Template, template_of
from procession.cli.mapping.outputs_text import as_bytes


class Files:
    """Writes each result into a file of its own."""

    def __init__(self, outputs: Outputs) -> None:
        self._template: Template = template_of(outputs)
        self._with_item = outputs.with_item
        self._written: set[str] = set()
        self._folders: set[str] = set()

    def write(self, item: Item, value: Any) -> None:
        data = self._data(item, value)
        path = self._template.path_of(item)
        if path in self._written:
            raise NotWritable(f"{path} was written already, for an item before this one; {{number}} tells them apart")
        try:
            self._put(path, data)
        except OSError as error:
            if error.errno in _OF_THE_NAME:
                raise NotWritable(f"{path}: {error.strerror}") from None
            raise OutputError(f"{path}: {error.strerror or error}") from None
        self._written.add(path)

    def flush(self) -> None: ...

    def close(self, complete: bool = True) -> None: ...

    def _data(self, item: Item, value: Any) -> bytes:
        if self._with_item:
            return to_json({"item": item.value, "result": value}, "line") + b"\n"
        if isinstance(value, str | bytes | bytearray | memoryview):
            return as_bytes(value)
        return to_json(value) + b"\n"

    def _put(self, path: str, data: bytes) -> None:
        folder = os.path.dirname(path)
        if folder and folder not in self._folders:
            os.makedirs(folder, exist_ok=True)
            self._folders.add(folder)
        beside = os.path.join(folder, f".procession-{os.getpid()}.partial")
        try:
            with open(beside, "wb", buffering=0) as file:
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) :]
            os.replace(beside, path)
        except BaseException:
            try:
                os.unlink(beside)
            except OSError:
                pass
            raise


_OF_THE_NAME = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EINVAL)
