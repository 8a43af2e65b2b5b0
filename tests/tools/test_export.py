"""Exported modules: they run where neither nbad nor sympy can be imported, with nbad's own bits, and in plain Python."""

import ast
import functools
import importlib.util
import math
import operator
import re
import runpy
import subprocess
import sys
import types
from collections import namedtuple

import numba
import numpy as np
import pytest
from helpers.gallery import kernels, whole_sample

import nbad
from nbad.tools.cli import main

FAST = ["activations.relu", "arc_distance.arc_distance"]
SLOW = sorted(kernels())
RUN = """
import pickle, sys, warnings
sys.modules["nbad"] = sys.modules["sympy"] = None
warnings.simplefilter("error")
warnings.filterwarnings("ignore", message="Numba extension module 'nbad")  # which is installed here
import numpy as np
with open("given.pickle", "rb") as file:
    given = pickle.load(file)
made = {}
for name, (xs, seeds) in given.items():
    module = __import__(name)
    y, pullback = module.vjp(*xs)
    y = tuple(y) if isinstance(y, tuple) else y
    kept = [part.tobytes() for part in pullback.batched(seeds)]
    assert kept == [part.tobytes() for part in pullback.batched(seeds)]
    taken = dict.fromkeys(y) if isinstance(y, dict) else None
    first = {key: seeds[key][0] for key in y} if taken else tuple(s[0] for s in seeds) if isinstance(seeds, tuple) else seeds[0]
    one = pullback(first)
    value = module.value(*xs)
    assert getattr(value, "_fields", None) == getattr(getattr(module, "Result", None), "_fields", None)
    value = tuple(value) if isinstance(value, tuple) else value
    made[name] = y, value, pullback.batched(seeds), one, module.jacobian(*xs)
with open("made.pickle", "wb") as file:
    pickle.dump(made, file)
"""


def leaves(y):
    return list(y.values()) if isinstance(y, dict) else list(y) if isinstance(y, tuple) else [y]


def in_structure(y, parts):
    return dict(zip(y, parts, strict=True)) if isinstance(y, dict) else tuple(parts) if isinstance(y, tuple) else parts[0]


def compare(run_python, folder, cases, is_exact=True, dtype=np.float64, **options):
    """Run exported kernels in a process of their own, and compare all with nbad."""
    import pickle

    given, expected, rng = {}, {}, np.random.default_rng(0)
    for name, (kernel, xs) in cases.items():
        (folder / f"{name}.py").write_text(nbad.export(kernel, dtype, **options))
        names = [p for p in kernel.parameters if p not in kernel.static]
        passed = dict(zip(names, xs, strict=True))
        y, pullback = nbad.vjp(kernel, argnums=tuple(names), **passed)
        seeds = in_structure(y, [rng.normal(size=(3, *np.shape(leaf))).astype(dtype) for leaf in leaves(y)])
        given[name] = xs, seeds
        expected[name] = y, pullback.batched(seeds), nbad.jacobian(kernel, tuple(names))(**passed)
    (folder / "given.pickle").write_bytes(pickle.dumps(given))
    run_python(RUN, NUMBA_DISABLE_JIT=str(int(not is_exact)))
    close = dict(rtol=1e-9, atol=1e-12) if dtype is np.float64 else dict(rtol=2e-4, atol=1e-5)
    for name, (y, value, many, one, blocks) in pickle.loads((folder / "made.pickle").read_bytes()).items():
        for got, same, wanted in zip(leaves(y), leaves(value), leaves(expected[name][0]), strict=True):
            assert np.shape(got) == np.shape(wanted)
            assert np.asarray(got).dtype == dtype
            np.testing.assert_array_equal(got, same)
            if is_exact:
                np.testing.assert_array_equal(got, wanted, err_msg=name)
            np.testing.assert_allclose(got, wanted, err_msg=name, **close)
        for got, first, wanted in zip(many, one, expected[name][1], strict=True):
            np.testing.assert_allclose(got, wanted, err_msg=name, **close)
            np.testing.assert_array_equal(got[0], first)
        np.testing.assert_allclose(blocks, expected[name][2], err_msg=name, **close)
    return expected


def of_gallery(names, n):
    found = kernels()
    cases = {}
    for name in names:
        module, kernel = found[name]
        xs = [x for x, p in zip(whole_sample(module, kernel, n), kernel.parameters, strict=True) if p not in kernel.static]
        cases[name.replace(".", "_")] = kernel, [np.asarray(x, float) for x in xs]
    return cases


def own_cases():
    """What the gallery does not have: broadcasting, numbers, a namedtuple, a dict, arguments that are not used."""
    Pair = namedtuple("Pair", "left right")

    @nbad.kernel
    def pair(a, b=2.0):
        return Pair(left=a * b, right=a - b)

    @nbad.kernel
    def table(a, b, unused):
        return {"product": a * b, "two": 2.0 * b}

    @nbad.kernel(signature="(3),()->(2)")
    def ends(r, s):
        """Both \\ends, and \"\"\"quotes\"\"\"."""
        return [r[0] * s, r[2] * r[2]]

    rng = np.random.default_rng(4)
    return {
        "pair": (pair, [rng.random((600, 2)), np.float64(3.0)]),
        "table": (table, [rng.random((4, 1)), rng.random(300), 1.0]),
        "ends": (ends, [rng.random((5, 1, 3)), rng.random((1, 4))]),
    }


def test_exported_kernels_have_nbads_bits(run_python, tmp_path):
    compare(run_python, tmp_path, of_gallery(["activations.sigmoid"], 1000))


def test_exported_kernels_run_in_plain_python(run_python, tmp_path):
    compare(run_python, tmp_path, {**of_gallery(FAST, 5), **own_cases(), **looping_cases()}, is_exact=False)


@pytest.mark.slow
def test_structures_broadcasting_and_vectors(run_python, tmp_path):
    compare(run_python, tmp_path, own_cases())


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_the_gallery_exported(run_python, tmp_path, name):
    compare(run_python, tmp_path, of_gallery([name], 1000))


@pytest.mark.slow
def test_the_gallery_in_plain_python(run_python, tmp_path):
    compare(run_python, tmp_path, of_gallery(SLOW, 3), is_exact=False)


@pytest.mark.slow
@pytest.mark.parametrize("residuals", ["partials", "mincut", "recompute"])
def test_policies(run_python, tmp_path, residuals):
    compare(run_python, tmp_path, of_gallery(["black_scholes.price"], 1000), residuals=residuals)


@pytest.mark.slow
def test_single_precision(run_python, tmp_path):
    cases = of_gallery(["black_scholes.price", "lennard_jones.lennard_jones"], 1000)
    single = {name: (kernel, [x.astype(np.float32) for x in xs]) for name, (kernel, xs) in cases.items()}
    compare(run_python, tmp_path, single, dtype=np.float32)


def test_sums_do_not_depend_on_the_number_of_seeds(interpreted):
    scaled, x = interpreted(nbad.kernel(lambda x, a: x * a)), np.random.default_rng(0).normal(size=1000)
    pullback = scaled.vjp(x, 2.0)[1]
    one, many = pullback(1.0)[1], pullback.batched(np.ones((3, 1000)))[1]
    blocks = [functools.reduce(operator.add, x[k : k + 256].tolist()) for k in range(0, 1000, 256)]
    assert one == (blocks[0] + blocks[1]) + (blocks[2] + blocks[3])
    assert many.tolist() == [one] * 3
    assert [ct.shape for ct in pullback.batched(np.ones((0, 1000)))] == [(0, 1000), (0,)]
    assert [ct.shape for ct in scaled.vjp(np.ones(0), 2.0)[1].batched(np.ones((2, 0)))] == [(2, 0), (2,)]


def test_elements_without_a_value_raise(interpreted):
    @nbad.kernel
    def root(x):
        if x < 0:
            raise ValueError("negative")
        return np.sqrt(x)

    exported = interpreted(root)
    assert exported.value(4.0) == 2.0
    with pytest.raises(ValueError, match=r'`root`: element \(1, 0\), one of 2: raise ValueError\("negative"\) \(test_export'):
        exported.vjp(np.array([[1.0, 4.0], [-1.0, -4.0]]))
    for wrong in (1j, "text"):
        with pytest.raises(TypeError, match="`root`: x has the dtype"):
            exported.value(wrong)


@numba.njit
def helper(x):
    return SCALE * x


SCALE = 3.0


def own_function(x):
    return helper(x) * np.sin(x)


def test_the_users_own_functions_come_along(interpreted):
    wave = nbad.primitive("wave", own_function, [lambda x, v: 3.0 * (np.sin(x) + x * np.cos(x))])
    squared = nbad.primitive("squared", lambda x: x * x, ["2*x"])
    f = nbad.kernel(lambda x: wave(x) + squared(x))
    text = nbad.export(f)
    assert "SCALE = 3.0" in text
    assert "def helper(x):" in text
    exported = interpreted(f)
    np.testing.assert_allclose(exported.value(0.5), 1.5 * math.sin(0.5) + 0.25, rtol=1e-14)
    np.testing.assert_allclose(exported.jacobian(0.5), [[3.0 * (math.sin(0.5) + 0.5 * math.cos(0.5)) + 1.0]], rtol=1e-14)


LIMIT = math.inf


def test_constants_that_elements_choose_are_divided_as_compiled_code_divides_them(interpreted):
    """Python's own numbers raise."""
    exported = interpreted(nbad.kernel(lambda x: x + 1.0 / (0.0 if x > 0.0 else 1.0)))
    np.testing.assert_array_equal(exported.value([2.0, -2.0]), [np.inf, -1.0])
    greatest = interpreted(nbad.kernel(lambda x: np.max(x), signature="(3)->()"))
    np.testing.assert_array_equal(greatest.jacobian([[5.0, 1.0, 5.0]]), [[[0.5, 0.0, 0.5]]])
    assert np.isnan(greatest.value([1.0, np.nan, 3.0]))


def test_numbers_that_python_writes_no_literals_for(interpreted):
    below = nbad.primitive("below", lambda x: 0.0 + x if x < LIMIT else -LIMIT, ["1.0"])
    f = nbad.kernel(lambda x, high=math.inf, low=-math.inf, none=math.nan: min(max(below(x), low), high) + 0.0 * (none == none))
    exported = interpreted(f)
    assert exported.value(2.0) == 2.0
    assert exported.value(2.0, 1.0) == 1.0
    vectors = nbad.kernel(lambda x, high=(1.0, math.inf): x * (high[1] > 1e9), signature="(),(2)->()")
    assert interpreted(vectors).value(2.0) == 2.0


@pytest.mark.parametrize("name", ["_run", "_blocks", "Pullback", "np", "math", "element", "shape", "v2", "x", "OUTPUTS"])
def test_parameters_may_have_any_name(interpreted, name):
    """Also those that the module has for itself."""
    exported = interpreted(nbad.kernel(eval(f"lambda {name}, other: {name} * {name} * other", {})))
    y, pullback = exported.vjp(2.0, 3.0)
    assert (y, *pullback(1.0)) == (12.0, 12.0, 4.0)
    assert exported.value(**{name: 2.0}, other=3.0) == 12.0
    assert exported.jacobian(2.0, 3.0).tolist() == [[12.0, 4.0]]


@pytest.mark.parametrize("name", ['a "b" {c}', "back\\slash", "zero\0", "half \udc80"])
def test_kernels_may_have_any_name(interpreted, name):
    """Which stands in docstrings, and in messages."""
    exported = interpreted(nbad.kernel(types.FunctionType((lambda x: x * x).__code__, {}, name)))
    assert exported.value(2.0) == 4.0
    with pytest.raises(TypeError, match=f"`{re.escape(name)}`: x has the dtype"):
        exported.value("text")


@pytest.mark.parametrize("said", ["zero\0", "half \udc80", 'a "b" {c}', "back\\slash", "two\nlines"])
def test_what_kernels_say_and_the_files_of_kernels_may_have_any_character(interpreted, said):
    code = "def f(x):\n    y = math.exp(x)\n    return y * math.sin(y)\n"
    exec(compile(code, f'"""{said}'.replace("\0", ""), "exec"), found := {"math": math})
    found["f"].__doc__ = said
    exported = interpreted(nbad.kernel(found["f"]))
    assert exported.value(0.0) == math.sin(1.0)
    assert said in exported.__doc__


def test_fields_may_have_names_of_pythons(interpreted):
    Pair = namedtuple("Pair", "left class", rename=True)
    y = interpreted(nbad.kernel(lambda x: Pair(2.0 * x, x))).value(3.0)
    assert (y._fields, *y) == (("left", "_1"), 6.0, 3.0)


def test_what_is_passed_by_name_only_stays_so(interpreted):
    def power(x, high=2.0, *, low):
        return (x - low) * high

    exported = interpreted(nbad.kernel(power))
    y, pullback = exported.vjp(3.0, low=1.0)
    assert (y, *pullback(1.0)) == (4.0, 2.0, 2.0, -2.0)
    with pytest.raises(TypeError, match="positional"):
        exported.value(3.0, 2.0, 1.0)


def test_names_of_the_users_functions_are_one_thing_each():
    value = numba.njit(lambda x: 2.0 * x)
    outer = nbad.primitive("outer", lambda x: value(x), ["2.0"])
    with pytest.raises(TypeError, match="the kernel uses `value`, whose name the module has for itself"):
        nbad.export(nbad.kernel(lambda x: outer(x)))

    def scaled(name, factor):
        return nbad.primitive(name, lambda x: factor * x, [str(factor)])

    twice, thrice = scaled("twice", 2.0), scaled("thrice", 3.0)
    assert "factor = 2.0" in nbad.export(nbad.kernel(lambda x: twice(x) + scaled("double", 2.0)(x)))
    with pytest.raises(TypeError, match="the kernel uses `factor`, and another thing of that name"):
        nbad.export(nbad.kernel(lambda x: twice(x) + thrice(x)))


def test_calls_of_functions_do_not_wait_for_one_another():
    """Where they stand close, and results are few; in loops on data, too."""

    def width(kernel):
        return re.search(r"^WIDE = (.*)  #", nbad.export(kernel), re.MULTILINE)[1]

    assert [width(kernels()[name][1]) for name in ("activations.mish", "lambert_w.lambert_w")] == ["max(LINE, 4 * LANES)"] * 2
    assert width(nbad.kernel(lambda x: np.exp(x), math="libm")) == "LINE"
    assert width(kernels()["black_scholes.price"][1]) == "max(LINE, 2 * LANES)"  # of 11 results
    assert width(nbad.kernel(lambda x: np.exp(x).sum(), signature="(9)->()")) == "LINE"
    assert width(nbad.kernel(lambda x: np.exp(x) * sum(x**k for k in range(1, 9)))) == "max(LINE, 2 * LANES)"


def test_only_a_module_that_its_name_leads_to_is_cached(interpreted, tmp_path, monkeypatch):
    """Without a file Numba finds no place for it; and a later process imports, by its name, the module of what it finds there."""

    def is_cached(module):
        return vars(module)["OPTIONS"]["cache"]

    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "twice.py"
    path.write_text(nbad.export(nbad.kernel(lambda x: 2.0 * x)))
    spec = importlib.util.spec_from_file_location("loaded_alone", path)
    spec.loader.exec_module(alone := importlib.util.module_from_spec(spec))
    ran = types.SimpleNamespace(**runpy.run_path(str(path)))
    modules = interpreted(nbad.kernel(lambda x: 2.0 * x)), alone, ran, importlib.import_module("twice")
    assert [*map(is_cached, modules)] == [False, False, False, True]
    assert is_cached(types.SimpleNamespace(**runpy.run_path(str(path), run_name="__main__")))


def test_what_cannot_stand_alone_is_refused():
    def raises(x):
        if x < 0:
            raise ValueError
        return x

    def reads(x):
        return x * outer[0]

    outer = np.ones(3)
    rows = {
        "needs `scipy.special.j0`, for its value or a derivative": nbad.kernel(lambda x: nbad.special.j0(x)),
        "calls `careful`, which raises": nbad.kernel(nbad.primitive("careful", raises, ["1"])),
        "calls `reader`, which uses `outer`": nbad.kernel(nbad.primitive("reader", reads, ["1"])),
        "takes no numbers": nbad.kernel(lambda n=3: 2.0 * n, static=("n",)),
    }
    for what, kernel in rows.items():
        with pytest.raises(TypeError, match=f"the kernel {what}"):
            nbad.export(kernel)


def test_the_module_is_read_with_pleasure(tmp_path):
    texts = {name: nbad.export(kernels()[name][1]) for name in [*FAST, "lambert_w.lambert_w", "black_scholes.price"]}
    for name, text in texts.items():
        assert ast.get_docstring(ast.parse(text)).startswith("The kernel `")
        (tmp_path / f"{name.replace('.', '_')}.py").write_text(text)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--isolated",
            "--line-length=130",
            "--select=E,F,W,I,B,UP,RUF,SIM",
            "--ignore=SIM108",
            ".",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "# discounted = k * exp(-r * t)" in texts["black_scholes.price"]


def test_the_command(tmp_path, capsys):
    path = tmp_path / "area.py"
    path.write_text("import nbad\n\n\n@nbad.kernel\ndef area(a, b):\n    return a * b\n")
    assert main(["export", str(path), "-o", str(tmp_path / "made.py")]) == 0
    assert main(["export", f"{path}:area"]) == 0
    assert capsys.readouterr().out == (tmp_path / "made.py").read_text()
    assert main(["export", f"{path}:volume"]) == 2
    assert main(["export", str(path), "-o", str(tmp_path / "no" / "made.py")]) == 2
    assert "`nbad export" in capsys.readouterr().err


def test_shown_kernels_are_those_of_the_module():
    f = nbad.kernel(lambda x: x * x)
    shown = nbad.show(f, "numba")
    assert shown.strip() in nbad.export(f, residuals="partials")
    assert "def forward(x, y, residuals):" in shown
    assert "np.float32" in nbad.show(nbad.kernel(lambda x: x * 0.1), "numba", "float32")


def halvings(x):
    n = 0.0
    while x > 1.0:
        x, n = x / 2.0, n + 1.0
    return x, n


def looping_cases():
    @nbad.kernel
    def two_loops(x, y):
        a, n = halvings(x)
        b, m = halvings(y + n) if x > 3.0 else (y, a)
        return a * b + m

    @nbad.kernel
    def nested(x, y):
        total = 0.0
        while x > 1.0:
            x, total = x / 2.0, total + halvings(y + x)[0]
        return total * x

    rng = np.random.default_rng(8)
    return {f.__name__: (f, [rng.uniform(0.0, 9.0, 70), rng.uniform(0.0, 9.0, 70)]) for f in (two_loops, nested)}


@pytest.mark.slow
def test_loops_have_nbads_bits(run_python, tmp_path):
    compare(run_python, tmp_path, looping_cases())


def test_loops_that_do_not_end_raise(interpreted):
    exported = interpreted(nbad.kernel(lambda x: halvings(x)[0], max_passes=3))
    assert exported.value(8.0) == 1.0
    with pytest.raises(RuntimeError, match=r"`<lambda>`: element \(1,\), one of 1: while x > 1.0:"):
        exported.value([8.0, 9.0, 1.0])


def test_arguments_that_mean_more_are_refused(interpreted):
    class Labelled:
        def __array_ufunc__(self, *args, **options):
            raise AssertionError("asked")

    exported = interpreted(nbad.kernel(lambda x: 1.0 / x))
    for wrong in (np.ma.ones(3), Labelled()):
        with pytest.raises(TypeError, match=f"`<lambda>`: x is a {type(wrong).__name__}, whose labels, units or mask"):
            exported.value(wrong)
    np.testing.assert_array_equal(exported.value([0.0, 2.0, -0.0]), [np.inf, 0.5, -np.inf])
    assert exported.vjp(0.0)[1](1.0) == (-np.inf,)
