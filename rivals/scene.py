"""What a probe has around it inside its process: a folder of its own, and the page on which it notes facts."""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

from rivals.verdict import Facts

PAGE = "facts.json"
CLAIM = "claimed"


class Scene:
    """Facts are written at once, so that those of a probe that hangs or is killed are known."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: Facts = {}
        self._writing = threading.Lock()  # some libraries read a row's generator in a thread of theirs
        # Workers may run the program's script again; only the process that came first is the probe.
        try:
            os.close(os.open(folder / CLAIM, os.O_CREAT | os.O_EXCL))
            self.first = True
        except FileExistsError:
            self.first = False

    def note(self, **facts: Any) -> None:
        """Add facts; the page is replaced as a whole, so that it is never read half written."""
        with self._writing:
            self.facts.update(facts)
            if self.first:
                partial = self.folder / (PAGE + ".partial")
                partial.write_text(json.dumps(self.facts))
                partial.replace(self.folder / PAGE)

    def path(self, name: str) -> str:
        """A file of the probe, for tasks to leave traces in."""
        return str(self.folder / name)

    def leave(self) -> NoReturn:
        """End the process here and now: for a probe whose pool has nothing more to show."""
        self.note(phase="left")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def read_facts(folder: Path) -> Facts:
    """What the probe has noted so far."""
    try:
        facts: Facts = json.loads((folder / PAGE).read_text())
    except FileNotFoundError:
        return {}
    return facts
