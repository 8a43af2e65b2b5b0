"""The code that makes the documentation, in `docs/making/`, as modules."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def making(name):
    """One file of `docs/making/`."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / "making" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


blocks = making("blocks")


def pages():
    """The pages that people write: those of the gallery are made when the site is built."""
    return sorted(path for path in DOCS.rglob("*.md") if not {"_build", "gallery"} & set(path.relative_to(DOCS).parts))
