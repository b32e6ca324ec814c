"""How the workers of a pool of processes come to be, and what they are given besides: output and notes come back."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from procession.backends.launch import Event as LaunchEvent
from procession.backends.launch import Watch
from procession.backends.launch_zygote import ZygoteLauncher
from procession.backends.notes import Notes
from procession.backends.output import OutputPump
from procession.driver.supervisor import Supervisor

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext


class Launching(Supervisor):
    """A supervisor that can start workers."""

    _first: set[int]
    """Descriptors that are looked at before others."""

    @abstractmethod
    def launched(self, happened: Sequence[LaunchEvent]) -> None:
        """The launcher has said this."""

    def start_by_zygote(self, preload: Sequence[str]) -> None:
        """Workers are children of the zygote and print to us."""
        self.take_notes()
        launcher = ZygoteLauncher(
            self.take_output().child_ends,
            watch=self._watch_launcher,
            unwatch=self.unwatch,
            preload=preload,
        )
        self.launcher = launcher
        launcher.warm()

    def start_by_context(self, context: BaseContext) -> None:
        """Workers are children of this multiprocessing context, as the stdlib's."""
        from procession.backends.launch_mp import MpLauncher  # imports multiprocessing: only who asked for it pays

        self.take_notes()
        self.launcher = MpLauncher(context, watch=self._watch_launcher, unwatch=self.unwatch)

    def take_output(self) -> OutputPump:
        """What workers print is shown from now on."""

        def pump(fd: int) -> None:
            assert self.output is not None
            self.output.pump(fd)

        self.output = OutputPump(watch=self._first_of_all(pump), unwatch=self.unwatch)
        return self.output

    def take_notes(self) -> None:
        """What they log and warn of is handled, where that can be."""
        if hasattr(os, "eventfd"):  # Linux

            def pump(fd: int) -> None:
                assert self.notes is not None
                self.notes.pump(fd)

            self.notes = Notes(self._first_of_all(pump), self.unwatch)

    def _first_of_all(self, source: Callable[[int], object]) -> Watch:
        """Watches descriptors that are looked at before others."""

        def watch(fd: int) -> None:
            self.watch(fd, source)
            self._first.add(fd)

        return watch

    def _watch_launcher(self, fd: int) -> None:
        def poll(fd: int) -> None:
            assert self.launcher is not None
            self.launched(self.launcher.poll(fd))

        self.watch(fd, poll)
