"""Brings into the site what is no page of docs/: whole files, a section of one, code.

Laws
1. One source for each text. A page says by a comment what stands in its place:

       <!-- file: CHANGELOG.md -->             a Markdown file; the rest of the page is for those who read it elsewhere
       <!-- code: examples/video.py -->        a program, as a page; likewise
       <!-- section: README.md, How fast -->   what stands there under that heading, without it
2. Links work here and in the repository. One that leaves docs/ goes to the page that has that file; where no page has
   it, its text stays. One to a file that there is not is a warning, and so an error of the build.
3. What is in a block of code is left as it is.
"""

from __future__ import annotations

import os
import posixpath
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.util import logging

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
WHOLE = re.compile(r"^<!-- (file|code): (\S+) -->\n", re.M)
SECTION = re.compile(r"^<!-- section: (\S+), (.+?) -->\n", re.M)
FENCE = re.compile(r"^ *(`{3,})[^`]*$")
INLINE = re.compile(r"(`+[^`]*`+)")
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")
LABELLED = re.compile(r"\[([^\[\]]*)" + LINK.pattern)
FRONT = {"README.md": "index"}
"""Files whose text the site has in other words."""
said = logging.getLogger(__name__)


@cache
def pages() -> dict[str, str]:
    """Files of the repository outside of docs/ -> the page that has each."""
    found = dict(FRONT)
    for page in sorted(DOCS.rglob("*.md")):
        if whole := WHOLE.match(page.read_text()):
            found[whole[2]] = page.relative_to(DOCS).with_suffix("").as_posix()
    return found


def linked(text: str, origin: str, docname: str) -> str:
    """`text` of the file `origin`, its links such as the page `docname` must have."""

    def place(target: str) -> str:
        return posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))

    def text_alone(link: re.Match[str]) -> str:
        path = place(link[2])
        elsewhere = not path.startswith("docs/") and path not in pages() and (ROOT / path).exists()
        return link[1] if elsewhere else link[0]

    def moved(link: re.Match[str]) -> str:
        path = place(link[1])
        if path.startswith("docs/"):
            target = path.removeprefix("docs/")
        elif path in pages():
            target = pages()[path] + ".md"
        else:
            said.warning("%s links to %s, which is not there, or has no page", origin, path)
            return link[0]
        return f"]({os.path.relpath(target, posixpath.dirname(docname) or '.')}{link[2] or ''})"

    lines, fence = [], ""
    for line in text.splitlines():
        bound = FENCE.match(line)
        if fence:
            if bound and len(bound[1]) >= len(fence):
                fence = ""
        elif bound:
            fence = bound[1]
        else:
            line = LABELLED.sub(text_alone, line)
            line = "".join(part if part.startswith("`") else LINK.sub(moved, part) for part in INLINE.split(line))
        lines.append(line)
    return "\n".join(lines) + "\n"


def section(file: str, heading: str) -> str:
    """What stands under a heading of a file. Raises LookupError where there is none."""
    text = (ROOT / file).read_text()
    found = re.search(rf"^(#+) {re.escape(heading)}\n", text, re.M)
    if found is None:
        raise LookupError(f"{file} has no heading {heading!r}")
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.M)
    return rest[: end.start()] if end else rest


def fill(_app: Sphinx, docname: str, source: list[str]) -> None:
    """What Sphinx reads for this page."""
    text = source[0]
    if whole := WHOLE.match(text):
        kind, file = whole.groups()
        there = (ROOT / file).read_text()
        if kind == "file":
            source[0] = linked(there, file, docname)
        else:
            source[0] = f"# {file}\n\n```python\n{there.rstrip()}\n```\n"
        return
    text = linked(text, f"docs/{docname}.md", docname)
    source[0] = SECTION.sub(lambda found: linked(section(found[1], found[2]), found[1], docname), text)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", fill)
    return {"parallel_read_safe": True}
