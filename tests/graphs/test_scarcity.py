"""Eliminations of inner vertices: the map stays the same, and what is chosen is cheap."""

import random
from fractions import Fraction

import pytest

from nbad.derivatives.scarcity import NARROW, Arc, LinearMap, kept_vertices


def random_map(seed, vertices=14, width=3):
    """Arcs with whole weights; the first vertices are tails, the last have numbers of their own and are heads."""
    r, arcs = random.Random(seed), {}
    for head in range(width, vertices):
        for tail in r.sample(range(head), r.randint(1, min(4, head))):
            arcs[head, tail] = Arc(Fraction(r.choice((-3, -1, 1, 1, 2, 5))))
    heads = [-1 - m for m in range(width)]
    arcs |= {(head, vertices - 1 - k): Arc(Fraction(1)) for k, head in enumerate(heads)}
    return arcs, heads


def entries(arcs, heads):
    """The matrix, by the sum over all paths."""
    below = {}
    for (head, tail), arc in arcs.items():
        below.setdefault(head, []).append((tail, arc.weight))

    def follow(vertex, weight, found):
        for tail, factor in below.get(vertex, ()):
            follow(tail, weight * factor, found)
        if vertex not in below:
            found[vertex] = found.get(vertex, 0) + weight
        return found

    return {(h, n): w for h in heads for n, w in follow(h, Fraction(1), {}).items() if w}


def flat(linear):
    return {(head, tail): arc for head, row in linear.below.items() for tail, arc in row.items()}


@pytest.mark.parametrize("seed", range(40))
def test_eliminations_keep_the_product(seed):
    arcs, heads = random_map(seed)
    expected, r = entries(arcs, heads), random.Random(seed)
    linear = LinearMap(arcs, heads)
    linear.reduce()
    assert entries(flat(linear), heads) == expected
    assert linear.cost <= LinearMap(arcs, heads).cost
    while linear.inner:
        linear.eliminate(r.choice(linear.inner))
        assert entries(flat(linear), heads) == expected
    assert {ends for ends, arc in flat(linear).items() if arc.weight} == expected.keys()


@pytest.mark.parametrize("seed", range(20))
def test_what_is_gained_is_what_was_told(seed):
    arcs, heads = random_map(seed, 30, 4)
    linear = LinearMap(arcs, heads)
    for vertex in random.Random(seed).sample(linear.inner, len(linear.inner)):
        before, products, told = linear.cost, linear.products, linear.gain(vertex, seeds=3)
        linear.eliminate(vertex)
        assert 3 * (before - linear.cost) - (linear.products - products) == told or told < 0


def softmax(width):
    """Tails 0 to width, then exponentials, then the sum of them one by one, then quotients."""
    arcs, exps = {}, [width + k for k in range(width)]
    arcs |= {(e, k): Arc() for k, e in enumerate(exps)}
    total = exps[0]
    for k in range(1, width):
        arcs |= {(2 * width + k, total): Arc(1.0), (2 * width + k, exps[k]): Arc(1.0)}
        total = 2 * width + k
    for k in range(width):
        arcs |= {(3 * width + k, exps[k]): Arc(), (3 * width + k, total): Arc(), (-1 - k, 3 * width + k): Arc(1.0)}
    return arcs, [-1 - k for k in range(width)]


@pytest.mark.parametrize("width", [8, 32, 300])
def test_softmax_keeps_its_sum_alone(width):
    arcs, heads = softmax(width)
    kept = kept_vertices(arcs, heads)
    assert kept == [3 * width - 1]
    linear = LinearMap(arcs, heads)
    linear.reduce()
    assert linear.cost == 2 * 3 * width  # three products for each value, where the matrix has `width` for each


def dense(width, layers):
    arcs, previous = {}, list(range(width))
    for layer in range(1, layers + 1):
        rows = [layer * width + k for k in range(width)]
        arcs |= {(row, a): Arc() for row in rows for a in previous}
        previous = rows
    arcs |= {(-1 - k, row): Arc(1.0) for k, row in enumerate(previous)}
    return arcs, [-1 - k for k in range(width)]


def test_many_seeds_ask_for_the_matrix():
    """One product of two dense matrices costs more than a seed that goes through both, and less than hundreds of these."""
    arcs, heads = dense(16, 2)
    assert len(kept_vertices(arcs, heads, seeds=1)) == 16
    assert kept_vertices(arcs, heads, seeds=1000) == []


def test_the_ends_of_the_scale():
    arcs, heads = softmax(10)
    assert kept_vertices(arcs, heads, "full") == []
    assert kept_vertices(arcs, heads, "plain") == LinearMap(arcs, heads).inner
    assert set(kept_vertices(arcs, heads, "greedy")) <= set(kept_vertices(arcs, heads, "plain"))


def test_narrow_maps_are_matrices():
    arcs, heads = dense(int(NARROW**0.5), 3)
    assert kept_vertices(arcs, heads) == []
    assert kept_vertices({(k + 1, k): Arc() for k in range(1000)}, [1000]) == []


def test_a_gradient_is_a_matrix():
    """With one head no vertex saves anything."""
    arcs, _ = softmax(100)
    arcs |= {(-1, 3 * 100 + k): Arc() for k in range(100)}
    assert kept_vertices(arcs, [-1]) == []


def test_work_grows_with_the_arcs(monkeypatch):
    """Long sums and wide ones: every vertex is looked at a few times."""
    looks = []
    gain = LinearMap.gain
    monkeypatch.setattr(
        LinearMap, "gain", lambda self, v, s: looks.append(len(self.below[v]) + len(self.above[v])) or gain(self, v, s)
    )
    for make in (lambda n: softmax(n), lambda n: softmax(4 * n)):
        arcs, heads = make(500)
        looks.clear()
        kept_vertices(arcs, heads)
        assert sum(looks) < 12 * len(arcs)
