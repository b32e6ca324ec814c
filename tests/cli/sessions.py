"""The terminal sessions of docs/command-line.md: `python -m tests.cli.sessions` records them and makes the tables anew.

Each is a program that runs in a terminal of 90 columns; what stands on its screen is written into the page.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from procession.cli.flags.mapping import MAP
from procession.cli.flags.pages import options, statuses

PAGE = Path(__file__).resolve().parents[2] / "docs" / "command-line.md"
SIZE = ("-x", "90", "-y", "16")
PATIENCE = 60
SLOW = "import time\n\ndef work(n):\n    time.sleep(0.4 if n < 100 else 60)\n    return n * n\n"


def put(text: str, name: str, content: str) -> str:
    """The page with `content` between the marks of this name."""
    found, count = re.subn(
        rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", lambda at: at[1] + content + at[2], text, flags=re.DOTALL
    )
    assert count == 1, name
    return found


def tables(text: str) -> str:
    """The page with the tables as the words are now."""
    text = put(text, "statuses", f"\n{statuses(MAP)}\n")
    return put(text, "options", f"\n{options(MAP)}\n")


class Screen:
    """A terminal of tmux, with a shell in it."""

    def __init__(self, folder: str) -> None:
        self._socket = f"procession-{os.getpid()}-{os.path.basename(folder)}"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        shell = ["env", "PS1=$ ", f"PATH={path}", "PROCESSION_TOP=0", "bash", "--norc", "--noprofile"]
        self._tmux("-f", "/dev/null", "new-session", "-d", *SIZE, "-c", folder, *shell)
        self.until("$")

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-L", self._socket, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout

    def type(self, *keys: str) -> None:
        """Keys, as tmux calls them."""
        self._tmux("send-keys", *keys)

    def text(self) -> str:
        """What is on it."""
        lines = self._tmux("capture-pane", "-p").rstrip().split("\n")
        return "\n".join(line.rstrip() for line in lines)

    def until(self, pattern: str) -> str:
        """Wait for it to be there; returns all that is there then."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, text := self.text()):
            assert time.monotonic() < deadline, text
            time.sleep(0.05)
        return text

    def close(self) -> None:
        """End it."""
        self._tmux("kill-server")


def bar(screen: Screen) -> str:
    """A bar, in the middle of a run."""
    screen.type("procession map slow:work 1..20 -j 2 > squares.jsonl", "Enter")
    return screen.until(r"\b8/20")


def once(screen: Screen) -> str:
    """Ctrl-C once."""
    screen.type("procession map slow:work 1..20 -j 2; echo status $?", "Enter")
    screen.until(r"\b4/20")
    screen.type("C-c")
    return screen.until(r"status \d+")


def twice(screen: Screen) -> str:
    """Ctrl-C twice, as an item takes a minute."""
    screen.type("procession map slow:work 97..110 -j 2; echo status $?", "Enter")
    screen.until(r"\b3/14")
    screen.type("C-c")
    screen.until("nothing new starts")
    screen.type("C-c")
    return screen.until(r"status \d+")


def head(screen: Screen) -> str:
    """`| head` on an endless input."""
    screen.type("yes | procession map -e 'x.upper()' | head -3; echo status ${PIPESTATUS[1]}", "Enter")
    return screen.until(r"status \d+")


SESSIONS: dict[str, Callable[[Screen], str]] = {"bar": bar, "once": once, "twice": twice, "head": head}


def recorded(session: Callable[[Screen], str]) -> str:
    """What its screen shows."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "slow.py").write_text(SLOW)
        screen = Screen(folder)
        try:
            lines = session(screen).split("\n")
        finally:
            screen.close()
    if lines[-1] == "$":
        lines.pop()
    return "\n".join(lines)


def main() -> None:
    """Write the page anew."""
    assert shutil.which("tmux"), "this needs tmux"
    text = tables(PAGE.read_text())
    for name, session in SESSIONS.items():
        text = put(text, f"session {name}", f"\n```text\n{recorded(session)}\n```\n\n")
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
