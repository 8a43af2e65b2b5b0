"""Python source of the functions that compiled code calls in a kernel's place: for one element, and for arrays of them."""

from collections.abc import Iterable
from typing import NamedTuple

from nbad.njit.elements import Element, Group, Leaf, Result, leaves

OWN = "§"  # before names of the source's own, until it is known how they differ from those of parameters
SLOTS = "§slots"  # the element's code


class Given(NamedTuple):
    """An argument of a call.

    Attributes
    ----------
    name : str
    core : tuple of int
    axes : int
        Those that it has beside the core ones.
    is_array : bool
        A tuple, or a number, where it is none.
    is_contiguous : bool
        Whether its type says that it is in C order.
    """

    name: str
    core: tuple[int, ...]
    axes: int
    is_array: bool
    is_contiguous: bool


def element_source(parameters: tuple[str, ...], given: list[Given], element: Element, singles: list[str] | None) -> str:
    """A function of one element; what has core shapes comes in arrays or tuples.

    Parameters
    ----------
    parameters : tuple of str
        All that the call passes, statics and `out` included.
    given : list of Given
        The numbers among them.
    element : Element
    singles : list of str or None
        Where there is an `out`, which parts of it are arrays of one axis and one number, for outputs that are numbers.
    """
    lines = [f"def §call({', '.join(parameters)}):"]
    for argument in given:
        lines += _check(f"{argument.name}.shape", argument.core, argument.name) if argument.is_array and argument.core else []
    targets = (
        ()
        if singles is None
        else [(target, leaf._replace(core=(1,)) if target in singles else leaf) for target, leaf in _targets(element.result)]
    )
    for target, leaf in targets:
        lines += _check(f"{target}.shape", leaf.core, target)
    lines += _computed([_operand(argument, "") for argument in given], element)
    if singles is not None:
        lines += [f"    {target}[{_place((), at)}] = §v[{k}]" for target, leaf in targets for k, at in _values(leaf)]
        return _named([*lines, "    return out"], parameters)
    arrays = [leaf for leaf in leaves(element.result) if leaf.core and not leaf.is_rows]
    for leaf in arrays:
        lines.append(f"    §o{leaf.first} = §np.empty({leaf.core}, §np.{element.dtype})")
        lines += [f"    §o{leaf.first}[{_place((), at)}] = §v[{k}]" for k, at in _values(leaf)]
    return _named([*lines, f"    return {_built(element.result, _in_registers)}"], parameters)


def arrays_source(
    parameters: tuple[str, ...], given: list[Given], element: Element, has_out: bool, is_flat: bool, is_careful: bool
) -> str:
    """A function of arrays of elements, which broadcast.

    Where results are given and share memory with an argument, they are filled from new arrays, which `fresh` makes. `is_flat`
    says whether all arrays are contiguous and have as many axes. What elements raise is noted only, for a test behind each one
    would keep the loop from being vector code, and raised by `careful`, the same function with tests: `is_careful` asks for it.
    """
    axes = max(argument.axes for argument in given)
    sizes = [f"§n{k}" for k in range(axes)]
    lines = [f"def §call({', '.join(parameters)}):"]
    arrays = [argument for argument in given if argument.axes]
    for argument in given:
        if argument.is_array and argument.core:
            lines += _check(f"{argument.name}.shape[{argument.axes}:]", argument.core, argument.name)
    shapes = ", ".join(f"{a.name}.shape[:{a.axes}]" if a.core else f"{a.name}.shape" for a in arrays)
    lines.append(f"    {', '.join(sizes)}, = " + (f"§np.broadcast_shapes({shapes})" if len(arrays) > 1 else shapes))
    outputs = list(_targets(element.result)) if has_out else [(f"§o{leaf.first}", leaf) for leaf in leaves(element.result)]
    for target, leaf in outputs:
        shape = f"({''.join(f'{n}, ' for n in [*sizes, *leaf.core])})"
        if has_out:
            lines += _check(f"{target}.shape", shape, target)
            lines.append(f"    §o{leaf.first} = {target}")
        else:
            lines.append(f"    §o{leaf.first} = §np.empty({shape}, §np.{element.dtype})")
    if has_out:
        lines += _apart([a for a in given if a.is_array], outputs, element, [p for p in parameters if p != "out"])
    failing = element.faults and not is_careful
    lines += ["    §bad = 0"] if failing else []
    lines += _loops(given, arrays, [leaf for _, leaf in outputs], sizes, element, is_flat, is_careful)
    lines += ["    if §bad:", f"        §careful({', '.join(p for p in parameters if p != 'out')})"] if failing else []
    returned = "out" if has_out else _built(element.result, lambda leaf: f"§o{leaf.first}")
    return _named([*lines, f"    return {returned}"], parameters)


def own_prefix(parameters: Iterable[str]) -> str:
    """What no parameter begins with."""
    prefix = "own_"
    while any(name.startswith(prefix) for name in parameters):
        prefix += "_"
    return prefix


def _named(lines: list[str], parameters: Iterable[str]) -> str:
    return "\n".join(lines).replace(OWN, own_prefix(parameters))


def _apart(arrays: list[Given], outputs: list[tuple[str, Leaf]], element: Element, passed: list[str]) -> list[str]:
    """Where an output's memory overlaps that of an argument, compute first and copy then."""
    pairs = [f"§overlap({a.name}, §o{leaf.first})" for a in arrays for _, leaf in outputs]
    lines = [f"    if {' or '.join(pairs)}:", f"        §made = §fresh({', '.join(passed)})"]
    targets = zip(outputs, places(element.result, "§made"), strict=True)
    return [*lines, *(f"        {target}[...] = {made}" for (target, _), made in targets), "        return out"]


def _loops(
    given: list[Given], arrays: list[Given], results: list[Leaf], sizes: list[str], element: Element, flat: bool, is_careful: bool
) -> list[str]:
    """The loops over elements: one over all where the arguments are alike and all is contiguous, else one for each axis."""
    axes, lines, indent = len(sizes), [], "    "
    if flat or axes == 1:
        lines, indent = _one_loop(given, arrays, results, sizes, element, is_careful), "        "
        if len(arrays) == 1:  # which is always like itself
            return [line[4:] for line in lines[1:-1]]
    shape = "".join(f"{n}, " for n in sizes)
    views = {a.name: f"§b_{a.name}" for a in arrays}
    lines += [f"{indent}§b_{a.name} = §np.broadcast_to({a.name}, ({shape}{''.join(f'{k}, ' for k in a.core)}))" for a in arrays]
    for k, n in enumerate(sizes):
        lines.append(f"{indent}{'    ' * k}for §i{k} in range({n}):")
    body = _element_of(
        views, given, [(f"§o{leaf.first}", leaf) for leaf in results], [f"§i{k}" for k in range(axes)], element, is_careful
    )
    return [*lines, *(f"{indent}{'    ' * (axes - 1)}{line}" for line in body)]


def _one_loop(
    given: list[Given], arrays: list[Given], results: list[Leaf], sizes: list[str], element: Element, is_careful: bool
) -> list[str]:
    """The loop over all elements of arrays of one shape, and the way to the others."""
    alike = " and ".join(f"{a.name}.shape[:{len(sizes)}] == ({', '.join(sizes)},)" for a in arrays)
    lines, views, outputs = [f"    if {alike}:"], dict[str, str](), [(f"§o{leaf.first}", leaf) for leaf in results]
    lines.append(f"        §n = {' * '.join(sizes)}")
    if len(sizes) > 1:
        views = {a.name: f"§f_{a.name}" for a in arrays}
        lines += [f"        §f_{a.name} = {a.name}.reshape({_shape('§n', a.core)})" for a in arrays]
        lines += [f"        §f{name[1:]} = {name}.reshape({_shape('§n', leaf.core)})" for name, leaf in outputs]
        outputs = [(f"§f{name[1:]}", leaf) for name, leaf in outputs]
    body = _element_of(views, given, outputs, ["§i"], element, is_careful)
    return [*lines, "        for §i in range(§n):", *(f"        {line}" for line in body), "    else:"]


def _element_of(
    views: dict[str, str],
    given: list[Given],
    results: list[tuple[str, Leaf]],
    places: list[str],
    element: Element,
    is_careful: bool,
) -> list[str]:
    """The lines that compute one element of arrays, read from these views of them."""
    operands = [_operand(a._replace(name=views.get(a.name, a.name)), ", ".join(places) if a.axes else "") for a in given]
    stores = [f"    {name}[{_place(places, at)}] = §v[{k}]" for name, leaf in results for k, at in _values(leaf)]
    call, *raising = _computed(operands, element)
    noting = [f"    §bad |= §v[{element.outputs}] != 0.0"] if raising else []
    return [call, *(raising if is_careful else noting), *stores]


def _computed(operands: list[list[str]], element: Element) -> list[str]:
    """Call the code, and raise what it says."""
    lines, code = [f"    §v = {SLOTS}({', '.join(text for slots in operands for text in slots)})"], f"§v[{element.outputs}]"
    if element.faults:
        lines.append(f"    if {code} != 0.0:")
        for k, (_, args) in enumerate(element.faults, 1):
            lines += [f"        if {code} == {k}.0:", f"            raise §fault{k}({', '.join(map(ascii, args))})"]
    return lines


def _operand(argument: Given, places: str) -> list[str]:
    """The numbers of an argument at an element."""
    if not argument.core:
        if places:
            return [f"{argument.name}[{places}]"]
        return [f"{argument.name}[()]" if argument.is_array else argument.name]
    if argument.is_array:
        return [f"{argument.name}[{_place([places] if places else [], at)}]" for at in _indices(argument.core)]
    return [argument.name + "".join(f"[{k}]" for k in at) for at in _indices(argument.core)]


def _values(leaf: Leaf) -> Iterable[tuple[int, tuple[int, ...]]]:
    """The values of an output: their numbers among all, and their places in it."""
    return enumerate(_indices(leaf.core), leaf.first)


def _indices(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """All indices of an array, in C order."""
    found: list[tuple[int, ...]] = [()]
    for length in shape:
        found = [(*index, k) for index in found for k in range(length)]
    return found


def _place(places: Iterable[str], at: tuple[int, ...]) -> str:
    return ", ".join([*places, *map(str, at)]) or "()"


def _shape(first: str, core: tuple[int, ...]) -> str:
    return f"({', '.join([first, *map(str, core)])},)"


def _check(shape: str, wanted: object, name: str) -> list[str]:
    """Lines that refuse another shape."""
    return [
        f"    if {shape} != {wanted}:",
        f'        raise ValueError("{name} does not have the shape that the kernel asks for")',
    ]


def _targets(result: Result) -> Iterable[tuple[str, Leaf]]:
    """How the source writes each array of `out`."""
    return zip(places(result, "out"), leaves(result), strict=True)


def places(result: Result, name: str) -> list[str]:
    """How the source writes each leaf of a value of a result's structure."""
    if isinstance(result, Leaf):
        return [name]
    return [place for k, member in enumerate(result.members) for place in places(member, f"{name}[{k}]")]


def _built(result: Result, leaf: "object") -> str:
    """The expression that puts outputs together."""
    if isinstance(result, Leaf):
        return leaf(result)  # type: ignore[operator]
    members = "".join(f"{_built(member, leaf)}, " for member in result.members)
    return f"({members})" if result.kind is tuple else f"§{result.kind.__name__}({members})"


def _in_registers(leaf: Leaf) -> str:
    if leaf.is_rows:
        m, n = leaf.core
        rows = ("".join(f"§v[{leaf.first + i * n + j}], " for j in range(n)) for i in range(m))
        return f"({''.join(f'({row}), ' for row in rows)})"
    return f"§o{leaf.first}" if leaf.core else f"§v[{leaf.first}]"


def kinds(result: Result) -> Iterable[type]:
    """The namedtuples in a result."""
    if isinstance(result, Group):
        if result.kind is not tuple:
            yield result.kind
        for member in result.members:
            yield from kinds(member)
