"""Arguments that are dicts, namedtuples or dataclasses of arrays: the kernel that takes what is in them, one by one.

Everything behind this room knows arrays only. A call whose arguments have structure becomes one of a flat kernel, made from the
same function once for each structure; what there is for an argument is put together again as the argument was.
"""

import functools
import inspect
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from types import FunctionType, MemberDescriptorType
from typing import Any, NamedTuple

import numpy as np

from nbad.api.signatures import RESERVED, dressed, groups, in_order
from nbad.api.statics import USUAL, copied, identity, is_setting, is_to_blame
from nbad.api.ufunc import Ufunc
from nbad.errors import ArgumentTypeError, ArgumentValueError
from nbad.foreign import shown
from nbad.forks import IMPORTS
from nbad.graphs.structures import Fixed, Structure, in_places, in_tuple, taken_apart
from nbad.lines import verb
from nbad.tracing.arguments import Bundle

FILLED = "out=None  # which returns such a tuple, to be filled by later calls"
Forest = tuple[tuple[str, Structure], ...]  # the parameters that are trees
_ARRAYS = ("__array__", "__array_ufunc__", "__array_interface__", "__dlpack__", "__float__")  # what makes numbers of an object
_READING = ("__getitem__", "__iter__", "__contains__", "__len__", "get", "items", "keys", "values")


class Treelike(Ufunc):
    """For `Kernel`: the kernel of what is in its arguments."""

    _options: tuple[Any, Any, Any, Any]
    _tracer: Any
    _is_traced: Any

    def flat(self, forest: Forest) -> Any:
        """The kernel of the same values that takes what is in the trees in place of these, one after the other."""
        return self.remember(("flat", forest), lambda: self._flat(forest))

    def _flat(self, forest):
        if self._made_from is None:
            return self._own_flat(forest)
        base, method, arguments = self._made_from
        flat = base.flat(forest)
        return self._flat_derivative(flat, dict(forest)) if method == "derived" else getattr(flat, method)(*arguments)

    @property
    def takes_trees(self) -> bool:
        """Whether it is traced from a function: those of SymPy expressions are not."""
        if self._made_from is None:
            return self._is_traced()
        base, method, _ = self._made_from
        return method != "flat" and base.takes_trees

    def _own_flat(self, forest):
        names = names_in(self.parameters, forest)

        def function(*args, **kwargs):
            positional, named = in_order(self._parameters, grouped(forest, names, signature.bind(*args, **kwargs).arguments))
            return self.__wrapped__(*positional, **named)

        signature = inspect.Signature(_flat_parameters(self._parameters, names))
        cores = [core for name, core in self._cores.items() for _ in names[name]]
        spelled = None if self.signature is None else f"{groups(cores)}->{groups(self._leaves or ())}"
        tracer = functools.partial(_trace_flat, self, forest)
        dressed(function, self.__name__, self.__doc__, signature)
        kernel = type(self)(function, spelled, self.static, *self._options, tracer)  # type: ignore[call-arg]
        kernel._made_from = self, "flat", (forest,)
        return kernel

    def _flat_derivative(self, base, trees):
        """That of a derivative of a kernel, whose own is `base`: partials by what is in a tree come in its structure."""
        _, _, (name, tracer, outputs, by) = self._made_from
        names, more, (*_, structure) = names_in(self.parameters, trees.items()), len(outputs) - len(by), tracer.args
        parts = (*[None] * more, *map(trees.get, by))
        if any(parts):
            structure = in_places(len(parts))._replace(parts=parts) if structure.is_tuple else parts[0]
        flat_by = tuple(each for parameter in by for each in names[parameter])
        tracer = functools.partial(tracer.func, base, flat_by, structure)
        return base.derived(name, tracer, [*outputs[:more], *(base._cores[each] for each in flat_by)], flat_by)


def _flat_parameters(parameters, names):
    """One for each name; a default behind others is never used, for all that is in a tree is passed."""
    found: list[inspect.Parameter] = []
    for p in parameters:
        for name in names.get(p.name, (p.name,)):
            q = p if name == p.name else p.replace(name=name, default=p.empty)
            is_behind = p.kind is not p.KEYWORD_ONLY and any(r.default is not p.empty for r in found)
            found.append(q.replace(default=None) if is_behind and q.default is p.empty else q)
    return found


def _trace_flat(kernel, forest, arguments, constants):
    """Trace the function of a kernel, with the arguments of a flat one put together."""
    names, given = names_in(kernel.parameters, forest), {a.name: a for a in arguments}
    trees = dict(forest)
    passed = [
        Bundle(name, tuple(given[each] for each in own), trees[name]) if name in trees else given[own[0]]
        for name, own in names.items()
        if own[0] in given
    ]
    try:
        return kernel._tracer(passed, constants)
    except TypeError as error:
        for name, tree in forest:
            value = tree.build([1.0] * len(names[name]))
            if is_to_blame(value, error):  # it was to be a number
                with IMPORTS:
                    from nbad.runtime.operands import as_array
                as_array(f"`{kernel.__name__}({', '.join(kernel.parameters)})`", name, value)
        raise


def names_in(parameters: Iterable[str], forest: Iterable[tuple[str, Structure]]) -> dict[str, tuple[str, ...]]:
    """The names of the flat parameters in place of each parameter.

    Examples
    --------
    >>> names_in(["x", "p"], [("p", Structure(dict, ("a", "b c"), (None, None)))])
    {'x': ('x',), 'p': ('p_a', 'p_b_c')}
    """
    trees, found = dict(forest), {}
    taken = {*parameters, *RESERVED}
    for parameter in parameters:
        names = []
        for spelled in trees[parameter].spelled(parameter) if parameter in trees else ():
            name = re.sub(r"\W+", "_", spelled).strip("_")
            while name in taken:
                name += "_"
            taken.add(name)
            names.append(name)
        found[parameter] = tuple(names) or (parameter,)
    return found


def grouped(forest: Forest, names: Mapping[str, tuple[str, ...]], given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of flat parameters as the values of parameters."""
    trees, inside = dict(forest), {each for name, _ in forest for each in names[name]}
    found = {name: value for name, value in given.items() if name not in inside}
    for name, tree in trees.items():
        found[name] = tree.build([given[each] for each in names[name]], lambda value: value)
    return found


# calls


def tree_of(kernel: str, name: str, value: Any, is_chosen: bool) -> tuple[Structure, list[Any]] | None:
    """The structure of a dict, a namedtuple or a dataclass, and the numbers and arrays in it; None for all else.

    A dataclass of plain numbers is a setting, unless it is chosen: to differentiate by it, or since there is no other number.
    """
    leaves: list[Any] = []
    try:
        tree = _grown(kernel, name, value, is_chosen, leaves)
    except RecursionError:
        raise ArgumentValueError(
            f"`{kernel}`: {name} holds itself, or too much one within the other",
            got=f"a {type(value).__name__} in which Python reaches no end",
            expected="numbers and arrays at its ends",
            fix=f"{name} = {{key: part for key, part in {name}.items() if part is not {name}}}",
        ) from None
    return (tree, leaves) if isinstance(tree, Structure) and leaves else None


def _grown(kernel: str, name: str, value: Any, is_chosen: bool, leaves: list[Any]) -> Any:
    if type(value) in USUAL:
        leaves.append(value)
        return None
    is_nested = isinstance(value, dict) or hasattr(type(value), "_fields") or is_dataclass(type(value))
    if is_setting(value) and not (is_nested and is_chosen):
        return Fixed(copied(value), identity(kernel, name, value))
    taken = taken_apart(value) if is_nested and not any(hasattr(type(value), each) for each in _ARRAYS) else None
    if taken is None:
        leaves.append(value)
        return None
    kind, keys, values = taken
    _check_made_of(kernel, name, value, keys)
    return Structure(kind, keys, tuple(_grown(kernel, name, each, is_chosen, leaves) for each in values))


def _check_made_of(kernel: str, name: str, value: Any, keys: Sequence[Any]) -> None:
    """Refuse what would be another value if it were put together from what is in it, as it is where kernels are traced."""
    kind: Any = type(value)
    if isinstance(value, dict):
        parts, found = "items", _own_method(kind)
        what, fix = f"a method {found} of its own", f"{{key: {name}[key] for key in {name}}}"
    else:
        beside = [each for each in getattr(value, "__dict__", ()) if each not in keys and _is_shadowed(kind, each)]
        parts, found = "fields", next(iter(beside), None if isinstance(value, tuple) else _converted(kind, tuple(keys)))
        what = f"an attribute {found} {'beside' if beside else 'that converts'} its fields"
        fix = f"{found}: Any  # a plain field"
    if found is not None:
        raise ArgumentTypeError(
            f"`{kernel}`: {name} is more than its {parts}, and would be read as these alone",
            got=f"a {kind.__name__} with {what}",
            expected=f"a dict, a namedtuple or a dataclass that its {parts} make",
            fix=fix,
        )


def _is_shadowed(kind: type, name: str) -> bool:
    """Whether the class has another value, or method, for what was set in an object of it; what is cached there is not meant."""
    if not hasattr(kind, name):
        return False
    of_class = inspect.getattr_static(kind, name)
    return not hasattr(type(of_class), "__get__") or isinstance(of_class, FunctionType | staticmethod | classmethod)


@functools.lru_cache(maxsize=256)  # each call asks, and to look for it takes microseconds
def _own_method(kind: type) -> str | None:
    """The first method by which dicts of this class are read in another way."""
    like: Any = OrderedDict if issubclass(kind, OrderedDict) else dict
    return next((method for method in _READING if getattr(kind, method) is not getattr(like, method)), None)


@functools.lru_cache(maxsize=256)
def _converted(kind: type, fields: tuple[str, ...]) -> str | None:
    """The first field that is a descriptor's, which may change what is set."""
    of_class = ((name, inspect.getattr_static(kind, name, None)) for name in fields)
    return next(
        (name for name, of in of_class if hasattr(type(of), "__set__") and not isinstance(of, MemberDescriptorType)), None
    )


class Flat(NamedTuple):
    """A call with trees, as one of a flat kernel.

    Attributes
    ----------
    kernel : Kernel
    args, kwargs : tuple, dict
    forest : Forest
    names : dict
        Of the flat parameters in place of each parameter.
    differentiable : dict
        For each flat parameter that is passed, whether it has a derivative.
    """

    kernel: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    forest: Forest
    names: dict[str, tuple[str, ...]]
    differentiable: dict[str, bool]

    def selected(self, f: Any, argnums: Any) -> tuple[str, ...] | None:
        """The flat parameters that a `selection` selects: of trees, what has a derivative."""
        if argnums is None:
            return None
        found: list[str] = []
        for which in argnums:
            own = self.names[f.parameter(which)]
            found += [each for each in own if self.differentiable.get(each)] or own
        return tuple(found)

    def along(self, f: Any, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, ...]:
        """The tangents of all that is passed by position, from one for each of the arguments."""
        trees, passed = dict(self.forest), f.parameters[: len(primals)]
        parts = tuple((name, trees.get(name), self.names[name]) for name in passed)
        names = tuple(each for name in passed for each in self.names[name])
        fixed = frozenset(name for name in names if not self.differentiable.get(name))
        return Groups(parts, names, fixed).leaves(f"`nbad.{verb() or 'jvp'}(f, primals, tangents)`", tangents)

    def groups(self, f: Any, argnums: Any) -> "Groups":
        """How results that come for each differentiated flat parameter are put together."""
        chosen = f.parameters if argnums is None else argnums
        order, trees = [f.parameter(which) for which in chosen if argnums is not None or which in f._cores], dict(self.forest)
        parts = [(name, trees.get(name), self.names[name]) for name in order]
        has = {each for _, _, own in parts for each in own if self.differentiable.get(each, False)}
        kept = [(name, tree, own) for name, tree, own in parts if has & set(own)]
        return Groups(tuple(kept), tuple(each for _, _, own in kept for each in own if each in has))


def flattened(f: Any, args: Sequence[Any], kwargs: Mapping[str, Any], argnums: Any = ()) -> Flat | None:
    """A call whose arguments have structure, as one of a flat kernel; None where they have none, as most."""
    if not any(map(_may_be_tree, args)) and not any(map(_may_be_tree, kwargs.values())):
        return None
    positional = list(zip(f.parameters, args, strict=False))
    given = [(name, value) for name, value in (*positional, *kwargs.items()) if name in f._cores]
    chosen = {*f.by, *(_chosen(f, argnums))}
    if all(is_setting(value) for _, value in given):  # settings go with numbers: these were to be numbers
        chosen.update(name for name, _ in given)
    trees = ((name, tree_of(f.__name__, name, value, name in chosen)) for name, value in given if _may_be_tree(value))
    found = {name: tree for name, tree in trees if tree}
    passes = {*f.parameters[: len(args)], *kwargs}
    fits = len(args) <= len(f.parameters) and f._required <= passes and (f._rest or passes.issubset(f.parameters))
    if not (found and fits and f.takes_trees):  # what does not fit is told of as it was written
        return None
    forest = tuple((name, tree) for name, (tree, _) in found.items())
    kernel, names = f.flat(forest), f.remember(("flat names", forest), lambda: names_in(f.parameters, forest))
    leaves = {name: leaves for name, (_, leaves) in found.items()}
    flat = [(name, leaves.get(name, [value])) for name, value in positional]
    by_name = {
        each: leaf
        for name, value in kwargs.items()
        for each, leaf in zip(names.get(name, (name,)), leaves.get(name, [value]), strict=True)
    }
    passed = {each: leaf for name, own in flat for each, leaf in zip(names[name], own, strict=True)} | by_name
    has = {name: not is_setting(value) and _has_derivative(value) for name, value in passed.items() if name in kernel._cores}
    return Flat(kernel, tuple(leaf for _, own in flat for leaf in own), by_name, forest, names, has)


def _may_be_tree(value: Any) -> bool:
    kind = type(value)
    return kind not in USUAL and (isinstance(value, dict) or hasattr(kind, "_fields") or is_dataclass(kind))


def _chosen(f: Any, argnums: Any) -> Iterable[str]:
    """The names that a selection selects, as far as it makes sense."""
    for which in argnums or ():
        is_position = isinstance(which, int | np.integer) and -len(f.parameters) <= which < len(f.parameters)
        name = f.parameters[which] if is_position else which
        if isinstance(name, str):
            yield name


def _has_derivative(value: Any) -> bool:
    return getattr(getattr(value, "dtype", None), "kind", "f") not in "iub"  # of partners, too


class Groups(NamedTuple):
    """How what comes for each of some flat parameters is put together for the parameters.

    Attributes
    ----------
    parts : tuple
        For each parameter its name, its tree or None, and its flat parameters.
    names : tuple of str
        The flat parameters for which there is something, in order.
    fixed : frozenset of str
        Those among them that are 0, for they have no derivative.
    """

    parts: tuple[tuple[str, Structure | None, tuple[str, ...]], ...]
    names: tuple[str, ...]
    fixed: frozenset[str] = frozenset()

    def build(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """One value for each parameter; None where there is none in it."""
        found = dict(zip(self.names, values, strict=True))
        return tuple(tree.build(map(found.get, own)) if tree else found[own[0]] for _, tree, own in self.parts)

    def leaves(self, call: str, given: Any, fix: str | None = None) -> tuple[Any, ...]:
        """The values in one for each parameter, each in the structure of its argument, or a number that stands for all."""
        if not isinstance(given, tuple | list) or len(given) != len(self.parts):
            raise ArgumentValueError(
                f"{call}: there must be one entry for each argument",
                got=f"{len(given)} entries" if isinstance(given, tuple | list) else shown(given),
                expected=f"a tuple of {len(self.parts)}: {', '.join(name for name, _, _ in self.parts)}",
                fix=fix or self.written(["1.0"] * len(self.names)),
            )
        found: dict[str, Any] = {}
        for (name, tree, own), value in zip(self.parts, given, strict=True):
            parts = tree.leaves(value) if tree and not _stands_for_all(value) else (value,) * len(own)
            if type(parts) is not tuple or len(parts) != len(own):
                raise ArgumentValueError(
                    f"{call}: what is given for {name} does not have its structure",
                    got=shown(value),
                    expected=tree.described() if tree else "an array",
                    fix=fix or (tree.written_of(map(self._number, own)) if tree else "1.0"),
                )
            found |= zip(own, parts, strict=True)
        return tuple(found[name] for name in self.names)

    def written(self, texts: Sequence[str]) -> str:
        """Code of a tuple of these values, one for each of `names`."""
        found = dict(zip(self.names, texts, strict=True)) | dict.fromkeys(self.fixed, "0.0")
        each = [
            tree.written_of(found.get(name, "None") for name in own) if tree else found[own[0]] for _, tree, own in self.parts
        ]
        return in_tuple(each)

    def _number(self, name: str) -> str:
        """Code of a number that may stand for a value."""
        return "0.0" if name in self.fixed else "1.0" if name in self.names else "None"


def _stands_for_all(value: Any) -> bool:
    return value is None or isinstance(value, int | float)
