"""What objects show of themselves: a short line, and a page for notebooks that stands by itself."""

import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import nbad
from nbad.displays import html

VOID = {"br", "hr"}
X = np.array([0.3, 1.0, 2.0])


@nbad.kernel
def price(s, k, t):
    """The value of a share < k & of others.

    More is not shown.
    """
    root_t = math.sqrt(t)
    d1 = math.log(s / k) / root_t
    n1 = 0.5 * (1.0 + math.erf(d1 / math.sqrt(2.0)))
    return s * n1 if d1 < root_t else k * 0.3989422804014327


price(1.0, 2.0, 3.0)


class Reader(HTMLParser):
    """Reads a page: which tags there are, whether each is closed, and the text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], set(), [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes += attributes
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += f" {data}"


def read(value):
    """A page, which loads nothing and runs nothing."""
    page = Reader(value._repr_html_())
    assert page.open == []
    assert not page.tags & {"script", "link", "img", "iframe", "object"}
    assert not [name for name, found in page.attributes if name.startswith("on") or name in ("src", "href")]
    return " ".join(page.text.split())


def shown():
    """Each object with the beginning of its line, and what its page says."""
    _, pullback = nbad.vjp(price, X, 2.0, X, residuals=("d1",))
    _, pushforward = nbad.linearize(price, X, 2.0, X)
    kernel = nbad.kernel(lambda x: math.exp(x))
    return {
        "kernel": (price, "<nbad.Kernel price(s, k, t)>", "The value of a share < k & of others. root t = t d 1"),
        "pullback": (pullback, "<nbad.Pullback of price(s, k, t): 3 elements of float64, ", "d1 test_pages.py:"),
        "residuals": (pullback.residuals, f"{len(pullback.residuals)} residuals, float64", "d1 test_pages.py:"),
        "explanation": (
            nbad.explain(price, X, 2.0, X),
            "<nbad.Explanation of price by s, k, t: 3 elements",
            "What the sweeps cost",
        ),
        "jacobian": (nbad.jacobian(price), "<nbad.jacobian(price)>", "y0 \u25cf \u25cf \u25cf"),
        "by name": (nbad.value_and_jacobian(price, "s"), "<nbad.value_and_jacobian(price, argnums=('s',))>", "(y, J)"),
        "hessian": (nbad.hessian(price), "<nbad.hessian(price)>", "(*B, N, N)"),
        "value_and_grad": (nbad.value_and_grad(price), "<nbad.value_and_grad(price, argnums=('s',))>", "(y, partials)"),
        "sparse": (nbad.sparse_jacobian(price), "<nbad.sparse_jacobian(price)>", "csr_array"),
        "sparse hessian": (nbad.sparse_hessian(price), "<nbad.sparse_hessian(price)>", "symmetric"),
        "report": (nbad.testing.check_kernel(kernel, X), "<nbad.testing.Report of <lambda>: ", "partials"),
        "pushforward": (pushforward, "<nbad.Pushforward of price(s, k, t): 3 elements of float64, ", None),
        "bound": (nbad.bind(price, X, 2.0, X), "<nbad.bind of <nbad.Kernel price(s, k, t)>>", None),
    }


def test_lines_and_pages():
    for name, (value, line, text) in shown().items():
        assert repr(value).startswith(line), name
        assert len(repr(value).splitlines()[0]) < 160
        if text is not None:
            assert text in read(value), name


def test_a_closed_pullback_says_so():
    _, pullback = nbad.vjp(price, X, 2.0, X)
    pullback.close()
    assert repr(pullback) == "<nbad.Pullback of price(s, k, t): 3 elements of float64, closed>"
    assert "nothing any more" in read(pullback)


def test_a_display_traces_nothing():
    calls = []

    def f(x, y):
        calls.append(x)
        return x * y

    kernel = nbad.kernel(f)
    assert "arguments x, y" in read(kernel)
    assert kernel._repr_latex_() is None
    assert "gives J of shape" in read(nbad.jacobian(kernel))
    assert calls == []
    kernel(2.0, 3.0)
    read(kernel)
    kernel._repr_latex_()
    assert len(calls) == 1


def test_text_of_others_is_escaped():
    def f(x):
        return x

    f.__name__ = f.__qualname__ = "<script>alert(1)</script>"
    f.__doc__ = "<b>bold</b> & more"
    kernel = nbad.kernel(f)
    kernel(1.0)
    assert "<script>alert(1)</script>(x)" in read(kernel)
    assert "<b>bold</b> & more" in read(kernel)


def test_kernels_without_formulas_have_a_page():
    @nbad.kernel
    def halved(x):
        while x > 1.0:
            x = x / 2.0
        return x

    halved(8.0)
    assert halved._repr_latex_() is None
    assert "each element" in read(halved)


def test_formulas_have_the_names_of_the_users_variables():
    text = price._repr_latex_()
    assert text.startswith("$\\displaystyle \\begin{aligned}\n\\mathit{root}_{t} &= \\sqrt{t} \\\\\nd_{1} &= \\frac{\\log{")
    assert r"\frac{\partial \mathrm{price}}{\partial s} &= " in text
    assert r"\frac{\sqrt{2} \, k}{2 \, \sqrt{\pi}}" in text  # 0.3989422804014327 k


def test_long_formulas_are_cut_with_a_note():
    @nbad.kernel(signature="(6),(6)->()")
    def far(a, b):
        terms = [math.sin(x * y) for x in a for y in b]
        return sum(terms)

    far(np.ones(6), np.ones(6))
    lines = far._repr_latex_().splitlines()
    assert len(lines) == 18
    assert re.search(r"and \d+ more lines", lines[-2])
    assert re.search(r"and \d+ more lines", read(far))
    assert len(far.latex().splitlines()) > 18


@pytest.mark.parametrize("share", [-1.0, 0.0, 0.5, 2.0])
def test_bars(share):
    width = int(re.search(r"width:(\d+)px", html.bar(share))[1])
    assert width == min(1.0, max(0.0, share)) * html.WIDEST
