"""The limits of the house: no long function, no long file, no long class, no long parameter list.

A limit is where a reader gives up, so it counts what is read to follow the code. The docstring of a function or of a
class does not count towards it: public names are to say much, and are not to be punished for it. A file counts whole.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "procession"

# ---------------------------------------------------------------------------------------------------------- the limits

FUNCTION_LINES = 50
CLASS_LINES = 250
PARAMETERS = 8
FILE_LINES = 400
# Narrower where a mistake costs most. The longest prefix of the path that is named here decides.
FILE_LINES_UNDER: Mapping[str, int] = {"core/": 300}

# The public face may take more words than 8: each of them is one that a user types by name. Anything else that wants an
# exception has to say why here.
WIDE: Mapping[str, str] = {
    "Pool.__init__": "public constructor",
    "SpinOff.__init__": "public constructor",
    "Pipeline.__init__": "public constructor",
    "Stage.__init__": "public constructor",
    "PoolStreams.imap": "public: the words of a stream",
    "PoolStreams.imap_unordered": "public: the words of a stream",
    "PoolStreams.aimap": "public: the words of a stream",
    "PoolFace.options": "public: the words of policy",
    "Pool.options": "public: the words of a policy",
    "Loader.__init__": "public constructor: the words of torch's DataLoader",
}

# ------------------------------------------------------------------------------------------------------------ the rules

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Limits:
    wide: Mapping[str, str]

    def breaches(self, root: Path) -> Iterator[str]:
        for file in sorted(root.rglob("*.py")):
            source = file.read_text(encoding="utf-8")
            where = file.relative_to(root).as_posix()
            lines, allowed = len(source.splitlines()), file_limit(where)
            if lines > allowed:
                yield f"{where}:1: the file has {lines} lines, the limit is {allowed}"
            for qualname, node in definitions(ast.parse(source, str(file))):
                yield from (f"{where}:{node.lineno}: {qualname} {text}" for text in self.faults(qualname, node))

    def faults(self, qualname: str, node: Function | ast.ClassDef) -> Iterator[str]:
        lines = length(node)
        if isinstance(node, ast.ClassDef):
            if lines > CLASS_LINES:
                yield f"has {lines} lines, the limit of a class is {CLASS_LINES}"
            return
        if lines > FUNCTION_LINES:
            yield f"has {lines} lines, the limit of a function is {FUNCTION_LINES}"
        count = parameters(node, method="." in qualname)
        if count > PARAMETERS and qualname not in self.wide:
            yield f"takes {count} parameters, the limit is {PARAMETERS}"


def file_limit(where: str) -> int:
    named = [prefix for prefix in FILE_LINES_UNDER if where.startswith(prefix)]
    return FILE_LINES_UNDER[max(named, key=len)] if named else FILE_LINES


def definitions(tree: ast.AST, outer: str = "") -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Each function and class with its qualified name, however deep."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function | ast.ClassDef):
            yield outer + node.name, node
            yield from definitions(node, f"{outer}{node.name}.")
        else:
            yield from definitions(node, outer)


def length(node: Function | ast.ClassDef) -> int:
    """Lines from `def` or `class` to the end; docstrings, of what is inside as well, are not counted."""
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    for each in (node, *(inner for _, inner in definitions(node))):
        if ast.get_docstring(each, clean=False) is not None:
            doc = each.body[0]
            total -= (doc.end_lineno or doc.lineno) - doc.lineno + 1
    return total


def parameters(node: Function, *, method: bool) -> int:
    """Named parameters; `self` or `cls`, *args and **kwargs are not among them."""
    names = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len(names) - (method and names[:1] in (["self"], ["cls"]))


# ------------------------------------------------------------------------------------------------------------ the proof


def test_the_house_keeps_its_limits() -> None:
    found = list(Limits(WIDE).breaches(SOURCE))
    assert not found, "\n" + "\n".join(found)


# ----------------------------------------------------------------------------- the checker, checked on seeded faults


def faults_of(tmp_path: Path, source: str, name: str = "module.py") -> list[str]:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)
    return list(Limits(WIDE).breaches(tmp_path))


def function(lines: int, indent: str = "") -> str:
    return f"{indent}def f():\n" + f"{indent}    x = 1\n" * (lines - 1)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (function(51), "f has 51 lines"),
        ("async " + function(51), "f has 51 lines"),
        ("if True:\n" + function(51, "    "), "f has 51 lines"),
        ("class C:\n" + function(51, "    "), "C.f has 51 lines"),
        ("def g():\n" + function(50, "    "), "g has 51 lines"),
        ("class C:\n" + "    x = 1\n" * 250, "C has 251 lines"),
        ("x = 1\n" * 401, "the file has 401 lines"),
        ("def f(a, b, c, d, e, f, g, h, i): pass", "f takes 9 parameters"),
        ("def f(a, b, /, c, d, *, e, f, g, h, i): pass", "f takes 9 parameters"),
        ("class C:\n    def f(self, a, b, c, d, e, f, g, h, i): pass", "C.f takes 9 parameters"),
        ("class Other:\n    def __init__(self, a, b, c, d, e, f, g, h, i): pass", "Other.__init__ takes 9"),
    ],
)
def test_a_seeded_fault_is_named(tmp_path: Path, source: str, fault: str) -> None:
    found = faults_of(tmp_path, source)
    assert len(found) == 1
    assert fault in found[0]
    assert found[0].startswith("module.py:")


@pytest.mark.parametrize(
    "source",
    [
        function(50),
        'def f():\n    """One.\n' + "    more\n" * 60 + '    """\n    return 1\n',
        'class C:\n    def f(self):\n        """One.\n' + "        more\n" * 260 + '        """\n',
        "class C:\n" + "    x = 1\n" * 249,
        "x = 1\n" * 400,
        "class C:\n    def f(self, a, b, c, d, e, f, g, h, *args, **kwargs): pass",
        "class Pool:\n    def __init__(self, a, b, c, d, e, f, g, h, i): pass",
    ],
)
def test_what_keeps_the_limits_passes(tmp_path: Path, source: str) -> None:
    assert faults_of(tmp_path, source) == []


def test_core_has_a_narrower_limit(tmp_path: Path) -> None:
    assert faults_of(tmp_path, "x = 1\n" * 300, "core/task.py") == []
    assert faults_of(tmp_path, "x = 1\n" * 301, "core/task.py") == [
        "core/task.py:1: the file has 301 lines, the limit is 300"
    ]
