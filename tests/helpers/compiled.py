"""What tests of kernels in compiled code share: functions that Numba compiles, and how their results compare with nbad's own."""

import numba
import numpy as np

from nbad.njit import extension

extension.init()  # Numba's entry point does it where nbad is installed


def calling(f, count):
    """A compiled function of so many arguments that hands them to a kernel."""
    names = ", ".join(f"x{k}" for k in range(count))
    return numba.njit(eval(f"lambda {names}: f({names})", {"f": f}))


def leaves(result):
    """The arrays and numbers in a result, rows of a Jacobian among them as arrays."""
    if isinstance(result, tuple) and not is_rows(result):
        return [leaf for member in result for leaf in leaves(member)]
    return [np.asarray(result)]


def is_rows(result):
    """Whether a tuple holds the rows of a block."""
    return bool(result) and all(isinstance(row, tuple) and all(isinstance(x, float) for x in row) for row in result)


def assert_same(given, wanted):
    """The same structure and the same bits, but those of nan."""
    given, wanted = leaves(given), leaves(wanted)
    assert len(given) == len(wanted)
    for one, other in zip(given, wanted, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other, strict=True)
