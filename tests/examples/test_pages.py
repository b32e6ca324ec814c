"""Pages of docs/: each of their programs runs as it stands there, and prints what stands below it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NAMES = ("streams.md", "context.md", "debugging.md", "seeing.md", "journal.md", "multiprocessing.md")
PAGES = {name: (DOCS / name).read_text() for name in NAMES}
PROGRAM = re.compile(r"^```python\n(.*?)^```\n\n^```text\n(.*?)^```", re.M | re.S)
PROGRAMS = {
    f"{name} {number}": found for name, page in PAGES.items() for number, found in enumerate(PROGRAM.findall(page))
}


@pytest.mark.parametrize("name", PAGES)
def test_each_program_says_what_it_prints(name: str) -> None:
    assert len([each for each in PROGRAMS if each.startswith(name)]) == PAGES[name].count("```python\n") > 0


@pytest.mark.parametrize(("program", "printed"), PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_of_the_page(tmp_path: Path, program: str, printed: str) -> None:
    script = tmp_path / "program.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", script], capture_output=True, text=True, timeout=90, cwd=tmp_path
    )
    assert (done.stdout, done.stderr, done.returncode) == (printed, "", 0)
