"""The codec in programs that are run as scripts: what is in `__main__` goes by value."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.transport.harness import ROOT

HERE = Path(__file__).parent


@pytest.mark.parametrize("script", ["script_main.py", "script_guarded.py"])
def test_a_script(script):
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, str(HERE / script)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert done.returncode == 0
