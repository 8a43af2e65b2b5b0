"""`nbad.explain`: what each residual policy stores, moves and computes, and where the choice between them changes."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from nbad.api.calls import Call, analyse, says_what_is_missing, selection
from nbad.api.kernel import Kernel
from nbad.api.options import check_seeds
from nbad.api.trees import flattened
from nbad.derivatives.differentiate import eliminations
from nbad.derivatives.scarcity import Tally
from nbad.displays import html
from nbad.displays.text import aligned, amount, plural
from nbad.errors import leaving
from nbad.plans import cost
from nbad.plans.plan import Plan, Residual
from nbad.plans.policies import POLICIES
from nbad.plans.work import Work
from nbad.profiles.roofs import memory_bandwidth
from nbad.runtime import sweeps
from nbad.runtime.memory import TEMPORARY
from nbad.runtime.nonfinite import Equality, equalities
from nbad.runtime.reverse import reverse_of


@dataclass(frozen=True)
class Account:
    """One residual policy: what it keeps, and what each sweep moves and computes for one element.

    Attributes
    ----------
    policy : str
    residuals : tuple of Residual
    residual_bytes : int
        Bytes of a residual for one element.
    forward, call, seed : Work
        The forward sweep; a reverse sweep, without its seeds; one seed of a reverse sweep.
    peak_bytes : int
        What a reverse sweep of all expected seeds in one batch holds: residuals, seeds, cotangents, and rows to be summed.
    """

    policy: str
    residuals: tuple[Residual, ...]
    residual_bytes: int
    forward: Work
    call: Work
    seed: Work
    peak_bytes: int

    @property
    def bytes_per_element(self) -> int:
        """Bytes that one element keeps."""
        return len(self.residuals) * self.residual_bytes


@dataclass(frozen=True, repr=False)
class Explanation:
    """What `nbad.explain` found; prints as tables, and is shown as such in notebooks.

    Attributes
    ----------
    kernel : str
    arguments : tuple of str
        Names of the differentiated arguments.
    elements, dtype, seeds
        Elements of the broadcast shape, the working dtype, and the expected number of seeds.
    policy : str
        What policy "auto" chooses for this number of seeds.
    policies : tuple of Account
    changes : tuple of (int, str)
        The best policy for 1 seed, then each number of seeds from which on another is best.
    maps : tuple of Tally
        The linear map from seeds to cotangents, by each elimination of its inner vertices.
    elimination : str
        The one that is taken: "full", where the arcs are the entries of the Jacobian, or "greedy".
    equalities : tuple of Equality
        The lines at which elements took an arm because two values are equal that depend on the differentiated arguments, with the
        number of these elements and the first of them: their derivative is that of this arm alone.
    """

    kernel: str
    arguments: tuple[str, ...]
    elements: int
    dtype: str
    seeds: int
    policy: str
    policies: tuple[Account, ...]
    changes: tuple[tuple[int, str], ...]
    maps: tuple[Tally, ...] = ()
    elimination: str = "full"
    equalities: tuple[Equality, ...] = ()

    @property
    def bandwidth(self) -> float:
        """Bytes that this machine moves in a nanosecond, which is GB/s; measured at the first asking."""
        return memory_bandwidth()

    def roofline(self, work: Work) -> float:
        """The least nanoseconds for one element of a sweep: its bytes over this machine's bandwidth."""
        return work.bytes / self.bandwidth

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain dicts, lists and numbers, the roofline of each sweep included."""
        data = asdict(self) | {"bandwidth": self.bandwidth}
        for account, found in zip(self.policies, data["policies"], strict=True):
            for sweep in SWEEPS:
                found[sweep]["roofline"] = self.roofline(getattr(account, sweep))
        return data

    def __repr__(self) -> str:
        takes = f"{self.policy!r} for {plural(self.seeds, 'seed')}"
        return f"<nbad.Explanation of {self._head()}, {takes}; print it for its tables>"

    def _head(self) -> str:
        by = ", ".join(self.arguments) or "no argument"
        return f"{self.kernel} by {by}: {self.elements} elements of {self.dtype}"

    def _repr_html_(self) -> str:
        """For notebooks: the policies, and what each keeps."""
        names = [account.policy for account in self.policies]
        most = max([1, *(account.bytes_per_element for account in self.policies)])
        bars = ((a.policy, len(a.residuals), a.bytes_per_element, html.bar(a.bytes_per_element / most)) for a in self.policies)
        works = zip(HEADINGS[2:-1], *(self._row(a)[2:-1] for a in self.policies), strict=True)
        peaks = "at most in use", *(amount(a.peak_bytes) for a in self.policies)
        columns = range(1, len(names) + 1)
        chosen = names.index(self.policy) if self.policy in names else None
        return html.page(
            "nbad.explain",
            self._head(),
            html.table(["policy", "residuals", "bytes kept", ""], bars, [1, 2], "What one element keeps", chosen),
            html.paragraph(self._choice()),
            html.table(["sweep", *names], [*works, peaks], columns, "What the sweeps cost"),
            html.note(self._units()),
            html.table(MAP_HEADINGS, self._map_rows(), range(1, 5), self._map_head()) if self._map_rows() else None,
            *(self._residual_table(account) for account in self.policies if self._first_like(account) == account.policy),
            html.table((), self.equalities, [1], EQUAL_ARMS) if self.equalities else None,
        )

    def _residual_table(self, account: Account) -> html.Html | None:
        rows = ((html.code(r.name), r.source or "", r.reason) for r in account.residuals)
        title = f"{account.policy!r} keeps {account.bytes_per_element} bytes"
        return html.table(["value", "line", "why"], rows, title=title) if account.residuals else None

    def _choice(self) -> str:
        turns = ", ".join(f"{policy} from {seeds} on" for seeds, policy in self.changes)
        return f'For {plural(self.seeds, "seed")} "auto" takes {self.policy!r}. The best by number of seeds: {turns}.'

    def _units(self) -> str:
        speed = f"{self.bandwidth:.1f} GB/s"
        return f"Bytes and flops are for one element; ns are the bytes over this machine's bandwidth, {speed}."

    def _first_like(self, account: Account) -> str:
        """The first policy that keeps the same."""
        return next(a.policy for a in self.policies if a.residuals == account.residuals)

    def __str__(self) -> str:
        return "\n".join(
            [
                self._head(),
                "",
                *aligned([HEADINGS, *map(self._row, self.policies)]),
                "",
                self._choice(),
                self._units(),
                *self._map(),
                *(line for account in self.policies for line in self._residuals(account)),
                *self._equal_arms(),
            ]
        )

    def _map(self) -> list[str]:
        """The arcs of the linear map, where there is more than one way to have them."""
        rows = self._map_rows()
        return ["", f"{self._map_head()}.", *aligned([MAP_HEADINGS, *rows])] if rows else []

    def _map_rows(self) -> list[list[str]]:
        rows = [[t.elimination, *map(str, t[1:])] for t in self.maps]
        return rows if len({tuple(row[1:]) for row in rows}) > 1 else []

    def _map_head(self) -> str:
        taken = next(t for t in self.maps if t.elimination == self.elimination)
        what = f"{taken.arcs} arcs, {taken.multiplications} multiplications a seed, {taken.products} for their weights"
        return f"The linear map from seeds to cotangents: {self.elimination!r} is taken, {what}"

    def _equal_arms(self) -> list[str]:
        rows = [[source, f"{elements} elements", f"the first at {first}"] for source, elements, first in self.equalities]
        return ["", f"{EQUAL_ARMS}:", *aligned(rows, left=True)] if rows else []

    def _row(self, account: Account) -> list[str]:
        works = (getattr(account, sweep) for sweep in SWEEPS)
        numbers = (text for w in works for text in (f"{w.bytes:.4g}", f"{w.flops:.4g}", f"{self.roofline(w):.3g}"))
        return [account.policy, str(len(account.residuals)), *numbers, f"{account.peak_bytes:,}"]

    def _residuals(self, account: Account) -> list[str]:
        same = self._first_like(account)
        if not account.residuals or same != account.policy:
            return ["", f"{account.policy!r} keeps {'the same as ' + repr(same) if account.residuals else 'nothing'}."]
        rows = [[r.name, f"{account.residual_bytes} bytes", r.source or "", r.reason] for r in account.residuals]
        return ["", f"{account.policy!r} keeps {account.bytes_per_element} bytes:", *aligned(rows, left=True)]


EQUAL_ARMS = "An arm was taken because two values are equal; the derivative there is that of this arm alone"
MAP_HEADINGS = ["elimination", "kept", "arcs", "a seed", "weights"]
SWEEPS = ("forward", "call", "seed")
UNITS = ("bytes", "flops", "ns")
HEADINGS = ["policy", "residuals", *(f"{sweep} {unit}" for sweep in SWEEPS for unit in UNITS), "peak bytes"]


@leaving
@says_what_is_missing
def explain(
    f: Kernel, *xs: Any, seeds: int = 1, argnums: int | str | tuple[int | str, ...] | None = None, **kwargs: Any
) -> Explanation:
    """What is stored between the sweeps, what is computed again, and why.

    Parameters
    ----------
    f : Kernel
    *xs, **kwargs : array_like
        The kernel's arguments; their shapes and dtypes matter, and their values to branches on equality only.
    seeds : int
        The number of seeds to expect.
    argnums : int, str or tuple of these, optional
        Arguments to differentiate, as for `nbad.vjp`.

    Returns
    -------
    Explanation
        Prints as tables; `as_dict()` has the same numbers.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments that do not fit.
    TraceError
        For a kernel that cannot be traced.

    Examples
    --------
    >>> import nbad, numpy as np
    >>> wave = nbad.kernel(lambda a, x: a * np.sin(x))
    >>> told = nbad.explain(wave, 2.0, np.linspace(0.0, 1.0, 100))
    >>> [(account.policy, len(account.residuals)) for account in told.policies]
    [('partials', 2), ('mincut', 2), ('recompute', 2)]
    >>> told.policy, told.changes
    ('partials', ((1, 'partials'),))
    """
    argnums = selection(argnums)
    flat = flattened(f, xs, kwargs, argnums)
    if flat is not None:
        return explain(flat.kernel, *flat.args, seeds=seeds, argnums=flat.selected(f, argnums), **flat.kwargs)
    call = analyse(f, xs, kwargs, argnums)
    seeds = check_seeds(call.program.call, seeds)
    program = call.program
    plans = [program.plan(call.wrt, policy, seeds) for policy in POLICIES]
    maps, taken = eliminations(program.graph, call.wrt, seeds)
    return Explanation(
        program.name,
        tuple(program.names[a] for a in call.arguments),
        math.prod(call.layout.shape),
        call.layout.dtype.name,
        seeds,
        str(cost.best(plans, seeds).policy),
        tuple(_account(call, plan, seeds) for plan in plans),
        tuple((number, str(plan.policy)) for number, plan in cost.changes(plans)),
        tuple(maps),
        taken if program.is_scarce else "full",
        equalities(f.origin.bind(xs, kwargs)[0], call.operands, call.wrt),
    )


def _account(call: Call, plan: Plan, seeds: int) -> Account:
    itemsize, elements = call.layout.dtype.itemsize, max(1, math.prod(call.layout.shape))
    inputs = sum(a.nbytes for a in call.arrays) / elements
    cotangents = sum(call.arrays[a].size for a in call.arguments) * itemsize / elements
    works = cost.sweeps(plan, inputs, cotangents, itemsize)
    return Account(str(plan.policy), plan.residuals, itemsize, *works, _peak_bytes(call, plan, seeds))


def _peak_bytes(call: Call, plan: Plan, seeds: int) -> int:
    """Bytes of the residuals, the seeds, the cotangents, and what is summed over broadcast axes."""
    layout, dtype = call.layout, call.layout.dtype
    shapes = tuple(layout.whole[a] for a in call.arguments)
    kept = math.prod(sweeps.residual_shape(plan, layout))
    each = plan.outputs * math.prod(layout.shape) + sum(map(math.prod, shapes))
    sweep = reverse_of(call.program, plan, call.arguments, dtype).over(layout.shape, shapes)
    return (kept + seeds * each) * dtype.itemsize + sweep.temporaries(seeds, TEMPORARY)
