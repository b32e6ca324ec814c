"""A program of joblib's tests, with our backend in the place of loky: `joblib_program.py (-c code | script)`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import joblib_standard

joblib_standard.substitute()
if sys.argv[1] == "-c":
    exec(compile(sys.argv[2], "<string>", "exec"), vars(sys.modules["__main__"]))
else:
    sys.argv.pop(0)
    exec(compile(Path(sys.argv[0]).read_text(), sys.argv[0], "exec"), vars(sys.modules["__main__"]))
