"""Wrong calls of every public function: one of our errors, short, with the call, the user's line, and a fix that works.

Each row is what is set up, the wrong call, and the right one, in which FIX stands for the fix line of the error, without its
comment. The fix alone is the right call where the row does not say otherwise.
"""

import cmath
import copy
import datetime
import math

import numba
import numpy as np
import pytest
import sympy
from numpy._core._rational_tests import rational

import nbad

LONGEST = 1500


class Labelled:
    """What pandas, xarray and others bring: numbers that mean more, and an answer of its own to ufuncs."""

    def __init__(self, numbers):
        self.numbers = np.asarray(numbers)

    def __array__(self, dtype=None, copy=None):
        return self.numbers

    def __array_ufunc__(self, *args, **kwargs):
        return NotImplemented


class Doubled:
    def __call__(self, x):
        return 2.0 * x


class Unconvertible:
    __array_ufunc__ = None


def of_package(module, name, **methods):
    """A type that says that it comes from a package."""
    return type(name, (Labelled,), {"__module__": module, **methods})


class MadeMasked:
    """As netCDF4's variables do, it makes masked arrays."""

    def __array__(self, dtype=None, copy=None):
        return np.ma.masked_invalid([1.0, np.nan])


class Derived:
    """As a tensor that is part of another graph of derivatives."""

    __module__ = "torch"

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self):
        return self

    cpu = double = detach

    def numpy(self):
        return np.ones(3)


def by_two(v, a):
    return v * v - a


def numbers(self):
    return self.numbers


def namespace():
    @nbad.kernel
    def f(x, y=2.0):
        return x * x * y

    @nbad.kernel
    def g(x, y):
        return x * y, x + y

    @nbad.kernel(signature="(3)->()")
    def v(r):
        return np.sqrt(r @ r)

    @nbad.kernel(signature="(2,3),()->(2)")
    def m(a, s):
        return s * np.sum(a, axis=1)

    @nbad.kernel(static=("order",))
    def taylor(x, order):
        return x**order

    def plain(x):
        return 2.0 * x

    @numba.njit
    def jitted(x):
        return 2.0 * x

    x, y, r = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0]), np.ones((4, 3))
    value, pullback = nbad.vjp(f, x, y)
    values, pullback_of_two = nbad.vjp(g, x, y)
    pushforward = nbad.linearize(f, x, y)[1]
    gauss = nbad.primitive("gauss", lambda x: math.exp(-x * x), ["-2*x*v"])
    return {
        **globals(),
        **locals(),
        "numpy": np,
        "cmath": cmath,
        "copy": copy,
        "datetime": datetime,
        "sympy": sympy,
        "rational": rational,
    }


# arguments

ARGUMENTS = {
    "labels": "Labelled(x)",
    "pandas": "of_package('pandas.core.series', 'Series', to_numpy=numbers)(x)",
    "xarray": "of_package('xarray.core.dataarray', 'DataArray', to_numpy=numbers)(x)",
    "polars": "of_package('polars.series.series', 'Series', to_numpy=numbers)(x)",
    "dask": "of_package('dask.array.core', 'Array', compute=numbers)(x)",
    "pint": "of_package('pint', 'Quantity', magnitude=property(numbers))(x)",
    "astropy": "of_package('astropy.units.quantity', 'Quantity', value=property(numbers))(x)",
    "a type derived from one of pandas'": "type('Mine', (of_package('pandas', 'Series', to_numpy=numbers),), {})(x)",
    "a table of named columns": "type('Table', (), {'__dataframe__': None, '__array__': Labelled.__array__, 'numbers': x})()",
    "a list of quantities": "[of_package('pint', 'Quantity', magnitude=property(numbers))(k) for k in (1.0, 2.0)]",
    "a missing value": "of_package('pandas._libs.missing', 'NAType')(x)",
    "no array": "Unconvertible()",
    "a tensor with derivatives": "Derived()",
    "masked": "np.ma.masked_invalid([1.0, np.nan])",
    "masked ints": "np.ma.masked_equal([1, 2], 2)",
    "a list of masked arrays": "[np.ma.masked_invalid([1.0, np.nan])]",
    "what makes masked arrays": "MadeMasked()",
    "a number that dask computes": "of_package('dask.dataframe.core', 'Scalar', compute=lambda self: np.float64(2.0))(x)",
    "a bag": "of_package('dask.bag.core', 'Bag', compute=lambda self: [1.0, 2.0])(x)",
    "complex": "np.ones(3, complex)",
    "a complex number": "1j",
    "a list of complex numbers": "[1j, 2j]",
    "long double": "np.ones(3, np.longdouble)",
    "a list of long doubles": "[np.longdouble(1)]",
    "objects": "np.array([1.0, 2.0], object)",
    "None": "None",
    "None in a list": "[None, 1.0]",
    "dates": "np.array(['2020-01-01'], 'M8[D]')",
    "a date": "np.datetime64('2020-01-01')",
    "a list of dates": "[np.datetime64('2020-01-01')]",
    "Python's dates": "datetime.date(2020, 1, 1)",
    "durations": "np.ones(3, 'm8[s]')",
    "a list of durations": "[np.timedelta64(1, 's')]",
    "a number as text": "'1.0'",
    "numbers as text": "np.array(['1.0', '2'])",
    "bytes": "b'1.0'",
    "structured": "np.zeros(3, [('a', float), ('b', int)])",
    "a structure of masked numbers": "np.ma.array(np.zeros(3, [('a', float), ('b', int)]))[0]",
    "raw bytes": "np.zeros(3, 'V8')",
    "a dtype of another package": "np.array([rational(1, 2)])",
    "dict": "{'a': 1.0}",
    "set": "{1.0, 2.0}",
    "generator": "(k for k in (1.0, 2.0))",
    "ragged": "[[1.0], [1.0, 2.0]]",
    "ragged to the second level": "[1.0, [1.0, 2.0]]",
    "huge": "10**400",
    "a function": "math.sin",
    "a class": "dict",
}
CALLS = "f(x)", "nbad.vjp(f, x)", "nbad.jacobian(f)(x)", "nbad.jvp(f, (x,), (1.0,))", "nbad.grad(f)(x)", "nbad.explain(f, x)"

# calls: set up; wrong; right

ROWS = """
f() ; f(x, y)
f(x, x, x)
f(x, yy=3.0)
f(x, y, order=3)
f(x, argnum=0)
f(x, oot=x)
nbad.grad(f)()
nbad.value_and_grad(f)()
nbad.hessian(f)(x, y, x)
nbad.jacobian(f)(x, z=1.0)
gauss()
gauss(x, y)
gauss(z=x)
taylor.precompile() ; exec("FIX".replace("...", "return x ** order")); nbad.kernel(taylor, static="order").precompile()
x = "put"; | f(x) ; FIX\\ndef h(x, y): return y if x == "put" else -y\\nh(x, y)
x, y = np.ones(3), np.ones(4); | f(x, y) ; f(FIX, y)
x, y = np.ones((2, 3)), np.ones(2); | f(x, y) ; f(x, FIX)
x, y = np.ones((2, 3)), np.ones((3, 2)); | f(x, y) ; f(FIX, y)
x, y = np.ones((5, 1, 2)), np.ones((3, 3)); | f(x, y) ; f(FIX, y)
r = np.ones((3, 5)); | v(r) ; v(FIX)
r = np.ones((2, 3, 5)); | v(r) ; v(FIX)
r = np.ones((3, 2, 5)); | v(r) ; v(FIX)
r = 1.0; | v(r) ; v(FIX)
r = np.ones((4, 5)); | v(r) ; FIX\\ndef h(r): return np.sqrt(r @ r)\\nh(r)
a = np.ones((2, 3, 7)); | m(a, 1.0) ; m(FIX, 1.0)
a = np.ones((3, 2)); | m(a, 1.0) ; m(FIX, 1.0)
a = np.ones(3); | m(a, 1.0) ; m(FIX, 1.0)
a = np.ones((2, 4)); | m(a, 1.0) ; FIX\\ndef h(a, s): return s * np.sum(a, axis=1)\\nh(a, 1.0)
x = np.arange(3); | nbad.vjp(f, x) ; nbad.vjp(f, FIX)
x = np.arange(3); | nbad.vjp(f, x, y, argnums="x") ; nbad.vjp(f, FIX, y, argnums="x")
x = np.arange(3); | nbad.grad(f)(x) ; nbad.grad(f)(FIX)
x = np.arange(3); | nbad.jvp(f, (x, y), (1.0, 1.0)) ; nbad.jvp(f, (FIX, y), (1.0, 1.0))
nbad.jacobian(f)(np.ones((1,) * 63)) ; x = np.ones((1,) * 63); nbad.jacobian(f)(FIX)
x = np.ones((2,) + (1,) * 62); | nbad.value_and_jacobian(f)(x) ; nbad.value_and_jacobian(f)(FIX)

nbad.vjp()
nbad.vjp(f) ; FIX
nbad.vjp(plain, x) ; nbad.vjp(FIX, x)
nbad.vjp(lambda x: x, x) ; nbad.kernel(lambda x: x)
nbad.vjp(jitted, x) ; nbad.vjp(FIX, x)
nbad.vjp(np.sin, x) ; nbad.vjp(FIX, x)
nbad.vjp(gauss, x) ; nbad.vjp(FIX, x)
nbad.vjp(nbad.jacobian(f), x) ; nbad.vjp(FIX, x)
nbad.vjp(x, f)
nbad.vjp(f, x, argnum=0)
nbad.vjp(f, x, y, argnums="z") ; nbad.vjp(f, x, y, FIX)
nbad.vjp(f, x, y, argnums=("x", "x")) ; nbad.vjp(f, x, y, FIX)
nbad.vjp(taylor, x, 2, argnums="ordre") ; nbad.vjp(taylor, x, 2, FIX)
nbad.vjp(f, x, argnums=x) ; nbad.vjp(f, x, FIX)
nbad.vjp(f, x, argnums=2.0) ; nbad.vjp(f, x, FIX)
nbad.vjp(f, x, residuals="partial") ; nbad.vjp(f, x, FIX)
nbad.vjp(f, x, residuals=3) ; nbad.vjp(f, x, FIX)
nbad.vjp(f, x, residuals=("q",)) ; nbad.vjp(f, x, FIX)
nbad.vjp(f, x, seed=3)
nbad.vjp(f, x, seeds=-1) ; nbad.vjp(f, x, FIX)
nbad.vjp(f, x, seeds="many") ; nbad.vjp(f, x, FIX)
nbad.vjp(f, x, max_bytes=-1) ; nbad.vjp(f, x, FIX)
nbad.vjp(f, x, max_bytes="1G") ; nbad.vjp(f, x, FIX)
nbad.vjp(f, x, max_byte=100)
nbad.linearize()
nbad.linearize(f)
nbad.linearize(plain, x) ; nbad.linearize(FIX, x)
nbad.linearize(f, x, argnums="w") ; nbad.linearize(f, x, FIX)
nbad.jvp()
nbad.jvp(f)
nbad.jvp(f, (x,)) ; FIX
nbad.jvp(f, x, x) ; FIX
nbad.jvp(f, (x, y), 1.0) ; FIX
nbad.jvp(f, (x, y), (1.0,)) ; FIX
order = 2; | nbad.jvp(taylor, (x, order), (1.0,)) ; FIX
nbad.hvp(f, (x,), (1.0, 1.0)) ; FIX
x_dot = np.ones(2); | nbad.jvp(f, (x,), (x_dot,)) ; nbad.jvp(f, (x,), (FIX,))
x_dot = Labelled(x); | nbad.jvp(f, (x,), (x_dot,)) ; nbad.jvp(f, (x,), (FIX,))
x_dot = "a"; | nbad.jvp(f, (1.0,), (x_dot,)) ; nbad.jvp(f, (np.ones(2),), (FIX,))
nbad.jvp(taylor, (x, 2), (1.0, 1.0)) ; nbad.jvp(taylor, (x, 2), (1.0, FIX))
nbad.jvp(f, (x,), (1.0,), out=x) ; nbad.jvp(f, (x,), (1.0,), FIX)
nbad.hvp(f)
nbad.hvp(f, (x,))
nbad.hvp(f, x, x)
nbad.hvp(g, (x, y), (1.0, 1.0)) ; FIX
nbad.hvp(plain, (x,), (1.0,)) ; nbad.hvp(FIX, (x,), (1.0,))
nbad.jacobian(f, x)
nbad.jacobian(f, 2.0)
nbad.jacobian(f, x, y)
nbad.jacobian()
nbad.jacobian(plain) ; nbad.jacobian(FIX)(x)
nbad.jacobian(x, f)
nbad.jacobian(f, modes="forward") ; FIX
nbad.jacobian(f, mode="rev") ; nbad.jacobian(f, FIX)(x)
nbad.jacobian(f, mode=x) ; nbad.jacobian(f, FIX)(x)
nbad.jacobian(f, argnum=0)
nbad.jacobian(f, argnums=5)(x, y) ; nbad.jacobian(f, FIX)(x, y)
nbad.value_and_jacobian(f, x)
nbad.value_and_jacobian(f)(x, out=x) ; nbad.value_and_jacobian(f)(x, FIX)
nbad.value_and_jacobian(f, mode="forward")
nbad.grad(f, x)
nbad.grad(f, x, y)
nbad.grad(f, argnums="z") ; nbad.grad(f, FIX)(x, y)
nbad.grad(f, "y")(x)
nbad.grad(f, ("x", "x")) ; nbad.grad(f, FIX)(x, y)
nbad.grad(g)(x, y)
nbad.grad(v, 1) ; nbad.grad(v, FIX)(r)
nbad.grad(nbad.jacobian(f))
nbad.value_and_grad(f, x)
nbad.value_and_grad(f, 1.0)
nbad.value_and_grad(f, argnums="xx") ; nbad.value_and_grad(f, FIX)(x)
nbad.value_and_grad(g)(x, y)
nbad.value_and_grad(f)(x, out=3) ; nbad.value_and_grad(f)(x, FIX)
nbad.hessian(f, x)
nbad.hessian(g)(x, y)
nbad.hessian(f, "z")(x, y) ; nbad.hessian(f, FIX)(x, y)
nbad.hessian(f, mode="reverse")

f(x, out=np.empty(2)) ; f(x, out=FIX)
f(x, out=[1, 2, 3]) ; f(x, out=FIX)
f(x, out=np.empty(3, np.float32)) ; f(x, out=FIX)
f(x, out=x) ; f(x, out=FIX)
f(x, out=Labelled(x)) ; f(x, out=FIX)
f(x, out=np.ma.ones(3)) ; f(x, out=FIX)
f(x, out=np.broadcast_to(1.0, 3)) ; f(x, out=FIX)
g(x, y, out=x) ; g(x, y, FIX)
g(x, y, out=(np.empty(3),)) ; g(x, y, FIX)
nbad.grad(f)(x, out=(x, x)) ; nbad.grad(f)(x, out=FIX)

pullback() ; FIX
pullback.batched() ; FIX
pullback(1.0, outt=None) ; FIX
pullback(cts=1.0) ; FIX
pullback(1.0, None, True, 3) ; FIX
pullback.batched(np.ones((2, 3)), acumulate=True) ; FIX
pullback_of_two((x, x), outt=None) ; pullback = pullback_of_two; FIX
pushforward((x, x), outt=None) ; FIX
pushforward.batched((x[None], x[None]), None, True) ; FIX
pullback((x,)) ; ct = (x,); FIX
pullback(()) ; FIX
ct = np.ones(2); | pullback(ct) ; pullback(FIX)
ct = np.ones((3, 1)); | pullback(ct) ; pullback(FIX)
ct = np.ones(1); | pullback(ct) ; pullback(FIX)
ct = "a"; | pullback(ct) ; pullback(np.broadcast_to(np.sum(FIX), 3))
ct = Labelled(x); | pullback(ct) ; pullback(FIX)
ct = np.ones(3, complex); | pullback(ct) ; pullback(FIX)
pullback(1.0, accumulate=True) ; ct, cts = x, (np.zeros(3), np.zeros(3)); FIX
pullback(1.0, out=np.ones(3)) ; pullback(1.0, FIX)
pullback.batched(1.0) ; FIX
pullback.batched((x[None],)) ; cts = (x[None],); FIX
ct = x; | pullback.batched(ct) ; pullback.batched(FIX)
ct = np.ones((5, 2)); | pullback.batched(ct) ; pullback.batched(FIX)
pullback_of_two(x) ; pullback = pullback_of_two; FIX
pullback_of_two((x,)) ; pullback = pullback_of_two; FIX
pullback_of_two([x, x]) ; pullback = pullback_of_two; FIX
pullback_of_two.batched((1.0, 1.0)) ; pullback = pullback_of_two; FIX
pullback_of_two.batched(x[None]) ; pullback = pullback_of_two; FIX
pullback_of_two.batched((np.ones((2, 3)), np.ones((4, 3)))) ; pullback = pullback_of_two; FIX
pullback(None) ; pullback(FIX)
ct = "b"; | pullback_of_two((x, ct)) ; pullback_of_two((x, FIX))
pullback.jacobian(x) ; pullback.jacobian(FIX)
pullback.jacobian(None, True) ; FIX
copy.copy(pushforward) ; FIX
pushforward() ; FIX
pushforward(x) ; FIX
pushforward((x,)) ; FIX
pushforward.batched(x) ; FIX
pushforward.batched((1.0, 1.0)) ; FIX
x_dot = "a"; | pushforward((x_dot, 1.0)) ; pushforward((np.sum(FIX), 1.0))
x_dot = x[:2]; | pushforward((x_dot, 1.0)) ; pushforward((FIX, 1.0))

nbad.kernel(3) ; FIX(x)
nbad.kernel("(3)->()") ; FIX\\ndef h(r): return r @ r\\nh(r)
nbad.kernel(plain, "(3)->()") ; FIX(x)
nbad.kernel(plain, maths="libm") ; FIX(x)
nbad.kernel(plain, statics=("x",)) ; FIX(x)
nbad.kernel(plain, math="libmm") ; nbad.kernel(plain, FIX)(x)
nbad.kernel(plain, math=math) ; nbad.kernel(plain, FIX)(x)
nbad.kernel(plain, max_operations="many") ; nbad.kernel(plain, FIX)(x)
nbad.kernel(plain, max_operations=0) ; nbad.kernel(plain, FIX)(x)
nbad.kernel(plain, static=("y",)) ; nbad.kernel(plain, FIX)
nbad.kernel(plain, static=3) ; nbad.kernel(plain, FIX)
nbad.kernel(plain, signature="(n)->(m)") ; nbad.kernel(plain, FIX)(np.ones(3))
nbad.kernel(plain, signature="(n,m)->(n,p)") ; nbad.kernel(plain, FIX)(np.ones((2, 3)))
nbad.kernel(plain, signature="(n,)->(n") ; nbad.kernel(plain, FIX)(np.ones(4))
nbad.kernel(plain, signature="(3)") ; nbad.kernel(plain, FIX)
nbad.kernel(plain, signature="(3),(3)->(3)") ; nbad.kernel(plain, FIX)(x)
nbad.kernel(plain, signature=3) ; nbad.kernel(plain, FIX)(x)
nbad.kernel(staticmethod(plain)) ; FIX\\n@nbad.kernel\\ndef h(x): return 2.0 * x\\nh(x)
nbad.kernel(property(plain)) ; FIX\\n@nbad.kernel\\ndef h(self): return self.x
nbad.kernel(Doubled) ; FIX(x)
nbad.kernel(np.sin) ; FIX(x)
nbad.kernel(np.hypot) ; FIX(x, y)
nbad.kernel(max) ; FIX(x, y)
def star(*xs): return xs[0] * xs[1]; | nbad.kernel(star) ; FIX(x, y)
nbad.kernel(lambda x: np.array([x, x]))(1.0) ; FIX\\ndef h(x): return np.array([x, x])\\nh(1.0)
nbad.kernel(lambda r: r[:2], signature="(3)->(3)")(r) ; nbad.kernel(lambda r: r[:2], FIX)(r)
f.precompile("int64") ; FIX
f.precompile("foo") ; FIX
f.precompile("float63") ; FIX
nbad.kernel(lambda x: np.sine(x))(x) ; FIX(x)
nbad.kernel(lambda x: np.expp(x))(x) ; FIX(x)
nbad.kernel(lambda x: math.sinus(x))(x) ; FIX(1.0)
nbad.kernel(lambda x: cmath.exp(x))(x) ; FIX(1.0)
nbad.kernel(lambda x: np.linalg.normm(x))(x) ; FIX(x)
nbad.kernel(lambda x: x - np.mean(x))(x) ; FIX; nbad.kernel(lambda x, x_mean: x - x_mean)(x, x_mean)
nbad.kernel(lambda x: np.exp(x) / np.sum(np.exp(x)))(x) ; FIX
nbad.kernel(lambda x: x / x.max())(x) ; FIX; nbad.kernel(lambda x, x_max: x / x_max)(x, x_max)
nbad.kernel(lambda x: np.linalg.norm(x))(x) ; FIX
nbad.kernel(lambda x: np.median(x))(x) ; FIX
nbad.kernel(lambda x: np.percentile(x, 50))(x) ; FIX
nbad.kernel(lambda x: np.roll(x, 1))(x) ; FIX
nbad.kernel(lambda x: np.cumsum(x))(x) ; FIX
nbad.kernel(lambda x: np.any(x > 0) * x)(x) ; FIX
nbad.kernel(lambda x: x + "a")(x) ; x + FIX
nbad.kernel(lambda x: taylor(x, x))(x) ; FIX; taylor(x, order)
nbad.kernel(lambda x: sum([x] * 100), max_operations=10)(x) ; FIX\\ndef h(x): return sum([x] * 100)\\nh(x)
nbad.kernel(lambda x, out: out) ; exec("FIX")

nbad.kernel(lambda a: nbad.solve(3, 1.0, a))(1.0) ; a = 2.0; FIX
nbad.kernel(lambda a: nbad.solve(lambda v: v * v - 2, 1.0, a))(1.0) ; a = 2.0; FIX
nbad.kernel(lambda a: nbad.solve(by_two, 1.0, a, a))(1.0) ; a = 2.0; FIX
nbad.kernel(lambda a: nbad.solve(lambda v: v - a))(1.0) ; residual, start = (lambda v: v - 1.0), 1.0; FIX
nbad.kernel(lambda a: nbad.solve(lambda v: v - a, 1.0, tolerance=1.0))(1.0) ; residual, start = (lambda v: v - 1.0), 1.0; FIX
nbad.sparse_jacobian(g)(x) ; f = g; FIX
nbad.profile(f) ; exec("FIX")
nbad.release_memory(1) ; FIX

nbad.from_sympy()
nbad.from_sympy("x**2", sympy.Symbol("x")) ; nbad.from_sympy(FIX, sympy.Symbol("x"))(x)
nbad.from_sympy(sympy.Symbol("x"), "x") ; FIX
nbad.from_sympy(sympy.eye(2), sympy.symbols("x")) ; M, symbols = sympy.eye(2), sympy.symbols("x"); FIX
nbad.from_sympy(plain, sympy.symbols("x")) ; nbad.from_sympy(FIX, sympy.symbols("x"))
nbad.from_sympy((), sympy.symbols("x")) ; nbad.from_sympy(FIX, sympy.symbols("x"))
nbad.from_sympy(sympy.Eq(sympy.Symbol("x"), 1), sympy.Symbol("x")) ; equation = sympy.Eq(sympy.Symbol("x"), 1); FIX
nbad.from_sympy(sympy.Symbol("x"), sympy.Symbol("x"), name=3) ; nbad.from_sympy(sympy.Symbol("x"), sympy.Symbol("x"), FIX)
nbad.explain()
nbad.explain(f)
nbad.explain(3)
nbad.explain(plain, x) ; nbad.explain(FIX, x)
nbad.explain(f, x, seeds=-1) ; nbad.explain(f, x, FIX)
nbad.show()
nbad.show(3)
nbad.show(plain) ; nbad.show(FIX)
nbad.show(f, "sauce")
nbad.show(f, 3)
nbad.show(f, "llvm", "float16")
nbad.show(f, stages="plan")
nbad.primitive()
nbad.primitive("a b", plain, ["2"]) ; nbad.primitive(FIX, implementation=plain, partials=["2"])
nbad.primitive("sin", plain, ["2"]) ; nbad.primitive(FIX, implementation=plain, partials=["2"])
nbad.primitive("p", math.sin, ["cos(x)"]) ; nbad.primitive("p", FIX, ["cos(x)"])(0.5)
nbad.primitive("p", 3, ["1"]) ; nbad.primitive("p", FIX, ["1"])(0.5)
nbad.primitive("p", lambda x, k=2.0: x, ["1"]) ; f = math.sin; nbad.primitive("p", FIX, ["1"])
nbad.primitive("p", lambda v: v, ["1"]) ; nbad.primitive("p", FIX, ["1"])
nbad.primitive("p", plain, ["1", "2"]) ; nbad.grad(nbad.kernel(nbad.primitive("p", plain, FIX)))(x)
nbad.primitive("p", plain, ["foo(x)"]) ; nbad.primitive("p", plain, FIX)
nbad.primitive("p", plain, [None]) ; nbad.primitive("p", plain, FIX)
nbad.primitive("p", plain, [lambda: 1.0]) ; nbad.primitive("p", plain, [FIX])
nbad.primitive("p", plain, ["2"], 3)
nbad.special.gama
nbad.special.erff ; FIX
nbad.special.erf ; FIX(0.5)
nbad.exp2 ; FIX(0.5)
nbad.special.gamma("a") ; nbad.special.gamma(FIX)
x = Labelled(x); | nbad.special.gamma(x) ; nbad.special.gamma(FIX)
nbad.special.gamma(x, y) ; FIX
nbad.special.xlogy(x) ; FIX
nbad.special.polygamma(1.5, x) ; nbad.special.polygamma(FIX, x=x)
nbad.debugging(True) ; FIX
f.latex("x") ; FIX
nbad.jacobi ; FIX
nbad.gradient
nbad.testing.check_kernel()
nbad.testing.check_kernel(3)
nbad.testing.check_kernel(plain, x) ; nbad.testing.check_kernel(FIX, x)
nbad.testing.check_kernel(f) ; FIX
nbad.testing.check_kernel(f, x, x, x) ; x = np.linspace(0.5, 2.0, 9); y = x; FIX
"""


def rows():
    for row in filter(None, ROWS.splitlines()):
        setup, _, calls = row.rpartition("; | ")
        wrong, _, right = calls.partition(" ; ")
        yield setup, wrong, right or "FIX"


CASES = list(rows())


def refused(wrong, names):
    """The fix line of the error that a wrong call raises, without its comment."""
    line_and_parts = r"\(.*:\d+\)\n[\s\S]*  (got|expected): .*\n[\s\S]*  fix: "
    with pytest.raises(nbad.NbadError, match=line_and_parts) as caught:
        exec(wrong, names)
    text = str(caught.value)
    assert len(text) <= LONGEST
    return text.rpartition("\n  fix: ")[2].partition("  #")[0]


@pytest.mark.parametrize(("setup", "wrong", "right"), CASES, ids=[case[1] for case in CASES])
def test_wrong_calls_and_their_fixes(setup, wrong, right):
    names = namespace()
    exec(setup, names)
    exec(right.replace("FIX", refused(wrong, names)).replace("\\n", "\n"), names)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("value", ARGUMENTS.values(), ids=ARGUMENTS)
def test_wrong_arguments_and_their_fixes(value, call):
    names = namespace()
    exec(f"x = {value}", names)
    names["x"] = eval(refused(call, names), names)
    exec(call, names)
