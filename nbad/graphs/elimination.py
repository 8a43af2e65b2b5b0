"""Linear equations of a few unknowns: elimination, at each step with the largest pivot, as exact as LAPACK's."""

import functools
from collections.abc import Sequence

from nbad.graphs.graph import GraphBuilder


def solved(builder: GraphBuilder, matrix: Sequence[Sequence[int]], right: Sequence[Sequence[int]]) -> list[list[int]]:
    """The nodes of the solution of `matrix @ x = right`, row by row.

    Which row has the largest pivot depends on the numbers, so rows are exchanged by selects; it is right for numbers of any size.

    Parameters
    ----------
    builder : GraphBuilder
    matrix : (N, N) nodes
    right : (N, K) nodes

    Returns
    -------
    (N, K) nodes

    Examples
    --------
    >>> builder = GraphBuilder("f", ["a", "b"])
    >>> ((x,),) = solved(builder, [[0]], [[1]])
    >>> print(builder.build([x]))
    f(a, b):
      %2 = div(b, a)
      return %2
    """
    size, rows = len(matrix), [[*left, *values] for left, values in zip(matrix, right, strict=True)]
    for k in range(size):
        _eliminate(builder, rows, k)
    for k in reversed(range(size)):
        for column in range(size, len(rows[k])):
            known = (builder.add("mul", rows[k][j], rows[j][column]) for j in range(k + 1, size))
            rest = functools.reduce(lambda total, term: builder.add("sub", total, term), known, rows[k][column])
            rows[k][column] = builder.add("div", rest, rows[k][k])
    return [row[size:] for row in rows]


def _eliminate(builder: GraphBuilder, rows: list[list[int]], k: int) -> None:
    """Take unknown `k` out of the rows below."""
    for i in range(k + 1, len(rows)):
        rows[k], rows[i] = _larger_first(builder, rows[k], rows[i], k)
    for i in range(k + 1, len(rows)):
        factor = builder.add("div", rows[i][k], rows[k][k])
        for j in range(k + 1, len(rows[i])):
            rows[i][j] = builder.add("sub", rows[i][j], builder.add("mul", factor, rows[k][j]))


def _larger_first(builder: GraphBuilder, p: list[int], q: list[int], k: int) -> tuple[list[int], list[int]]:
    """Two rows, exchanged where the second has the larger item at place `k`; earlier ones are 0 in both."""
    is_larger = builder.add("gt", builder.add("abs", q[k]), builder.add("abs", p[k]))

    def choose(a: int, b: int) -> int:
        return a if a == b else builder.add("select", is_larger, a, b)

    return p[:k] + list(map(choose, q[k:], p[k:])), q[:k] + list(map(choose, p[k:], q[k:]))
