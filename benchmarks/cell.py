"""One cell of the run (measure x peer x function kind x repetition) and what came of it."""

import json
from dataclasses import asdict, dataclass, field
from typing import Literal

Kind = Literal["import", "main"]
KINDS: tuple[Kind, ...] = ("import", "main")
KIND_TITLES: dict[Kind, str] = {"import": "importable", "main": "__main__"}

Size = Literal["quick", "normal", "full"]

Status = Literal["ok", "hang", "error", "not available"]


@dataclass(frozen=True)
class Cell:
    """What a fresh process is asked to do; travels as JSON on its command line."""

    measure: str
    peer: str
    kind: Kind
    repetition: int
    size: Size = "normal"
    out: str = ""
    amount: float = 0.0
    """How many workers or tasks, for a measure of growth."""
    turn_ns: float = 10.0
    """What a turn of the busy loop takes here: measured once, so that all peers of a run get the same work."""

    @property
    def quick(self) -> bool:
        """Whether a look is enough."""
        return self.size == "quick"

    def to_json(self) -> str:
        """The cell as one command-line argument."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Cell":
        """The inverse of `to_json`."""
        return Cell(**json.loads(text))


@dataclass
class Sample:
    """What one cell measured: metric -> value, and facts to state beside it (such as the n it ran)."""

    values: dict[str, float]
    facts: dict[str, float] = field(default_factory=dict)


class NotAvailable(Exception):
    """The installed library has not got what the measure asks for: a gap in the table, and no failure."""


@dataclass
class Outcome:
    """A cell that was run: its sample when `status` is "ok", else why there is none."""

    cell: Cell
    status: Status
    seconds: float
    sample: Sample | None = None
    reason: str = ""

    @property
    def failed(self) -> bool:
        """Whether something went wrong, other than that the library lacks what was asked for."""
        return self.status in ("hang", "error")
