"""What holds for every test: nothing stays behind (tests/leaks.py)."""

from tests.leaks import nothing_stays_behind, pytest_configure, pytest_runtest_makereport

__all__ = ["nothing_stays_behind", "pytest_configure", "pytest_runtest_makereport"]
