"""Lists and tuples of tensors, of JAX's arrays and of numbers as arguments: one array, with the derivatives of its parts."""

import numpy as np
import pytest
from helpers.late import Late

import nbad
from nbad.errors import ArgumentTypeError

torch, forward = Late("torch"), Late("torch.autograd.forward_ad")
jax, jnp = Late("jax"), Late("jax.numpy")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),  # PyTorch's own forward mode calls it
]


@nbad.kernel(signature="(2),()->()")
def product(x, scale):
    return scale * x[0] * x[1] ** 2


LISTS = {
    "a list": (lambda a, b: [a, b], (9.0, 12.0)),
    "a tuple": (lambda a, b: (a, b), (9.0, 12.0)),
    "numbers in front": (lambda a, b: [2, a], (8.0, 0.0)),
    "numbers behind": (lambda a, b: [b, 2.0], (0.0, 4.0)),
    "NumPy's numbers": (lambda a, b: [np.float64(2.0), a], (8.0, 0.0)),
    "nested": (lambda a, b: [[a, b], (b, a)], (21.0, 16.0)),
    "nested, with numbers": (lambda a, b: [[a, b], [2, 2.0], [1.0, a]], (13.0, 12.0)),
}


def in_torch(x):
    return nbad.integrations.torch.function(product)(x, 1.0)


def in_jax(x):
    return nbad.integrations.jax.function(product)(x, 1.0)


@pytest.mark.parametrize("case", LISTS)
def test_tensors_in_lists_keep_their_derivatives(case):
    made, (by_a, by_b) = LISTS[case]
    a, b = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    y = in_torch(made(a, b))
    assert y.dtype == torch.float32
    found = torch.autograd.grad(y.sum(), (a, b), allow_unused=True)
    assert [0.0 if each is None else float(each) for each in found] == [by_a, by_b]
    with forward.dual_level():
        y = in_torch(made(forward.make_dual(torch.tensor(2.0), torch.tensor(1.0)), torch.tensor(3.0)))
        assert getattr(forward.unpack_dual(y.sum()).tangent, "item", float)() == by_a


@pytest.mark.parametrize("case", LISTS)
def test_arrays_of_jax_in_lists_keep_their_derivatives_and_their_dtype(case):
    made, by = LISTS[case]
    a, b = jnp.float32(2.0), jnp.float32(3.0)
    with jax.enable_x64(True):
        assert [float(each) for each in jax.grad(lambda a, b: in_jax(made(a, b)).sum(), (0, 1))(a, b)] == list(by)
        traced, eager = jax.jit(lambda a, b: in_jax(made(a, b)))(a, b), in_jax(made(a, b))
        assert eager.dtype == traced.dtype
        assert eager.tolist() == traced.tolist()


def test_jax_takes_lists_of_numbers_of_half_precision():
    assert in_jax([jnp.bfloat16(2.0), jnp.bfloat16(3.0)]) == 18.0


def test_parameters_of_a_module_are_a_list():
    parameters = torch.nn.ParameterList([torch.nn.Parameter(torch.tensor(2.0)), torch.nn.Parameter(torch.tensor(3.0))])
    in_torch(parameters).backward()
    assert [float(each.grad) for each in parameters] == [9.0, 12.0]


def test_tensors_in_lists_are_checked_one_by_one():
    one = torch.tensor(1.0)
    with pytest.raises(ArgumentTypeError, match=r"x\[1\] is on the device meta") as error:
        in_torch([one, torch.tensor(1.0, device="meta")])
    assert str(error.value).endswith("fix: x[1].cpu()")
    with pytest.raises(ArgumentTypeError, match=r"x\[0\]\[1\] is complex"):
        in_torch([[one, one + 1j], [one, one]])
    with pytest.raises(ArgumentTypeError, match=r"x\[1\] holds text") as error:
        in_torch([one, "a"])
    assert str(error.value).endswith("fix: 1.0")


def test_parts_of_unlike_shapes_are_refused():
    with pytest.raises(ArgumentTypeError, match="the parts of x have unlike shapes") as error:
        in_torch([torch.tensor(1.0, requires_grad=True), torch.ones(1)])
    assert str(error.value).endswith("fix: torch.hstack([x[0], x[1]])  # all of its numbers, one after the other")
    assert in_torch(torch.hstack([torch.tensor(2.0), 3 * torch.ones(1)])) == 18.0
    with pytest.raises(ArgumentTypeError, match="x is not an array of numbers") as error:
        jax.grad(lambda a: in_jax([a, jnp.ones(1)]))(1.0)
    assert str(error.value).endswith("fix: jax.flatten_util.ravel_pytree(x)[0]  # all of its numbers, one after the other")
    from jax.flatten_util import ravel_pytree

    assert jax.grad(lambda a: in_jax(ravel_pytree([a, 3 * jnp.ones(1)])[0]))(2.0) == 9.0
