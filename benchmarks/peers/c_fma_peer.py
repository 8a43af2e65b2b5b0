"""C by hand, where the compiler may fuse a multiplication with an addition; else as `c_peer`."""

from benchmarks.peers import c_peer

PACKAGES, VERSIONS = (), c_peer.VERSIONS


def contestants(task):
    """The same with contraction."""
    return c_peer.contestants(task, contract="fast")
