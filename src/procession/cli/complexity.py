"""How complex is a Python source? Its functions, how deep its blocks nest, and McCabe's number for each function.

Cyclomatic complexity, as counted here, is 1 + the decisions in a function (T. McCabe, "A Complexity Measure", 1976, in
the extended form that counts each operand of a condition). One decision is:

* `if`, `elif`, a ternary; `for`, `async for`, `while` (their `else` is none);
* `except` and `except*`: each handler (`else` and `finally` are none);
* `assert`;
* `and`, `or`: each operator, so `a and b and c` are two;
* a comprehension: each `for` and each `if` in it;
* `match`: each `case` but one that takes everything (`case _`, `case name`), and each guard.

`with` is none. A nested function counts for itself and not for the one around it; its decorators, defaults and
annotations are evaluated outside and count there. A lambda or a class body counts for the function around it. Only
`elif` is told from an `else` that holds one `if` by its text, and so both are taken for `elif`.

Nesting is how many blocks (def, class, if, for, while, with, try, match) a statement stands in: 0 for `x = 1` at the
top, 1 for the body of a function there. `elif` and `else` are not deeper than their `if`.

Pure: no state, no I/O but reading the one file; the same source gives an equal report in any process.
"""

import ast
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Function(NamedTuple):
    """One function or method. `line` is that of its `def`; `nesting` is counted from its own body as 0."""

    name: str
    line: int
    complexity: int
    nesting: int


class Report(NamedTuple):
    """One file. `functions` stand in the order of their lines; `problem` says why there are none, and is else empty."""

    path: str
    functions: tuple[Function, ...]
    nesting: int
    problem: str = ""


def analyse(path: str) -> Report:
    """The report on one file. What does not parse is a report with a `problem`; raises OSError if it cannot be read."""
    source = Path(path).read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a source that is merely old-fashioned warns on stderr
            tree = ast.parse(source, path)
    except SyntaxError as error:
        return Report(path, (), 0, error.msg)
    except (ValueError, RecursionError, MemoryError) as error:
        return Report(path, (), 0, f"{type(error).__name__}: {error}")
    functions, nesting = measure(tree)
    return Report(path, functions, nesting)


def measure(tree: ast.Module) -> tuple[tuple[Function, ...], int]:
    """The functions of a module, and its deepest nesting."""
    module = _Scope("", 0, base=0)
    found: list[_Scope] = []
    # An explicit stack, since a source can nest deeper than Python likes to recurse. An entry is a node, the function
    # it counts for, the qualified name around it, and its nesting in the file.
    stack: list[tuple[ast.AST, _Scope, str, int]] = [(tree, module, "", 0)]
    while stack:
        node, scope, prefix, depth = stack.pop()
        if (decisions := _DECISIONS.get(type(node))) is not None:
            scope.decisions += decisions(node)
        if isinstance(node, ast.stmt):
            scope.deepest = max(scope.deepest, depth)
            module.deepest = max(module.deepest, depth)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = _Scope(prefix + node.name, node.lineno, base=depth + 1)
            found.append(inner)
            stack += [(child, inner, f"{inner.name}.", depth + 1) for child in node.body]
            stack += [(child, scope, prefix, depth) for child in _evaluated_outside(node)]
            continue
        chained = _elif_of(node)
        depth += isinstance(node, _BLOCKS)
        if isinstance(node, ast.ClassDef):
            prefix = f"{prefix}{node.name}."
        stack += [(child, scope, prefix, depth - (child is chained)) for child in _children(node)]
    found.sort(key=lambda each: (each.line, each.name))
    return tuple(each.function() for each in found), module.deepest


def most_complex(reports: Iterable[Report], count: int) -> list[tuple[Function, str]]:
    """The `count` functions with the highest complexity, each with its file; the first in the input wins a tie."""
    every = [(function, report.path) for report in reports for function in report.functions]
    return sorted(every, key=lambda each: -each[0].complexity)[:count]


class _Scope:
    """What is counted for one function, or for the module outside all functions, while its nodes are visited."""

    __slots__ = ("base", "decisions", "deepest", "line", "name")

    def __init__(self, name: str, line: int, base: int) -> None:
        self.name = name
        self.line = line
        self.base = base
        self.deepest = base
        self.decisions = 0

    def function(self) -> Function:
        return Function(self.name, self.line, 1 + self.decisions, self.deepest - self.base)


_BLOCKS = (
    *(ast.ClassDef, ast.If, ast.For, ast.AsyncFor, ast.While),
    *(ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match),
)
_DECISIONS: Mapping[type[ast.AST], Callable[[Any], int]] = {
    **dict.fromkeys((ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.Assert), lambda _: 1),
    ast.BoolOp: lambda node: len(node.values) - 1,
    ast.comprehension: lambda node: 1 + len(node.ifs),
    ast.match_case: lambda node: (not _takes_everything(node.pattern)) + (node.guard is not None),
}
# What most of a tree consists of, and what has nothing in it to count.
_LEAVES = (ast.Name, ast.Constant, ast.expr_context, ast.operator, ast.cmpop, ast.alias)


def _takes_everything(pattern: ast.pattern) -> bool:
    return isinstance(pattern, ast.MatchAs) and pattern.pattern is None


def _evaluated_outside(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    yield from node.decorator_list
    yield from getattr(node, "type_params", ())  # 3.12
    yield node.args
    if node.returns is not None:
        yield node.returns


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """ast.iter_child_nodes, less the leaves."""
    for name in node._fields:
        value = getattr(node, name, None)
        for each in value if isinstance(value, list) else (value,):
            if isinstance(each, ast.AST) and not isinstance(each, _LEAVES):
                yield each


def _elif_of(node: ast.AST) -> ast.stmt | None:
    """The `elif` of an `if`. The tree has no such thing, so that an `else` with nothing but an `if` passes for one."""
    if isinstance(node, ast.If) and len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
        return node.orelse[0]
    return None
