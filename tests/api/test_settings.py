"""Dicts, namedtuples and dataclasses without a number are static by themselves, as what is in them is."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import nbad


class Pair(NamedTuple):
    rule: Any
    power: Any = None


@dataclasses.dataclass
class Rule:
    apply: Callable[[Any], Any]
    name: str = "a rule"


def of_dict(x, settings):
    return 2.0 * x if settings.get("rule") == "twice" else x * x


def of_fields(x, settings):
    return settings.rule(x) if callable(settings.rule) else 3.0 * x


def of_rule(x, settings):
    return settings.apply(x)


@pytest.mark.parametrize(
    ("function", "settings", "value", "slope"),
    [
        (of_dict, {"rule": "twice"}, 6.0, 2.0),
        (of_dict, {"rule": None, "inner": {"rule": "twice"}}, 9.0, 6.0),
        (of_dict, {}, 9.0, 6.0),
        (of_fields, Pair(np.negative), -3.0, -1.0),
        (of_fields, Pair("thrice"), 9.0, 3.0),
        (of_rule, Rule(np.negative), -3.0, -1.0),
    ],
)
def test_structures_without_numbers_are_settings(function, settings, value, slope):
    f, x = nbad.kernel(function), np.full(3, 3.0)
    assert_array_equal(f(x, settings), value)
    assert_array_equal(f(x, settings=settings), value)
    y, pullback = nbad.vjp(f, x, settings)
    assert_array_equal(y, value)
    assert len(pullback(1.0)) == 1
    assert_array_equal(pullback(1.0)[0], slope)
    assert_array_equal(nbad.jvp(f, (x, settings), (1.0, None))[1], slope)
    assert_array_equal(nbad.grad(f)(x, settings), slope)
    assert nbad.jacobian(f)(x, settings).shape == (3, 1, 1)
    assert_array_equal(nbad.kernel(lambda x: f(x, settings))(x), value)


def test_settings_that_change_are_others():
    f, settings = nbad.kernel(of_dict), {"rule": "twice"}
    assert f(3.0, settings) == 6.0
    settings["rule"] = "square"
    assert f(3.0, settings) == 9.0


def test_a_number_among_settings_makes_a_structure_of_numbers():
    scaled = nbad.kernel(lambda x, p: p["scale"] * x if p["rule"] == "scaled" else x)
    assert nbad.vjp(scaled, 3.0, {"rule": "scaled", "scale": 2.0})[1](1.0) == (2.0, {"rule": None, "scale": 3.0})


def test_settings_that_hold_themselves_are_refused_by_name():
    settings: dict = {"rule": "twice"}
    settings["settings"] = settings
    with pytest.raises(nbad.NbadError, match="settings holds itself"):
        nbad.kernel(of_dict)(3.0, settings)
    assert nbad.kernel(of_dict, static=("settings",))(3.0, settings) == 6.0
