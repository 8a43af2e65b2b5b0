"""Partners are loaded when they are named, and asked for where they are missing."""

import pytest

import nbad


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_missing_partner_is_asked_for(run_python, name):
    program = (
        f"import sys; sys.modules['{name}'] = None\n"
        "import nbad\n"
        f"try: nbad.integrations.{name}.function\n"
        "except ImportError as error: print(type(error).__name__, error)"
    )
    found = run_python(program)
    assert found.startswith(f"MissingExtraError `nbad.integrations.{name}` needs {name}, which is not installed")
    assert f'fix: pip install "nbad[{name}]"' in found


def test_unknown_partner():
    with pytest.raises(AttributeError, match=r"module 'nbad\.integrations' has no attribute 'troch'"):
        nbad.integrations.troch  # noqa: B018
