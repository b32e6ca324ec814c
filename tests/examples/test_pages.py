"""docs/streams.md: each of its programs runs as it stands there, and prints what stands below it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "streams.md"
PROGRAM = re.compile(r"^```python\n(.*?)^```\n\n^```text\n(.*?)^```", re.M | re.S)
PROGRAMS = PROGRAM.findall(PAGE.read_text())


def test_each_program_says_what_it_prints() -> None:
    assert len(PROGRAMS) == PAGE.read_text().count("```python\n") > 0


@pytest.mark.parametrize(("program", "printed"), PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_program_of_the_page(tmp_path: Path, program: str, printed: str) -> None:
    script = tmp_path / "program.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", script], capture_output=True, text=True, timeout=90
    )
    assert (done.stdout, done.stderr, done.returncode) == (printed, "", 0)
