"""nbad's verbs on pandas' Series and the columns of a DataFrame, aligned by their labels, and the pullback of these.

A plain call `f(*xs)` and kernels such as `nbad.grad(f)` take Series themselves. The functions here take Series and numbers; one
DataFrame in their place stands for all parameters of whose names it has columns.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from nbad.api.calls import check_kernel, selection
from nbad.api.kernel import Kernel
from nbad.api.options import Argnums, Mode, Residuals
from nbad.api.trees import flattened
from nbad.errors import ArgumentValueError, fitting
from nbad.graphs.structures import outputs_of
from nbad.partners.derived import of_arrays
from nbad.partners.made import OfPartner, PartialsOfPartner, PullbackOfPartner, vjp_by_flat
from nbad.partners.named import in_tuples
from nbad.partners.pandas_call import Aligned
from nbad.verbs import gradients, jacobians, pushforward
from nbad.verbs.vjp import vjp as vjp_of_arrays

__all__ = ["Pullback", "hessian", "jacobian", "jvp", "value_and_grad", "value_and_jacobian", "value_and_partials", "vjp"]


@fitting("nbad.integrations.pandas.value_and_partials({f})({xs})")
def value_and_partials(f: Kernel, argnums: Argnums = None) -> Callable[..., pd.DataFrame]:
    """The function that computes a table of values and partial derivatives in one sweep.

    Parameters
    ----------
    f : Kernel
        Of numbers, not of vectors.
    argnums : int, str or tuple of these, optional
        Arguments to differentiate; by default all but integer and bool columns.

    Returns
    -------
    callable
        `value_and_partials(f)(*xs)`, a DataFrame with a column for each output, and behind these one for each output and
        argument: that of the derivative of `price` by `s` is "dprice/ds". Outputs go by the names of fields or keys, or of the
        variables that the kernel returns, else by "y0", "y1", ..., and the only one of a kernel by the kernel's name.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments that do not fit, such as columns of text.

    Examples
    --------
    >>> import nbad, pandas as pd
    >>> @nbad.kernel
    ... def area(a, b):
    ...     return a * b
    >>> book = pd.DataFrame({"a": [2.0, 3.0], "b": [5.0, 7.0]}, index=["x", "y"])
    >>> nbad.integrations.pandas.value_and_partials(area)(book)
       area  darea/da  darea/db
    x  10.0       5.0       2.0
    y  21.0       7.0       3.0
    """

    def run(made: Aligned) -> pd.DataFrame:
        y, blocks = made.call(jacobians.value_and_jacobian(f, made.names))
        columns = dict(zip(made.columns, outputs_of(y), strict=True))
        for m, output in enumerate(made.columns):
            columns |= {f"d{output}/d{name}": blocks[:, m, n] for n, name in enumerate(made.names)}
        return made.frame(columns)

    return OfPartner(jacobians.value_and_jacobian(f, argnums), value_and_partials, Aligned.of, run)


@fitting("nbad.integrations.pandas.jacobian({f})({xs})")
def jacobian(f: Kernel, argnums: Argnums = None, mode: Mode = "auto") -> Callable[..., pd.DataFrame]:
    """As `nbad.jacobian`, on Series or the columns of a DataFrame.

    Parameters
    ----------
    f, argnums, mode
        As for `nbad.jacobian`.

    Returns
    -------
    callable
        `jacobian(f)(*xs)`, a DataFrame with a column for each argument; of a kernel of several outputs the columns are pairs of
        output and argument.

    Examples
    --------
    >>> import nbad, pandas as pd
    >>> area = nbad.kernel(lambda a, b: a * b)
    >>> nbad.integrations.pandas.jacobian(area)(pd.Series([2.0, 3.0]), b=5.0)
    argument    a    b
    0         5.0  2.0
    1         5.0  3.0
    """

    def run(made: Aligned) -> pd.DataFrame:
        return made.blocks(made.call(jacobians.jacobian(f, made.names, mode)))

    return OfPartner(jacobians.jacobian(f, argnums, mode), functools.partial(jacobian, mode=mode), Aligned.of, run)


@fitting("nbad.integrations.pandas.value_and_jacobian({f})({xs})")
def value_and_jacobian(f: Kernel, argnums: Argnums = None) -> Callable[..., tuple[Any, pd.DataFrame]]:
    """As `nbad.value_and_jacobian`, on Series or the columns of a DataFrame.

    Parameters
    ----------
    f, argnums
        As for `nbad.value_and_jacobian`.

    Returns
    -------
    callable
        `value_and_jacobian(f)(*xs)` returns `(y, J)`: Series, in the structure that the kernel returns, and a DataFrame as that
        of `jacobian`.

    Examples
    --------
    >>> import nbad, pandas as pd
    >>> y, J = nbad.integrations.pandas.value_and_jacobian(nbad.kernel(lambda a: a * a))(pd.Series([2.0, 3.0]))
    >>> y.tolist(), J["a"].tolist()
    ([4.0, 9.0], [4.0, 6.0])
    """

    def run(made: Aligned) -> tuple[Any, pd.DataFrame]:
        y, blocks = made.call(jacobians.value_and_jacobian(f, made.names))
        return _values(made, y), made.blocks(blocks)

    return OfPartner(jacobians.value_and_jacobian(f, argnums), value_and_jacobian, Aligned.of, run)


@fitting("nbad.integrations.pandas.value_and_grad({f})({xs})")
def value_and_grad(f: Kernel, argnums: Argnums = 0) -> Callable[..., tuple[pd.Series, Any]]:
    """As `nbad.value_and_grad`, on Series or the columns of a DataFrame.

    Parameters
    ----------
    f, argnums
        As for `nbad.value_and_grad`.

    Returns
    -------
    callable
        `value_and_grad(f)(*xs)` returns `(y, partials)`, Series; a tuple of partials where `argnums` is a tuple.

    Examples
    --------
    >>> import nbad, pandas as pd
    >>> y, slope = nbad.integrations.pandas.value_and_grad(nbad.kernel(lambda x: x**3))(pd.Series([1.0, 2.0]))
    >>> slope.tolist()
    [3.0, 12.0]
    """

    def run(made: Aligned) -> tuple[pd.Series, tuple[pd.Series, ...]]:
        y, partials = made.call(gradients.value_and_grad(f, made.names))
        return made.series(y, made.outputs[0]), tuple(map(made.series, partials, made.names))

    return PartialsOfPartner(gradients.value_and_grad(f, argnums), value_and_grad, Aligned.of, run)


@fitting("nbad.integrations.pandas.hessian({f})({xs})")
def hessian(f: Kernel, argnums: Argnums = None) -> Callable[..., pd.DataFrame]:
    """As `nbad.hessian`, on Series or the columns of a DataFrame.

    Parameters
    ----------
    f, argnums
        As for `nbad.hessian`.

    Returns
    -------
    callable
        `hessian(f)(*xs)`, a DataFrame whose columns are pairs of arguments.

    Examples
    --------
    >>> import nbad, pandas as pd
    >>> area = nbad.kernel(lambda a, b: a * b * b)
    >>> nbad.integrations.pandas.hessian(area)(pd.Series([2.0, 5.0]), b=3.0)["a", "b"].tolist()
    [6.0, 6.0]
    """

    def run(made: Aligned) -> pd.DataFrame:
        return made.pairs(made.call(gradients.hessian(f, made.names)), made.names, ["argument", "other_argument"])

    return OfPartner(gradients.hessian(f, argnums), hessian, Aligned.of, run)


@fitting("nbad.integrations.pandas.jvp({f}, ({xs},), ({xs},))")
def jvp(f: Kernel, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """As `nbad.jvp`, on Series or the columns of a DataFrame.

    Parameters
    ----------
    f : Kernel
        Of numbers, not of vectors.
    primals : tuple of Series or number, or one DataFrame
        The kernel's arguments.
    tangents : tuple of Series or number, or one DataFrame
        One per argument, with its labels in any order; a number may stand for one, and None, or no column, for that of an
        argument without derivative.

    Returns
    -------
    y, y_dot : Series or tuple of these

    Examples
    --------
    >>> import nbad, pandas as pd
    >>> x = pd.Series([1.0, 2.0], ["a", "b"])
    >>> y, y_dot = nbad.integrations.pandas.jvp(nbad.kernel(lambda x: x * x), (x,), (pd.Series([10.0, 1.0], ["b", "a"]),))
    >>> y_dot.tolist()
    [2.0, 40.0]
    """
    primals, tangents = pushforward.as_tuples(f, *in_tuples(primals, tangents, pd.DataFrame))
    flat = flattened(f, primals, {})
    if flat is not None:
        return jvp(flat.kernel, flat.args, flat.along(f, primals, tangents))
    made = Aligned.of("jvp", f, primals, {}, None)
    each = zip(made.bound.names, made.bound.tangents(primals, tangents, pd.DataFrame, made.names), strict=True)
    dots = tuple(made.tangent(name, tangent) for name, tangent in each)
    kernel, arrays = of_arrays(f, (), made.given)
    return tuple(_values(made, leaves) for leaves in pushforward.jvp(kernel, tuple(arrays), dots))


@fitting("nbad.integrations.pandas.vjp({f}, {xs})")
def vjp(
    f: Kernel,
    /,
    *xs: Any,
    argnums: Argnums = None,
    residuals: Residuals = "auto",
    seeds: int | None = None,
    max_bytes: int | None = None,
    **kwargs: Any,
) -> tuple[Any, "Pullback"]:
    """As `nbad.vjp`, on Series or the columns of a DataFrame.

    Series are aligned as pandas aligns them: over the union of their labels, with nan where one has none.

    Parameters
    ----------
    f : Kernel
        Of numbers, not of vectors.
    *xs, **kwargs : Series or number, or one DataFrame
        The kernel's arguments.
    argnums, residuals, seeds, max_bytes
        As for `nbad.vjp`.

    Returns
    -------
    y : Series or tuple of these
    pullback : Pullback

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments or options that do not fit, such as columns of text, or arrays without labels.

    Examples
    --------
    >>> import nbad, pandas as pd
    >>> area = nbad.kernel(lambda a, b: a * b)
    >>> y, pullback = nbad.integrations.pandas.vjp(area, pd.Series([2.0, 3.0], ["x", "y"]), 5.0)
    >>> a_bar, b_bar = pullback(pd.Series([1.0, 10.0], ["x", "y"]))
    >>> a_bar.tolist(), float(b_bar)
    ([5.0, 50.0], 32.0)
    """
    check_kernel(f)
    argnums, given = selection(argnums), dict[str, Any](residuals=residuals, seeds=seeds, max_bytes=max_bytes)
    by_flat = vjp_by_flat(vjp, f, xs, kwargs, argnums, given)
    if by_flat is not None:
        return by_flat
    made = Aligned.of("vjp", f, xs, kwargs, argnums)
    options = dict(given, argnums=made.names)
    y, pullback = made.call(functools.partial(vjp_of_arrays, f), **options)
    return _values(made, y), Pullback(made, pullback)


def _values(made, y):
    return made.bound.structured([made.series(leaf, name) for leaf, name in zip(outputs_of(y), made.outputs, strict=True)])


class Pullback(PullbackOfPartner):
    """Apply the transposed Jacobian to seeds with labels; made by `vjp`. Calling it takes one seed, `batched` many."""

    def __init__(self, made: Aligned, pullback: Any):
        self._made, self._pullback = made, pullback

    def __repr__(self) -> str:
        return f"<nbad.integrations.pandas.Pullback of {self._made.bound.program.call}, {len(self._made.index)} rows>"

    @fitting("pullback(y)", "pullback")
    def __call__(self, ct: Any) -> tuple[Any, ...]:
        """Cotangents of the differentiated arguments for one seed.

        Parameters
        ----------
        ct : Series, number, or tuple of these
            The seed, in the structure of the value and with its labels, in any order.

        Returns
        -------
        tuple of Series
            One per differentiated argument, with its index and its name; of a number it is a number, summed over all rows.

        Raises
        ------
        ArgumentValueError, ArgumentTypeError
            If the seed's structure or labels are not the value's, or it has none.

        Examples
        --------
        >>> import nbad, pandas as pd
        >>> y, pullback = nbad.integrations.pandas.vjp(nbad.kernel(lambda x: x * x), pd.Series([1.0, 2.0]))
        >>> pullback(1.0)[0].tolist()
        [2.0, 4.0]
        """
        made = self._made
        found = self._pullback(self._seeds(ct, pd.Series))
        return self._built(made.cotangent(name, bar) for name, bar in zip(made.names, found, strict=True))

    @fitting("pullback(y)  # for one seed, such as the value", "pullback.batched")
    def batched(self, cts: Any) -> tuple[Any, ...]:
        """Cotangents for many seeds, each a column of a DataFrame.

        Parameters
        ----------
        cts : DataFrame, number, or tuple of these
            Seeds with the labels of the value, and the same columns in all.

        Returns
        -------
        tuple of DataFrame
            One per differentiated argument, with a column for each seed; of a number it is a Series over the seeds.

        Raises
        ------
        ArgumentValueError, ArgumentTypeError
            As for one seed; also if no leaf is a DataFrame, or columns differ.

        Examples
        --------
        >>> import nbad, pandas as pd
        >>> y, pullback = nbad.integrations.pandas.vjp(nbad.kernel(lambda x: x * x), pd.Series([1.0, 2.0]))
        >>> pullback.batched(pd.DataFrame({"first": [1.0, 0.0], "second": [0.0, 1.0]}))[0]
           first  second
        0    2.0     0.0
        1    0.0     4.0
        """
        made = self._made
        named = dict(zip(made.bound.program.seed_names, self._leaves(cts, is_batched=True), strict=True))
        tables = {name: leaf.columns for name, leaf in named.items() if isinstance(leaf, pd.DataFrame)}
        first, columns = next(iter(tables.items()), ("", pd.Index([])))
        other = next((name for name in tables if not tables[name].equals(columns)), None)
        if other is not None:
            raise ArgumentValueError(
                "`pullback.batched(cts)`: the seeds have other columns in one leaf than in another",
                got=" and ".join(str(list(each)) for each in tables.values()),
                expected="the same columns, one for each seed",
                fix=f"{other}.reindex(columns={first}.columns, fill_value=0.0)",
            )
        seeds = self._seeds(cts, pd.DataFrame)
        if named and not tables:
            raise ArgumentValueError(
                "`pullback.batched(cts)`: the number of seeds is not known",
                got="numbers alone",
                expected="a DataFrame with a column for each seed",
                fix="pullback(cts)  # for one seed",
            )
        found = self._pullback.batched(seeds)
        return self._built(made.cotangents(name, bars, columns) for name, bars in zip(made.names, found, strict=True))

    @fitting("pullback.jacobian()", "pullback.jacobian")
    def jacobian(self) -> pd.DataFrame:
        """The Jacobian from what the forward sweep left, as `nbad.integrations.pandas.jacobian` returns it.

        Examples
        --------
        >>> import nbad, pandas as pd
        >>> y, pullback = nbad.integrations.pandas.vjp(nbad.kernel(lambda x: x * x), pd.Series([1.0, 2.0]))
        >>> pullback.jacobian()["x"].tolist()
        [2.0, 4.0]
        """
        return self._made.blocks(self._pullback.jacobian())

    def _seeds(self, ct, kind):
        """The seed for arrays."""
        program = self._made.bound.program
        each = zip(program.seed_names, self._leaves(ct), strict=True)
        seeds = tuple(self._made.seed(name, leaf, kind) for name, leaf in each)
        return seeds if program.structure.is_tuple else seeds[0]
