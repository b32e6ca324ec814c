"""The program that is shown: what the server asks of it, over the socket of `procession top`.

Laws
1. Looking on is one connection, made with the first look and given up by `rest`: as long as it is there the program
   measures. Counting and acting are connections of their own, which measure nothing and wait for nothing of each other.
2. All calls block, for some seconds at most, and are made on threads of their own. `hang_up`, by any thread, ends the
   look that is being waited for: either it is connected by then, or it finds out when it is.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from procession.cli.top_asking import Gone, Program, find

PATIENCE = 5.0
"""Seconds that a program has to answer a look."""


class Source:
    """Of the program with the number `pid`."""

    def __init__(self, pid: int, patience: float = PATIENCE) -> None:
        self.pid = pid
        self._patience = patience
        self._looking: Program | None = None
        self._over = False

    def look(self) -> dict[str, Any]:
        """What there is to be seen. By one thread at a time. Raises Gone or Refused; the next look connects anew."""
        if self._looking is None:
            self._looking = find(self.pid, self._patience)
        try:
            if self._over:
                raise Gone(f"program {self.pid} is not asked any more")
            return _plain(self._looking.ask("look"))
        except BaseException:
            self.rest()
            raise

    def rest(self) -> None:
        """Nobody looks on any more. By who would call `look`, when that has returned."""
        program, self._looking = self._looking, None
        if program is not None:
            program.close()

    def hang_up(self) -> None:
        """See law 2. Looks that are asked for later fail."""
        self._over = True
        program = self._looking
        if program is not None:
            program.hang_up()

    def count(self) -> dict[str, Any]:
        """The numbers alone. Raises Gone or Refused."""
        with closing(find(self.pid, self._patience)) as program:
            return _plain(program.ask("count"))

    def act(self, do: str, **words: int) -> dict[str, Any]:
        """Have this done. Raises Gone or Refused."""
        with closing(find(self.pid)) as program:
            return _plain(program.ask(do, **words))


def _plain(reply: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in reply.items() if key != "v"}


__all__ = ["PATIENCE", "Gone", "Source"]
