"""By reference or by value? A function or class goes by reference exactly when the other side can import it by name.

A module can be imported there when one of this process's own finders finds it by name, as the very file that it came
from: not `__main__`, not a module made by hand, not one whose file is gone, not one imported from a directory that is
not on sys.path. Decided once for each module.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAINS = ("__main__", "__mp_main__")
_NO_MODULE = object()
_decisions: dict[str, tuple[object, bool]] = {}


def by_reference(obj: Any) -> bool:
    """True when the other side finds this function or class by its module and its qualified name."""
    module_name = getattr(obj, "__module__", None)
    if type(module_name) is not str or not importable(module_name):
        return False
    return found_by_name(sys.modules[module_name], obj.__qualname__) is obj


def found_by_name(module: Any, qualname: Any) -> Any:
    """What `module.qualname` is now, or None."""
    found = module
    if type(qualname) is not str:
        return None
    for part in qualname.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            return None
        except Exception:  # a module's __getattr__ is anybody's code
            return None
    return found


def loaded_class(module: str, name: str) -> Any:
    """For isinstance: that class if its module is loaded; else (), for then nothing is of it.

    A module that another thread is just importing is in `sys.modules`, and may not have the class yet.
    """
    return getattr(sys.modules.get(module), name, ())


def importable(name: str) -> bool:
    """True when another process with this sys.path can import the module of this name that is loaded here."""
    module = sys.modules.get(name, _NO_MODULE)
    known = _decisions.get(name)
    if known is not None and known[0] is module:
        return known[1]
    if module is _NO_MODULE or module is None or name in _MAINS:
        return False
    answer = _findable(name, module)
    _decisions[name] = (module, answer)
    return answer


def _findable(name: str, module: Any) -> bool:
    spec = getattr(module, "__spec__", None)
    if spec is None:
        return _made_by_an_extension(name, module)
    if spec.origin in ("built-in", "frozen"):
        return True
    path = None
    parent = name.rpartition(".")[0]
    if parent:
        if not importable(parent):
            return parent in sys.modules and _made_by_its_parent(name, parent)
        path = getattr(sys.modules[parent], "__path__", None)
        if path is None:
            return _made_by_its_parent(name, parent)  # os.path
    found = _find(name, path)
    if found is None:
        return bool(parent) and _made_by_its_parent(name, parent)
    if found.origin in ("built-in", "frozen"):
        return True
    if found.origin is None:
        return found.submodule_search_locations is not None  # a namespace package
    if not found.has_location:
        return False  # made by a finder that the other side may not have
    return bool(_same_file(found.origin, spec.origin))


def _find(name: str, path: Any) -> Any:
    for finder in list(sys.meta_path):
        find = getattr(finder, "find_spec", None)
        if find is None:
            continue
        try:
            found = find(name, path, None)
        except Exception:
            continue
        if found is not None:
            return found
    return None


def _made_by_its_parent(name: str, parent: str) -> bool:
    """A module that its importable parent puts into sys.modules (os.path, six.moves): an import of it works there."""
    if parent in _MAINS or not importable(parent):
        return False
    origin = getattr(sys.modules[name].__spec__, "origin", None)
    real = getattr(sys.modules[name].__spec__, "name", name)
    return real != name and importable(real) and origin is not None


def _made_by_an_extension(name: str, module: Any) -> bool:
    """A submodule without a file that C code makes when its parent is imported."""
    parent, _, last = name.rpartition(".")
    if not parent or not importable(parent):
        return False
    above = sys.modules[parent]
    origin = getattr(above.__spec__, "origin", None)
    return type(origin) is str and not origin.endswith((".py", ".pyc")) and getattr(above, last, None) is module


def _same_file(one: Any, other: Any) -> bool:
    if one == other:
        return True
    if other is None:
        return False
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


__all__ = ["by_reference", "found_by_name", "importable", "loaded_class"]
