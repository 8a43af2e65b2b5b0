"""What Numba runs before it compiles anything, by its entry point `numba_extensions`: kernels have types from then on.

Numba asks in every program, whether that has kernels or not. So what tells it of them is loaded when there are some: for the
first that it meets, or with the first verb.
"""

import sys
from typing import Any

from numba.core.registry import cpu_target
from numba.extending import typeof_impl

from nbad.api.kernel import Kernel
from nbad.forks import IMPORTS
from nbad.memo import Memo

_done = Memo()


def init() -> None:
    """Make kernels known to Numba."""
    typeof_impl.register(Kernel)(_type_of)
    if any(name.startswith("nbad.verbs.") for name in sys.modules):
        _done("learnt", _learn)


def learn() -> None:
    """Tell Numba of all that it may meet; `nbad` does it, too, when a verb is first asked for.

    Numba may be compiling the function that asks, and has looked for news before.
    """
    if "learnt" not in _done.known:
        _done("learnt", _learn)
        cpu_target.typing_context.refresh()
        cpu_target.target_context.refresh()


def _learn() -> None:
    with IMPORTS:
        from nbad.njit import interleaving, linking, typing, verbs
    for room in (interleaving, linking, typing, verbs):
        room.register()


def _type_of(kernel: Kernel, context: Any) -> Any:
    learn()
    with IMPORTS:
        from nbad.njit.typing import type_of
    return type_of(kernel)
