"""Kernels as functions of PyTorch's tensors: right values are PyTorch's own, in float64, for the same formulas.

PyTorch takes a minute to install, so that these run every night only, and import it when they run.
"""

import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.late import Late

import nbad

torch, func = Late("torch"), Late("torch.func")
tree, sweeps = Late("torch.utils._pytree"), Late("nbad.partners.torch_sweeps")


def function(f):
    return nbad.integrations.torch.function(f)


pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),  # PyTorch's own forward mode calls it
]


@nbad.kernel
def wave(a, b):
    return a * math.sin(b) + a**3, math.exp(a * b)


@nbad.kernel(signature="(2),(2,2),()->(2),()")
def affine(x, m, shift):
    """The second output is infinitely steep at 0."""
    return m @ x + shift, math.sqrt(x[0])


def native_wave(a, b):
    return a * torch.sin(b) + a**3, torch.exp(a * b)


def native_affine(x, m, shift):
    return (m @ x.unsqueeze(-1)).squeeze(-1) + shift.unsqueeze(-1), torch.sqrt(x[..., 0] + 0 * shift + 0 * m[..., 0, 0])


def squares(h):
    return lambda *xs: sum((y * y).sum() for y in h(*xs))


@pytest.fixture
def ab():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(shape, dtype=torch.float64, generator=generator) for shape in ((4, 1), (3,))]


@pytest.fixture
def vectors():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(shape, dtype=torch.float64, generator=generator) + 0.5 for shape in ((3, 2), (2, 2), (2, 1))]


@pytest.fixture
def count(monkeypatch):
    """How often each sweep is run, and for how many seeds or tangents at a time."""
    counts = SimpleNamespace(forward=0, seeds=[], tangents=[])

    def counted(name, note):
        sweep = getattr(sweeps, name).forward

        def run(*args):
            note(args)
            return sweep(*args)

        monkeypatch.setattr(getattr(sweeps, name), "forward", staticmethod(run))

    def forward(args):
        counts.forward += 1

    counted("Forward", forward)
    counted("Pull", lambda args: counts.seeds.append(args[-1].shape[0] if args[1] else 1))
    counted("Push", lambda args: counts.tangents.append(args[-1].shape[0] if args[1] else 1))
    return counts


def same(got, expected, rtol=1e-11):
    got, expected = tree.tree_leaves(got), tree.tree_leaves(expected)
    assert [g.shape for g in got] == [e.shape for e in expected]
    for g, e in zip(got, expected, strict=True):
        torch.testing.assert_close(g, e, rtol=rtol, atol=1e-12)


def leaves_of(tensors):
    return [t.clone().requires_grad_() for t in tensors]


# every way to differentiate, by what it makes of a function

WAYS = {
    "vjp": lambda h, xs: func.vjp(h, *xs)[1](tuple(torch.ones_like(y) for y in h(*xs))),
    "grad": lambda h, xs: func.grad(squares(h), tuple(range(len(xs))))(*xs),
    "jvp": lambda h, xs: func.jvp(h, tuple(xs), tuple(2 * x for x in xs)),
    "jacrev": lambda h, xs: func.jacrev(h, tuple(range(len(xs))))(*xs),
    "jacfwd": lambda h, xs: func.jacfwd(h, tuple(range(len(xs))))(*xs),
    "jacrev of jacrev": lambda h, xs: func.jacrev(func.jacrev(h))(*xs),
    "jacfwd of jacfwd": lambda h, xs: func.jacfwd(func.jacfwd(h))(*xs),
    "jacrev of jacfwd": lambda h, xs: func.jacrev(func.jacfwd(h, 1))(*xs),
    "hessian": lambda h, xs: func.hessian(squares(h), tuple(range(len(xs))))(*xs),
    "grad of jvp": lambda h, xs: func.grad(lambda x: sum(d.sum() for d in func.jvp(h, tuple(xs), (x, *xs[1:]))[1]))(xs[0]),
    "jvp of grad": lambda h, xs: func.jvp(func.grad(squares(h)), tuple(xs), tuple(xs)),
}
THIRD = {
    "jacrev": lambda h, xs: func.jacrev(func.jacrev(func.grad(squares(h))))(*xs),
    "jacfwd": lambda h, xs: func.jacfwd(func.jacfwd(func.jacfwd(squares(h))))(*xs),
    "jacfwd of jacrev": lambda h, xs: func.jacfwd(func.jacfwd(func.grad(squares(h))))(*xs),
}


@pytest.mark.parametrize("way", WAYS)
def test_transforms_of_scalars(way, ab):
    same(WAYS[way](function(wave), ab), WAYS[way](native_wave, ab))


@pytest.mark.parametrize("way", ["grad", "jacrev", "jacfwd", "hessian"])
def test_transforms_of_vectors(way, vectors):
    same(WAYS[way](function(affine), vectors), WAYS[way](native_affine, vectors))


@pytest.mark.parametrize("way", THIRD)
def test_third_order(way, ab):
    same(THIRD[way](function(wave), ab), THIRD[way](native_wave, ab))


@pytest.mark.parametrize("way", ["grad", "jvp", "jacrev", "jacfwd"])
@pytest.mark.parametrize("in_dims", [(0, None), (None, 0), (1, 0)])
def test_transforms_within_vmap(way, in_dims, ab):
    xs = [ab[0].expand(4, 3).clone(), ab[1]]

    def of(h):
        return func.vmap(lambda *each: WAYS[way](h, each), in_dims)(*xs)

    same(of(function(wave)), of(native_wave))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("in_dims", [(0, None, None), (None, None, 0), (1, 0, None), (0, None, 1)])
def test_transforms_of_vectors_within_vmap(way, in_dims, vectors):
    x, m, shift = vectors
    xs = [x.expand(2, 3, 2) if in_dims[0] == 1 else x, m.expand(3, 2, 2) if in_dims[1] == 0 else m, shift]
    xs = [t.clone() for t in (*xs[:2], shift.expand(2, 3) if in_dims[2] == 1 else shift)]

    def of(h):
        return func.vmap(lambda *each: WAYS[way](h, each), in_dims)(*xs)

    same(of(function(affine)), of(native_affine))


@pytest.mark.parametrize("inner", [False, True])
def test_vmap_within_grad_finds_what_closures_hold(inner, ab):
    a, b = ab

    def of(h):
        def outer(k):
            if inner:
                return func.vmap(lambda each: func.grad(lambda x: h(x, each)[1].sum())(a))(k).pow(2).sum()
            return func.vmap(func.grad(lambda x: h(x, k)[1].sum()))(a).pow(2).sum()

        return func.grad(outer)(b)

    same(of(function(wave)), of(native_wave))


def test_autograd_to_third_order(ab):
    def of(h):
        xs = leaves_of(ab)
        first = torch.autograd.grad(squares(h)(*xs), xs, create_graph=True)
        second = torch.autograd.grad(squares(lambda *each: each)(*first), xs, create_graph=True)
        return first, second, torch.autograd.grad(squares(lambda *each: each)(*second), xs)

    same(of(function(wave)), of(native_wave))


def test_autograd_of_numbers_to_third_order():
    """Tensors without axes have nothing to reshape to."""
    x = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    y, found = function(nbad.kernel(lambda x: x**4))(x), []
    for _ in range(3):
        (y,) = torch.autograd.grad(y, x, create_graph=True)
        found.append(y.item())
    np.testing.assert_allclose(found, [4 * 1.5**3, 12 * 1.5**2, 24 * 1.5], rtol=1e-14)


@pytest.mark.parametrize(("kernel", "given"), [(wave, "ab"), (affine, "vectors")])
def test_gradcheck(kernel, given, request):
    xs = leaves_of(request.getfixturevalue(given))
    assert torch.autograd.gradcheck(function(kernel), xs, fast_mode=True, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function(kernel), xs, fast_mode=True, check_fwd_over_rev=True)


@pytest.mark.parametrize(("kernel", "given"), [(wave, "ab"), (affine, "vectors")])
def test_gradcheck_of_every_entry(kernel, given, request):
    xs = leaves_of(request.getfixturevalue(given))
    assert torch.autograd.gradcheck(function(kernel), xs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function(kernel), xs, check_fwd_over_rev=True, check_rev_over_rev=True)


# sweeps


def test_bits_are_those_of_the_sweeps(ab):
    xs = leaves_of(ab)
    ys = function(wave)(*xs)
    expected, pullback = nbad.vjp(wave, *[x.numpy() for x in ab])
    for got, array in zip(ys, expected, strict=True):
        np.testing.assert_array_equal(got.detach().numpy(), array)
    found = torch.autograd.grad(ys, xs, [torch.ones_like(y) for y in ys])
    for got, array in zip(found, pullback((1.0, 1.0)), strict=True):
        np.testing.assert_array_equal(got.numpy(), array)


def test_one_sweep_for_all_seeds(count, ab):
    xs = leaves_of(ab)
    ys = function(wave)(*xs)
    seeds = torch.arange(72, dtype=torch.float64).reshape(2, 3, 4, 3)
    found = func.vmap(func.vmap(lambda ct: torch.autograd.grad(ys, xs, (ct, -ct), retain_graph=True)))(seeds)
    assert (count.forward, count.seeds) == (1, [6])
    pullback = nbad.vjp(wave, *[x.numpy() for x in ab])[1]
    flat = seeds.reshape(6, 4, 3).numpy()
    for got, array in zip(found, pullback.batched((flat, -flat)), strict=True):
        np.testing.assert_array_equal(got.reshape(array.shape).numpy(), array)


def test_one_sweep_for_all_entries(count, ab):
    func.jacrev(function(wave), (0, 1))(*ab)
    assert (count.forward, count.seeds) == (1, [24])
    func.jacfwd(function(wave), (0, 1))(*ab)
    assert (count.forward, count.tangents) == (1, [7])
    func.vmap(func.jacrev(function(wave)), (0, None))(*ab)
    assert (count.forward, count.seeds) == (2, [24, 6])


def test_residuals_are_kept_only_where_they_may_be_asked_for(count, ab):
    f = function(wave)
    f(*ab), func.vmap(f, (0, None))(*ab)
    with torch.no_grad():
        f(*leaves_of(ab))
    assert count.forward == 0
    f(ab[0], *leaves_of(ab[1:]))
    assert count.forward == 1


def test_only_what_requires_grad_is_differentiated(ab):
    (b,) = leaves_of(ab[1:])
    y = function(wave)(ab[0], b)[0]
    assert y.grad_fn.station.names == ("b",)


def test_memory_is_shared(ab):
    a, b = (x.expand(4, 3).clone() for x in ab)
    f, before = function(nbad.kernel(lambda x: x + 0.0)), a.numpy().ctypes.data
    assert sweeps._view(a.T).ctypes.data == before
    assert sweeps._view(leaves_of([a])[0][1:, ::2]).strides == (24, 16)
    same(f(a.T), a.T)
    same(function(wave)(a.T[::2], b.T[::2]), native_wave(a.T[::2], b.T[::2]))


def test_residuals_that_were_moved(ab):
    def of(h):
        xs = leaves_of(ab)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: t.clone(), lambda t: t.movedim(-1, 0).contiguous().movedim(0, -1)
        ):
            return torch.autograd.grad(squares(h)(*xs), xs)

    same(of(function(wave)), of(native_wave))


@pytest.mark.parametrize("axes", [(2, 1, 0), (1, 2, 0)])
def test_tensors_in_other_orders_of_axes(axes):
    """Residuals lie in memory as they do."""
    a, b = torch.rand((2, 20, 30, 40), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    moved = [x.permute(axes) for x in (a, b)]
    for seed in (torch.ones_like(moved[0]), moved[0].contiguous()):

        def of(h, xs, seed=seed):
            return torch.autograd.grad(h(*xs), xs, (seed, seed))

        same(of(function(wave), leaves_of(moved)), of(native_wave, leaves_of(moved)))
    same(func.grad(squares(function(wave)))(*moved), func.grad(squares(native_wave))(*moved))


def test_zero_seeds_hide_infinite_partials():
    x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    y, _ = function(affine)(x, torch.eye(2, dtype=torch.float64), 0.0)
    (found,) = torch.autograd.grad(y.sum(), x)
    same(found, torch.ones(2, dtype=torch.float64))


def test_empty_tensors():
    x = torch.zeros((0, 3), requires_grad=True)
    function(wave)(x, torch.ones(3))[1].sum().backward()
    assert x.grad.shape == (0, 3)
    assert func.vmap(func.grad(lambda each: function(wave)(each, 1.0)[0].sum()))(torch.zeros((0, 3))).shape == (0, 3)


def test_checkpoints_compute_again(ab):
    from torch.utils.checkpoint import checkpoint

    xs = leaves_of(ab)
    y = checkpoint(lambda *each: squares(function(wave))(*each), *xs, use_reentrant=False)
    same(torch.autograd.grad(y, xs), func.grad(squares(native_wave), (0, 1))(*ab))


# arguments


@pytest.mark.parametrize(
    ("args", "dtype"),
    [
        (lambda: (torch.ones(2), 2.0), "float32"),
        (lambda: (torch.ones(2), np.float64(2.0)), "float32"),
        (lambda: (torch.ones(2), torch.tensor(2.0, dtype=torch.float64)), "float32"),
        (lambda: (torch.ones(2), torch.ones(2, dtype=torch.int64)), "float32"),
        (lambda: (torch.ones(2), torch.ones(2, dtype=torch.float64)), "float64"),
        (lambda: (torch.ones(2), np.ones(2)), "float64"),
        (lambda: (torch.ones(2, dtype=torch.bfloat16), torch.ones(2)), "float32"),
        (lambda: (torch.ones(2, dtype=torch.int64), 2.0), "float64"),
        (lambda: (1.0, 2), "float64"),
        (lambda: ([1.0, 1.0], 2), "float64"),
        (lambda: (np.broadcast_to(1.0, 2), np.ones(4, ">f8")[::-2]), "float64"),
    ],
)
def test_dtypes(args, dtype):
    given = args()
    y, _ = function(wave)(*given)
    assert y.dtype == getattr(torch, dtype)
    np.testing.assert_allclose(y.numpy(), 1.0 + np.sin(np.asarray(given[1], dtype=float)) + np.zeros(y.shape), rtol=1e-6)


def test_gradients_have_the_dtype_of_their_tensor():
    x = torch.ones(2, requires_grad=True)
    function(wave)(x, torch.ones(2, dtype=torch.float64))[0].sum().backward()
    assert x.grad.dtype == torch.float32


def test_arrays_that_change_after_the_call_leave_derivatives_of_any_order_alone():
    x, width = torch.tensor([0.3, 0.5], dtype=torch.float64, requires_grad=True), np.array([2.0, 3.0])
    y = function(wave)(x, width)[1]
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    width[:] = 100.0
    (again,) = torch.autograd.grad(slope.sum(), x)
    b = torch.tensor([2.0, 3.0], dtype=torch.float64)
    same(again, b * b * torch.exp(b * x.detach()))


def test_single_precision(ab):
    xs = [x.float() for x in ab]
    for way in ("grad", "jacrev", "jacfwd"):
        same(WAYS[way](function(wave), xs), WAYS[way](native_wave, xs), rtol=1e-5)


def test_static_arguments_and_keywords():
    power = nbad.kernel(lambda x, n, scale=1.0: scale * x**n, static=("n",))
    x = torch.tensor([2.0, 3.0], requires_grad=True)
    scale = torch.tensor(10.0, requires_grad=True)
    y = function(power)(x, n=3, scale=scale)
    same(torch.autograd.grad(y.sum(), (x, scale)), (30 * x.detach() ** 2, torch.tensor(35.0)))
    same(function(power)(x.detach(), 2), torch.tensor([4.0, 9.0]))


def test_arguments_with_structure():
    net = function(nbad.kernel(lambda p, x: p["w"] * x + p["b"] ** 2))
    p = {"w": torch.tensor(2.0, requires_grad=True), "b": torch.tensor([1.0, 3.0], requires_grad=True)}
    x = torch.tensor([[1.0, 10.0], [2.0, 20.0]])
    net(p, x).sum().backward()
    np.testing.assert_array_equal(p["w"].grad, 33.0)
    np.testing.assert_array_equal(p["b"].grad, [4.0, 12.0])
    each = func.vmap(func.grad(lambda p, x: net(p, x=x).sum()), (None, 0))({k: v.detach() for k, v in p.items()}, x)
    np.testing.assert_array_equal(each["w"], [11.0, 22.0])


@pytest.mark.parametrize("made", [list, tuple])
def test_lists_of_tensors_keep_their_derivatives(made):
    product = function(nbad.kernel(lambda x: x[0] * x[1] ** 2, signature="(2)->()"))
    a, b = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    assert product(made((a, b))) == 18.0
    assert torch.autograd.grad(product(made((a, b))), (a, b)) == (9.0, 12.0)
    assert func.grad(lambda a: product(made((a, a))))(torch.tensor(2.0)) == 12.0


def test_structures():
    both = nbad.kernel(lambda x: {"u": x * x, "v": x + 1})
    x = torch.tensor(3.0, requires_grad=True)
    y = function(both)(x)
    assert list(y) == ["u", "v"]
    y["u"].backward()
    assert x.grad == 6.0


@pytest.mark.parametrize(
    ("value", "says", "fix"),
    [
        (lambda: torch.ones(2, device="meta"), "b is on the device meta", "b.cpu()"),
        (lambda: torch.ones(2, dtype=torch.complex64), "b is complex", "b.real"),
        (lambda: torch.eye(2).to_sparse(), "b has the layout", "b.to_dense()"),
        (lambda: np.array(["x"]), "b holds text", r"np.array\("),
    ],
)
def test_refused_arguments(value, says, fix):
    with pytest.raises(nbad.errors.ArgumentTypeError, match=rf"(?s){says}.*fix: .*{fix}"):
        function(wave)(torch.ones(2), value())


def test_another_device_may_be_the_default(ab):
    """Numbers and arrays become tensors, and zeros stand for seeds: none of them is for that device."""
    (x,) = leaves_of(ab[:1])
    with torch.device("meta"):
        total = sum(y.sum() for y in function(wave)(x, 2.0)[:1])
        slope = torch.autograd.grad(total, x)
        flat = function(wave)(x, np.array([2.0]))[0]
    two = torch.tensor(2.0, dtype=torch.float64)
    same(slope, torch.autograd.grad(native_wave(x, two)[0].sum(), x))
    same(flat, native_wave(x, two)[0])


def test_errors_name_the_function_of_tensors():
    with pytest.raises(nbad.errors.ArgumentTypeError, match=r"(?s)integrations.torch.function\(f, .*fix: nbad.kernel\(f\)"):
        function(lambda x: x)
    with pytest.raises(nbad.errors.ArgumentTypeError, match=r"`nbad.integrations.torch.function\(f\)` is a function of such"):
        wave(torch.ones(2, requires_grad=True), 1.0)


def test_half_precision_is_refused():
    with pytest.raises(nbad.errors.ArgumentTypeError, match=r"(?s)a is of half precision.*fix: a.float\(\)"):
        function(wave)(torch.ones(2, dtype=torch.float16), 2.0)


def test_negation_that_is_not_in_memory_yet():
    lazy = torch.tensor([1 + 2j]).conj().imag
    assert lazy.is_neg()
    same(function(wave)(lazy, 1.0), native_wave(torch.tensor([-2.0]), torch.tensor(1.0)), rtol=1e-5)


def test_transforms_that_pytorch_cannot_do_for_functions_in_python(ab):
    xs = leaves_of(ab)
    y = function(wave)(*xs)[0]
    with pytest.raises(nbad.errors.ArgumentTypeError, match=r"(?s)stand-ins for tensors.*fix: torch.vmap\("):
        torch.autograd.grad(y, xs, torch.ones(6, 4, 3, dtype=torch.float64), is_grads_batched=True)
    with pytest.raises(nbad.errors.ArgumentTypeError, match="PyTorch records"):
        torch.jit.trace(function(wave), tuple(ab))


def test_errors_show_the_users_line(ab):
    with pytest.raises(nbad.errors.ArgumentValueError, match=r"(?s)do not broadcast.*test_torch.py"):
        function(wave)(torch.ones(2), torch.ones(3))


def test_kernels_that_raise():
    @nbad.kernel
    def root(x):
        if x < 0:
            raise ValueError(f"{x} is negative")
        return math.sqrt(x)

    x = torch.tensor([4.0, 9.0], requires_grad=True)
    (first,) = torch.autograd.grad(function(root)(x).sum(), x, create_graph=True)
    same(torch.autograd.grad(first.sum(), x)[0], torch.tensor([-1 / 32, -1 / 108]), rtol=1e-5)
    with pytest.raises(ValueError, match="is negative"):
        function(root)(torch.tensor([4.0, -1.0]))


def test_the_function_is_a_value():
    f = function(nbad.grad(nbad.kernel(math.sin)))
    assert f.__name__ == "sin_grad"
    assert "sin_grad" in repr(f)
    f = pickle.loads(pickle.dumps(function(wave)))
    assert f.f is wave


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of PyTorch's own; of nbad's code it is not to warn
def test_compiled_code_is_cut_at_kernels(ab):
    def of(h):
        xs = leaves_of(ab)
        return torch.autograd.grad(torch.compile(squares(h), backend="eager")(*xs), xs)

    same(of(function(wave)), of(native_wave))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", ["grad", "jacrev", "hessian"])
def test_compiled_transforms_are_cut_at_kernels(way):
    """The sweeps that a transform runs behind the call of the kernel are not looked into, either."""
    cube = function(nbad.kernel(lambda x: x**3))
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    found = torch.compile(getattr(func, way)(lambda x: cube(x * 2).sum()), backend="aot_eager")(x)
    np.testing.assert_allclose(found, np.diag(48 * x.numpy()) if way == "hessian" else 24 * x.numpy() ** 2, rtol=1e-14)


def test_sparse_tensors_get_a_line_that_makes_arrays_of_them():
    x = torch.eye(2).to_sparse()
    with pytest.raises(TypeError, match=r"fix: a\.to_dense\(\)\.detach\(\)\.cpu\(\)\.double\(\)\.numpy\(\)$") as caught:
        nbad.vjp(wave, x, 1.0)
    np.testing.assert_array_equal(eval(str(caught.value).rpartition("fix: ")[2], {"a": x}), np.eye(2))
