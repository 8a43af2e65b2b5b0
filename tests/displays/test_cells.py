"""Lines of notebooks: errors, graphs and tables name the cell, as IPython does."""

import linecache
import math
import sys
from types import SimpleNamespace

import pytest

import nbad
from nbad.lines import file_name, parts_of, place

FILES = {"/tmp/ipykernel_7/1234.py": 3, "<ipython-input-4-abcd>": 4}
SOURCE = """
def f(x, y):
    z = math.exp(x) * y
    if z > 1.0:
        return z.nothing
    return z
"""


@pytest.fixture
def notebook(monkeypatch):
    """A session of IPython with two cells, as far as one asks it about files; returns a function of a cell."""

    def format_code_name(name):
        return ("Cell", f"In[{FILES[name]}]") if name in FILES else None

    shell = SimpleNamespace(compile=SimpleNamespace(format_code_name=format_code_name))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))

    def function(file, source=SOURCE):
        monkeypatch.setitem(linecache.cache, file, (len(source), None, source.splitlines(keepends=True), file))
        scope = {"math": math}
        exec(compile(source, file, "exec"), scope)
        return scope["f"]

    return function


@pytest.mark.parametrize(("file", "number"), FILES.items())
def test_errors_name_the_cell(notebook, file, number):
    with pytest.raises(TypeError, match=rf"return z.nothing +\(Cell In\[{number}\], line 5\)"):
        nbad.kernel(notebook(file))(1.0, 2.0)


def test_graphs_and_tables_name_the_cell(notebook):
    f = nbad.kernel(notebook("<ipython-input-4-abcd>", SOURCE.replace(".nothing", "")))
    assert "= exp(x)                                  # Cell In[4], line 3\n" in nbad.show(f, "plan")
    _, pullback = nbad.vjp(f, 1.0, 2.0, residuals=("z",))
    assert "Cell In[4], line 3" in {value.source for value in pullback.residuals.values}
    assert "; Cell In[4], line 3\n" in f.inspect_llvm(f.signatures[0])
    assert '!DIFile(filename: "Cell In[4]"' not in f.inspect_llvm(f.signatures[0])
    assert ".loc" in f.inspect_asm(f.signatures[0])


def test_files_keep_their_names(notebook):
    assert file_name(__file__) == "test_cells.py"
    assert place().startswith("test_cells.py:")


@pytest.mark.parametrize("module", [SimpleNamespace(), SimpleNamespace(get_ipython=lambda: None)])
def test_programs_that_only_import_ipython(monkeypatch, module):
    monkeypatch.setitem(sys.modules, "IPython", module)
    assert file_name("/tmp/ipykernel_7/1234.py") == "1234.py"


def test_places_are_read_as_they_are_written():
    assert parts_of("a:b.py:12") == ("a:b.py", 12)
    assert parts_of("Cell In[3], line 4") == ("Cell In[3]", 4)
