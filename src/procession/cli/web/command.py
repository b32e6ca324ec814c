"""`procession top --web`: look at a program in a browser."""

from __future__ import annotations

import os
import sys

from procession.cli.top_asking import Gone
from procession.seeing.attending import address


def served(pid: int, port: int) -> int:
    """Serve until the program has ended; returns the exit status, 1 then. Raises Gone when that cannot be."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise Gone("--web needs starlette and uvicorn: pip install 'procession[dashboard]'") from None
    from procession.cli.web import serving

    try:
        token = address.new_token(os.environ)
        listener = address.listen(port)
    except ValueError as error:
        raise Gone(str(error)) from None
    except OSError as error:
        raise Gone(f"port {port} of 127.0.0.1: {error.strerror or error}") from None
    with listener:
        print(address.address(listener.getsockname()[1], token), flush=True)
        if serving.serve(pid, listener, token):
            print(f"procession top: program {pid} has ended", file=sys.stderr)
            return 1
    return 0


__all__ = ["served"]
