"""What is to follow the import of a module, whenever that comes: who does not use it does not pay for it."""

from __future__ import annotations

import sys

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
    """A finder that finds nothing: it lets the others find, and adds a call behind the execution of some modules."""

    def __init__(self, wanted: dict[str, list[Callable[[ModuleType], None]]]) -> None:
        self.wanted = wanted

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in self.wanted:
            return None
        then = self.wanted.pop(name)
        if not self.wanted and self in sys.meta_path:
            sys.meta_path.remove(self)
        for finder in list(sys.meta_path):
            if finder is self:
                continue
            spec = finder.find_spec(name, path, target)
            if spec is None:
                continue
            _after_execution(spec.loader, then)
            return spec
        return None


def _after_execution(loader: Any, then: list[Callable[[ModuleType], None]]) -> None:
    """Let the next execution of a module by this loader, the module's own, be followed by each `then(module)`."""
    execute = loader.exec_module

    def execute_once(module: ModuleType) -> None:
        del loader.exec_module
        execute(module)
        for each in then:
            each(module)

    loader.exec_module = execute_once
