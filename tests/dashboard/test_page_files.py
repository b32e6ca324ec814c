"""The files of the dashboard's page: all are in the wheel, all that one names is there, and the policy lets it run.

What the page does is tried in a browser: tests/browser.
"""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path

import pytest

from procession.cli.web.access import HEADERS

ROOT = Path(__file__).resolve().parents[2]
PAGE = Path(str(files("procession.cli.web"))) / "page"
NAMES = sorted(each.name for each in PAGE.iterdir())
SCRIPTS = [name for name in NAMES if name.endswith(".js")]
IMPORT = re.compile(r'^import (?:{([^}]*)} from )?"\./([\w.]+)";$', re.M)
EXPORT = re.compile(r"^export (?:async )?(?:function|class|const) (\w+)", re.M)


def text(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_in_the_wheel(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["procession.cli.web"]
    assert any(fnmatch(f"page/{name}", pattern) for pattern in patterns)


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_a_module_imports_is_exported(name: str) -> None:
    code = text(name)
    assert len(re.findall(r"^import ", code, re.M)) == len(IMPORT.findall(code)), "an import of another form"
    for words, source in IMPORT.findall(code):
        exported = set(EXPORT.findall(text(source)))
        wanted = {each.strip() for each in words.split(",")}
        assert wanted <= exported, source
        used = {word for word in wanted if len(re.findall(rf"\b{word}\b", code)) > 1}
        assert wanted == used, "imported, and not used"


def test_what_the_page_names_is_there() -> None:
    page = text("index.html")
    named = re.findall(r'(?:src|href)="/page/([^"]+)"', page)
    assert set(named) == {"icon.svg", "style.css", "theme.js", "main.js"}
    assert set(named) < set(NAMES)
    # and the other way round: by what is imported from there on, all of them are used
    reached, todo = set(named) | {"index.html"}, ["main.js"]
    while todo:
        found = {source for _, source in IMPORT.findall(text(todo.pop()))} - reached
        reached |= found
        todo += found
    assert reached == set(NAMES)


def test_ids_that_scripts_look_for_are_there() -> None:
    there = set(re.findall(r'\bid="([\w-]+)"', text("index.html")))
    wanted = {name for script in SCRIPTS for name in re.findall(r'byId\("([\w-]+)"\)', text(script))}
    assert wanted
    assert wanted <= there


def test_nothing_in_it_needs_what_the_policy_forbids() -> None:
    policy = HEADERS["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    page = text("index.html")
    assert "<style" not in page
    assert not re.search(r"\s(?:style|on\w+)=", page)
    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    for name in NAMES:
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text(name)), "it loads something from elsewhere"
    for name in SCRIPTS:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text(name)
        )
        assert 'setAttribute("style"' not in text(name)


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_keeps_the_limits_of_the_house(name: str) -> None:
    lines = text(name).splitlines()
    assert len(lines) <= 400
    assert max(map(len, lines)) <= 120
