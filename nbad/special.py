"""Special functions for kernels, and for numbers and arrays outside of them.

The names are those of `scipy.special`, whose own functions mean the same in a kernel; `softplus`, which older SciPy lacks, and
`sinc` are there as well.
Most take their values from SciPy, which the extra `nbad[scipy]` installs, and so do the derivatives of `gamma` and `gammaln`;
`boxcox`, `cosm1`, `entr`, `exp10`, `expit`, `exprel`, `huber`, `kl_div`, `lambertw`, `log_expit`, `logit`, `ndtr`,
`rel_entr`, `sinc`, `softplus`, `xlog1py`, `xlogy` and `zeta` need no SciPy.

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
    "beta", "betainc", "betaln", "boxcox", "cosm1", "digamma", "ellipe", "ellipk", "entr", "erfcinv", "erfcx", "erfinv",
    "exp1", "exp10", "expi", "expit", "exprel", "gamma", "gammainc", "gammaincc", "gammaln", "huber", "i0", "i0e", "i1",
    "i1e", "iv", "j0", "j1", "jv", "k0", "k1", "kl_div", "kv", "lambertw", "log_expit", "log_ndtr", "loggamma", "logit",
    "ndtr", "ndtri", "polygamma", "rel_entr", "sinc", "softplus", "xlog1py", "xlogy", "y0", "y1", "yv", "zeta",
]
# fmt: on

beta = FUNCTIONS["beta"]
betainc = FUNCTIONS["betainc"]
betaln = FUNCTIONS["betaln"]
boxcox = FUNCTIONS["boxcox"]
cosm1 = FUNCTIONS["cosm1"]
digamma = FUNCTIONS["digamma"]
ellipe = FUNCTIONS["ellipe"]
ellipk = FUNCTIONS["ellipk"]
entr = FUNCTIONS["entr"]
erfcinv = FUNCTIONS["erfcinv"]
erfcx = FUNCTIONS["erfcx"]
erfinv = FUNCTIONS["erfinv"]
exp1 = FUNCTIONS["exp1"]
exp10 = FUNCTIONS["exp10"]
expi = FUNCTIONS["expi"]
expit = FUNCTIONS["expit"]
exprel = FUNCTIONS["exprel"]
gamma = FUNCTIONS["gamma"]
gammainc = FUNCTIONS["gammainc"]
gammaincc = FUNCTIONS["gammaincc"]
gammaln = FUNCTIONS["gammaln"]
huber = FUNCTIONS["huber"]
i0 = FUNCTIONS["i0"]
i0e = FUNCTIONS["i0e"]
i1 = FUNCTIONS["i1"]
i1e = FUNCTIONS["i1e"]
iv = FUNCTIONS["iv"]
j0 = FUNCTIONS["j0"]
j1 = FUNCTIONS["j1"]
jv = FUNCTIONS["jv"]
k0 = FUNCTIONS["k0"]
k1 = FUNCTIONS["k1"]
kl_div = FUNCTIONS["kl_div"]
kv = FUNCTIONS["kv"]
lambertw = FUNCTIONS["lambertw"]
log_expit = FUNCTIONS["log_expit"]
log_ndtr = FUNCTIONS["log_ndtr"]
loggamma = FUNCTIONS["loggamma"]
logit = FUNCTIONS["logit"]
ndtr = FUNCTIONS["ndtr"]
ndtri = FUNCTIONS["ndtri"]
rel_entr = FUNCTIONS["rel_entr"]
sinc = FUNCTIONS["sinc"]
softplus = FUNCTIONS["softplus"]
xlog1py = FUNCTIONS["xlog1py"]
xlogy = FUNCTIONS["xlogy"]
y0 = FUNCTIONS["y0"]
y1 = FUNCTIONS["y1"]
yv = FUNCTIONS["yv"]
zeta = FUNCTIONS["zeta"]

if not TYPE_CHECKING:  # checkers of types know by themselves what is not there

    def __getattr__(name):
        raise unknown_name("nbad.special", name, __all__)
