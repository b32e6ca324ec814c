"""A recording as a file of trace events, the form that Perfetto and about:tracing show, and back again.

The file is JSON, an object, one event a line. A process of it is a pool, a track a worker; the program is one more
process, with a track for what it has handed over and one for what it has got back. Laws:

1. `read` of what `write` wrote is the same recording, to the nanosecond, with its rows in their order. What a viewer
   has no place for is in the arguments of an event, or in the first line, under "procession", where no viewer looks.
2. A row is one event without a category, in the order of the rows: a slice ("X") from `started` to `ended` on its
   worker's track, or an instant ("i") if it never ran. Its other times are arguments, in nanoseconds before or after
   that event, and are left out where they are not known. All else in the file is drawn from the rows, for the eye.
3. Times of events are microseconds with three decimals, counted from the earliest that there is ("base"). So nothing is
   lost in a viewer that reads them as floats, however long the machine has been up.
4. On a track slices lie inside each other or apart. Of a task that never ended nobody knows how long it ran: its slice
   goes on until that was known, or until something else starts there.
5. Memory is bounded by a chunk of rows, but for the arrows, of which there are `ARROWS` at most.

Arrows lead from the hand-over to the run and on to the result; they triple the file. All tasks have them up to
`ARROWS` rows; with more, those that ran for `LONG` or failed, the longest first.
"""

from __future__ import annotations

from .reading import read
from .writing import ARROWS, LONG, write

__all__ = ["ARROWS", "LONG", "read", "write"]
