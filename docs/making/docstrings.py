"""Docstrings in NumPy's style, read by napoleon; those of properties, too, are texts and not `type: text`."""

from sphinx.ext.napoleon import Config, NumpyDocstring

CONFIG = Config(napoleon_use_rtype=False)


def read(app, what, name, obj, options, lines):
    """Replace a docstring's lines by reStructuredText."""
    kind = "method" if what == "property" else what
    lines[:] = str(NumpyDocstring(lines, CONFIG, app, kind, name, obj, options)).splitlines()


def setup(app):
    """What Sphinx calls."""
    app.connect("autodoc-process-docstring", read)
    return {"parallel_read_safe": True}
