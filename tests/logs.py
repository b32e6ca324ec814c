"""Log lines, in tests."""

from procession.backends.saying import said


def all_said() -> None:
    """Every line that was said so far has been written; until the test's own limit of time."""
    while not said():
        pass
