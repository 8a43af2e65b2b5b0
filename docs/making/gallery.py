"""The gallery: one page for each file of `kernels/`, made of its docstring, its kernels and a picture, when the site is built.

The pages go to `docs/gallery/`, the pictures beside them. `NBAD_DOCS_PICTURES=0` leaves the pictures out.
"""

import importlib.util
import inspect
import os
import re
from pathlib import Path
from typing import NamedTuple

import nbad

DOCS = Path(__file__).parents[1]
KERNELS = DOCS.parent / "kernels"
FOLDER = DOCS / "gallery"
FIELDS = ("Units", "Domain", "Source")
DOI = re.compile(r"doi:(10\.[^\s,;)]*[^\s,;.)])")


class Page(NamedTuple):
    """One file of the gallery: its name, its module, and its docstring in parts."""

    name: str
    module: object

    @property
    def title(self):
        """The first sentence, up to a colon or comma."""
        return re.split("[:,.]", self._parts()[0])[0]

    @property
    def body(self):
        """What it computes, formula and prose, and the fields that every file has, as Markdown."""
        first = " ".join(self._parts()[0].split())
        lines = [_prose(first)] if first != f"{self.title}." else []
        for paragraph in self._parts()[1:]:
            is_formula = all(line.startswith("    ") for line in paragraph.splitlines())
            lines.append(f"```text\n{inspect.cleandoc(paragraph)}\n```" if is_formula else _prose(paragraph))
        return "\n\n".join(lines)

    @property
    def kernels(self):
        """The kernels that the file itself makes, in its order."""
        return {key: value for key, value in vars(self.module).items() if isinstance(value, nbad.Kernel)}

    @property
    def code(self):
        """The file without its docstring."""
        source = inspect.getsource(self.module)
        return source[source.index('"""', 3) + 3 :].strip()

    def _parts(self):
        return inspect.getdoc(self.module).split("\n\n")


def pages():
    """All files of the gallery."""
    return [Page(path.stem, load(path)) for path in sorted(KERNELS.glob("*.py"))]


def load(path):
    """The module of one file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _prose(paragraph):
    """A paragraph, in which each field begins a new one, and identifiers are code."""
    text = re.sub(rf"(?m)^({'|'.join(FIELDS)}):", r"\n**\1.**", paragraph).strip()
    text = "\n".join(part if "`" in part else _quoted(part) for part in text.split("\n"))
    return DOI.sub(r"[doi:\1](https://doi.org/\1)", text)


def _quoted(line):
    """Names with underscores and powers, which Markdown would read as emphasis."""
    return line if "doi:" in line else re.sub(r"(?<![\w`])(\w+_\w+|\w+\^\S*\w)(?![\w`])", r"`\1`", line)


def _table(page):
    rows = [f"| `{name}({', '.join(f.parameters)})` | {inspect.getdoc(f)} |" for name, f in page.kernels.items()]
    return "\n".join(["| kernel | |", "| --- | --- |", *rows])


def text(page, caption):
    """The Markdown of one page."""
    picture = f"\n```{{figure}} {page.name}.svg\n:alt: {caption}\n\n{caption}\n```\n" if caption else ""
    first = next(iter(page.kernels))
    which = f"{page.name}.py" + (f":{first}" if len(page.kernels) > 1 else "")
    return f"""# {page.title}

{page.body}
{picture}
{_table(page)}

`nbad profile kernels/{which}` times it on your machine.

```{{code-block}} python
{page.code}
```
"""


def make(app):
    """Write the pages, and with them the pictures; files that would not change keep their times."""
    import pictures

    FOLDER.mkdir(exist_ok=True)
    is_drawn = os.environ.get("NBAD_DOCS_PICTURES", "1") != "0"
    made = pages()
    for page in made:
        draw = pictures.PICTURES.get(page.name) if is_drawn else None
        _write(FOLDER / f"{page.name}.md", text(page, " ".join(inspect.getdoc(draw).split()) if draw else None))
        if draw:
            pictures.save(draw(page.module), FOLDER / f"{page.name}.svg")
    rows = "\n".join(_row(page, is_drawn and page.name in pictures.PICTURES) for page in made)
    tree = "\n".join(page.name for page in made)
    _write(FOLDER / "index.md", INDEX.format(rows=rows, tree=tree))


INDEX = """# Gallery

One kernel a file, with its formula, units, domain and source. The tests check each against published values, and its derivatives
against mpmath; the benchmarks time some of them beside other tools. All are in the folder `kernels/` of the repository.

| what it computes | |
| --- | --- |
{rows}

```{{toctree}}
:hidden:

{tree}
```
"""


def _row(page, has_picture):
    picture = f"[![{page.title}]({page.name}.svg)]({page.name}.md)" if has_picture else ""
    return f"| [{page.title}]({page.name}.md): {', '.join(f'`{name}`' for name in page.kernels)} | {picture} |"


def _write(path, content):
    if not path.is_file() or path.read_text(encoding="utf-8") != content:
        path.write_text(content, encoding="utf-8")


def setup(app):
    """What Sphinx calls."""
    app.connect("builder-inited", make)
    return {"parallel_read_safe": True}
