"""From the words of the command line to functions: MODULE:FUNCTION, file.py:FUNCTION, and expressions over x.

What is wrong with a name is said with what was found instead.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from types import CodeType, ModuleType
from typing import Any

from procession.cli.flags.parsing import nearest
from procession.cli.mapping.calling import Field
from procession.record import frozen

NAMED = re.compile(r"(?P<place>[^:]*\.py|[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*(\.[^\W\d]\w*)*)")
"""A word that names a function."""


class WrongFunction(Exception):
    """There is no such function: a sentence that says what there is."""


@frozen
class Function:
    """What is called with each item."""

    shown: str
    """As messages name it."""
    call: Callable[..., Any]


def is_function(word: str) -> bool:
    """Whether a word has the form of a function's name."""
    return NAMED.fullmatch(word) is not None


def here_first() -> None:
    """Have modules of the current folder found, as `python -m` does."""
    if sys.path[:1] != [os.getcwd()]:
        sys.path.insert(0, os.getcwd())


def load(word: str, option: str = "") -> Function:
    """The function that `word` names. `option`: what it is for, in messages. Raises WrongFunction."""
    found = NAMED.fullmatch(word)
    said = f"{option} {word}" if option else word
    if found is None:
        raise WrongFunction(f"{said}: MODULE:FUNCTION or path/to/file.py:FUNCTION is needed")
    place, name = found["place"], found["name"]
    module = _of_file(place, said) if place.endswith(".py") else _of_name(place, said)
    value: Any = module
    for part in name.split("."):
        above = value
        try:
            value = getattr(above, part)
        except AttributeError:
            raise WrongFunction(f"{said}: {place} has no {part!r}{_instead(above, part)}") from None
    return Function(word, _checked(value, said))


def _checked(value: Any, said: str) -> Callable[..., Any]:
    if not callable(value):
        raise WrongFunction(f"{said}: is no function but {type(value).__name__}, which cannot be called")
    if inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value):
        raise WrongFunction(f"{said}: is a coroutine function; have a plain one call asyncio.run")
    if inspect.isgeneratorfunction(value):
        raise WrongFunction(f"{said}: is a generator function, and an item has one result; have it return a list")
    made: Callable[..., Any] = value
    return made


def _instead(above: Any, part: str) -> str:
    known = [name for name in dir(above) if not name.startswith("_")]
    near = nearest(part, known)
    if near:
        return near
    own = [name for name in known if callable(getattr(above, name, None)) and not isinstance(above, type)]
    home = getattr(above, "__name__", "")
    own = [name for name in own if getattr(getattr(above, name), "__module__", None) == home]
    return f"; it has {', '.join(own[:8])}" if own else ""


def _of_name(name: str, said: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise WrongFunction(f"{said}: there is no module {error.name!r}{_modules(error.name)}") from None
        raise WrongFunction(f"{said}: {name} needs a module that is not there: {error}") from None
    except (Exception, SystemExit) as error:
        raise WrongFunction(_raised(said, error)) from None


def _modules(name: str) -> str:
    from procession.cli.completion import candidates

    above, dot, _ = name.rpartition(".")
    near = [each.rstrip(":.") for each in candidates(f"{above}{dot}")] + (
        [] if dot else [each for each in sys.stdlib_module_names if each[0] != "_"]
    )
    found = nearest(name, list(dict.fromkeys(near)))
    file = f"{name.replace('.', '/')}.py"
    return found or (f"; did you mean {file}?" if os.path.exists(file) else " (the current folder was looked in, too)")


def _of_file(path: str, said: str) -> ModuleType:
    """As `python path` would: its folder is the first that is looked in. Importable by its name, if that can be."""
    if not os.path.isfile(path):
        what = "is a folder" if os.path.isdir(path) else "there is no such file"
        raise WrongFunction(f"{said}: {path}: {what}")
    file = os.path.realpath(path)
    folder, stem = os.path.dirname(file), os.path.basename(file).removesuffix(".py")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        if stem.isidentifier() and _is_found(stem, file):
            return importlib.import_module(stem)
        spec = spec_from_file_location(stem.replace(".", "_"), file)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise WrongFunction(_raised(said, error)) from None
    return module


def _is_found(stem: str, file: str) -> bool:
    """Whether an import of this name gives this very file."""
    known = sys.modules.get(stem)
    if known is not None:
        origin = getattr(known, "__file__", None)
    else:
        try:
            spec = find_spec(stem)
        except (ImportError, ValueError):
            return False
        origin = None if spec is None else spec.origin
    return origin is not None and os.path.realpath(origin) == file


def _raised(said: str, error: BaseException) -> str:
    """What importing has raised, and where."""
    import traceback

    where = ""
    if isinstance(error, SyntaxError):
        where = f", {error.filename}:{error.lineno}"
    else:
        frames = [each for each in traceback.extract_tb(error.__traceback__) if "importlib" not in each.filename]
        if frames and frames[-1].filename != __file__:
            where = f", {frames[-1].filename}:{frames[-1].lineno}"
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{said}: importing it raised {type(error).__name__}: {text}{where}"


# ---------------------------------------------------------------------------------------------------------- expressions


def expression(text: str, modules: Iterable[str], option: str = "-e") -> Function:
    """A function of x that is this expression. `modules`: the values of --import. Raises WrongFunction."""
    said = f"{option} {text!r}"
    tree = _parsed(text, said)
    names = {name: module for each in modules for name, module in (_imported(each),)}
    unknown = sorted(_globals_of(tree) - {"x", *names} - set(dir(builtins)))
    if unknown:
        raise WrongFunction(
            f"{said}: {unknown[0]!r} is not known; x is the item, and --import {unknown[0]} imports a module"
        )
    source = ast.Expression(ast.Lambda(_ARGUMENTS, tree.body))
    made = eval(
        _compiled(ast.fix_missing_locations(source), text, said), {"__name__": "procession expression", **names}
    )
    made.__name__ = made.__qualname__ = f"-e {text}"
    return Function(text, _checked(made, said))


_ARGUMENTS = ast.arguments(posonlyargs=[], args=[ast.arg("x")], kwonlyargs=[], kw_defaults=[], defaults=[])


def field_or_expression(text: str, modules: Iterable[str], option: str) -> Callable[[Any], Any]:
    """What gives an item's key, or its id: an expression if the text is one that has x in it; else a field's name."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError:
        return Field(text)
    if any(isinstance(node, ast.Name) and node.id == "x" for node in ast.walk(tree)):
        return expression(text, modules, option).call
    return Field(text)


def _parsed(text: str, said: str) -> ast.Expression:
    try:
        return ast.parse(text.strip(), "<expression>", mode="eval")
    except SyntaxError as error:
        try:
            ast.parse(text.strip())
        except SyntaxError:
            raise WrongFunction(f"{said}: is no expression of Python: {error.msg}, at column {error.offset}") from None
        raise WrongFunction(f"{said}: is a statement; an expression is needed, whose value is the result") from None
    except ValueError as error:
        raise WrongFunction(f"{said}: is no expression of Python: {error}") from None


def _compiled(tree: ast.Expression, text: str, said: str) -> CodeType:
    try:
        return compile(tree, f"<-e {text}>", "eval")
    except SyntaxError as error:  # one that only the compiler sees, as an await
        raise WrongFunction(f"{said}: is no expression of Python: {error.msg}") from None


def _globals_of(tree: ast.Expression) -> set[str]:
    """Names that it looks for outside."""
    import symtable

    found: set[str] = set()
    tables = [symtable.symtable(ast.unparse(tree), "<expression>", "eval")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            outermost = table.get_type() == "module"
            if symbol.is_referenced() and (symbol.is_global() or outermost) and not symbol.is_assigned():
                found.add(symbol.get_name())
    return found


def _imported(words: str) -> tuple[str, ModuleType]:
    """`numpy`, `os.path`, or `numpy as np`: the name in the expression, and the module."""
    name, _, short = words.partition(" as ")
    name, short = name.strip(), short.strip()
    if not all(part.isidentifier() for part in name.split(".")) or (short and not short.isidentifier()):
        raise WrongFunction(f"--import {words!r}: the name of a module is needed, or 'MODULE as NAME'")
    module = _of_name(name, f"--import {words}")
    return (short, module) if short else (name.partition(".")[0], sys.modules[name.partition(".")[0]])


def stages(words: Sequence[str], expressions: Sequence[str], modules: Sequence[str]) -> list[Function]:
    """All functions in the order in which items go through them: those that are named, then the expressions."""
    here_first()
    return [*(load(word) for word in words), *(expression(text, modules) for text in expressions)]


__all__ = [
    "Function",
    "WrongFunction",
    "expression",
    "field_or_expression",
    "here_first",
    "is_function",
    "load",
    "stages",
]
