"""Names of the files that are written, one for each item: templates as 'out/{stem}.json'."""

from __future__ import annotations

import os
from string import Formatter
from typing import Any

from procession.cli.mapping.inputs_base import Item
from procession.cli.mapping.outputs_base import NotWritable, OutputError, Outputs

OF_PATHS = ("stem", "name", "ext", "dir")
COUNTED = ("index", "number")
DEFAULT = "{name}.out"


class Template:
    """A path with fields in braces.

    {name} is the last part of the item's path (or of the item, if it is text), {stem} that without {ext}, {dir} what
    stands before it; {index} counts the items of the run from 0 on, {number} from 1; any other field is one of the
    item's own, which is then a dict. {{ and }} are braces. Numbers may have a format: {number:06}.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._parts = [
                (literal, field, spec or "", conversion) for literal, field, spec, conversion in Formatter().parse(text)
            ]
        except ValueError as error:
            raise OutputError(f"{text!r} is no template: {error}") from None
        for _, field, spec, conversion in self._parts:
            if conversion or field == "":
                raise OutputError(f"{text!r} is no template: braces hold the name of a field, as in {{stem}}")
            if field in COUNTED:
                try:
                    format(0, spec)
                except ValueError as error:
                    raise OutputError(f"{text!r} is no template: {{{field}:{spec}}}: {error}") from None
        self._ups = text.split("/").count("..")
        if not any(field for _, field, _, _ in self._parts):
            raise OutputError(
                f"{text!r} has no field, so all items would have one file; {{stem}} or {{number}} is a field"
            )

    def path_of(self, item: Item) -> str:
        """Where the result of `item` goes. Raises NotWritable where a field is missing, or would lead elsewhere."""
        made = []
        for literal, field, spec, _ in self._parts:
            made.append(literal)
            if field is not None:
                made.append(filled(field, spec, item))
        path = "".join(made)
        if path.split("/").count("..") > self._ups:
            raise NotWritable(f"{path!r} would lead out of the folder")
        if path.endswith("/") or "\0" in path:
            raise NotWritable(f"{path!r} is no name of a file")
        return path


def template_of(outputs: Outputs) -> Template:
    """`--out-dir` alone may be the template; else it is a folder, and `--name` (or {name}.out) is the template."""
    folder = outputs.out_dir or ""
    if "{" in folder and outputs.name is not None:
        raise OutputError(f"--out-dir {folder!r} is a template already; --name is for a folder without one")
    if "{" in folder:
        return Template(folder)
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise OutputError(f"{folder}: is no folder")
    return Template(os.path.join(folder.replace("}", "}}"), (outputs.name or DEFAULT).lstrip("/")))


def filled(field: str, spec: str, item: Item) -> str:
    """The text that stands for {field}."""
    if field in COUNTED:
        return _formatted(item.position + (field == "number"), spec, field)
    if isinstance(item.value, dict) and field in item.value:
        text = _formatted(item.value[field], spec, field)
    elif field in OF_PATHS:
        text = of_path(field, item)
        if field == "dir":
            return _inside(text.lstrip("/"), field, item) if text.strip("/") else "."
    else:
        raise NotWritable(f"the item has no field {field!r}, which the name of its file is made of")
    return _inside(text, field, item)


def of_path(field: str, item: Item) -> str:
    path = item.path if item.path is not None else item.value
    if not isinstance(path, str):
        raise NotWritable(
            f"the item is no path, so there is no {{{field}}} for the name of its file; {{number}} there is"
        )
    folder, name = os.path.split(path.rstrip("/"))
    stem, ext = os.path.splitext(name)
    if not name:
        raise NotWritable(f"the item is {path!r}, which has no name for its file; {{number}} is one")
    return {"dir": folder, "name": name, "stem": stem, "ext": ext[1:]}[field]


def _formatted(value: Any, spec: str, field: str) -> str:
    if isinstance(value, dict | list | tuple | bytes):
        raise NotWritable(f"the item's {field!r} is a {type(value).__qualname__}, which makes no name of a file")
    try:
        return format(value, spec)
    except (TypeError, ValueError, OverflowError) as error:
        raise NotWritable(f"the item's {field!r} cannot be written as {{{field}:{spec}}}: {error}") from None


def _inside(text: str, field: str, item: Item) -> str:
    """Text that leads out of the folder is refused: what was put into a row is not to choose where this writes."""
    if text.startswith("/") or ".." in text.split("/"):
        raise NotWritable(f"the item's {field!r} is {text!r:.100}, which would lead out of the folder")
    return text
