"""Kernels as functions of JAX's arrays: right values are JAX's own, in float64, for the same formulas."""

import math
import pickle

import numpy as np
import pytest
from helpers.late import Late

import nbad

jax, jnp = Late("jax"), Late("jax.numpy")
sweeps, ffi, random = Late("nbad.partners.jax_sweeps"), Late("nbad.partners.jax_ffi"), Late("jax.random")


def function(f):
    return nbad.integrations.jax.function(f)


@nbad.kernel
def wave(a, b):
    return a * math.sin(b) + a**3, math.exp(a * b)


@nbad.kernel(signature="(2),(2,2),()->(2),()")
def affine(x, m, shift):
    """The second output is infinitely steep at 0."""
    return m @ x + shift, math.sqrt(x[0])


@nbad.kernel
def root(x):
    if x < 0:
        raise ValueError(f"{x} is negative")
    return math.sqrt(x)


def native_wave(a, b):
    return a * jnp.sin(b) + a**3, jnp.exp(a * b)


def native_affine(x, m, shift):
    return (m @ x[..., None])[..., 0] + shift[..., None], jnp.sqrt(x[..., 0] + 0 * shift + 0 * m[..., 0, 0])


def squares(h):
    return lambda *xs: sum((y * y).sum() for y in h(*xs))


@pytest.fixture
def double():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture
def ab(double):
    return [random.uniform(random.key(k), shape) for k, shape in enumerate(((4, 1), (3,)))]


@pytest.fixture
def vectors(double):
    return [random.uniform(random.key(k), shape) + 0.5 for k, shape in enumerate(((3, 2), (2, 2), (2, 1)))]


@pytest.fixture
def by_python(monkeypatch):
    """No version of XLA's interface is known."""
    monkeypatch.setattr("nbad.partners.jax_ffi.version", lambda: (-1, -1))
    sweeps._compiled.cache_clear()
    jax.clear_caches()
    yield
    sweeps._compiled.cache_clear()
    jax.clear_caches()


def same(got, expected, rtol=1e-11):
    got, expected = (jax.tree_util.tree_leaves(tree) for tree in (got, expected))
    assert [(g.shape, g.dtype) for g in got] == [(e.shape, e.dtype) for e in expected]
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(np.asarray(g, float), np.asarray(e, float), rtol=rtol, atol=1e-12 if rtol < 1e-8 else 1e-6)


def everything(xs):
    return tuple(range(len(xs)))


WAYS = {
    "jit": lambda h, xs: jax.jit(h)(*xs),
    "grad": lambda h, xs: jax.grad(squares(h), everything(xs))(*xs),
    "jit of grad": lambda h, xs: jax.jit(jax.grad(squares(h), everything(xs)))(*xs),
    "grad of jit": lambda h, xs: jax.grad(jax.jit(squares(h)), 1)(*xs),
    "jvp": lambda h, xs: jax.jvp(h, tuple(xs), tuple(2 * x for x in xs)),
    "linearize": lambda h, xs: jax.linearize(h, *xs)[1](*xs),
    "jacrev": lambda h, xs: jax.jacrev(h, everything(xs))(*xs),
    "jacfwd": lambda h, xs: jax.jacfwd(h, everything(xs))(*xs),
    "jacrev of jacrev": lambda h, xs: jax.jacrev(jax.jacrev(h, everything(xs)), everything(xs))(*xs),
    "jacfwd of jacfwd": lambda h, xs: jax.jacfwd(jax.jacfwd(h, everything(xs)), everything(xs))(*xs),
    "jacrev of jacfwd": lambda h, xs: jax.jacrev(jax.jacfwd(h, 1))(*xs),
    "hessian": lambda h, xs: jax.jit(jax.hessian(squares(h), everything(xs)))(*xs),
    "checkpoint": lambda h, xs: jax.grad(jax.checkpoint(squares(h)))(*xs),
    "third order": lambda h, xs: jax.jacrev(jax.jacfwd(jax.grad(squares(h))))(*xs),
}


def test_values_and_gradients(ab):
    """Of one transform: the other ways are tested every night."""
    of = jax.jit(jax.value_and_grad(squares(function(wave)), (0, 1)))
    same(of(*ab), jax.value_and_grad(squares(native_wave), (0, 1))(*ab))


def test_bits_are_those_of_the_kernel(ab):
    big = [random.uniform(random.key(k), (70_000,)) for k in range(2)]
    for xs in (ab, big, [x.astype("float32") for x in ab]):
        for got, expected in zip(jax.jit(function(wave))(*xs), wave(*map(np.asarray, xs)), strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("kernel", "native", "given"), [(wave, native_wave, "ab"), (affine, native_affine, "vectors")])
def test_transforms(way, kernel, native, given, request):
    xs = request.getfixturevalue(given)
    same(WAYS[way](function(kernel), xs), WAYS[way](native, xs))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["grad", "jvp", "jacrev", "jacfwd"])
@pytest.mark.parametrize("in_axes", [(0, None, None), (None, None, 0), (1, 0, None), (0, None, 1)])
def test_transforms_within_vmap(way, in_axes, vectors):
    x, m, shift = vectors
    xs = [
        jnp.broadcast_to(x, (2, 3, 2)) if in_axes[0] == 1 else x,
        jnp.broadcast_to(m, (3, 2, 2)) if in_axes[1] == 0 else m,
        jnp.broadcast_to(shift, (2, 3)) if in_axes[2] == 1 else shift,
    ]

    def of(h):
        return jax.vmap(lambda *each: WAYS[way](h, each), in_axes)(*xs)

    same(of(function(affine)), of(native_affine))


M, N = np.random.default_rng(0).normal(size=(2, 12, 12))


@nbad.kernel(signature="(12)->(12)", max_operations=100_000)
def branches(x):
    """Roots and a logarithm of what may be negative, behind conditions, between two layers."""
    inner, total = M @ x, np.sum(x)
    outer = N @ np.where(inner > 0, np.sqrt(inner), 0.0)
    scale = np.where(total > 0, np.log(total), 1.0)
    return np.where(outer > 0, outer * np.sqrt(outer) * scale, -outer)


def native_branches(x):
    def where(x, value, other):
        return jnp.where(x > 0, value(jnp.where(x > 0, x, 1.0)), other)

    outer = where(x @ M.T, jnp.sqrt, 0.0) @ N.T
    return jnp.where(outer > 0, outer * where(outer, jnp.sqrt, 0.0) * where(x.sum(-1, keepdims=True), jnp.log, 1.0), -outer)


@pytest.mark.slow
def test_wide_kernels_keep_the_inner_vertices_of_their_maps(double, rng):
    partials = sweeps.with_partials(branches, ("x",))
    assert len(partials.ends.inner) > 12
    assert any(entry.condition is not None for entry in partials.entries)
    assert len(partials.kernel.whole_program().leaves) < 100
    x, ct, u = rng.normal(size=(3, 9, 12))

    def of(h):
        def pull(x):
            return jax.vjp(h, x)[1](jnp.asarray(ct))[0]

        return pull(x), jax.jvp(h, (x,), (u,)), jax.jit(lambda x: jax.vjp(pull, x)[1](jnp.asarray(u)))(x)

    same(of(function(branches)), of(native_branches), rtol=1e-9)


@pytest.mark.slow
def test_vmap_of_vmap_and_scan(ab):
    def of(h):
        mapped = jax.jit(jax.vmap(jax.vmap(h, (None, 0)), (0, None)))(*ab)
        return mapped, jax.grad(lambda a: jax.lax.scan(lambda c, b: h(c, b), a, ab[1])[1].sum())(ab[0])

    same(of(function(wave)), of(native_wave))


@pytest.mark.slow
@pytest.mark.parametrize("route", ["double", "by_python"])
@pytest.mark.parametrize(("kernel", "given"), [(wave, "ab"), (affine, "vectors")])
def test_check_grads(route, kernel, given, request):
    from jax.test_util import check_grads

    request.getfixturevalue(route)
    assert check_grads(function(kernel), tuple(request.getfixturevalue(given)), order=2) is None  # it raises


def test_one_sweep_for_all_seeds(ab):
    seeds = jnp.ones((6, 4, 3))

    def pulled(h):
        return lambda *xs: jax.vmap(jax.vjp(h, *xs)[1])((seeds, 2 * seeds))

    text = str(jax.make_jaxpr(pulled(function(wave)))(*ab))
    assert text.count("nbad_call") == 1
    assert "f64[6,4,3] = nbad_times" in text
    same(jax.jit(pulled(function(wave)))(*ab), jax.jit(pulled(native_wave))(*ab))


def test_only_what_is_differentiated_has_partials(ab):
    partials = sweeps.with_partials(wave, ("b",))
    assert len(partials.kernel.whole_program().leaves) == 4
    text = str(jax.make_jaxpr(jax.grad(lambda b: function(wave)(ab[0], b)[0].sum()))(ab[1]))
    assert f"kernel={partials.kernel}" in text


@pytest.mark.slow
def test_zero_seeds_hide_infinite_partials(double):
    zero = jnp.zeros(2)
    _, pull = jax.vjp(lambda x: function(affine)(x, jnp.eye(2), 0.0), zero)
    same(pull((jnp.ones(2), jnp.zeros(())))[0], jnp.ones(2))
    assert np.isinf(pull((jnp.ones(2), jnp.ones(())))[0][0])
    same(jax.jvp(lambda x: function(affine)(x, jnp.eye(2), 0.0), (zero,), (zero,))[1], (zero, zero[0]))


def test_a_kernel_without_arguments(double):
    assert float(function(nbad.kernel(lambda: 3.0))()) == 3.0
    assert float(jax.jit(function(nbad.kernel(lambda: 3.0)))()) == 3.0


@pytest.mark.slow
def test_partials_that_are_constants(double):
    steep = function(nbad.kernel(lambda x, y: (math.inf * x + y, 3.0 * y, 2.0)))
    _, pull = jax.vjp(steep, 2.0, 5.0)
    assert [float(ct) for ct in pull((0.0, 1.0, 1.0))] == [0.0, 3.0]
    assert [float(ct) for ct in pull((1.0, 1.0, 0.0))] == [math.inf, 4.0]


# the two routes


def test_python_is_called_where_the_interface_is_not_known(by_python, ab):
    f = jax.jit(jax.value_and_grad(squares(function(wave))))
    assert "callback" in f.lower(*ab).as_text()
    same(f(*ab), jax.value_and_grad(squares(native_wave))(*ab))


def test_machine_code_is_called_where_the_interface_is_known(ab):
    text = jax.jit(function(wave)).lower(*ab).as_text()
    assert "nbad_wave_" in text
    assert "callback" not in text


def test_the_interface_is_the_one_that_is_known():
    """The fields of the structs that the handler reads, as the header of this jaxlib has them."""
    import re
    from pathlib import Path

    from nbad.partners import xla_handler as h

    assert ffi.version() in ffi.KNOWN
    text = re.sub(r"//.*", "", (Path(jax.ffi.include_dir()) / "xla/ffi/api/c_api.h").read_text())
    text = re.sub(r"_XLA_FFI_API_STRUCT_FIELD\((\w+)\);", r"void* \1;", text)
    sizes = {"size_t": 8, "int64_t": 8, "int": 4, "XLA_FFI_DataType": 4, "XLA_FFI_ExecutionStage": 4, "XLA_FFI_Error_Code": 4}
    sizes |= {"XLA_FFI_Extension_Type": 4, "XLA_FFI_InternalExtension_Type": 4, "XLA_FFI_Handler_Traits": 4}

    def offsets(name):
        """Where each field lies, and the size of all; structs within structs are aligned to 8."""
        body = re.search(rf"struct {name} {{(.*?)\n}}", text, re.DOTALL)[1]
        found, at = {}, 0
        for kind, field in re.findall(r"([\w ]+\W*?[* ]+)(\w+);", body):
            word = kind.replace("const", "").replace("struct ", "").strip()
            size = 8 if "*" in word else sizes.get(word) or offsets(word)[1]
            at += -at % min(size, 8)
            found[field], at = at, at + size
        return found, at + -at % 8

    frame, args, buffer = (offsets(f"XLA_FFI_{name}")[0] for name in ("CallFrame", "Args", "Buffer"))
    assert dict(
        extension=frame["extension_start"], api=frame["api"], ctx=frame["ctx"], args=frame["args"] + args["size"],
        arg_list=frame["args"] + args["args"], rets=frame["rets"] + args["size"], ret_list=frame["rets"] + args["args"],
    ) == h.FRAME  # fmt: skip
    assert offsets("XLA_FFI_Rets")[0]["rets"] == args["args"]
    assert {name: buffer[name] for name in h.BUFFER} == h.BUFFER
    api = offsets("XLA_FFI_Api")[0]
    names = dict(
        create_error="Error_Create",
        destroy_error="Error_Destroy",
        schedule="ThreadPool_Schedule",
        threads="ThreadPool_NumThreads",
    )
    assert {name: api[f"XLA_FFI_{field}"] for name, field in names.items()} == h.API
    metadata, version = offsets("XLA_FFI_Metadata")[0], offsets("XLA_FFI_Api_Version")[0]
    own = {name: metadata["api_version"] + version[f"{name}_version"] for name in ("major", "minor")}
    assert {**own, "traits": metadata["traits"]} == h.METADATA
    extension = offsets("XLA_FFI_InternalExtension" if "struct XLA_FFI_InternalExtension {" in text else "XLA_FFI_Extension_Base")
    assert dict(type=extension[0]["type"], metadata=extension[1]) == h.EXTENSION
    assert list(offsets("XLA_FFI_Error_Create_Args")[0].values()) == [0, 8, 16, 24]
    assert list(offsets("XLA_FFI_ThreadPool_Schedule_Args")[0].values()) == [0, 8, 16, 24, 32]
    assert list(offsets("XLA_FFI_ThreadPool_NumThreads_Args")[0].values()) == [0, 8, 16, 24]
    assert list(offsets("XLA_FFI_Error_Destroy_Args")[0].values()) == [0, 8, 16]


@pytest.mark.parametrize(
    ("shapes", "dtype", "says"),
    [
        ([(4, 1)], "float64", "another number"),
        ([(4, 1), (3,)], "float32", "another dtype"),
        ([(4, 1), (5,)], "float64", "another shape"),
    ],
)
def test_handlers_refuse_buffers_that_they_were_not_made_for(shapes, dtype, says, ab):
    name = ffi.target(wave.whole_program(), sweeps.layout_of(wave, ab))
    kinds = [jax.ShapeDtypeStruct((4, 3), "float64")] * 2
    call = jax.jit(lambda *xs: jax.ffi.ffi_call(name, kinds)(*xs))
    with pytest.raises(Exception, match=rf"nbad: `wave\(a, b\)` is called with .*{says}"):
        jax.block_until_ready(call(*[jnp.ones(shape, dtype) for shape in shapes]))


@pytest.mark.slow
def test_names_of_targets_are_the_same_in_every_process(run_python, ab):
    program = (
        "import math, jax, nbad, nbad.integrations.jax\n"
        "jax.config.update('jax_enable_x64', True)\n"
        "from nbad.partners import jax_ffi, jax_sweeps\n"
        "wave = nbad.kernel(lambda a, b: (a * math.sin(b) + a**3, math.exp(a * b)))\n"
        "print(jax_ffi.target(wave.whole_program(), jax_sweeps.layout_of(wave, [jax.numpy.ones((4, 1)), jax.numpy.ones(3)])))"
    )
    name = ffi.target(wave.whole_program(), sweeps.layout_of(wave, ab))
    assert run_python(program).strip().rpartition("_")[2] == name.rpartition("_")[2]


@pytest.mark.slow
def test_code_that_jax_keeps_on_disk(run_python, tmp_path):
    """Compiled in one process, and called in the next: handlers lie elsewhere there."""
    program = (
        "import jax, nbad, numpy as np\n"
        f"jax.config.update('jax_compilation_cache_dir', {str(tmp_path)!r})\n"
        "jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)\n"
        "jax.config.update('jax_persistent_cache_min_entry_size_bytes', 0)\n"
        "f = nbad.integrations.jax.function(nbad.kernel(lambda a, b: a * b + a))\n"
        "print(*jax.jit(jax.grad(lambda a: f(a, 5.0).sum()))(np.ones(3, 'f')))"
    )
    first, files = run_python(program), sorted(tmp_path.rglob("*-cache"))
    assert files
    assert run_python(program) == first == "6.0 6.0 6.0\n"
    assert sorted(tmp_path.rglob("*-cache")) == files


@pytest.mark.slow
def test_threads_share_long_calls(double):
    """Many calls at once, from several threads, of kernels that XLA's threads share."""
    from concurrent.futures import ThreadPoolExecutor

    n = 200_000
    xs = [random.uniform(random.key(k), (n,)) for k in range(2)]
    f, expected = jax.jit(function(wave)), wave(*map(np.asarray, xs))
    target = ffi._targets.known[ffi.target(wave.whole_program(), sweeps.layout_of(wave, xs))]
    from nbad.partners import xla_handler as h

    assert target.table[h.IS_LONG] == 1
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: f(*xs), range(200)):
            np.testing.assert_array_equal(found[0], expected[0])
            np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.slow
def test_elements_without_a_value_are_nan_in_machine_code(double):
    f = function(nbad.kernel(root.__wrapped__, errors="nan"))
    x = jnp.array([4.0, -1.0])
    assert "callback" not in jax.jit(f).lower(x).as_text()
    np.testing.assert_array_equal(jax.jit(jax.vmap(jax.value_and_grad(f)))(x), [[2.0, np.nan], [0.25, np.nan]])


def test_kernels_that_raise(double):
    f = jax.jit(function(root))
    same(f(jnp.array([4.0, 9.0])), jnp.array([2.0, 3.0]))
    same(jax.jit(jax.vmap(jax.grad(function(root))))(jnp.array([4.0, 9.0])), jnp.array([1 / 4, 1 / 6]))
    with pytest.raises(Exception, match="is negative"):
        jax.block_until_ready(f(jnp.array([4.0, -1.0])))


# arguments


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.slow
def test_dtypes_are_those_of_jax(x64, double):
    jax.config.update("jax_enable_x64", x64)
    ones = {kind: jnp.ones(2, kind) for kind in ("float32", "int32", "bool", "bfloat16")}
    cases = [
        (ones["float32"], 2.0),
        (ones["float32"], np.ones(2)),
        (ones["int32"], 2.0),
        (ones["int32"], ones["float32"]),
        (1.0, 2),
    ]
    cases += [
        (ones["bfloat16"], 0.5),
        (ones["bfloat16"], ones["float32"]),
        (ones["int32"], 2),
        (np.float64(1.0), ones["float32"]),
    ]
    for a, b in cases:
        expected = jnp.promote_types(jnp.result_type(a * jnp.sin(b)), jnp.bfloat16)
        assert [y.dtype for y in function(wave)(a, b)] == [expected] * 2
        if not isinstance(a, np.float64):  # which `jit` makes a strong array of
            assert [y.dtype for y in jax.jit(function(wave))(a, b)] == [expected] * 2


@pytest.mark.slow
def test_single_precision():
    xs = [random.uniform(random.key(k), shape) for k, shape in enumerate(((4, 1), (3,)))]
    assert xs[0].dtype == "float32"
    for way in ("jit of grad", "jacrev", "hessian"):
        same(WAYS[way](function(wave), xs), WAYS[way](native_wave, xs), rtol=2e-5)


def test_static_arguments_and_keywords(double):
    power = function(nbad.kernel(lambda x, n, scale=1.0: scale * x**n, static=("n",)))
    same(jax.jit(power, static_argnames="n")(jnp.array([2.0, 3.0]), n=3, scale=10.0), jnp.array([80.0, 270.0]))
    with pytest.raises(nbad.errors.ArgumentTypeError, match=r"(?s)n is static.*fix: jax.jit\(f, static_argnames=\('n',\)\)"):
        jax.jit(power)(2.0, 3)


@pytest.mark.slow
def test_arguments_with_structure(double):
    net = function(nbad.kernel(lambda p, x: p["w"] * x + p["b"] ** 2))
    p, x = {"w": 2.0, "b": jnp.array([1.0, 3.0])}, jnp.array([[1.0, 10.0], [2.0, 20.0]])
    total = jax.grad(lambda p, x: net(p, x=x).sum())
    np.testing.assert_array_equal(jax.jit(total)(p, x)["b"], [4.0, 12.0])
    np.testing.assert_array_equal(jax.vmap(total, (None, 0))(p, x)["w"], [11.0, 22.0])
    mapped = jax.vmap(net, ({"w": None, "b": 0}, None))(p, 5.0)
    np.testing.assert_array_equal(mapped, [11.0, 19.0])


@pytest.mark.parametrize("made", [list, tuple])
def test_lists_of_what_is_traced_keep_derivatives(made, double):
    product = function(nbad.kernel(lambda x: x[0] * x[1] ** 2, signature="(2)->()"))
    assert jax.grad(lambda a, b: product(made((a, b))), (0, 1))(2.0, 3.0) == (9.0, 12.0)


@pytest.mark.slow
def test_structures(double):
    both = function(nbad.kernel(lambda x: {"u": x * x, "v": x + 1}))
    found = jax.jit(both)(3.0)
    assert {name: float(y) for name, y in found.items()} == {"u": 9.0, "v": 4.0}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (lambda: jnp.ones(2) * 1j, r"b is complex.*fix: b\.real"),
        (lambda: np.ma.ones(2), r"b is a masked array"),
        (lambda: jnp.ones(3), "do not broadcast"),
    ],
)
def test_refused_arguments(value, says):
    with pytest.raises((nbad.errors.ArgumentTypeError, nbad.errors.ArgumentValueError), match=rf"(?s){says}"):
        function(wave)(jnp.ones(2), value())


def test_a_kernel_itself_names_the_function_that_transforms_take():
    with pytest.raises(nbad.errors.ArgumentTypeError, match=r"(?s)a is not an array.*fix: nbad.integrations.jax.function\(f\)"):
        jax.grad(wave)(2.0, 3.0)
    with pytest.raises(nbad.errors.ArgumentTypeError, match=r"`nbad.integrations.jax.function\(f, ...\)`: the first"):
        function(math.sin)


@pytest.mark.slow
def test_empty_arrays(double):
    empty = jnp.zeros((0, 3))
    same(jax.jit(jax.grad(squares(function(wave))))(empty, jnp.ones(3)), empty)


def test_the_function_is_a_value():
    f = function(nbad.grad(nbad.kernel(math.sin)))
    assert f.__name__ == "sin_grad"
    assert "sin_grad" in repr(f)
    assert pickle.loads(pickle.dumps(function(wave))).f is wave
