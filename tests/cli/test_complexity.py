"""The numbers of procession.cli.complexity, on sources small enough to count by hand."""

import ast
import textwrap
from pathlib import Path

import pytest

from procession.cli.complexity import Function, Report, analyse, measure, most_complex


def functions(source: str) -> dict[str, Function]:
    found, _ = measure(ast.parse(textwrap.dedent(source)))
    return {each.name: each for each in found}


@pytest.mark.parametrize(
    ("body", "complexity"),
    [
        ("pass", 1),
        ("if a: b", 2),
        ("if a: b\n    else: c", 2),
        ("if a: b\n    elif c: d\n    elif e: f\n    else: g", 4),
        ("x = a if b else c", 2),
        ("x = a if b else c if d else e", 3),
        ("for a in b: c", 2),
        ("for a in b: c\n    else: d", 2),
        ("while a: b", 2),
        ("assert a", 2),
        ("assert a, b", 2),
        ("with a, b: c", 1),
        # each handler; neither else nor finally
        ("try: a\n    except B: c\n    except D: e\n    else: f\n    finally: g", 3),
        ("try: a\n    finally: g", 1),
        ("try: a\n    except* B: c", 2),
        # each operator, mixed ones as well
        ("return a and b", 2),
        ("return a and b and c", 3),
        ("return a and b or c", 3),
        ("return not a", 1),
        ("return a < b < c", 1),
        ("if a and b: c", 3),
        # each for and each if of a comprehension, of every kind
        ("return [a for a in b]", 2),
        ("return [a for a in b if c if d]", 4),
        ("return {a: b for a in b for c in d}", 3),
        ("return {a for a in b}", 2),
        ("return sum(a for a in b if a and c)", 4),
        # cases but the one that takes everything; guards
        ("match a:\n        case 1: b\n        case 2 | 3: c\n        case _: d", 3),
        ("match a:\n        case [x, y]: b\n        case other: d", 2),
        ("match a:\n        case 1 if b: c\n        case _ if d: e", 4),
        # a lambda counts here, a nested function does not
        ("return lambda: a if b else c", 2),
        ("def g():\n        if a: b", 1),
        ("class C:\n        x = a if b else c", 2),
        ("class C:\n        def g(self):\n            if a: b", 1),
    ],
)
def test_the_complexity_of_one_function(body: str, complexity: int) -> None:
    assert functions(f"def f():\n    {body}")["f"].complexity == complexity


def test_async_counts_like_sync() -> None:
    source = """
        async def f():
            async for a in b:
                c
            async with d:
                e
            return [x async for x in y]
    """
    assert functions(source)["f"] == Function("f", 2, 3, 1)


def test_what_is_evaluated_outside_counts_outside() -> None:
    source = """
        def f():
            @decorated(a or b)
            def g(x=1 if c else 2, *, y: d and e = 3) -> h or i:
                if x: y
    """
    assert functions(source) == {"f": Function("f", 2, 5, 0), "f.g": Function("f.g", 4, 2, 1)}


def test_names_and_lines() -> None:
    source = """
        def top(): pass

        class C:
            def method(self):
                class D:
                    def deep(self): pass
            @property
            def other(self): pass

        if a:
            def conditional(): pass
    """
    found = functions(source)
    assert [(each.name, each.line) for each in found.values()] == [
        ("top", 2),
        ("C.method", 5),
        ("C.method.D.deep", 7),
        ("C.other", 9),
        ("conditional", 12),
    ]


@pytest.mark.parametrize(
    ("source", "deepest"),
    [
        ("", 0),
        ("x = 1", 0),
        ("if a: b", 1),
        ("if a: b\nelif c: d\nelif e: f\nelse: g", 1),
        ("if a: b\nelif c:\n    if d: e", 2),
        ("if a: b\nelse:\n    for c in d: e", 2),
        ("try: a\nexcept B: c\nelse: d\nfinally: e", 1),
        ("try: a\nexcept B:\n    while c: d", 2),
        ("match a:\n    case 1: b\n    case 2:\n        with c: d", 2),
        ("def f(): pass", 1),
        ("class C:\n    def f(self):\n        for a in b:\n            with c: d", 4),
        ("x = [a for a in b if (lambda: c)]", 0),
    ],
)
def test_the_deepest_nesting_of_a_file(source: str, deepest: int) -> None:
    assert measure(ast.parse(source))[1] == deepest


def test_the_nesting_of_a_function_starts_with_its_body() -> None:
    source = """
        class C:
            if a:
                def f(self):
                    if b:
                        for c in d:
                            def g():
                                while e: f
    """
    found = functions(source)
    assert found["C.f"].nesting == 2
    assert found["C.f.g"].nesting == 1


def test_a_deep_tree_needs_no_recursion() -> None:
    depth = 900
    source = "x = " + "+".join(["1"] * depth) + "\ndef f(): return " + " or ".join(["a"] * depth)
    assert functions(source)["f"].complexity == depth


def test_a_file_that_does_not_parse_is_reported(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    good, bad, coding, old = (tmp_path / name for name in ("good.py", "bad.py", "coding.py", "old.py"))
    good.write_text("def f(): return 1 if 2 else 3\n")
    bad.write_text("def f(:\n")
    coding.write_bytes(b"# coding: no-such-coding\n")
    old.write_text(r"x = '\d'" + "\n")
    assert analyse(str(good)) == Report(str(good), (Function("f", 1, 2, 0),), 0 + 1)
    for each in (bad, coding):
        report = analyse(str(each))
        assert report.problem
        assert report.functions == ()
    assert analyse(str(old)).problem == ""
    assert not recwarn.list
    with pytest.raises(OSError, match="nowhere"):
        analyse(str(tmp_path / "nowhere.py"))


def test_the_most_complex() -> None:
    reports = [
        Report("a.py", (Function("one", 1, 3, 0), Function("two", 2, 9, 0)), 1),
        Report("b.py", (), 0, "does not parse"),
        Report("c.py", (Function("three", 1, 9, 0),), 1),
    ]
    assert [(function.name, path) for function, path in most_complex(reports, 2)] == [
        ("two", "a.py"),
        ("three", "c.py"),
    ]
