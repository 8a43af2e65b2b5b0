"""The rows of Bessel functions.

Derivatives by the order are not known. Those by the operand lead from order to order, so that no derivative ends.
"""

from typing import Any

from nbad.operations.row import PAIR, UNKNOWN, Operation, composite, of_scipy, special
from nbad.operations.series import i0e_slope, i1e_slope

ANYWHERE = ((-2.5,), (0.3,), (1.9,), (6.0,))
POSITIVE = ((0.01,), (0.7,), (3.3,), (25.0,))
ORDERS = ((2.0, 0.3), (0.0, 1.9), (1.5, 7.0))
ZEROS = "near its zeros the error is an absolute one"
BY_ORDER = "by the order: not known, nan"
SCALES = ((-20.0,), (-0.4,), (0.7,), (25.0,))
# the n-th derivative of `i0e` to the right of 0; SymPy and mpmath read it
SCALED = "(-2)**n*gamma(n + 1/2)/sqrt(pi)/gamma(n + 1)*hyper([n + 1/2], [n + 1], -2*Abs(x))"
NEXT = "(-2)**(n + 1)*gamma(n + 3/2)/sqrt(pi)/gamma(n + 2)*hyper([n + 3/2], [n + 2], -2*Abs(x))"


def _of_order(name: str, own: str, *others: str, far: float = 20.0, kink: str = f"{BY_ORDER}; {ZEROS}") -> Operation:
    """One whose order is an operand."""
    names, domain = special(own, *others), ((1.0, 10.0), (1e-3, far))
    more: dict[str, Any] = dict(own=own, spellings=names, operands=PAIR, samples=ORDERS, domain=domain, kink=kink)
    return of_scipy(name, f"{name}(x, y)", UNKNOWN[0], None, **more)


BESSEL = (
    of_scipy("j0", "besselj(0, x)", "-j1(x)", samples=ANYWHERE, kink=ZEROS),
    of_scipy("j1", "besselj(1, x)", "(j0(x) - besselj(2, x))/2", samples=ANYWHERE, kink=ZEROS),
    of_scipy("y0", "bessely(0, x)", "-y1(x)", samples=POSITIVE, domain=((1e-8, 30.0),), kink=f"inf at 0; {ZEROS}"),
    of_scipy(
        "y1", "bessely(1, x)", "y0(x) - v*reciprocal(x)", samples=POSITIVE, domain=((1e-8, 30.0),), kink=f"nan at 0; {ZEROS}"
    ),
    of_scipy("i0", "besseli(0, x)", "i1(x)", spellings=(*special("i0"), "numpy.i0"), samples=ANYWHERE, domain=((-700.0, 700.0),)),
    of_scipy("i1", "besseli(1, x)", "(i0(x) + besseli(2, x))/2", samples=ANYWHERE, domain=((-700.0, 700.0),)),
    of_scipy("k0", "besselk(0, x)", "-k1(x)", samples=POSITIVE, domain=((1e-8, 700.0),), kink="-inf at 0"),
    of_scipy("k1", "besselk(1, x)", "-k0(x) - v*reciprocal(x)", samples=POSITIVE, domain=((1e-8, 700.0),), kink="-inf at 0"),
    of_scipy("i0e", "exp(-Abs(x))*besseli(0, x)", "i0e_slope(1, x)", samples=ANYWHERE, domain=((-1e5, 1e5),), kink="0 at 0"),
    of_scipy("i1e", "exp(-Abs(x))*besseli(1, x)", "i1e_slope(1, x)", samples=ANYWHERE, domain=((-1e5, 1e5),)),
    # the differences of Bessel functions that SymPy's derivatives are would lose digits as x grows
    composite("i0e_slope", f"sign(x)**n*{SCALED}", i0e_slope, "i0e_slope(n + 1, x)", payload=2, samples=SCALES, cost=230.0),
    composite(
        "i1e_slope", f"sign(x)**(n + 1)*({SCALED} + {NEXT})", i1e_slope, "i1e_slope(n + 1, x)", payload=2,
        samples=SCALES, cost=400.0
    ),
    _of_order("besselj", "jv", "jn"),
    _of_order("bessely", "yv"),
    _of_order("besseli", "iv", far=600.0, kink=BY_ORDER),
    _of_order("besselk", "kv", far=600.0, kink=BY_ORDER),
)  # fmt: skip
