"""A program: CPython's own tests of multiprocessing.Pool, run on the pool of procession.adapters.multiprocessing.

    python standard_tests.py

It prints a line of JSON: {"ran": n, "skipped": n, "bad": {test: the last line of what it says}}.

Which interpreter runs it: tests/conformance/interpreters.py. The classes must be found by the workers, so this is
imported under its name, too.
"""

from __future__ import annotations

import io
import json
import sys
import unittest
from multiprocessing import pool as standard_pool
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import test._test_multiprocessing as standard

from procession.adapters import multiprocessing as ours


class View(ModuleType):
    """What those tests see as `multiprocessing`."""

    pool = standard_pool

    def __getattr__(self, name: str) -> Any:
        return getattr(ours, name)


class PoolOfProcesses(standard._TestPool, standard.ProcessesMixin, unittest.TestCase):
    Pool = staticmethod(ours.Pool)


class PoolOfThreads(standard._TestPool, standard.ThreadsMixin, unittest.TestCase):
    Pool = staticmethod(ours.ThreadPool)


class Errors(standard._TestPoolWorkerErrors, standard.ProcessesMixin, unittest.TestCase):
    pass


class Lifetime(standard._TestPoolWorkerLifetime, standard.ProcessesMixin, unittest.TestCase):
    pass


def main() -> None:
    standard.multiprocessing = View("multiprocessing")
    import standard_tests as found  # under the name that workers find it by

    tests = unittest.TestSuite(
        unittest.defaultTestLoader.loadTestsFromTestCase(each)
        for each in (found.PoolOfProcesses, found.PoolOfThreads, found.Errors, found.Lifetime)
    )
    result = unittest.TextTestRunner(stream=io.StringIO(), verbosity=0).run(tests)
    bad = {
        ".".join(test.id().rsplit(".", 2)[1:]): text.strip().splitlines()[-1][:300]
        for test, text in [*result.failures, *result.errors]
    }
    print(json.dumps({"ran": result.testsRun, "skipped": len(result.skipped), "bad": bad}))


if __name__ == "__main__":
    main()
