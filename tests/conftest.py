"""What holds for every test: nothing stays behind (leaks.py), walks begin early (walking.py), ^C means what it says."""

import signal

from tests.leaks import nothing_stays_behind, pytest_configure, pytest_runtest_makereport
from tests.walking import walked, walks

__all__ = ["nothing_stays_behind", "pytest_configure", "pytest_runtest_makereport", "walked", "walks"]

# A shell that starts a job in the background, as `make test &` in a script, has it ignore ^C, and its children with it:
# then no program that a test interrupts would hear of it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
