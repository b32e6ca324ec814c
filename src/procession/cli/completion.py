"""`procession completion`: scripts for shells, and the modules and functions that they ask for.

Nothing of the user's is imported or run: files are looked for, and parsed.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator, Sequence

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from argparse import Namespace


def completion(words: Namespace) -> int:
    """Print the script, or what `--for` asks for; returns the exit status."""
    from procession.cli.flags.completing import script
    from procession.cli.flags.parsing import refuse, show
    from procession.cli.flags.tables import COMPLETION, SHELLS

    if words.text is not None:
        show("".join(f"{each}\n" for each in candidates(words.text)))
        return 0
    if words.shell is None:
        refuse(COMPLETION, f"which shell? {', '.join(SHELLS)}")
    show(script(words.shell))
    return 0


def candidates(text: str, path: Sequence[str] | None = None) -> list[str]:
    """What `text` may become: modules, files of Python, folders, and functions behind a colon. `path`: as sys.path."""
    places = ["", *(sys.path if path is None else path)]
    module, colon, begun = text.partition(":")
    if colon:
        file = source_of(module, places)
        found = functions(file) if file is not None else []
        hidden = begun.startswith("_")
        return [f"{module}:{name}" for name in found if name.startswith(begun) and (hidden or not name.startswith("_"))]
    if "/" in text:
        return sorted(_files(*text.rpartition("/")[::2]))
    return sorted({*_modules(text, places), *(_files("", text) if text else ())})


def source_of(module: str, places: Sequence[str]) -> str | None:
    """The file of a module, or the file itself."""
    if module.endswith(".py") or "/" in module:
        return module if os.path.isfile(module) else None
    parts = module.split(".")
    for place in places:
        base = os.path.join(place or ".", *parts)
        for file in (f"{base}.py", os.path.join(base, "__init__.py")):
            if os.path.isfile(file):
                return file
    return None


def functions(file: str) -> list[str]:
    """The names of functions and classes that it defines, in order; none of a file that is no Python."""
    try:
        with open(file, "rb") as source:
            tree = ast.parse(source.read())
    except (OSError, SyntaxError, ValueError):
        return []
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node.name for node in tree.body if isinstance(node, kinds)]


def _modules(text: str, places: Sequence[str]) -> Iterator[str]:
    above, dot, begun = text.rpartition(".")
    for place in places:
        if not text and place:
            return  # all that is installed would be too much
        folder = os.path.join(place or ".", *above.split(".")) if dot else place or "."
        for entry in _entries(folder):
            name = entry.name.removesuffix(".py")
            if name.startswith(begun) and name.isidentifier() and (begun or not name.startswith("_")):
                if entry.is_dir() and os.path.isfile(os.path.join(entry.path, "__init__.py")):
                    yield f"{above}{dot}{name}:"
                    yield f"{above}{dot}{name}."
                elif entry.name.endswith(".py"):
                    yield f"{above}{dot}{name}:"


def _files(folder: str, begun: str) -> Iterator[str]:
    shown = f"{folder}/" if folder else ""
    for entry in _entries(folder or "."):
        if entry.name.startswith(begun) and (begun or not entry.name.startswith(".")):
            if entry.is_dir():
                yield f"{shown}{entry.name}/"
            elif entry.name.endswith(".py"):
                yield f"{shown}{entry.name}:"


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


__all__ = ["candidates", "completion", "functions", "source_of"]
