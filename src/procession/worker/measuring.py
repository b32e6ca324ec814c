"""A worker is measured by coverage.py, where the program has said so as for the children of multiprocessing.

That is `concurrency = multiprocessing` in its settings, for which coverage.py wraps what multiprocessing runs. Workers
of the zygote are none of multiprocessing's; so they do the same by themselves.
"""

from __future__ import annotations


def begin() -> None:
    """From here on, to the end of this process, when atexit saves it."""
    from coverage import Coverage  # type: ignore[import-not-found, unused-ignore]

    if Coverage.current() is not None:  # as this interpreter started, it was told in some other way
        return
    coverage = Coverage(data_suffix=True, auto_data=True)  # by the settings that COVERAGE_RCFILE names
    coverage._warn_preimported_source = coverage._warn_no_data = coverage._warn_unimported_source = False
    coverage.start()


__all__ = ["begin"]
