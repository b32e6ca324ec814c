"""What is to follow the import of a module, whenever that comes: who does not use it does not pay for it."""

from __future__ import annotations

import sys
from _thread import get_ident

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


def when_imported(module: str, then: Callable[[ModuleType], None]) -> None:
    """Call `then(module)`: now if it is loaded, else when it has been."""
    if module in sys.modules:
        then(sys.modules[module])
        return
    for finder in sys.meta_path:
        if isinstance(finder, _WhenImported):
            finder.wanted.setdefault(module, []).append(then)
            return
    sys.meta_path.insert(0, _WhenImported({module: [then]}))


class _WhenImported:
    """A finder that finds nothing: it lets the others find, and adds a call behind the execution of some modules.

    Who only looks whether a module is there (`importlib.util.find_spec`) executes nothing, and an execution may fail:
    so a module is wanted until it has been executed.
    """

    def __init__(self, wanted: dict[str, list[Callable[[ModuleType], None]]]) -> None:
        self.wanted = wanted
        self._seeking: set[tuple[str, int]] = set()  # by which threads: other finders may ask all of them, us too

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        seeking = name, get_ident()
        if name not in self.wanted or seeking in self._seeking:
            return None
        self._seeking.add(seeking)
        try:
            for finder in list(sys.meta_path):
                spec = None if finder is self else finder.find_spec(name, path, target)
                if spec is not None:
                    self._follow(spec.loader, name)
                    return spec
        finally:
            self._seeking.discard(seeking)
        return None

    def _follow(self, loader: Any, name: str) -> None:
        """Let its execution of this module be followed by what is wanted. A loader may be that of other modules, too;
        one that is a class, of what is built in, is left alone."""
        if loader is None or isinstance(loader, type):
            return
        execute = loader.exec_module

        def execute_and_tell(module: ModuleType) -> None:
            if module.__name__ == name and vars(loader).get("exec_module") is execute_and_tell:
                del loader.exec_module
            execute(module)
            if module.__name__ == name:
                self._tell(module)

        loader.exec_module = execute_and_tell

    def _tell(self, module: ModuleType) -> None:
        then = self.wanted.pop(module.__name__, ())
        if not self.wanted and self in sys.meta_path:
            sys.meta_path.remove(self)
        for each in then:
            each(module)
