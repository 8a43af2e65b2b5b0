"""`try` statements whose handlers catch what Python's arithmetic, or a path of the kernel, raises for some elements."""

import contextlib
import math
import random
import re

import numpy as np
import pytest
import scipy.special
from helpers.tracing import written

import nbad
from nbad.errors import TraceError


def inverse(x, y):
    try:
        z = y / x
    except ZeroDivisionError:
        z = 0.0
    return z


def logarithm(x, y):
    try:
        return math.log(x) + math.log2(y)
    except ValueError as error:
        if not error.args:
            return 0.0
        return -1.0 * y


def falls_through(x, y):
    z, w = 1.0, 2.0
    try:
        z = x + 1.0
        w = y / x
        z = z * math.sqrt(w)
    except ZeroDivisionError:
        return z * w
    except (ValueError, OverflowError):
        z = z - 100.0
    else:
        z = z * 2.0
    finally:
        w = w + 0.5
    return z + w


def in_a_loop(x, y):
    for k in range(3):
        try:
            x = math.sqrt(x - 0.25 * k) - 0.5
        except ValueError:
            x = y - x
            x = x - 0.125 if x < 1 else x
    return x


def root(x):
    if x < 0:
        raise ArithmeticError("negative")
    return math.sqrt(x)


def of_a_helper(x, y):
    try:
        z = root(x) + root(y)
    except ArithmeticError:
        try:
            z = root(-x)
        except ArithmeticError:
            z = 7.0
    return z


def raises_anew(x, y):
    try:
        z = math.asin(x) * y
    except ValueError:
        if y > 0:
            raise KeyError("no angle") from None
        z = x
    return z


def catches_raised_errors(x, y):
    try:
        if x > 0:
            raise ValueError("positive")
        elif x < -1:
            raise KeyError("below")
        z = y
    except ValueError:
        z = 10.0 * x
    return z


def catches_what_nothing_cannot(x, y):
    table = {1: 2.0}
    try:
        z = x * table.get(2) if y > 0 else x
    except TypeError:
        z = y
    return z


def in_an_arm(x, y):
    if y > 0:
        try:
            z = 1.0 / (x - x * y)
        except ZeroDivisionError:
            return -x
    else:
        try:
            z = math.acosh(y)
        except ValueError:
            z = x
    return z * 2.0


def overflows(x, y):
    try:
        z = math.exp(x * 1000.0) ** 2
    except OverflowError:
        z = math.inf
    try:
        return 1.0 / z + (x**-2) * (x // y) % y
    except (ZeroDivisionError, ValueError):
        return y


def on_every_path(x, y):
    try:
        if x > 0:
            raise ValueError("positive")
        raise ValueError("not positive")
    except ValueError:
        return x * y


def breaks(x, y):
    for k in range(3):
        try:
            if k == 1:
                break
            x = x * 2.0
        except ValueError:
            x = 0.0
    return x


def makes_whole_numbers(x, y):
    try:
        z = int(x / y) + round(y) - math.floor(x)
    except ZeroDivisionError:
        z = 1.0
    except (ValueError, OverflowError):
        z = 2.0
    return z


@nbad.kernel
def inner(x):
    return root(x)


def of_a_kernel(x, y):
    try:
        return inner(x) * y
    except ArithmeticError:
        return -y


def of_gamma(x, y):
    try:
        z = math.gamma(8.0 * x + y)
    except ValueError:
        z = 100.0 * y
    try:
        w = math.gamma(200.0 * x + y) * 1e-300
    except OverflowError:
        w = 2.0
    except ValueError:
        w = 3.0
    try:
        return z + w + math.lgamma(x - y)
    except ValueError:
        return z - w


def of_scipy(x, y):
    """Its functions raise nothing."""
    try:
        return scipy.special.gamma(4.0 * x) + scipy.special.j0(x) + scipy.special.lambertw(y * y).real + 1.0 / x
    except (ValueError, ZeroDivisionError):
        return -y


def far(x, y):
    """Where the logarithm of a gamma function overflows, and where it does not."""
    try:
        z = math.lgamma(x)
    except OverflowError:
        z = 7.0
    try:
        return z + math.gamma(y)
    except (OverflowError, ValueError):
        return z


FUNCTIONS = [
    inverse, logarithm, falls_through, in_a_loop, of_a_helper, raises_anew, catches_raised_errors, catches_what_nothing_cannot,
    in_an_arm, overflows, on_every_path, breaks, makes_whole_numbers, of_a_kernel, of_gamma, of_scipy,
]  # fmt: skip
X, Y = (a.ravel() for a in np.meshgrid([-1.5, -1.0, -0.25, 0.0, 0.5, 1.0, 1.25], [-1.5, 0.0, 0.75, 1.0]))


def outcome(function, x, y):
    try:
        return function(x, y), None
    except (ArithmeticError, LookupError, ValueError) as error:
        return math.nan, (type(error), error.args)


ARITHMETIC = re.compile(r"expected a|.*(error|zero|range|power|division|divmod\(\)|nan)$")  # what Python, by version, says of it


def check(function, x, y):
    """Values and errors, element by element."""
    f, g, failed = nbad.kernel(function), nbad.kernel(function, errors="nan"), 0
    outcomes = [outcome(function, *map(float, element)) for element in zip(x, y, strict=True)]
    # nan and infinity are values where nobody catches an error of arithmetic
    known = [k for k, (_, error) in enumerate(outcomes) if error is None or not ARITHMETIC.match(str(error[1][0]))]
    if not known:
        return 0
    x, y, (values, errors) = x[known], y[known], zip(*(outcomes[k] for k in known), strict=True)
    np.testing.assert_allclose(g(x, y), values, rtol=1e-12)
    for k, error in enumerate(errors):
        if error is not None:
            failed += 1
            with pytest.raises(error[0], match=r"raised at the only element") as raised:
                f(x[k], y[k])
            assert (type(raised.value), raised.value.args) == error
    good = np.array([error is None for error in errors])
    np.testing.assert_allclose(f(x[good], y[good]), np.array(values)[good], rtol=1e-12)
    return failed


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_handlers_run_for_the_elements_that_fail(function):
    check(function, X, Y)


def test_the_ends_of_gamma_functions():
    ends = np.array([-math.inf, math.inf, math.nan, 1e308, 1e306, 171.6, 171.7, -200.5, -0.0, 1e-309, -3.0])
    assert not check(far, *(a.ravel() for a in np.meshgrid(ends, ends)))


def test_derivatives_are_those_of_the_handler():
    f = nbad.kernel(falls_through)
    x, y = np.array([0.0, 1.0, 2.0]), np.array([3.0, -2.0, 2.0])
    # (x + 1)*2 + 2.5 is left at once; x + 1 - 100 + y/x + 0.5; (x + 1)*sqrt(y/x)*2 + y/x + 0.5
    np.testing.assert_allclose(nbad.jacobian(f)(x, y)[:, 0], [[2.0, 0.0], [3.0, 1.0], [2.0 - 1.5 - 0.5, 1.5 + 0.5]])
    np.testing.assert_allclose(nbad.grad(nbad.kernel(inverse))(np.array([0.0, 2.0]), 3.0), [0.0, -0.75])


def writes_before(x, y):
    v = [x, y]
    try:
        v[0] = 3.0
        v[1] = 1.0 / x
    except ZeroDivisionError:
        v[1] = 5.0
    return v[0] * v[1]


def test_what_is_written_before_an_error_is_refused():
    with pytest.raises(nbad.errors.TraceError, match=r"writes to a list or array before an error that it catches"):
        nbad.kernel(writes_before)(1.0, 1.0)


def of_linear_algebra(x, y):
    try:
        return np.linalg.solve(np.array([[x, 2.0], [2.0, y]]), np.array([x, y]))[0]
    except np.linalg.LinAlgError:
        return 0.0


def of_numpys_errors(x, y):
    with np.errstate(all="raise"):
        try:
            return np.exp(x) * y
        except FloatingPointError:
            return 0.0


def of_numpys_warnings(x, y):
    try:
        return np.log(x) * y
    except (ArithmeticError, RuntimeWarning):
        return 0.0


def of_numpys_numbers(x, y):
    try:
        return np.exp(x) / y
    except ZeroDivisionError:
        return 0.0


def of_numpys_powers(x, y):
    try:
        return (2.0 * np.sqrt(x) + 1.0) ** (100.0 * y)
    except OverflowError:
        return 0.0


def of_plain_numbers_of_numpy(x, y):
    try:
        return y % (TABLE[1] * x)
    except ArithmeticError:
        return 0.0


def of_items(x, y):
    a = np.array([x, y])
    try:
        return sum(1.0 // v for v in a)
    except ZeroDivisionError:
        return 0.0


def of_what_a_loop_leaves(x, y):
    z = np.exp(x)
    while z > 1.0:
        z = z / 2.0 - 1.0
    try:
        return y / z
    except ZeroDivisionError:
        return 0.0


def of_what_a_loop_carries(x, y):
    z = np.exp(x)
    while z > 1.0:
        try:
            z = z / y - 1.0
        except ZeroDivisionError:
            z = 0.0
    return z


TABLE = np.array([1.0, 2.0])
OF_NUMPYS_NUMBERS = [
    of_what_a_loop_leaves,
    of_what_a_loop_carries,
    of_numpys_numbers,
    of_numpys_powers,
    of_plain_numbers_of_numpy,
    of_items,
]


@pytest.mark.parametrize("function", [of_linear_algebra, of_numpys_errors, of_numpys_warnings, *OF_NUMPYS_NUMBERS])
def test_what_only_numpy_knows_is_refused(function):
    with pytest.raises(nbad.errors.TraceError, match=r"catches errors of arithmetic on traced values, in a way"):
        nbad.kernel(function)(1.0, 1.0)


class Programs:
    """Random functions of x and y whose `try` statements catch errors of arithmetic, and of their own."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def function(self, name):
        body = self.block(1, 3)
        return f"def {name}(x, y):\n    z = x - y\n    w = 0.5\n{body}    return x + y * z - w\n"

    def block(self, indent, depth):
        kinds = ["set", "set", "set", *(["try", "try", "if", "raise"] if depth else [])]
        return "".join(self.statement(self.random.choice(kinds), indent, depth) for _ in range(self.random.randint(1, 3)))

    def statement(self, kind, indent, depth):
        pad, pick = "    " * indent, self.random.choice
        if kind == "set":
            return f"{pad}{pick('xyzw')} = {self.value(2)}\n"
        if kind == "raise":
            return (
                f"{pad}if {self.condition()}:\n{pad}    raise {pick(('ValueError', 'KeyError', 'OverflowError'))}('{indent}')\n"
            )
        if kind == "if":
            text = f"{pad}if {self.condition()}:\n{self.block(indent + 1, depth - 1)}"
            text += f"{pad}    return {self.value(1)}\n" * pick((0, 0, 1))
            return text + pick(("", f"{pad}else:\n{self.block(indent + 1, depth - 1)}"))
        text = f"{pad}try:\n{self.block(indent + 1, depth - 1)}"
        for handler in pick(
            (["ValueError"], ["ZeroDivisionError", "ValueError"], ["(ArithmeticError, LookupError)"], ["Exception"])
        ):
            text += f"{pad}except {handler}:\n{self.block(indent + 1, depth - 1)}"
        text += pick(("", "", f"{pad}else:\n{self.block(indent + 1, depth - 1)}"))
        return text + pick(("", "", f"{pad}finally:\n{pad}    w = w + 1.0\n"))

    def value(self, depth):
        if not depth or self.random.random() < 0.2:
            return self.random.choice(("x", "y", "z", "w", "0.0", "1.0", "0.5"))
        form = self.random.choice(("({} - {})", "({} * {})", "({} / {})", "math.sqrt({})", "math.log({})", "math.asin({})"))
        return form.format(*(self.value(depth - 1) for _ in range(form.count("{"))))

    def condition(self):
        return f"{self.value(1)} {self.random.choice('<>')} {self.value(1)}"


def run(seeds, folder):
    """How many random functions are accepted, refused, and fail for some elements; all values and errors are those of Python."""
    accepted = refused = failed = 0
    x, y = np.meshgrid([-1.5, 0.0, 0.3, 1.0], [-0.7, 0.0, 1.0, 2.0])
    for seed in seeds:
        function = written(folder / f"program{seed}.py", "import math\n\n" + Programs(seed).function("f"))
        try:
            nbad.kernel(function, errors="nan")(1.0, 1.0)
        except (nbad.errors.TraceError, ArithmeticError, LookupError, ValueError):  # these of its numbers, or on every path
            refused += 1
            continue
        failed += check(function, x.ravel(), y.ravel()) > 0
        accepted += 1
    return accepted, refused, failed


def made_before(x, y):
    try:
        items = [x, 2.0]
        z = y / x
    except ZeroDivisionError:
        z = items[0] + items[1]
    return z


def made_and_left(x, y):
    try:
        items = [x]
        items.append(y / x)
        z = items[1]
    except ZeroDivisionError:
        z = 5.0
    return z


def lost_between(x, y):
    z = 0.0
    try:
        z = 1.0 / x
        z = 1.0 / y
    except ZeroDivisionError:
        z = 7.0
    return z


@pytest.mark.parametrize("function", [made_before, made_and_left, lost_between])
def test_what_the_body_makes_is_for_its_handlers(function):
    x, y = np.array([0.0, 2.0, 3.0, 0.0]), np.array([1.0, 3.0, 0.0, 0.0])
    assert nbad.kernel(function)(x, y).tolist() == [function(*pair) for pair in zip(x.tolist(), y.tolist(), strict=True)]


def test_what_the_body_makes_and_changes_is_not():
    def appended(x):
        try:
            items = [x]
            items.append(1.0 / x)
        except ZeroDivisionError:
            items.append(5.0)
        return items[1]

    def written(x):
        try:
            a = np.array([3.0, 2.0])
            y = 1.0 / x
            a[0] = y
        except ZeroDivisionError:
            return a[0]
        return y

    def used_later(x):
        try:
            items = [x]
            items[0] = 1.0 / x
        except ZeroDivisionError:
            pass
        return items[0]

    for kernel in (appended, written, used_later):
        with pytest.raises(nbad.errors.TraceError, match=r"uses `(items|a)`, which has no (single )?value"):
            nbad.kernel(kernel)(1.0)

    def handled(x):
        try:
            a = np.array([3.0, 2.0])
            y = 1.0 / x
        except ZeroDivisionError:
            a[1] = y = 3.0
        return a[1] + y

    with pytest.raises(nbad.errors.TraceError, match="writes to a list or array"):
        nbad.kernel(handled)(1.0)


def test_random_programs(tmp_path):
    accepted, refused, failed = run(range(12), tmp_path)
    assert accepted > refused
    assert failed > 0


@pytest.mark.slow
def test_many_random_programs(tmp_path):
    accepted, refused, _ = run(range(1000, 1500), tmp_path)
    assert accepted > refused


def test_a_logarithm_asks_its_argument_before_its_base():
    def to_a_base(x, y):
        try:
            return math.log(x, y)
        except ZeroDivisionError:
            return 7.0
        except ValueError:
            return 8.0

    xs, ys = np.array([(-1.0, 1.0), (0.0, 1.0), (-1.0, -1.0), (2.0, 1.0), (2.0, -1.0), (math.nan, 1.0), (8.0, 2.0)]).T
    np.testing.assert_array_equal(nbad.kernel(to_a_base)(xs, ys), [8.0, 8.0, 8.0, 7.0, 8.0, 7.0, 3.0])


def poles(x):
    try:
        z = math.gamma(x)
    except OverflowError:
        z = 7.0
    try:
        return z, math.lgamma(x)
    except ArithmeticError:
        return z, 8.0


def test_poles_of_gamma_functions_are_no_overflows():
    """Python raises an error there that these handlers are not for."""
    gamma, log_gamma = nbad.kernel(poles)(np.array([0.0, -0.0, 200.0]))
    np.testing.assert_array_equal(gamma, [math.inf, -math.inf, 7.0])
    np.testing.assert_allclose(log_gamma, [math.inf, math.inf, math.lgamma(200.0)], rtol=1e-14)


def raises_after_a_return(x):
    try:
        if x > 0:
            return x
    finally:
        if x > 1:
            raise KeyError
    return -x


def always_raises_after_a_return(x):
    try:
        if x > 0:
            return x
    finally:
        raise KeyError


class Raising:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        raise KeyError


def raises_at_the_end_of_a_with(x):
    with Raising():
        if x > 0:
            return x
    return -x


def fails_after_a_return_under_a_handler(x):
    def inner():
        try:
            if x > 0:
                return x
        finally:
            y = 1 / (x - 1)
        return y

    try:
        return inner()
    except ZeroDivisionError:
        return 7.0


@pytest.mark.parametrize(
    "f",
    [
        raises_after_a_return, always_raises_after_a_return, raises_at_the_end_of_a_with, fails_after_a_return_under_a_handler,
    ],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_an_error_at_an_end_behind_returns_is_refused(f):
    with pytest.raises(TraceError, match="before a `finally` or `with` whose end returns, raises or changes"):
        nbad.kernel(f)(np.array([-1.0, 0.5, 2.0]))


def test_an_end_behind_returns_may_compute_and_catch():
    def f(x):
        try:
            if x > 0:
                return x
        finally:
            try:
                y = 1 / (x - 1)
            except ZeroDivisionError:
                y = 0.0
        return y

    xs = np.array([-1.0, 0.5, 1.0, 2.0])
    np.testing.assert_array_equal(nbad.kernel(f)(xs), [f(x) for x in map(float, xs)])


class Counting:
    def __init__(self):
        self.count = [0.0]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.count[0] += 1


@contextlib.contextmanager
def counting_errors(count):
    try:
        yield
    except KeyError:
        count[0] += 1
        raise


def leaves_an_object(x):
    counting = Counting()
    try:
        with counting:
            if x > 0:
                raise KeyError
            y = x
    except KeyError:
        y = 3.0
    return y + counting.count[0]


def leaves_a_generator(x):
    count = [0.0]
    try:
        with counting_errors(count):
            if x > 0:
                raise KeyError
            y = x
    except KeyError:
        y = 3.0
    return y + count[0]


@pytest.mark.parametrize("f", [leaves_an_object, leaves_a_generator], ids=lambda f: f.__name__)
def test_an_error_of_some_elements_leaves_no_with_that_acts(f):
    with pytest.raises(TraceError, match="catches an error of some elements that leaves a `finally` or `with` before"):
        nbad.kernel(f)(np.array([-1.0, 2.0]))


def test_an_error_of_some_elements_leaves_a_with_that_does_nothing():
    def f(x):
        try:
            with np.errstate(all="ignore"), contextlib.nullcontext(2.0) as two:
                y = two / x
        except ZeroDivisionError:
            y = 3.0
        return y

    np.testing.assert_array_equal(nbad.kernel(f)(np.array([0.0, 2.0])), [3.0, 1.0])


def asks_which_error(x):
    try:
        if x > 0:
            raise KeyError
        raise ValueError
    except (KeyError, ValueError) as error:
        return 1.0 if isinstance(error, KeyError) else 2.0


def asks_for_a_number_in_it(x):
    try:
        if x > 1:
            raise ValueError(x)
        if x > 0:
            raise ValueError(2 * x)
    except ValueError as error:
        return error.args[0]
    return x


def raises_one_of_several_again(x):
    try:
        try:
            if x > 0:
                raise KeyError
            raise ValueError
        except (KeyError, ValueError):
            x = x + 1
            raise
    except KeyError:
        return x
    except ValueError:
        return -x


@pytest.mark.parametrize("f", [asks_which_error, asks_for_a_number_in_it, raises_one_of_several_again], ids=lambda f: f.__name__)
def test_a_handler_of_several_errors_cannot_ask_which(f):
    with pytest.raises(TraceError, match=r"(?s)catches several errors, depending on a traced value, and asks which.*for each"):
        nbad.kernel(f)(np.array([-1.0, 0.5, 2.0]))


def raises_again(x):
    try:
        try:
            y = math.sqrt(x)
        except ValueError:
            x = x - 1
            raise
    except ValueError as error:
        y = 3 * x if error.args else x
    return y


def raises_another_from_one_of_several(x):
    try:
        try:
            if x > 2:
                raise KeyError
            y = math.sqrt(x)
        except (KeyError, ValueError) as error:
            raise LookupError from error
    except LookupError:
        y = 3 * x
    return y


@pytest.mark.parametrize("f", [raises_again, raises_another_from_one_of_several], ids=lambda f: f.__name__)
def test_a_handler_raises_its_error_again_or_another_from_it(f):
    xs = np.array([-1.0, 0.25, 3.0])
    np.testing.assert_array_equal(nbad.kernel(f)(xs), [f(x) for x in map(float, xs)])


WORDS = [  # an operation, operands that it raises an error for, and that
    (lambda x, y: x / y, (3.0, 0.0), ZeroDivisionError),
    (lambda x, y: int(x) / int(y), (3.0, 0.0), ZeroDivisionError),
    (lambda x, y: x // y, (3.0, 0.0), ZeroDivisionError),
    (lambda x, y: x % y, (3.0, 0.0), ZeroDivisionError),
    (lambda x, y: x**y, (0.0, -1.0), ZeroDivisionError),
    (lambda x, y: x**y, (3.0, 1e9), OverflowError),
    (lambda x, y: math.log(x, y), (3.0, 1.0), ZeroDivisionError),
    (lambda x, y: math.exp(x * y), (3.0, 1e9), OverflowError),
]


@pytest.mark.parametrize(("operation", "operands", "kind"), WORDS)
def test_errors_of_arithmetic_have_the_words_of_python(operation, operands, kind):
    def words(x, y):
        try:
            return operation(x, y)
        except kind as error:
            return float(len(str(error)))

    expected = [words(3.0, 2.0), words(*operands)]
    np.testing.assert_allclose(nbad.kernel(words)(*np.transpose([(3.0, 2.0), operands])), expected, rtol=1e-15)


DOMAINS = [(math.sqrt, 4.0, -1.0), (math.log, 1.0, 0.0), (math.gamma, 3.0, -2.0)]


@pytest.mark.parametrize(("function", "inside", "outside"), DOMAINS)
def test_errors_of_domains_have_the_words_of_python(function, inside, outside):
    """From Python 3.14 on the argument is in them, another one for each element: such a text may only be shown."""

    def words(x):
        try:
            return function(x)
        except ValueError as error:
            return float(len(str(error)))

    def shown(x):
        try:
            return function(x)
        except ValueError as error:
            raise RuntimeError(f"no such value: {error}") from None

    expected = [words(inside), words(outside)]
    with pytest.raises(RuntimeError, match="no such value") as plain:
        shown(outside)
    if repr(outside) in str(plain.value):
        with pytest.raises(TraceError, match="computes with the text of a traced value"):
            nbad.kernel(words)(inside)
    else:
        np.testing.assert_allclose(nbad.kernel(words)([inside, outside]), expected, rtol=1e-15)
    with pytest.raises(RuntimeError, match=re.escape(str(plain.value))):
        nbad.kernel(shown)([inside, outside])


def test_the_words_of_a_domain_do_not_matter_to_other_handlers():
    @nbad.kernel
    def f(x, y):
        try:
            z = math.sqrt(x) + math.sqrt(y)
        except ValueError:
            z = 8.0
        try:
            z = z + float([])  # raised by C, as what takes a text of traced values for a `str` is
        except TypeError:
            z = z + 1
        return z

    np.testing.assert_array_equal(f([4.0, 4.0, -4.0], [1.0, -1.0, -1.0]), [4.0, 9.0, 9.0])
