"""In a worker, warnings pass the parent's filters: what they ignore is made no more of, "error" raises in the task.

Laws
1. What the parent has set before a task was submitted holds when that runs (`home.news`); what it sets later, from the
   next run of tasks on.
2. What code in the worker adds in front (an initializer, a task, an imported module) stays in front. Where it has
   changed the list in another way (`resetwarnings`, append=True), the list is its own from then on.
3. A filter whose category is of a module that is not loaded here holds once that is.
"""

from __future__ import annotations

from _pickle import loads

from procession.transport import boards, filters
from procession.worker.imports import when_imported

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    import mmap
    from types import ModuleType
    from typing import Any


class Filters:
    """Those that the parent has told."""

    def __init__(self, memory: mmap.mmap, warnings: ModuleType) -> None:
        self._memory = memory
        self._warnings: Any = warnings
        self._theirs = list(self._warnings.filters)
        self._awaited: set[str] = set()
        self.version = boards.FILTERS.version(memory)

    def apply(self) -> None:
        """Take over what the parent has now."""
        version, text = boards.FILTERS.read(self._memory)
        if not version:
            return
        now, missing = filters.decode(text, loads)
        for module in missing - self._awaited:
            self._awaited.add(module)
            when_imported(module, lambda _: self.apply())
        here, count = self._warnings.filters, len(self._theirs)
        if here[len(here) - count :] == self._theirs:
            here[len(here) - count :] = now
            self._theirs = now
            self._warnings._filters_mutated()


__all__ = ["Filters"]
