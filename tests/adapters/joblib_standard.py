"""A plugin of pytest: joblib's own tests, with our backend in the place of loky, which is joblib's default.

    python -m pytest -p joblib_standard .../joblib/test/test_parallel.py

What those tests call LokyBackend is ours, and "loky" means it; so does every program that they start (through
`standard_site`, which is put in front of its path). Tests of the other backends alone are left out.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import joblib._parallel_backends
import joblib.parallel
import pytest

from procession.adapters.joblib import backends

made = type("LokyBackend", (backends.kind(),), {})
joblib.parallel.BACKENDS["loky"] = joblib.parallel.LokyBackend = joblib._parallel_backends.LokyBackend = made

OTHERS = ("multiprocessing", "threading", "sequential")
OURS = "loky"


def pytest_configure(config: pytest.Config) -> None:
    for mark in ("thread_unsafe", "no_cover"):  # of joblib's own configuration
        config.addinivalue_line("markers", mark)
    here = str(Path(__file__).parent / "joblib_site")
    os.environ["PYTHONPATH"] = os.pathsep.join((here, *filter(None, [os.environ.get("PYTHONPATH")])))


def pytest_collection_modifyitems(config: pytest.Config, items: list[Any]) -> None:
    """Leave out what is about other backends, as its parameters say."""
    left = [item for item in items if _of_others(item)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if not _of_others(item)]


def _of_others(item: Any) -> bool:
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return False
    said = [_name(value) for word, value in callspec.params.items() if "backend" in word]
    return bool(said) and OURS not in said and any(name in OTHERS for name in said)


def _name(value: Any) -> str:
    return value if isinstance(value, str) else type(value).__name__.removesuffix("Backend").lower()
