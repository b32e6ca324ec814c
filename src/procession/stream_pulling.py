"""Who pulls a live source: a thread of its own. And what is closed when nobody pulls any more."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from procession.stream_course import Course


def at_hand(source: Any, most: int) -> int:
    """How many items a live source is asked for at once: one, as the next may be long in coming; more, if it has them.

    A source that has a method `at_hand()` says with that how many it gives without waiting.
    """
    said = getattr(source, "at_hand", None)
    return max(1, min(said(), most)) if said is not None and most > 1 else 1


def close_if_ours(source: Any) -> None:
    """Close it if it is a generator or a stream of ours."""
    if isinstance(source, Generator) or getattr(source, "closes_as_source", False):
        try:
            source.close()
        except ValueError:
            pass  # it is running, in this very thread: it cannot be closed from inside


class Puller:
    """Pulls a live source, on a thread of its own, which ends with the stream."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self.thread = threading.Thread(target=self._serve, name="procession-source", daemon=True)

    def _serve(self) -> None:
        course = self._course
        course._puller = True
        try:
            while not course.exhausted:
                course.room.sleep(self._wanted)
                if not course.exhausted:
                    course.pull(at_hand(course.source, course.flow.room))
                    course.advance()
        except BaseException as error:  # from the source: what is no Exception comes out in its place here
            course.error = error
            course.exhausted = True
            course.advance()
        finally:
            course._puller = False
            course.close_source()

    def _wanted(self) -> bool:
        course = self._course
        least = course.measure()
        return course.exhausted or course.flow.room >= least
