"""Memory asked for ahead by kernels of wide elements, which meet cache lines in an order that the processor does not foresee.

Elements side by side are taken by squares: a line of each of some elements, then the next line of each. Many rows are as many
streams. With AVX-512 the sweeps of softmax of 64 were 1.3 to 2.3 times as fast so, where the caches were cold.
"""

from nbad.codegen.host import LINE

MANY = 12  # rows, beyond which each is asked for
DECLARATION = "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"


def is_wide(number: int, itemsize: int) -> bool:
    """Whether elements of so many items, side by side, are longer than a line or as long.

    Examples
    --------
    >>> is_wide(7, 8), is_wide(8, 8), is_wide(8, 4)
    (False, True, False)
    """
    return number * itemsize >= LINE


class Ahead:
    """The lines of the next vector's elements, so many bytes, which are asked for one after the other.

    In the order of memory, whatever order they are used in: the processor's own prefetching, which follows streams, joins in.

    Examples
    --------
    >>> ahead = Ahead(256)
    >>> [ahead.pass_by(32) for _ in range(10)]
    [256, None, 320, None, 384, None, 448, None, None, None]
    """

    def __init__(self, nbytes: int) -> None:
        self._nbytes, self._passed = nbytes, 0

    def pass_by(self, nbytes: int) -> int | None:
        """What lies how many bytes behind this vector's first element is to be asked for when so many of its bytes are moved."""
        at = self._passed
        self._passed += nbytes
        return self._nbytes + at if at < self._nbytes and at % LINE < nbytes else None


def asked(name: str, address: str, nbytes: int, for_stores: bool) -> tuple[str, str]:
    """The lines that ask for what lies so many bytes behind an address."""
    return (
        f"  {name} = getelementptr i8, ptr {address}, i64 {nbytes}",
        f"  call void @llvm.prefetch.p0(ptr {name}, i32 {int(for_stores)}, i32 3, i32 1)",
    )
