"""Random graphs that can be differentiated, for hypothesis."""

from hypothesis import strategies as st

from nbad.graphs.graph import GraphBuilder

ONE, TWO = ("neg", "abs", "sin", "exp", "sqrt", "log1p"), ("add", "sub", "mul", "div", "maximum", "hypot")
POINTS = (-2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0)


@st.composite
def graphs(draw, largest=14):
    """Up to three inputs and outputs, a few constants, comparisons and selects."""
    builder = GraphBuilder("f", [f"x{k}" for k in range(draw(st.integers(1, 3)))])
    reals, conditions = list(range(len(builder.inputs))), []
    for _ in range(draw(st.integers(1, largest))):
        kind = draw(st.sampled_from(["one", "two", "two", "two", "const", "powi", "compare", "select"]))
        x, y = (draw(st.sampled_from(reals)) for _ in range(2))
        if kind == "one":
            reals.append(builder.add(draw(st.sampled_from(ONE)), x))
        elif kind == "two":
            reals.append(builder.add(draw(st.sampled_from(TWO)), x, y))
        elif kind == "const":
            reals.append(builder.constant(draw(st.sampled_from(POINTS))))
        elif kind == "powi":
            reals.append(builder.add("powi", x, payload=draw(st.integers(-3, 4))))
        elif kind == "select" and conditions:
            reals.append(builder.add("select", draw(st.sampled_from(conditions)), x, y))
        else:
            conditions.append(builder.add(draw(st.sampled_from(["lt", "ge"])), x, y))
    return builder.build(draw(st.lists(st.sampled_from(reals[-3:]), min_size=1, max_size=3)))
