"""A residual policy of one's own: the names of values to keep, wherever they are printed."""

import re

import numpy as np
import pytest
from helpers.gallery import kernels, random, whole_sample
from helpers.same_bits import bits

import nbad
from nbad.plans.policies import POLICIES

X = np.linspace(0.5, 2.0, 300)


@nbad.kernel
def wave(a, x, t):
    amplitude = a * np.exp(-t)
    return amplitude * np.sin(x) / (1.0 + t)


NAMES_OF_PARTIALS = {"∂y0/∂a", "∂y0/∂x", "∂y0/∂t"}


def printed_values(f):
    """The names of all computed values, as the plan shows them; not of what only tells which elements have no value."""
    forward = nbad.show(f, "plan").partition("forward:")[2].partition("reverse:")[0]
    named = dict(re.findall(r"^  (\S+) = (.*)", forward, re.MULTILINE))
    alarms = {name: right for name, right in named.items() if right.startswith("alarm(")}
    operands = re.compile("|".join(sorted(map(re.escape, named), key=len, reverse=True)))
    wanted, found = operands.findall(forward.rpartition("return")[2]), set()
    while wanted:
        name = wanted.pop()
        right = named[name].rpartition(", ")[2] if name in alarms else named[name]
        wanted += set(operands.findall(right.partition("#")[0])) - found
        found |= {name} - alarms.keys()
    return tuple(name for name in named if name in found)


def kept(*xs, f=wave, **options):
    return nbad.vjp(f, *xs, **options)[1].residuals.names


def test_names_are_those_that_explain_prints():
    told = nbad.explain(wave, X, X, X)
    text = str(told)
    for account in told.policies:
        names = tuple(residual.name for residual in account.residuals)
        assert all(f"  {name} " in text for name in names)
        assert sorted(kept(X, X, X, residuals=names)) == sorted(names)


def test_names_are_those_that_show_prints():
    value = next(line.split()[0] for line in nbad.show(wave, "plan").splitlines() if "= exp(" in line)
    assert value in kept(X, X, X, residuals=(value,))
    assert set(printed_values(wave)) >= set(kept(X, X, X, residuals=printed_values(wave))) - {"a", "x", "t"} - NAMES_OF_PARTIALS


def test_a_list_and_names_given_twice():
    assert kept(X, X, X, residuals=["x", "%6", "%6"]) == kept(X, X, X, residuals=("%6",))


def test_no_names_keep_what_recompute_keeps():
    assert kept(X, X, X, residuals=()) == kept(X, X, X, residuals="recompute")


def test_slots_of_vectors_have_names():
    dot = nbad.kernel(lambda r, s: np.dot(r, r) * s, signature="(2),()->()")
    names = kept(np.ones((5, 2)), 2.0, f=dot, residuals=("r[0]",))
    assert "r[0]" in names
    asked = nbad.vjp(dot, np.ones((5, 2)), 2.0, residuals=("r[0]",))[1].residuals.values
    assert {value.name: value.reason for value in asked}["r[0]"] == "asked for"


def test_only_values_of_the_chosen_arguments_count():
    assert kept(X, X, X, argnums="a", residuals=("∂y0/∂a",)) == ("∂y0/∂a",)
    with pytest.raises(ValueError, match=r"got: '∂y0/∂x'\n  expected: names among x, t"):
        kept(X, X, X, argnums="a", residuals=("∂y0/∂x",))


def test_wrong_names_are_refused_with_those_there_are():
    what = (
        r"not values of the kernel\n[\s\S]*got: 'amplitudes', '%99'\n  expected: names among amplitude, a, x, t, %3.*\n"
        r"  did you mean: amplitude\n  fix: residuals=\('amplitude',\)"
    )
    with pytest.raises(ValueError, match=what):
        kept(X, X, X, residuals=("a", "amplitudes", "%99"))


def test_one_name_alone_is_not_a_tuple_of_names():
    what = r"unknown residual policy[\s\S]*got: 'x'[\s\S]*fix: residuals='auto'  # or residuals=\('x',\)"
    with pytest.raises(ValueError, match=what):
        kept(X, X, X, residuals="x")


@pytest.mark.parametrize("name", kernels())
def test_any_choice_agrees_on_the_gallery(name):
    """Every third value: the policy cuts across the graph somewhere; and none reads the arguments after `vjp` returned."""
    module, kernel = kernels()[name]
    xs = whole_sample(module, kernel, 40)
    y, pullback = nbad.vjp(kernel, *xs, residuals="partials")
    leaves = y if isinstance(y, tuple) else (y,)
    seeds = tuple(random(k).standard_normal(leaf.shape) for k, leaf in enumerate(leaves))
    seeds = seeds if isinstance(y, tuple) else seeds[0]
    expected = pullback(seeds)
    bounds = [1e-12 * (np.max(np.abs(ct)) + 1e-300) for ct in expected]
    for residuals in (*POLICIES, "auto", printed_values(kernel)[::3]):
        inputs = [x.copy() for x in xs]
        y, pullback = nbad.vjp(kernel, *inputs, residuals=residuals)
        before = pullback(seeds)
        for x in inputs:
            x[...] = np.nan
        assert bits(pullback(seeds)) == bits(before)
        assert all(np.all(np.abs(a - b) <= bound) for a, b, bound in zip(before, expected, bounds, strict=True))
