"""The program that is shown: what the server asks of it, over the socket of `procession top`.

Laws
1. Looking on is one connection, made with the first look and given up by `rest`: as long as it is there the program
   measures. Counting and acting are connections of their own, which measure nothing and wait for nothing of each other.
2. All calls block, for some seconds at most, and are made on threads of their own. `hang_up`, by any thread, ends all
   that are being waited for: each is either connected by then, or finds out when it is.
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
        self._asked: set[Program] = set()
        self._over = False

    def look(self) -> dict[str, Any]:
        """What there is to be seen. By one thread at a time. Raises Gone or Refused; the next look connects anew."""
        if self._looking is None:
            self._looking = find(self.pid, self._patience)
        try:
            self._go_on()
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
        """See law 2. What is asked for later fails."""
        self._over = True
        for program in (self._looking, *tuple(self._asked)):
            if program is not None:
                program.hang_up()

    def count(self) -> dict[str, Any]:
        """The numbers alone. Raises Gone or Refused."""
        return self._once(find(self.pid, self._patience), "count")

    def act(self, do: str, **words: int) -> dict[str, Any]:
        """Have this done. Raises Gone or Refused."""
        return self._once(find(self.pid), do, **words)

    def _once(self, program: Program, do: str, **words: int) -> dict[str, Any]:
        with closing(program):
            self._asked.add(program)
            try:
                self._go_on()
                return _plain(program.ask(do, **words))
            finally:
                self._asked.discard(program)

    def _go_on(self) -> None:
        if self._over:
            raise Gone(f"program {self.pid} is not asked any more")


def _plain(reply: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in reply.items() if key != "v"}


__all__ = ["PATIENCE", "Gone", "Source"]
