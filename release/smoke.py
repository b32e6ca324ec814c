"""Uses an installed procession as a program would, and says which it is; needs nothing else. Wheels are tested with it.

    python -I smoke.py accelerated|pure

It is to be run where the source tree is not on the path: -I sees to that.
"""

import os
import sys
from importlib import metadata

import procession
from procession import Pool, SpinOff

KINDS = {"accelerated": True, "pure": False}


def check_metadata() -> None:
    """What pip knows of it and what it says itself is the same."""
    version = metadata.version("procession")
    assert version == procession.__version__, (version, procession.__version__)
    files = [str(each) for each in metadata.files("procession") or ()]
    for name in ("procession/py.typed", "procession/typed.pyi", "procession/cli/web/page/index.html"):
        assert name in files, f"{name} is not installed"


def check_pool() -> None:
    """Results in order, from other processes; a worker that dies costs its own task and no other."""
    with Pool(2) as pool:
        assert list(pool.map(lambda number: number * number, range(1000))) == [
            number * number for number in range(1000)
        ]
        assert pool.submit(os.getpid).result() != os.getpid()
        doomed, spared = pool.submit(os._exit, 3), pool.submit(sum, range(10))
        assert isinstance(doomed.exception(), procession.WorkerDied), doomed
        assert spared.result() == 45


def check_spinoff() -> None:
    """First in, first out, from several workers, of either kind."""
    for backend in ("processes", "threads"):
        with SpinOff(str.upper, workers=2, backend=backend) as spin:
            for letter in "abcdefghij":
                spin.put(letter)
        assert "".join(spin) == "ABCDEFGHIJ"


def main() -> None:
    """Exits with a traceback if anything is not as it should be."""
    kind = sys.argv[1]
    assert procession.accelerated is KINDS[kind], f"accelerated is {procession.accelerated}, not as in {kind}"
    check_metadata()
    check_pool()
    check_spinoff()
    print(procession.__version__, kind, procession.__file__)


if __name__ == "__main__":
    main()
