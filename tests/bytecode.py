"""Bytecode is kept, even where the environment says not to write any.

The suite starts some thousand interpreters and ten thousand workers. In a container with PYTHONDONTWRITEBYTECODE (as
many images have it) each of them would compile what it imports of this tree anew, which is half of what it costs.
"""

import compileall
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VARIABLE = "PYTHONDONTWRITEBYTECODE"


def keep() -> None:
    """Compile what workers import, and let all others write what they have compiled."""
    if not sys.dont_write_bytecode:
        return
    sys.dont_write_bytecode = False
    os.environ.pop(VARIABLE, None)
    for folder in ("src", "tests"):
        compileall.compile_dir(ROOT / folder, quiet=2)  # a tree that cannot be written is no fault
