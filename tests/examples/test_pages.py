"""Pages of docs/, and README.md: each of their programs runs as it stands there, and prints what stands below it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.typed import session
from tests.examples.pages import OTHERS, Block, alike, blocks, pages

PAGES = pages()
ELSEWHERE = {"command-line.md", "command-line-formats.md"}
"""Their sessions are run from the first to the last by tests/cli."""
BLOCKS = [block for page, text in PAGES.items() for block in blocks(page, text)]
PROGRAMS = [block for block in BLOCKS if block.language == "python" and block.mark not in ("e2e", "not run")]
README_GIVEN = (Path(__file__).parent / "readme_given.py").read_text()
SESSIONS = [
    block for block in BLOCKS if block.language == "console" and block.mark != "not run" and block.page not in ELSEWHERE
]

# What no test runs, in the order of the pages: (page, why, how many). A page says the same above each such block.
NOT_RUN = {
    ("benchmarks.md", "takes twelve minutes"): 1,
    ("clusters.md", "needs a GPU"): 1,
    ("clusters.md", "needs Kubernetes"): 1,
    ("clusters.md", "needs Slurm"): 1,
    ("context.md", "in a container with a quota"): 1,
    ("context.md", "goes on with failures of a run before"): 1,
    ("debugging.md", "somebody sits at the debugger"): 1,
    ("ecosystem.md", "needs PyTorch"): 1,
    ("failure-semantics.md", "it waits for a Ctrl-C"): 1,
    ("index.md", "installs a package"): 1,
    ("programs.md", "black is not installed where tests run"): 1,
    ("releasing.md", "needs containers"): 1,
    ("seeing.md", "looks at a program that runs"): 2,
    ("tutorial/cluster.md", "needs a scheduler"): 1,
    ("../README.md", "installs a package"): 1,
    ("../README.md", "takes a million items"): 1,
}


def test_what_is_not_run_is_listed_here_with_its_reason() -> None:
    found: dict[tuple[str, str], int] = {}
    for block in BLOCKS:
        if block.mark == "not run":
            assert block.said, f"{block.name} does not say why it is not run"
            found[block.page, block.said] = found.get((block.page, block.said), 0) + 1
    assert found == NOT_RUN


@pytest.mark.parametrize("page", PAGES)
def test_each_program_can_be_seen_as_one(page: str) -> None:
    """What is written as ```py, ```sh or indented would be run by nobody."""
    assert not OTHERS.search(PAGES[page])
    found = [block for block in BLOCKS if block.page == page]
    assert len(found) == sum(PAGES[page].count(f"```{language}\n") for language in ("python", "console"))


@pytest.mark.parametrize("block", PROGRAMS, ids=[block.name for block in PROGRAMS])
def test_a_program_of_a_page(tmp_path: Path, block: Block) -> None:
    script = tmp_path / "program.py"
    readme = block.page == "../README.md"
    script.write_text(f"{README_GIVEN}\n\n{block.code.replace('1_000_000', '100')}" if readme else block.code)
    # The interpreter's development mode has asyncio say which step was slow: on a busy machine, any is.
    strictly = () if "asyncio" in block.code else ("-X", "dev")
    apart = subprocess.STDOUT if block.mark == "like" else subprocess.PIPE
    done = subprocess.run(
        [sys.executable, *strictly, "-W", "error", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=apart,
        text=True,
        timeout=100,
        cwd=tmp_path,
    )
    if block.mark == "like":
        assert alike(block.printed, done.stdout), done.stdout
    elif readme:
        assert done.returncode == 0, done.stderr
    elif block.mark == "output differs":
        assert (done.stderr, done.returncode) == ("", 0)
        assert done.stdout
    else:
        assert (done.stdout, done.stderr, done.returncode) == (block.printed, "", 0)


@pytest.mark.parametrize("block", SESSIONS, ids=[block.name for block in SESSIONS])
def test_a_session_of_a_page(tmp_path: Path, block: Block) -> None:
    import re

    commands = re.findall(r"^\$ (.*(?:\n>.*)*)\n", block.code, re.M)
    found = session(commands, tmp_path)
    assert alike(block.code, found) if block.mark == "like" else found == block.code
