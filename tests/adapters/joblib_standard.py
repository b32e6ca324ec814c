"""A plugin of pytest: joblib's own tests, with our backend in the place of loky, which is joblib's default.

    python -m pytest -p joblib_standard .../joblib/test/test_parallel.py

What those tests call LokyBackend is ours, and "loky" means it, also in programs that they start. Tests of the other
backends alone are left out. The last line printed is JSON: {"ran": n, "skipped": n, "bad": {test: what it says}}.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import joblib._parallel_backends
import joblib.parallel
import joblib.testing
import pytest

from procession.adapters.joblib import backends

OTHERS = ("multiprocessing", "spawn", "threading", "sequential")
OURS = "loky"
AGAIN = (-2, 4)
"""Numbers of jobs that change nothing where 2 and -1 are tried."""
SLOW = 6
"""Programs that those tests start may take so many times as long."""


def substitute() -> None:
    made = type("LokyBackend", (backends.kind(),), {})
    joblib.parallel.BACKENDS[OURS] = joblib.parallel.LokyBackend = joblib._parallel_backends.LokyBackend = made


def pytest_configure(config: pytest.Config) -> None:
    for mark in ("thread_unsafe", "no_cover"):  # of joblib's own configuration
        config.addinivalue_line("markers", mark)
    substitute()
    call = joblib.testing.check_subprocess_call

    def called(command: list[str], timeout: float | None = 5, **words: Any) -> Any:
        """The program runs as one that imports this module first."""
        python, *rest = command
        assert python == sys.executable
        run = [python, str(Path(__file__).with_name("joblib_program.py")), *rest]
        return call(run, timeout=None if timeout is None else SLOW * timeout, **words)

    joblib.testing.check_subprocess_call = called


def pytest_collection_modifyitems(config: pytest.Config, items: list[Any]) -> None:
    """Leave out what is about other backends, as its parameters say, and the same again with more jobs."""
    config.hook.pytest_deselected(items=[item for item in items if _left_out(item)])
    items[:] = [item for item in items if not _left_out(item)]


def _left_out(item: Any) -> bool:
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return False
    if callspec.params.get("n_jobs") in AGAIN:
        return True
    said = [_name(value) for word, value in callspec.params.items() if "backend" in word]
    return OURS not in said and any(name in OTHERS for name in said)


def _name(value: Any) -> str:
    return value if isinstance(value, str) else type(value).__name__.removesuffix("Backend").lower()


_told: dict[str, Any] = {"ran": 0, "skipped": 0, "bad": {}}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call":
        _told["ran"] += 1
    if report.skipped:
        _told["skipped"] += 1
    if report.failed:
        text = str(getattr(report.longrepr, "reprcrash", report.longrepr))
        _told["bad"][report.nodeid.rpartition("::")[2]] = text.strip()[-300:]


def pytest_unconfigure() -> None:
    print(json.dumps(_told))
    sys.stdout.flush()
    os.environ.pop("PYTEST_CURRENT_TEST", None)
