"""How many registers a value of a kernel takes.

A pass over one vector is a chain of operations that wait for each other, longest where functions are called: the processor has
little else to do meanwhile. In vectors of 2 or 4 registers each operation is that many independent ones.
"""

from collections import Counter

from nbad.codegen.ahead import NEAR
from nbad.codegen.host import LINE, Host
from nbad.codegen.lower import OpList, is_in_step
from nbad.operations.table import TABLE

DENSER, DENSE, SOME = 8, 16, 64  # operations for each call of a function
CHAIN = range(24, 1025)  # operations that wait for each other, and do not yet spill what is gained
# operations of the longest chain that is worth two registers: a reverse sweep by a whole Jacobian, whose chains are 2 to 4 long,
# is as fast by one within 7 %, and compiles in 0.6 to 0.9 of the time
SHORTEST = 8
MOST_RESULTS = 12  # beyond, stores of 4 registers wait for each other where memory is past the caches: 2 times slower with 30
MOST_INPUTS = 12  # whose vectors of 4 of the 32 registers that AVX-512 has are not all put aside


def width(oplist: OpList, host: Host) -> int:
    """Elements in a vector."""
    return host.width(oplist.dtype) * length(oplist, host)


def length(oplist: OpList, host: Host) -> int:
    """Registers in a vector: 4 where calls of vector functions stand close, 2 where there are some, or many operations, else 1.

    Measured with AVX2, 1,024 elements: the value of Black-Scholes is 1.4 times faster by 4, its gradient 1.3 times; a Newton's
    iteration 1.1 times by 2, and no faster by 4, for its vector goes on until the last lane is done; 50 passes that all lanes do
    2.7 times by 4. Where calls are few, the 340 operations of seawater's volume and its gradient are 1.3 times faster by 2, the
    380 of a Hessian of Black-Scholes 1.2, the 30 of a potential and its gradient 1.05, the 1,600 of a Hessian of seawater's
    enthalpy 1.1 times slower. Thirty results that are exponentials are 1.3 times faster by 2, with 2,000 elements and with a
    million; many results with fewer calls gain up to 1.2 times where the caches keep them, and lose as much where not. Where
    results are stored past the caches, a vector is whole cache lines: halves are written twice.

    With the 32 registers of AVX-512 4 pay wherever there are some calls, in loops, too, and few inputs: friction of a pipe and
    Lambert's W, both by Newton's iterations, are 1.3 and 1.4 times faster than by 2, a rational Black-Scholes with its Jacobian
    1.2 times; with the 17 inputs of a reprojection 2 are 1.1 times faster.

    Of wide elements a vector is no longer than what the nearest cache keeps of it: softmax of 256 is up to 1.5 times faster by 1.
    """
    most = 1 if oplist.form.is_narrow else min(_by_operations(oplist, host), _near(oplist, host))
    return max(most, LINE // host.nbytes if oplist.form.streams else 1)


def _near(oplist: OpList, host: Host, nbytes: int = NEAR) -> int:
    """Registers of a vector that reads and writes at most so many bytes, or 1."""
    most = nbytes // (host.nbytes * max(len(oplist.inputs) + len(oplist.outputs), 1))
    return 1 << max(most.bit_length() - 1, 0)


def by_calls(operations: int, calls: int) -> int:
    """How many registers pay by how close calls stand among operations: 1 where there are hardly any.

    Examples
    --------
    >>> by_calls(100, 1), by_calls(100, 5), by_calls(100, 10)
    (1, 2, 4)
    """
    if calls * SOME < max(operations, 1):
        return 1
    return 2 if calls * DENSE < operations else 4


def _by_operations(oplist: OpList, host: Host) -> int:
    if oplist.math != "simd":
        return 1
    counts = Counter(operations_in(oplist))
    calls = sum(count for op, count in counts.items() if _is_vector_function(op, oplist.dtype, host))
    has_many = len(oplist.results) > MOST_RESULTS or oplist.form.lines == "written"
    has_loops = any(node.op == "loop" and not is_in_step(oplist, node) for node in oplist.nodes)
    if calls * SOME < max(counts.total(), 1):
        is_long = counts.total() in CHAIN and _has_chain(oplist, SHORTEST)
        return min(2, _near(oplist, host, NEAR // 2)) if is_long and not has_loops and not has_many else 1
    if has_many:
        return 2 if calls * DENSER >= counts.total() and not has_loops else 1
    if host.letter == "e" and len(oplist.inputs) <= MOST_INPUTS:
        return 4
    return 2 if has_loops else by_calls(counts.total(), calls)


def operations_in(oplist: OpList) -> list[str]:
    """What a pass computes, each loop once."""
    found = [node.op for node in oplist.nodes if node.op not in ("input", "const", "loop")]
    for loop in {node.payload.loop for node in oplist.nodes if node.op == "loop"}:
        found += operations_in(loop.step)
    return found


def _has_chain(oplist: OpList, length: int) -> bool:
    """Whether so many operations wait for each other somewhere."""
    depths: list[int] = []
    for node in oplist.nodes:
        is_given = node.op in ("input", "const")
        depths.append(0 if is_given else 1 + max([depths[a] for a in node.args], default=0))
        if depths[-1] == length:
            return True
    return False


def _is_vector_function(op: str, dtype: str, host: Host) -> bool:
    row = TABLE[op]
    if not row.libm:
        return False
    arity = len(row.operands)
    return host.has_own(row.libm, arity, dtype) or host.vector_function(row.libm, arity, dtype) is not None
