"""joblib's own tests of Parallel on our backend; a deviation that passes fails here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import joblib
import pytest

MEMMAPS = "large arrays come through shared memory, read-only as there, and are no memmaps"
NESTED = "loky is not to be nested there, warns and does without; pools may be made anywhere"
GENERATORS = "that a generator is dropped ends its own tasks, so the other one fails with no error"

DEVIATIONS = {
    "test_error_capture[loky]": "an error ends what its own call runs: the pool stays the same one",
    "test_auto_memmap_on_arrays_from_generator[loky]": MEMMAPS,
    "test_memmapping_leaks[loky]": MEMMAPS,
    "test_parallel_with_interactively_defined_bound_method_loky": "wants lines that loky logs",
    "test_nested_parallel_warnings[loky-multiprocessing-True]": NESTED,
    "test_nested_parallel_warnings[multiprocessing-loky-True]": NESTED,
    "test_nested_parallel_warnings[threading-loky-True]": NESTED,
    **{
        f"test_multiple_generator_call_separated_gc[{one}-{other}-loky-True]": GENERATORS
        for one in ("generator", "generator_unordered")
        for other in ("generator", "generator_unordered")
    },
}


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_it_is_joblibs(tmp_path: Path) -> None:
    tests = Path(joblib.__file__).parent / "test" / "test_parallel.py"
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    words = "-q -c pytest.ini -p joblib_standard -p no:cacheprovider -o timeout_func_only=true --timeout=120 --tb=line"
    command = [sys.executable, "-m", "pytest", *words.split(), str(tests)]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PROCESSION_TOP": "0", "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=850, check=False)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["ran"] >= 200, done.stdout + done.stderr
    wrong = {name: text for name, text in told["bad"].items() if name not in DEVIATIONS}
    assert not wrong, json.dumps(wrong, indent=2)
    assert told["bad"].keys() == DEVIATIONS.keys()
