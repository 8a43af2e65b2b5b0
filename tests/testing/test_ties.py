"""The harness and the greatest of many: a wrong share of its derivative is caught, ties or not."""

import numpy as np
import pytest

import nbad
from nbad.derivatives.edges import Edges
from nbad.testing import CheckFailure, check_kernel

MANY = np.random.default_rng(0).standard_normal((20, 6))


def weighed():
    return nbad.kernel(lambda x: x * np.max(x), signature="(6)->(6)")


def test_the_greatest_of_many():
    check_kernel(weighed(), MANY)


def test_a_wrong_share_is_caught(monkeypatch):
    right = Edges._by_ties

    def wrong(self, *nodes):
        return [edge._replace(otherwise=self.builder.constant(0.5)) for edge in right(self, *nodes)]

    monkeypatch.setattr(Edges, "_by_ties", wrong)
    with pytest.raises(CheckFailure, match="partials fails"):
        check_kernel(weighed(), MANY)
