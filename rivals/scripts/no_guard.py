"""A program of a few lines, as people write their first: no functions around its statements, no main guard."""

from rivals.child import begin
from rivals.work import mark

row, peer, scene = begin()
mark(scene.path("runs"))


def double(n: int) -> int:
    """The program's own work."""
    return n * 2


peer.open(row.wish(scene))
scene.note(phase="probe")
results = peer.run_all(double, [(n,) for n in range(4)])
scene.note(results=results, phase="close")
peer.close()
scene.note(phase="exit")
