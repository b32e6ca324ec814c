"""What `Pool(dashboard=True)` starts: the server, in a process of its own (procession/dashboard.py says more).

It is given the number of its listening socket, and finds on stdin one line of JSON, `{"pid": ..., "token": ...}`,
where no other user can read it; then nothing, until the program wants it to end (`address.OVER`), or is gone. It
writes `address.READY` when it answers requests, and else only what goes wrong.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from procession.seeing.attending.address import READY


def main(number: int) -> int:
    """Serve until the program has ended, or wants the end."""
    line = b""
    while not line.endswith(b"\n"):
        came = os.read(0, 1)
        if not came:
            return 1  # the program is gone already
        line += came
    said = json.loads(line)
    from procession.cli.web import serving

    with socket.socket(fileno=number) as listener:
        serving.serve(said["pid"], listener, said["token"], 0, _ready)
    return 0


def _ready() -> None:
    print(READY, flush=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
