"""The peers by name, in the order of the report. A new one is a file beside this one and a line here."""

import importlib
import importlib.metadata

from benchmarks.peers.base import Peer
from benchmarks.peers.controls import ForksPeer, MemcpyPeer, RawPipePeer
from benchmarks.peers.fifo import FasterFifoPeer
from benchmarks.peers.handwritten import HandwrittenPeer
from benchmarks.peers.joblib import JoblibPeer
from benchmarks.peers.loky import LokyPeer
from benchmarks.peers.mp_pool import MultiprocessingPoolPeer
from benchmarks.peers.mpire import MpirePeer
from benchmarks.peers.pebble import PebblePeer
from benchmarks.peers.ppe import ForkserverPeer, ProcessPoolExecutorPeer
from benchmarks.peers.procession import ProcessionPeer, PureProcessionPeer
from benchmarks.peers.ray import RayPoolPeer

PEERS: dict[str, type[Peer]] = {
    peer.name: peer
    for peer in (
        ProcessPoolExecutorPeer,
        ForkserverPeer,
        MultiprocessingPoolPeer,
        LokyPeer,
        JoblibPeer,
        MpirePeer,
        PebblePeer,
        RayPoolPeer,
        HandwrittenPeer,
        FasterFifoPeer,
        RawPipePeer,
        ForksPeer,
        MemcpyPeer,
        PureProcessionPeer,
        ProcessionPeer,
    )
}


def problem_with(peer: type[Peer]) -> str | None:
    """Why `peer` cannot run here, with the way out; None if it can."""
    try:
        library = importlib.import_module(peer.package)
    except ImportError as error:
        return f"{peer.name}: cannot import {peer.package} ({error}); pip install {peer.distribution}"
    missing = [name for name in peer.requires if not hasattr(library, name)]
    if missing:
        return (
            f"{peer.name}: {peer.package} has no {', '.join(missing)} (found {library.__name__} at {library.__path__})"
        )
    return None


def version_of(peer: type[Peer]) -> str:
    """The installed version, or "stdlib"."""
    if peer.distribution is None:
        return "stdlib"
    try:
        return importlib.metadata.version(peer.distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed as a distribution"
