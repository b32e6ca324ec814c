"""Commands of a page of docs/, as somebody would type them."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


def session(commands: Iterable[str], folder: Path, shell: str = "bash") -> str:
    """One after the other, in this folder: what a terminal has then, each behind `$ `, and what it has printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    said = ""
    for typed in commands:
        done = subprocess.run(
            [shell, "-c", re.sub(r"\n> ?", "\n", typed)],
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
        said += f"$ {typed}\n{done.stdout}"
    return said
