"""What keys do in the full-screen view: a fold over keys and lines, without a terminal.

    list    arrows, j, k: select    d: dump, or stack   r: resize    x: drain    K: kill   s: sort    ?: help   q: quit
text    (help, or a dump) arrows, j, k, space: scroll    any other key: back
number  digits, return; escape: back
sure    y: do it; any other key: back
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from procession.cli.top_view import ERROR, SORTS, Key

HELP = """\
up, down, j, k   select a pool, a worker or an error
d                the stacks of the pool's workers; of an error: its stack
r                resize the pool
x                drain the worker: it ends after what it runs,
                 when another one is ready to take its place
K                kill the worker: what it runs fails with WorkerDied,
                 or runs again if it has retries left
s                sort workers by another column
q                quit

Nothing but r, x and K changes the program.
Any other key goes back to the list."""

FOOTER = "q quit  ? help  d dump  r resize  x drain  K kill  s sort"
ERROR_STACK = "error"
"""What the program need not be asked for."""
Mode = Literal["list", "text", "number", "sure"]
STEPS = {"up": -1, "k": -1, "down": 1, "j": 1}
PAGES = {" ": 1, "pagedown": 1, "pageup": -1}


class Act(NamedTuple):
    """What the program is to be asked for."""

    do: str
    words: Mapping[str, int]


class State:
    """What the view is at."""

    def __init__(self) -> None:
        self.mode: Mode = "list"
        self.selected: Key | None = None
        self.sort = SORTS[0]
        self.typed = ""
        self.message = ""
        self.text: list[str] = []
        self.scroll = 0
        self.most = 0  # lines of the text as they are shown: long ones are folded
        self.over = False

    # -- what comes --------------------------------------------------------------------------------------------------

    def press(self, key: str, keys: Sequence[Key], page: int) -> Act | None:
        """A key: a character, or "up", "down", "pageup", "pagedown", "return", "escape", "backspace". `keys`: what can
        be selected. `page`: lines of text that are seen at once."""
        return {"list": self._in_list, "text": self._in_text, "number": self._in_number, "sure": self._if_sure}[
            self.mode
        ](key, keys, page)

    def settle(self, keys: Sequence[Key]) -> None:
        """These can be selected now: what is gone is not."""
        if self.selected not in keys:
            pool = [] if self.selected is None else [key for key in keys if key[0] == self.selected[0]]
            self.selected = pool[0] if pool else keys[0] if keys else None

    def answered(self, act: Act, reply: Mapping[str, Any] | str) -> None:
        """The program has answered; a text: why it did not do it."""
        if isinstance(reply, str):
            self.message = f"{act.do}: {reply}"
        elif "dump" in reply:
            self.show(str(reply["dump"]))
            self.message = ""
        else:
            self.message = f"{_named(act)}: done"

    def show(self, text: str) -> None:
        """A text, from its first line."""
        self.mode, self.text, self.scroll = "text", text.splitlines(), 0
        self.most = len(self.text)

    @property
    def footer(self) -> str:
        """The last line."""
        if self.mode == "number":
            return f"how many workers shall pool {self._pool} have? {self.typed}_"
        if self.mode == "sure":
            return f"kill {self._worker}? y/n"
        return self.message or FOOTER

    # -- modes -------------------------------------------------------------------------------------------------------

    @property
    def _pool(self) -> int:
        return -1 if self.selected is None else self.selected[0]

    @property
    def _worker(self) -> str:
        return "" if self.selected is None else f"worker {self.selected[1]} of pool {self.selected[0]}"

    def _in_list(self, key: str, keys: Sequence[Key], page: int) -> Act | None:
        self.message = ""
        if key == "q":
            self.over = True
        elif key == "?":
            self.show(HELP)
        elif key == "s":
            self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
            self.message = f"sorted by {self.sort}"
        elif key in STEPS or key in PAGES:
            self._move(STEPS.get(key, PAGES.get(key, 0) * page), keys)
        elif self.selected is None:
            self.message = "there is no pool" if key in "drxK" else ""
        else:
            return self._act(key, *self.selected)
        return None

    def _act(self, key: str, pool: int, worker: int) -> Act | None:
        if pool == ERROR:
            if key in ("d", "return"):
                return Act(ERROR_STACK, {"place": worker})
            self.message = "select a pool or a worker first" if key in "rxK" else ""
        elif key == "d":
            self.message = "asking for stacks ..."
            return Act("dump", {"pool": pool})
        elif key == "r":
            self.mode, self.typed = "number", ""
        elif key in ("x", "K") and worker < 0:
            self.message = "select a worker first"
        elif key == "x":
            return Act("drain", {"pool": pool, "worker": worker})
        elif key == "K":
            self.mode = "sure"
        return None

    def _move(self, by: int, keys: Sequence[Key]) -> None:
        if keys:
            at = keys.index(self.selected) if self.selected in keys else 0
            self.selected = keys[min(max(at + by, 0), len(keys) - 1)]

    def _in_text(self, key: str, _keys: Sequence[Key], page: int) -> Act | None:
        if key in STEPS or key in PAGES:
            by = STEPS[key] if key in STEPS else PAGES[key] * page
            self.scroll = min(max(self.scroll + by, 0), max(0, self.most - page))
        else:
            self.mode, self.message = "list", ""
        return None

    def _in_number(self, key: str, _keys: Sequence[Key], _page: int) -> Act | None:
        if key.isdecimal() and key.isascii():
            self.typed = (self.typed + key)[:5]
        elif key == "backspace":
            self.typed = self.typed[:-1]
        elif key == "return" and self.typed:
            self.mode = "list"
            return Act("resize", {"pool": self._pool, "n": int(self.typed)})
        elif key in ("escape", "q", "return"):
            self.mode = "list"
        return None

    def _if_sure(self, key: str, _keys: Sequence[Key], _page: int) -> Act | None:
        self.mode = "list"
        if key == "y" and self.selected is not None:
            return Act("kill", {"pool": self.selected[0], "worker": self.selected[1]})
        self.message = "not killed"
        return None


def _named(act: Act) -> str:
    if act.do == "resize":
        return f"resize pool {act.words['pool']} to {act.words['n']}"
    return f"{act.do} worker {act.words['worker']} of pool {act.words['pool']}"


_SEQUENCES = {
    "[A": "up",
    "OA": "up",
    "[B": "down",
    "OB": "down",
    "[5~": "pageup",
    "[6~": "pagedown",
}
_CONTROLS = {"\r": "return", "\n": "return", "\x7f": "backspace", "\b": "backspace"}


def pressed(came: str) -> list[str]:
    """The keys that a terminal has told by these characters; an escape alone is that key."""
    found, at = [], 0
    while at < len(came):
        char = came[at]
        at += 1
        if char != "\x1b":
            found.append(_CONTROLS.get(char, char))
            continue
        sequence = next((each for each in _SEQUENCES if came.startswith(each, at)), None)
        if sequence is not None:
            found.append(_SEQUENCES[sequence])
            at += len(sequence)
        elif came[at : at + 1] in ("[", "O") and at + 1 < len(came):
            at += 1
            while at < len(came) and not "@" <= came[at] <= "~":
                at += 1
            at += 1  # of a key that we do not know
        else:
            found.append("escape")
    return found


__all__ = ["ERROR_STACK", "FOOTER", "HELP", "Act", "State", "pressed"]
