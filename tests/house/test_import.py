"""`import nbad`: every name is there, and what not every program needs is loaded when it is asked for."""

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


def test_what_not_every_program_needs_is_loaded_later(run_python):
    program = (
        f"import sys, nbad; before = set(sys.modules); nbad.grad; "
        f"print([name in before for name in {LATER}], 'nbad.verbs.gradients' in sys.modules)"
    )
    assert run_python(program).strip() == f"{[False] * len(LATER)} True"


def test_kernels_use_names_that_nobody_loaded(run_python):
    program = "import nbad; f = nbad.kernel(lambda x: nbad.special.softplus(nbad.stop_gradient(x))); print(float(f(0.0)))"
    assert float(run_python(program)) == pytest.approx(0.6931471805599453)
