"""Bad input: a clear error, told by its text, and nothing is lost."""

import math

import numpy as np
import pytest

import nbad
from kernels import decay, polar, square
from nbad.errors import ArgumentTypeError

X = np.linspace(0.5, 2.0, 12)


def kernels_that_return():
    def nothing(x):
        x * 2

    def nothing_on_purpose(x):
        return None

    def a_list(x):
        return [x, x]

    def text(x):
        return "x"

    def a_nested_dict(x):
        return {"x": {"x": x}}

    def a_nested_tuple(x):
        return x, (x, x)

    def an_empty_tuple(x):
        return ()

    def a_condition_in_a_list(x):
        return [x > 0]

    return list(locals().values())


def unknown_function(x):
    return math.ulp(x)


def unknown_numpy_function(x):
    return np.unwrap(x)


def writes(x):
    x[0] = 1.0
    return x


def writes_in_place(x):
    np.sin(x, out=x)
    return x


def opaque(x):
    return complex(x).real


def loops(x):
    values = [x]
    while x > 0:
        x = x - 1
        values.append(x)
    return values[0]


# arguments that nbad refuses, with what the message must say: the argument, what it got, and the fix
REFUSED = {
    "complex": (np.ones(12, complex), r"r is complex[\s\S]*got: dtype complex128[\s\S]*fix: .*r\.real"),
    "python complex": (1j, r"r is complex[\s\S]*fix: .*r\.real"),
    "longdouble": (np.ones(12, np.longdouble), r"r is a long double[\s\S]*fix: r\.astype\(np\.float64\)"),
    "object": (np.array([1.0] * 12, object), r"r holds Python objects[\s\S]*fix: r.astype\(float\)"),
    "None": (None, r"r holds Python objects"),
    "datetime": (np.zeros(12, "M8[s]"), r"r holds datetimes[\s\S]*fix: "),
    "timedelta": (np.zeros(12, "m8[s]"), r"r holds time differences[\s\S]*fix: "),
    "text": ("1.0", r"r holds text[\s\S]*fix: np\.asarray\(r, dtype=float\)"),
    "bytes": (b"1.0", r"r holds bytes"),
    "structured": (np.zeros(12, "f8,f8"), r"r is a structured array[\s\S]*fix: r\['f0'\]"),
    "masked": (np.ma.masked_invalid(X), r"r is a masked array[\s\S]*fix: r\.filled\(np\.nan\)"),
    "ragged": ([[1.0, 2.0], [3.0]], r"r is not an array of numbers[\s\S]*expected: .*equal lengths"),
    "huge int": (10**400, r"r is not an array of numbers"),
}
refused = pytest.mark.parametrize(("value", "text"), REFUSED.values(), ids=REFUSED)


@refused
def test_refused_arguments(value, text):
    for call in (
        lambda: polar(value, X),
        lambda: nbad.vjp(polar, value, X),
        lambda: nbad.jvp(polar, (value, X), (1.0, 1.0)),
        lambda: nbad.jacobian(polar)(value, X),
        lambda: nbad.value_and_jacobian(polar)(value, X),
    ):
        with pytest.raises(TypeError, match=text) as caught:
            call()
        assert isinstance(caught.value, nbad.NbadError)
        assert "polar(r, phi)" in str(caught.value)
        assert "test_bad_input.py" in str(caught.value)


@refused
def test_refused_seeds(value, text):
    _, pullback = nbad.vjp(polar, X, X)
    expected = pullback((1.0, 2.0))
    for call in (lambda: pullback((value, X)), lambda: pullback.batched((value, X[None]))):
        with pytest.raises((TypeError, ValueError), match=text.replace("r ", r"ct\[0\] ", 1).split("[\\s")[0]):
            call()
    np.testing.assert_array_equal(pullback((1.0, 2.0)), expected)


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((2, 3), (2,)), ((0,), (2,)), ((5, 1, 2), (3, 3))], ids=str)
def test_shapes_that_do_not_broadcast(shapes):
    r, phi = map(np.ones, shapes)
    text = r"polar\(r, phi\)`: the arguments do not broadcast[\s\S]*got: r \(.*phi \(.*\n[\s\S]*fix: "
    for call in (lambda: polar(r, phi), lambda: nbad.vjp(polar, r, phi), lambda: nbad.jacobian(polar)(r, phi)):
        with pytest.raises(ValueError, match=text):
            call()


# seeds of the wrong shape or structure

WRONG_SEEDS = {
    "one array for two outputs": (X, "does not have the structure of the value[\\s\\S]*expected: a tuple of 2"),
    "a scalar for two outputs": (1.0, "does not have the structure of the value"),
    "a tuple of one": ((X,), "does not have the structure of the value[\\s\\S]*got: a tuple of 1"),
    "a tuple of three": ((X, X, X), "does not have the structure of the value[\\s\\S]*got: a tuple of 3"),
    "nested": ((X, (X,)), "does not have the structure of the value"),
    "too short": ((X, X[:5]), r"ct\[1\] has a wrong shape[\s\S]*got: shape \(5,\)[\s\S]*expected: shape \(12,\)"),
    "an axis too many": ((X[None], X), r"ct\[0\] has a wrong shape[\s\S]*got: shape \(1, 12\)"),
    "an axis of one": ((X[:1], X), r"ct\[0\] has a wrong shape[\s\S]*fix: np\.broadcast_to\(ct\[0\], \(12,\)\)"),
}


@pytest.mark.parametrize(("ct", "text"), WRONG_SEEDS.values(), ids=WRONG_SEEDS)
def test_wrong_seeds(ct, text):
    _, pullback = nbad.vjp(polar, X, X)
    expected = pullback((1.0, 2.0))
    out = np.full(12, 5.0), np.full(12, 5.0)
    with pytest.raises(ValueError, match=text):
        pullback(ct, out=out)
    assert np.all(np.equal(out, 5.0))
    np.testing.assert_array_equal(pullback((1.0, 2.0)), expected)


WRONG_BATCHES = {
    "no leading axis": ((X, X), r"ct\[0\] has a wrong shape[\s\S]*expected: shape \(S, 12\)"),
    "scalars only": ((1.0, 2.0), r"the number of seeds is not known[\s\S]*got: Python scalars only"),
    "two numbers of seeds": ((np.ones((2, 12)), np.ones((3, 12))), r"the number of seeds is not known[\s\S]*\[2, 3\]"),
    "structure": (np.ones((2, 12)), "does not have the structure of the value"),
    "trailing axis": ((np.ones((12, 2)), 1.0), r"ct\[0\] has a wrong shape"),
}


@pytest.mark.parametrize(("cts", "text"), WRONG_BATCHES.values(), ids=WRONG_BATCHES)
def test_wrong_batches(cts, text):
    _, pullback = nbad.vjp(polar, X, X)
    expected = pullback((1.0, 2.0))
    with pytest.raises(ValueError, match=text):
        pullback.batched(cts)
    np.testing.assert_array_equal(pullback((1.0, 2.0)), expected)


def test_a_tuple_for_a_kernel_of_one_value():
    _, pullback = nbad.vjp(square, X)
    with pytest.raises(ValueError, match=r"does not have the structure of the value[\s\S]*fix: pullback\(ct\[0\]\)"):
        pullback((X,))


# argnums and options


@pytest.mark.parametrize("argnums", [2, -3, "z", (0, 0), ("r", 0), (0, 5), True, (None,), "r,phi"], ids=str)
def test_wrong_argnums(argnums):
    text = r"argnums=.* does not select arguments[\s\S]*names among r, phi[\s\S]*fix: argnums="
    for call in (lambda: nbad.vjp(polar, X, X, argnums=argnums), lambda: nbad.jacobian(polar, argnums)(X, X)):
        with pytest.raises((ValueError, TypeError), match=text):
            call()


def test_a_number_for_argnums():
    with pytest.raises(ValueError, match=r"argnums=1.0 does not select arguments[\s\S]*names among r, phi[\s\S]*fix: argnums="):
        nbad.vjp(polar, X, X, argnums=1.0)
    for verb in ("jacobian", "value_and_jacobian", "hessian", "grad", "value_and_grad"):
        with pytest.raises(TypeError, match=rf"argnums is a number[\s\S]*got: float\n[\s\S]*fix: nbad\.{verb}\(square\)\(x\)"):
            getattr(nbad, verb)(square, 1.0)


ARRAYS = (X, X.reshape(3, 4), X[0], np.arange(12), np.array(1.0))


@pytest.mark.parametrize("verb", ["jacobian", "value_and_jacobian", "hessian", "grad", "value_and_grad"])
@pytest.mark.parametrize("x", ARRAYS, ids=lambda x: f"{x.dtype} {x.shape}")
def test_an_array_for_argnums(verb, x):
    text = r"^argnums is an array: .*\n    .*\n  got: (ndarray|float64)\n  expected: .*\n  fix: (.*)$"
    with pytest.raises(TypeError, match=text) as caught:
        getattr(nbad, verb)(square, x)
    fix = str(caught.value).rpartition("fix: ")[2]
    assert fix == f"nbad.{verb}(square)(x)"
    eval(fix, {"nbad": nbad, "square": square, "x": x.astype(float)})


@pytest.mark.parametrize("xs", [X.tolist(), (X,), (X, X)], ids=["list", "tuple", "two"])
def test_arguments_for_argnums_make_short_errors(xs):
    for call in (
        lambda: nbad.jacobian(square, xs)(X),
        lambda: nbad.value_and_grad(square, xs),
        lambda: nbad.vjp(square, X, argnums=xs),
        lambda: nbad.jacobian(square, 0, X),
    ):
        with pytest.raises(ValueError, match=r"does not select|unknown mode") as caught:
            call()
        assert len(str(caught.value)) < 500
    with pytest.raises(TypeError, match=r"^argnums is an array[\s\S]*fix: argnums=0$"):
        nbad.vjp(square, X, argnums=X)


def test_wrong_options():
    with pytest.raises(ValueError, match=r"unknown residual policy[\s\S]*got: 'all'[\s\S]*'partials'"):
        nbad.vjp(polar, X, X, residuals="all")
    with pytest.raises(ValueError, match=r"unknown mode[\s\S]*got: 'sideways'"):
        nbad.jacobian(polar, mode="sideways")
    with pytest.raises(ValueError, match=r"unknown library[\s\S]*'simd' or 'libm'"):
        nbad.kernel(lambda x: x, math="fast")


@pytest.mark.parametrize("call", [lambda f: nbad.vjp(f, X), lambda f: nbad.jacobian(f), lambda f: nbad.jvp(f, (X,), (1.0,))])
def test_a_plain_function_is_no_kernel(call):
    with pytest.raises(TypeError, match=r"not a kernel[\s\S]*got: function[\s\S]*fix: nbad\.kernel\(f\)"):
        call(lambda x: x)


def test_wrong_number_of_arguments():
    for call in (lambda: polar(X), lambda: polar(X, X, X), lambda: nbad.vjp(polar, X), lambda: polar(X, psi=X)):
        with pytest.raises(TypeError, match=r"polar\(r, phi\)`: .*argument[\s\S]*fix: (nbad\.vjp\(polar, |polar\()r, phi\)"):
            call()


def test_wrong_tangents():
    for verb in (nbad.jvp, nbad.hvp):
        name = verb.__name__
        text = rf"`nbad\.{name}\(polar, primals, tangents\)`: there must be one tangent per argument\n.*\n  got: 1 tangent\n"
        fix = rf"nbad\.{name}\(polar, \(r, phi,\), \(1\.0, 1\.0,\)\)"
        with pytest.raises(ValueError, match=rf"{text}  expected: a tuple of 2: r, phi\n  fix: {fix}"):
            verb(polar, (X, X), (1.0,))
    with pytest.raises(ValueError, match=r"the tangent of phi has a wrong shape[\s\S]*got: shape \(3,\)"):
        nbad.jvp(polar, (X, X), (1.0, X[:3]))
    with pytest.raises(TypeError, match=r"primals is not a tuple[\s\S]*fix: nbad\.jvp\(square, \(x,\), \(1\.0,\)\)"):
        nbad.jvp(square, X, (1.0,))
    with pytest.raises(TypeError, match=r"phi has no derivative, so its tangent must be 0"):
        nbad.jvp(polar, (X, np.arange(12)), (1.0, 1.0))


# out


def read_only():
    a = np.full(12, 5.0)
    a.flags.writeable = False
    return a


WRONG_OUT = {
    "too small": (lambda x: np.full(5, 5.0), r"has a wrong shape[\s\S]*got: shape \(5,\)[\s\S]*fix: np\.empty\(\(12,\)"),
    "too large": (lambda x: np.full(13, 5.0), r"has a wrong shape"),
    "broadcastable": (lambda x: np.full((1, 12), 5.0), r"has a wrong shape"),
    "float32": (lambda x: np.full(12, 5.0, np.float32), r"has a wrong dtype, and out= is never cast[\s\S]*got: dtype float32"),
    "integer": (lambda x: np.full(12, 5), r"has a wrong dtype"),
    "big-endian": (lambda x: np.full(12, 5.0, ">f8"), r"has a wrong dtype[\s\S]*got: dtype >f8"),
    "read-only": (lambda x: read_only(), r"is read-only[\s\S]*expected: a writeable array"),
    "repeated memory": (lambda x: np.lib.stride_tricks.as_strided(np.full(1, 5.0), (12,), (0,)), r"overlaps itself"),
    "overlapping memory": (lambda x: np.lib.stride_tricks.as_strided(np.full(12, 5.0), (12,), (4,)), r"overlaps itself"),
    "a list": (lambda x: [5.0] * 12, r"is not an array[\s\S]*got: list"),
    "the input": (lambda x: x, r"overlaps an input[\s\S]*fix: np\.empty"),
    "a view of the input": (lambda x: x[::-1], r"overlaps an input"),
    "a tuple": (lambda x: (np.full(12, 5.0),) * 2, r"structure of the result|is not an array"),
}
wrong_out = pytest.mark.parametrize(("make", "text"), WRONG_OUT.values(), ids=WRONG_OUT)


@wrong_out
def test_wrong_out_of_a_call(make, text):
    x = X.copy()
    out = make(x)
    before = np.array(out)
    with pytest.raises((ValueError, TypeError), match=text) as caught:
        square(x, out=out)
    assert isinstance(caught.value, nbad.NbadError)
    np.testing.assert_array_equal(out, before)
    np.testing.assert_array_equal(x, X)


@wrong_out
def test_wrong_out_of_a_pullback(make, text):
    _, pullback = nbad.vjp(square, X)
    seed = X.copy()
    out = make(seed)
    before = np.array(out)
    with pytest.raises((ValueError, TypeError), match=text.replace("a tuple", "")):
        pullback(seed, out=out if isinstance(out, tuple) else (out,))
    np.testing.assert_array_equal(out, before)
    np.testing.assert_array_equal(seed, X)
    np.testing.assert_array_equal(pullback(seed)[0], 2 * X * X)


def test_out_structure():
    a, b = np.full((2, 12), 5.0)
    for out in (a, [a, b], (a,), (a, b, a)):
        with pytest.raises((ValueError, TypeError), match=r"structure of the result[\s\S]*expected: a tuple of 2 arrays"):
            polar(X, X, out=out)
    with pytest.raises(ValueError, match="overlaps an input or another result"):
        polar(X, X, out=(a, a))
    _, pullback = nbad.vjp(polar, X, X)
    with pytest.raises((ValueError, TypeError), match=r"structure of the result[\s\S]*expected: a tuple of 2 arrays"):
        pullback((1.0, 1.0), out=a)
    assert np.all(a == 5.0)
    assert np.all(b == 5.0)


def test_out_may_overlap_the_argument_of_a_finished_vjp():
    x = X.copy()
    _, pullback = nbad.vjp(square, x)
    pullback(1.0, out=(x,))
    np.testing.assert_array_equal(x, 2 * X)


def test_accumulate_needs_out():
    _, pullback = nbad.vjp(square, X)
    with pytest.raises(TypeError, match=r"nothing to add to[\s\S]*fix: pullback\(ct, out=cts, accumulate=True\)"):
        pullback(1.0, accumulate=True)


def test_out_of_a_jacobian():
    with pytest.raises(ValueError, match=r"out= for out has a wrong shape[\s\S]*expected: shape \(12, 2, 2\)"):
        nbad.jacobian(polar)(X, X, out=np.empty((12, 4)))


# kernels


@pytest.mark.parametrize("function", kernels_that_return(), ids=lambda f: f.__name__)
def test_kernels_that_return_no_numbers(function):
    f = nbad.kernel(function)
    text = rf"kernel `{function.__name__}` .*return[\s\S]*test_bad_input\.py:\d+[\s\S]*fix: "
    with pytest.raises(TypeError, match=text) as caught:
        f(X)
    assert isinstance(caught.value, nbad.NbadError)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (unknown_function, r"math\.ulp\(x\)[\s\S]*test_bad_input\.py"),
        (unknown_numpy_function, r"np\.unwrap\(x\)[\s\S]*test_bad_input\.py"),
        (writes, r"x\[0\] = 1\.0[\s\S]*test_bad_input\.py[\s\S]*fix: return the new value"),
        (writes_in_place, r"return x[\s\S]*test_bad_input\.py[\s\S]*fix: y = np\.array\(y\)"),
        (opaque, r"complex\(x\).real[\s\S]*test_bad_input\.py[\s\S]*fix: "),
        (loops, r"changes the length of the list[\s\S]*test_bad_input\.py[\s\S]*fix: values = \["),
    ],
    ids=lambda p: getattr(p, "__name__", ""),
)
def test_kernels_that_cannot_be_traced(function, text):
    f = nbad.kernel(function)
    for call in (lambda: f(X), lambda: nbad.vjp(f, X), lambda: nbad.jvp(f, (X,), (1.0,)), lambda: nbad.jacobian(f)(X)):
        with pytest.raises(TypeError, match=text) as caught:
            call()
        assert isinstance(caught.value, nbad.NbadError)
        assert f"`{function.__name__}`" in str(caught.value)


@pytest.mark.parametrize("name", ["out", "argnums", "residuals", "seeds", "max_bytes"])
def test_reserved_parameter_names(name):
    scope = {}
    exec(f"def taken(x, {name}): return x", scope)
    what = rf"kernel `taken` has a parameter named `{name}`[\s\S]*fix: def taken\(.*{name}_.*\): \.\.\.$"
    with pytest.raises(TypeError, match=what):
        nbad.kernel(scope["taken"])


def test_star_arguments():
    def star(*xs):
        return xs[0]

    with pytest.raises(TypeError, match=r"kernel `star` takes `\*xs`[\s\S]*fix: nbad\.kernel\(lambda x, y: star\(x, y\)\)"):
        nbad.kernel(star)


def test_decorating_what_is_no_function():
    with pytest.raises(TypeError, match=r"fn is not a function[\s\S]*got: int"):
        nbad.kernel(3)


def test_after_every_error_a_kernel_still_works():
    with pytest.raises(ValueError, match="do not broadcast"):
        decay(np.ones(3), np.ones(4))
    with pytest.raises(TypeError, match="x is complex"):
        decay(1j, 1.0)
    np.testing.assert_allclose(decay(X, 0.5), np.exp(-0.5 * X), rtol=1e-14)


@pytest.mark.parametrize(("function", "names"), [(max, "x, y"), (int, "x"), (np.exp, "x"), (np.hypot, "x, y")])
def test_kernel_of_a_function_whose_parameters_nobody_knows(function, names):
    name = function.__name__
    fix = rf"nbad\.kernel\(lambda {names}: (np\.)?{name}\({names}\)\)"
    with pytest.raises(TypeError, match=rf"know the parameters of {name}[\s\S]*fix: {fix}$"):
        nbad.kernel(function)


def test_a_keyword_only_argument_is_never_positional():
    @nbad.kernel
    def f(x, *, y):
        return x * y

    assert f(2.0, y=3.0) == 6.0
    with pytest.raises(TypeError, match=r"too many positional arguments[\s\S]*fix: f\(x, y=y\)"):
        f(2.0, 3.0)
    with pytest.raises(TypeError, match="too many positional arguments"):
        nbad.vjp(f, 2.0, 3.0)


@pytest.mark.parametrize(("call", "meant"), [
    ("pullback(1.0, outt=None)", "out="), ("pullback(cts=1.0)", "ct="),
    ("pullback.batched(X[None], acumulate=True)", "accumulate="),
    ("pushforward((1.0,), oout=None)", "out="), ("pushforward.batched(tangent=(X[None],))", "tangents="),
])  # fmt: skip
def test_unknown_keywords_of_linear_maps(call, meant):
    pullback, pushforward = nbad.vjp(square, X)[1], nbad.linearize(square, X)[1]
    with pytest.raises(ArgumentTypeError, match=rf"(?s)^`{call.partition('(')[0]}\(.*did you mean: {meant}.*fix: "):
        eval(call, {"X": X, "pullback": pullback, "pushforward": pushforward})
