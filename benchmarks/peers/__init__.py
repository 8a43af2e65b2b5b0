"""The peers, one module each: `PACKAGES` (whose versions are reported) and `contestants(task)`.

A peer runs in a process of its own, which has as many cores as the case has threads (`benchmarks.measure.worker`).
"""

import importlib
import importlib.util
import os
import shutil
from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """The module of a peer, and the packages and programs without which it cannot run."""

    module: str
    packages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()

    @property
    def is_installed(self):
        """Whether everything that it needs is here."""
        return all(map(importlib.util.find_spec, self.packages)) and all(map(shutil.which, self.programs))


PEERS = {
    "nbad": Peer("nbad_peer"),
    "numpy": Peer("numpy_peer"),
    "numba": Peer("numba_peer"),
    "vector": Peer("vector_peer"),
    "jax": Peer("jax_peer", ("jax", "jaxlib")),
    "torch": Peer("torch_peer", ("torch",)),
    "torch.compile": Peer("torch_compile_peer", ("torch",), (os.environ.get("CXX", "g++"),)),
    "ddx": Peer("ddx_peer", ("ddx",)),
}


def installed():
    """Names of the peers that can run here."""
    return [name for name, peer in PEERS.items() if peer.is_installed]


def load(name):
    """The module of a peer."""
    return importlib.import_module(f"benchmarks.peers.{PEERS[name].module}")
