"""Scalar graphs: build, check, evaluate, simplify, with loops and with elements that have no value."""
