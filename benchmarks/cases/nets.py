"""Nets and meshes: nodes in space, elements that share them, and the energy of one element, whose sum is the energy of all.

"springs" is a net whose nodes are tied to their neighbours. "mesh" is a membrane of triangles, as cloth is: the energy of
St. Venant and Kirchhoff, of the deformation from a flat rest shape. Energies are written once, for NumPy's names, which nbad
traces and JAX has.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

SPRINGS_OF_A_NODE, TRIANGLES_OF_A_NODE = 3, 2
REST, MU, LAMBDA = 0.9, 0.4, 0.6


class Net(NamedTuple):
    """Nodes, elements, and what is known of each element or of all.

    Attributes
    ----------
    energy : callable
        `energy(np_)` is the energy of one element, from its nodes and its data, with the functions of `np_`.
    signature : str
        Of the kernel.
    nodes : float array (nodes, 3)
    elements : int array (elements, nodes of one)
    data : tuple of arrays or numbers
        Beside the nodes.
    """

    energy: Callable
    signature: str
    nodes: np.ndarray
    elements: np.ndarray
    data: tuple


def springs(n):
    """A net of about `n` springs: to the right, down, and across.

    Examples
    --------
    >>> net = springs(300)
    >>> net.nodes.shape, net.elements.shape
    ((100, 3), (261, 2))
    """
    number = _grid(n / SPRINGS_OF_A_NODE)
    pairs = (number[:, :-1], number[:, 1:]), (number[:-1], number[1:]), (number[:-1, :-1], number[1:, 1:])
    ends = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in pairs])

    def energy(np_):
        def spring(ends, rest):
            d = ends[1] - ends[0]
            return 0.5 * (np_.sqrt(np_.dot(d, d)) - rest) ** 2

        return spring

    return Net(energy, "(2,3),()->()", _moved(number), ends, (REST,))


def mesh(n):
    """About `n` triangles, two in each square of a grid; of each the inverse of its rest edges, and its rest area.

    Examples
    --------
    >>> net = mesh(200)
    >>> net.nodes.shape, net.elements.shape, [np.shape(each) for each in net.data]
    ((100, 3), (162, 3), [(162, 2, 2), (162,), (), ()])
    """
    number = _grid(n / TRIANGLES_OF_A_NODE)
    squares = [part.ravel() for part in (number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:])]
    corners = np.stack([np.stack([squares[k] for k in three], axis=1) for three in ((0, 1, 3), (0, 3, 2))], axis=1)
    triangles = corners.reshape(-1, 3)
    flat = _flat(number)[triangles][..., :2]
    edges = np.stack([flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]], axis=2)

    def energy(np_):
        def membrane(corners, inverse, area, mu, lam):
            u, v = corners[1] - corners[0], corners[2] - corners[0]
            f, g = u * inverse[0, 0] + v * inverse[1, 0], u * inverse[0, 1] + v * inverse[1, 1]
            a, b, c = 0.5 * (np_.dot(f, f) - 1), 0.5 * (np_.dot(g, g) - 1), 0.5 * np_.dot(f, g)
            return area * (mu * (a * a + b * b + 2 * c * c) + 0.5 * lam * (a + b) ** 2)

        return membrane

    data = np.linalg.inv(edges), 0.5 * np.abs(np.linalg.det(edges)), MU, LAMBDA
    return Net(energy, "(3,3),(2,2),(),(),()->()", _moved(number), triangles, data)


def _grid(nodes):
    """The numbers of about so many nodes in rows."""
    side = max(2, round(nodes**0.5))
    return np.arange(side * side).reshape(side, side)


def _flat(number):
    """Where nodes rest."""
    side = len(number)
    return np.stack([number // side, number % side, 0.0 * number], axis=-1).reshape(-1, 3)


def _moved(number):
    """Where they are."""
    rest = _flat(number)
    return rest + 0.1 * np.random.default_rng(0).normal(size=rest.shape)


def colours(elements):
    """The numbers of elements in groups: no two of a group share a node.

    Examples
    --------
    >>> [group.tolist() for group in colours(np.array([[0, 1], [1, 2], [2, 3]]))]
    [[0, 2], [1]]
    """
    taken, groups = [0] * (int(elements.max(initial=-1)) + 1), {}
    for number, nodes in enumerate(elements.tolist()):
        used = 0
        for node in nodes:
            used |= taken[node]
        free = ~used & (used + 1)  # the lowest bit that is 0
        groups.setdefault(free, []).append(number)
        for node in nodes:
            taken[node] |= free
    return [np.array(groups[bit]) for bit in sorted(groups)]


def places(net):
    """Where the blocks of all elements stand among the entries of the Hessian: row by row, columns ascending.

    Returns
    -------
    int array (elements, nodes of one, 3, nodes of one, 3)
    int
        How many entries there are.
    """
    count, nodes = net.elements.shape
    values = (net.elements[:, :, None] * 3 + np.arange(3)).reshape(count, -1)
    keys = values[:, :, None] * net.nodes.size + values[:, None, :]
    found, numbers = np.unique(keys, return_inverse=True)
    return numbers.reshape(count, nodes, 3, nodes, 3), len(found)


NETS = {"springs": springs, "mesh": mesh}
