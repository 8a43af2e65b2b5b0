"""What a kernel shows: repr, page, formulas, statistics and code as Numba's dispatchers do; what is said where it cannot."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nbad.api.signatures import code_of, name_in_code, respelled, spelled
from nbad.api.trees import Treelike, names_in
from nbad.displays import html
from nbad.displays.names import Public
from nbad.displays.text import plural
from nbad.errors import ArgumentTypeError, ArgumentValueError, TraceError, fitting, leaving
from nbad.forks import IMPORTS
from nbad.memo import Memo
from nbad.tracing.arguments import shown_signature

if TYPE_CHECKING:
    import numpy as np

    from nbad.pipeline import Program

Signature = tuple[Any, ...]  # of Numba's types
MOST_LINES = 16  # of formulas in a notebook


class Stats(NamedTuple):
    """Where machine code is kept, and how often a signature's was found there or compiled."""

    cache_path: Path | None
    cache_hits: dict[Signature, int]
    cache_misses: dict[Signature, int]


class Inspected(Treelike, Public):
    """What a `Kernel` shows of itself, and the attributes and methods of Numba's dispatchers."""

    _programs: Memo
    internal = frozenset(
        "at_sizes bind bind_names bind_traced bound by core default derived fixed flat last_program letters of origin parameter "
        "plain plainly programs remember sized_for statics_of takes_trees takes_where traced whole_program written".split()
    )

    def __repr__(self) -> str:
        return f"<nbad.Kernel {self._spelled()}>"

    def _spelled(self) -> str:
        return f"{self.__name__}{shown_signature(self.__wrapped__)}"

    def _repr_html_(self) -> str:
        """For notebooks: what the kernel is, and its formulas as they were traced last; nothing is traced for this."""
        program = self.last_program()
        doc = (self.__doc__ or "").strip().partition("\n\n")[0]
        if program is None:
            return html.page("nbad kernel", self._spelled(), html.note(doc) if doc else None, html.facts(self._facts()))
        with IMPORTS:
            from nbad.formulas.mathml import mathml
        formula = _if_any(lambda: html.Html(mathml(self, program, MOST_LINES)))
        facts = html.facts([*self._facts(), *_found(program)])
        return html.page("nbad kernel", self._spelled(), html.note(doc) if doc else None, formula, facts)

    def _repr_latex_(self) -> str | None:
        """The same formulas and the partials as LaTeX; None for a kernel that was not traced, or has none."""
        program = self.last_program()
        if program is None:
            return None
        with IMPORTS:
            from nbad.formulas.latex import latex
        text = _if_any(lambda: latex(self, program, MOST_LINES))
        return text and f"$\\displaystyle {text}$"

    def last_program(self) -> "Program | None":
        """The specialization that was made last, if there is one."""
        return next(reversed(self.programs()), None)

    def programs(self) -> list["Program"]:
        """The specializations that there are, those of each size among them."""
        of_sizes = [
            made.programs() for key, made in list(self.remember.known.items()) if isinstance(key, tuple) and key[0] == "sized"
        ]
        return [*self._programs.known.values(), *itertools.chain.from_iterable(of_sizes)]

    def _facts(self) -> list[tuple[str, str]]:
        arguments = (f"{name} of shape {core}" if core else name for name, core in self._cores.items())
        return [("arguments", ", ".join(arguments)), ("static", ", ".join(self.static)), ("derivative by", ", ".join(self.by))]

    @leaving
    def sympy(self, *operands: Any) -> Any:
        """The outputs as SymPy expressions of symbols named after the arguments, or of `operands`, one for each scalar slot.

        They are equal to the kernel in exact arithmetic; SymPy orders them as it likes. They come in a tuple, a namedtuple or a
        dict where the kernel returns one.

        Examples
        --------
        >>> import nbad
        >>> nbad.kernel(lambda x, y: x * y + 0.5).sympy()
        x*y + 1/2
        """
        with IMPORTS:
            from nbad.formulas.to_sympy import expressions
        return expressions(self, *operands)

    @fitting("{f}.latex()")
    def latex(self) -> str:
        """The outputs and the partials that are not zero as aligned lines of LaTeX.

        Examples
        --------
        >>> import nbad
        >>> print(nbad.kernel(lambda x: 3 * x).latex())
        \\begin{aligned}
        f &= 3 x \\\\
        \\frac{\\partial f}{\\partial x} &= 3
        \\end{aligned}
        """
        with IMPORTS:
            from nbad.formulas.latex import latex
        return latex(self)

    @property
    def py_func(self) -> Callable[..., Any]:
        """The function that the kernel was made of.

        Examples
        --------
        >>> import nbad
        >>> nbad.kernel(lambda x: x * x).py_func(3)
        9
        """
        return self.__wrapped__

    @property
    def signatures(self) -> list[Signature]:
        """The types of the arguments that there is compiled code for: of one element, arrays for vectors and matrices.

        Examples
        --------
        >>> import nbad
        >>> square = nbad.kernel(lambda x: x * x)
        >>> square(2.0), square.signatures
        (np.float64(4.0), [(float64,)])
        """
        return list(self._compiled())

    @property
    def stats(self) -> Stats:
        """Where machine code is kept, and how often each signature's was found there or compiled."""
        with IMPORTS:
            from nbad.pipeline import cache_folder
        found = {signature: [tile.is_kept for _, tile in tiles] for signature, tiles in self._compiled().items()}
        hits = {signature: sum(kept) for signature, kept in found.items()}
        return Stats(cache_folder(), hits, {signature: len(kept) - hits[signature] for signature, kept in found.items()})

    @leaving
    def inspect_llvm(self, signature: Signature | None = None) -> Any:
        """The compiled code as LLVM IR, with the lines of the source as comments.

        Parameters
        ----------
        signature : tuple of types, optional
            One of `signatures`.

        Returns
        -------
        str or dict of str
            That of one signature, or of each: what was compiled so far for the value, sweeps and derivatives, one after another.

        Raises
        ------
        ArgumentValueError
            If nothing was compiled for the signature.

        Examples
        --------
        >>> import nbad
        >>> square = nbad.kernel(lambda x: x * x)
        >>> square(2.0)
        np.float64(4.0)
        >>> "fmul" in square.inspect_llvm(square.signatures[0])
        True
        """
        return self._shown("inspect_llvm", signature, lambda title, tile: f"; {title}\n{tile.llvm}")

    @leaving
    def inspect_asm(self, signature: Signature | None = None) -> Any:
        """The compiled code as assembly, with the lines of the source as `.loc`; else as `inspect_llvm`."""
        return self._shown("inspect_asm", signature, lambda title, tile: f"# {title}\n{tile.asm}")

    def _shown(self, method: str, signature: Signature | None, text: Callable[[str, Any], str]) -> Any:
        compiled = self._compiled()
        if signature is not None and signature not in compiled:
            raise ArgumentValueError(
                f"`{self.__name__}.{method}({signature})`: nothing was compiled for this signature",
                got=str(signature),
                expected=", ".join(map(str, compiled)) or "one of `signatures`, of which there are none yet",
                fix=f"{self.__name__}.{method}()" if compiled else f"{self.__name__}.precompile()",
            )
        shown = {found: "\n".join(text(*pair) for pair in tiles) for found, tiles in compiled.items()}
        return shown if signature is None else shown[signature]

    def _compiled(self) -> dict[Signature, list[tuple[str, Any]]]:
        """By signature what was compiled, each with a title."""
        found: dict[Signature, list[tuple[str, Any]]] = {}
        for program in self.programs():
            for title, tile in program.compiled():
                found.setdefault(_signature(program, tile.dtype), []).append((f"{title} of {program.name}, {tile.dtype}", tile))
        return found


def _if_any(make: Callable[[], Any]) -> Any:
    """Formulas; None for kernels that have none, or too long ones."""
    try:
        return make()
    except (TraceError, ArgumentValueError, ArgumentTypeError):
        return None


def _found(program: "Program") -> list[tuple[str, str]]:
    """What a trace told."""
    outputs = (f"array of shape {core}" if core else "number" for core in program.leaves)
    operations = sum(node.op not in ("input", "const") for node in program.graph.nodes)
    compiled = sorted({str(tile.dtype) for _, tile in program.compiled()})
    return [
        ("returns", ", ".join(outputs)),
        ("each element", plural(operations, "operation")),
        ("compiled for", ", ".join(compiled) or "nothing yet"),
    ]


def _signature(program: "Program", dtype: "np.dtype") -> Signature:
    with IMPORTS:
        from numba.core import types
    scalar = getattr(types, dtype.name)
    return tuple(types.Array(scalar, len(core), "C") if core else scalar for core in program.cores)


def without_structure(kernel: Any) -> ArgumentTypeError | None:
    """The error for a kernel that is to be shown alone, if a call has told that arguments have structure; with one of numbers."""
    forest = next((key[1] for key in reversed(kernel.remember.known) if key[0] == "flat"), None)
    if forest is None:
        return None
    trees, names, flat = dict(forest), names_in(kernel.parameters, forest), kernel.flat(forest)
    written = {name: trees[name].written_of(iter(own)) if name in trees else name for name, own in names.items()}
    given = ", ".join(f"{p.name}=" * (p.kind is p.KEYWORD_ONLY) + written[p.name] for p in kernel._parameters)
    options = [f", {name}={value!r}" for name in ("signature", "static") if (value := getattr(flat, name))]
    return ArgumentTypeError(
        f"`{kernel.__name__}({', '.join(kernel.parameters)})`: {forest[0][0]} has a structure, which only calls tell",
        got="no arguments",
        expected="a kernel of numbers and arrays",
        fix=f"nbad.kernel(lambda {', '.join(flat.parameters)}: {code_of(kernel)}({given}){''.join(options)})",
    )


def without_sizes(kernel: Any) -> ArgumentTypeError:
    """The error where a kernel is asked for what its sizes decide."""
    name, letters = name_in_code(kernel), ", ".join(kernel.letters)
    return ArgumentTypeError(
        f"`{kernel.__name__}({', '.join(kernel.parameters)})`: its calls alone tell what {letters} in its signature is",
        got=f"the signature {kernel.signature}",
        expected="a kernel of one size",
        fix=f"{name}.sized({', '.join(f'{letter}=3' for letter in kernel.letters)})",
    )


def without_numbers(kernel: Any) -> ArgumentTypeError:
    """The error for a kernel that takes no numbers, or a call that passes none, where one is to differentiate by them."""
    fix = respelled(kernel, kernel.parameters)
    if not kernel._cores:
        fix = f"{spelled(kernel, kernel.parameters)}  # its value, which depends on no number"
    return without_derivatives(f"`{kernel.__name__}({', '.join(kernel.parameters)})`", "no number", fix)


def without_derivatives(call: str, got: str, fix: str) -> ArgumentTypeError:
    """The error where no argument has a derivative."""
    what = f"{call}: there is nothing to differentiate by"
    return ArgumentTypeError(what, got=got, expected="an argument of a floating dtype", fix=fix)
