"""`procession demo`: the reference workload, drawn, and a real job on real input."""

import os
import sys
import time

from procession._version import __version__

HOLDS, FAILED, UNUSABLE = 0, 1, 2
# In a hurry (`--quick`): a second lasts a tenth, and every tenth file will do.
QUICK = 10


def demo(part: str | None = None, *, quick: bool = False) -> int:
    """Run the demo, or one `part` of it ("reference", "stdlib"); the exit status.

    0 if all that was compared agrees, 1 if not, 2 if the demo cannot run at all.
    """
    try:
        import rich.console  # noqa: F401
    except ImportError:
        print("procession demo draws with rich: pip install 'procession[progress]'", file=sys.stderr)
        return UNUSABLE
    from procession.cli.reference import reference
    from procession.cli.screen import Screen
    from procession.cli.stdlib import cores, counted, stdlib

    began = time.monotonic()
    screen = Screen()
    python = sys.version.split()[0]
    screen.heading(f"procession {__version__} on Python {python}, {counted(cores(), 'core')}, process {os.getpid()}")
    good = True
    if part in (None, "reference"):
        screen.say()
        good &= reference(screen, 1 / QUICK if quick else 1.0)
    if part in (None, "stdlib"):
        screen.say()
        good &= stdlib(screen, QUICK if quick else 1)
    screen.say()
    took = f"{time.monotonic() - began:.0f} s in all"
    screen.heading(f"Everything held ({took})." if good else f"Something did not hold: see FAILED above ({took}).")
    return HOLDS if good else FAILED
