"""What .ci/run has run in one mode alone is the same in the other: nobody there asks whether there is an extension."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.apart import ROOT

LOOK = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    assert "procession._native" not in sys.modules, name
"""


def test_what_is_run_in_one_mode_asks_for_none() -> None:
    words = re.search(r"^once=\(\n(.*?)^\)$", (ROOT / ".ci/run").read_text(), re.M | re.S)
    assert words is not None
    places = words[1].split()
    assert all((ROOT / each).exists() for each in places), places
    modules = [each.removesuffix(".py").replace("/", ".") for each in places if each.endswith(".py")]
    assert len(modules) > 5
    command = [sys.executable, "-c", LOOK, *modules]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
