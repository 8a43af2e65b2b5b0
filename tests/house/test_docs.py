"""The documentation keeps its word: its code prints what it shows, its links lead somewhere, and every public name is in it."""

import re
from importlib.util import find_spec

import pytest
from helpers.gallery_reference import NIST
from helpers.site import DOCS, ROOT, blocks, making, pages

import nbad
from nbad.operations.table import TABLE

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit")  # PyTorch's own forward mode calls it
LARGE = ("torch", "jax")  # partners that the tests do without where they are not installed
PROGRAMS = {
    f"{page.relative_to(DOCS).with_suffix('')} {k}": program
    for page in pages()
    if page.stem not in LARGE or page.parent.name != "partners" or find_spec(page.stem)
    for k, program in enumerate(blocks.programs_of(page))
}
SLOW = {"guide/kernels 4"}  # a check of a kernel, as in tests/testing; the page's other programs are quick
CODE, LINK = re.compile(r"```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL), re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in PROGRAMS])
def test_examples_print_what_is_shown(name, tmp_path):
    assert list(blocks.run(PROGRAMS[name], tmp_path)) == [block.printed for block in PROGRAMS[name]]


def test_every_block_of_python_is_run():
    for page in pages():
        text = page.read_text(encoding="utf-8")
        assert text.count("```python\n") == len(blocks.blocks_of(text)), page


def test_renewal_writes_what_is_printed(tmp_path):
    page, text = (
        tmp_path / "page.md",
        "```python\nx = 2\nprint(x)\n```\n\n```text\n{}\n```\n\nThen\n\n```python\nprint(x + 1)\n```\n{}",
    )
    page.write_text(text.format(7, ""))
    assert blocks.renewed(page) == text.format(2, "\n```text\n3\n```\n")


@pytest.mark.parametrize("page", [ROOT / "README.md", *pages()], ids=lambda page: page.stem)
def test_links_lead_to_files(page):
    """Those to pages that are made when the site is built lead to files of the gallery."""
    for link in LINK.findall(CODE.sub("`code`", page.read_text(encoding="utf-8"))):
        target = page.parent / link.partition("#")[0]
        if target.parent.name == "gallery":
            assert target.stem == "index" or (ROOT / "kernels" / f"{target.stem}.py").is_file(), link
        else:
            assert "://" in link or target.exists(), link


def test_reference_has_every_public_name():
    text = "".join(page.read_text(encoding="utf-8") for page in pages() if page.parent.name == "reference")
    described = set(re.findall(r"^\.\. (?:auto|py:)\w+:: nbad\.(\S+)$", text, re.MULTILINE))
    assert {name for name in nbad.__all__ if name != "integrations"} <= described
    assert {f"testing.{name}" for name in nbad.testing.__all__} <= described


def test_reference_has_the_calls_of_what_partners_return():
    text = (DOCS / "reference" / "partners.md").read_text(encoding="utf-8")
    described = re.findall(r"^\.\. automodule:: nbad\.integrations\.(\w+)\n((?:   :.*\n)+)", text, re.MULTILINE)
    assert {name for name, _ in described} == {"pandas", "xarray", "dask"}
    assert all("   :special-members: __call__\n" in options for _, options in described)


def test_special_points_are_those_of_the_primitive_table():
    section = (DOCS / "numerics" / "special_points.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*`) \| (.*) \|$", section, re.MULTILINE)
    shown = {name: text for names, text in rows for name in re.findall(r"`(\w+)`", names)}
    assert shown == {row.name: row.kink for row in TABLE.values() if row.kink}


def test_changelog_begins_with_this_version():
    found = re.search(r"^## (\S+)$", (DOCS / "changelog.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert found[1] == nbad.__version__


def test_figures_beside_jax_are_the_measured_ones():
    times = making("pictures").seed_times()
    said = "take {:.2g} ms, and {:.2g} ms in `jit(vmap(pullback))`; one seed takes {:.2g} and {:.2g} ms"
    said = said.format(*(times[seeds][name] for seeds in (8, 1) for name in ("nbad", "jax")))
    assert said in (DOCS / "coming_from" / "jax.md").read_text(encoding="utf-8")


def test_fitted_curve_of_the_gallery_is_of_the_published_data():
    assert tuple(NIST["rat43"].y) == making("pictures").ONIONS


def test_gallery_has_a_page_for_every_kernel():
    gallery = making("gallery")
    found = gallery.pages()
    assert [page.name for page in found] == sorted(path.stem for path in (ROOT / "kernels").glob("*.py"))
    for page in found:
        text = gallery.text(page, None)
        assert text.startswith(f"# {page.title}\n")
        assert all(f"**{field}.**" in text for field in gallery.FIELDS), page.name
        assert page.kernels
