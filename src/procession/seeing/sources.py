"""What progress is told of, and by what: shapes alone, for the checkers."""

from __future__ import annotations

from collections.abc import Callable

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any, Protocol

    from procession.seeing.lines import Sight

    class Tqdm(Protocol):
        """What draws a bar of its own, as tqdm's do."""

        total: Any

        def update(self, n: Any = ..., /) -> Any: ...
        def close(self) -> Any: ...

    class Source(Protocol):
        """A stream, as its progress sees it; any thread asks, at any time."""

        keen: bool
        """Whoever takes results calls `report` of its meter soon, and sets this to False."""

        def count(self) -> tuple[int, int | None, bool]:
            """Items that are completed, how many there will be (None: not known yet), and whether that is all."""
            ...

        def sight(self) -> Sight:
            """The same, and more."""
            ...

        def call_taker(self) -> None:
            """`keen` is set: wake who sleeps, or have somebody call `report`."""
            ...

    class Teller(Protocol):
        """Tells a callable of the user's."""

        over: bool
        """Nothing more is told."""

        @property
        def lags(self) -> bool:
            """There is something to tell."""
            ...

    Progress = bool | Callable[[int, int | None], object] | Callable[..., Tqdm] | Tqdm
    Say = Callable[..., object]
else:
    Progress = bool | Callable[..., object]
