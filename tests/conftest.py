"""What holds for every test: nothing stays behind (leaks.py), what needs no quiet is done beside (walking.py,
apart.py), what is long is marked (deep.py), and bytecode is kept (bytecode.py); ^C means what it says.
"""

import os
import signal

from hypothesis import HealthCheck, settings

from tests import bytecode
from tests.apart import pytest_collection_modifyitems, pytest_runtestloop
from tests.deep import pytest_itemcollected
from tests.leaks import nothing_stays_behind, pytest_configure, pytest_runtest_makereport
from tests.walking import walked, walks
from tests.warm import pytest_runtest_setup, pytest_sessionfinish

__all__ = [
    "nothing_stays_behind",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_itemcollected",
    "pytest_runtest_makereport",
    "pytest_runtest_setup",
    "pytest_runtestloop",
    "pytest_sessionfinish",
    "walked",
    "walks",
]

bytecode.keep()

# A thread and a socket that come half a second after a pool's first task, in the middle of any test. What is about them
# runs programs of its own (tests/top), in which they are on, as everywhere else.
os.environ.setdefault("PROCESSION_TOP", "0")

# How long an example takes says how crowded the machine is.
settings.register_profile("deep", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("deep"), max_examples=25)
settings.load_profile(os.environ.get("PROCESSION_TESTS_EXAMPLES", "quick"))

# A shell that starts a job in the background, as `make test &` in a script, has it ignore ^C, and its children with it:
# then no program that a test interrupts would hear of it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
