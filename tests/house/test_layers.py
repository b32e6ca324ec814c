"""Imports go down only: the architecture, as tables, and the walk over the source that proves it.

The tables come first; change them in the commit that changes the architecture, and say why there. A module is named
by its path inside the package: `core.task` is src/procession/core/task.py, `core` is the package core/__init__.py,
`__init__` is the top of the package. A table entry stands for the module of that name and for all below it.

An import inside a function counts like any other: it delays a dependency, it does not remove it. An import under
`if TYPE_CHECKING:` obeys the layers too, and is left out only where cycles are sought, since it never runs.
"""

import ast
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "procession"
SOURCE = Path(__file__).resolve().parents[2] / "src" / PACKAGE

# ---------------------------------------------------------------------------------------------------------- the tables

# The public names, and what stands right behind them: flows that threads share, and their two users.
FACE = (
    *("__init__", "pool", "spinoff", "pipeline", "futures", "streams", "streams_async"),
    *(
        "stream_course",
        "stream_bodies",
        "stream_pulling",
        "stream_outlet",
        "stream_bounds",
        "stream_clocks",
        "stream_journal",
        "stream_stats",
        "spilling",
        "stream_turns",
        "stream_taking",
        "stream_generator",
    ),
    *("pipeline_stage", "pipeline_source", "pipeline_run", "pipeline_bounds", "pipeline_stats", "pipeline_stream"),
    *("pipeline_calls", "pipeline_clocks"),
    *("pipeline_passing",),
    *("spinoff_core", "spinoff_stats", "spinoff_ending", "spinoff_outlet", "spinoff_room", "spinoff_words"),
    *("spinoff_putting", "spinoff_journal", "spinoff_promises", "spinoff_relay", "spinoff_inlet", "spinoff_resuming"),
    *("spinoff_giving", "spinoff_hands"),
    *("spinoff_gate", "batching", "together", "gatekeeper", "pacing"),
    *(
        "engines",
        "pool_face",
        "pool_streams",
        "pool_room",
        "pool_shared",
        "policies",
        "on_error",
        "seeding",
        "surroundings",
        "replaying",
        "capturing",
        "explaining",
        "dashboard",
        "observing",
    ),
    *("attended", "handover", "starts", "waiting", "errands", "watching", "arrays", "typed", "typed_streams"),
)

GROUND = (
    *("tapping", "happenings", "events"),
    *("errors", "task_errors", "captured", "options", "cpu", "cgroups", "sharing", "types"),
    *("record", "lean", "weighing", "coroutines"),
    *("_native", "_version"),
)

# From the roof to the ground. A module imports from its own layer and from those below.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("cli", "adapters", "__main__"),
    FACE,
    ("driver",),
    ("journal",),
    ("backends",),
    ("worker",),
    ("transport",),
    ("core",),
    GROUND,
)

# Nobody inside the package imports these, their neighbours in the layer neither; but `__main__` is the command.
SEALED = ("cli", "adapters", "__main__", "testing")


@dataclass(frozen=True)
class SideRoom:
    """A room beside the layers: what it may import, and who may import it."""

    imports: tuple[str, ...]
    imported_by: tuple[str, ...]


SIDE_ROOMS: Mapping[str, SideRoom] = {
    # A fold over the core's events, and nothing else.
    "seeing": SideRoom(
        imports=("core", *GROUND),
        imported_by=("cli", "adapters", *FACE, "testing"),
    ),
    # The public test kit looks at everything; it is for tests, so nothing looks at it.
    "testing": SideRoom(
        imports=(
            *(*FACE, "seeing"),
            *("driver", "backends", "journal", "worker", "transport", "core", *GROUND),
        ),
        imported_by=(),
    ),
}

# Walls inside the downward direction, or restated because they carry the design: who, what not, why.
WALLS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("transport", ("core",), "transport moves bytes and knows no task"),
    ("worker", ("pool", "driver"), "worker/ is all that runs inside a child, and a child has no pool"),
    ("seeing", ("driver", "backends"), "seeing reads events only"),
)

# Where the standard library is fenced: the only modules of it that may be imported there, and why.
STDLIB_FENCE: Mapping[str, tuple[tuple[str, ...], str]] = {
    "core": (
        (
            *("__future__", "abc", "bisect", "collections", "dataclasses", "enum", "functools", "heapq", "itertools"),
            *("math", "operator", "types", "typing"),
        ),
        "core decides and does nothing else: no I/O, no clock, no threads, no randomness",
    ),
}

# Third-party packages: the only places that may import each, and there only inside a function. An empty tuple is a
# package that may be used once a file for it exists.
DEPENDENCIES: Mapping[str, tuple[str, ...]] = {
    "cloudpickle": ("transport",),
    "rich": ("seeing.terminal", "cli"),
    "starlette": ("cli.web",),
    "uvicorn": ("cli.web",),
    "ray": ("backends.ray",),
    "dask": ("backends.dask", "adapters.dask", "adapters.dask_course", "adapters.dask_graph"),
    "distributed": ("backends.dask", "backends.dask_worker", "adapters.dask"),
    "joblib": ("adapters.joblib",),
    "numpy": (
        "adapters.joblib",
        "adapters.pandas",
        "arrays",
        "backends.channel_fast",
        "transport.passed",
        "worker.chance",
    ),
    "opentelemetry": ("worker.telemetry",),
    "psutil": ("backends.cpu_time", "backends.memory", "backends.offspring"),
    "threadpoolctl": ("adapters.joblib", "worker.share"),
    "coverage": ("worker.measuring",),
    "pandas": ("adapters.pandas",),
    "torch": ("adapters.torch",),
    "tqdm": ("adapters.tqdm",),
    "polars": ("adapters.polars",),
    "pyarrow": (
        "adapters.arrow_travel",
        "adapters.polars",
        "cli.mapping.inputs_arrow",
        "cli.mapping.outputs_arrow",
    ),
}

# --------------------------------------------------------------------------------------------------- reading the source


@dataclass(frozen=True)
class Import:
    """One imported module at one place; `target` is a path inside the package, or a foreign module's full name."""

    file: Path
    line: int
    importer: str
    target: str
    inside: bool
    lazy: bool
    typing_only: bool

    def breaks(self, rule: str) -> str:
        target = f"{PACKAGE}.{self.target}" if self.inside else self.target
        return f"{shown(self.file)}:{self.line}: {self.importer} imports {target}: {rule}"


def shown(file: Path) -> str:
    root = SOURCE.parents[1]
    return str(file.relative_to(root) if file.is_relative_to(root) else file)


def under(module: str, names: Iterable[str]) -> bool:
    """Is `module` one of `names`, or inside one of them?"""
    return any(module == name or module.startswith(name + ".") for name in names)


def head(module: str) -> str:
    return module.partition(".")[0]


def modules_of(root: Path) -> dict[str, Path]:
    """Module name to file, for every module of the package at `root`."""
    found = {}
    for file in sorted(root.rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = file
    return found


class ImportReader(ast.NodeVisitor):
    """Collects the imports of one file, with whether each is lazy and whether it is for the type checker only."""

    def __init__(self, module: str, file: Path, known: Mapping[str, Path]) -> None:
        self.module, self.file, self.known = module, file, known
        self.found: list[Import] = []
        self._functions = 0
        self._typing = 0

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        self._functions += 1
        self.generic_visit(node)
        self._functions -= 1

    visit_AsyncFunctionDef = visit_FunctionDef
    visit_Lambda = visit_FunctionDef

    def visit_If(self, node: ast.If) -> None:
        if not ast.unparse(node.test).endswith("TYPE_CHECKING") or isinstance(node.test, ast.UnaryOp):
            return self.generic_visit(node)
        self._typing += 1
        for child in node.body:
            self.visit(child)
        self._typing -= 1
        for child in node.orelse:
            self.visit(child)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self._absolute(node.module or "", node.level)
        for alias in node.names:
            self._add(node, base, alias.name)

    def visit_Call(self, node: ast.Call) -> None:
        """importlib.import_module("x") and __import__("x") are imports as well, where the name can be read."""
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
            written = str(node.args[0].value)
            level = len(written) - len(written.lstrip("."))
            self._add(node, self._absolute(written.lstrip("."), level))
        self.generic_visit(node)

    def _absolute(self, written: str, level: int) -> str:
        if not level:
            return written
        parts = [PACKAGE, *self.module.split(".")]
        if self.file.name == "__init__.py" and self.module != "__init__":
            parts.append("__init__")
        return ".".join([*parts[:-level], *([written] if written else [])])

    def _add(self, node: ast.AST, written: str, name: str | None = None) -> None:
        inside = head(written) == PACKAGE
        target = self._inside(written.partition(".")[2], name) if inside else written
        self.found.append(
            Import(
                file=self.file,
                line=getattr(node, "lineno", 0),
                importer=self.module,
                target=target,
                inside=inside,
                lazy=self._functions > 0,
                typing_only=self._typing > 0,
            )
        )

    def _inside(self, base: str, name: str | None) -> str:
        """The module that is named: `from a import b` means a.b where that is a module, and a otherwise."""
        child = ".".join(filter(None, (base, name)))
        if name and (child in self.known or (not base and placed(name))):
            return child
        return base or "__init__"


def placed(module: str) -> bool:
    return head(module) in SIDE_ROOMS or any(head(module) in layer for layer in LAYERS)


def imports_of(root: Path) -> list[Import]:
    known = modules_of(root)
    found: list[Import] = []
    for module, file in known.items():
        reader = ImportReader(module, file, known)
        reader.visit(ast.parse(file.read_text(encoding="utf-8"), str(file)))
        found += reader.found
    return found


# ------------------------------------------------------------------------------------------------------------ the rules


def breaches(root: Path) -> list[str]:
    """Every line of the package at `root` that breaks a rule, with the rule."""
    imports = imports_of(root)
    found = [
        f"{shown(file)}:1: {module}: has no place in the layers; give it one in {Path(__file__).name}"
        for module, file in modules_of(root).items()
        if not placed(module)
    ]
    for each in imports:
        found += inside_rules(each) if each.inside else foreign_rules(each)
    return found + list(cycles(imports))


def inside_rules(each: Import) -> Iterator[str]:
    here, there = head(each.importer), head(each.target)
    if here == there or not placed(each.importer):
        return
    if not placed(each.target):
        yield each.breaks("there is no such module in the layers")
        return
    for who, what, why in WALLS:
        if under(each.importer, [who]) and under(each.target, what):
            yield each.breaks(f"a wall: {why}")
    if there in SEALED and (here, there) != ("__main__", "cli"):
        yield each.breaks(f"nobody imports {there}")
    elif here in SIDE_ROOMS:
        if there not in SIDE_ROOMS[here].imports:
            yield each.breaks(f"the side room {here} may import only {', '.join(SIDE_ROOMS[here].imports)}")
    elif there in SIDE_ROOMS:
        if here not in SIDE_ROOMS[there].imported_by:
            yield each.breaks(f"the side room {there} is open only to {', '.join(SIDE_ROOMS[there].imported_by)}")
    elif depth(here) > depth(there):
        yield each.breaks(f"imports go down only, and {there} is above {here}")


def depth(name: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if name in layer)


def foreign_rules(each: Import) -> Iterator[str]:
    root = head(each.target)
    if root in sys.stdlib_module_names:
        for fenced, (allowed, why) in STDLIB_FENCE.items():
            if under(each.importer, [fenced]) and root not in allowed:
                yield each.breaks(f"{why} (allowed are {', '.join(sorted(allowed))})")
        return
    if root not in DEPENDENCIES:
        yield each.breaks("not a dependency of this project")
    elif not under(each.importer, DEPENDENCIES[root]):
        yield each.breaks(f"{root} is imported only in {', '.join(DEPENDENCIES[root]) or 'a file of its own'}")
    elif not (each.lazy or each.typing_only):
        yield each.breaks(f"{root} is imported lazily, inside a function")


def cycles(imports: Iterable[Import]) -> Iterator[str]:
    """One line for each knot of modules that import each other, lazy imports included.

    That `import a.b` also runs a/__init__.py is not counted: every package would be a knot with its own modules.
    """
    edges: dict[str, dict[str, Import]] = {}
    for each in imports:
        if each.inside and not each.typing_only and each.importer != each.target:
            edges.setdefault(each.importer, {}).setdefault(each.target, each)
    done: set[str] = set()
    for start in sorted(edges):
        way = way_back(start, edges, avoid=done)
        done.add(start)
        if way:
            first, *rest = way
            names = " -> ".join([start, *(step.target for step in way)])
            places = "".join(f"; {shown(step.file)}:{step.line}" for step in rest)
            yield first.breaks(f"an import cycle: {names}{places}")


def way_back(start: str, edges: Mapping[str, Mapping[str, Import]], avoid: set[str]) -> list[Import]:
    """The shortest way from `start` to itself that passes none of `avoid`; empty when there is none."""
    ways: dict[str, list[Import]] = {start: []}
    queue = [start]
    for module in queue:
        for target, step in edges.get(module, {}).items():
            if target == start:
                return [*ways[module], step]
            if target not in ways and target not in avoid:
                ways[target] = [*ways[module], step]
                queue.append(target)
    return []


# ------------------------------------------------------------------------------------------------------------ the proof


def test_imports_go_down_only() -> None:
    found = breaches(SOURCE)
    assert not found, "\n" + "\n".join(found)


def test_the_tables_name_each_module_once() -> None:
    names = [name for layer in LAYERS for name in layer] + list(SIDE_ROOMS)
    assert len(names) == len(set(names))
    assert set(SEALED) <= set(names)
    for room in SIDE_ROOMS.values():
        assert {*room.imports, *room.imported_by} <= set(names)


# ----------------------------------------------------------------------------- the checker, checked on seeded faults

GOOD_HOUSE: Mapping[str, str] = {
    "__init__.py": "",
    "pool.py": "from procession.driver import loop\nfrom . import errors",
    "driver/__init__.py": "",
    "driver/loop.py": "from ..backends import base\nfrom ..core.task import Task\nimport threading",
    "backends/__init__.py": "",
    "backends/base.py": "import os",
    "transport/__init__.py": "",
    "transport/codec.py": "def dumps(x):\n    import cloudpickle\n    return cloudpickle.dumps(x)",
    "core/__init__.py": "",
    "core/events.py": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .task import Task\nfrom collections import deque"
    ),
    "core/task.py": "from procession.core import events\nfrom ..errors import WorkerDied",
    "errors.py": "from concurrent.futures.process import BrokenProcessPool",
    "seeing/__init__.py": "",
    "seeing/terminal.py": "from ..core.events import deque\ndef bar():\n    from rich.live import Live",
    "testing/__init__.py": "from procession.pool import loop",
    "cli/__init__.py": "def main():\n    from procession import pool, Pool",
}


def build(root: Path, house: Mapping[str, str]) -> Path:
    package = root / PACKAGE
    for name, source in house.items():
        file = package / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source) + "\n")
    return package


def test_a_good_house_passes(tmp_path: Path) -> None:
    assert breaches(build(tmp_path, GOOD_HOUSE)) == []


@pytest.mark.parametrize(
    ("file", "source", "where", "rule"),
    [
        # up the stairs, in each way that an import can be written
        ("core/task.py", "\nfrom procession.pool import Pool", "core/task.py:2: ", "pool is above core"),
        ("core/task.py", "from .. import pool", "core/task.py:1: ", "pool is above core"),
        ("core/__init__.py", "from ..driver import loop", "core/__init__.py:1: ", "driver is above core"),
        ("errors.py", "from procession import Pool", "errors.py:1: ", "__init__ is above errors"),
        ("backends/base.py", "import procession.driver.loop as x", "backends/base.py:1: ", "driver is above backends"),
        ("worker/main.py", "def f():\n    import procession.pool", "worker/main.py:2: ", "a wall: worker/"),
        ("journal/db.py", "import importlib\nimportlib.import_module('procession.pool')", "db.py:2: ", "pool is above"),
        ("journal/db.py", "from importlib import import_module as i\n__import__('procession.pool')", ":2: ", "above"),
        (
            "core/task.py",
            "import typing\nif typing.TYPE_CHECKING:\n    from procession.driver import loop",
            "core/task.py:3: ",
            "driver is above core",
        ),
        # rooms and walls
        ("transport/pipe.py", "from procession.core.task import Task", "pipe.py:1: ", "knows no task"),
        ("worker/main.py", "from procession.driver import loop", "worker/main.py:1: ", "a child has no pool"),
        ("seeing/report.py", "from procession.driver import loop", "report.py:1: ", "seeing reads events only"),
        ("seeing/report.py", "from procession.transport import codec", "report.py:1: ", "seeing may import only"),
        ("driver/loop.py", "from procession.seeing import progress", "loop.py:1: ", "seeing is open only to"),
        ("pool.py", "from procession import testing", "pool.py:1: ", "nobody imports testing"),
        ("adapters/joblib.py", "from ..cli import main", "joblib.py:1: ", "nobody imports cli"),
        ("brandnew.py", "", "brandnew.py:1: ", "has no place in the layers"),
        ("pool.py", "import procession.nowhere", "pool.py:1: ", "no such module"),
        # the fence around core
        ("core/task.py", "import os", "core/task.py:1: ", "core decides"),
        ("core/task.py", "def f():\n    from time import monotonic", "core/task.py:2: ", "no clock"),
        ("core/task.py", "import threading", "core/task.py:1: ", "no threads"),
        ("core/task.py", "import pickle", "core/task.py:1: ", "core decides"),
        ("core/task.py", "from random import random", "core/task.py:1: ", "no randomness"),
        ("core/task.py", "import socket", "core/task.py:1: ", "no I/O"),
        ("core/task.py", "import concurrent.futures", "core/task.py:1: ", "core decides"),
        # other people's packages
        ("transport/codec.py", "import cloudpickle", "codec.py:1: ", "lazily, inside a function"),
        ("transport/codec.py", "class A:\n    import cloudpickle", "codec.py:2: ", "lazily, inside a function"),
        ("pool.py", "def f():\n    import cloudpickle", "pool.py:2: ", "cloudpickle is imported only in transport"),
        ("backends/base.py", "def f():\n    import ray.util", "base.py:2: ", "ray is imported only in backends.ray"),
        ("pool.py", "def f():\n    from numpy import array", "pool.py:2: ", "numpy is imported only in"),
        ("pool.py", "def f():\n    import requests", "pool.py:2: ", "not a dependency"),
    ],
)
def test_a_seeded_fault_is_named(tmp_path: Path, file: str, source: str, where: str, rule: str) -> None:
    found = breaches(build(tmp_path, {**GOOD_HOUSE, file: source}))
    assert any(where in line and rule in line for line in found), found


@pytest.mark.parametrize(
    ("house", "names"),
    [
        ({"core/a.py": "from . import b", "core/b.py": "from . import a"}, "core.a -> core.b -> core.a"),
        (
            {
                "core/a.py": "from .b import x",
                "core/b.py": "def f():\n    from .c import x",
                "core/c.py": "from procession.core import a",
            },
            "core.a -> core.b -> core.c -> core.a",
        ),
        ({"core/__init__.py": "from .a import x", "core/a.py": "from . import x"}, "core -> core.a -> core"),
        ({"errors.py": "from . import types", "types.py": "from . import errors"}, "errors -> types -> errors"),
    ],
)
def test_a_cycle_is_named_with_its_way(tmp_path: Path, house: Mapping[str, str], names: str) -> None:
    found = breaches(build(tmp_path, {"__init__.py": "", **house}))
    assert len(found) == 1
    assert f"an import cycle: {names}" in found[0]


def test_what_only_the_type_checker_reads_makes_no_cycle(tmp_path: Path) -> None:
    for test, ok in (("TYPE_CHECKING", True), ("not TYPE_CHECKING", False)):
        source = f"from typing import TYPE_CHECKING\nif {test}:\n    from . import b"
        house = {"__init__.py": "", "core/a.py": source, "core/b.py": "from . import a"}
        assert (breaches(build(tmp_path, house)) == []) is ok
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    from . import b"
    assert breaches(build(tmp_path, {"__init__.py": "", "core/a.py": source, "core/b.py": "from . import a"}))
