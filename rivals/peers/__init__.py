"""The peers by name, in the order of the matrix. A new one is a file beside this one and a line here."""

import importlib.metadata
import importlib.util

from rivals.peers.base import Peer
from rivals.peers.dask import DaskPeer
from rivals.peers.deadpool import DeadpoolPeer
from rivals.peers.joblib import JoblibPeer
from rivals.peers.loky import LokyPeer
from rivals.peers.mp_pool import MultiprocessingPoolPeer
from rivals.peers.mpire import MpirePeer
from rivals.peers.pebble import PebblePeer
from rivals.peers.ppe import ProcessPoolExecutorPeer
from rivals.peers.procession import ProcessionPeer
from rivals.peers.ray import RayPeer

PEERS: dict[str, type[Peer]] = {
    peer.name: peer
    for peer in (
        ProcessionPeer,
        ProcessPoolExecutorPeer,
        MultiprocessingPoolPeer,
        LokyPeer,
        JoblibPeer,
        MpirePeer,
        PebblePeer,
        DeadpoolPeer,
        RayPeer,
        DaskPeer,
    )
}


def problem_with(peer: type[Peer]) -> str | None:
    """Why `peer` cannot run here, with the way out; None when its package is there. Imports nothing of it."""
    try:
        found = importlib.util.find_spec(peer.package)
    except ImportError:
        found = None
    return None if found else f"no {peer.package}: pip install {peer.distribution or peer.package}"


def version_of(peer: type[Peer]) -> str:
    """The installed version, or "stdlib"."""
    if peer.distribution is None:
        return "stdlib"
    try:
        return importlib.metadata.version(peer.distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
