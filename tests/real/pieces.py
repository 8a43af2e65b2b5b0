"""Which piece of a program a point lies in: what a call decides, read from the outside, as Python runs it.

A search that ends when it is near enough makes a staircase: each of its stairs is a piece of its own, and what the program
computes has the slope of a piece. What compiled code decides, and a comparison that is a factor without a name, is not seen: then
pieces are too wide, and slopes within them those from afar.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from real.collect import call, python_function

DECISIONS = bool | int | np.bool_ | np.integer


def decisions(function: Callable[..., Any], values: dict[str, Any]) -> int | None:
    """A hash of the instructions that run, in their order, with the truths and whole numbers in variables; None if it raises."""
    seen = 0

    def look(frame: Any, event: str, _: Any) -> Any:
        nonlocal seen
        frame.f_trace_opcodes = True
        seen = hash((seen, frame.f_code, frame.f_lasti))
        if event == "line":
            seen = hash((seen, *(item for item in frame.f_locals.items() if isinstance(item[1], DECISIONS))))
        return look

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 asks when tracing begins whether any frame has it
    sys.settrace(look)
    try:
        call(python_function(function), values)
    except (Exception, SystemExit):  # noqa: BLE001, it has no value there
        return None
    finally:
        sys.settrace(before)
    return seen
