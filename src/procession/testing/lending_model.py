"""Workers that make blocks, a parent that lends them (`transport/lending.py`), workers that look: all that can happen.

The bookkeeping is the real one; processes are played. A *maker* publishes an item in a place of its arena that is free
as it sees it: what was released is what was published. The parent lends the block, and sends the item to a *reader*, or
opens it, or drops it. A reader maps the maker's arena when it needs it first, counts its view, answers, and lets go of
the view, before or after that. Readers are killed, and buried some time later; makers end.

What must hold
    nobody looks at a block into which something else was published meanwhile, and nobody who may still have to look
    finds that its maker's memory cannot be reached any more
    no slot is two loans'
    a block is not released more often than it was published
    in the end all was released, or its maker was closed, once; no loan is out, and no reader has mapped what is closed
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Self

from procession.testing.explorer import Action
from procession.transport.lending import Lender, Lending, Loan


@dataclass(frozen=True)
class Scenario:
    """The bound of a walk."""

    name: str
    items: int = 2
    makers: int = 1
    places: int = 2
    """In the arena of each maker."""
    readers: int = 1
    kills: int = 0
    runs: int = 1
    """How often an item may be sent: it is sent again when its reader has died."""
    leaves: int = 0
    """Makers that end while they are needed."""
    spares: int = 0
    """Items that the parent opens, or drops, instead of sending them."""


class Law(AssertionError):
    """Something that must not be."""


def must(holds: bool, what: str) -> None:
    """A law."""
    if not holds:
        raise Law(what)


class Maker:
    """A worker whose results are lent."""

    def __init__(self, number: int, places: int) -> None:
        self.number = number
        self.content = [-1] * places
        self.published = [0] * places
        self.released = [0] * places
        self.closed = 0
        self.here = True
        self.lender = Lender(100 + number, "", lambda: self.released, self.close)

    def close(self) -> None:
        """Its memory cannot be reached any more."""
        self.closed += 1
        must(self.closed == 1, f"maker {self.number} was closed twice")


class Reader:
    """A worker that is sent items."""

    def __init__(self) -> None:
        self.state = "alive"
        self.words: defaultdict[int, int] = defaultdict(int)
        self.mapped: dict[int, int] = {}  # makers, and their homes
        self.views: dict[int, int] = {}  # items, and the slots under which they are counted


@dataclass
class Item:
    """A result on its way."""

    maker: int
    place: int
    loan: Loan | None
    state: str = "sealed"  # sent, seen, opened, over
    reader: int = -1
    runs: int = 0


class Market:
    """One state of it all; a copy plays the story again."""

    lending_class = Lending
    makes_word_late = False
    """A reader that counts its view when it has answered: a fault."""

    def __init__(self, scenario: Scenario, story: Sequence[Action] = ()) -> None:
        self.scenario = scenario
        self.homes: defaultdict[int, int] = defaultdict(int)
        self.makers = [Maker(number, scenario.places) for number in range(scenario.makers)]
        self.readers = [Reader() for _ in range(scenario.readers)]
        self.items: list[Item] = []
        self.kills, self.leaves, self.spares = scenario.kills, scenario.leaves, scenario.spares
        self.lending = self.lending_class(self.held, lambda: self.homes)
        self.story: list[Action] = []
        for action in story:
            self.act(action)

    def held(self, slot: int) -> bool:
        """As `ProcessArena.settled` finds it: who was buried holds nothing."""
        return any(reader.words[slot] for reader in self.readers if reader.state != "buried")

    # -- the explorer's contract ---------------------------------------------------------------------------------

    def copy(self) -> Self:
        """See `explorer.Model`."""
        return type(self)(self.scenario, self.story)

    def actions(self) -> Sequence[Action]:
        """See `explorer.Model`."""
        found: list[Action] = []
        if len(self.items) < self.scenario.items:
            found += [("make", maker.number) for maker in self.makers if maker.here and self.free(maker) is not None]
        for number, item in enumerate(self.items):
            found += [(*action, number) for action in self.of_item(item)]
        for number, reader in enumerate(self.readers):
            found += [(*action, number) for action in self.of_reader(reader)]
        if self.leaves:
            found += [("leave", maker.number) for maker in self.makers if maker.here]
        if any(not self.held(note.slot) for note in self.lending._ended):
            found.append(("collect",))
        if not found:
            self.check_end()
        return found

    def of_item(self, item: Item) -> list[Action]:
        """What can happen to it."""
        alive = [number for number, reader in enumerate(self.readers) if reader.state == "alive"]
        if item.state == "sealed":
            sends: list[Action] = [("send", number) for number in alive]
            return [*sends, ("open",), ("drop",)] if self.spares else sends
        if item.state == "sent" and item.reader in alive:
            return [("look",), ("refuse",)]
        if item.state == "seen" and item.reader in alive:
            return [("answer",)]
        return [("close",)] if item.state == "opened" else []

    def of_reader(self, reader: Reader) -> list[Action]:
        """What can happen to it."""
        if reader.state == "dead":
            return [("bury",)]
        if reader.state == "buried":
            return []
        found: list[Action] = [("forget", item) for item in reader.views]
        if any(self.homes[home] != self.makers[maker].lender.key for maker, home in reader.mapped.items()):
            found.append(("purge",))
        return found + [("kill",)] * (self.kills > 0)

    def act(self, action: Action) -> None:
        """See `explorer.Model`."""
        self.story.append(action)
        name, *numbers = action
        getattr(self, f"do_{name}")(*numbers)
        self.check()

    def narrate(self, action: Action) -> str:
        """See `explorer.Model`."""
        said = " ".join(map(str, action))
        try:
            self.act(action)
        except Exception as error:
            return f"{said}: {error}"
        return said

    def key(self) -> Hashable:
        """See `explorer.Model`."""
        slots = {note.slot: (note.taken, note in self.lending._ended) for note in self.lending._notes.values()}
        return (
            tuple((i.maker, i.place, i.state, i.reader, i.runs, i.loan and i.loan.slot) for i in self.items),
            tuple((tuple(m.content), tuple(self.owed(m)), m.closed, m.here, m.lender.home) for m in self.makers),
            tuple(
                (r.state, tuple(sorted(r.words.items())), tuple(sorted(r.mapped)), tuple(sorted(r.views)))
                for r in self.readers
            ),
            tuple(sorted(slots.items())),
            tuple(self.lending._free),
            (self.kills, self.leaves, self.spares),
        )

    # -- what happens --------------------------------------------------------------------------------------------

    @staticmethod
    def owed(maker: Maker) -> list[int]:
        """What was published and not released, of each place."""
        return [after - before for after, before in zip(maker.published, maker.released, strict=True)]

    def free(self, maker: Maker) -> int | None:
        """The first place that the maker takes for free."""
        return next((place for place, owed in enumerate(self.owed(maker)) if not owed), None)

    def do_make(self, number: int) -> None:
        """It publishes the next item, and the parent seals it."""
        maker = self.makers[number]
        place = self.free(maker)
        assert place is not None
        maker.content[place] = len(self.items)
        maker.published[place] += 1
        loans = self.lending.lend(maker.lender, [place])
        assert loans is not None
        self.items.append(Item(number, place, loans[0]))

    def do_send(self, reader: int, number: int) -> None:
        """The parent hands it to a reader."""
        item = self.items[number]
        item.state, item.reader, item.runs = "sent", reader, item.runs + 1

    def do_look(self, number: int) -> None:
        """The reader finds the block, and counts its view of it."""
        item = self.items[number]
        reader, maker = self.readers[item.reader], self.makers[item.maker]
        if item.maker not in reader.mapped:
            must(not maker.closed, f"item {number} is out of reach")
            reader.mapped[item.maker] = maker.lender.home
        assert item.loan is not None
        reader.views[number] = item.loan.slot
        if not self.makes_word_late:
            reader.words[item.loan.slot] += 1
        item.state = "seen"

    def do_answer(self, number: int) -> None:
        """Its task is done: nobody will be sent it any more."""
        item = self.items[number]
        if self.makes_word_late and number in self.readers[item.reader].views and item.loan is not None:
            self.readers[item.reader].words[item.loan.slot] += 1
        item.state, item.loan = "over", None

    def do_refuse(self, number: int) -> None:
        """Its task fails before it looks."""
        self.do_answer(number)

    def do_forget(self, number: int, reader: int) -> None:
        """The last view that this reader has of it goes."""
        slot = self.readers[reader].views.pop(number)
        self.readers[reader].words[slot] -= 1

    def do_purge(self, number: int) -> None:
        """It lets go of makers that are not there any more."""
        reader = self.readers[number]
        for maker, home in list(reader.mapped.items()):
            if self.homes[home] != self.makers[maker].lender.key:
                del reader.mapped[maker]

    def do_kill(self, number: int) -> None:
        """It dies; the parent does not know yet."""
        self.kills -= 1
        reader = self.readers[number]
        reader.state = "dead"
        reader.views.clear()
        reader.mapped.clear()

    def do_bury(self, number: int) -> None:
        """The parent hears of it: its tables go. What it ran is run again, or fails; another one takes its place."""
        self.readers[number].state = "buried"
        for item in self.items:
            if item.state in ("sent", "seen") and item.reader == number:
                if item.runs < self.scenario.runs:
                    item.state, item.reader = "sealed", -1
                else:
                    item.state, item.loan = "over", None
        self.readers.append(Reader())

    def do_leave(self, number: int) -> None:
        """Its process is gone."""
        self.leaves -= 1
        self.makers[number].here = False
        self.lending.leave(self.makers[number].lender)

    def do_open(self, number: int) -> None:
        """The parent looks at it itself, and will release it."""
        item = self.items[number]
        must(not self.makers[item.maker].closed, f"item {number} cannot be opened any more")
        assert item.loan is not None
        self.spares -= 1
        self.lending.taken([item.loan])
        item.state, item.loan = "opened", None

    def do_close(self, number: int) -> None:
        """The parent's last view of it has gone."""
        item = self.items[number]
        self.makers[item.maker].released[item.place] += 1
        item.state = "over"

    def do_drop(self, number: int) -> None:
        """It is cancelled before it was sent."""
        self.spares -= 1
        self.do_answer(number)

    def do_collect(self) -> None:
        """See `Lending`."""
        self.lending.collect()

    # -- what must hold ------------------------------------------------------------------------------------------

    def check(self) -> None:
        """After each step."""
        for maker in self.makers:
            must(min(self.owed(maker)) >= 0, f"maker {maker.number} was told of more ends than there were views")
        slots = [item.loan.slot for item in self.items if item.loan is not None]
        must(len(slots) == len(set(slots)), "two loans have one slot")
        for number, item in enumerate(self.items):
            looked = item.state == "opened" or any(number in reader.views for reader in self.readers)
            if looked or item.state in ("sealed", "sent", "seen"):
                content = self.makers[item.maker].content[item.place]
                must(content == number, f"item {number} is looked at, or will be, and item {content} is there")
            if item.state in ("sealed", "sent"):
                must(not self.makers[item.maker].closed, f"item {number} is out of reach")

    def check_end(self) -> None:
        """Nothing can happen any more."""
        must(not self.lending.out, "loans were not collected")
        must(all(item.state == "over" for item in self.items), "an item is left")
        for maker in self.makers:
            must(maker.here or maker.closed == 1, f"maker {maker.number} was not closed")
            must(not any(self.owed(maker)) or not maker.here, f"maker {maker.number} waits for what nobody looks at")
            gone = [reader for reader in self.readers if maker.number in reader.mapped and not maker.here]
            must(not gone, f"the memory of maker {maker.number} is kept")


__all__ = ["Law", "Market", "Scenario"]
