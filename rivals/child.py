"""What runs inside the fresh process of one probe: one row, one peer, once.

The phases that it notes tell a hang in the middle of the probe from a hang at its end.
"""

import signal
import sys
import traceback
from pathlib import Path
from types import ModuleType

from rivals.peers import PEERS
from rivals.peers.base import Peer
from rivals.rows import ROWS
from rivals.rows.base import Row
from rivals.scene import Scene
from rivals.verdict import Lacks


def begin() -> tuple[Row, Peer, Scene]:
    """Who is asked what, from the command line: row, peer, folder."""
    row, peer, folder = sys.argv[1:4]
    # A shell that starts a job in the background has it ignore ^C, and all below it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    scene = Scene(Path(folder))
    scene.note(phase="open")
    return ROWS[row], PEERS[peer](), scene


def main(home: ModuleType | None = None) -> None:
    """Run the probe; `home` is the `__main__` module of a row that needs functions of it."""
    row, peer, scene = begin()
    try:
        peer.library()
    except ImportError as error:
        scene.note(absent=f"cannot import {peer.package} ({error}): pip install {peer.distribution or peer.package}")
        return
    perform(row, peer, scene, home)


def perform(row: Row, peer: Peer, scene: Scene, home: ModuleType | None = None) -> None:
    """The probe between its phases; what it lacks and what it trips over become facts."""
    try:
        peer.open(row.wish(scene))
        scene.note(phase="probe")
        row.probe(peer, scene, home)
        if row.closes:
            scene.note(phase="close")
            try:
                peer.close()
            except Exception as error:
                traceback.print_exc()
                scene.note(close_error=type(error).__name__)
        scene.note(phase="exit")
    except Lacks as lack:
        scene.note(lacks=lack.text)
        scene.leave()
    except Exception as error:
        traceback.print_exc()
        scene.note(error=f"{type(error).__name__}: {error}")
        scene.leave()
