"""Functions that have no value for some arguments; pytest would rewrite their assertions in a module of tests."""

import contextlib
import math
import warnings


class OutOfRange(ValueError):
    def __init__(self, name, value):
        super().__init__(f"{name} = {value} is out of range")


def validates(x, y):
    if x < 0:
        raise ValueError("x must not be negative")
    if not y > -1:
        message = f"y = {y} is too small"
        raise OutOfRange("y", message)
    return math.sqrt(x) * y


def has_ranges(x, y):
    if -1 <= x < 0:
        return 2.0 * y
    elif 0 <= x < 1:
        z = y * x
        if y > 1:
            return z - 3.0
    else:
        raise ValueError("no range")
    return z


def ends_in_a_raise(x, y):
    if x > 0.5:
        return x * y
    if x < -0.5 and y < 0:
        return y
    raise NotImplementedError(x)


def asserts(x, y):
    assert x > -1, "too small"
    assert x + y < 2, (x, y)
    return x / y


def check(name, value, low=-1.0, high=1.0):
    if value < low or value > high:
        raise OutOfRange(name, value)
    return value - low


def calls_a_validator(x, y):
    for k in range(2):
        x = check("x", x, -1.0 + 0.25 * k)
    return check("y", y) * x if y > -2 else x * x


def fails(x):
    raise ZeroDivisionError(x)


def fails_in_operands(x, y):
    z = x if x > -0.5 else fails(y)
    return z + y if x < 0 or y < 0 or fails(x) > 0 else z


def never_comes_there(x, y):
    for k in range(4):
        if x > 1 - k:
            return x * k + y
    raise RuntimeError("not with these arguments")


def raises_in_an_untaken_arm(x, y):
    if y > 5:
        items = [x, y]
        items[0] = 3.0
        if x > 0:
            raise ValueError(items)
        else:
            raise KeyError(f"{x}")
    return x + y


def raises_other_errors(x, y):
    try:
        if x < 0:
            raise KeyError("x")
        z = 2.0 * x
    finally:
        w = y + 1.0
    if w < 0:
        try:
            raise ValueError("within")
        except ValueError as error:
            raise OverflowError("beyond") from error
    return z * w


def one_sided(x, y):
    if x > 0:
        z = 2.0 * x
    return z - y if y < 1 else x


def deleted(x, y):
    z = 1.0
    if x > 0:
        x = x + z
    else:
        del z
    return z * x


def in_a_closure(x, y):
    if x > 0:
        z = x

    def later():
        return z * y

    return later()


def in_ranges(x, y):
    if x < -0.5:
        c, n = 1.0, 2
    elif x < 0.5:
        c, n = y, 3
    elif x < 1:
        c, n = x * y, 1
    return c**n if y < 0 else c


def known_when_traced(x, y, mode=2):
    """A test on plain values after one on traced ones: what it leads to is an arm of that."""
    if x > 1:
        z = y
    elif mode is None:
        z = 2.0 * y
    elif mode == 2:
        raise ValueError(f"no mode for {x}")
    else:
        z = x
    if y > 0:
        return z
    elif x > -0.5:
        z = z + 1.0
    elif mode == 1:
        z = 0.0
    else:
        raise KeyError("no mode")
    return z * y


def raises_what_it_has(x, y):
    error = ValueError("not positive")
    if x <= 0:
        raise error
    if y <= 0:
        raise error
    return x * y


def used_in_its_range(x, y):
    if y > 0:
        v = [x, 2.0 * y]
        is_high = x > 0.5
    if x > 0:
        w = x * y
    if y > 0:
        r = v[0] * v[1]
        if is_high:
            r = r - 1.0
        return r + w if x > 0 else r
    return -x


def catches_errors_of_others(x, y):
    """What a handler for all errors stands for reads nothing that has no value."""
    if x > 0:
        a = y
    try:
        b = 1.0 / (y - 0.4)
    except:  # noqa: E722
        b = 2.0
    with warnings.catch_warnings(), contextlib.nullcontext():
        c = b * b
    for k in range(3):
        if x > k:
            last = k
    return a * b + last if x > -0.2 else c


def flags_an_element(x, y):
    for k in range(3):
        if x > k - 1:
            found = k
    return x if found == 1 else y


FUNCTIONS = [
    validates,
    has_ranges,
    ends_in_a_raise,
    asserts,
    calls_a_validator,
    fails_in_operands,
    never_comes_there,
    raises_in_an_untaken_arm,
    raises_other_errors,
    one_sided,
    deleted,
    in_a_closure,
    in_ranges,
    known_when_traced,
    raises_what_it_has,
    used_in_its_range,
    catches_errors_of_others,
    flags_an_element,
]
