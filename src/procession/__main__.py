"""`python -m procession`: the same as the command `procession`."""

from __future__ import annotations

import sys

from procession.cli import main

if __name__ == "__main__":
    sys.exit(main())
