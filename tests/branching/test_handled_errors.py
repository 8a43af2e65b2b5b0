"""Which error is handled, asked of Python in a handler that runs as an arm: Python knows of none there."""

import math
import sys
import traceback

import numpy as np
import pytest

import nbad
from nbad.errors import TraceError

XS = np.array([4.0, -1.0])


def is_of_value():
    return 1.0 if sys.exc_info()[0] is ValueError else 2.0


def again():
    raise


def asks(x):
    try:
        return math.sqrt(x)
    except ValueError:
        return float(sys.exc_info()[0] is ValueError)


def asks_for_its_text(x):
    try:
        return math.sqrt(x)
    except ValueError:
        return float(len(traceback.format_exc()))


def asks_for_the_text_of_its_way(x):
    try:
        return math.sqrt(x)
    except ValueError as error:
        return float(len(traceback.format_exception(error)))


def asks_by_a_helper(x):
    try:
        return math.sqrt(x)
    except ValueError:
        return is_of_value()


def catches_what_a_helper_raises_again(x):
    try:
        return math.sqrt(x)
    except ValueError:
        try:
            again()
        except ValueError:
            return -1.0


@pytest.mark.parametrize(
    "f", [asks, asks_for_its_text, asks_for_the_text_of_its_way, asks_by_a_helper, catches_what_a_helper_raises_again]
)
def test_it_is_refused(f):
    with pytest.raises(TraceError, match="asks which error is handled, or how it came about, where a handler is for some"):
        nbad.kernel(f)(XS)


@nbad.kernel(errors="nan")
def ends_in_a_helper(x):
    try:
        y = math.sqrt(x)
    except ValueError:
        again()
    return y


@nbad.kernel
def asks_where_all_elements_are(x, name="b"):
    try:
        scale = {"a": 1.0}[name]
    except KeyError:
        scale = 3.0 if sys.exc_info()[0] is KeyError else is_of_value()
    try:
        return scale * math.sqrt(x)
    except ValueError:
        try:
            return {"a": 1.0}[name]
        except KeyError:
            return 5.0 if is_of_value() == 2.0 and sys.exc_info()[0] is KeyError else 7.0


def test_where_python_knows_it_or_nobody_catches_it_all_is_as_in_python():
    np.testing.assert_array_equal(ends_in_a_helper(XS), [2.0, math.nan])
    np.testing.assert_array_equal(asks_where_all_elements_are(XS), [6.0, 5.0])


def way_of(error, name):
    return {"cause": error.__cause__, "context": error.__context__, "traceback": error.__traceback__}[name]


def asks_for_the_error_before(x):
    try:
        try:
            return math.sqrt(x)
        except ValueError:
            raise KeyError from None
    except KeyError as error:
        return 1.0 if error.__context__ is None else 2.0


def asks_for_a_traceback(x):
    try:
        return math.sqrt(x)
    except ValueError as error:
        return float(len(traceback.extract_tb(error.__traceback__)))


def asks_a_helper_for_the_cause(x):
    try:
        try:
            return math.sqrt(x)
        except ValueError as error:
            raise KeyError from error
    except KeyError as error:
        return 1.0 if way_of(error, "cause") is None else 2.0


@pytest.mark.parametrize("f", [asks_for_the_error_before, asks_for_a_traceback, asks_a_helper_for_the_cause])
def test_how_an_error_of_some_elements_came_about_is_not_known(f):
    with pytest.raises(TraceError, match=r"asks an error for its `__\w+__`[\s\S]*fix: str\(error\), type\(error\)"):
        nbad.kernel(f)(XS)


def test_how_an_error_of_all_elements_came_about_is_as_in_python():
    @nbad.kernel
    def f(x, name="b"):
        try:
            try:
                {"a": 1.0}[name]
            except KeyError as error:
                raise ValueError from error
        except ValueError as error:
            return x if isinstance(error.__cause__, KeyError) and error.__cause__ is error.__context__ else -x

    np.testing.assert_array_equal(f(XS), XS)
