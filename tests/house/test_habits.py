"""Habits of the house, read from the source: sizes, honest errors, tests that test, docstrings that run."""

import ast
import doctest
import functools
import importlib
import inspect
import os
import pkgutil
import re
import statistics
from pathlib import Path
from unittest import mock

import pytest

import nbad

PACKAGE, TESTS = Path(nbad.__file__).parent, Path(__file__).parents[1]
SOURCES = sorted(PACKAGE.rglob("*.py"))
SKIPS = {"skip", "skipif", "xfail", "importorskip"}


def tree_of(path):
    """Kept by nobody: millions of nodes would slow down every collection of garbage in later tests."""
    return ast.parse(path.read_text())


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def code_lines(function, lines):
    """Lines of a function, its head included, less docstring, comments and blanks."""
    numbers = set(range(function.lineno, function.end_lineno + 1))
    if ast.get_docstring(function):
        numbers -= set(range(function.body[0].lineno, function.body[0].end_lineno + 1))
    return sum(bool(lines[k - 1].strip()) and not lines[k - 1].strip().startswith("#") for k in numbers)


def words(function):
    """Every name and attribute in a function, and "assert" where it has such a statement."""
    nodes = list(ast.walk(function))
    names = {node.id for node in nodes if isinstance(node, ast.Name)} | {n.attr for n in nodes if isinstance(n, ast.Attribute)}
    return names | {"assert" for node in nodes if isinstance(node, ast.Assert)}


def words_of(tree):
    """Each function's name and its words."""
    return [(function.name, words(function)) for function in functions(tree)]


@functools.cache
def shared():
    return [pair for path in sorted((TESTS / "helpers").glob("*.py")) for pair in words_of(tree_of(path))]


def proving_words(own):
    """What shows that a test proves something: `assert` and the like, and the helpers in whose bodies these stand."""
    proofs = {"assert", "raises", "warns", "check_kernel", "assert_allclose", "assert_array_equal"}
    helpers = [(name, said) for name, said in own + shared() if not name.startswith("test")]
    while more := {name for name, said in helpers if proofs & said} - proofs:
        proofs |= more
    return proofs


def broken(rule, paths):
    """What breaks a rule, by file: a test for each of hundreds would cost more than to read it."""
    return {str(path): faults for path in paths if (faults := list(rule(path)))}


@functools.cache
def source_read(path):
    """The lengths of its functions, and its dishonest errors: what is wanted of the tree, read once."""
    tree, lines = tree_of(path), path.read_text().splitlines()
    return [code_lines(function, lines) for function in functions(tree)], list(dishonest_errors(tree))


def dishonest_errors(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "NotImplementedError":
            yield f"line {node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            is_passed_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            catches_all = {"everything", "Exception", "BaseException"} & set(re.findall(r"\w+", caught))
            if catches_all and not is_passed_on:
                yield f"line {node.lineno}"


def untested(path):
    """Tests that do not assert, skips, and expected errors that are not matched on their text."""
    tree = tree_of(path)
    own = words_of(tree)
    proofs = proving_words(own)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in SKIPS:
            yield f"line {node.lineno}: {node.attr}"
        is_expected = isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("raises", "warns")
        if is_expected and "match" not in {keyword.arg for keyword in node.keywords}:
            yield f"line {node.lineno}: no match"
    yield from (name for name, said in own if name.startswith("test") and not proofs & said)


def public_functions():
    """Functions and classes in `nbad.__all__`, exceptions apart."""
    for name in nbad.__all__:
        value = getattr(nbad, name)
        is_error = inspect.isclass(value) and issubclass(value, BaseException)
        if callable(value) and not is_error:
            yield name


def module_names():
    return ["nbad", *(module.name for module in pkgutil.walk_packages(nbad.__path__, "nbad."))]


# modules of partners are not imported while tests are collected; PyTorch, which takes a minute to install, every night only
FILES = "integrations.jax integrations.torch partners.jax_ffi partners.jax_sweeps partners.torch_sweeps"
APART = {f"nbad.{name}" for name in FILES.split()}
WITH_EXAMPLES = ["nbad.integrations.jax", pytest.param("nbad.integrations.torch", marks=pytest.mark.slow)]


def doctests(module):
    return [test for test in doctest.DocTestFinder().find(importlib.import_module(module)) if test.examples]


def test_functions_are_short():
    lengths = sorted(length for path in SOURCES for length in source_read(path)[0])
    assert statistics.median(lengths) <= 8
    assert lengths[int(0.9 * (len(lengths) - 1))] <= 30


def test_errors_are_honest():
    """No stub, and no handler that catches what it cannot know, unless it raises that again."""
    assert broken(lambda path: source_read(path)[1], SOURCES) == {}


def test_words_of_the_field():
    assert broken(lambda path: re.findall(r"\b(?:tapes?|TODO|FIXME|XXX)\b", path.read_text()), SOURCES) == {}


def test_tests_test():
    """Every test asserts, none is skipped, and every expected error is matched on its text."""
    assert broken(untested, sorted(TESTS.rglob("*.py"))) == {}


def test_what_breaks_a_habit_is_seen(tmp_path):
    path = tmp_path / "written.py"
    path.write_text(
        "def test_nothing():\n    pytest.skip()\n    with pytest.raises(ValueError):\n        f()\n"
        "def test_naught():\n    pass\n"
        "try:\n    f()\nexcept Exception:\n    raise NotImplementedError\n"
    )
    found = ["line 2: skip", "line 3: no match", "test_naught"]
    assert broken(untested, [path]) == {str(path): found}
    assert source_read(path) == ([4, 2], ["line 9", "line 10"])


@pytest.mark.parametrize("name", list(public_functions()))
def test_public_function_has_examples(name):
    doc = inspect.getdoc(getattr(nbad, name)) or ""
    assert "Examples\n--------\n" in doc
    assert ">>> " in doc


EXAMPLES = [module for module in module_names() if module not in APART and doctests(module)] + WITH_EXAMPLES


@pytest.mark.parametrize("module", EXAMPLES)
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_docstring_examples_run(module):
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    report = []
    with mock.patch.dict(os.environ):
        for test in doctests(module):
            runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_types_are_announced():
    assert (PACKAGE / "py.typed").is_file()
