"""A caller that waits on a lane of pipes and a page while that is closed takes that for the end of its patience."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any

import pytest

from procession.driver.lane import Lane
from procession.transport import page


class Closing:
    """An epoll object that is closed by the driver just when it is asked."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def poll(self, timeout: float) -> list[Any]:
        assert timeout > 0
        raise self.error


def wait_on(error: Exception) -> None:
    lane: Any = Lane.__new__(Lane)
    words = [0] * (max(page.GENERATION, page.COUNT, page.ENDS) + 1)
    lane.waits, lane._generation, lane._epoll = 0, 1, Closing(error)
    lane.channel = SimpleNamespace(page=SimpleNamespace(words=words))
    future: Any = SimpleNamespace(_lane_number=3, _state="RUNNING")
    Lane.wait(lane, future)
    assert lane.waits == 1


@pytest.mark.parametrize(
    "error",
    [
        ValueError("I/O operation on closed epoll object"),
        OSError(errno.EBADF, "closed"),
        OSError(errno.EINVAL, "other"),
    ],
    ids=["before", "meanwhile", "and used again"],
)
def test_its_descriptor_is_gone(error: Exception) -> None:
    wait_on(error)


def test_other_errors_are_told() -> None:
    with pytest.raises(OSError, match="broken"):
        wait_on(OSError(errno.EIO, "broken"))
