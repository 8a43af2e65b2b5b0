"""The documentation: `python -m sphinx -W -b html docs docs/_build`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "making"))
sys.path.append(str(Path(__file__).parents[1]))

import nbad

project = "nbad"
author = copyright = "nbad developers"
release = version = nbad.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "docstrings", "gallery"]
exclude_patterns = ["_build", "making"]

default_role = "code"  # docstrings write `x` for code
autodoc_typehints = "none"  # docstrings tell the types in words
autodoc_member_order = "bysource"
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"nbad {release}"
html_static_path = ["static"]
html_css_files = ["nbad.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
