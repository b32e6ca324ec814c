"""The optional extension: `native` is it, or None. See README.md beside this file.

None where it was not built (no compiler, another system than Linux) or was built from other sources, and where
PROCESSION_PURE is set to anything but "" or "0" in the environment of the process that imports this.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing costs a worker's zygote ten milliseconds; the checkers know this name
if TYPE_CHECKING:
    from typing import Any

INTERFACE = 14
"""Of the extension that goes with this code: one more whenever what it offers changes (`module.c` says the same)."""

native: Any = None
lacking = "PROCESSION_PURE is set"
"""Why there is none."""
if os.environ.get("PROCESSION_PURE", "0") in ("", "0"):
    try:
        __import__("procession._native._c")
        native = sys.modules["procession._native._c"]
        if native.INTERFACE != INTERFACE:
            lacking = f"its interface is {native.INTERFACE}, and these sources want {INTERFACE}"
            native = None
    except ImportError as error:
        lacking = str(error)

accelerated: bool = native is not None
"""Whether the fast lane is in use: see `procession._native`."""

__all__ = ["accelerated", "lacking", "native"]
