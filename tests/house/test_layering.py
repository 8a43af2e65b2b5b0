"""The layers: which wing may import which, in one table, read against the source of every room."""

import ast
import functools
import itertools
import sys
from pathlib import Path

import nbad

PACKAGE = Path(nbad.__file__).parent

# wing or top file: wings and top files that it may import beside its own rooms and those that everybody may import
TABLE = """
errors      |
lines       |
forks       |
memo        |
config      |
version     |
renamed     |
foreign     |
labels      |
displays    |
operations  |
graphs      | operations
derivatives | operations graphs
formulas    | operations graphs derivatives
plans       | operations graphs derivatives
functions   |
codegen     | operations graphs functions
native      | codegen
pipeline    | graphs derivatives plans codegen
indexing    |
runtime     | graphs derivatives plans codegen native pipeline indexing
assembly    | plans codegen native indexing runtime
rewriting   |
language    | operations graphs rewriting
containers  | language
branching   | operations graphs language containers rewriting
tracing     | operations graphs derivatives rewriting language containers branching
special     | operations language
api         | operations graphs derivatives formulas plans pipeline indexing runtime language tracing special
verbs       | operations graphs derivatives formulas plans pipeline indexing runtime assembly language tracing special api
njit        | operations graphs plans functions codegen pipeline api verbs
partners    | operations graphs derivatives plans codegen native pipeline indexing runtime assembly tracing api verbs
integrations | graphs indexing runtime assembly api verbs partners
profiles    | graphs plans runtime api verbs
testing     | operations graphs derivatives plans api verbs
tools | operations graphs derivatives formulas plans functions codegen pipeline runtime tracing special api verbs testing profiles
__main__    | tools
__init__    | renamed special indexing language tracing runtime api verbs integrations tools testing
"""
EVERYBODY = {"errors", "lines", "forks", "memo", "config", "version", "foreign", "labels", "displays"}
# imported inside a function only, and by nobody else
LAZY = {
    "sympy": {"formulas", "operations.derive", "verbs.sympy_kernels"},
    "mpmath": {"tools.accuracy", "testing.exact", "functions.fits"},
    "scipy": {"operations.scipy_link", "assembly.scipy_sparse"},
    "matplotlib": {"tools.plots"},
}
# imported where it is named: by the file of that partner, as a whole
INTEGRATED: dict[str, set[str]] = {
    "integrations.dask": {"dask"},
    "partners.dask_blocks": {"dask"},
    "partners.dask_pullback": {"dask"},
    "integrations.xarray": {"xarray"},
    "partners.xarray_call": {"xarray"},
    "integrations.pandas": {"pandas"},
    "partners.pandas_call": {"pandas"},
    "integrations.scipy": {"scipy"},
    "partners.scipy_problem": {"scipy"},
    "partners.dask_pins": {"distributed"},
    **{name: {"jax"} for name in ("integrations.jax", "partners.jax_ffi", "partners.jax_sweeps")},
    **{name: {"torch"} for name in ("integrations.torch", "partners.torch_sweeps")},
}
PARTNERS = {*LAZY, *itertools.chain(*INTEGRATED.values()), "numpy", "numba", "llvmlite", "platformdirs", "rich"}
IMPORTERS = {"import_module", "__import__"}
ROOMS, LINES = 14, 400


def allowed():
    rows = {}
    for line in TABLE.strip().splitlines():
        name, inside = line.split("|")
        rows[name.strip()] = {name.strip(), *inside.split(), *(EVERYBODY if name.strip() not in EVERYBODY else ())}
    rows |= dict.fromkeys(EVERYBODY, EVERYBODY)
    return rows


ALLOWED = allowed()
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def wing(module):
    """The wing of a room, or the top file itself."""
    return module.partition(".")[0]


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
    elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in IMPORTERS:
        names = [node.args[0].value] if isinstance(node.args[0], ast.Constant) else []
    else:
        return
    for name in names:
        first, _, rest = name.partition(".")
        if first == "nbad":
            yield module_of(rest)
        elif first not in sys.stdlib_module_names and first != "annotationlib":  # of Python 3.14
            yield f":{first}"


def imports(tree):
    return {name for node in ast.walk(tree) for name in imported(node)}


def eager_imports(tree):
    """Imports that run when the module is loaded: those outside functions, and not for type checkers only."""
    found, nodes = set(), [tree]
    while nodes:
        node = nodes.pop()
        found |= set(imported(node))
        is_typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not is_typing and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            nodes += ast.iter_child_nodes(node)
    return found


@functools.cache
def imports_of(module):
    """All of them, and the eager ones; the tree is not kept."""
    tree = ast.parse(MODULES[module].read_text())
    return imports(tree), eager_imports(tree)


def test_every_wing_has_a_row():
    assert set(map(wing, MODULES)) == set(ALLOWED)


def test_room_imports_what_the_row_of_its_wing_allows():
    for module in MODULES:
        names, _ = imports_of(module)
        assert {wing(name) for name in names if not name.startswith(":")} <= ALLOWED[wing(module)], module
        assert {name[1:] for name in names if name.startswith(":")} <= PARTNERS, module


def test_lazy_partners_are_imported_inside_functions_of_their_files():
    for module in MODULES:
        names, eager = imports_of(module)
        own = INTEGRATED.get(module, set())
        for partner in {*LAZY, *itertools.chain(*INTEGRATED.values())} - own:
            assert f":{partner}" not in eager, module
            assert LAZY.get(partner, set()) & {module, wing(module)} or f":{partner}" not in names, module


def is_acyclic(graph):
    left = {name: row - {name} for name, row in graph.items()}
    while left:
        ready = {name for name, row in left.items() if not row & set(left)}
        if not ready:
            return sorted(left)
        left = {name: row for name, row in left.items() if name not in ready}
    return True


def test_table_has_no_cycle():
    assert is_acyclic({name: row - EVERYBODY for name, row in ALLOWED.items()}) is True


def test_rooms_have_no_cycle():
    """What runs when a room is loaded."""
    graph = {name: {m for m in imports_of(name)[1] if m[0] != ":"} for name in MODULES}
    del graph["__init__"]
    assert is_acyclic(graph) is True


def test_wings_and_rooms_are_small():
    rooms = {}
    for name in MODULES:
        if "." in name:
            rooms.setdefault(wing(name), []).append(name)
    assert {name: len(found) for name, found in rooms.items() if len(found) > ROOMS} == {}
    lengths = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {name: length for name, length in lengths.items() if length > LINES} == {}


def test_a_wings_init_holds_its_promise_only():
    for name, path in MODULES.items():
        if path.name == "__init__.py" and name not in ("__init__", "testing", "integrations"):
            tree = ast.parse(path.read_text())
            assert ast.get_docstring(tree), name
            assert len(tree.body) == 1, name


def test_walk_sees_every_way_to_import():
    tree = ast.parse(
        "import math, sympy\nfrom nbad import graphs\nfrom nbad.operations.table import TABLE\nfrom nbad import vjp\n"
        "def f():\n    import jax.numpy\n    importlib.import_module('torch')\n"
        "if TYPE_CHECKING:\n    from nbad.language.trace import Trace\n"
    )
    assert imports(tree) == {":sympy", "graphs", "operations.table", "__init__", ":jax", ":torch", "language.trace"}
    assert eager_imports(tree) == {":sympy", "graphs", "operations.table", "__init__"}


def test_nothing_is_imported_for_what_its_import_does():
    assert [name for name, path in MODULES.items() if "noqa: F401" in path.read_text()] in ([], ["__init__"])


def test_no_wing_and_no_top_file_bears_the_name_of_a_public_function():
    functions = {name for name in nbad.__all__ if not isinstance(getattr(nbad, name), type(nbad))}
    assert not functions & set(map(wing, MODULES))


def test_import_loads_neither_sympy_nor_partners(run_python):
    """Numba itself imports some, such as scipy where it is installed; those are its own affair."""
    code = "import sys, numba; before = set(sys.modules); import nbad; print(*sorted(set(sys.modules) - before))"
    loaded = {name.partition(".")[0] for name in run_python(code).split()}
    assert "nbad" in loaded
    assert loaded <= {"nbad", "numba", "numpy", "llvmlite"} | set(sys.stdlib_module_names)
