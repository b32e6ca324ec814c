"""Functions as a thread engine knows them: found again by identity, measured by what they run.

Law: a function is kept only where it lives on anyway, as an attribute of its module. A closure, a bound method or a
lambda made in a loop is not kept by us; its measured cost is, under the code that all of its kind share.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType
from typing import Any

from procession.core.policy import Profile

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from procession.worker.surroundings import Local

MAX_PROFILES = 4096


class ThreadFunction:
    """A callable with its profile. `shell` is the same without the callable: what an answered call may keep."""

    __slots__ = ("around", "fn", "hides", "name", "profile", "shell", "with_state")

    shell: ThreadFunction

    def __init__(self, fn: Callable[..., Any] | None, name: str, profile: Profile, with_state: bool = False) -> None:
        self.fn: Any = fn
        self.name = name
        self.profile = profile
        self.with_state = with_state
        self.hides = False  # its last argument is none that a user has given
        self.around: Local | None = None  # the context variables that all its calls see
        self.shell = self if fn is None else ThreadFunction(None, name, profile, with_state)


class FunctionTable:
    """The functions of one engine. `known` is by identity: `id(fn)`, with a look whether it is still the same."""

    def __init__(self) -> None:
        self.known: dict[int, ThreadFunction] = {}
        self._profiles: dict[object, Profile] = {}

    def make(self, fn: Callable[..., Any], name: str | None, with_state: bool) -> ThreadFunction:
        """A function that `known` has not. Raises TypeError when `fn` is not callable."""
        if not callable(fn):
            raise TypeError(f"fn must be callable, not {type(fn).__name__}")
        function = ThreadFunction(fn, name or name_of(fn), self._profile(fn), with_state)
        if name is None and not with_state and lives_on(fn):
            self.known[id(fn)] = function
        return function

    def _profile(self, fn: Callable[..., Any]) -> Profile:
        key = kind_of(fn)
        profile = self._profiles.get(key)
        if profile is None:
            if len(self._profiles) >= MAX_PROFILES:
                self._profiles.clear()
            profile = self._profiles.setdefault(key, Profile())
        return profile


def kind_of(fn: Any) -> object:
    """What callables that probably cost the same have in common: their code, or their type."""
    while (inner := getattr(fn, "func", None) or getattr(fn, "__func__", None)) is not None and inner is not fn:
        fn = inner
    code = getattr(fn, "__code__", None)
    if code is not None:
        return code
    if isinstance(fn, BuiltinFunctionType):
        return (fn.__module__, fn.__qualname__)
    return fn if isinstance(fn, type) else type(fn)


def name_of(fn: Any) -> str:
    """How to call it in a message."""
    name = getattr(fn, "__qualname__", None) or getattr(getattr(fn, "func", None), "__qualname__", None)
    return name if isinstance(name, str) else type(fn).__qualname__


def lives_on(fn: Any) -> bool:
    """True for what its module refers to by its name."""
    if not isinstance(fn, (FunctionType, BuiltinFunctionType, type)):
        return False
    module = sys.modules.get(getattr(fn, "__module__", None) or "")
    return module is not None and vars(module).get(fn.__name__) is fn
