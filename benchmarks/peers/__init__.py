"""The peers, one module each: `PACKAGES` (whose versions are reported), `VERSIONS` of what is none, and `contestants(task)`.

A peer runs in a process of its own, which has as many cores as the case has threads (`benchmarks.measure.worker`).
"""

import importlib
import importlib.util
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

CC, CXX = os.environ.get("CC", "gcc"), os.environ.get("CXX", "g++")


@dataclass(frozen=True)
class Peer:
    """The module of a peer, and the packages, programs and shared libraries without which it cannot run."""

    module: str
    packages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()

    @property
    def is_installed(self):
        """Whether everything that it needs is here."""
        has_packages, has_programs = all(map(importlib.util.find_spec, self.packages)), all(map(shutil.which, self.programs))
        return has_packages and has_programs and all(map(shared_library, self.libraries))


def shared_library(name):
    """Path of the newest shared library of a name such as `LLVM` in the system's folders; None where there is none."""
    places = ("lib", "lib64", "usr/lib", "usr/lib64", "lib/*", "usr/lib/*", "usr/lib/llvm*/lib")
    found = {path for place in places for path in Path("/").glob(f"{place}/lib{name}[-.]*so*")}
    return max(found, key=lambda path: ([*map(int, re.findall(r"\d+", path.name))], str(path)), default=None)


PEERS = {
    "nbad": Peer("nbad_peer"),
    "numpy": Peer("numpy_peer"),
    "numba": Peer("numba_peer"),
    "vector": Peer("vector_peer"),
    "c": Peer("c_peer", (), (CC,), ("mvec",)),
    "c.fma": Peer("c_fma_peer", (), (CC,), ("mvec",)),
    "drjit": Peer("drjit_peer", ("drjit",), (), ("LLVM",)),
    "heyoka": Peer("heyoka_peer", ("heyoka",)),
    "casadi": Peer("casadi_peer", ("casadi",), (CC,), ("mvec",)),
    "symengine": Peer("symengine_peer", ("symengine",)),
    "pytensor": Peer("pytensor_peer", ("pytensor",), (CXX,)),
    "jax": Peer("jax_peer", ("jax", "jaxlib")),
    "torch": Peer("torch_peer", ("torch",)),
    "torch.compile": Peer("torch_compile_peer", ("torch",), (CXX,)),
    "ddx": Peer("ddx_peer", ("ddx",)),
}


def installed():
    """Names of the peers that can run here."""
    return [name for name, peer in PEERS.items() if peer.is_installed]


def load(name):
    """The module of a peer."""
    return importlib.import_module(f"benchmarks.peers.{PEERS[name].module}")
