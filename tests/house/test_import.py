"""`import nbad`: every name is there, and what not every program needs is loaded when it is asked for."""

import itertools

import pytest

import nbad

LATER = [
    "sympy",
    "nbad.tools.explain",
    "nbad.verbs.gradients",
    "nbad.api.primitives",
    "nbad.special",
    "nbad.verbs.sympy_kernels",
    "nbad.testing",
]


@pytest.mark.parametrize("name", [*nbad.__all__, "testing", "__version__"])
def test_every_name_is_there(name):
    assert getattr(nbad, name) is getattr(nbad, name)
    assert name in dir(nbad)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'nbad' has no attribute 'vpj'"):
        nbad.vpj  # noqa: B018


@pytest.mark.parametrize(
    ("name", "meant"), [("gradient", "grad"), ("jac", "jacobian"), ("hess", "hessian"), ("kernal", "kernel")]
)
def test_the_name_that_begins_so_is_meant_before_others_that_are_like_it(name, meant):
    with pytest.raises(AttributeError, match=rf"did you mean: {meant}\n  fix: nbad.{meant}$"):
        getattr(nbad, name)


def test_names_that_are_offered_are_offered_once():
    with pytest.raises(AttributeError, match=r"expected: .*, special, stop_gradient, testing, ") as caught:
        nbad.vpj  # noqa: B018
    assert "special, special" not in str(caught.value)


def test_what_not_every_program_needs_is_loaded_later(run_python):
    program = (
        f"import sys, nbad; before = set(sys.modules); nbad.grad; "
        f"print([name in before for name in {LATER}], 'nbad.verbs.gradients' in sys.modules)"
    )
    assert run_python(program).strip() == f"{[False] * len(LATER)} True"


def test_kernels_use_names_that_nobody_loaded(run_python):
    program = "import nbad; f = nbad.kernel(lambda x: nbad.special.softplus(nbad.stop_gradient(x))); print(float(f(0.0)))"
    assert float(run_python(program)) == pytest.approx(0.6931471805599453)


# what a user may import, the first use of it in a kernel, and the operations that this makes
USES = {
    "import nbad.special": ("nbad.special.polygamma(1, x) + nbad.special.softplus(x)", "polygamma softplus add"),
    "import scipy.special": ("scipy.special.polygamma(1, x) + scipy.special.erf(x)", "polygamma erf add"),
    "from nbad import stop_gradient": ("stop_gradient(x) * nbad.stop_gradient(x)", "stop_gradient mul"),
    "import math": ("math.sin(x)", "sin"),
}
SHOW = "print(*(node.op for node in nbad.kernel(lambda x: {}).traced((Argument('x'),), {{}}).graph.nodes[1:]))"


PAIRS = list(itertools.permutations(USES, 2))
FEW = [*PAIRS[:4], *(pytest.param(pair, marks=pytest.mark.slow) for pair in PAIRS[4:])]


@pytest.mark.parametrize("pair", FEW, ids=" then ".join)
@pytest.mark.parametrize("is_imported_late", [pytest.param(True, marks=pytest.mark.slow), False])
def test_functions_mean_the_same_whatever_was_imported_and_used_before(run_python, pair, is_imported_late):
    first, second = (SHOW.format(USES[line][0]) for line in pair)
    lines = [pair[0], first, pair[1], second] if is_imported_late else [*reversed(pair), first, second]
    printed = run_python("\n".join(["import nbad", "from nbad.tracing.arguments import Argument", *lines]))
    assert printed.splitlines() == [USES[line][1] for line in pair]
