"""The layers: which module may import which, in one table, read against the source of every module."""

import ast
import sys
from pathlib import Path

import pytest

import nbad

PACKAGE = Path(nbad.__file__).parent

# module: modules of nbad that it may import, beside `errors` | what else, beside the standard library
TABLE = """
errors              |
version             |
config              |                                                           | platformdirs
scipy_special       |                                                           | scipy
operation           |                                                           | numpy
expansions          | scipy_special                                             | numpy
special_ops         | expansions operation scipy_special                        | numpy
ops                 | operation special_ops                                     | numpy
graph               | ops                                                       | numpy
source              |
refusals            |
arrays              |                                                           | numpy
spellings           | arrays ops                                                | numpy
array_functions     | arrays spellings                                          | numpy
matrices            | array_functions arrays spellings                          | numpy
values              | arrays graph ops refusals source spellings                | numpy
origin              |
scopes              |
expressions         | scopes
rewrite             | expressions origin scopes
copies              | origin rewrite source
merging             | arrays values                                             | numpy
lookup              | merging refusals values                                   | numpy
composites          | lookup merging refusals spellings                         | numpy
heap                | arrays source                                             | numpy
forks               | heap merging refusals source
branches            | forks heap merging refusals source
choices             | forks merging refusals
returns             | forks heap merging refusals source
shared              | heap source                                               | numpy
flow                | branches choices heap lookup merging refusals returns shared source values | numpy
rebind              | arrays composites copies flow source spellings values     | numpy
signatures          |                                                           | numpy
tracer              | array_functions arrays graph matrices ops rebind signatures source values | numpy
simplify            | graph ops                                                 | numpy
derive              | ops                                                       | sympy
derived             |
partial_text        | graph ops simplify
differentiate       | derived graph ops partial_text simplify
special             | ops spellings values                                      | numpy
sympy_walk          | graph ops simplify                                        | sympy
primitives          | graph operation ops partial_text signatures sympy_walk tracer values | numba numpy
mincut              |
cost                | ops
policies            | cost mincut
partition           | cost graph policies simplify
plan_text           | graph ops partition
lower               | graph ops
python_printer      | lower ops
vector_math         | ops scipy_special                                         | llvmlite numba
ir_printer          | lower ops vector_math
cache               | config version                                            | llvmlite numpy
compile             | cache ir_printer lower vector_math                        | llvmlite numba numpy
locks               |
pool                | config locks                                              | numpy
structured          |                                                           | llvmlite
staging             | structured                                                | llvmlite numpy
interleave          | structured                                                | llvmlite
tiles               | cache compile interleave staging structured               | llvmlite numpy
thunk               | cache compile structured                                  | llvmlite numpy
driver              | compile locks thunk tiles                                 | llvmlite numba numpy
launch              | cost driver interleave staging tiles                      | numpy
reduction           | compile tiles                                             | numpy
broadcast           |                                                           | numpy
outputs             | thunk                                                     | numpy
uniform             | graph ops simplify
programs            | cache compile cost differentiate locks lower partition plan_text simplify uniform
budget              | config pool
dispatch            | broadcast budget launch pool tiles                        | numpy
regions             | broadcast tiles
reverse             | broadcast dispatch launch pool reduction regions tiles    | numpy
pullback            | broadcast budget dispatch outputs partition pool reverse  | numpy
formulas            | graph ops simplify                                        | sympy
nonfinite           | config graph                                              | numpy
quick               | broadcast config thunk tiles                              | numpy
typeset             | formulas simplify                                         | numpy sympy
pickling            |
decorate            | broadcast config dispatch formulas graph locks nonfinite outputs pickling programs quick signatures tracer typeset | numpy
calls               | broadcast config dispatch nonfinite outputs programs      | numpy
jacobians           | budget calls dispatch outputs pool quick
transforms          | broadcast budget calls cost decorate dispatch outputs policies pool pullback quick | numpy
gradients           | calls differentiate graph jacobians simplify tracer transforms
linearization       | broadcast budget calls dispatch outputs pool              | numpy
sympy_bridge        | decorate signatures sympy_walk tracer                     | sympy
explanation         | budget calls cost decorate dispatch partition policies reverse | numpy
showing             | lower python_printer                                      | numpy
harness             |
harness.comparisons |                                                           | numpy
harness.oracles     | ops                                                       | mpmath numpy
harness.case        | differentiate harness.comparisons harness.oracles transforms | numpy
harness.own_operations | graph harness.comparisons ops                             | numpy
harness.memory      | harness.case harness.comparisons jacobians                | numpy
harness.orders      | decorate differentiate gradients harness.case harness.comparisons harness.oracles jacobians linearization transforms | numpy
harness.checks      | harness.case harness.comparisons harness.memory harness.oracles harness.orders harness.own_operations jacobians partition transforms | numba numpy
testing             | harness.case harness.checks harness.comparisons           | numpy
accuracy            | decorate differentiate graph harness.oracles ops simplify tracer | mpmath numpy
subjects            | decorate                                                  | numpy
profiling           | cost explanation harness.comparisons jacobians policies subjects testing transforms vector_math | numba numpy
roofs               | cost decorate explanation                                 | numpy
plots               |                                                           | matplotlib numpy
doctor              | cache compile config decorate graph lower ops transforms vector_math version | llvmlite numba numpy
cli                 | cache doctor plots profiling roofs subjects version       | rich
__init__            | decorate explanation gradients jacobians linearization nonfinite primitives showing special sympy_bridge testing transforms version
"""
# imported inside a function only, and by nobody else
LAZY = {
    "sympy": {"derive", "formulas", "sympy_bridge", "sympy_walk", "typeset"},
    "mpmath": {"accuracy", "harness.oracles"},
    "platformdirs": {"config"},
    "scipy": {"scipy_special"},
    "matplotlib": {"plots"},
}


def allowed():
    rows = {}
    for line in TABLE.strip().splitlines():
        (name,), inside, outside = (part.split() for part in f"{line} |".split("|")[:3])
        rows[name] = {"errors", *inside, *(f":{partner}" for partner in outside)}
    return rows


ALLOWED = allowed()
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def module_of(name):
    """The longest part of a dotted name that is a module of nbad."""
    while name not in MODULES and name:
        name = name.rpartition(".")[0]
    return name or "__init__"


def imported(node):
    """What one node imports: modules of nbad by their name (`__init__` is nbad itself), others as ":name"."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative imports are not used"
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
        names = [node.args[0].value] if isinstance(node.args[0], ast.Constant) else []
    else:
        return
    for name in names:
        first, _, rest = name.partition(".")
        if first == "nbad":
            yield module_of(rest)
        elif first not in sys.stdlib_module_names:
            yield f":{first}"


def imports(tree):
    return {name for node in ast.walk(tree) for name in imported(node)}


def eager_imports(tree):
    """Imports that run when the module is loaded: those outside functions."""
    found, nodes = set(), [tree]
    while nodes:
        node = nodes.pop()
        found |= set(imported(node))
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            nodes += ast.iter_child_nodes(node)
    return found


def test_every_module_has_a_row():
    assert set(MODULES) == set(ALLOWED)


@pytest.mark.parametrize("module", ALLOWED)
def test_module_imports_what_its_row_allows(module):
    assert imports(ast.parse(MODULES[module].read_text())) <= ALLOWED[module]


@pytest.mark.parametrize("module", ALLOWED)
def test_lazy_partners_are_imported_inside_functions_of_their_files(module):
    tree = ast.parse(MODULES[module].read_text())
    for partner, files in LAZY.items():
        assert f":{partner}" not in eager_imports(tree)
        assert module in files or f":{partner}" not in imports(tree)


def test_table_has_no_cycle():
    left = {module: row - {module} for module, row in ALLOWED.items()}
    while left:
        ready = {module for module, row in left.items() if not row & set(left)}
        assert ready, f"a cycle among {sorted(left)}"
        left = {module: row for module, row in left.items() if module not in ready}


def test_walk_sees_every_way_to_import():
    tree = ast.parse(
        "import math, sympy\nfrom nbad import graph\nfrom nbad.ops import TABLE\nfrom nbad import vjp\n"
        "def f():\n    import jax.numpy\n    importlib.import_module('torch')\n"
    )
    assert imports(tree) == {":sympy", "graph", "ops", "__init__", ":jax", ":torch"}
    assert eager_imports(tree) == {":sympy", "graph", "ops", "__init__"}


def test_no_module_shares_its_name_with_a_public_function():
    functions = {name for name in nbad.__all__ if not isinstance(getattr(nbad, name), type(nbad))}
    assert not functions & set(MODULES)


def test_import_loads_neither_sympy_nor_partners(run_python):
    """Numba itself imports some, such as scipy where it is installed; those are its own affair."""
    code = "import sys, numba; before = set(sys.modules); import nbad; print(*sorted(set(sys.modules) - before))"
    loaded = {name.partition(".")[0] for name in run_python(code).split()}
    assert "nbad" in loaded
    assert loaded <= {"nbad", "numba", "numpy", "llvmlite"} | set(sys.stdlib_module_names)
