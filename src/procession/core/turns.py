"""A generator on a worker that runs in turns, and is nobody's while its taker is slow: credits, order, the end.

A *turn* is one task. It asks the generator for values until the *credit* that came with it is used up, the generator
ends, or the turn is *cut*, as it has had its time. What is yielded *arrives* here, one by one, while the turn runs.
Between two turns the generator *lives* in its worker, which is free for others.

Laws (`TurnsLaws.check`; walked in tests/core/test_turns.py)
1. One turn at a time is out: from `goes_out` until its outcome is heard (`answered`, `failed`, `dropped`).
2. A turn may yield up to the `promised`-th value, which is as many as the window had room for when it was decided. So
   no more than a window waits to be taken.
3. Values are handed over in the order of the generator, each once. Each comes with its place; what is not the next
   has been here before: a further run, which begins anew, yields again what an earlier one did.
4. The end, and the error that it may be, come behind all values, once. It is known from the outcome of a turn, which is
   heard after all that the turn has yielded.
5. A turn is wanted when half of the window is free; and if the last one was cut, when anything is.
6. Who is *closed* hands nothing over any more. One more turn is wanted then if the generator lives and no turn is out:
   the one that ends it (END). The same goes, behind what had arrived, for one of which a value cannot be had
   (`spoil`), or a turn was cancelled by others (`dropped`).
7. The window grows as long as takers are faster than turns: it doubles when a turn has used its credit, and somebody
   has found nothing since it was decided. It holds `most` values, and no more than `limit`, which is what fits.

Not thread-safe: whoever shares it holds a lock. As in flow.py, law 6: where a raising signal may strike, the state is
whole.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Any

from procession.core.flow_laws import Mark
from procession.record import record

FIRST = 2
"""Values in a window before anything is known of them."""
MOST = 1000
"""Values in a window at most."""

ENDED, USED, CUT = 0, 1, 2
"""What a turn comes to: the generator has ended; it lives, its credit used up; it lives, and others come first."""


class Kind(Enum):
    """What a turn does."""

    BEGIN = auto()
    GO_ON = auto()
    END = auto()


@record
class Turn:
    """What is to be posted."""

    kind: Kind
    first: int
    """BEGIN: values before this place are here already."""
    until: int
    """The place at which its credit is used up."""


class Turns:
    """One generator's decisions."""

    __slots__ = (
        *("arrived", "closed", "cut", "error", "handed", "limit", "lives", "most", "out", "over", "promised"),
        *("ready", "runs", "spoiled", "starved", "turns", "window"),
    )

    def __init__(self, first: int = FIRST, most: int = MOST) -> None:
        self.window = min(first, most)
        self.most = most
        self.limit = most  # values that fit, by what they weigh
        self.ready: deque[Any] = deque()  # arrived, and not taken
        self.arrived = 0
        self.handed = 0
        self.promised = 0
        self.turns = 0  # decided
        self.runs = 0  # begun anew
        self.out = False
        self.lives = False
        self.cut = False  # the last turn was
        self.starved = False  # somebody has found nothing to take since a turn was decided
        self.over = False  # no turn is out, and none will be
        self.closed = False
        self.spoiled = False  # one of its values is an error, and it is not wanted any more
        self.error: BaseException | None = None

    # -- looking ---------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """The window now."""
        return max(1, min(self.window, self.limit))

    @property
    def room(self) -> int:
        """So many more would fit."""
        return self.size - len(self.ready)

    @property
    def due(self) -> bool:
        """A turn is wanted."""
        if self.out or self.over:
            return False
        if self.closed or self.spoiled:
            return True  # it lives, or else would be over
        return 2 * self.room >= self.size or (self.cut and self.room > 0)

    @property
    def ended(self) -> bool:
        """There is nothing to take, and will not be."""
        return not self.ready and (self.over or self.closed or self.spoiled)

    # -- turns -----------------------------------------------------------------------------------------------------

    def wanted(self) -> Turn | None:
        """The turn that is wanted now, if one is."""
        if not self.due:
            return None
        if self.closed or self.spoiled:
            return Turn(Kind.END, self.arrived, self.arrived)
        return Turn(Kind.GO_ON if self.lives else Kind.BEGIN, self.arrived, self.arrived + self.room)

    def goes_out(self, turn: Turn) -> None:
        """It is about to be posted; said again if that is uncertain."""
        if not self.out:
            self.out, self.starved, self.promised, self.turns = True, False, turn.until, self.turns + 1

    def next_turn(self) -> Turn | None:
        """The turn that is wanted, which is out from here on."""
        turn = self.wanted()
        if turn is not None:
            self.goes_out(turn)
        return turn

    def again(self) -> Turn:
        """The turn that is out has failed, and is to run anew; it keeps its credit."""
        self.lives = False
        self.runs += 1
        return Turn(Kind.BEGIN, self.arrived, self.promised)

    def answered(self, came_to: int) -> None:
        """The turn that was out has come to this."""
        self.out = False
        if came_to == ENDED:
            self.lives, self.over = False, True
            return
        self.lives, self.cut = True, came_to == CUT
        if came_to == USED and self.starved:
            self.window = min(2 * self.window, self.most)

    def failed(self, error: BaseException) -> None:
        """The turn that was out has failed for good, or there can be none."""
        self.lives = self.out = False
        if not (self.closed or self.spoiled):
            self.error = error
        self.over = True

    def dropped(self, error: BaseException) -> None:
        """The turn that was out did not run, or ended as it was asked to: the generator may live still."""
        self.out = False
        if not (self.closed or self.spoiled):
            self.spoiled, self.error = True, error
        if not self.lives:
            self.over = True

    # -- values ----------------------------------------------------------------------------------------------------

    def arrive(self, place: int, value: Any) -> bool:
        """The value of this place; whether it is news. Behind the end nothing is: a thread given up may go on."""
        if place != self.arrived or self.over:
            return False
        self.arrived = place + 1
        if not (self.closed or self.spoiled):
            self.ready += (value,)
        return True

    def spoil(self, place: int, error: BaseException) -> bool:
        """The value of this place cannot be had, for this reason: that is the end. Whether it is news."""
        if place != self.arrived or self.closed or self.spoiled or self.over:
            return False
        self.arrived, self.spoiled, self.error = place + 1, True, error
        self.over = not (self.out or self.lives)
        return True

    def take(self) -> Any:
        """The next value, or NOTHING."""
        ready = self.ready
        if not ready:
            self.starved = True
            return Mark.NOTHING
        value = ready[0]
        self.handed += 1
        del ready[0]
        return value

    def untake(self, value: Any) -> None:
        """What was taken last did not reach its taker."""
        if not self.closed:
            self.ready.appendleft(value)
            self.handed -= 1

    def take_error(self) -> BaseException | None:
        """What it ended with, if that was an error and was not told yet."""
        error, self.error = self.error, None
        return error

    def close(self) -> bool:
        """Nobody takes any more. True: a turn is out, and is of no use."""
        self.closed, self.error, self.ready = True, None, deque()
        if not self.out and not self.lives:
            self.over = True
        return self.out

    # -- laws ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """What holds between two steps."""
        assert 0 <= self.handed <= self.arrived, "handed over, and never arrived"
        assert self.closed or self.spoiled or self.handed + len(self.ready) == self.arrived, "a value is missing"
        assert self.arrived <= self.promised, "more than was promised"
        assert self.closed or len(self.ready) <= self.most, "more than a window waits"
        assert not (self.over and (self.out or self.lives)), "over, and there is more to come"
        assert not self.closed or not self.ready, "closed, and something waits"
        assert self.error is None or self.over or self.spoiled, "an error before the end"
