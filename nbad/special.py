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

from typing import TYPE_CHECKING

from nbad.errors import unknown_name
from nbad.language.special_functions import FUNCTIONS, polygamma

# fmt: off
__all__ = [
    "digamma", "erfcx", "erfinv", "expit", "gamma", "gammaln", "log_expit", "log_ndtr", "logit",
    "ndtr", "polygamma", "sinc", "softplus", "xlog1py", "xlogy",
]
# fmt: on

digamma = FUNCTIONS["digamma"]
erfcx = FUNCTIONS["erfcx"]
erfinv = FUNCTIONS["erfinv"]
expit = FUNCTIONS["expit"]
gamma = FUNCTIONS["gamma"]
gammaln = FUNCTIONS["gammaln"]
log_expit = FUNCTIONS["log_expit"]
log_ndtr = FUNCTIONS["log_ndtr"]
logit = FUNCTIONS["logit"]
ndtr = FUNCTIONS["ndtr"]
sinc = FUNCTIONS["sinc"]
softplus = FUNCTIONS["softplus"]
xlog1py = FUNCTIONS["xlog1py"]
xlogy = FUNCTIONS["xlogy"]

if not TYPE_CHECKING:  # checkers of types know by themselves what is not there

    def __getattr__(name):
        raise unknown_name("nbad.special", name, __all__)
