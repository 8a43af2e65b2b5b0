"""What partners' verbs make of kernels: functions that travel, and what pullbacks of theirs have in common."""

from collections.abc import Callable, Iterable
from typing import Any

from nbad.api.trees import Groups, flattened
from nbad.errors import leaving
from nbad.verbs.jacobians import Made


class OfPartner(Made):
    """What a partner's verb makes of a kernel: a function with its name, docstring and signature. It travels as made anew.

    Parameters
    ----------
    plain : Made
        What the verb of nbad's own makes of the kernel, which has refused what does not fit, and knows what was selected.
    verb : callable
        The partner's, which makes this one of a kernel and what is selected.
    read : callable
        A call's arguments, read and checked, of the verb's name, the kernel, the arguments and what is selected.
    run : callable
        The result, of these.
    """

    def __init__(self, plain: Any, verb: Callable[..., Any], read: Callable[..., Any], run: Callable[[Any], Any]):
        super().__init__(plain.f)
        self.argnums, self.gives, self._verb, self._read, self._run = plain.argnums, plain.gives, verb, read, run

    @leaving
    def __call__(self, /, *xs: Any, **kwargs: Any) -> Any:
        flat = flattened(self.f, xs, kwargs, self.argnums)
        if flat is not None:
            return self._of(flat)
        return self._run(self._read(self._named().__name__, self.f, xs, kwargs, self.argnums))

    def _of(self, flat):
        """What the flat kernel gives, where arguments have structure."""
        return self._verb(flat.kernel, flat.selected(self.f, self.argnums))(*flat.args, **flat.kwargs)

    def _named(self):
        """The verb without options."""
        return getattr(self._verb, "func", self._verb)

    @property
    def made_by(self) -> str:
        """The verb as code."""
        return f"{self._named().__module__}.{self._named().__name__}"

    def __reduce__(self) -> tuple[Any, ...]:
        return self._verb, (self.f, self.argnums)


class PartialsOfPartner(OfPartner):
    """The same of `value_and_grad`, whose partials come in the structure of the arguments; a tuple of these where many are."""

    def __init__(self, plain: Any, verb: Callable[..., Any], read: Callable[..., Any], run: Callable[[Any], Any]):
        super().__init__(plain, verb, read, run)
        self.is_many = plain.is_many

    @leaving
    def __call__(self, /, *xs: Any, **kwargs: Any) -> Any:
        y, partials = super().__call__(*xs, **kwargs)
        return y, partials if self.is_many else partials[0]

    def _of(self, flat):
        y, partials = super()._of(flat)
        return y, flat.groups(self.f, self.argnums).build(partials)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._verb, (self.f, self.argnums if self.is_many else self.argnums[0])


class PullbackOfPartner:
    """What partners' pullbacks have in common: cotangents of arguments with structure come in it."""

    _groups: Groups | None = None
    _made: Any
    _pullback: Any

    def in_groups(self, groups: Groups | None) -> "PullbackOfPartner":
        """This one, just made, with the structure of the arguments."""
        self._groups = groups
        return self

    def _leaves(self, ct: Any, is_batched: bool = False) -> tuple[Any, ...]:
        """The leaves of a seed, or of many; what has another structure the pullback itself refuses, with numbers, which fit.

        Of many seeds in a tuple for one array, one is as many seeds.
        """
        program = self._made.bound.program
        leaves = program.structure.leaves(ct)
        if type(leaves) is not tuple or len(leaves) != len(program.leaves) or tuple in map(type, leaves):
            is_one_of = is_batched and ct and isinstance(ct, tuple) and not program.structure.is_tuple
            (self._pullback.batched if is_one_of else self._pullback)(ct)
        return leaves

    def _built(self, bars: Iterable[Any]) -> tuple[Any, ...]:
        """Cotangents as they are returned."""
        return tuple(bars) if self._groups is None else self._groups.build(tuple(bars))


def vjp_by_flat(vjp: Any, f: Any, xs: Any, kwargs: dict[str, Any], argnums: Any, options: dict[str, Any]) -> Any:
    """What a partner's `vjp` makes of the flat kernel, where arguments have structure; None where they have none."""
    flat = flattened(f, xs, kwargs, argnums)
    if flat is None:
        return None
    y, pullback = vjp(flat.kernel, *flat.args, argnums=flat.selected(f, argnums), **options, **flat.kwargs)
    return y, pullback.in_groups(flat.groups(f, argnums))
