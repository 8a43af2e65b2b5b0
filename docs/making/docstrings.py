"""Docstrings in NumPy's style, read by napoleon; those of properties, too, are texts and not `type: text`.

`.. unimported:: module.function` describes a function by its source, since its module needs what need not be installed here.
"""

import ast
import inspect
from importlib.util import find_spec
from pathlib import Path
from textwrap import indent

from sphinx.ext.napoleon import Config, NumpyDocstring
from sphinx.util.docutils import SphinxDirective

CONFIG = Config(napoleon_use_rtype=False)


def read(app, what, name, obj, options, lines):
    """Replace a docstring's lines by reStructuredText."""
    kind = "method" if what == "property" else what
    lines[:] = str(NumpyDocstring(lines, CONFIG, app, kind, name, obj, options)).splitlines()


def signed(app, what, name, obj, options, signature, returned):
    """Classes that users do not make, and so have no parameters in their docstrings, go without a signature."""
    is_made_elsewhere = what in ("class", "exception") and "Parameters\n" not in (obj.__doc__ or "")
    return ("", None) if is_made_elsewhere else (signature, returned)


class Unimported(SphinxDirective):
    """A function whose module is not imported."""

    required_arguments = 1

    def run(self):
        """The nodes of its description."""
        (full,) = self.arguments
        module, _, name = full.rpartition(".")
        tree = ast.parse(Path(find_spec(module).origin).read_text(encoding="utf-8"))
        (node,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
        lines = inspect.cleandoc(ast.get_docstring(node)).splitlines()
        read(self.env.app, "function", full, None, None, lines)
        parameters = ", ".join(argument.arg for argument in node.args.args)
        text = "\n".join(lines)
        return self.parse_text_to_nodes(f".. py:function:: {full}({parameters})\n\n{indent(text, '   ')}\n")


def setup(app):
    """What Sphinx calls."""
    app.connect("autodoc-process-docstring", read)
    app.connect("autodoc-process-signature", signed)
    app.add_directive("unimported", Unimported)
    return {"parallel_read_safe": True}
