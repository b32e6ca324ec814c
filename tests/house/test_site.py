"""The site of docs/ has every page, every public name, every variable of the environment, and every extra."""

import ast
import re
import tomllib
from pathlib import Path

import procession

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FOR_US = {"dev", "ecosystem", "release", "e2e", "bench", "docs", "rivals", "examples"}
"""Extras that nobody needs who only uses the package."""
STANDARD = {"TimeoutError"}
"""Names of the standard library that an adapter passes on."""
NOT_OURS = {"CancelledError", "__version__", "futures"}


def navigation() -> list[str]:
    """What the tables of contents name, in order."""
    front = (DOCS / "index.md").read_text()
    tables = re.findall(r"^```\{toctree\}\n(.*?)^```", front, re.M | re.S)
    return [f"{line}.md" for table in tables for line in table.splitlines() if line and not line.startswith(":")]


def public() -> list[str]:
    """What the pages of the reference describe."""
    pages = sorted((DOCS / "reference").glob("*.md"))
    return [name for page in pages for name in re.findall(r"^```\{public\} (\S+)$", page.read_text(), re.M)]


def test_each_page_is_in_the_navigation_once() -> None:
    named = navigation()
    there = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")} - {"index.md"}
    missing, gone = sorted(there - set(named)), sorted(set(named) - there)
    assert not missing, f"not in the navigation: {missing}. Each wants a line in a table of contents of docs/index.md"
    assert not gone, f"docs/index.md names pages that are not there: {gone}"
    assert len(named) == len(set(named)), "docs/index.md names a page twice"


def test_each_public_name_is_in_the_reference_once() -> None:
    named = public()
    assert len(named) == len(set(named))
    ours = {f"procession.{name}" for name in procession.__all__ if name not in NOT_OURS}
    missing = sorted(ours - set(named))
    assert not missing, f"not in docs/reference: {missing}. Each wants a block ```{{public}} NAME on a page there"


def test_what_each_adapter_offers_is_in_the_reference() -> None:
    """A name is offered by the `__all__` of the module that bears the name of the library that it is for."""
    missing = []
    for place in sorted((ROOT / "src/procession/adapters").iterdir()):
        file = place / "__init__.py" if place.is_dir() else place
        if "_" in place.stem or not file.exists():
            continue
        found = re.search(r"^__all__ = (\[.*?\])", file.read_text(), re.M | re.S)
        assert found is not None, f"{file} does not say what it offers"
        names = set(ast.literal_eval(found[1])) - STANDARD
        missing += [each for name in names if (each := f"procession.adapters.{place.stem}.{name}") not in public()]
    assert not missing, f"not in docs/reference/adapters.md: {sorted(missing)}"


def test_each_variable_and_each_extra_is_in_the_reference() -> None:
    page = (DOCS / "reference/environment.md").read_text()
    source = "".join(file.read_text() for file in (ROOT / "src").rglob("*.py"))
    variables = set(re.findall(r"""["'](PROCESSION_[A-Z_]+)["']""", source))
    assert "PROCESSION_CPUS" in variables
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"]) - FOR_US
    missing = sorted(name for name in variables | extras if f"`{name}" not in page)
    assert not missing, f"not in docs/reference/environment.md: {missing}"
