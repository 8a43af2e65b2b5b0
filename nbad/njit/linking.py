"""The code of an element inside a caller: linked as LLVM IR, and checked anew whenever cached code that holds it is loaded.

Numba's cache knows a caller by its own code, what that closes over and the types of its arguments, not by its globals, nor by
what helpers use. So each code of an element brings a `Witness`, a constant that Numba keeps beside whatever the code was linked
into, however far. When that is loaded in another process, the witness finds the kernel by its name and makes the element's code
again. Where it differs, or a name in a module that led to the kernel leads to another one, the entry counts as lost, and Numba
compiles anew. What the code calls by name the linker knows then.
"""

import functools
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.caching import CodeLibraryCacheImpl
from numba.extending import intrinsic

from nbad.api.kernel import Kernel
from nbad.api.pickling import by_name
from nbad.codegen.compile import parsed
from nbad.codegen.host import host
from nbad.errors import NbadError
from nbad.njit.callees import Callee, Form, callee_in, callee_of
from nbad.njit.elements import Asked, Element, element
from nbad.verbs.jacobians import Made

KINDS: dict[str, Any] = {"float64": types.float64, "float32": types.float32}
ENVIRONMENT = "_ZN08NumbaEnv4nbad4njit"  # how Numba calls what it keeps of the functions that hold code of kernels
UNKEPT = "numba.dynamic.globals.nbad_kernel_without_a_name"  # Numba caches no code in whose module there is such a variable


class StaleCodeError(OSError):
    """Cached code of a kernel that was edited, to be compiled anew: Numba takes an OSError for a file that is gone."""


class Witness(NamedTuple):
    """Tells where cached code came from.

    Attributes
    ----------
    named : bytes or None
        The kernel and the static values by their names; a kernel without one is told by the types of its callers' arguments.
    form : Form
    asked : Asked
        What it was asked for, without the statics.
    digest : str
        Of the element's code and all that it links.
    places : tuple of (int, str, str)
        Modules and names there that led to the callee, or to what it was derived from: its place in `Callee.lineage`.
    """

    named: bytes | None
    form: Form
    asked: Asked
    digest: str
    places: tuple[tuple[int, str, str], ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return _confirmed, tuple(self)


def witness_for(callee: Callee, asked: Asked, digest: str) -> Witness:
    """The witness of an element's code."""
    named = by_name((callee.kernel, asked.statics))
    return Witness(named, callee.form, asked._replace(statics=()), digest, () if named is None else tuple(_places(callee)))


def _places(callee: Callee) -> Iterator[tuple[int, str, str]]:
    """Where names lead to a callee, or to what it was derived from; a script's own are not found from elsewhere."""
    lineage = callee.lineage
    for module, names in [(module, getattr(sys.modules[module], "__dict__", {})) for module in list(sys.modules)]:
        for name, value in list(names.items()) if module != "__main__" else ():
            if issubclass(type(value), Kernel | Made) and (found := _met(value)) in lineage:
                yield lineage.index(found), module, name


def _met(value: Any) -> Callee | None:
    """What a name leads to: a callee, if anything that compiled code may call."""
    try:
        return callee_of(value) if issubclass(type(value), Kernel | Made) else None
    except NbadError:
        return None


def _check_places(callee: Callee, places: tuple[tuple[int, str, str], ...]) -> None:
    """Refuse code that was made for what a name in a module led to, where that now is another thing."""
    lineage = callee.lineage
    for number, module, name in places:
        if module in sys.modules:
            found = _met(vars(sys.modules[module]).get(name))
            if found is None or (found is not lineage[number] and found.token != lineage[number].token):
                raise StaleCodeError(f"{module}.{name} leads to something else than when code was cached")


def _confirmed(
    named: bytes | None, form: Form, asked: Asked, digest: str, places: tuple[tuple[int, str, str], ...] = ()
) -> Witness:
    """The witness again, in the process that loads the code, if the kernel still is what it was."""
    host()  # opens the vector library
    if named is not None:
        try:
            kernel, statics = pickle.loads(named)
            callee = callee_in(kernel, form)
            found = element(callee, asked._replace(statics=statics)).digest
            _check_places(callee, places)
        except (ImportError, AttributeError, KeyError, TypeError, ValueError, NbadError) as error:  # it is gone, or another thing
            raise StaleCodeError(f"the kernel of cached code is not found: {error}") from error
        if found != digest:
            raise StaleCodeError("a kernel was edited after code of it was cached")
    return Witness(named, form, asked, digest, places)


def slots_of(callee: Callee, asked: Asked) -> Callable[..., Any]:
    """A function for compiled code from one number for each input of an element to a tuple of its outputs."""
    return callee.remember(("slots", asked.key), lambda: _slots(callee, asked))


def _slots(callee: Callee, asked: Asked) -> Callable[..., Any]:
    found = element(callee, asked)
    kind, inputs, outputs = KINDS[asked.dtype], len(found.oplist.inputs), len(found.oplist.outputs)
    result, witness = types.UniTuple(kind, outputs), witness_for(callee, asked, found.digest)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        context.add_linking_libs([_library(context.codegen(), callee, found)])
        context.environment.consts.append(witness)
        if witness.named is None and callee.named is not None:  # a static value has no name
            keep_no_code(builder)
        number = context.get_value_type(kind)
        function_type = ir.FunctionType(ir.LiteralStructType([number] * outputs), [number] * inputs)
        function = cgutils.get_or_insert_function(builder.module, function_type, found.code.symbol)
        packed = builder.call(function, args)
        return context.make_tuple(builder, signature.return_type, [builder.extract_value(packed, k) for k in range(outputs)])

    names = ", ".join(f"x{k}" for k in range(inputs))
    scope = {"signature": result(*[kind] * inputs), "codegen": codegen}
    exec(f"def slots(context, {names}):\n    return signature, codegen", scope)
    return intrinsic(scope["slots"])


def _library(codegen: Any, callee: Callee, found: Element) -> Any:
    """The element's code as Numba links it."""

    def make() -> Any:
        library = codegen.create_library(found.code.symbol)
        library.add_llvm_module(parsed(found.code.text))
        for name, texts in found.code.modules.items():
            library.add_linking_library(_functions(codegen, name, texts))
        library.finalize()
        return library

    return callee.remember(("library", id(codegen), found.code.symbol), make)


@functools.lru_cache(256)
def _functions(codegen: Any, name: str, texts: tuple[str, ...]) -> Any:
    """A function that many elements call, with its vector variants."""
    library = codegen.create_library(name)
    for text in texts:
        library.add_llvm_module(parsed(text))
    library.finalize()
    return library


def register() -> None:
    """Keep wrappers of `guvectorize` that hold code of kernels out of a cache of their own, where no witness goes with them."""
    is_kept = CodeLibraryCacheImpl.check_cachable

    def check_cachable(self: Any, library: Any) -> bool:
        return is_kept(self, library) and not _holds_kernels(library)

    CodeLibraryCacheImpl.check_cachable = check_cachable  # type: ignore[method-assign]


def _holds_kernels(library: Any) -> bool:
    """Whether a finished library has code of a kernel."""
    return any(variable.name.startswith(ENVIRONMENT) for variable in library._final_module.global_variables)


def keep_no_code(builder: Any) -> None:
    """Keep what is being compiled out of Numba's cache: it holds a kernel without a name, which no other process can look at."""
    if UNKEPT not in builder.module.globals:
        variable = cgutils.add_global_variable(builder.module, ir.IntType(8), UNKEPT)
        variable.linkage, variable.initializer = "weak", ir.IntType(8)(0)
