"""These tests import libraries that `make test` does without. Where nobody asked for e2e they are not even looked at;
where somebody did, a library that is missing is an error.
"""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    chosen = str(config.getoption("markexpr", ""))
    if collection_path.name.startswith("test_") and ("e2e" not in chosen or "not e2e" in chosen):
        return True
    return None
