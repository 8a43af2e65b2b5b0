"""Special functions for kernels, and for numbers and arrays outside of them.

The names are those of `scipy.special`, whose own functions mean the same in a kernel; `softplus`, which older SciPy lacks, and
`sinc` are there as well.
`digamma`, `erfcx`, `erfinv` and `log_ndtr` take their values from SciPy, which the extra `nbad[scipy]` installs, and so do the
derivatives of `gamma` and `gammaln`; the others need no SciPy.

Examples
--------
>>> import nbad
>>> from nbad.special import softplus
>>> f = nbad.kernel(lambda x: softplus(x))
>>> float(nbad.grad(f)(0.0)), float(softplus(0.0))
(0.5, 0.6931471805599453)
"""

import numpy as np

from nbad.language.meanings import means
from nbad.language.values import first_traced, plain_number
from nbad.operations.table import TABLE


def _function(op, name):
    row = TABLE[op]

    def function(*operands):
        traced = first_traced(operands)
        if traced is not None:
            return traced._trace.call(function, operands, {})
        if len(operands) != len(row.operands):
            raise TypeError(f"{name}() takes {len(row.operands)} arguments, got {len(operands)}")
        with np.errstate(all="ignore"):
            return row.numpy(*(np.asarray(x, float)[()] for x in operands))[()]

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{row.expression}, elementwise."
    return function


digamma = _function("digamma", "digamma")
erfcx = _function("erfcx", "erfcx")
erfinv = _function("erfinv", "erfinv")
expit = _function("logistic", "expit")
gamma = _function("gamma", "gamma")
gammaln = _function("lgamma", "gammaln")
log_expit = _function("log_expit", "log_expit")
log_ndtr = _function("log_ndtr", "log_ndtr")
logit = _function("logit", "logit")
ndtr = _function("ndtr", "ndtr")
sinc = _function("sinc", "sinc")
softplus = _function("softplus", "softplus")
xlog1py = _function("xlog1py", "xlog1py")
xlogy = _function("xlogy", "xlogy")


def polygamma(n, x):
    """The n-th derivative of digamma; n is a plain whole number."""
    traced = first_traced((x,))
    if traced is not None:
        return traced._trace.call(polygamma, (n, x), {})
    return digamma(x) if n == 0 else TABLE["polygamma"].numpy(np.asarray(x, float), n)[()]


@means("scipy.special.polygamma", "nbad.special.polygamma", each=(1,))
def _polygamma(trace, n, x):
    number = plain_number(n)
    if number is None or number < 0 or number != int(number):
        raise trace.refusal("calls `polygamma` with a first argument that is no plain whole number", "polygamma(1, x)")
    return trace.apply("polygamma", (x,), int(number)) if number else trace.apply("digamma", (x,))
