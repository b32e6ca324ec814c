"""docs/failure-semantics.md and these tests name each other; so do docs/where-code-runs.md and its tests."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
NAME = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def cases_in(file: Path) -> dict[str, str]:
    """The docstring of each test of a file."""
    tree = ast.parse(file.read_text())
    return {
        node.name: ast.get_docstring(node) or ""
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def every_case() -> dict[tuple[str, str], str]:
    exempt = {"test_documents.py", "test_where_code_runs.py"}
    return {
        (file.name, name): doc
        for file in sorted(HERE.glob("test_*.py"))
        if file.name not in exempt
        for name, doc in cases_in(file).items()
    }


def sections() -> dict[str, set[tuple[str, str]]]:
    """Each `## ` heading of the document, and the tests that its section names."""
    text = (DOCS / "failure-semantics.md").read_text()
    parts = re.split(r"^## +(.+)$", text, flags=re.M)
    return {heading.strip(): set(NAME.findall(body)) for heading, body in zip(parts[1::2], parts[2::2], strict=True)}


def row_of(doc: str) -> str:
    """The row that a docstring names: from "Row: " to the first full stop that ends it."""
    found = re.match(r"Row: (.+?)\. ", " ".join(doc.split()))
    return found.group(1) if found else ""


def test_each_test_names_its_row_and_the_row_names_it() -> None:
    rows = sections()
    faults = []
    for (file, name), doc in every_case().items():
        row = row_of(doc)
        if row not in rows:
            faults.append(f"{file}::{name} names the row {row!r}, which docs/failure-semantics.md has not")
        elif (file, name) not in rows[row]:
            faults.append(f"docs/failure-semantics.md, {row!r}, does not name {file}::{name}")
    assert not faults, "\n" + "\n".join(faults)


def test_each_row_names_tests_that_exist() -> None:
    known = every_case()
    faults = []
    for row, named in sections().items():
        if row.startswith("Not yet"):
            assert not named
            continue
        if not named:
            faults.append(f"{row!r} names no test")
        for file, name in sorted(named):
            if (file, name) not in known:
                faults.append(f"{row!r} names {file}::{name}, which does not exist")
            elif row_of(known[file, name]) != row:
                faults.append(f"{row!r} names {file}::{name}, which names another row")
    assert not faults, "\n" + "\n".join(faults)


def test_each_row_of_where_code_runs_is_tested() -> None:
    text = (DOCS / "where-code-runs.md").read_text()
    known = set(cases_in(HERE / "test_where_code_runs.py"))
    named = {name for file, name in NAME.findall(text) if file == "test_where_code_runs.py"}
    assert named == known
    table = [line for line in text.splitlines() if line.startswith("| ")][1:]
    untested = [line for line in table if not NAME.search(line) and not set(line) <= set("|- ")]
    assert not untested, "\n" + "\n".join(untested)
